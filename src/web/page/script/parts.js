// The small things that every view shows: statuses, badges, sparklines, buttons, differences.

import { part } from "./ask.js";
import { h } from "./dom.js";
import { ago, span } from "./time.js";

export const STATUSES = ["CRITICAL", "UNKNOWN", "WARNING", "OK"];
const LETTERS = { O: "OK", W: "WARNING", C: "CRITICAL", U: "UNKNOWN" };

// A shape of its own for each, so that nobody needs the colour.
const SHAPES = {
  OK: [h("circle", { cx: 8, cy: 8, r: 7 }), h("path", { class: "glyph", d: "M4.6 8.3 7 10.6l4.4-5" })],
  WARNING: [h("path", { d: "M8 .9 15.6 14.6H.4z" }), h("path", { class: "glyph", d: "M8 5.6v4M8 11.9v.4" })],
  CRITICAL: [
    h("path", { d: "M5 .8h6L15.2 5v6L11 15.2H5L.8 11V5z" }),
    h("path", { class: "glyph", d: "m5.2 5.2 5.6 5.6m0-5.6-5.6 5.6" }),
  ],
  UNKNOWN: [
    h("path", { d: "M8 .4 15.6 8 8 15.6.4 8z" }),
    h("path", { class: "glyph", d: "M6.2 6.3c.2-2.4 3.7-2.2 3.5 0-.1 1.3-1.7 1.4-1.7 2.8M8 11.5v.4" }),
  ],
};

export function icon(status) {
  const shape = SHAPES[status] ?? SHAPES.UNKNOWN;
  return h(
    "svg",
    {
      class: `icon ${lower(status)}`,
      viewBox: "0 0 16 16",
      width: 16,
      height: 16,
      "aria-hidden": "true",
      focusable: "false",
    },
    shape,
  );
}

export function lower(status) {
  return STATUSES.includes(status) ? status.toLowerCase() : "unknown";
}

export function badge(status) {
  return h("span", { class: `status ${lower(status)}` }, icon(status), h("span", {}, status ?? "UNKNOWN"));
}

export function link(name, props = {}) {
  return h("a", { href: `#/check/${part(name)}`, ...props }, name);
}

export function tag(kind, ...children) {
  return h("span", { class: `tag ${kind}` }, ...children);
}

const WORDS = {
  in_flight: "a repair under way",
  look_only: "looking only",
  no_target: "nothing to do",
  too_many: "too many targets",
};

export function holder(by) {
  return WORDS[by] ?? String(by).replaceAll("_", " ");
}

/** Everything that is so about a check beside its status. */
export function tags(row) {
  const found = [];
  if (row.attempt) {
    const [id, phase] = Array.isArray(row.attempt) ? row.attempt : [row.attempt.id, row.attempt.phase];
    found.push(
      phase === "proposed"
        ? tag("waits", "waits for approval")
        : tag("busy", `repair ${id}: ${String(phase).replaceAll("_", " ")}`),
    );
  } else if (row.held_by) {
    found.push(tag("held", `held by ${holder(row.held_by)}`, row.held_until ? [", ends ", ago(row.held_until)] : null));
  }
  if (row.behind && row.status !== "OK") found.push(tag("behind", "behind ", link(row.behind)));
  if (row.acknowledged) found.push(tag("calm", `acknowledged by ${row.acknowledged.by}`));
  if (row.silenced_until) found.push(tag("calm", "silenced, ends ", ago(row.silenced_until)));
  if (row.paused)
    found.push(
      tag(
        "held",
        "repairs paused",
        row.pause ? ` by ${row.pause.by}${row.pause.reason ? `: ${row.pause.reason}` : ""}` : "",
      ),
    );
  if (row.skipped) found.push(tag("calm", "outside its calendar"));
  return found;
}

const ENDS = {
  verified: ["good", "proven"],
  failed: ["bad", "did not help"],
  superseded: ["plain", "superseded by new rules"],
  interrupted: ["bad", "interrupted"],
  withheld: ["plain", "withheld"],
  denied: ["plain", "denied"],
  expired: ["plain", "expired"],
  withdrawn: ["plain", "no longer needed"],
  would: ["plain", "would be done"],
  undone: ["plain", "undone"],
};

export function ending(word) {
  const [tone, text] = ENDS[word] ?? ["busy", String(word ?? "under way").replaceAll("_", " ")];
  return h("span", { class: `ending ${tone}` }, text);
}

/** The last looks: a bar each, as high as it was bad; over them the value, where there is one. */
export function sparkline(row) {
  const looks = [...(row.recent ?? "")].slice(-40);
  if (looks.length === 0) return h("span", { class: "none" }, "–");
  const width = 3;
  const heights = { O: 4, W: 10, C: 16, U: 13, "-": 2 };
  const bars = looks.map((letter, index) =>
    h("rect", {
      class: lower(LETTERS[letter] ?? "none") + (letter === "-" ? " closed" : ""),
      x: (40 - looks.length + index) * width,
      y: 18 - (heights[letter] ?? 2),
      width: width - 0.8,
      height: heights[letter] ?? 2,
    }),
  );
  const bad = looks.filter((letter) => letter !== "O" && letter !== "-").length;
  const said =
    bad === 0 ? `the last ${looks.length} looks were OK` : `${bad} of the last ${looks.length} looks were not OK`;
  return h(
    "svg",
    { class: "spark", viewBox: `0 0 ${40 * width} 18`, width: 40 * width, height: 18, role: "img", "aria-label": said },
    bars,
    line(row.values ?? [], looks.length, width),
  );
}

