// What stands around every view: the way to the others, the overall status, the banners, and whether the engine is heard at all.
//
// What is old never looks well: without a word from the engine for ten seconds the page says so loudly and loses its colours.

import { peek, token } from "./ask.js";
import { resume } from "./actions.js";
import { askToken } from "./dialogs.js";
import { h, show } from "./dom.js";
import { badge, button, plural, STATUSES } from "./parts.js";
import { help } from "./keys.js";
import { ago, exact, heard, span } from "./time.js";

const PLACES = [
  ["", "Overview"],
  ["monitoring", "SRE monitoring"],
  ["fixes", "Recent RCA fixes"],
  ["ledger", "Ledger"],
  ["approvals", "Approvals"],
  ["incidents", "Incidents"],
  ["rules", "Rules"],
];
// So many seconds are no jitter any more.
const LATE = 15;
const COLOURS = { OK: "#1a7f47", WARNING: "#a86500", CRITICAL: "#c02b22", UNKNOWN: "#6d55b5", lost: "#6b7178" };
const GLYPHS = {
  OK: "M9 17l5 5 9-11",
  WARNING: "M16 8v10m0 5v1",
  CRITICAL: "M10 10l12 12m0-12L10 22",
  UNKNOWN: "M12 12c0-6 9-5 8 0-.5 3-4 3-4 6m0 5v1",
  lost: "M8 16h16",
};

export class Shell {
  constructor() {
    this.overview = null;
    this.whoami = null;
    this.lost = false;
    this.locked = false;
    this.word = Date.now();
    this.place = "";
    this.title = "";
    this.looked = null;
    this.late = 0;
  }

  /** Any overview that was read: its numbers stand above every view. */
  glance(overview) {
    heard(overview.now);
    this.overview = overview;
    for (const row of overview.checks ?? []) if (row.looked > (this.looked ?? 0)) this.looked = row.looked;
    this.draw();
  }

  beat({ now, overall, counts, lateness_s: late = 0 }) {
    heard(now);
    this.late = late;
    if (this.overview && overall) {
      this.overview = { ...this.overview, overall, counts: counts ?? this.overview.counts };
      this.draw();
    }
  }

  lastLook() {
    return this.looked;
  }

  async learn() {
    try {
      this.whoami = await peek("/api/whoami");
    } catch {
      this.whoami = null;
    }
    this.draw();
  }

  connection({ lost, word, locked }) {
    this.lost = lost;
    this.locked = locked;
    this.word = word;
    document.documentElement.toggleAttribute("data-lost", lost);
    this.draw();
  }

  at(place, title) {
    this.place = place;
    this.title = title;
    this.draw();
    // On a small screen the views go on beyond its edge.
    const nav = document.querySelector("#top nav");
    const here = nav.querySelector("[aria-current]");
    if (here) nav.scrollLeft = here.offsetLeft - nav.offsetLeft - (nav.clientWidth - here.offsetWidth) / 2;
  }

  draw() {
    show(document.getElementById("top"), this.bar());
    show(document.getElementById("alarm"), this.alarm());
    show(document.getElementById("banners"), this.banners());
    show(document.getElementById("foot"), this.foot());
    this.name();
  }

  bar() {
    const { overview, whoami } = this;
    const count = { approvals: overview?.proposals ?? 0, incidents: overview?.incidents ?? 0 };
    return [
      h(
        "a",
        { class: "brand", href: "#/", "aria-label": "homeostat, overview" },
        h(
          "svg",
          { viewBox: "0 0 32 32", width: 22, height: 22, "aria-hidden": "true" },
          h("path", { class: "pulse", d: "M2 17h7l4-10 6 19 3-9h8" }),
        ),
        h("span", {}, "homeostat"),
      ),
      overview
        ? h(
            "span",
            { class: "overall" },
            this.lost ? h("span", { class: "status lost" }, "no word") : badge(overview.overall),
          )
        : null,
      h(
        "nav",
        { "aria-label": "Views" },
        h(
          "ul",
          {},
          PLACES.map(([place, name]) =>
            h(
              "li",
              {},
              h(
                "a",
                { href: `#/${place}`, "aria-current": this.place === place ? "page" : undefined },
                name,
                count[place] ? h("span", { class: "number bubble" }, count[place]) : null,
              ),
            ),
          ),
        ),
      ),
      h(
        "div",
        { class: "tools" },
        h("span", { class: `heard ${this.lost ? "lost" : ""}` }, this.lost ? "lost" : "live"),
        button(whoami?.name ?? (token() ? "token" : "no token"), () => askToken(), {
          class: "quiet",
          title: whoami?.scope ? `scope ${whoami.scope}` : "give a token to act",
        }),
        button(`◐ ${themeName()}`, () => turn(this), {
          class: "quiet",
          title: "Light, dark, or as the system has it",
          "aria-label": `◐ ${themeName()}: theme`,
        }),
        button("?", () => help(), { class: "quiet", "aria-label": "Help and keys" }),
      ),
    ];
  }

