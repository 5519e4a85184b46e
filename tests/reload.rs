//! Hot reload: every fault of a rule set, in every way a file can come to be wrong. The engine lives, the old book keeps
//! running (not merely loaded), the complaint is shown, and once the file is mended the new book is live.

mod common;

use std::{fs, os::unix::fs::symlink, time::Duration};

use common::{
    Root, SOON,
    faults::{Fault, GOOD, faults},
    until,
};
use futures::{StreamExt, stream};
use homeostat::{
    clock::Stopwatch,
    engine::{handle::StatusAnswer, live::Live},
    model::status::Status,
};

/// Engines under test at the same time.
const TOGETHER: usize = 24;

#[derive(Clone, Copy, Debug)]
enum Way {
    WrittenInPlace,
    RenamedOver,
    SymlinkSwapped,
    DeletedAndRewritten,
}

const WAYS: [Way; 4] = [
    Way::WrittenInPlace,
    Way::RenamedOver,
    Way::SymlinkSwapped,
    Way::DeletedAndRewritten,
];

const FILE: &str = "rules/extra.yaml";

/// Puts a text into place.
fn put(root: &Root, way: Way, text: &str, number: usize) {
    let beside = format!("versions/{number}.yaml");
    match way {
        Way::WrittenInPlace => root.put(FILE, text),
        Way::RenamedOver => {
            root.put(&beside, text);
            fs::rename(root.at(&beside), root.at(FILE)).expect("a rename");
        }
        Way::SymlinkSwapped => {
            root.put(&beside, text);
            let link = root.at("versions/link");
            let _ = fs::remove_file(&link); // none the first time
            symlink(root.at(&beside), &link).expect("a link");
            fs::rename(&link, root.at(FILE)).expect("a rename");
        }
        Way::DeletedAndRewritten => {
            let _ = fs::remove_file(root.at(FILE)); // it may be a link to nowhere
            root.put(FILE, text);
        }
    }
}

/// A good file; another one for each number.
fn good(number: usize) -> String {
    GOOD.replace("vars: { need: 3 }\n", "")
        .replace("steady", &format!("extra_{number}"))
}

async fn status(live: &Live) -> StatusAnswer {
    live.handle.status().await.expect("the engine lives")
}

fn looks(status: &StatusAnswer, name: &str) -> u64 {
    status
        .checks
        .iter()
        .find(|check| check.name == name)
        .map_or(0, |check| check.looks)
}

async fn start(text: &str) -> (Root, Live) {
    let root = Root::new();
    root.put(
        "rules/basic.yaml",
        &GOOD.replace("every: 1s", "every: 200ms"),
    );
    root.put("data/steady.json", "{}");
    root.put(FILE, text);
    let live = root.start().await.expect("it starts");
    (root, live)
}

