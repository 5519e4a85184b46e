//! Broken rule files, each with the complaint it must give: as a table, so that loading and the running engine are
//! tested with the same ones.

/// The path of a file that is right, to stand beside a broken one.
pub const GOOD_FILE: &str = "rules/basic.yaml";

/// Its text.
pub const GOOD: &str = "\
vars: { need: 3 }
checks:
  - name: steady
    about: The file is there.
    trigger: { every: 1s }
    probe: { file: { file: data/steady.json } }
    threshold: { critical: missing }
    message: 'steady: ${if exists { \"there\" } else { \"gone\" }}'
";

/// One way in which `rules/extra.yaml` can be wrong.
pub struct Fault {
    pub name: &'static str,
    /// Relative to the root.
    pub file: &'static str,
    pub text: String,
    /// The complaint that must be among those given, and where.
    pub code: &'static str,
    pub line: usize,
    pub column: usize,
}

/// Stands right before the character that is complained about.
const HERE: char = '§';

fn fault(name: &'static str, code: &'static str, marked: &str) -> Fault {
    let before = marked.split(HERE).next().unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before
        .rsplit('\n')
        .next()
        .unwrap_or_default()
        .chars()
        .count()
        + 1;
    Fault {
        name,
        file: "rules/extra.yaml",
        text: marked.replace(HERE, ""),
        code,
        line,
        column,
    }
}

/// A whole file of what may be only some lines of a check called `extra`, which looks at a JSON file.
pub fn file_of(lines: &str) -> String {
    if lines.starts_with(|c: char| c.is_ascii_alphabetic())
        && [
            "calendars",
            "notifiers",
            "checks",
            "vars",
            "defaults",
            "tests",
            "investigations",
        ]
        .iter()
        .any(|part| lines.starts_with(&format!("{part}:")))
    {
        return lines.to_owned();
    }
    let mut text = "checks:\n  - name: extra\n    about: An extra one.\n".to_owned();
    if !lines.contains("probe: ") {
        text.push_str("    probe: { json: { file: data/extra.json } }\n");
    }
    for line in lines.lines() {
        text.push_str(&format!("    {line}\n"));
    }
    if !lines.contains("threshold:") {
        text.push_str("    threshold: { critical: missing }\n");
    }
    text
}

fn check(name: &'static str, code: &'static str, lines: &str) -> Fault {
    fault(name, code, &file_of(lines))
}

/// All of them.
pub fn faults() -> Vec<Fault> {
    let mut all = yaml();
    all.extend(keys());
    all.extend(values());
    all.extend(expressions());
    all.extend(remediations());
    all.extend(whole());
    all
}

/// What YAML itself refuses, or would read otherwise than meant.
fn yaml() -> Vec<Fault> {
    vec![
        check("a tag", "yaml-tag", "threshold:\n  critical: §!valid"),
        check(
            "a split expression",
            "yaml-split",
            "threshold: { critical: max(len, §2) > 1 }",
        ),
        check("a torn list item", "yaml-split", "tags: [§max(a, b), c]"),
        check(
            "a missing blank",
            "yaml-split",
            "threshold: {§critical:missing}",
        ),
        check(
            "an alias",
            "yaml-alias",
            "threshold: { critical: missing }\nmessage: §*len of them",
        ),
        check(
            "an anchor",
            "yaml-alias",
            "threshold:\n  critical: §&x missing",
        ),
        fault(
            "a merge key",
            "yaml-merge",
            "checks:\n  - §<<: { name: a }\n",
        ),
        check(
            "a duplicate key",
            "duplicate-key",
            "threshold:\n  critical: missing\n  §critical: exists",
        ),
        fault(
            "two documents",
            "yaml-documents",
            "checks: []\n§---\nvars: {}\n",
        ),
        check("a lost comment", "yaml-comment", "message: Disk §# full"),
        check(
            "a comment too near",
            "yaml-comment",
            "threshold:\n  critical: len > 3 §# three",
        ),
        check(
            "a cut string",
            "yaml-comment",
            "threshold:\n  critical: doc == \"a  §# b\"",
        ),
        fault("a tab", "yaml-tab", "checks:\n\t§- name: a\n"),
        check(
            "a colon in a text",
            "yaml-syntax",
            "message: entries§: ${len}",
        ),
        check(
            "a quote in a text",
            "yaml-syntax",
            "message: 'it'§s broken'",
        ),
        check(
            "an index inside braces",
            "yaml-syntax",
            "threshold: { critical: doc§[0] > 1 }",
        ),
        check(
            "a closure inside braces",
            "yaml-syntax",
            "threshold: { critical: §|x| x > 1 }",
        ),
        check("a reserved start", "yaml-syntax", "message: §@here"),
        fault(
            "a quote without end",
            "yaml-syntax",
            "checks:\n  - name: §\"extra\n",
        ),
        fault(
            "half a file",
            "yaml-syntax",
            "checks:\n  - name: extra\n    probe: { json: { file: data/x.json\n§",
        ),
        fault("a number as a key", "yaml-key", "vars:\n  §1: 2\n"),
        check(
            "a number that cannot be",
            "yaml-number",
            "keep_start: { a: §.nan }\nkeep: { a: 'kept.a' }",
        ),
        fault(
            "a byte order mark",
            "yaml-character",
            "§\u{feff}checks: []\n",
        ),
        fault(
            "a control character",
            "yaml-character",
            "checks: []\n# §\u{7}\n",
        ),
        fault(
            "too deep",
            "yaml-too-deep",
            &format!("vars: {{ a: {}§[1]{} }}\n", "[".repeat(62), "]".repeat(62)),
        ),
    ]
}

