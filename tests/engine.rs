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

const BEHIND: &str = "
checks:
  - name: bot
    about: The bot is there.
    trigger: { every: 1h, events: [ { file: data/bot } ] }
    probe: { file: { file: data/bot } }
    threshold: { critical: missing }
    message: 'the bot ${if missing { \"is not there\" } else { \"is there\" }}'
  - name: orders
    about: There are orders.
    trigger: { every: 1h, events: [ { file: data/orders } ] }
    probe: { file: { file: data/orders } }
    needs: [bot]
    threshold: { warning: missing }
    message: 'orders ${if missing { \"missing\" } else { \"there\" }}'
investigations:
  - name: why
    about: Why nothing is bought.
    checks: [orders, lonely, later]
    journal: state/why.jsonl
  - name: alone
    about: What rests on nothing.
    checks: [later, lonely]
  - name: first
    about: Which was first.
    checks: [later, lonely]
";

const OTHERS: &str = "
checks:
  - name: lonely
    about: Rests on nothing.
    trigger: { every: 1h, events: [ { file: data/lonely } ] }
    probe: { file: { file: data/lonely } }
    threshold: { warning: missing }
    message: lonely
  - name: later
    about: Rests on nothing either, and broke later.
    trigger: { every: 1h, events: [ { file: data/later } ] }
    probe: { file: { file: data/later } }
    threshold: { critical: missing }
    message: later
";

