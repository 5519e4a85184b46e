//! Hostile facts and hostile rules, through the program itself: what a fact says is one argument, one name, one value and
//! nothing more, and rules reach nothing but what homeostat.yaml and the three directories allow.

mod common;

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::Path,
    process::Command,
};

use common::Root;
use serde_json::{Value, json};

/// Texts that mean something to a shell, a path, a template, JSON or a terminal.
const HOSTILE: [&str; 18] = [
    "plain",
    "",
    " ",
    "a b",
    "-rf",
    "--",
    "--output=/tmp/x",
    "$(id)",
    "`id`",
    "; rm -rf /",
    "a\nb",
    "\"'\\\"",
    "*",
    "$HOME",
    "${env(\"SECRET\")}",
    "../../x",
    "\u{1b}[2J",
    "名前\u{202e}",
];

struct Site {
    root: Root,
    /// A directory that nothing may touch, and the program that writes down how it was called.
    outside: tempfile::TempDir,
}

impl Site {
    fn new(facts: &Value, steps: &str) -> Site {
        let (root, outside) = (Root::new(), tempfile::tempdir().unwrap());
        let recorder = outside.path().join("recorder");
        let seen = root.at("state/seen");
        let body = format!(
            "#!/bin/sh\nfor word in \"$@\"; do printf '%s\\0' \"$word\"; done >> {0}\nprintf '\\n' >> {0}\n",
            seen.display()
        );
        fs::write(&recorder, body).unwrap();
        fs::set_permissions(&recorder, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(outside.path().join("secret"), "untouched").unwrap();
        root.put(
            "homeostat.yaml",
            &format!(
                "env: [SECRET]\nallow: {{ run: [ \"{} word *\" ] }}\n",
                recorder.display()
            ),
        );
        root.put("data/facts.json", &facts.to_string());
        let steps = steps.replace("RECORDER", &recorder.display().to_string());
        // others that are well: one bad check among them is no storm
        let quiet: String = (0..3)
            .map(|nth| {
                format!("  - {{ name: quiet{nth}, about: Well., trigger: {{ every: 1h }}, probe: {{ file: {{ file: data/facts.json }} }}, threshold: {{ critical: missing }}, message: well }}\n")
            })
            .collect();
        root.put(
            "rules/a.yaml",
            &format!(
                "checks:\n{quiet}  - name: hostile\n    about: Somebody writes what we read.\n    trigger: {{ every: 1h }}\n    \
                 probe: {{ json: {{ file: data/facts.json }} }}\n    threshold: {{ critical: 'true' }}\n    message: bad\n    \
                 remediation:\n      steps: {steps}\n      guard: {{ cooldown: 0s }}\n      verify: {{ within: 1s }}\n"
            ),
        );
        Site { root, outside }
    }

    fn say(&self, line: &str) -> (i32, String, String) {
        let said = Command::new(env!("CARGO_BIN_EXE_homeostat"))
            .current_dir(self.root.path())
            .env_remove("HOMEOSTAT_LOG")
            .env("SECRET", "hunter2")
            .args(line.split(' '))
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            said.status.code().unwrap_or(-1),
            text(said.stdout),
            text(said.stderr),
        )
    }

    /// What became of the hostile check.
    fn remediation(&self, line: &str) -> Value {
        let (_, out, err) = self.say(line);
        let answer: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{err}"));
        assert!(
            !out.contains("hunter2") && !err.contains("hunter2"),
            "{out}{err}"
        );
        let checks = answer["checks"].as_array().unwrap();
        let check = checks.iter().find(|check| check["name"] == "hostile");
        check.unwrap_or_else(|| panic!("{answer}"))["remediation"].clone()
    }

    /// How the recorder was called, call by call.
    fn calls(&self) -> Vec<Vec<String>> {
        let seen = self.root.text("state/seen");
        let calls = seen.split("\0\n").filter(|call| !call.is_empty());
        calls
            .map(|call| call.split('\0').map(str::to_owned).collect())
            .collect()
    }

