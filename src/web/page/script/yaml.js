// A piece of a rule file to read: line numbers, comments and keys apart, and the very place that decided marked.

import { h } from "./dom.js";

/** `first` is the number of the first line; `deciding` is `{ line, column, end_column }`, columns from 1. */
export function code(text, { first = 1, deciding = null } = {}) {
  const lines = text.replace(/\n$/, "").split("\n");
  return h(
    "pre",
    { class: "source", tabindex: 0, role: "group", "aria-label": "The rule as it stands in its file" },
    h(
      "code",
      {},
      lines.map((line, index) => {
        const number = first + index;
        const here = deciding?.line === number;
        return h(
          "span",
          { class: here ? "line decides" : "line" },
          h("span", { class: "at", "aria-hidden": "true" }, String(number)),
          h("span", { class: "said" }, here ? marked(line, deciding) : coloured(line)),
          here ? h("span", { class: "tag decided" }, "decided") : null,
          "\n",
        );
      }),
    ),
  );
}

function marked(line, { column, end_column: end }) {
  const letters = [...line];
  if (!column || !end || end <= column) return h("mark", {}, line);
  return [
    letters.slice(0, column - 1).join(""),
    h("mark", {}, letters.slice(column - 1, end - 1).join("")),
    letters.slice(end - 1).join(""),
  ];
}

function coloured(line) {
  const comment = /^(\s*)(#.*)$/.exec(line);
  if (comment) return [comment[1], h("span", { class: "comment" }, comment[2])];
  const key = /^(\s*(?:- )?)([\w.-]+)(:)(\s.*|)$/.exec(line);
  if (!key) return line;
  return [key[1], h("span", { class: "key" }, key[2]), key[3], key[4]];
}
