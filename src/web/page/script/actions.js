// What a person may do, each with its question: the same from a line of the overview, a check's page and the lists.

import { post } from "./ask.js";
import { ask, attempt, note } from "./dialogs.js";
import { h } from "./dom.js";
import { badge, holder, plural, steps } from "./parts.js";
import { span } from "./time.js";

const SPANS = [
  ["900", "15 minutes"],
  ["3600", "1 hour"],
  ["14400", "4 hours"],
  ["28800", "8 hours"],
  ["86400", "1 day"],
  ["604800", "1 week"],
];

const reason = (hint = "Others read it, and so will you.") => ({
  name: "reason",
  label: "Reason",
  kind: "text",
  hint,
  wanted: "say why in a word or two",
});

export function silence(name = null) {
  return ask({
    title: name ? `Silence ${name}` : "Silence every check",
    about: [
      h("p", {}, "Nobody is told of it and nothing is repaired until the silence ends. Looking and recording go on."),
    ],
    fields: [{ name: "length", label: "For", kind: "choice", choices: SPANS, value: "3600" }, reason()],
    say: "Silence",
    act: async ({ length, reason }) => {
      await post("/api/silence", { checks: name ? [name] : [], for_s: Number(length), reason });
      note(`Silenced ${name ?? "every check"} for ${span(Number(length))}.`);
    },
  });
}

export function unsilence(id) {
  return attempt(() => post("/api/unsilence", { id }), `Silence ${id} has ended.`);
}

export function acknowledge({ check = null, incident = null }) {
  return ask({
    title: `Acknowledge ${check ?? `incident ${incident}`}`,
    about: [h("p", {}, "You take care of it: nobody else is called for it until it is over or gets worse.")],
    fields: [{ name: "reason", label: "Note", kind: "text", hint: "For the others: what you are about to do." }],
    say: "Acknowledge",
    act: async ({ reason }) => {
      await post("/api/ack", { ...(check ? { check } : { incident }), reason });
      note(`Acknowledged ${check ?? `incident ${incident}`}.`);
    },
  });
}

export function pause(checks = []) {
  const what = checks.length ? checks.join(", ") : "all checks";
  return ask({
    title: checks.length ? `Pause repairs of ${what}` : "Pause all repairs",
    about: [h("p", {}, "No repair starts until a person resumes. Looking goes on, and so does what is under way.")],
    fields: [
      { name: "length", label: "For", kind: "choice", choices: [["", "until somebody resumes"], ...SPANS], value: "" },
      reason(),
    ],
    say: "Pause repairs",
    kind: "danger",
    act: async ({ length, reason }) => {
      await post("/api/pause", {
        reason,
        ...(length ? { for_s: Number(length) } : {}),
        ...(checks.length ? { checks } : {}),
      });
      note(`Repairs of ${what} are paused.`);
    },
  });
}

export function resume(checks = []) {
  return attempt(() => post("/api/resume", checks.length ? { checks } : {}), "Repairs are allowed again.");
}

/** A proposal: what would be done, and a person's word. */
export function approve(proposal) {
  return ask({
    title: `Approve the repair of ${proposal.check}`,
    about: [
      h("p", {}, badge(proposal.before?.status), " ", proposal.before?.message),
      steps(proposal.steps),
      h("p", { class: "dim" }, "It is done once no guard holds it, and proven by looking again."),
    ],
    say: "Approve",
    wide: true,
    act: async () => {
      await post("/api/approve", { attempt: proposal.attempt });
      note(`Approved repair ${proposal.attempt} of ${proposal.check}.`);
    },
  });
}

export function deny(proposal) {
  return ask({
    title: `Deny the repair of ${proposal.check}`,
    fields: [reason()],
    say: "Deny",
    kind: "danger",
    act: async ({ reason }) => {
      await post("/api/deny", { attempt: proposal.attempt, reason });
      note(`Denied repair ${proposal.attempt} of ${proposal.check}.`);
    },
  });
}

export function undo(repair) {
  return ask({
    title: `Undo repair ${repair.id}`,
    about: [
      h("p", {}, "What it changed is put back as it was, unless somebody has changed it since."),
      steps(repair.steps),
    ],
    say: "Undo it",
    kind: "danger",
    wide: true,
    act: async () => {
      const answer = await post("/api/undo", { attempt: repair.id });
      note(
        `Undone: ${answer.steps.map((step) => `${step.kind} ${step.target}`).join(", ") || "nothing was left to undo"}.`,
      );
    },
  });
}

export function confirm(name, value) {
  return ask({
    title: `Confirm what ${name} shows`,
    about: [
      h("p", {}, "You say that the present value is meant so. The check goes by it from now on:"),
      h("pre", {}, JSON.stringify(value, null, 2) ?? "–"),
    ],
    fields: [reason()],
    say: "Confirm",
    act: async ({ reason }) => {
      await post("/api/confirm", { check: name, reason });
      note(`Confirmed ${name}.`);
    },
  });
}

export function forget(name) {
  return attempt(
    () => post("/api/confirm", { check: name, forget: true }),
    `What was confirmed for ${name} is forgotten.`,
  );
}

/** Looks now, repairs included. */
export function run(name) {
  return attempt(
    () => post("/api/check", { names: [name], wait_s: 10 }),
    (answer) => {
      const one = answer.checks[0];
      if (!one) return `${name} was not looked at.`;
      return `${name}: ${one.status}, ${one.message}${one.remediation.decision === "repaired" ? " (repaired)" : ""}`;
    },
  );
}

/** What looking would lead to now; nothing is changed. */
export async function dryRun(name) {
  const answer = await attempt(() => post("/api/dry-run", { names: [name] }));
  if (!answer) return;
  await ask({
    title: `Dry run of ${name}`,
    about: [
      h("p", { class: "dim" }, "By the present standings and rules; nothing was changed."),
      answer.checks.map((one) => would(one)),
    ],
    say: null,
    wide: true,
  });
}

/** One check of a dry run. */
export function would(one) {
  const { remediation } = one;
  const what = {
    none: "Nothing would be done.",
    held: `A repair would be held by ${holder(remediation.held_by)}${remediation.held_why ? `: ${remediation.held_why}` : ""}.`,
    would: `${plural(remediation.steps.length, "step")} would be taken:`,
    repaired: "It would be repaired:",
    failed: "The repair would fail:",
  }[remediation.decision];
  return h(
    "article",
    { class: "would", key: one.name },
    h("h3", {}, one.name),
    h("p", {}, badge(one.status), " ", one.message),
    one.error ? h("p", { class: "problem" }, one.error) : null,
    h("p", {}, what),
    remediation.steps.length ? steps(remediation.steps) : null,
    (one.notices ?? []).length
      ? h(
          "ul",
          { class: "plain" },
          one.notices.map((notice) =>
            h(
              "li",
              {},
              "would tell ",
              h("strong", {}, notice.notifier),
              notice.when ? ` ${notice.when}` : "",
              `: ${notice.text}`,
            ),
          ),
        )
      : null,
  );
}

export async function investigate(name) {
  note(`${name} looks…`);
  return attempt(() => post("/api/investigate", { name, wait_s: 20 }), `The session of ${name} is done.`);
}