/// Keys that are not there, or not known.
fn keys() -> Vec<Fault> {
    vec![
        fault(
            "an unknown part",
            "unknown-key",
            "chekcs: []\n".replace("chekcs", "§chekcs").as_str(),
        ),
        check(
            "a slip in a key",
            "unknown-key",
            "§thershold: { critical: missing }",
        ),
        check(
            "a key in the wrong place",
            "unknown-key",
            "threshold: { critical: missing, §message: x }",
        ),
        check(
            "an unknown probe setting",
            "unknown-key",
            "threshold: { critical: missing }",
        )
        .replacing(
            "{ file: data/extra.json }",
            "{ file: data/extra.json, §lst: 3 }",
        ),
        check(
            "an unknown probe",
            "unknown-kind",
            "threshold: { critical: missing }",
        )
        .replacing("{ json:", "{ §jsn:"),
        check(
            "an unknown step",
            "unknown-kind",
            "remediation: [ { §restore: { file: data/x } } ]",
        ),
        check("an unknown status", "bad-value", "on_error: §bad"),
        check(
            "a template in the host of a URL",
            "bad-value",
            "remediation: [ { call_http: { url: '§http://${doc.host}/' } } ]",
        ),
        check(
            "a host that is not allowed",
            "not-allowed",
            "remediation: [ { call_http: { url: '§http://api.example.net/' } } ]",
        ),
        check(
            "a unit that is not allowed",
            "forbidden-unit",
            "remediation: [ { restart_unit: §bot.service } ]",
        ),
        check(
            "nobody who could be told",
            "unknown-notifier",
            "remediation:\n  steps: [ { remove_file: { file: data/x } } ]\n  escalate: [§ops]",
        ),
        check(
            "a step that tells nobody there is",
            "unknown-notifier",
            "remediation: [ { notify: { to: §x, text: it is broken } } ]",
        ),
        fault(
            "a check without a name",
            "missing-key",
            "checks:\n  - §probe: { json: { file: data/x.json } }\n    threshold: { critical: missing }\n",
        ),
        fault(
            "a check without a probe",
            "missing-key",
            "checks:\n  - §name: extra\n    threshold: { critical: missing }\n",
        ),
        fault(
            "a check without a threshold",
            "missing-key",
            "checks:\n  - §name: extra\n    probe: { json: { file: data/x.json } }\n",
        ),
        check(
            "a threshold without levels",
            "missing-key",
            "threshold: §{ for: 3 }",
        ),
        check(
            "a level without a value",
            "empty",
            "threshold:\n  §critical:\n  warning: missing",
        ),
        check(
            "an empty expression",
            "empty",
            "threshold: { critical: §'' }",
        ),
        check(
            "both probe and probes",
            "bad-value",
            "probes: §{ a: { json: { file: data/x.json } } }",
        ),
        check(
            "two kinds in a probe",
            "bad-value",
            "threshold: { critical: missing }",
        )
        .replacing(
            "{ json: { file: data/extra.json } }",
            "{ json: { file: data/extra.json }, §file: { file: data/extra.json } }",
        ),
    ]
}

