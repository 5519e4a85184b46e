//! The engine killed at every boundary between deciding and doing, over and over, with hours passing in between: no act
//! within its cooldown, no budget refunded, no attempt repeated.
//!
//! Run by the gate: `cargo test --features failpoints --test kills`. `HOMEOSTAT_KILLS` says how many kills there are to
//! be, `HOMEOSTAT_SEED` where they fall.

mod common;

use std::{collections::BTreeMap, fs, process::Command};

use common::Root;
use homeostat::{
    model::attempt::Attempt,
    store::{self, HistoryEntry, HistoryQuery},
};

const COOLDOWN: f64 = 600.0;
const WINDOW: f64 = 3600.0;
const LIMIT: usize = 3;

/// Every act of `never` and `undone` leaves a directory named by its instant.
const RULES: &str = "
checks:
  - name: never
    about: Never gets well.
    probe: { file: { file: data/never } }
    trigger: { every: 1m }
    threshold: { critical: missing }
    message: missing
    journal: logs/checks.jsonl
    remediation:
      steps: [ { run_command: { argv: [/bin/mkdir, 'acts/never-${now}'] } } ]
      verify: { within: 1m }
  - name: helped
    about: Is made well by its repair, until it is broken again.
    probe: { file: { file: data/helped } }
    trigger: { every: 1m }
    threshold: { critical: missing }
    message: '${if missing { \"missing\" } else { \"there\" }}'
    journal: logs/checks.jsonl
    remediation:
      steps:
        - - run_command: { argv: [/bin/mkdir, 'acts/helped-${now}'] }
          - write_file: { file: data/helped, body: here }
  - name: undone
    about: What is done about it does not help and is undone.
    probe: { file: { file: data/undone } }
    trigger: { every: 1m }
    threshold: { critical: missing }
    message: missing
    remediation:
      steps:
        - - run_command: { argv: [/bin/mkdir, 'acts/undone-${now}'] }
          - write_file: { file: state/tried, body: '${now}' }
      verify: { within: 1s }
      rollback: true
";

struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(otherwise)
}

/// When each check acted, in epoch seconds.
fn acts(root: &Root) -> BTreeMap<String, Vec<f64>> {
    let mut acts: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for entry in fs::read_dir(root.at("acts")).expect("the acts").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let (check, at) = name.split_once('-').expect("a name of ours");
        acts.entry(check.to_owned())
            .or_default()
            .push(at.parse().expect("an instant"));
    }
    for times in acts.values_mut() {
        times.sort_by(f64::total_cmp);
    }
    acts
}

/// What must hold after every run, seen from outside.
fn check_guards(root: &Root, now: f64) {
    let store = store::snapshot(&root.at("state/homeostat")).expect("a readable store");
    let Some(store) = store else {
        assert!(acts(root).is_empty(), "an act without any store");
        return;
    };
    let saved = store.load().expect("a readable store");
    for (check, times) in acts(root) {
        for pair in times.windows(2) {
            assert!(
                pair[1] - pair[0] >= COOLDOWN,
                "{check} acted within its cooldown: {pair:?}"
            );
        }
        for (index, first) in times.iter().enumerate() {
            let inside = times[index..]
                .iter()
                .filter(|at| **at < first + WINDOW)
                .count();
            assert!(
                inside <= LIMIT,
                "{check} acted {inside} times in one window"
            );
        }
        let budget = saved.budgets.iter().find(|(name, _)| **name == *check);
        let begun = budget
            .map(|(_, budget)| budget.begun.clone())
            .unwrap_or_default();
        let counted = begun
            .iter()
            .filter(|at| at.seconds() > now - WINDOW)
            .count();
        let recent = times.iter().filter(|at| **at > now - WINDOW + 60.0).count();
        assert!(
            counted >= recent,
            "{check}: {recent} acts in the window, {counted} counted"
        );
        let attempts = attempts(&store, &check);
        assert!(
            attempts.len() >= times.len(),
            "{check}: {} acts by {} attempts",
            times.len(),
            attempts.len()
        );
    }
}

fn attempts(store: &store::Store, check: &str) -> Vec<Attempt> {
    let query = HistoryQuery {
        check: Some(check.into()),
        limit: store::HISTORY_LIMIT,
        ..HistoryQuery::default()
    };
    let entries = store.history(&query).expect("a readable history");
    let attempt = |entry| match entry {
        HistoryEntry::Attempt { attempt, .. } => Some(*attempt),
        _ => None,
    };
    entries.into_iter().filter_map(attempt).collect()
}

#[test]
fn kills_at_every_boundary_break_no_guard() {
    let wanted = number("HOMEOSTAT_KILLS", 60);
    let mut dice = Dice(number("HOMEOSTAT_SEED", 0x9e37_79b9_7f4a_7c15) | 1);
    let root = Root::new();
    root.put("rules/kills.yaml", RULES);
    root.put("homeostat.yaml", "allow: { run: [ '/bin/mkdir *' ] }\n");
    fs::create_dir(root.at("acts")).expect("a directory");
    let mut now = 1_767_700_000.0;
    let mut kills: BTreeMap<String, u64> = BTreeMap::new();
    let (mut killed, mut runs) = (0, 0);
    while killed < wanted {
        runs += 1;
        assert!(
            runs < 20 * wanted + 100,
            "{killed} kills in {runs} runs: {kills:?}"
        );
        now += 20.0 + dice.roll(900) as f64;
        if dice.roll(3) == 0 {
            let _ = fs::remove_file(root.at("data/helped")); // it may be broken already
        }
        let note = root.at("note");
        let mut command = Command::new(env!("CARGO_BIN_EXE_homeostat"));
        command
            .args(["--json", "--root"])
            .arg(root.path())
            .args(["check", "--wait", "0s"]);
        command
            .env("HOMEOSTAT_NOW", format!("{now:.3}"))
            .env("HOMEOSTAT_FAILPOINT_NOTE", &note);
        if dice.roll(8) > 0 {
            command.env("HOMEOSTAT_FAILPOINT", (1 + dice.roll(26)).to_string());
        }
        let output = command.output().expect("the binary starts");
        match (output.status.code(), fs::read_to_string(&note)) {
            (None, Ok(boundary)) => {
                killed += 1;
                *kills.entry(boundary).or_default() += 1;
                fs::remove_file(&note).expect("the note");
            }
            (Some(0..=3), _) => {}
            (code, _) => panic!(
                "run {runs} ended with {code:?}: {}",
                String::from_utf8_lossy(&output.stderr)
            ),
        }
        check_guards(&root, now);
        root.lines("logs/checks.jsonl");
    }
    for (boundary, count) in &kills {
        println!("{count:>5}  {boundary}");
    }
    let done = acts(&root);
    println!(
        "{killed} kills in {runs} runs, acts: {:?}",
        done.iter()
            .map(|(check, times)| (check, times.len()))
            .collect::<Vec<_>>()
    );
    assert!(
        done.values().map(Vec::len).sum::<usize>() > 3,
        "hardly anything was done: {done:?}"
    );
    if wanted >= 500 {
        for boundary in [
            "before rows are written",
            "after rows are handed over",
            "before an intent is written",
            "after an intent is durable",
            "before an image is kept",
            "after an image is kept",
            "before an act",
            "after an act",
            "before an outcome is told",
            "before a rollback",
            "before a journal line",
        ] {
            assert!(
                kills.contains_key(boundary),
                "never killed {boundary}: {kills:?}"
            );
        }
    }
}
