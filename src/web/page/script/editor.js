// A text to edit with numbered lines and marks where the engine complains. Tab leaves it, as everywhere: it traps nobody.

import { h } from "./dom.js";

const LINE = 20;

/** `edited(text)` at every change; `save()` at Ctrl+S. */
export function editor({ text, complaints, edited, save }) {
  const lines = text.split("\n").length;
  const worst = new Map();
  for (const one of complaints) if (worst.get(one.line) !== "error") worst.set(one.line, one.severity);
  return h(
    "div",
    { class: "editor", css: { "--lines": String(lines) } },
    h(
      "div",
      { class: "gutter", "aria-hidden": "true" },
      Array.from({ length: lines }, (_, index) => h("span", { class: worst.get(index + 1) ?? "" }, String(index + 1))),
    ),
    h(
      "div",
      { class: "paper" },
      [...worst].map(([line, severity]) =>
        h("span", { key: `mark ${line}`, class: `mark ${severity}`, css: { top: `${(line - 1) * LINE}px` } }),
      ),
      complaints.map((one, index) =>
        h("span", {
          key: `caret ${index}`,
          class: `caret ${one.severity}`,
          css: { top: `${one.line * LINE - 3}px`, left: `${Math.max(0, one.column - 1)}ch` },
        }),
      ),
      h("textarea", {
        id: "editor",
        "aria-label": "The text of the file",
        spellcheck: "false",
        autocomplete: "off",
        autocapitalize: "off",
        wrap: "off",
        value: text,
        opaque: true,
        css: { height: `${lines * LINE + 24}px` },
        on: {
          input: (event) => edited(event.target.value),
          keydown: (event) => {
            if (event.key === "s" && (event.ctrlKey || event.metaKey)) {
              event.preventDefault();
              save();
            } else if (event.key === "Enter" && !event.isComposing) indent(event);
          },
        },
      }),
    ),
  );
}

/** A new line begins where the last one did. */
function indent(event) {
  const area = event.target;
  const before = area.value.slice(0, area.selectionStart);
  const line = before.slice(before.lastIndexOf("\n") + 1);
  const space = /^ *(- )?/.exec(line)[0].replace("-", " ");
  if (space === "") return;
  event.preventDefault();
  // The one way of writing into it that can be undone by keys.
  document.execCommand("insertText", false, `\n${space}`);
}