/** The numbers of the looks, where they are not always the same. */
function line(values, looks, width) {
  const last = values.slice(-looks);
  const numbers = last.filter((value) => Number.isFinite(value));
  const [low, high] = [Math.min(...numbers), Math.max(...numbers)];
  if (numbers.length < 3 || low === high) return null;
  const points = last
    .map((value, index) => [(40 - last.length + index + 0.4) * width, 16 - ((value - low) / (high - low)) * 14, value])
    .filter(([, , value]) => Number.isFinite(value))
    .map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`);
  return h("polyline", { class: "values", points: points.join(" ") });
}

/** A unified difference, line by line. */
export function diff(text) {
  if (!text) return null;
  const lines = text
    .replace(/\n$/, "")
    .split("\n")
    .map((line) => {
      const kind =
        line.startsWith("+++") || line.startsWith("---")
          ? "head"
          : line.startsWith("@@")
            ? "hunk"
            : line.startsWith("+")
              ? "added"
              : line.startsWith("-")
                ? "removed"
                : "same";
      return h("span", { class: `line ${kind}` }, line, "\n");
    });
  return h("pre", { class: "diff", tabindex: 0, role: "group", "aria-label": "Difference" }, h("code", {}, lines));
}

const OUTCOMES = {
  done: ["good", "done"],
  failed: ["bad", "failed"],
  would: ["plain", "would"],
  undone: ["plain", "undone"],
};

/** What the steps of a repair did, or would do. */
export function steps(list) {
  if (!list || list.length === 0) return h("p", { class: "dim" }, "No step was taken.");
  return h(
    "ol",
    { class: "steps" },
    list.map((step) => {
      const [tone, word] = OUTCOMES[step.outcome] ?? ["plain", step.outcome];
      const detail = step.outcome === "would" ? step.detail?.replace(/^would /, "") : step.detail;
      return h(
        "li",
        {},
        h(
          "p",
          {},
          h("span", { class: `ending ${tone}` }, word),
          " ",
          h("strong", {}, step.kind),
          " ",
          h("code", {}, step.target),
          detail ? h("span", { class: "dim" }, `  ${detail}`) : null,
        ),
        diff(step.diff),
      );
    }),
  );
}

/** One repair, whole: what was wrong, what was done, what proved it. */
export function repair(attempt, { named = true, actions = null } = {}) {
  const open = attempt.took_s === null || attempt.took_s === undefined;
  return h(
    "article",
    { class: "repair", key: `repair ${attempt.id}` },
    h(
      "header",
      {},
      h(
        "h3",
        {},
        named && attempt.check ? [link(attempt.check), " "] : null,
        h("span", { class: "dim" }, `repair ${attempt.id}`),
      ),
      ending(attempt.undone ? "undone" : attempt.phase),
      attempt.trial ? tag("held", "a single trial") : null,
      attempt.approved_by ? tag("calm", `approved by ${attempt.approved_by}`) : null,
      attempt.at ? h("span", { class: "dim push" }, ago(attempt.at)) : null,
    ),
    h(
      "dl",
      { class: "proof" },
      h("dt", {}, "What was wrong"),
      h("dd", {}, badge(attempt.before?.status), " ", attempt.before?.message ?? "–"),
      h("dt", {}, "What was changed"),
      h("dd", {}, steps(attempt.steps)),
      h("dt", {}, "What proved it"),
      h("dd", {}, proof(attempt)),
      h("dt", {}, "Time to recovery"),
      h(
        "dd",
        { class: "number" },
        attempt.phase === "verified" ? span(attempt.recovery_s ?? attempt.took_s) : open ? "under way" : "–",
      ),
    ),
    actions ? h("footer", {}, actions) : null,
  );
}

function proof(attempt) {
  if (attempt.undone) return ["A person undid it ", ago(attempt.undone), "."];
  if (attempt.withheld) return `Nothing was done: held by ${holder(attempt.withheld)}.`;
  if (attempt.phase === "verified" && attempt.after)
    return [badge(attempt.after.status), " ", attempt.after.message, h("span", { class: "dim" }, " seen afterwards")];
  const nothing = attempt.took_s === null || attempt.took_s === undefined ? "Nothing yet" : "Nothing";
  return attempt.after ? [`${nothing}: `, badge(attempt.after.status), " ", attempt.after.message] : `${nothing}.`;
}

export function button(text, act, { kind = "", ...props } = {}) {
  return h("button", { type: "button", class: kind, on: { click: act }, ...props }, text);
}

export function panel(title, { id = undefined, note = null, actions = null, level = "h2" } = {}, ...children) {
  return h(
    "section",
    { class: "panel", key: id ?? title, "aria-labelledby": id ? `${id}-title` : undefined },
    h(
      "header",
      {},
      h(level, { id: id ? `${id}-title` : undefined }, title),
      note ? h("span", { class: "dim" }, note) : null,
      actions ? h("div", { class: "actions push" }, actions) : null,
    ),
    children,
  );
}

export function nothing(...text) {
  return h("p", { class: "nothing" }, ...text);
}

export function plural(count, word, many = `${word}s`) {
  return `${count} ${count === 1 ? word : many}`;
}

/** A number as it is, without needless digits; `–` for none. Zero is a number. */
export function figure(value) {
  if (value === null || value === undefined || value === "") return "–";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value !== "number") return typeof value === "object" ? JSON.stringify(value) : String(value);
  if (Number.isInteger(value)) return value.toLocaleString("en-GB").replaceAll(",", " ");
  return String(Number(value.toPrecision(5)));
}
