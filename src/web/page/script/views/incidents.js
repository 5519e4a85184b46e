// Incidents by their root cause, who was told of them, and how the notices got on.

import { acknowledge } from "../actions.js";
import { maybe, post } from "../ask.js";
import { attempt } from "../dialogs.js";
import { h } from "../dom.js";
import { badge, button, link, nothing, panel, plural, tag } from "../parts.js";
import { ago, seconds, span } from "../time.js";

const STATES = {
  due: "told if it lasts,",
  sent: "told",
  waiting: "on its way, tried",
  failed: "could not be told",
  muted: "not told",
};

export function open(ctx) {
  let incidents = null;
  let notices = null;
  let all = false;

  const incident = (one) =>
    h(
      "article",
      { class: `incident${one.closed ? " closed" : ""}`, key: one.id },
      h(
        "header",
        {},
        badge(one.status),
        h("h2", {}, one.check ? link(one.check) : "a storm", " ", h("span", { class: "dim" }, `incident ${one.id}`)),
        one.closed
          ? tag("calm", "over")
          : one.acknowledged
            ? tag("calm", `acknowledged by ${one.acknowledged.by}`)
            : tag("waits", "nobody has taken it"),
        one.escalated ? tag("held", "escalated") : null,
        h(
          "span",
          { class: "dim push" },
          "opened ",
          ago(one.opened),
          one.closed ? `, lasted ${span(seconds(one.closed) - seconds(one.opened))}` : "",
        ),
      ),
      h("p", { class: "message" }, one.message),
      one.why ? h("p", {}, h("span", { class: "dim" }, "The engine says: "), one.why) : null,
      one.repair ? h("p", {}, h("span", { class: "dim" }, "Repair: "), one.repair) : null,
      one.into ? h("p", { class: "dim" }, `It went into incident ${one.into}.`) : null,
      one.checks?.length > 1
        ? h(
            "p",
            { class: "dim" },
            "Belonging to it: ",
            one.checks.filter((name) => name !== one.check).map((name, index) => [index ? ", " : null, link(name)]),
          )
        : null,
      one.acknowledged?.reason ? h("p", {}, `${one.acknowledged.by}: ${one.acknowledged.reason}`) : null,
      one.told?.length
        ? h(
            "p",
            { class: "tags" },
            one.told.map((told) =>
              tag(
                told.state === "failed" ? "held" : "calm",
                `${told.notifier}: ${STATES[told.state] ?? told.state}`,
                told.why ? ` (${told.why})` : "",
                " ",
                ago(told.at),
              ),
            ),
          )
        : h("p", { class: "dim" }, "Nobody was told."),
      one.closed || one.acknowledged
        ? null
        : h(
            "footer",
            { class: "actions" },
            button("Acknowledge…", () => acknowledge({ incident: one.id }).then(ctx.reload), { class: "main" }),
          ),
    );

  const notifiers = () =>
    h(
      "div",
      { class: "scroll", tabindex: 0, role: "group", "aria-label": "Notifiers" },
      h(
        "table",
        {},
        h("caption", { class: "unseen" }, "Notifiers and their queues"),
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            ["Notifier", "Channels", "Waiting", "Sent", "Failed", "Muted", "Next", "Last error", "Test"].map(
              (title, index) => h("th", { scope: "col", class: index > 1 && index < 6 ? "number" : "" }, title),
            ),
          ),
        ),
        h(
          "tbody",
          {},
          notices.notifiers.map((one) =>
            h(
              "tr",
              { key: one.name },
              h("th", { scope: "row" }, one.name, one.quiet ? [" ", tag("calm", "quiet hours")] : null),
              h("td", {}, (one.channels ?? []).join(", ")),
              [one.waiting, one.sent, one.failed, one.muted].map((count) => h("td", { class: "number" }, count ?? "–")),
              h("td", {}, ago(one.next)),
              h(
                "td",
                {},
                one.last_error ?? h("span", { class: "none" }, "–"),
                one.dropped ? h("span", { class: "problem" }, ` ${plural(one.dropped, "notice")} dropped`) : null,
              ),
              h(
                "td",
                {},
                button("Send a test", () => attempt(() => post("/api/notify/test", { notifier: one.name }), tested), {
                  "aria-label": `Send a test: to ${one.name}`,
                }),
              ),
            ),
          ),
        ),
      ),
    );

  const tested = (answer) =>
    answer.channels
      .map((channel) => `${channel.channel} ${channel.whom}: ${channel.arrived ? "arrived" : "did not arrive"}`)
      .join("; ") || "It has no channel.";

  const recent = () =>
    h(
      "div",
      { class: "scroll", tabindex: 0, role: "group", "aria-label": "Notices" },
      h(
        "table",
        {},
        h("caption", { class: "unseen" }, "Notices, newest first"),
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            ["When", "To", "Notice", "State", "Tries", "Why"].map((title) =>
              h("th", { scope: "col", class: title === "Tries" ? "number" : "" }, title),
            ),
          ),
        ),
        h(
          "tbody",
          {},
          notices.recent.map((one) =>
            h(
              "tr",
              { key: one.id },
              h("td", {}, ago(one.at)),
              h("td", {}, one.notifier, one.channel ? h("span", { class: "dim" }, ` ${one.channel}`) : null),
              h(
                "td",
                {},
                one.title ?? one.kind,
                h("span", { class: "dim" }, one.incident ? ` ${one.kind}, incident ${one.incident}` : ` ${one.kind}`),
              ),
              h(
                "td",
                {},
                h(
                  "span",
                  { class: `ending ${one.state === "failed" ? "bad" : one.state === "sent" ? "good" : "plain"}` },
                  one.state,
                ),
                one.next ? [" ", ago(one.next)] : null,
              ),
              h("td", { class: "number" }, one.tries ?? 0),
              h("td", {}, one.why ?? h("span", { class: "none" }, "–")),
            ),
          ),
        ),
      ),
    );

  return {
    title: "Incidents",
    wants: (kind) => (["incident", "changed", "reloaded", "hello"].includes(kind) ? 300 : null),
    // Nobody tells when a notice has arrived.
    beat: () => (notices?.recent.some((one) => one.state === "waiting") ? 0 : null),
    async load(signal) {
      [incidents, notices] = await Promise.all([
        maybe("/api/incidents", { open: all ? undefined : true, limit: 100 }, signal),
        maybe("/api/notices", {}, signal),
      ]);
    },
    render: () => [
      h(
        "div",
        { class: "heading" },
        h("h1", {}, "Incidents"),
        h(
          "div",
          { class: "choices push", role: "group", "aria-label": "Incidents shown" },
          [
            [false, "Open"],
            [true, "All"],
          ].map(([value, text]) =>
            h(
              "button",
              {
                type: "button",
                class: "choice",
                "aria-pressed": String(all === value),
                on: {
                  click: () => {
                    all = value;
                    ctx.reload();
                  },
                },
              },
              text,
            ),
          ),
        ),
      ),
      incidents === null
        ? nothing("This engine keeps no incidents.")
        : incidents.length === 0
          ? nothing(all ? "There was no incident." : "No incident is open.")
          : incidents.map(incident),
      notices?.notifiers?.length
        ? panel("Notifiers", { id: "notifiers", note: plural(notices.notifiers.length, "notifier") }, notifiers())
        : null,
      notices?.recent?.length ? panel("Notices", { id: "notices" }, recent()) : null,
    ],
  };
}