/// One fault in all four ways on one engine. Returns how long each mended book took to be live.
async fn try_fault(fault: &Fault) -> Vec<Duration> {
    let (root, live) = start(&good(0)).await;
    let mut took = Vec::new();
    for (number, way) in WAYS.into_iter().enumerate() {
        let what = format!("{} {way:?}", fault.name);
        let before = status(&live).await;
        assert!(before.complaints.is_empty(), "{what}");
        put(&root, way, &fault.text, 2 * number);
        let refused = until(SOON, &format!("{what} to be refused"), async || {
            let now = status(&live).await;
            (!now.complaints.is_empty()).then_some(now)
        })
        .await;
        assert_eq!(refused.generation, before.generation, "{what}");
        let shown = refused.complaints.iter().any(|complaint| {
            complaint["code"] == fault.code && complaint["place"]["line"] == fault.line
        });
        assert!(shown, "{what}: {:#?}", refused.complaints);
        let text = refused.complaints_text.unwrap_or_default();
        assert!(text.contains("extra.yaml"), "{what}: {text}");
        let from = looks(&status(&live).await, "steady");
        until(SOON, &format!("{what}: two more looks"), async || {
            (looks(&status(&live).await, "steady") >= from + 2).then_some(())
        })
        .await;
        let watch = Stopwatch::new();
        put(&root, way, &good(number + 1), 2 * number + 1);
        let wanted = format!("extra_{}", number + 1);
        let mended = until(SOON, &format!("{what}: the mended book"), async || {
            let now = status(&live).await;
            now.checks
                .iter()
                .any(|check| check.name == wanted)
                .then_some(now)
        })
        .await;
        took.push(watch.elapsed());
        assert_ne!(mended.generation, before.generation, "{what}");
        assert!(mended.complaints.is_empty(), "{what}");
    }
    live.handle.stop().await.expect("the engine lives");
    live.finished().await;
    took
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_fault_in_every_way_leaves_the_old_book_running() {
    let all = faults();
    let count = all.len();
    assert!(count >= 60);
    let took: Vec<Vec<Duration>> = stream::iter(all.iter().map(try_fault))
        .buffer_unordered(TOGETHER)
        .collect()
        .await;
    let mut took: Vec<Duration> = took.into_iter().flatten().collect();
    took.sort();
    println!(
        "{count} faults in {} ways with {TOGETHER} engines at once: mended books live after {:?} (median), {:?} (most)",
        WAYS.len(),
        took[took.len() / 2],
        took[took.len() - 1]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_beside_a_broken_file_starts_from_the_last_good_book() {
    let (root, live) = start(&good(0)).await;
    let generation = live.generation.clone();
    live.handle.stop().await.expect("the engine lives");
    live.finished().await;
    root.put(FILE, "checks: [ { nme: x } ]");
    let live = root.start().await.expect("it starts all the same");
    assert_eq!(live.generation, generation);
    assert!(live.started_from_last_good.is_some());
    assert_eq!(live.checks, 2);
    let answer = status(&live).await;
    assert!(!answer.complaints.is_empty(), "and says so");
    put(&root, Way::WrittenInPlace, &good(1), 0);
    until(SOON, "the mended book", async || {
        let now = status(&live).await;
        now.checks
            .iter()
            .any(|check| check.name == "extra_1")
            .then_some(())
    })
    .await;
    live.handle.stop().await.expect("the engine lives");
    live.finished().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_last_good_book_a_broken_file_keeps_it_from_starting() {
    let root = Root::new();
    root.put(FILE, "checks: [ { nme: x } ]");
    let error = root.start().await.err().map(|error| error.to_string());
    assert_eq!(error.as_deref(), Some("the rules have mistakes"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_directory_may_be_swapped_by_its_link() {
    let root = Root::new();
    fs::remove_dir(root.at("rules")).expect("an empty directory");
    root.put("data/steady.json", "{}");
    root.put("a/basic.yaml", GOOD);
    root.put("b/basic.yaml", GOOD);
    root.put("b/more.yaml", &good(7));
    symlink(root.at("a"), root.at("rules")).expect("a link");
    let live = root.start().await.expect("it starts");
    symlink(root.at("b"), root.at("next")).expect("a link");
    fs::rename(root.at("next"), root.at("rules")).expect("a rename");
    until(SOON, "the other directory", async || {
        let now = status(&live).await;
        now.checks
            .iter()
            .any(|check| check.name == "extra_7")
            .then_some(())
    })
    .await;
    live.handle.stop().await.expect("the engine lives");
    live.finished().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn removing_every_rule_is_refused_and_an_unchanged_check_keeps_its_standing() {
    let (root, live) = start(&good(0)).await;
    until(SOON, "a first look", async || {
        let now = status(&live).await;
        now.checks
            .iter()
            .all(|check| check.status != Status::Unknown)
            .then_some(())
    })
    .await;
    let since = |now: &StatusAnswer| {
        let steady = now.checks.iter().find(|check| check.name == "steady");
        steady.map(|check| check.since)
    };
    let before = status(&live).await;
    put(&root, Way::RenamedOver, &good(1), 0);
    let after = until(SOON, "the other book", async || {
        let now = status(&live).await;
        (now.generation != before.generation).then_some(now)
    })
    .await;
    assert_eq!(since(&after), since(&before));
    assert!(looks(&after, "steady") >= looks(&before, "steady"));
    fs::rename(root.at("rules"), root.at("away")).expect("a rename");
    until(SOON, "a complaint", async || {
        (!status(&live).await.complaints.is_empty()).then_some(())
    })
    .await;
    assert_eq!(status(&live).await.checks.len(), 2, "the old book runs on");
    live.handle.stop().await.expect("the engine lives");
    live.finished().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_that_cannot_be_taken_over_are_refused_and_not_called_live() {
    let root = Root::new();
    let rules = tempfile::tempdir().expect("a directory");
    let write = |text: &str| fs::write(rules.path().join("basic.yaml"), text).expect("a file");
    write(GOOD);
    let mut options = root.options();
    options.rules = rules.path().to_owned();
    let live = homeostat::engine::live::start(options)
        .await
        .expect("it starts");
    let generation = status(&live).await.generation;
    let away = root.path().with_extension("away");
    fs::rename(root.path(), &away).expect("a rename");
    write(&good(1));
    let answer = live.handle.reload().await.expect("the engine lives");
    assert!(!answer.live, "{answer:?}");
    assert_eq!(answer.generation, generation, "the old book runs on");
    let text = answer.complaints_text.unwrap_or_default();
    assert!(text.contains("root-lost"), "{text}");
    assert!(!status(&live).await.complaints.is_empty());
    fs::rename(&away, root.path()).expect("a rename");
    live.handle.stop().await.expect("the engine lives");
    live.finished().await;
}