    fn assert_outside_is_untouched(&self) {
        let mut names: Vec<_> = fs::read_dir(self.outside.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["recorder", "secret"]);
        let secret = self.outside.path().join("secret");
        assert_eq!(fs::read_to_string(&secret).unwrap(), "untouched");
        assert_eq!(fs::metadata(secret).unwrap().nlink(), 1);
        assert!(!Path::new("/tmp/x").exists());
    }
}

#[test]
fn a_fact_in_argv_is_one_argument() {
    let steps = "[ [ { each: doc, run_command: { argv: [ RECORDER, word, '${it}' ] } } ] ]";
    let site = Site::new(&json!(HOSTILE), steps);
    let dry = site.remediation("dry-run hostile --json");
    assert_eq!(
        dry["steps"].as_array().map(Vec::len),
        Some(HOSTILE.len()),
        "{dry}"
    );
    assert!(site.calls().is_empty(), "a dry run starts nothing");
    let done = site.remediation("check hostile --json --wait 1s");
    assert_eq!(
        done["steps"].as_array().map(Vec::len),
        Some(HOSTILE.len()),
        "{done}"
    );
    let wanted: Vec<Vec<String>> = HOSTILE
        .iter()
        .map(|word| vec!["word".to_owned(), (*word).to_owned()])
        .collect();
    assert_eq!(site.calls(), wanted);
    site.assert_outside_is_untouched();
}

#[test]
fn a_fact_is_no_program_and_no_second_argument() {
    for (facts, argv) in [
        (json!("/bin/sh"), "[ '${doc}', word, x ]"),
        (json!("/bin/sh -c id"), "[ '${doc}', word, x ]"),
        (json!("other"), "[ RECORDER, '${doc}', x ]"),
        (json!(["x", "y"]), "[ RECORDER, word, '${doc}' ]"),
        (json!({"a": 1}), "[ RECORDER, word, '${doc}' ]"),
        (json!("x\u{0}y"), "[ RECORDER, word, '${doc}' ]"),
        (json!(null), "[ RECORDER, word, '${doc}' ]"),
        (json!(null), "[ RECORDER, word, 'a${doc}' ]"),
        (json!(["RECORDER", "word", "x"]), "'${doc}'"),
        (json!("x"), "[ RECORDER, word, '${doc}', y ]"),
        (json!("x"), "[ RECORDER, word ]"),
    ] {
        let steps = format!("[ run_command: {{ argv: {argv} }} ]");
        let site = Site::new(&facts, &steps);
        let (code, out, err) = site.say("lint");
        if code != 0 {
            assert!(
                out.contains("forbidden-program")
                    || err.contains("forbidden-program")
                    || out.contains("wrong-type")
                    || err.contains("wrong-type"),
                "{argv}: {out}{err}"
            );
            continue;
        }
        let done = site.remediation("check hostile --json --wait 1s");
        let decision = done["decision"].as_str().unwrap_or_default();
        assert!(
            ["held", "failed"].contains(&decision),
            "{argv} with {facts}: {done}"
        );
        assert!(site.calls().is_empty(), "{argv} with {facts}: {done}");
        site.assert_outside_is_untouched();
    }
}

