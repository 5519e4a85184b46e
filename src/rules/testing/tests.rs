//! What the notation of rule tests reads and what it refuses.

use serde_json::json;

use super::*;

fn told(value: Value) -> Vec<String> {
    let mut mistakes = Vec::new();
    let form = decode(&Node::from_json(&value), &mut mistakes);
    assert_eq!(form.is_none(), !mistakes.is_empty());
    mistakes
        .into_iter()
        .map(|mistake| match mistake.help {
            Some(help) => format!("{}; {help}", mistake.message),
            None => mistake.message,
        })
        .collect()
}

fn read(value: Value) -> TestForm {
    let mut mistakes = Vec::new();
    let form = decode(&Node::from_json(&value), &mut mistakes);
    form.unwrap_or_else(|| panic!("{mistakes:?}"))
}

#[test]
fn everything_there_is_can_be_written() {
    let form = read(json!({
        "name": "all of it",
        "at": "2026-01-06T16:30:00Z",
        "vars": {"limit": 3},
        "env": {"KEY": "x"},
        "files": {
            "data/a.json": "absent",
            "data/b.json": {"json": null, "age": "30s"},
            "data/c": "directory",
            "logs/d.jsonl": {"lines": [{"n": "${i}"}, "half a li"], "repeat": 3},
            "data/e.json": {"from": "rules/defaults/e.json"},
        },
        "facts": {"cpu": {"load": 1}, "disk": "cannot be read"},
        "series": {"cpu": {"idle": "9 8 _ 7x5"}},
        "step": "1m",
        "checks": ["cpu"],
        "commands": [{"run": "/bin/reset *", "exit": 1, "says": "no", "times": 1,
                      "does": {"files": {"data/x": {"age": "0s"}}, "facts": {"cpu": {"load": 0}}}}],
        "dry": false,
        "paused": true,
        "then": [
            {"at": "5m", "files": {"logs/d.jsonl": {"append": [{}]}}, "paused": false},
            {"after": "cpu", "act": 2, "facts": {"cpu": {"load": 0}}},
            {"at": "6m", "event": "bell"},
        ],
        "statuses": {"cpu": "ok okx3 _ critical"},
        "expect": [
            {"at": "0s", "cpu": "ok"},
            {"at": "10m", "cpu": {
                "status": "ok", "seen": "warning", "before": "critical", "message": {"matches": "^l"},
                "decision": "repaired", "held_by": null, "verified": null, "let": {"a": 1}, "facts": {"load": 1},
                "kept": {"pct": 9}, "error": null, "no_data": false, "notes": ["escalated"],
                "steps": ["set_json", {"kind": "run_command", "target": {"contains": "reset"}, "outcome": "done", "detail": "exit 0"}],
                "acts": ["5m", {"at": "6m", "rung": 2, "steps": ["run_command"], "end": "verified"}]},
             "files": {"data/a.json": "absent", "data/b.json": {"has": {"a": 1}}, "data/c": "present", "data/e.json": "unchanged"},
             "ran": ["/bin/reset x", ["/bin/reset", "a b"]]},
        ],
    }));
    assert!(form.runs_over_time());
    let cpu = &form.expectations()[1].checks["cpu"];
    assert!(matches!(
        (&cpu.held_by, &cpu.verified, &cpu.error),
        (Some(None), Some(None), Some(None))
    ));
    let FileForm::Body(body) = &form.files["data/b.json"] else {
        panic!("a body")
    };
    assert_eq!(
        body.json,
        Some(Value::Null),
        "a null that was written is a document"
    );
    let run = form.commands[0].run.as_ref().expect("it is there");
    assert!(run.means(&["/bin/reset".to_owned(), "anything".to_owned()]));
}

#[test]
fn what_is_not_said_is_not_expected() {
    let form = read(json!({"name": "x", "expect": {"cpu": {"status": "ok"}}}));
    let cpu = &form.expectations()[0].checks["cpu"];
    assert!(cpu.held_by.is_none() && cpu.verified.is_none() && cpu.error.is_none());
    assert!(!form.runs_over_time());
}