/// Values of the wrong form.
fn values() -> Vec<Fault> {
    vec![
        check("no duration", "bad-value", "trigger: { every: §soon }"),
        check(
            "a cron expression with a slip",
            "bad-cron",
            "trigger: { cron: '§61 * * * *' }",
        ),
        check(
            "a day that no month has",
            "bad-cron",
            "trigger: { cron: '§0 0 30 2 *' }",
        ),
        check(
            "an interval and clock times",
            "bad-value",
            "trigger: { §every: 5m, cron: '@daily' }",
        ),
        check(
            "a time zone with a slip",
            "unknown-zone",
            "trigger: { cron: '@daily', timezone: §Europe/Berln }",
        ),
        check(
            "a time zone of no clock",
            "bad-value",
            "trigger: { every: 5m, §timezone: Europe/Berlin }",
        ),
        check(
            "a calendar that is not there",
            "unknown-calendar",
            "trigger: { every: 5m, during: §offic }",
        ),
        check(
            "a quiet time that is not there",
            "unknown-calendar",
            "trigger: { every: 5m, quiet: §nights }",
        ),
        fault(
            "a session that is none",
            "bad-calendar",
            "calendars:\n  office:\n    weekly: { Mon-Fri: §9-17 }\n",
        ),
        fault(
            "two kinds of a day of the week",
            "bad-calendar",
            "calendars:\n  office:\n    weekly: { Mon-Fri: '09:00-17:00', §Fri: '09:00-13:00' }\n",
        ),
        fault(
            "sessions that overlap",
            "bad-calendar",
            "calendars:\n  office:\n    weekly: { Mon: §['09:00-12:00', '11:00-13:00'] }\n",
        ),
        fault(
            "a holiday that is no date",
            "bad-calendar",
            "calendars:\n  office:\n    weekly: { Mon: '09:00-12:00' }\n    holidays: [ §2026-02-30 ]\n",
        ),
        fault(
            "a holiday with sessions",
            "bad-calendar",
            "calendars:\n  office:\n    weekly: { Mon: '09:00-12:00' }\n    holidays: [2026-12-24]\n    half_days: { §2026-12-24: '09:00-10:00' }\n",
        ),
        fault(
            "a window that ends before it begins",
            "bad-calendar",
            "calendars:\n  works:\n    windows: [ §{ from: 2026-12-02T06:00, to: 2026-12-01 } ]\n",
        ),
        fault(
            "a calendar that never opens",
            "bad-calendar",
            "calendars:\n  office: §{ timezone: Europe/Berlin }\n",
        ),
        fault(
            "a calendar with the name of a check",
            "duplicate-name",
            "calendars:\n  §steady: { weekly: { Mon: '09:00-12:00' } }\n",
        ),
        fault(
            "an investigation that is quiet",
            "bad-value",
            "calendars:\n  nights: { weekly: { Mon-Sun: '22:00-06:00' } }\ninvestigations:\n  - name: rca\n    trigger: { every: 1h, §quiet: nights }\n    checks: [steady]\n",
        ),
        check(
            "too short an interval",
            "bad-value",
            "trigger: { every: §1ms }",
        ),
        check("an endless timeout", "bad-value", "timeout: §2days"),
        check(
            "an event of nothing",
            "bad-value",
            "trigger: { events: [ §{} ] }",
        ),
        check(
            "an event without status",
            "missing-key",
            "trigger: { events: [ §{ check: steady } ] }",
        ),
        check(
            "an odd patience",
            "bad-value",
            "threshold: { critical: missing, for: §3 of 2 }",
        ),
        check("a list for a text", "wrong-type", "message: §[a, b]"),
        check("a text for a list", "wrong-type", "needs: §steady"),
        check(
            "a limit without value",
            "missing-key",
            "threshold: { critical: §{ above: 3 } }",
        ),
        check(
            "a limit on both sides",
            "bad-value",
            "value: len\nthreshold: { critical: §{ above: 3, below: 1 } }",
        ),
        check(
            "clear on the bad side",
            "bad-value",
            "value: len\nthreshold: { critical: { above: 3, clear: §4 } }",
        ),
        check(
            "a value nobody compares",
            "unused-value",
            "value: §len\nthreshold: { critical: missing }",
        ),
        check(
            "keep without a start",
            "missing-key",
            "keep: { §pct: 'kept.pct + 1' }",
        ),
        check(
            "a start without keep",
            "unknown-key",
            "keep: { pct: '1' }\nkeep_start: { pct: 1, §pcd: 2 }",
        ),
        check(
            "a journal outside",
            "forbidden-path",
            "journal: §../journal.jsonl",
        ),
        check(
            "the engine's own file",
            "forbidden-path",
            "publish: { file: §state/homeostat/x.json, set: { a: 1 } }",
        ),
        fault(
            "a name that fits nowhere",
            "bad-name",
            "checks:\n  - name: §a b\n    probe: { json: { file: data/x.json } }\n    threshold: { critical: missing }\n",
        ),
        fault("no list of checks", "wrong-type", "checks: §{ a: 1 }\n"),
    ]
}