#[test]
fn a_fact_in_a_path_leads_nowhere_else() {
    let names = [
        "plain",
        "../../../outside",
        "/etc/passwd",
        "a/../../../x",
        "..",
        "",
        "a\u{0}b",
        "../in/plain",
        "out/secret",
        "link",
        "./plain",
        "a\nb",
        "$(id)",
        "~",
    ];
    for kind in [
        "write_file: { file: 'data/in/${it}', body: new }",
        "set_json: { file: 'data/in/${it}', set: { a: 1 }, create: true }",
        "remove_file: { file: 'data/in/${it}' }",
        "move_file: { file: 'data/in/${it}', to: state/moved, overwrite: true }",
        "move_file: { file: data/source, to: 'data/in/${it}', overwrite: true }",
        "restore_file: { file: 'data/in/${it}', from: rules/defaults/x }",
        "restore_file: { file: 'data/restored', from: 'rules/defaults/${it}' }",
        "write_file: { file: '${it}', body: new }",
    ] {
        // one name at a time, so that none is held for another's sake
        for name in names {
            let site = Site::new(&json!([name]), &format!("[ {{ each: doc, {kind} }} ]"));
            site.root.put("rules/defaults/x", "{}");
            site.root.put("data/in/plain", "{\"a\": 0}");
            site.root.put("data/source", "{\"a\": 0}");
            symlink(site.outside.path(), site.root.at("data/in/out")).unwrap();
            symlink(
                site.outside.path().join("secret"),
                site.root.at("data/in/link"),
            )
            .unwrap();
            let rules = site.root.text("rules/a.yaml");
            let done = site.remediation("check hostile --json --wait 0s");
            assert_ne!(done["decision"], "none", "{kind} {name:?}: {done}");
            site.assert_outside_is_untouched();
            assert_eq!(site.root.text("rules/a.yaml"), rules);
            assert!(site.root.at("homeostat.yaml").exists());
            let mut there: Vec<_> = fs::read_dir(site.root.path())
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            there.sort();
            assert_eq!(
                there,
                ["data", "homeostat.yaml", "logs", "rules", "state"],
                "{kind} {name:?}"
            );
            if kind.contains("'${it}'") && kind.starts_with("write_file") {
                assert_eq!(done["held_by"], "permission", "{name:?}: {done}");
            }
        }
    }
}

#[test]
fn a_fact_in_json_is_one_value() {
    let values = [
        json!("\"}, \"admin\": true, {\""),
        json!("\\"),
        json!("\u{0}"),
        json!("a\nb"),
        json!({"deep": [1, {"x": null}]}),
        json!([]),
        json!(3),
        json!(0.1),
        json!(true),
        json!("${env(\"SECRET\")}"),
        json!(9_007_199_254_740_993_i64),
        json!("x".repeat(1 << 20)),
        json!("1e400"),
    ];
    for value in values {
        let steps = "[ [ set_json: { file: data/t.json, set: { a: '${doc.v}' } }, write_file: { file: data/w.json, body: { a: '${doc.v}', t: 'is ${text(doc.v)}' } } ] ]";
        let site = Site::new(&json!({"v": value}), steps);
        site.root.put("data/t.json", "{\"keep\": 1, \"a\": 0}\n");
        let done = site.remediation("check hostile --json --wait 0s");
        let read = |file: &str| -> Value {
            let text = site.root.text(file);
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}: {done}"))
        };
        assert_eq!(read("data/t.json"), json!({"keep": 1, "a": value}));
        let written = read("data/w.json");
        assert_eq!(written["a"], value);
        assert_eq!(written.as_object().map(serde_json::Map::len), Some(2));
        site.assert_outside_is_untouched();
    }
    // what JSON can hold and an expression cannot is refused, not rounded
    for body in [
        "{\"v\": 18446744073709551615}",
        "{\"v\": 1e400}",
        "{\"v\": NaN}",
    ] {
        let site = Site::new(
            &json!({}),
            "[ set_json: { file: data/t.json, set: { a: '${doc.v}' } } ]",
        );
        site.root.put("data/facts.json", body);
        site.root.put("data/t.json", "{\"a\": 0}\n");
        let done = site.remediation("check hostile --json --wait 0s");
        assert_eq!(
            site.root.text("data/t.json"),
            "{\"a\": 0}\n",
            "{body}: {done}"
        );
    }
}

