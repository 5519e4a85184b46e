// The rule set that runs: its files, its generation, and the complaints of one that was refused.

import { get, part, post } from "../ask.js";
import { attempt } from "../dialogs.js";
import { h } from "../dom.js";
import { button, link, nothing, panel, plural } from "../parts.js";

export function open(ctx) {
  let rules = null;

  const refused = () =>
    rules.complaints.length === 0
      ? null
      : h(
          "section",
          { class: "panel refused", "aria-labelledby": "refused" },
          h(
            "header",
            {},
            h("h2", { id: "refused" }, rules.live ? "Complaints" : "The rules on disk are refused"),
            h("span", { class: "dim" }, rules.live ? "" : `generation ${rules.generation} keeps running`),
          ),
          rules.complaints_text
            ? h(
                "pre",
                { class: "complaints", tabindex: 0, role: "group", "aria-label": "Complaints" },
                rules.complaints_text,
              )
            : h(
                "ul",
                {},
                rules.complaints.map((one) => h("li", {}, `${one.file}:${one.line}:${one.column} ${one.message}`)),
              ),
        );

  const files = () =>
    h(
      "div",
      { class: "scroll", tabindex: 0, role: "group", "aria-label": "Files" },
      h(
        "table",
        {},
        h("caption", { class: "unseen" }, "The files of the rule set"),
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            h("th", { scope: "col" }, "File"),
            h("th", { scope: "col" }, "Checks"),
            h("th", { scope: "col", class: "number" }, "Bytes"),
          ),
        ),
        h(
          "tbody",
          {},
          rules.files.map((file) =>
            h(
              "tr",
              { key: file.path },
              h(
                "th",
                { scope: "row" },
                file.kind === "default"
                  ? file.path
                  : h("a", { href: `#/rules/edit?path=${part(file.path)}` }, file.path),
                file.kind === "rules" ? null : h("span", { class: "dim" }, ` ${file.kind}`),
              ),
              h(
                "td",
                {},
                (file.checks ?? []).slice(0, 12).map((name, index) => [index ? ", " : null, link(name)]),
                (file.checks?.length ?? 0) > 12
                  ? h("span", { class: "dim" }, ` and ${file.checks.length - 12} more`)
                  : null,
              ),
              h("td", { class: "number" }, file.bytes ?? "–"),
            ),
          ),
        ),
      ),
    );

  return {
    title: "Rules",
    wants: (kind) => (["reloaded", "refused"].includes(kind) ? 200 : null),
    load: async (signal) => {
      rules = await get("/api/rules", {}, signal);
    },
    render: () => [
      h(
        "div",
        { class: "heading" },
        h("h1", {}, "Rules"),
        h(
          "div",
          { class: "actions push" },
          button("Reload", () =>
            attempt(
              () => post("/api/reload"),
              (answer) =>
                answer.live
                  ? `Live: ${answer.changes}, generation ${answer.generation}.`
                  : "Refused: the last good rules keep running.",
            ).then(ctx.reload),
          ),
          h("a", { class: "button main", href: "#/rules/edit" }, "New rule"),
        ),
      ),
      h(
        "p",
        { class: "dim" },
        rules.live ? "What is on disk is what runs" : "An older generation runs",
        ` · generation `,
        h("code", {}, rules.generation),
        " · ",
        plural(rules.files.length, "file"),
        " in ",
        h("code", {}, rules.directory),
      ),
      refused(),
      panel("Files", { id: "files" }, rules.files.length === 0 ? nothing("There are no rules yet.") : files()),
    ],
  };
}
