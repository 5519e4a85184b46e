//! Pauses of single checks: their repairs wait, looking and telling go on. The kill switch, which holds all of them, is
//! beside the other commands in `core/mod.rs`.

use std::collections::BTreeMap;

use super::{Core, Output};
use crate::{
    guard,
    model::{
        Name,
        attempt::Row,
        standing::{HeldBy, Pause},
    },
};

impl Core {
    /// Pauses these checks, those that are known; what has ended is forgotten.
    pub(super) fn pause_checks(&mut self, checks: Vec<Name>, pause: Pause, out: &mut Vec<Output>) {
        let now = self.now;
        self.pauses.retain(|_, pause| guard::pauses(pause, now));
        for check in checks {
            if self.checks.contains_key(&check) {
                self.pauses.insert(check, pause.clone());
            }
        }
        out.push(Output::Persist(Row::Pauses(self.pauses.clone())));
    }

    /// Lets these checks be repaired again; what was held is looked at again.
    pub(super) fn resume_checks(&mut self, checks: &[Name], out: &mut Vec<Output>) {
        for check in checks {
            self.pauses.remove(check);
        }
        out.push(Output::Persist(Row::Pauses(self.pauses.clone())));
        self.release(HeldBy::Pause, out);
    }

    /// What pauses the repairs of this check: the kill switch, or a pause of its own.
    pub(super) fn pause_of(&self, check: &str) -> Option<&Pause> {
        self.pause().or_else(|| self.own_pause(check))
    }

    /// The pause of this check alone, while it lasts.
    pub fn own_pause(&self, check: &str) -> Option<&Pause> {
        let pause = self.pauses.get(check);
        pause.filter(|pause| guard::pauses(pause, self.now))
    }

    /// The pauses of single checks that last, also of checks that are not in the book now.
    pub fn pauses(&self) -> BTreeMap<Name, Pause> {
        let now = self.now;
        let lasting = self.pauses.iter();
        let lasting = lasting.filter(|(_, pause)| guard::pauses(pause, now));
        lasting
            .map(|(name, pause)| (name.clone(), pause.clone()))
            .collect()
    }
}
