//! The clock is set back a day, and forward a day, while a repair is under way.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use homeostat::{
    clock::{Clock, SystemClock},
    engine::live,
    model::moment::Moment,
};

use crate::{
    common::{Root, SOON, until},
    end, standing, status,
};

const DAY: i64 = 86_400_000;

/// The machine's clock, set by so many milliseconds.
#[derive(Default)]
struct Set(AtomicI64);

impl Clock for Set {
    fn now(&self) -> Moment {
        Moment(SystemClock.now().0 + self.0.load(Ordering::SeqCst))
    }

    fn is_machines(&self) -> bool {
        true
    }
}

const RULES: &str = "
checks:
  - name: slow
    about: Is mended, and shows it only later.
    trigger: { every: 200ms }
    probe: { file: { file: data/proof } }
    threshold: { critical: missing }
    journal: logs/checks.jsonl
    remediation:
      steps: [ { remove_file: { file: data/stuck } } ]
      verify: { within: 10m }
      guard: { cooldown: 2s }
  - name: beat
    about: Is looked at all the time.
    trigger: { every: 200ms }
    probe: { file: { file: data/steady } }
    threshold: { critical: missing }
";

/// A repair is being verified when the clock is set: it is neither called failed nor done again, nothing is replayed,
/// and both checks go on.
async fn set_by(by: i64) {
    let root = Root::new();
    root.put("rules/rules.yaml", RULES);
    root.put("data/steady", "");
    root.put("data/stuck", "");
    let clock = Arc::new(Set::default());
    let options = live::Options {
        clock: clock.clone(),
        ..root.options()
    };
    let live = live::start(options).await.expect("it starts");
    until(SOON, "the repair to wait for its proof", async || {
        let (_, phase) = standing(&live, "slow").await.attempt?;
        (phase == "verifying").then_some(())
    })
    .await;
    let before = status(&live).await;
    clock.0.store(by, Ordering::SeqCst);
    let looked = |status: &homeostat::engine::handle::StatusAnswer, name: &str| {
        let found = status.checks.iter().find(|check| check.name == name);
        found.map_or(0, |check| check.looks)
    };
    let later = until(SOON, "looks on the new time", async || {
        let now = status(&live).await;
        ["slow", "beat"]
            .iter()
            .all(|name| looked(&now, name) >= looked(&before, name) + 5)
            .then_some(now)
    })
    .await;
    // A day of slots, every 200 ms, was neither missed nor made up for.
    let missed = later.missed_slots - before.missed_slots;
    assert!(missed < 50, "{missed} slots");
    let slow = standing(&live, "slow").await;
    assert_eq!(
        slow.attempt.map(|(id, phase)| (id, phase.to_string())),
        Some((1, "verifying".to_owned())),
        "{:?}",
        root.lines("logs/checks.jsonl")
    );
    root.put("data/proof", "");
    let line = until(SOON, "the proof", async || {
        let lines = root.lines("logs/checks.jsonl");
        lines.into_iter().find(|line| line["verified"] == true)
    })
    .await;
    let told = line["timestamp"].as_f64().expect("a time") * 1000.0;
    assert!((told - clock.now().0 as f64).abs() < 60_000.0, "{line}");
    // The next repair waits: nobody knows what the old cooldown is worth. And then it comes.
    std::fs::remove_file(root.at("data/proof")).expect("there");
    root.put("data/stuck", "");
    until(SOON, "the next repair", async || {
        (!root.at("data/stuck").exists()).then_some(())
    })
    .await;
    end(live).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_set_forward_a_day_fails_no_repair_and_replays_nothing() {
    set_by(DAY).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_set_back_a_day_fails_no_repair_and_stalls_nothing() {
    set_by(-DAY).await;
}

/// What a start finds may be of a time that has not come, or was long ago.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_set_while_no_engine_runs_leaves_no_check_behind() {
    for by in [DAY, -DAY] {
        let root = Root::new();
        root.put("rules/rules.yaml", RULES);
        root.put("data/steady", "");
        let clock = Arc::new(Set::default());
        let options = live::Options {
            clock: clock.clone(),
            ..root.options()
        };
        let live = live::start(options.clone()).await.expect("it starts");
        until(SOON, "a repair", async || {
            standing(&live, "slow").await.attempt.map(drop)
        })
        .await;
        end(live).await;
        clock.0.store(by, Ordering::SeqCst);
        root.put("data/proof", "");
        let live = live::start(options).await.expect("it starts again");
        until(
            Duration::from_secs(10),
            "looks on the new time",
            async || {
                let (slow, beat) = (standing(&live, "slow").await, standing(&live, "beat").await);
                (slow.looks >= 5 && beat.looks >= 5 && slow.attempt.is_none()).then_some(())
            },
        )
        .await;
        end(live).await;
    }
}