/// The same facts through a script that gives steps.
#[test]
fn a_script_gives_nothing_that_a_rule_may_not() {
    let script = "let steps = [];\nfor name in args.names { steps.push(#{ write_file: #{ file: name, body: \"new\" } }); }\nsteps\n";
    for name in [
        "../x",
        "/tmp/x",
        "rules/a.yaml",
        "data/in/../../x",
        "state/homeostat/history.db",
        "data/out/secret",
        "${env(\"SECRET\")}",
    ] {
        let steps = "[ run_script: { file: rules/scripts/s.rhai, args: { names: '${doc}' } } ]";
        let site = Site::new(&json!([name]), steps);
        site.root.put("rules/scripts/s.rhai", script);
        symlink(site.outside.path(), site.root.at("data/out")).unwrap();
        let rules = site.root.text("rules/a.yaml");
        let done = site.remediation("check hostile --json --wait 0s");
        assert_eq!(
            (&done["decision"], &done["held_by"]),
            (&json!("held"), &json!("permission")),
            "{name}: {done}"
        );
        site.assert_outside_is_untouched();
        assert_eq!(site.root.text("rules/a.yaml"), rules);
    }
}

/// Rules that name forbidden things outright do not load, and a check of them does nothing.
#[test]
fn hostile_rules_do_not_load() {
    for (step, code) in [
        ("write_file: { file: ../x, body: '' }", "forbidden-path"),
        (
            "write_file: { file: /etc/passwd, body: '' }",
            "forbidden-path",
        ),
        ("remove_file: { file: rules/a.yaml }", "forbidden-path"),
        ("remove_file: { file: homeostat.yaml }", "forbidden-path"),
        (
            "set_json: { file: state/homeostat/history.db, set: { a: 1 } }",
            "forbidden-path",
        ),
        (
            "move_file: { file: data/facts.json, to: rules/b.yaml }",
            "forbidden-path",
        ),
        (
            "move_file: { file: state/homeostat/lock, to: data/lock }",
            "forbidden-path",
        ),
        (
            "restore_file: { file: data/x, from: /etc/passwd }",
            "forbidden-path",
        ),
        (
            "restore_file: { file: data/x, from: rules/defaults/../a.yaml }",
            "forbidden-path",
        ),
        (
            "run_command: { argv: [ /bin/sh, -c, id ] }",
            "forbidden-program",
        ),
        ("run_command: { argv: [ recorder ] }", "forbidden-program"),
        ("run_script: { file: /etc/passwd }", "missing-script"),
        (
            "run_script: { file: rules/scripts/../../x.rhai }",
            "missing-script",
        ),
    ] {
        let site = Site::new(&json!(1), &format!("[ {step} ]"));
        let (code_of, out, err) = site.say("lint");
        assert_eq!(code_of, 1, "{step}: {out}{err}");
        assert!(
            out.contains(code) || err.contains(code),
            "{step}: {out}{err}"
        );
        let (_, out, _) = site.say("check --json --wait 0s");
        assert!(!out.contains("\"repaired\""), "{step}: {out}");
        site.assert_outside_is_untouched();
    }
}

/// A file of 1 GiB in the place of a small one: the look fails in its time, in memory that would not hold the file.
#[test]
fn a_huge_file_is_an_error_in_bounded_memory() {
    let site = Site::new(&json!(1), "[ write_file: { file: data/y, body: '' } ]");
    let huge = fs::File::create(site.root.at("data/facts.json")).unwrap();
    huge.set_len(1 << 30).unwrap();
    let said = Command::new("/bin/sh")
        .args([
            "-c",
            "ulimit -v 1000000; exec \"$0\" check hostile --json --wait 0s --no-fix",
            env!("CARGO_BIN_EXE_homeostat"),
        ])
        .current_dir(site.root.path())
        .output()
        .unwrap();
    let out = String::from_utf8_lossy(&said.stdout).into_owned();
    let answer: Value = serde_json::from_str(&out)
        .unwrap_or_else(|_| panic!("{out}{}", String::from_utf8_lossy(&said.stderr)));
    let check = &answer["checks"][0];
    assert_eq!(check["status"], "UNKNOWN", "{check}");
    assert!(
        check["error"].to_string().contains("larger than 16 MiB"),
        "{check}"
    );
}
