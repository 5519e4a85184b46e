//! Files that are replaced a thousand times a second, and never left alone.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use homeostat::clock::{self, Stopwatch};

use crate::{
    common::{Root, SOON, until},
    end, status,
};

const SPAN: Duration = Duration::from_secs(4);
/// The last version of a rule file is live after this, by the promise of hot reload.
const LIVE: Duration = Duration::from_secs(2);

/// Replaces a file by a rename, a thousand times a second, until it is told to stop. Gives how often it did.
fn replacing(
    root: &Root,
    file: &str,
    text: impl Fn(u64) -> String + Send + 'static,
) -> (Arc<AtomicBool>, JoinHandle<u64>) {
    let stop = Arc::new(AtomicBool::new(false));
    let (target, beside) = (root.at(file), root.at("beside.tmp"));
    let stopped = stop.clone();
    let thread = std::thread::spawn(move || {
        let (watch, mut number) = (Stopwatch::new(), 0);
        while !stopped.load(Ordering::SeqCst) {
            number += 1;
            fs::write(&beside, text(number)).expect("written");
            fs::rename(&beside, &target).expect("renamed");
            let due = Duration::from_millis(number);
            if let Some(rest) = due.checked_sub(watch.elapsed()) {
                std::thread::park_timeout(rest);
            }
        }
        number
    });
    (stop, thread)
}

fn rules(number: u64) -> String {
    // Two checks of one version: what is live must be of one and the same, and whole.
    let check = |name: &str| {
        format!(
            "  - name: {name}_{number}\n    about: Version {number}.\n    trigger: {{ every: 200ms }}\n    \
             probe: {{ json: {{ file: data/doc.json }} }}\n    threshold: {{ critical: '!valid' }}\n    \
             journal: logs/checks.jsonl\n"
        )
    };
    format!(
        "checks:\n{}{}{}",
        check("a"),
        "# filling\n".repeat(2000),
        check("b")
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_file_replaced_a_thousand_times_a_second() {
    let root = Root::new();
    root.put("rules/rules.yaml", &rules(0));
    root.put("data/doc.json", "{}");
    let live = root.start().await.expect("it starts");
    let (stop, thread) = replacing(&root, "rules/rules.yaml", rules);
    let (watch, mut generations, mut seen) = (Stopwatch::new(), 0, live.generation.to_string());
    while watch.elapsed() < SPAN {
        let now = status(&live).await;
        assert!(now.complaints.is_empty(), "{:?}", now.complaints_text);
        let version = |check: &homeostat::engine::handle::StandingAnswer| {
            check
                .name
                .split_once('_')
                .map(|(_, number)| number.to_owned())
        };
        let versions: Vec<_> = now.checks.iter().map(version).collect();
        assert_eq!(versions.len(), 2, "{versions:?}");
        assert_eq!(versions[0], versions[1], "of two versions");
        if now.generation != seen {
            (seen, generations) = (now.generation, generations + 1);
        }
        clock::sleep(Duration::from_millis(5)).await;
    }
    stop.store(true, Ordering::SeqCst);
    let last = thread.join().expect("it replaces");
    let stopped = Stopwatch::new();
    until(SOON, "the last version", async || {
        let checks = status(&live).await.checks;
        (checks.len() == 2
            && checks
                .iter()
                .all(|it| it.name.ends_with(&format!("_{last}"))))
        .then_some(())
    })
    .await;
    let took = stopped.elapsed();
    println!("{last} versions in {SPAN:?}: {generations} went live, the last one after {took:?}");
    assert!(last > 1000, "{last}: not restless enough");
    // It is not starved by the noise, and does no more than it must.
    assert!(generations >= 1, "nothing went live meanwhile");
    assert!(
        generations <= SPAN.as_secs() + 1,
        "{generations} compiles in {SPAN:?}"
    );
    assert!(took < LIVE, "live after {took:?}");
    end(live).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watched_file_replaced_a_thousand_times_a_second_is_never_seen_torn() {
    let root = Root::new();
    root.put(
        "rules/rules.yaml",
        "
checks:
  - name: by_event
    about: The document is whole.
    trigger: { events: [ { file: data/doc.json } ] }
    probe: { json: { file: data/doc.json } }
    threshold: { critical: '!valid || doc.first != doc.last' }
    message: '${if valid { `version ${doc.last}` } else { parse_error }}'
    journal: logs/event.jsonl
  - name: by_clock
    about: The document is whole.
    trigger: { every: 100ms }
    probe: { json: { file: data/doc.json } }
    threshold: { critical: '!valid || doc.first != doc.last' }
    message: '${if valid { `version ${doc.last}` } else { parse_error }}'
    journal: logs/clock.jsonl
",
    );
    let text = |number: u64| {
        format!(
            "{{\"first\": {number}, \"filling\": \"{}\", \"last\": {number}}}\n",
            "x".repeat(50_000)
        )
    };
    root.put("data/doc.json", &text(0));
    let live = root.start().await.expect("it starts");
    let (stop, thread) = replacing(&root, "data/doc.json", text);
    clock::sleep(SPAN).await;
    stop.store(true, Ordering::SeqCst);
    let last = thread.join().expect("it replaces");
    let wanted = format!("version {last}");
    until(LIVE, "the last version, by its event", async || {
        let lines = root.lines("logs/event.jsonl");
        lines
            .last()
            .filter(|line| line["message"] == *wanted)
            .map(drop)
    })
    .await;
    let (event, clock) = (
        root.lines("logs/event.jsonl"),
        root.lines("logs/clock.jsonl"),
    );
    for line in event.iter().chain(&clock) {
        assert_eq!(line["status"], "OK", "{line}");
    }
    println!(
        "{last} versions: {} looks by event, {} by the clock",
        event.len(),
        clock.len()
    );
    // Not starved, and not at every change.
    assert!(event.len() >= 3, "{} looks", event.len());
    assert!(
        event.len() as u64 <= 2 * SPAN.as_secs() + 4,
        "{} looks",
        event.len()
    );
    assert!(
        clock.len() as u64 >= SPAN.as_millis() as u64 / 100 / 2,
        "{} looks",
        clock.len()
    );
    end(live).await;
}
