//! A hundred thousand events at once: of those that set off checks, of those that nobody waits for, and of files.

use std::{fs, time::Duration};

use homeostat::clock::Stopwatch;

use crate::{
    common::{Root, SOON, until},
    end, standing, status,
    two::Program,
};

const MANY: u64 = 100_000;
/// As many changes of files as a disk takes in some seconds.
const CHANGES: u64 = 20_000;

const RULES: &str = "
checks:
  - name: posted
    about: Is looked at when it is told to.
    trigger: { events: [ { event: deploy } ] }
    probe: { json: { file: data/doc.json } }
    threshold: { critical: missing }
    journal: logs/posted.jsonl
  - name: watched
    about: Is looked at when its file changes.
    trigger: { events: [ { file: data/doc.json } ] }
    probe: { json: { file: data/doc.json } }
    threshold: { critical: '!valid' }
    journal: logs/watched.jsonl
  - name: beat
    about: Keeps its schedule.
    trigger: { every: 200ms }
    probe: { file: { file: data/steady } }
    threshold: { critical: missing }
investigations:
  - name: why
    about: Why.
    trigger: { events: [ { event: deploy } ] }
    checks: [beat]
    journal: logs/why.jsonl
";

/// A check is looked at once for all events that come while it is looked at, and once more for the last one; others are
/// not kept waiting; whoever asks is answered.
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_events_are_few_looks_and_keep_nobody_waiting() {
    let root = Root::new();
    root.put("rules/rules.yaml", RULES);
    root.put("data/doc.json", "{}");
    root.put("data/steady", "");
    let live = root.start().await.expect("it starts");
    until(SOON, "first looks", async || {
        (standing(&live, "beat").await.looks > 2).then_some(())
    })
    .await;
    let (before, from) = (status(&live).await, standing(&live, "posted").await.looks);
    let beats = standing(&live, "beat").await.looks;
    let watch = Stopwatch::new();
    for number in 0..MANY {
        let name = match number % 3 {
            0 => format!("nobody waits for {number}"),
            _ => "deploy".to_owned(),
        };
        live.handle.event(name).expect("the engine lives");
    }
    let sent = watch.elapsed();
    status(&live).await;
    let answered = watch.elapsed();
    // What comes behind all of them is served.
    live.handle
        .event("deploy".to_owned())
        .expect("the engine lives");
    until(SOON, "a beat afterwards", async || {
        (standing(&live, "beat").await.looks >= beats + 5).then_some(())
    })
    .await;
    let looks = standing(&live, "posted").await.looks - from;
    let missed = status(&live).await.missed_slots - before.missed_slots;
    println!(
        "{MANY} events sent in {sent:?}, answered after {answered:?}: {looks} looks, {missed} slots missed"
    );
    assert!(answered < sent + Duration::from_secs(5), "{answered:?}");
    assert!((1..MANY / 50).contains(&looks), "{looks} looks");
    assert!(missed <= 25, "{missed} slots missed");
    let inquiries = root.lines("logs/why.jsonl").len() as u64;
    assert!(inquiries < MANY / 50, "{inquiries} investigations");
    end(live).await;
}

/// The file of a check changes all the time, and so does all around it: it is judged a few times a second, at last as it
/// is at last, and the engine's memory does not grow with what happens.
#[tokio::test(flavor = "multi_thread")]
async fn twenty_thousand_changes_of_files_are_few_looks() {
    let root = Root::new();
    root.put("rules/rules.yaml", RULES);
    root.put("data/doc.json", "{}");
    root.put("data/steady", "");
    let program = Program::start(&root);
    let lines = |file: &str| root.lines(file).len() as u64;
    until(SOON, "the first look", async || {
        (lines("logs/watched.jsonl") > 0).then_some(())
    })
    .await;
    let (from, memory) = (lines("logs/watched.jsonl"), program.most_memory());
    let watch = Stopwatch::new();
    for number in 0..CHANGES {
        match number % 4 {
            0 => fs::write(root.at("data/doc.json"), "{\"a\": 1}").expect("written"),
            1 => fs::write(root.at("data/beside"), "x").expect("written"),
            2 => fs::rename(root.at("data/beside"), root.at("data/doc.tmp")).expect("renamed"),
            _ => fs::remove_file(root.at("data/doc.tmp")).expect("removed"),
        }
    }
    fs::write(root.at("data/doc.json"), "the last").expect("written");
    let took = watch.elapsed();
    until(
        Duration::from_secs(5),
        "the last one to be judged",
        async || {
            let lines = root.lines("logs/watched.jsonl");
            lines
                .last()
                .filter(|line| line["status"] == "CRITICAL")
                .map(drop)
        },
    )
    .await;
    let looks = lines("logs/watched.jsonl") - from;
    let grown = program.most_memory().saturating_sub(memory);
    println!("{CHANGES} changes in {took:?}: {looks} looks, {grown} KiB more");
    assert!(looks <= 4 + took.as_millis() as u64 / 400, "{looks} looks");
    assert!(grown < 64 << 10, "{grown} KiB more");
}
