//! What must hold after every run, killed or not: judged from the files of the root and from the world alone.

use std::{collections::BTreeMap, fs, io::ErrorKind, path::Path};

use homeostat::{
    model::{
        Name,
        attempt::{Attempt, AttemptId, End, Phase},
        moment::Moment,
        standing::Budget,
    },
    store::{self, Store},
};
use serde_json::Value;

use super::{
    plan::Kill,
    promises::{PROMISES, Promise},
    world::World,
};

/// An act, as it was left in the world.
#[derive(Clone, Copy, Debug)]
pub struct Act {
    pub rung: usize,
    pub at: Moment,
}

impl World {
    /// What must hold after every run, killed or not.
    pub fn look(&mut self, was_locked: bool, killed: bool) {
        self.journals_are_readable();
        if killed {
            self.history_is_readable();
        }
        let own = self.at("state/homeostat");
        let Some(store) = store::snapshot(&own).expect("a store that can be read") else {
            assert!(killed, "{}: it ran and there is no store", self.label);
            return;
        };
        let saved = store.load().expect("a store that can be read");
        assert_eq!(saved.pause, None, "{}", self.label);
        self.take_in_attempts(&store, saved.next_attempt, killed);
        let budgets: BTreeMap<Name, Budget> = saved.budgets.into_iter().collect();
        for promise in &PROMISES {
            self.nothing_is_refunded(promise, budgets.get(promise.check));
            self.take_in_acts(promise.check);
            self.acts_are_paid_for(promise.check);
            self.acts_keep_their_distance(promise);
        }
        self.files_were_changed_by_acts(was_locked);
    }

    fn journals_are_readable(&self) {
        for journal in ["logs/checks.jsonl", "logs/checks.jsonl.1"] {
            let text = match fs::read_to_string(self.at(journal)) {
                Ok(text) => text,
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => panic!("{}: {journal}: {error}", self.label),
            };
            assert!(text.is_empty() || text.ends_with('\n'), "{}", self.label);
            for line in text.lines() {
                let line: Result<Value, _> = serde_json::from_str(line);
                assert!(line.is_ok_and(|line| line.is_object()), "{}", self.label);
            }
        }
    }

    fn history_is_readable(&self) {
        let (output, _) = self.homeostat(&Kill::Never, &["history", "--limit", "20"]);
        let entries: Result<Vec<Value>, _> = serde_json::from_slice(&output.stdout);
        assert!(
            output.status.success() && entries.is_ok(),
            "{}: {output:?}",
            self.label
        );
    }

    /// Reads what the store knows of every attempt that had not ended when it was last seen, and of the new ones.
    fn take_in_attempts(&mut self, store: &Store, next: AttemptId, killed: bool) {
        let label = &self.label;
        let newest = self.attempts.keys().next_back().copied().unwrap_or(0);
        assert!(next > newest, "{label}: a number is given again");
        for id in 1..next {
            let before = self.attempts.get(&id);
            if before.is_some_and(|it| !it.is_open()) {
                continue;
            }
            let Some(now) = store.attempt(id).expect("a store that can be read") else {
                panic!("{label}: attempt {id} is gone");
            };
            if let Some(before) = before {
                let same = (&before.check, before.begun, before.rung);
                assert_eq!(same, (&now.check, now.begun, now.rung), "{label}");
            }
            let unknown = matches!(
                now.phase,
                Phase::Intended | Phase::Acting | Phase::RollingBack
            );
            let known = self.interrupted.contains(&id);
            if known {
                let looked_at_again = matches!(
                    now.phase,
                    Phase::Interrupted { .. }
                        | Phase::Ended {
                            end: End::Verified | End::Interrupted,
                            ..
                        }
                );
                // Or the next start was killed before it wrote anything.
                assert!(looked_at_again || (unknown && killed), "{label}: {now:?}");
            } else if unknown {
                assert!(killed, "{label}: it ended in the middle of {now:?}");
                self.interrupted.push(id);
            }
            self.attempts.insert(id, now);
        }
    }