/// Mistakes inside expressions, each at its own character.
fn expressions() -> Vec<Fault> {
    vec![
        check(
            "an unknown name",
            "unknown-name",
            "threshold: { critical: exists && §valdi }",
        ),
        check(
            "an unknown name in a closure",
            "unknown-name",
            "let: { n: 'doc.values().all(|w| w == §z)' }",
        ),
        check(
            "an unknown name in a quoted text",
            "unknown-name",
            "message: 'it''s ${len} of ${§totl}'",
        ),
        check(
            "an unknown name in a block",
            "unknown-name",
            "threshold:\n  critical: |-\n    exists &&\n      §valdi",
        ),
        check(
            "an unknown name in a folded block",
            "unknown-name",
            "threshold:\n  critical: >-\n    exists\n    && §valdi",
        ),
        check(
            "an unknown name in a deep block",
            "unknown-name",
            "threshold:\n  critical: |2-\n      §valdi && exists",
        ),
        check(
            "status in a threshold",
            "unknown-name",
            "threshold: { critical: '§status == \"ok\"' }",
        ),
        check(
            "let in enough",
            "unknown-name",
            "enough: §n > 3\nlet: { n: len }",
        ),
        check(
            "facts in a probe",
            "unknown-name",
            "threshold: { critical: missing }",
        )
        .replacing("data/extra.json", "'data/${§len}.json'"),
        check(
            "an unknown variable",
            "unknown-property",
            "threshold: { critical: len > vars.§ned }",
        ),
        check(
            "no expression",
            "bad-expression",
            "threshold: { critical: 'len > §' }",
        ),
        check("an open template", "bad-template", "message: 'x §${len'"),
        check(
            "if without else",
            "if-without-else",
            "let: { a: '§if exists { 1 }' }",
        ),
        check(
            "no truth",
            "not-a-condition",
            "threshold: { critical: §len && exists }",
        ),
        check(
            "an unknown function",
            "unknown-function",
            "let: { a: 'len.§sqare()' }",
        ),
        check(
            "let in a circle",
            "let-cycle",
            "let: { §a: b + 1, b: a + 1 }",
        ),
        check(
            "a let that hides a fact",
            "duplicate-name",
            "let: { §len: '1' }",
        ),
        check("a reserved name", "reserved-name", "let: { §now: '1' }"),
        check(
            "a word of the language",
            "reserved-name",
            "let: { §switch: '1' }",
        ),
    ]
}

