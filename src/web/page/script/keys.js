// Keys. Single letters only outside fields and dialogs, never with a modifier, and they can be turned off.

import { ask } from "./dialogs.js";
import { h } from "./dom.js";

const KEPT = "homeostat.keys";
const PLACES = {
  o: ["#/", "overview"],
  m: ["#/monitoring", "SRE monitoring"],
  f: ["#/fixes", "recent fixes"],
  l: ["#/ledger", "ledger"],
  a: ["#/approvals", "approvals and silences"],
  i: ["#/incidents", "incidents"],
  r: ["#/rules", "rules"],
};

const on = () => localStorage.getItem(KEPT) !== "off";

let pending = null;

export function listen() {
  document.addEventListener("keydown", (event) => {
    const target = event.target;
    const writing = target.closest?.("input, textarea, select, [contenteditable], dialog");
    if (writing || event.ctrlKey || event.metaKey || event.altKey || event.isComposing || !on()) return;
    if (pending) {
      clearTimeout(pending);
      pending = null;
      const place = PLACES[event.key];
      if (place) {
        event.preventDefault();
        location.hash = place[0];
      }
      return;
    }
    if (event.key === "g") pending = setTimeout(() => (pending = null), 1_200);
    else if (event.key === "/") search(event);
    else if (event.key === "?") help();
    else if (event.key === "j" || event.key === "k") step(event, event.key === "j" ? 1 : -1);
  });
}

function search(event) {
  event.preventDefault();
  const field = document.getElementById("search");
  if (field) {
    field.focus();
    field.select();
  } else {
    location.hash = "#/";
    setTimeout(() => document.getElementById("search")?.focus(), 300);
  }
}

/** To the next check of the list. */
function step(event, by) {
  const links = [...document.querySelectorAll(".checks tbody th a")];
  if (links.length === 0) return;
  event.preventDefault();
  const at = links.indexOf(document.activeElement);
  const next = links[at < 0 ? (by > 0 ? 0 : links.length - 1) : Math.max(0, Math.min(links.length - 1, at + by))];
  next.focus();
  next.scrollIntoView({ block: "nearest" });
}

const key = (...names) => names.map((name) => h("kbd", {}, name));

export async function help() {
  await ask({
    title: "Keys",
    about: [
      h(
        "dl",
        { class: "keys" },
        h("dt", {}, key("/")),
        h("dd", {}, "search checks"),
        h("dt", {}, key("j", "k")),
        h("dd", {}, "next, previous check of the list"),
        Object.entries(PLACES).map(([letter, [, name]]) => [
          h("dt", {}, key("g", letter)),
          h("dd", {}, `go to ${name}`),
        ]),
        h("dt", {}, key("Ctrl", "S")),
        h("dd", {}, "save, in the playground"),
        h("dt", {}, key("?")),
        h("dd", {}, "this help"),
      ),
    ],
    fields: [{ name: "on", label: "Keys of a single letter are on", kind: "check", value: on() }],
    say: "Keep",
    act: async ({ on: wanted }) => localStorage.setItem(KEPT, wanted ? "on" : "off"),
  });
}
