// Begins: the address decides the view, the stream says when it is to be read anew.
//
// A view is `open(ctx)`, which gives `{ title, load(signal), render(), wants(kind, data) }`: `wants` answers within how many
// milliseconds it wants to be read anew after an event, or `null`; `beat()`, where it has one, the same every five seconds.

import { peek, takeTokenFromAddress } from "./ask.js";
import { onToken } from "./dialogs.js";
import { h, show } from "./dom.js";
import { listen } from "./keys.js";
import { Shell } from "./shell.js";
import { Stream } from "./stream.js";
import { heard, tick } from "./time.js";
import * as approvals from "./views/approvals.js";
import * as check from "./views/check.js";
import * as fixes from "./views/fixes.js";
import * as incidents from "./views/incidents.js";
import * as ledger from "./views/ledger.js";
import * as monitoring from "./views/monitoring.js";
import * as overview from "./views/overview.js";
import * as playground from "./views/playground.js";
import * as rules from "./views/rules.js";

takeTokenFromAddress();

const main = document.getElementById("content");
const shell = new Shell();
let present = null;

function found(hash) {
  const [path, search = ""] = hash.replace(/^#\/?/, "").split("?");
  const parts = path
    .split("/")
    .filter(Boolean)
    .map((one) => {
      try {
        return decodeURIComponent(one);
      } catch {
        return one;
      }
    });
  const query = new URLSearchParams(search);
  const [place = "", ...rest] = parts;
  if (place === "") return { view: overview, place: "", parts: [], query };
  if (place === "check" && rest.length === 1) return { view: check, place: "", parts: rest, query };
  if (place === "rules" && rest[0] === "edit") return { view: playground, place: "rules", parts: [], query };
  const view = { monitoring, fixes, ledger, approvals, incidents, rules }[place];
  return view && rest.length === 0 ? { view, place, parts: [], query } : { view: null, place: "", parts, query };
}

function enter() {
  if (/^#token=/.test(location.hash)) {
    takeTokenFromAddress();
    anew();
  }
  present?.leave();
  const { view, place, parts, query } = found(location.hash);
  present = new Visit(view, place, parts, query);
  present.begin();
}

/** A view while somebody is at it. */
class Visit {
  constructor(view, place, parts, query) {
    this.abort = new AbortController();
    this.due = null;
    this.loading = false;
    this.again = false;
    this.failure = null;
    this.loaded = false;
    this.place = place;
    this.over = false;
    const ctx = { parts, query, shell, reload: () => this.load(), redraw: () => this.draw() };
    this.view = view ? view.open(ctx) : nowhere;
  }

  async begin() {
    shell.at(this.place, this.view.title);
    main.setAttribute("aria-busy", "true");
    await this.load();
    if (this.over) return;
    main.removeAttribute("aria-busy");
    main.scrollTop = 0;
    window.scrollTo(0, 0);
    this.view.ready?.();
  }

  async load() {
    clearTimeout(this.due);
    this.due = null;
    // One at a time; what comes meanwhile is read once more afterwards.
    if (this.loading) {
      this.again = true;
      return;
    }
    this.loading = true;
    try {
      await this.view.load(this.abort.signal);
      this.failure = null;
      this.loaded = true;
    } catch (error) {
      if (error.name === "AbortError") return;
      this.failure = error;
    } finally {
      this.loading = false;
    }
    if (this.over) return;
    this.draw();
    if (this.again) {
      this.again = false;
      await this.load();
    }
  }

  draw() {
    if (this.over) return;
    if (this.loaded)
      return show(
        main,
        this.failure && this.failure.status !== 0
          ? h("p", { class: "banner critical", key: "failure" }, h("span", {}, this.failure.message))
          : null,
        this.view.render(),
      );
    if (!this.failure) return;
    show(
      main,
      h("h1", {}, this.view.title),
      h("p", { class: "problem" }, this.failure.message),
      h(
        "p",
        {},
        h("button", { type: "button", on: { click: () => this.load() } }, "Try again"),
        " ",
        h("a", { href: "#/" }, "Overview"),
      ),
    );
  }

  /** Reads anew within so many milliseconds, unless it does so earlier. */
  soon(wait) {
    const at = performance.now() + wait;
    if (this.due && this.dueAt <= at) return;
    clearTimeout(this.due);
    this.dueAt = at;
    this.due = setTimeout(() => this.load(), wait);
  }

  leave() {
    this.over = true;
    this.abort.abort();
    clearTimeout(this.due);
    this.view.close?.();
    show(main);
  }
}

const nowhere = {
  title: "Nothing here",
  load: async () => {},
  wants: () => null,
  render: () => [
    h("h1", {}, "Nothing here"),
    h("p", {}, "There is no such page. ", h("a", { href: "#/" }, "Overview")),
  ],
};

// What changed is told to whoever listens instead of looking, in one sentence and not at every beat.
const news = [];
let telling = null;

function tell(text) {
  news.push(text);
  telling ??= setTimeout(() => {
    telling = null;
    const said = news.splice(0);
    document.getElementById("told").textContent =
      said.slice(0, 3).join(". ") + (said.length > 3 ? `. And ${said.length - 3} more changes.` : "");
  }, 1_500);
}

let glancing = null;

/** The numbers above every view, soon. */
function glance(wait) {
  glancing ??= setTimeout(async () => {
    glancing = null;
    try {
      shell.glance(await peek("/api/overview?limit=1"));
    } catch {
      // The stream says whether the engine is there.
    }
  }, wait);
}

function happened(kind, data) {
  const word = { change: "changed" }[kind] ?? kind;
  if (data?.now) heard(data.now);
  if (word === "glance") return shell.glance(data);
  if (word === "beat") {
    shell.beat(data);
    const wait = present?.view.beat?.() ?? null;
    return wait === null ? undefined : present.soon(wait);
  }
  if (word === "looked") {
    shell.looked = Math.max(shell.looked ?? 0, data?.now ?? 0) || shell.looked;
  } else {
    glance(word === "hello" || word === "missed" ? 0 : 250);
  }
  if (word === "changed" && !data.behind) tell(`${data.check} is ${data.to}: ${data.message}`);
  if (word === "ended" && data.attempt?.end) tell(`Repair of ${data.attempt.check} ${data.attempt.end}`);
  if (word === "refused") tell("The rules on disk are refused");
  if (word === "paused")
    tell(
      `Repairs ${data.checks?.length ? `of ${data.checks.join(", ")} ` : ""}are ${data.paused ? "paused" : "allowed again"}`,
    );
  const wait = word === "hello" || word === "missed" ? 50 : present?.view.wants(word, data);
  if (wait !== null && wait !== undefined) present?.soon(wait);
}

const stream = new Stream(happened, (state) => {
  const back = shell.lost && !state.lost;
  shell.connection(state);
  if (back) anew();
});

/** Everything once more: after a pause in the connection, or with another token. */
function anew() {
  shell.learn();
  glance(0);
  present?.load();
}

onToken(() => {
  stream.restart();
  anew();
});

listen();
document.querySelector(".skip").addEventListener("click", (event) => {
  // The address is the view's.
  event.preventDefault();
  main.focus();
});
window.addEventListener("hashchange", enter);
window.addEventListener("beforeunload", (event) => {
  if (present?.view.leaving?.()) event.preventDefault();
});
let width = window.innerWidth;
window.addEventListener("resize", () => {
  if (width === window.innerWidth) return;
  width = window.innerWidth;
  present?.draw();
});
setInterval(tick, 1_000);
setInterval(() => glance(0), 30_000);
shell.draw();
shell.learn();
stream.start();
enter();