    /// Every attempt begun within the window is counted, and every one that did not help, once.
    fn nothing_is_refunded(&self, promise: &Promise, budget: Option<&Budget>) {
        let edge = self.now.minus(promise.window);
        let mut unverified = 0;
        for attempt in self.attempts_of(promise.check) {
            let label = &self.label;
            let budget = budget.unwrap_or_else(|| panic!("{label}: no budget for {attempt:?}"));
            assert!(
                attempt.begun <= edge || budget.begun.contains(&attempt.begun),
                "{label}: {budget:?} does not count {attempt:?}"
            );
            match attempt.phase {
                Phase::Ended { at, .. } if budget.rested < Some(at) => {
                    panic!("{label}: {budget:?} rests less than {attempt:?}");
                }
                Phase::Ended {
                    end: End::Verified, ..
                } => unverified = 0,
                // What is being undone is known not to have helped.
                Phase::Ended { .. } | Phase::RollingBack => unverified += 1,
                _ => {}
            }
        }
        let counted = budget.map_or(0, |budget| budget.unverified);
        let label = &self.label;
        assert_eq!(counted, unverified, "{label}: {}", promise.check);
    }

    /// Those that may have done something, oldest first.
    fn attempts_of(&self, check: &str) -> impl Iterator<Item = &Attempt> {
        self.attempts
            .values()
            .filter(move |it| &*it.check == check && it.end() != Some(End::Withheld))
    }

    fn take_in_acts(&mut self, check: &'static str) {
        let mut acts: Vec<Act> = fs::read_dir(self.at("data/acts").join(check))
            .expect("a directory")
            .map(|entry| act(&entry.expect("an entry").path()))
            .collect();
        acts.sort_by_key(|act| act.at);
        self.acts.insert(check, acts);
    }

    /// Every act is the only one of an attempt whose intent was on the disk before, made by the run that intended it.
    fn acts_are_paid_for(&self, check: &str) {
        let label = &self.label;
        let mut acted = Vec::new();
        for act in &self.acts[check] {
            let attempt = self
                .attempts_of(check)
                .filter(|attempt| attempt.begun <= act.at)
                .last();
            let Some(attempt) = attempt else {
                panic!("{label}: {check}: {act:?} without an intent");
            };
            let run = self.run_of(act.at);
            assert!(
                attempt.rung == act.rung && run.0 <= attempt.begun,
                "{label}: {act:?} of the run {run:?} belongs to no intent of it: {attempt:?}"
            );
            assert!(
                !acted.contains(&attempt.id),
                "{label}: acted twice: {attempt:?}"
            );
            acted.push(attempt.id);
        }
    }

    fn run_of(&self, at: Moment) -> (Moment, Moment) {
        let run = self
            .runs
            .iter()
            .find(|(from, to)| (*from..=*to).contains(&at));
        *run.unwrap_or_else(|| panic!("{}: nobody ran at {at:?}", self.label))
    }

    fn acts_keep_their_distance(&self, promise: &Promise) {
        let acts = &self.acts[promise.check];
        for (earlier, later) in acts.iter().zip(acts.iter().skip(1)) {
            // A ladder ends after its last act, and the next begins a cooldown later.
            assert!(
                later.rung > 0 || later.at >= earlier.at.plus(promise.cooldown),
                "{}: {} within its cooldown: {earlier:?} {later:?}",
                self.label,
                promise.check
            );
        }
        for (earlier, later) in acts.iter().zip(acts.iter().skip(promise.limit)) {
            // It was intended in the same run, so not before that began.
            let intended = self.run_of(earlier.at).0;
            assert!(
                later.at >= intended.plus(promise.window),
                "{}: {} more often than its limit: {earlier:?} … {later:?}",
                self.label,
                promise.check
            );
        }
    }

    /// What became of the files was done by acts that left their trace first.
    fn files_were_changed_by_acts(&self, was_locked: bool) {
        let label = &self.label;
        let run = self.runs.last().expect("there was a run").0;
        if was_locked && !self.at("data/stuck.lock").exists() {
            let removed = self.acts["stuck"].iter().any(|act| act.at >= run);
            assert!(removed, "{label}: the lock went without an act");
        }
        let text = fs::read_to_string(self.at("data/settings.json")).expect("it is there");
        let settings: Value = serde_json::from_str(&text).expect("one of its versions, whole");
        let stamp = settings["stamp"].as_f64().expect("a number");
        let written = |act: &Act| act.at == Moment::from_seconds(stamp);
        assert!(
            stamp == 0.0 || self.acts["stale"].iter().any(written),
            "{label}: {text} was written by no act"
        );
    }
}

/// `…/RUNG-SECONDS`.
fn act(path: &Path) -> Act {
    let name = path.file_name().and_then(|name| name.to_str());
    let parts = name.and_then(|name| name.split_once('-'));
    let (rung, at) = parts.expect("a rung and an instant");
    Act {
        rung: rung.parse().expect("a rung"),
        at: Moment::from_seconds(at.parse().expect("seconds")),
    }
}
