//! The live engine from its library: triggers, repairs, reload, restart.

mod common;

use std::{fs, time::Duration};

use common::{Root, SOON, until};
use homeostat::model::{standing::Pause, status::Status};

const RESTORE: &str = "
checks:
  - name: weights
    about: The weights are there.
    trigger: { every: 1h, events: [ { file: data/weights.json } ] }
    probe: { json: { file: data/weights.json } }
    threshold: { warning: missing }
    message: 'weights ${if missing { \"missing\" } else { \"there\" }}'
    journal: logs/checks.jsonl
    remediation:
      when: [warning, critical]
      steps: [ { restore_file: { file: data/weights.json, from: rules/defaults/weights.json } } ]
";

fn weights() -> Root {
    let root = Root::new();
    root.put("rules/weights.yaml", RESTORE);
    root.put("rules/defaults/weights.json", "{\"a\": 1}\n");
    root.put("data/weights.json", "{\"a\": 1}\n");
    root
}

async fn status_of(live: &homeostat::engine::live::Live, name: &str) -> Option<Status> {
    let status = live.handle.status().await.ok()?;
    status
        .checks
        .iter()
        .find(|check| check.name == name)
        .map(|check| check.status)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_file_comes_back_by_its_event_and_the_journal_says_why() {
    let root = weights();
    let live = root.start().await.expect("it starts");
    until(SOON, "the first look", async || {
        (status_of(&live, "weights").await == Some(Status::Ok)).then_some(())
    })
    .await;
    fs::remove_file(root.at("data/weights.json")).expect("it was there");
    let line = until(SOON, "a verified repair in the journal", async || {
        root.lines("logs/checks.jsonl")
            .into_iter()
            .find(|line| line["verified"] == true)
    })
    .await;
    assert_eq!(root.text("data/weights.json"), "{\"a\": 1}\n");
    assert_eq!(line["status"], "OK");
    assert_eq!(line["before"]["status"], "WARNING");
    assert_eq!(line["before"]["message"], "weights missing");
    assert_eq!(line["fix_applied"], true);
    let before = root.lines("logs/checks.jsonl");
    assert!(
        before.iter().any(|line| line["status"] == "WARNING"),
        "the incident itself is in the journal"
    );
    live.handle.stop().await.expect("it runs");
    live.finished().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_engine_repairs_nothing_also_after_a_restart() {
    let root = weights();
    let live = root.start().await.expect("it starts");
    let pause = Pause {
        at: homeostat::model::moment::Moment(0),
        by: "test".to_owned(),
        reason: "maintenance".to_owned(),
        until: None,
    };
    live.handle.pause(pause).await.expect("it runs");
    live.handle.stop().await.expect("it runs");
    live.finished().await;
    let live = root.start().await.expect("it starts again");
    fs::remove_file(root.at("data/weights.json")).expect("it was there");
    let held = until(SOON, "the repair to be held", async || {
        let status = live.handle.status().await.ok()?;
        status.checks[0].held_by.clone()
    })
    .await;
    assert_eq!(held, "pause");
    assert!(!root.at("data/weights.json").exists());
    live.handle.resume().await.expect("it runs");
    let answer = live
        .handle
        .check(vec![], true, Duration::from_secs(20))
        .await
        .expect("it runs");
    assert_eq!(answer.overall, Status::Ok);
    assert_eq!(answer.checks[0].remediation.verified, Some(true));
    live.handle.stop().await.expect("it runs");
    live.finished().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_of_a_running_engine_says_what_a_check_then_does() {
    let root = weights();
    let live = root.start().await.expect("it starts");
    let pause = Pause {
        at: homeostat::model::moment::Moment(0),
        by: "test".to_owned(),
        reason: String::new(),
        until: None,
    };
    live.handle.pause(pause).await.expect("it runs");
    fs::remove_file(root.at("data/weights.json")).expect("it was there");
    let held = live.handle.dry_run(vec![]).await.expect("it runs");
    assert_eq!(held.checks[0].remediation.held_by.as_deref(), Some("pause"));
    live.handle.stop().await.expect("it runs");
    live.finished().await;
    fs::remove_dir_all(root.at("state/homeostat")).expect("it was there");
    let dry = homeostat::engine::dry::run(root.options(), vec![], None)
        .await
        .expect("the rules are right");
    let step = &dry.checks[0].remediation.steps[0];
    assert_eq!(step.kind, "restore_file");
    assert!(
        step.diff
            .as_deref()
            .is_some_and(|diff| diff.contains("+{\"a\": 1}")),
        "{step:?}"
    );
    assert!(!root.at("data/weights.json").exists() && !root.at("state/homeostat").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_engine_a_root() {
    let root = weights();
    let live = root.start().await.expect("it starts");
    let second = root.start().await.err().map(|error| error.to_string());
    assert!(second.is_some_and(|it| it.contains("another engine")));
    live.handle.stop().await.expect("it runs");
    live.finished().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_is_undone_by_hand_and_refused_once_the_file_has_changed() {
    let root = weights();
    fs::remove_file(root.at("data/weights.json")).expect("it was there");
    let live = root.start().await.expect("it starts");
    let attempt = until(SOON, "the repair", async || {
        let line = root
            .lines("logs/checks.jsonl")
            .into_iter()
            .find(|line| line["verified"] == true)?;
        (line["fix_applied"] == true).then_some(1)
    })
    .await;
    let pause = Pause {
        at: homeostat::model::moment::Moment(0),
        by: "test".to_owned(),
        reason: String::new(),
        until: None,
    };
    live.handle.pause(pause).await.expect("it runs");
    let undone = live
        .handle
        .undo(attempt, "me".to_owned())
        .await
        .expect("it runs")
        .expect("it can be undone");
    assert_eq!(undone.len(), 1);
    assert!(!root.at("data/weights.json").exists());
    root.put("data/weights.json", "{\"b\": 2}\n");
    let again = live
        .handle
        .undo(attempt, "me".to_owned())
        .await
        .expect("it runs");
    let told = match again {
        Ok(receipts) => receipts[0].detail.clone(),
        Err(error) => error,
    };
    assert!(told.contains("changed since"), "{told}");
    assert_eq!(root.text("data/weights.json"), "{\"b\": 2}\n");
    live.handle.stop().await.expect("it runs");
    live.finished().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_checks_that_repair_one_file_are_both_well_after_one_round() {
    let root = Root::new();
    root.put("rules/defaults/w.json", "{\"a\": 1}");
    let check = |name: &str, threshold: &str| {
        format!(
            "  - name: {name}\n    about: The file is there.\n    trigger: {{ every: 1h }}\n    probe: {{ json: {{ file: data/w.json }} }}\n    threshold: {{ critical: {threshold} }}\n    message: '${{len}} keys'\n    remediation: [ {{ restore_file: {{ file: data/w.json, from: rules/defaults/w.json }} }} ]\n"
        )
    };
    let rules = [check("one", "missing"), check("two", "len == 0")].concat();
    root.put("rules/a.yaml", &format!("checks:\n{rules}"));
    root.put("data/w.json", "{\"a\": 1}");
    let live = root.start().await.expect("it starts");
    std::fs::remove_file(root.at("data/w.json")).expect("it is there");
    let answer = live
        .handle
        .check(vec![], true, Duration::from_secs(20))
        .await
        .expect("it runs");
    assert_eq!(answer.overall, Status::Ok, "{answer:?}");
    let acted: Vec<bool> = answer
        .checks
        .iter()
        .map(|check| check.remediation.verified == Some(true))
        .collect();
    assert!(acted.contains(&true), "{answer:?}");
    live.handle.stop().await.expect("it runs");
    live.finished().await;
}
