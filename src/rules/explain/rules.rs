//! Keys, values and names of rules.

use super::Explanation;

pub const ALL: &[Explanation] = &[
    Explanation {
        code: "unknown-key",
        text: "There is no such key here. It is refused, since a rule with a slip in it would silently do less than it says.",
        bad: "trigger: { evry: 5m }",
        good: "trigger: { every: 5m }",
    },
    Explanation {
        code: "missing-key",
        text: "Something that must be said is missing: a check has a name, a probe and a threshold.",
        bad: "trigger: { splay: true }",
        good: "trigger: { every: 5m, splay: true }",
    },
    Explanation {
        code: "empty",
        text: "A key has no value, or an expression is empty. An empty `critical` would mean that nothing is ever critical: \
               write it, or leave the key out.",
        bad: "threshold:\n  critical:\n  warning: missing",
        good: "threshold:\n  warning: missing",
    },
    Explanation {
        code: "wrong-type",
        text: "The value is of another kind than what is due here: a list, a map, a text, a number.",
        bad: "tags: critical",
        good: "tags: [critical]",
    },
    Explanation {
        code: "bad-value",
        text: "The value is of the right kind, but cannot be used: no duration, out of bounds, two things of which one is due.",
        bad: "trigger: { every: soon }",
        good: "trigger: { every: 5m }",
    },
    Explanation {
        code: "bad-cron",
        text: "The clock times cannot be read, or never come. Five fields: minute, hour, day of month, month, day of week; six \
               begin with seconds; or @yearly @monthly @weekly @daily @hourly.",
        bad: "trigger: { cron: '0 0 30 2 *' }",
        good: "trigger: { cron: '0 0 28 2 *' }",
    },
    Explanation {
        code: "unknown-zone",
        text: "There is no such time zone in the IANA database. Names are those of places, as Europe/Berlin: an abbreviation \
               would not say when clocks change.",
        bad: "trigger: { cron: '@daily', timezone: America/NewYork }",
        good: "trigger: { cron: '@daily', timezone: America/New_York }",
    },
    Explanation {
        code: "unknown-calendar",
        text: "`during` or `quiet` names a calendar that stands under `calendars:` in no rule file.",
        bad: "trigger: { every: 5m, during: offices }",
        good: "calendars:\n  offices: { weekly: { Mon-Fri: '09:00-17:00' } }\n",
    },
    Explanation {
        code: "bad-calendar",
        text: "A session, date or window of a calendar cannot be read, or contradicts another: days of the week and dates stand \
               once, sessions of a day do not overlap, and it opens at some time.",
        bad: "calendars:\n  offices: { weekly: { Mon-Fri: '9-17' } }\n",
        good: "calendars:\n  offices: { weekly: { Mon-Fri: '09:00-17:00' } }\n",
    },
    Explanation {
        code: "calendar-ends",
        text: "The data of a calendar ends soon or has ended (`until`). After it, checks that go by it with `during` are UNKNOWN \
               and those that go by it with `quiet` are not repaired, since nobody knows whether it is open. Add the coming \
               dates and move `until`.",
        bad: "",
        good: "",
    },
    Explanation {
        code: "unknown-notifier",
        text: "`notify` and `escalate` name who is told; `notifiers` of any rule file says how. A slip here would leave people asleep.",
        bad: "remediation:\n  steps: [ { remove_file: { file: data/x.lock } } ]\n  escalate: [ops]",
        good: "notifiers:\n  ops: { journal: logs/pages.jsonl }\n",
    },
    Explanation {
        code: "unheard-event",
        text: "A step raises an event that no trigger waits for, so nothing comes of it.",
        bad: "remediation: [ { raise_event: restored } ]",
        good: "trigger: { every: 5m, events: [ { event: restored } ] }\nremediation: [ { raise_event: restored } ]",
    },
    Explanation {
        code: "unknown-kind",
        text: "There is no probe or step of this kind.",
        bad: "remediation: [ { delete_file: { file: data/x.json } } ]",
        good: "remediation: [ { remove_file: { file: data/x.json } } ]",
    },
    Explanation {
        code: "unused-value",
        text: "`value` is what `above` and `below` compare; here nothing compares it.",
        bad: "value: len\nthreshold: { critical: missing }",
        good: "value: len\nthreshold: { critical: { below: 3 } }",
    },
    Explanation {
        code: "bad-name",
        text: "Names of checks, investigations and tests stand in paths, addresses and command lines: letters, digits, `_`, \
               `-` and `.`. Names that expressions read have letters, digits and `_`.",
        bad: "let: { to-do: len }",
        good: "let: { to_do: len }",
    },
    Explanation {
        code: "reserved-name",
        text: "The name means something by itself: a word of the expression language, or one of now, it, r, vars, env, status, \
               kept, prev and ledger.",
        bad: "let: { now: '1' }",
        good: "let: { then: '1' }",
    },
    Explanation {
        code: "duplicate-name",
        text: "Two things have one name. Names of checks and investigations are unique over the whole directory, names of \
               `vars` too; inside a check facts, probes and `let` share their names.",
        bad: "let: { len: '1' }",
        good: "let: { length: '1' }",
    },
    Explanation {
        code: "unknown-check",
        text: "A check is named that is in no rule file.",
        bad: "needs: [stedy]",
        good: "needs: [steady]",
    },
    Explanation {
        code: "duplicate",
        text: "The probe names the same check twice.",
        bad: "probe: { status: { checks: [steady, steady] } }\nthreshold: { critical: 'worst == \"critical\"' }",
        good: "probe: { status: { checks: [steady] } }\nthreshold: { critical: 'worst == \"critical\"' }",
    },
    Explanation {
        code: "self-reference",
        text: "A check would run itself as its own repair. Verification looks at it again anyway.",
        bad: "remediation: [ { run_checks: [extra] } ]",
        good: "remediation: [ { run_checks: [steady] } ]",
    },
    Explanation {
        code: "needs-cycle",
        text: "While a check that another one needs is CRITICAL, the other's remediation is held. In a circle each would hold \
               the next.",
        bad: "needs: [extra]",
        good: "needs: [steady]",
    },
    Explanation {
        code: "trigger-cycle",
        text: "Each look of one would ask for a look of the next, without end.",
        bad: "trigger: { events: [ { check: extra, status: [critical] } ] }",
        good: "trigger: { events: [ { check: steady, status: [critical] } ] }",
    },
    Explanation {
        code: "unknown-var",
        text: "`--set NAME=VALUE` overrides an entry of `vars`, and no file has one of this name.",
        bad: "",
        good: "",
    },
    Explanation {
        code: "contradiction",
        text: "Two parts of a test do not go together: one round now has no course of time, and a change comes either at an \
               instant or after a repair.",
        bad: "tests:\n  - name: stays\n    expect: { steady: ok }\n    statuses: { steady: ok }\n",
        good: "tests:\n  - name: stays\n    expect: { steady: ok }\n",
    },
    Explanation {
        code: "given-twice",
        text: "A test gives a fact once for all time and once over time.",
        bad: "tests:\n  - name: goes\n    facts: { steady: { missing: true } }\n    series: { steady: { missing: false true } }\n    statuses: { steady: ok critical }\n",
        good: "tests:\n  - name: goes\n    series: { steady: { missing: false true } }\n    statuses: { steady: ok critical }\n",
    },
    Explanation {
        code: "too-large",
        text: "A test lays out more lines than a test may.",
        bad: "",
        good: "",
    },
    Explanation {
        code: "no-about",
        text: "The rule does not say what it is about. Whoever is woken by it at night will want to know.",
        bad: "checks:\n  - name: extra\n    probe: { file: { file: data/x.json } }\n    threshold: { critical: missing }\n",
        good: "checks:\n  - name: extra\n    about: The file is there.\n    probe: { file: { file: data/x.json } }\n    threshold: { critical: missing }\n",
    },
    Explanation {
        code: "no-message",
        text: "The check has no message, so it says what held and nothing else. Name the values that matter.",
        bad: "tags: [x]",
        good: "message: '${len} entries'",
    },
    Explanation {
        code: "no-trigger",
        text: "No interval, no event, no investigation and no other rule ever makes the running engine look at this check.",
        bad: "tags: [x]",
        good: "trigger: { every: 5m }",
    },
    Explanation {
        code: "idle-remediation",
        text: "No status that the check can have starts its remediation. It waits for CRITICAL unless `when` says otherwise.",
        bad: "threshold: { warning: missing }\nremediation: [ { run_checks: [steady] } ]",
        good: "threshold: { warning: missing }\nremediation: { when: [warning], steps: [ { run_checks: [steady] } ] }",
    },
];