/// What was told of a check: (from, to, what it waits behind).
fn told(
    news: &mut tokio::sync::broadcast::Receiver<std::sync::Arc<homeostat::engine::handle::News>>,
    all: &mut Vec<(String, Status, Status, Option<String>)>,
) {
    use homeostat::engine::handle::News;
    while let Ok(item) = news.try_recv() {
        if let News::Changed {
            check,
            from,
            to,
            behind,
            ..
        } = &*item
        {
            let behind = behind.as_ref().map(ToString::to_string);
            all.push((check.to_string(), *from, *to, behind));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_cause_is_told_once_and_what_is_left_when_it_is_gone_is_told_then() {
    use Status::{Critical, Ok as Fine, Unknown, Warning};
    let root = Root::new();
    root.put("rules/a.yaml", BEHIND);
    root.put("rules/b.yaml", OTHERS);
    let live = root.start().await.expect("it starts");
    let (mut news, mut all) = (live.handle.news(), Vec::new());
    until(SOON, "both looks", async || {
        let orders = status_of(&live, "orders").await == Some(Warning);
        (orders && status_of(&live, "bot").await == Some(Critical)).then_some(())
    })
    .await;
    let status = live.handle.status().await.expect("it runs");
    let orders = status.checks.iter().find(|it| it.name == "orders");
    assert_eq!(orders.and_then(|it| it.behind.as_deref()), Some("bot"));
    told(&mut news, &mut all);
    let of = |all: &[(String, Status, Status, Option<String>)], name: &str| {
        let its = all.iter().filter(|it| it.0 == name && it.3.is_none());
        its.map(|it| (it.1, it.2)).collect::<Vec<_>>()
    };
    assert_eq!(of(&all, "orders"), [], "no news of its own");
    root.put("data/bot", "1");
    let left = until(SOON, "what is left to be told", async || {
        told(&mut news, &mut all);
        let left = of(&all, "orders");
        (!left.is_empty()).then_some(left)
    })
    .await;
    assert_eq!(left, [(Unknown, Warning)]);
    root.put("data/orders", "1");
    until(SOON, "orders", async || {
        told(&mut news, &mut all);
        (of(&all, "orders").last() == Some(&(Warning, Fine))).then_some(())
    })
    .await;
    live.handle.stop().await.expect("it runs");
    live.finished().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_investigation_names_the_deepest_failing_check_else_the_one_that_changed_first() {
    let root = Root::new();
    root.put("rules/a.yaml", BEHIND);
    root.put("rules/b.yaml", OTHERS);
    for file in ["data/lonely", "data/later", "data/orders"] {
        root.put(file, "1");
    }
    let live = root.start().await.expect("it starts");
    let cause = async |name: &str| {
        let record = live.handle.investigate(name.into(), Duration::ZERO).await;
        record.expect("it runs")["cause"].clone()
    };
    assert_eq!(cause("why").await, serde_json::Value::Null, "all is well");
    fs::remove_file(root.at("data/lonely")).expect("it was there");
    until(SOON, "lonely", async || {
        (status_of(&live, "lonely").await == Some(Status::Warning)).then_some(())
    })
    .await;
    fs::remove_file(root.at("data/later")).expect("it was there");
    until(SOON, "later", async || {
        (status_of(&live, "later").await == Some(Status::Critical)).then_some(())
    })
    .await;
    assert_eq!(
        cause("first").await,
        "lonely",
        "first, though not the worst"
    );
    fs::remove_file(root.at("data/orders")).expect("it was there");
    until(SOON, "orders", async || {
        (status_of(&live, "orders").await == Some(Status::Warning)).then_some(())
    })
    .await;
    assert_eq!(
        cause("why").await,
        "bot",
        "it is not in the session, but what is rests on it"
    );
    let record = until(SOON, "its record", async || {
        root.lines("state/why.jsonl").into_iter().nth(1)
    })
    .await;
    assert_eq!(record["trigger"], "manual");
    assert_eq!(record["overall_status"], "CRITICAL");
    assert!(record["duration_ms"].is_number());
    live.handle.stop().await.expect("it runs");
    live.finished().await;
}

const MEANT: &str = "
checks:
  - name: limit
    about: The limit is not raised by accident.
    trigger: { every: 1h, events: [ { file: data/limit.json } ] }
    probe: { json: { file: data/limit.json } }
    baseline: doc.base
    let: { meant: 'baseline != () && baseline.value == doc.base' }
    threshold: { critical: doc.base > 3 && !meant }
    message: 'limit ${doc.base}${if meant { ` as ${baseline.by} confirmed` } else { \"\" }}'
    remediation:
      - set_json: { file: data/limit.json, set: { base: '${if baseline == () { 2 } else { baseline.value }}' } }
  - name: plain
    about: It has no baseline.
    trigger: { every: 1h }
    probe: { file: { file: data/limit.json } }
    threshold: { critical: missing }
    message: there
";

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_confirmed_is_let_alone_and_put_back() {
    let root = Root::new();
    root.put("rules/a.yaml", MEANT);
    root.put("data/limit.json", "{\"base\": 2}\n");
    let live = root.start().await.expect("it starts");
    let pause = Pause {
        at: homeostat::model::moment::Moment(0),
        by: "test".to_owned(),
        reason: String::new(),
        until: None,
    };
    live.handle.pause(pause).await.expect("it runs");
    root.put("data/limit.json", "{\"base\": 5}\n");
    let confirm = async |name: &str, reason: Option<&str>| {
        let reason = reason.map(str::to_owned);
        let confirmed = live.handle.confirm(name.into(), "ops".to_owned(), reason);
        confirmed.await.expect("it runs")
    };
    let known = confirm("limit", Some("loss stop"))
        .await
        .expect("confirmed");
    let known = known.expect("a baseline");
    assert_eq!(
        (known.value, known.reason.as_str()),
        (5.into(), "loss stop")
    );
    assert!(
        confirm("plain", Some(""))
            .await
            .is_err_and(|why| why.contains("no `baseline`"))
    );
    assert!(
        confirm("none", Some(""))
            .await
            .is_err_and(|why| why.contains("no check"))
    );
    until(SOON, "it is meant so", async || {
        (status_of(&live, "limit").await == Some(Status::Ok)).then_some(())
    })
    .await;
    live.handle.resume().await.expect("it runs");
    root.put("data/limit.json", "{\"base\": 7}\n");
    until(SOON, "what was confirmed", async || {
        root.text("data/limit.json")
            .contains("\"base\": 5")
            .then_some(())
    })
    .await;
    live.handle.stop().await.expect("it runs");
    live.finished().await;

    let live = root.start().await.expect("it starts again");
    let explained = live.handle.explain("limit".into()).await.expect("it runs");
    let explained = explained.expect("the check");
    assert_eq!(explained["baseline"]["value"], 5);
    assert_eq!(explained["baseline"]["by"], "ops");
    let forget = live.handle.confirm("limit".into(), "ops".to_owned(), None);
    assert!(forget.await.expect("it runs").is_ok());
    let again = live.handle.confirm("limit".into(), "ops".to_owned(), None);
    let why = again.await.expect("it runs").expect_err("nothing is left");
    assert_eq!(why, "nothing is confirmed for limit");
    live.handle.stop().await.expect("it runs");
    live.finished().await;
}
