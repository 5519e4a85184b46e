// The ledger: which repairs work. A dry run or a held repair is never counted as a success.

import { get } from "../ask.js";
import { h } from "../dom.js";
import { link, nothing } from "../parts.js";
import { ago, span } from "../time.js";

const share = (line) => {
  const ended = line.attempts - line.open;
  return ended > 0 ? line.verified / ended : null;
};

const COLUMNS = [
  { key: "check", title: "Check", of: (line) => line.check },
  { key: "kind", title: "Step", of: (line) => line.kind ?? "" },
  { key: "share", title: "Proven", of: (line) => share(line) ?? -1 },
  { key: "attempts", title: "Tries", of: (line) => line.attempts, number: true },
  { key: "failed", title: "Did not help", of: (line) => line.failed, number: true },
  { key: "held", title: "Held", of: (line) => line.held, number: true },
  { key: "recovery", title: "Mean recovery", of: (line) => line.recovery_s ?? Infinity, number: true },
  { key: "again", title: "Back in 1 h / 24 h", of: (line) => line.recurred_24h, number: true },
  { key: "last", title: "Last", of: (line) => line.last ?? 0, number: true },
];

export function open(ctx) {
  let lines = [];
  let by = "attempts";
  let down = true;
  let kinds = true;

  const sorted = () => {
    const { of } = COLUMNS.find((column) => column.key === by);
    const compare = (one, other) =>
      (of(one) < of(other) ? -1 : of(one) > of(other) ? 1 : 0) || (one.check < other.check ? -1 : 1);
    return lines
      .filter((line) => (line.kind !== null) === kinds)
      .sort((one, other) => (down ? -compare(one, other) : compare(one, other)));
  };

  const heading = (column) =>
    h(
      "th",
      {
        scope: "col",
        class: column.number ? "number" : "",
        "aria-sort": by === column.key ? (down ? "descending" : "ascending") : "none",
      },
      h(
        "button",
        {
          type: "button",
          class: "sort",
          on: {
            click: () => {
              down = by === column.key ? !down : column.key !== "check";
              by = column.key;
              ctx.redraw();
            },
          },
        },
        column.title,
        h("span", { "aria-hidden": "true" }, by === column.key ? (down ? " ↓" : " ↑") : ""),
      ),
    );

  const bar = (line) => {
    const part = share(line);
    if (part === null) return h("span", { class: "none" }, "–");
    const width = 88;
    const said = `${line.verified} of ${line.attempts - line.open}`;
    return h(
      "span",
      { class: "bar" },
      h(
        "svg",
        { viewBox: `0 0 ${width} 10`, width, height: 10, "aria-hidden": "true" },
        h("rect", { class: "track", width, height: 10, rx: 2 }),
        h("rect", { class: "done", width: width * part, height: 10, rx: 2 }),
      ),
      h("span", { class: "number" }, `${Math.round(part * 100)} %`),
      h("span", { class: "dim number" }, said),
    );
  };

  return {
    title: "Ledger",
    wants: (kind) => (["acted", "ended", "held"].includes(kind) ? 500 : null),
    load: async (signal) => {
      lines = await get("/api/ledger", {}, signal);
    },
    render: () => [
      h(
        "div",
        { class: "heading" },
        h("h1", {}, "Ledger"),
        h(
          "div",
          { class: "choices push", role: "group", "aria-label": "Counted by" },
          [
            [true, "By step"],
            [false, "By check"],
          ].map(([value, text]) =>
            h(
              "button",
              {
                type: "button",
                class: "choice",
                "aria-pressed": String(kinds === value),
                on: {
                  click: () => {
                    kinds = value;
                    ctx.redraw();
                  },
                },
              },
              text,
            ),
          ),
        ),
      ),
      h("p", { class: "dim" }, "Which repairs work: a repair counts only when looking again proved it."),
      lines.length === 0
        ? nothing("Nothing was repaired or held yet.")
        : h(
            "div",
            { class: "scroll", tabindex: 0, role: "group", "aria-label": "Ledger" },
            h(
              "table",
              { class: "ledger" },
              h("caption", { class: "unseen" }, "Repairs and how they ended; the headings sort"),
              h("thead", {}, h("tr", {}, COLUMNS.filter((column) => kinds || column.key !== "kind").map(heading))),
              h(
                "tbody",
                {},
                sorted().map((line) =>
                  h(
                    "tr",
                    { key: `${line.check} ${line.kind}` },
                    h("th", { scope: "row" }, link(line.check)),
                    kinds ? h("td", {}, line.kind) : null,
                    h("td", {}, bar(line)),
                    h(
                      "td",
                      { class: "number" },
                      line.attempts,
                      line.open ? h("span", { class: "dim" }, ` (${line.open} open)`) : null,
                    ),
                    h("td", { class: "number" }, line.failed),
                    h("td", { class: "number" }, line.held),
                    h("td", { class: "number" }, line.recovery_s === null ? "–" : span(line.recovery_s)),
                    h("td", { class: "number" }, `${line.recurred_1h} / ${line.recurred_24h}`),
                    h("td", { class: "number" }, ago(line.last)),
                  ),
                ),
              ),
            ),
          ),
    ],
  };
}