#[test]
fn every_mistake_is_told_in_one_go() {
    insta::assert_snapshot!(told(json!({
        "name": "x",
        "at": "2026-01-06 16:30",
        "fils": {},
        "series": {"cpu": {"load": "1x0"}},
        "commands": [{"run": "", "exit": "bad"}, {}],
        "files": {"data/a": "absnt", "data/b": {"jsn": 1}},
        "expect": {"cpu": "okay", "disk": {"stats": "ok", "message": {"matches": "("}, "decision": "fixed"}, "files": {"a": "gone"}},
    })).join("\n"), @r#"
    `2026-01-06 16:30` is no instant; write an instant like 2026-01-06T16:30:00Z, or epoch seconds
    unknown key `fils`; did you mean `files`?
    `1x0` stands no time at all
    a command line without a program
    expected a whole number, found the text `bad`
    `absnt` is not known here; did you mean `absent`?
    unknown key `jsn`; did you mean `json`?
    `okay` is not known here; one of ok, warning, critical, unknown
    unknown key `stats`; did you mean `status`?
    `(` is no regular expression: unclosed group
    `fixed` is not known here; did you mean `failed`?
    `gone` is not known here; one of absent, present, unchanged
    "#);
    insta::assert_snapshot!(told(json!({
        "name": "x",
        "files": {"/etc/passwd": "absent", "data/b": {}, "data/c": {"json": 1, "text": "x"}, "data/d": {"append": []},
                  "data/e": {"json": 1, "repeat": 2}},
        "facts": {"cpu": {"load": 1}},
        "series": {"cpu": {"load": 1}},
        "then": [{"files": {"a": "absent"}}, {"at": "1m", "after": "cpu", "event": "x"}, {"at": "1m"}, {"at": "1m", "act": 2, "event": "x"}],
        "statuses": {"cpu": "ok"},
        "investigate": "rca",
        "expect": {"at": "1m", "cpu": {}, "files": {"../x": {}}},
    })).join("\n"), @r"
        `statuses` run over time, and this `expect` is of one round now; write `expect` as a list: `- { at: 10m, CHECK: ok }`
        `investigate` begins a round of its own: it goes with neither `checks` nor expectations over time
        `at` in one round now; write a list: `- { at: 10m, CHECK: ok }`
        `../x` is no path below the root; write data/x.json
        nothing is expected of it; write absent, present, unchanged, or { json: … }
        nothing is expected of it; write ok, warning, critical, unknown, or { status: …, message: … }
        `/etc/passwd` is no path below the root; write data/x.json
        a file without a body; write `json`, `text`, `lines` or `from`
        a file has one body; leave one of them out
        there is nothing to append to at the start; write `lines`
        only lines can be repeated; write `lines`
        `at` is missing; say when it changes: `at: 10m`, or `after: CHECK` for after its repair
        `at` and `after` in one change; write two changes
        a change that changes nothing; write `files`, `facts`, `paused`, `event`, `approve` or `confirm`
        `act` means nothing here; `act` counts the acts of `after` from 1
        `load` is given under `facts` as well
        ");
    insta::assert_snapshot!(told(json!({
        "name": "x",
        "expect": [{"cpu": "ok"}, {"at": "5m", "cpu": "ok"}, {"at": "4m", "cpu": "ok"}, {"at": "400d", "cpu": "ok"}],
    })).join("\n"), @r"
        `at` is missing; say when: `at: 10m` since the start
        4m is before 5m; time goes forward
        1year 1month 4days 7h 26m 24s is more than a year; a test lasts at most 366 days
        ");
    insta::assert_snapshot!(told(json!({"name": "x"})).join("\n"), @r"a test that expects nothing; say what is to be seen: `expect: { CHECK: ok }`");
}

#[test]
fn the_schema_is_as_strict_as_the_reading() {
    let mut generator = schemars::SchemaGenerator::default();
    let root = schema(&mut generator);
    let definitions = Value::Object(generator.take_definitions(false));
    assert!(root.to_value().to_string().contains("TestForm"));
    let test = definitions.get("TestForm").expect("defined");
    assert_eq!(test["additionalProperties"], json!(false));
    assert_eq!(test["required"], json!(["name"]));
    assert_eq!(
        definitions["CheckForm"]["additionalProperties"],
        json!(false)
    );
}
