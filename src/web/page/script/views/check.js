// One check: how it stands and why, what was tried, what holds it, and what a person may do about it.

import {
  acknowledge,
  approve,
  confirm,
  deny,
  dryRun,
  forget,
  pause,
  resume,
  run,
  silence,
  undo,
  unsilence,
} from "../actions.js";
import { get, part } from "../ask.js";
import { plot, room, timeline, WINDOWS } from "../charts.js";
import { attempt } from "../dialogs.js";
import { h } from "../dom.js";
import { badge, button, ending, figure, holder, link, nothing, panel, plural, repair, steps, tags } from "../parts.js";
import { ago, exact, now, seconds } from "../time.js";
import { explanation, tree } from "../tree.js";
import { code } from "../yaml.js";

// So many repairs stand open.
const SHOWN = 3;

export function open(ctx) {
  const name = ctx.parts[0];
  const path = `/api/checks/${part(name)}`;
  let check = null;
  let history = [];
  let looks = { looks: [], truncated: false };
  let repairs = [];
  let span = null;
  let value = null;
  let then = null;

  const again = (promise) => promise.then(() => ctx.reload());
  const length = () => WINDOWS.find(([key]) => key === span)[2];

  const head = () => {
    const { row, explain } = check;
    const proposal = check.proposals?.[0];
    const paused = row.paused || check.pause;
    return h(
      "header",
      { class: `subject ${row.status.toLowerCase()}` },
      h(
        "div",
        { class: "title" },
        badge(row.status),
        h("h1", {}, name),
        h("span", { class: "dim" }, "for ", ago(row.since, "since")),
      ),
      check.about ? h("p", { class: "dim" }, check.about) : null,
      h("p", { class: "message" }, row.message),
      h("p", { class: "tags" }, tags(row)),
      h(
        "div",
        { class: "actions" },
        proposal
          ? [
              button("Approve…", () => again(approve(proposal)), { class: "main" }),
              button("Deny…", () => again(deny(proposal))),
            ]
          : null,
        button("Run now", () => again(run(name))),
        button("Dry run", () => dryRun(name)),
        row.status === "OK" || row.acknowledged
          ? null
          : button("Acknowledge…", () => again(acknowledge({ check: name }))),
        button("Silence…", () => again(silence(name))),
        paused
          ? button("Resume its repairs", () => again(resume([name])))
          : explain?.remediation
            ? button("Pause its repairs…", () => again(pause([name])))
            : null,
        baseline(),
      ),
    );
  };

  const baseline = () => {
    const present = check.explain?.verdict?.baseline;
    const confirmed = check.baseline ?? check.explain?.baseline;
    return [
      present !== undefined && present !== null
        ? button("Confirm as meant…", () => again(confirm(name, present)))
        : null,
      confirmed ? button("Forget what was confirmed", () => again(forget(name))) : null,
    ];
  };

  const facts = () => {
    const { row, explain, trigger } = check;
    const told = explain?.remediation;
    const confirmed = check.baseline ?? explain?.baseline;
    const why = explain?.verdict?.why;
    return h(
      "dl",
      { class: "brief" },
      h("dt", {}, "Why"),
      h("dd", {}, why ? because(why) : (explain?.verdict?.error ?? "nothing was bad")),
      h("dt", {}, "Repairs"),
      h("dd", {}, holding(told, row)),
      row.looked
        ? [
            h("dt", {}, "Last look"),
            h("dd", {}, ago(row.looked), h("span", { class: "dim" }, ` · ${plural(row.looks ?? 0, "look")}`)),
          ]
        : null,
      h("dt", {}, "Next look"),
      h("dd", {}, when(trigger)),
      check.needs?.length ? [h("dt", {}, "Needs"), h("dd", {}, list(check.needs))] : null,
      check.needed_by?.length ? [h("dt", {}, "Needed by"), h("dd", {}, list(check.needed_by))] : null,
      confirmed
        ? [
            h("dt", {}, "Confirmed"),
            h(
              "dd",
              {},
              h("code", {}, JSON.stringify(confirmed.value)),
              ` by ${confirmed.by} `,
              ago(confirmed.at),
              confirmed.reason ? `: ${confirmed.reason}` : "",
            ),
          ]
        : null,
      (check.silences ?? []).map((one) => [
        h("dt", {}, "Silenced"),
        h(
          "dd",
          {},
          `by ${one.by}: ${one.reason || "no reason"}, ends `,
          ago(one.until),
          " ",
          button("End it", () => again(unsilence(one.id)), { class: "quiet" }),
        ),
      ]),
    );
  };

  /** The line that decided, with what it saw. */
  const because = (why) => {
    const line = check.explain.thresholds?.find((one) => one.line === why.line);
    const saw = Object.entries(why.saw ?? {})
      .filter(([, value]) => value === null || typeof value !== "object")
      .slice(0, 6);
    return [
      h("span", { class: `line-name ${why.line}` }, why.line),
      " ",
      h("code", {}, line?.expression ?? why.expression),
      saw.length
        ? h(
            "span",
            { class: "dim" },
            ` · ${saw.map(([name, value]) => `${name} ${value === null ? "()" : typeof value === "number" ? figure(value) : value}`).join(", ")}`,
          )
        : null,
    ];
  };

  const list = (names) => names.map((one, index) => [index ? ", " : null, link(one)]);

  const when = (trigger) => {
    return [
      trigger.next !== null ? ago(trigger.next) : "when something happens",
      h("span", { class: "dim" }, ` · ${trigger.text}`),
    ];
  };

  const holding = (told, row) => {
    if (!told) return "none: people are told, nothing is changed";
    const { budget, guard } = told;
    const spent = guard ? (budget?.begun?.length ?? 0) : null;
    const limit = guard?.limit;
    return [
      row.attempt
        ? `repair ${row.attempt[0]} is ${String(row.attempt[1]).replaceAll("_", " ")}`
        : told.held_by
          ? [
              `held by ${holder(told.held_by)}`,
              told.until ? [", ends ", ago(told.until)] : null,
              told.why ? `: ${told.why}` : null,
            ]
          : "may start when they are needed",
      limit !== undefined && limit !== null ? h("span", { class: "dim" }, ` · ${spent} of ${limit} spent`) : null,
      budget?.quarantined ? h("span", { class: "problem" }, " · quarantined since ", ago(budget.quarantined)) : null,
      told.ladder?.length
        ? h("span", { class: "dim" }, ` · ladder: ${told.ladder.map((rung) => rung.join(" + ")).join(", then ")}`)
        : null,
    ];
  };

  const time = () => {
    const to = now();
    const from = to - length();
    const width = room();
    const choice = h(
      "div",
      { class: "choices", role: "group", "aria-label": "Time shown" },
      WINDOWS.map(([key, text]) =>
        h(
          "button",
          {
            type: "button",
            class: "choice",
            "aria-pressed": String(span === key),
            on: {
              click: () => {
                span = key;
                ctx.reload();
              },
            },
          },
          text,
        ),
      ),
    );
    const plots = check.plots ?? [];
    const chosen = plots.find((one) => one.name === value) ?? plots[0];
    return panel(
      "Over time",
      { id: "time", actions: choice },
      timeline(history, check.row, { from, to, width, first: first(from) }),
      chosen
        ? [
            plots.length > 1
              ? h(
                  "p",
                  { class: "field inline" },
                  h("label", { for: "plotted" }, "Value"),
                  h(
                    "select",
                    {
                      id: "plotted",
                      value: chosen.name,
                      on: {
                        change: (event) => {
                          value = event.target.value;
                          ctx.redraw();
                        },
                      },
                    },
                    plots.map((one) => h("option", { value: one.name }, one.name)),
                  ),
                )
              : h("h3", {}, chosen.name),
            plot(chosen.name, looks.looks, chosen.lines ?? [], { from, to, width }),
            looks.truncated ? h("p", { class: "dim" }, "Only the newest looks of this time are drawn.") : null,
          ]
        : null,
      events(),
    );
  };

  /** When looking began, if that was in the time shown. */
  const first = (from) => {
    const oldest = looks.truncated ? null : looks.looks[0]?.at;
    const changed = history.findLast((entry) => entry.what === "change");
    return oldest && changed?.from === "UNKNOWN" ? Math.max(from, Math.min(oldest, changed.at)) : from;
  };

  const events = () => {
    const told = history.slice(0, 40);
    if (told.length === 0) return nothing("Nothing happened in this time.");
    return h(
      "ol",
      { class: "events" },
      told.map((entry, index) =>
        h(
          "li",
          { key: `${entry.at} ${entry.what} ${index}` },
          h("span", { class: "at dim" }, ago(entry.at)),
          h("span", {}, event(entry)),
          entry.what === "change" ? button("Facts then", () => at(entry.at), { class: "quiet" }) : null,
        ),
      ),
    );
  };

  const at = async (moment) => {
    then = (await attempt(() => get(`${path}/facts`, { at: moment }))) ?? then;
    ctx.redraw();
    document.getElementById("facts-title")?.scrollIntoView({ block: "start" });
  };

  const event = (entry) => {
    if (entry.what === "change") return [badge(entry.from), " → ", badge(entry.to), " ", entry.message];
    if (entry.what === "attempt")
      return [
        `repair ${entry.id} `,
        ending(entry.undone ? "undone" : entry.phase),
        " ",
        h("span", { class: "dim" }, entry.steps.map((step) => `${step.kind} ${step.target}`).join(", ")),
      ];
    if (entry.what === "held")
      return [
        `held by ${holder(entry.by)}`,
        entry.until ? [", ends ", ago(entry.until)] : null,
        entry.why ? `: ${entry.why}` : null,
      ];
    return [entry.text, entry.to?.length ? h("span", { class: "dim" }, ` told ${entry.to.join(", ")}`) : null];
  };

  const seen = () => {
    const verdict = check.explain?.verdict;
    const shown = then ?? { facts: verdict?.facts, let: verdict?.let, at: check.row.looked };
    return panel(
      "Facts",
      {
        id: "facts",
        note: shown.at ? `as of ${exact(seconds(shown.at))}` : null,
        actions: then
          ? button(
              "Of the last look",
              () => {
                then = null;
                ctx.redraw();
              },
              { class: "quiet" },
            )
          : null,
      },
      Object.keys(shown.let ?? {}).length ? [h("h3", {}, "let"), tree(shown.let)] : null,
      h("h3", {}, "facts"),
      tree(shown.facts),
    );
  };

  const rule = () => {
    const { rule } = check;
    if (!rule?.text) return null;
    return panel(
      "Rule",
      {
        id: "rule",
        note: `${rule.file}:${rule.line ?? rule.first_line ?? 1}`,
        actions: h(
          "a",
          {
            class: "button",
            href: `#/rules/edit?path=${part(rule.file.startsWith("rules/") ? rule.file : `rules/${rule.file}`)}&line=${rule.line ?? rule.first_line ?? 1}`,
          },
          "Open in the playground",
        ),
      },
      code(rule.text, { first: rule.first_line ?? 1, deciding: rule.deciding }),
    );
  };

  const past = () =>
    panel(
      "Repairs",
      { id: "repairs" },
      repairs.length === 0 ? nothing("Nothing was repaired yet.") : repairs.slice(0, SHOWN).map(mended),
      repairs.length > SHOWN
        ? h("details", {}, h("summary", {}, `${repairs.length - SHOWN} before`), repairs.slice(SHOWN).map(mended))
        : null,
    );

  const mended = (one) =>
    repair(one, {
      named: false,
      actions: one.undoable
        ? button("Undo…", () => again(undo(one)))
        : one.phase === "verified" && !one.undone
          ? h("span", { class: "dim" }, `It cannot be undone: ${one.why_not}.`)
          : null,
    });

  const waiting = () =>
    (check.proposals ?? []).map((proposal) =>
      h(
        "section",
        { class: "panel proposal", key: `proposal ${proposal.attempt}` },
        h(
          "header",
          {},
          h("h2", {}, `Repair ${proposal.attempt} waits for approval`),
          h("span", { class: "dim push" }, "until ", ago(proposal.until)),
        ),
        steps(proposal.steps),
      ),
    );

  return {
    title: name,
    wants: (kind, data) => {
      if (kind === "looked") return data?.checks?.includes(name) || (data?.checks?.length ?? 0) >= 500 ? 300 : null;
      const about = data?.check ?? data?.attempt?.check ?? null;
      if (["changed", "acted", "ended", "held", "note", "incident"].includes(kind) && about !== null && about !== name)
        return null;
      return 200;
    },
    async load(signal) {
      check = await get(path, {}, signal);
      // What stands now lies well inside the time shown.
      span ??= (WINDOWS.find(([, , length]) => length >= 2 * (now() - check.row.since)) ?? WINDOWS.at(-1))[0];
      const since = now() - length();
      const [events, seen, done] = await Promise.all([
        get("/api/history", { check: name, since, limit: 300 }, signal),
        get(`${path}/looks`, { since, limit: 2_000 }, signal),
        get("/api/repairs", { check: name, limit: 10 }, signal),
      ]);
      history = events;
      looks = seen;
      repairs = done;
    },
    render: () => [
      head(),
      facts(),
      waiting(),
      time(),
      h("div", { class: "pair" }, panel("Why", { id: "why" }, explanation(check.explain)), seen()),
      rule(),
      past(),
    ],
  };
}
