//! What may be read of a running engine without asking its loop: sums that only grow, and which checks were looked at
//! just now.
//!
//! The loop writes a few numbers with every look; whoever asks for metrics, or streams, reads them whenever they like and
//! never makes a look wait.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use crate::model::Name;

/// Upper bounds of the classes in which the time of looks is counted, in seconds.
pub const CLASSES: [f64; 10] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0];
/// More names are not told at once.
pub const MOST_LOOKED: usize = 500;

/// The sums of a running engine. Shared; all of it counts from the start of the process.
#[derive(Debug, Default)]
pub struct Pulse {
    looks: Mutex<Looks>,
    /// Whether anybody wants to hear which checks were looked at.
    heard: AtomicBool,
    looked: Mutex<BTreeSet<Name>>,
    held: Mutex<BTreeMap<&'static str, u64>>,
    /// (check, outcome) of repairs that ended.
    repairs: Mutex<BTreeMap<(Name, &'static str), u64>>,
    reloads: AtomicU64,
    refused: AtomicU64,
}

/// How long looks took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Looks {
    /// How many took at most as long as the class of [`CLASSES`] says; the last is of all others.
    pub classes: [u64; CLASSES.len() + 1],
    pub seconds: f64,
    pub count: u64,
}

impl Pulse {
    pub(super) fn look(&self, check: &Name, seconds: f64) {
        {
            let mut looks = lock(&self.looks);
            let class = CLASSES.iter().position(|most| seconds <= *most);
            if let Some(class) = looks.classes.get_mut(class.unwrap_or(CLASSES.len())) {
                *class += 1;
            }
            looks.seconds += seconds.max(0.0);
            looks.count += 1;
        }
        if self.heard.load(Ordering::Relaxed) {
            let mut looked = lock(&self.looked);
            if looked.len() < MOST_LOOKED {
                looked.insert(check.clone());
            }
        }
    }

    pub(super) fn hold(&self, by: &'static str) {
        *lock(&self.held).entry(by).or_default() += 1;
    }

    pub(super) fn repair(&self, check: &Name, outcome: &'static str) {
        let mut repairs = lock(&self.repairs);
        *repairs.entry((check.clone(), outcome)).or_default() += 1;
    }

    pub(super) fn reload(&self, taken: bool) {
        let counter = if taken { &self.reloads } else { &self.refused };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Somebody wants to hear which checks are looked at: from now on they are gathered.
    pub fn hear(&self) {
        self.heard.store(true, Ordering::Relaxed);
    }

    /// The checks that were looked at since this was asked last, at most [`MOST_LOOKED`].
    pub fn looked(&self) -> Vec<Name> {
        std::mem::take(&mut *lock(&self.looked))
            .into_iter()
            .collect()
    }

    /// Nobody wants to hear of looks any more.
    pub fn unheard(&self) {
        self.heard.store(false, Ordering::Relaxed);
        lock(&self.looked).clear();
    }

    pub fn looks(&self) -> Looks {
        *lock(&self.looks)
    }

    /// How often each guard began to hold a remediation.
    pub fn held(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.held).clone()
    }

    /// How many repairs of each check ended how.
    pub fn repairs(&self) -> BTreeMap<(Name, &'static str), u64> {
        lock(&self.repairs).clone()
    }

    /// How often rules were taken over, and how often they were refused.
    pub fn reloads(&self) -> (u64, u64) {
        (
            self.reloads.load(Ordering::Relaxed),
            self.refused.load(Ordering::Relaxed),
        )
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_are_counted_by_how_long_they_took() {
        let pulse = Pulse::default();
        for seconds in [0.0005, 0.001, 0.2, 60.0] {
            pulse.look(&"a".into(), seconds);
        }
        let looks = pulse.looks();
        assert_eq!((looks.count, looks.seconds), (4, 60.2015));
        assert_eq!(looks.classes, [2, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]);
    }

    #[test]
    fn who_was_looked_at_is_gathered_only_while_somebody_hears() {
        let pulse = Pulse::default();
        pulse.look(&"a".into(), 0.0);
        assert!(pulse.looked().is_empty(), "nobody had asked");
        pulse.hear();
        pulse.look(&"b".into(), 0.0);
        pulse.look(&"b".into(), 0.0);
        assert_eq!(pulse.looked(), ["b".into()]);
        for n in 0..MOST_LOOKED + 9 {
            pulse.look(&n.to_string().into(), 0.0);
        }
        assert_eq!(pulse.looked().len(), MOST_LOOKED);
        pulse.look(&"c".into(), 0.0);
        pulse.unheard();
        assert!(pulse.looked().is_empty());
    }
}