  alarm() {
    if (!this.lost) return null;
    return h(
      "div",
      { class: "banner lost" },
      h("strong", {}, this.locked ? "The engine wants a token before it tells anything." : "No word from the engine"),
      this.locked
        ? button("Give a token…", () => askToken())
        : h("span", {}, `since ${exact(this.word / 1000)}. What you see is old.`),
    );
  }

  banners() {
    const { overview } = this;
    if (!overview) return null;
    const { paused, storm, complaints, complaints_text: text, store } = overview;
    return [
      paused
        ? h(
            "section",
            { key: "paused", class: "banner warning", "aria-label": "Repairs are paused" },
            h("strong", {}, "Repairs are paused"),
            h(
              "span",
              {},
              `by ${paused.by}${paused.reason ? `: ${paused.reason}` : ""} · since `,
              ago(paused.at),
              paused.until ? [" · ends ", ago(paused.until)] : "",
            ),
            button("Resume", () => resume()),
          )
        : null,
      storm
        ? h(
            "section",
            { key: "storm", class: "banner warning", "aria-label": "Storm" },
            h("strong", {}, "Storm: all repairs wait"),
            h(
              "span",
              {},
              `${storm.turned} checks turned bad together, so the cause is taken to lie elsewhere · ends `,
              ago(storm.until),
            ),
            button("Repair all the same", () => resume()),
          )
        : null,
      complaints
        ? h(
            "section",
            { key: "refused", class: "banner critical", "aria-label": "Rules refused" },
            h("strong", {}, "The rules on disk are refused; the last good ones run"),
            h(
              "details",
              {},
              h("summary", {}, `${complaints} ${complaints === 1 ? "complaint" : "complaints"}`),
              h("pre", { class: "complaints", tabindex: 0 }, text ?? ""),
            ),
            h("a", { href: "#/rules" }, "Rules"),
          )
        : null,
      this.late > LATE
        ? h(
            "section",
            { key: "late", class: "banner warning", "aria-label": "The engine is late" },
            h("strong", {}, "The engine is late"),
            h("span", {}, `looks begin ${span(this.late)} after they are due`),
          )
        : null,
      store
        ? h(
            "section",
            { key: "store", class: "banner critical", "aria-label": "The store" },
            h("strong", {}, "The store is in trouble"),
            h("span", {}, store),
          )
        : null,
    ];
  }

  foot() {
    const { overview, whoami } = this;
    if (!overview) return null;
    return h(
      "p",
      {},
      whoami?.root_name ? `${whoami.root_name} · ` : "",
      `homeostat ${whoami?.version ?? ""} · generation ${overview.generation}`,
      overview.missed_slots ? ` · ${plural(overview.missed_slots, "slot")} missed` : "",
      whoami
        ? ` · ${whoami.scope ? `${whoami.name ?? "owner"}, scope ${whoami.scope}` : "reading without a token"}`
        : "",
    );
  }

  name() {
    const { overview } = this;
    const overall = this.lost || !overview ? "lost" : overview.overall;
    const bad = overview
      ? STATUSES.filter((status) => status !== "OK" && overview.counts?.[status] > 0)
          .map((status) => `${overview.counts[status]} ${status.toLowerCase()}`)
          .join(", ")
      : "";
    const head = this.lost
      ? "✕ no word"
      : !overview
        ? "…"
        : overview.overall === "OK"
          ? "✓ all well"
          : `${overview.overall === "CRITICAL" ? "✕" : "!"} ${bad}`;
    const title = `${head} · ${this.title} · homeostat`;
    if (document.title !== title) document.title = title;
    const picture = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="8" fill="${COLOURS[overall] ?? COLOURS.lost}"/><path d="${GLYPHS[overall] ?? GLYPHS.lost}" fill="none" stroke="#fff" stroke-width="4" stroke-linecap="round" stroke-linejoin="round"/></svg>`;
    const address = `data:image/svg+xml,${encodeURIComponent(picture)}`;
    const element = document.getElementById("icon");
    if (element.href !== address) element.href = address;
  }
}

const THEMES = ["auto", "light", "dark"];

function themeName() {
  return document.documentElement.dataset.theme ?? "auto";
}

function turn(shell) {
  const next = THEMES[(THEMES.indexOf(themeName()) + 1) % THEMES.length];
  if (next === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = next;
  try {
    localStorage.setItem("homeostat.theme", next);
  } catch {
    // It holds for this visit, then.
  }
  shell.draw();
}
