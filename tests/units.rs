//! Restarting a unit through the real binary: a stand-in for `systemctl`, named by `homeostat.yaml`, brings the service back.

mod common;

use std::process::{Command, Output};

use common::Root;
use serde_json::{Value, json};

/// A manager whose one unit writes `data/up` when it is restarted.
const STANDIN: &str = r#"#!/bin/sh
echo "$*" >> state/calls
case " $* " in
*" show "*)
    if [ -f data/up ]; then echo ActiveState=active; echo SubState=running; echo MainPID=4711
    else echo ActiveState=failed; echo SubState=failed; echo MainPID=0; fi
    echo LoadState=loaded; echo NRestarts=0 ;;
*" restart "*) : > data/up ;;
esac
"#;

const RULES: &str = r#"
vars: { other: sshd }
checks:
  - name: service
    about: The service is up.
    trigger: { every: 1m }
    probe: { file: { file: data/up } }
    threshold: { critical: missing }
    message: '${if missing { "down" } else { "up" }}'
    remediation:
      - restart_unit: trading-bot.service
  - name: unwise
    about: A unit that is known only when it is filled in.
    trigger: { every: 1m }
    probe: { file: { file: data/never } }
    threshold: { critical: missing }
    message: never there
    remediation:
      - restart_unit: { unit: '${vars.other}' }
tests:
  - name: a restart brings it back
    checks: [service]
    commands:
      - { run: [ restart_unit, trading-bot.service ], exit: 1, says: no such thing, times: 1 }
      - { run: restart_unit trading-bot.service, does: { files: { data/up: { text: '' } } } }
    expect:
      - at: 20m
        service: { status: ok, verified: true, steps: [ { kind: restart_unit, target: trading-bot.service, outcome: done } ] }
        ran: [ restart_unit trading-bot.service, restart_unit trading-bot.service ]
"#;

fn root(allow: &str) -> Root {
    let root = Root::new();
    root.put("rules/units.yaml", RULES);
    root.put("bin/body", STANDIN);
    // written by somebody else, so that no child of this process keeps it open
    let tool = root.at("bin/systemctl");
    let copied = Command::new("/bin/cp")
        .arg(root.at("bin/body"))
        .arg(&tool)
        .status();
    assert!(copied.expect("it runs").success());
    let made = Command::new("/bin/chmod").arg("755").arg(&tool).status();
    assert!(made.expect("it runs").success());
    let settings = format!(
        "systemctl: {}\nallow: {{ units: [{allow}] }}\n",
        tool.display()
    );
    root.put("homeostat.yaml", &settings);
    root
}

fn run(root: &Root, line: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_homeostat"))
        .current_dir(root.path())
        .args(line.split(' '))
        .output()
        .expect("it runs")
}

/// What a check answered.
fn said(root: &Root, line: &str) -> impl Fn(&str) -> Value + use<> {
    let output = run(root, line);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let report: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}{errors}"));
    move |name| {
        let checks = report["checks"].as_array().expect("checks");
        let check = checks.iter().find(|check| check["name"] == name);
        check.unwrap_or_else(|| panic!("{report}")).clone()
    }
}

#[test]
fn a_unit_is_restarted_and_proven_up() {
    let root = root("trading-bot");
    let would = said(&root, "dry-run --json")("service");
    let step = &would["remediation"]["steps"][0];
    assert_eq!(
        (&step["kind"], &step["target"], &step["detail"]),
        (
            &json!("restart_unit"),
            &json!("trading-bot.service"),
            &json!("would restart trading-bot.service")
        ),
        "{would}"
    );
    assert_eq!(root.text("state/calls"), "", "a dry run starts no program");
    let of = said(&root, "check --json");
    let check = of("service");
    assert_eq!(
        (&check["status"], &check["remediation"]["verified"]),
        (&json!("OK"), &json!(true)),
        "{check}"
    );
    assert_eq!(
        check["remediation"]["steps"][0]["detail"], "failed → active (running), pid 4711",
        "{check}"
    );
    let held = of("unwise");
    assert_eq!(
        (
            &held["remediation"]["decision"],
            &held["remediation"]["held_by"]
        ),
        (&json!("held"), &json!("permission")),
        "{held}"
    );
    assert!(!root.text("state/calls").contains("sshd"));
}

#[test]
fn a_rule_test_restarts_nothing() {
    let root = root("trading-bot");
    let output = run(&root, "test");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}");
    assert_eq!(root.text("state/calls"), "");
}

#[test]
fn a_unit_that_is_not_allowed_is_refused_at_load() {
    let root = root("other");
    let output = run(&root, "lint");
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(
        told.contains("forbidden-unit") && told.contains("trading-bot.service"),
        "{told}"
    );
}
