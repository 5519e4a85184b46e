// Recent repairs and root-cause sessions: what was wrong, what was changed, what proved it, how long it took.

import { investigate, undo } from "../actions.js";
import { get, maybe, part } from "../ask.js";
import { h } from "../dom.js";
import { badge, button, nothing, panel, plural, repair } from "../parts.js";
import { ago, seconds, span } from "../time.js";

export function open(ctx) {
  let sessions = [];
  let records = [];
  let repairs = [];
  let limit = 20;

  const record = ({ name, record }, index) =>
    h(
      "article",
      { class: "session", key: `${name} ${record.session ?? record.timestamp ?? index}` },
      h(
        "header",
        {},
        h("h3", {}, name),
        badge(record.overall_status ?? "UNKNOWN"),
        h("span", { class: "dim" }, "before repairs"),
        h("span", { class: "dim push" }, ago(seconds(record.timestamp))),
      ),
      h(
        "p",
        {},
        "Started by ",
        h("strong", {}, String(record.trigger ?? "–").replaceAll("_", " ")),
        record.cause ? [" · probable cause ", h("strong", {}, record.cause)] : null,
        record.duration_ms ? h("span", { class: "dim" }, ` · took ${span(record.duration_ms / 1000)}`) : null,
      ),
      h(
        "div",
        { class: "scroll", tabindex: 0, role: "group", "aria-label": `Checks of ${name}` },
        h(
          "table",
          {},
          h("caption", { class: "unseen" }, `What the session ${name} saw`),
          h(
            "thead",
            {},
            h(
              "tr",
              {},
              ["Status", "Check", "Message", "Repair", "Proven"].map((title) => h("th", { scope: "col" }, title)),
            ),
          ),
          h(
            "tbody",
            {},
            (record.checks ?? []).map((check) =>
              h(
                "tr",
                { key: check.check_name },
                h("td", {}, badge(check.status)),
                h("th", { scope: "row" }, check.check_name),
                h("td", {}, check.message),
                h("td", {}, check.fix_applied ?? h("span", { class: "none" }, "–")),
                h(
                  "td",
                  {},
                  check.fix_applied
                    ? h(
                        "span",
                        { class: `ending ${check.fix_success ? "good" : "bad"}` },
                        check.fix_success ? "proven" : "not proven",
                      )
                    : h("span", { class: "none" }, "–"),
                ),
              ),
            ),
          ),
        ),
      ),
      record.fixes_applied?.length ? h("p", { class: "dim" }, `Changed: ${record.fixes_applied.join("; ")}`) : null,
    );

  return {
    title: "Recent RCA fixes",
    wants: (kind) => (["acted", "ended", "investigated", "reloaded", "note"].includes(kind) ? 300 : null),
    async load(signal) {
      const [known, mended] = await Promise.all([
        maybe("/api/investigations", {}, signal),
        get("/api/repairs", { limit }, signal),
      ]);
      sessions = known ?? [];
      repairs = mended;
      const lists = await Promise.all(
        sessions.map((one) => maybe(`/api/investigations/${part(one.name)}/records`, { limit: 10 }, signal)),
      );
      records = lists
        .flatMap((list, index) => (list ?? []).map((record) => ({ name: sessions[index].name, record })))
        .sort((one, other) => (seconds(other.record.timestamp) ?? 0) - (seconds(one.record.timestamp) ?? 0))
        .slice(0, 20);
    },
    render: () => [
      h("h1", {}, "Recent RCA fixes"),
      panel(
        "Repairs",
        { id: "repairs", note: repairs.length ? "newest first" : null },
        repairs.length === 0
          ? nothing("Nothing was repaired yet.")
          : repairs.map((one) =>
              repair(one, { actions: one.undoable ? button("Undo…", () => undo(one).then(ctx.reload)) : null }),
            ),
        repairs.length >= limit && limit < 100
          ? button("More", () => {
              limit = Math.min(100, limit + 20);
              ctx.reload();
            })
          : null,
      ),
      panel(
        "Root-cause sessions",
        { id: "sessions", note: sessions.length ? plural(sessions.length, "investigation") : null },
        sessions.length === 0
          ? nothing("The rules have no investigations.")
          : h(
              "ul",
              { class: "plain" },
              sessions.map((one) =>
                h(
                  "li",
                  { class: "offer", key: one.name },
                  h(
                    "div",
                    {},
                    h("strong", {}, one.name),
                    one.about ? h("span", { class: "dim" }, ` ${one.about}`) : null,
                  ),
                  button("Investigate now", () => investigate(one.name).then(ctx.reload)),
                ),
              ),
            ),
        sessions.length > 0 && records.length === 0 ? nothing("No session was held yet.") : records.map(record),
      ),
    ],
  };
}
