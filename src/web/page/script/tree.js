// JSON as a tree to open and close, and the explanation of a verdict as a tree of expressions with their values.

import { h } from "./dom.js";

const MOST = 200;

function leaf(value) {
  if (value !== null && typeof value === "object") return h("span", { class: "value" }, JSON.stringify(value));
  const kind = value === null ? "null" : typeof value;
  return h(
    "span",
    { class: `value ${kind}` },
    value === null ? "()" : typeof value === "string" ? JSON.stringify(value) : String(value),
  );
}

/** A value below its name. What is small stands on one line. */
export function json(name, value, open = false, depth = 0) {
  const label = h("span", { class: "name" }, name);
  if (value === null || typeof value !== "object") return h("li", { key: name }, label, " ", leaf(value));
  const entries = Array.isArray(value) ? value.map((one, index) => [String(index), one]) : Object.entries(value);
  if (entries.length === 0)
    return h("li", { key: name }, label, " ", h("span", { class: "value null" }, Array.isArray(value) ? "[]" : "{}"));
  const told = Array.isArray(value) ? `[${entries.length}]` : `{${entries.length}}`;
  return h(
    "li",
    { key: name },
    h(
      "details",
      { open: open || undefined },
      h("summary", {}, label, " ", h("span", { class: "dim" }, told)),
      h(
        "ul",
        {},
        entries.slice(0, MOST).map(([key, one]) => json(key, one, false, depth + 1)),
        entries.length > MOST ? h("li", { class: "dim" }, `${entries.length - MOST} more`) : null,
      ),
    ),
  );
}

export function tree(values, open = []) {
  const entries = Object.entries(values ?? {});
  if (entries.length === 0) return h("p", { class: "nothing" }, "Nothing was seen.");
  return h(
    "ul",
    { class: "tree" },
    entries.map(([name, value]) => json(name, value, open.includes(name))),
  );
}

/** The lines of a threshold, as `explain` gives them; the one that decided is marked. */
export function explanation(explained) {
  const lines = explained?.thresholds ?? [];
  const why = explained?.verdict?.why ?? null;
  const decided = why?.line ?? null;
  const told = new Set();
  const branches = lines.map((line) => branch(line, told, line.line === decided));
  if (why && !lines.some((line) => line.line === decided)) {
    branches.unshift(
      branch(
        {
          line: why.line,
          expression: why.expression,
          parts: Object.entries(why.saw ?? {}).map(([name, value]) => ({ name, value })),
        },
        told,
        true,
      ),
    );
  }
  const error = explained?.verdict?.error;
  return [
    error ? h("p", { class: "problem" }, error) : null,
    branches.length > 0
      ? h("ul", { class: "tree explain" }, branches)
      : h("p", { class: "nothing" }, "There is no look to explain."),
  ];
}

function branch(node, told, decided = false) {
  const value = "value" in node ? [h("span", { class: "dim" }, " = "), leaf(short(node.value))] : null;
  const head = [
    node.line ? h("span", { class: `line-name ${node.line}` }, node.line) : null,
    node.line ? " " : null,
    node.name ? h("span", { class: "name" }, node.name) : null,
    node.name && node.expression ? [value, " "] : null,
    node.expression ? h("code", { class: node.name ? "dim" : "" }, node.expression) : null,
    node.name && node.expression ? null : value,
    node.error ? h("span", { class: "problem" }, ` ${node.error}`) : null,
    decided ? h("span", { class: "tag decided" }, "decided") : null,
  ];
  const key = `${node.line ?? ""} ${node.name ?? node.expression ?? ""}`;
  if (!node.parts?.length) return h("li", { key, class: decided ? "decided" : "" }, head);
  // What was told above is there to open.
  const first = !node.name || !told.has(node.name);
  if (node.name) told.add(node.name);
  return h(
    "li",
    { key, class: decided ? "decided" : "" },
    h(
      "details",
      { open: first },
      h("summary", {}, head),
      h(
        "ul",
        {},
        node.parts.map((one) => branch(one, told)),
      ),
    ),
  );
}

function short(value) {
  if (value === null || typeof value !== "object") return value;
  if (JSON.stringify(value).length <= 90) return value;
  return Array.isArray(value) ? value.slice(0, 3).concat("…") : { "…": Object.keys(value).length };
}
