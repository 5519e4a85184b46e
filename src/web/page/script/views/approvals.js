// What waits for a person, and what a person has hushed: proposals, silences, pauses.

import { approve, deny, pause, resume, silence, unsilence } from "../actions.js";
import { get } from "../ask.js";
import { h } from "../dom.js";
import { badge, button, link, nothing, panel, steps } from "../parts.js";
import { ago } from "../time.js";

export function open(ctx) {
  let proposals = [];
  let silences = [];
  let overview = null;
  const again = (promise) => promise.then(() => ctx.reload());

  const proposal = (one) =>
    h(
      "article",
      { class: "repair proposal", key: `proposal ${one.attempt}` },
      h(
        "header",
        {},
        h("h3", {}, link(one.check), " ", h("span", { class: "dim" }, `repair ${one.attempt}, rung ${one.rung + 1}`)),
        h("span", { class: "dim push" }, "waits for ", ago(one.since, "since"), ", expires ", ago(one.until)),
      ),
      h("p", {}, badge(one.before.status), " ", one.before.message),
      steps(one.steps),
      h(
        "footer",
        { class: "actions" },
        one.approved_by
          ? h("span", { class: "dim" }, `approved by ${one.approved_by}; a guard still holds it`)
          : button("Approve…", () => again(approve(one)), { class: "main" }),
        button("Deny…", () => again(deny(one))),
      ),
    );

  const hushed = () =>
    h(
      "div",
      { class: "scroll", tabindex: 0, role: "group", "aria-label": "Silences" },
      h(
        "table",
        {},
        h("caption", { class: "unseen" }, "Silences that have not ended"),
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            ["Checks", "Reason", "By", "Began", "Ends", "End it"].map((title) => h("th", { scope: "col" }, title)),
          ),
        ),
        h(
          "tbody",
          {},
          silences.map((one) =>
            h(
              "tr",
              { key: one.id },
              h(
                "th",
                { scope: "row" },
                one.checks.length ? one.checks.map((name, index) => [index ? ", " : null, link(name)]) : "every check",
              ),
              h("td", {}, one.reason || h("span", { class: "none" }, "–")),
              h("td", {}, one.by),
              h("td", {}, ago(one.at)),
              h("td", {}, ago(one.until)),
              h(
                "td",
                {},
                button("End it", () => again(unsilence(one.id)), { "aria-label": `End it: silence ${one.id}` }),
              ),
            ),
          ),
        ),
      ),
    );

  const paused = () => {
    const all = overview?.paused;
    const single = (overview?.checks ?? []).filter((row) => row.paused);
    return [
      all
        ? h(
            "p",
            { class: "offer" },
            h(
              "span",
              {},
              `All repairs are paused by ${all.by}`,
              all.reason ? `: ${all.reason}` : "",
              " · since ",
              ago(all.at),
              all.until ? [", ends ", ago(all.until)] : ", until somebody resumes",
            ),
            button("Resume", () => again(resume()), { class: "main" }),
          )
        : null,
      single.map((row) =>
        h(
          "p",
          { class: "offer", key: row.name },
          h(
            "span",
            {},
            "Repairs of ",
            link(row.name),
            " are paused",
            row.pause ? ` by ${row.pause.by}${row.pause.reason ? `: ${row.pause.reason}` : ""}` : "",
            row.pause?.until ? [", ends ", ago(row.pause.until)] : "",
          ),
          button("Resume", () => again(resume([row.name])), { "aria-label": `Resume repairs of ${row.name}` }),
        ),
      ),
      !all && single.length === 0 ? nothing("Repairs are allowed.") : null,
    ];
  };

  return {
    title: "Approvals and silences",
    wants: (kind) =>
      ["acted", "ended", "silenced", "unsilenced", "paused", "note", "changed", "reloaded"].includes(kind) ? 250 : null,
    async load(signal) {
      [proposals, silences, overview] = await Promise.all([
        get("/api/approvals", {}, signal),
        get("/api/silences", {}, signal),
        get("/api/overview", { limit: 1000 }, signal),
      ]);
      ctx.shell.glance(overview);
    },
    render: () => [
      h("h1", {}, "Approvals and silences"),
      panel(
        "Waiting for approval",
        { id: "approvals" },
        proposals.length === 0 ? nothing("Nothing waits for approval.") : proposals.map(proposal),
      ),
      panel(
        "Silences",
        { id: "silences", actions: button("Silence every check…", () => again(silence())) },
        silences.length === 0 ? nothing("Nothing is silenced.") : hushed(),
      ),
      panel(
        "Repairs",
        {
          id: "paused",
          actions: overview?.paused ? null : button("Pause all repairs…", () => again(pause()), { class: "danger" }),
        },
        paused(),
      ),
    ],
  };
}