/// Remediations that could not be done.
fn remediations() -> Vec<Fault> {
    vec![
        check("a ladder without rungs", "empty", "remediation: §[]"),
        check("a rung without steps", "empty", "remediation: [ §[] ]"),
        check(
            "two kinds in a step",
            "bad-value",
            "remediation:\n  - remove_file: { file: data/x }\n    §run_checks: [steady]",
        ),
        check(
            "a body that is not there",
            "missing-body",
            "remediation: [ { restore_file: { file: data/x.json, from: §rules/defaults/x.json } } ]",
        ),
        check(
            "a file outside",
            "forbidden-path",
            "remediation: [ { remove_file: { file: §/etc/passwd } } ]",
        ),
        check(
            "it without each",
            "unknown-name",
            "remediation: [ { remove_file: { file: 'data/${§it}' } } ]",
        ),
        check(
            "a check that is not there",
            "unknown-check",
            "remediation: [ { run_checks: [§stedy] } ]",
        ),
        check(
            "proof by nobody",
            "unknown-check",
            "remediation:\n  steps: [ { run_checks: [steady] } ]\n  verify: { checks: [§nobody] }",
        ),
        check(
            "running itself",
            "self-reference",
            "remediation: [ { run_checks: [§extra] } ]",
        ),
        check(
            "no limit",
            "bad-value",
            "remediation:\n  steps: [ { run_checks: [steady] } ]\n  guard: { limit: §0 per 1h }",
        ),
        check(
            "backoff backwards",
            "bad-value",
            "remediation:\n  steps: [ { run_checks: [steady] } ]\n  guard: { backoff: §5m..10s }",
        ),
        check(
            "started by nothing",
            "bad-value",
            "remediation:\n  when: §[]\n  steps: [ { run_checks: [steady] } ]",
        ),
        check(
            "started by unknown",
            "bad-value",
            "remediation:\n  when: [§unknown]\n  steps: [ { run_checks: [steady] } ]",
        ),
        check(
            "its own journal as a target",
            "reserved-file",
            "journal: logs/extra.jsonl\nremediation: [ { remove_file: { file: §logs/extra.jsonl } } ]",
        ),
    ]
}

/// What only shows across rules.
fn whole() -> Vec<Fault> {
    let simple = |name: &str, more: &str| {
        format!(
            "  - name: {name}\n    about: It is.\n    probe: {{ json: {{ file: data/x.json }} }}\n    threshold: {{ critical: missing }}\n    {more}\n"
        )
    };
    vec![
        fault(
            "the name of another",
            "duplicate-name",
            &format!("checks:\n{}", simple("§steady", "message: x")),
        ),
        fault(
            "needs in a circle",
            "needs-cycle",
            &format!(
                "checks:\n{}{}",
                simple("§a", "needs: [b]"),
                simple("b", "needs: [a]")
            ),
        ),
        fault(
            "triggers in a circle",
            "trigger-cycle",
            &format!(
                "checks:\n{}",
                simple("§a", "trigger: { events: [ { check: a, status: [ok] } ] }")
            ),
        ),
        fault(
            "needs nobody has",
            "unknown-check",
            &format!("checks:\n{}", simple("a", "needs: [§stead]")),
        ),
        fault(
            "the same variable again",
            "duplicate-name",
            "vars: { §need: 4 }\n",
        ),
        fault("a variable without a value", "empty", "vars:\n  §other:\n"),
        fault(
            "an investigation of nothing",
            "empty",
            "investigations:\n  - name: deep\n    about: Why.\n    checks: §[]\n",
        ),
        fault(
            "an investigation of nobody",
            "unknown-check",
            "investigations:\n  - name: deep\n    about: Why.\n    checks: [ { check: §nobody, as: x } ]\n",
        ),
        fault(
            "a slip in a test",
            "unknown-key",
            "tests:\n  - name: x\n    §fils: {}\n    expect: { steady: ok }\n",
        ),
        fault(
            "a test that expects nothing that is",
            "bad-value",
            "tests:\n  - name: x\n    expect: { steady: §okay }\n",
        ),
        fault(
            "a test without a name",
            "missing-key",
            "tests:\n  - §checks: [steady]\n    expect: { steady: ok }\n",
        ),
    ]
}

impl Fault {
    /// The same with other words, which hold the mark.
    fn replacing(self, old: &str, new: &str) -> Fault {
        assert!(self.text.contains(old), "{}", self.name);
        fault(self.name, self.code, &self.text.replacen(old, new, 1))
    }
}
