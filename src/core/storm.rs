//! Storms: when half of the checks turn bad together, the cause lies elsewhere, and repairing each of them does harm. All
//! remediation waits, people are told once, and looking goes on.
//!
//! A check *turns* when its status that counts goes from OK to bad: what was bad when the engine first saw it has not
//! turned. A storm is over when fewer than it took are left, when a person resumes, or when no check has turned for
//! [`LONGEST`]: what has not passed by then is no passing thing, and the other guards bound what repairs may do.

use std::{collections::BTreeSet, time::Duration};

use super::{Core, Output, agenda::Alarm};
use crate::model::{
    Name,
    attempt::{NoteKind, Page, Row},
    moment::Moment,
    standing::{HeldBy, Storm},
};

/// Checks that turn within so long have turned together.
pub const WINDOW: Duration = Duration::from_secs(5 * 60);
/// After the last check that turned.
pub const LONGEST: Duration = Duration::from_secs(30 * 60);
/// Fewer than this are no storm, however few checks there are.
pub const FEWEST: usize = 3;

impl Core {
    /// A check has turned (`after`), or is OK again (`before` was when it had turned).
    pub(super) fn turned(
        &mut self,
        name: &Name,
        before: Option<Moment>,
        after: Option<Moment>,
        out: &mut Vec<Output>,
    ) {
        if before == after {
            return;
        }
        if let Some(at) = before {
            self.turns.remove(&(at, name.clone()));
        }
        if let Some(at) = after {
            self.turns.insert((at, name.clone()));
        }
        let now = self.now;
        match &mut self.storm {
            Some(storm) => {
                match after {
                    Some(_) => {
                        storm.checks.insert(name.clone());
                        storm.until = now.plus(LONGEST);
                        self.agenda.add(storm.until, Alarm::StormOver);
                    }
                    None => {
                        storm.checks.remove(name);
                    }
                }
                let row = Row::Storm(Some(storm.clone()));
                out.push(Output::Persist(row));
                self.clear_up(out);
            }
            None if after.is_some() => self.gather(out),
            None => {}
        }
    }

    /// Whether enough have turned by now.
    fn gather(&mut self, out: &mut Vec<Output>) {
        let edge = self.now.minus(WINDOW);
        while self.turns.first().is_some_and(|(at, _)| *at <= edge) {
            self.turns.pop_first();
        }
        // Of a clock that was set back since.
        while self.turns.last().is_some_and(|(at, _)| *at > self.now) {
            self.turns.pop_last();
        }
        let threshold = self.checks.len().div_ceil(2).max(FEWEST);
        if self.turns.len() < threshold {
            return;
        }
        let storm = Storm {
            began: self.now,
            until: self.now.plus(LONGEST),
            checks: self.turns.iter().map(|(_, name)| name.clone()).collect(),
            threshold,
        };
        self.agenda.add(storm.until, Alarm::StormOver);
        let text = format!(
            "{} of {} checks turned bad within {}: all repairs wait",
            storm.checks.len(),
            self.checks.len(),
            humantime::format_duration(WINDOW),
        );
        out.push(Output::Persist(Row::Storm(Some(storm.clone()))));
        self.storm = Some(storm);
        let to = self.everybody();
        self.note_of_all(NoteKind::StormBegan, text.clone(), to.clone(), out);
        out.push(Output::Persist(Row::Page(Page {
            at: self.now,
            check: None,
            kind: NoteKind::StormBegan,
            text,
            to,
        })));
    }

    /// Ends the storm if few are left or it has lasted long enough.
    pub(super) fn clear_up(&mut self, out: &mut Vec<Output>) {
        let Some(storm) = &self.storm else {
            return;
        };
        let text = if storm.checks.len() < storm.threshold {
            format!("{} checks are still bad: repairs go on", storm.checks.len())
        } else if storm.until <= self.now {
            "no check turned bad for half an hour: repairs go on".to_owned()
        } else {
            return;
        };
        self.end_storm(text, out);
    }

    pub(super) fn end_storm(&mut self, text: String, out: &mut Vec<Output>) {
        if self.storm.take().is_none() {
            return;
        }
        // What this storm was made of makes no other.
        self.turns.clear();
        out.push(Output::Persist(Row::Storm(None)));
        let to = self.everybody();
        self.note_of_all(NoteKind::StormEnded, text, to, out);
        self.release(HeldBy::Storm, out);
    }

    /// A check has left the book.
    pub(super) fn forget_turn(&mut self, name: &Name, at: Option<Moment>, out: &mut Vec<Output>) {
        self.turned(name, at, None, out);
    }

    /// What the standings of a store say of checks that turned, and of the storm that was on.
    pub(super) fn recall_storm(&mut self, storm: Option<Storm>) {
        self.turns = self
            .checks
            .iter()
            .filter_map(|(name, check)| Some((check.standing.turned?, name.clone())))
            .collect();
        self.storm = storm.map(|storm| Storm {
            checks: storm
                .checks
                .into_iter()
                .filter(|name| {
                    let check = self.checks.get(name);
                    check.is_some_and(|check| check.standing.turned.is_some())
                })
                .collect(),
            ..storm
        });
        if let Some(storm) = &self.storm {
            // Also when it is over already: then at once.
            self.agenda.add(storm.until.max(self.now), Alarm::StormOver);
        }
    }

    /// Everybody whom any rule names.
    fn everybody(&self) -> Vec<Name> {
        let checks = self.outline.checks.values();
        let named: BTreeSet<Name> = checks
            .filter_map(|check| check.remediation.as_ref())
            .flat_map(|remediation| remediation.escalate.iter().cloned())
            .collect();
        named.into_iter().collect()
    }

    fn note_of_all(&self, kind: NoteKind, text: String, to: Vec<Name>, out: &mut Vec<Output>) {
        out.push(Output::Persist(Row::Note {
            check: None,
            at: self.now,
            kind,
            text,
            to,
        }));
    }
}
