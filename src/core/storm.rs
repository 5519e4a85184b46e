//! Storms: when half of the checks turn bad together, the cause lies elsewhere, and repairing each of them does harm. All
//! remediation waits, people are told once, and looking goes on.
//!
//! A check *turns* when its status that counts goes from OK to bad: what was bad when the engine first saw it has not
//! turned. What was repaired meanwhile has turned all the same: on a disk that is not mounted every repair succeeds. A
//! storm is over when no check has turned for [`WINDOW`] and fewer are bad than it took, when a person resumes, or when no
//! check has turned for [`LONGEST`]: what has not passed by then is no passing thing, and the other guards bound what
//! repairs may do.

use std::{collections::BTreeSet, time::Duration};

use super::{Core, Output, agenda::Alarm};
use crate::model::{
    Name,
    attempt::{NoteKind, Page, Row},
    standing::{HeldBy, Storm},
    status::Status,
};

/// Checks that turn within so long have turned together.
pub const WINDOW: Duration = Duration::from_secs(5 * 60);
/// After the last check that turned.
pub const LONGEST: Duration = Duration::from_secs(30 * 60);
/// Fewer than this are no storm, however few checks there are.
pub const FEWEST: usize = 3;

impl Core {
    /// A check has turned bad now.
    pub(super) fn turned(&mut self, name: &Name, out: &mut Vec<Output>) {
        let now = self.now;
        self.turns.insert(name.clone(), now);
        match &mut self.storm {
            Some(storm) => {
                storm.checks.insert(name.clone());
                storm.last = now;
                self.foretell(out);
            }
            None => self.gather(out),
        }
    }

    /// A check is OK, or gone from the book: no longer a part of a storm.
    pub(super) fn recovered(&mut self, name: &Name, out: &mut Vec<Output>) {
        let Some(storm) = &mut self.storm else {
            return;
        };
        if storm.checks.remove(name) {
            self.foretell(out);
            self.clear_up(out);
        }
    }

    /// When the storm will be over if nothing else happens.
    fn foretell(&mut self, out: &mut Vec<Output>) {
        if let Some(storm) = &mut self.storm {
            storm.until = storm.last.plus(match storm.checks.len() < storm.threshold {
                true => WINDOW,
                false => LONGEST,
            });
            self.agenda.add(storm.until, Alarm::StormOver);
            out.push(Output::Persist(Row::Storm(Some(storm.clone()))));
        }
    }

    /// Whether enough have turned by now.
    fn gather(&mut self, out: &mut Vec<Output>) {
        let (edge, now) = (self.now.minus(WINDOW), self.now);
        // Nor of a clock that was set back since.
        self.turns.retain(|_, at| *at > edge && *at <= now);
        let threshold = self.checks.len().div_ceil(2).max(FEWEST);
        if self.turns.len() < threshold {
            return;
        }
        let bad = |name: &&Name| {
            let check = self.checks.get(*name);
            check.is_some_and(|check| check.standing.status != Status::Ok)
        };
        let storm = Storm {
            began: now,
            last: now,
            until: now,
            turned: self.turns.len(),
            checks: self.turns.keys().filter(bad).cloned().collect(),
            threshold,
        };
        let text = format!(
            "{} of {} checks turned bad within {}: all repairs wait",
            storm.turned,
            self.checks.len(),
            humantime::format_duration(WINDOW),
        );
        self.storm = Some(storm);
        self.foretell(out);
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
        if storm.until > self.now {
            return;
        }
        let left = storm.checks.len();
        let text = match left < storm.threshold {
            true => format!("no check turns bad any more, {left} still are: repairs go on"),
            false => "no check turned bad for half an hour: repairs go on".to_owned(),
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

    /// What the standings of a store say of checks that turned, and of the storm that was on.
    pub(super) fn recall_storm(&mut self, storm: Option<Storm>) {
        let edge = self.now.minus(WINDOW);
        self.turns = self
            .checks
            .iter()
            .filter_map(|(name, check)| Some((name.clone(), check.standing.turned?)))
            .filter(|(_, at)| *at > edge)
            .collect();
        self.storm = storm.map(|storm| Storm {
            checks: storm
                .checks
                .into_iter()
                .filter(|name| {
                    let check = self.checks.get(name);
                    check.is_some_and(|check| check.standing.status != Status::Ok)
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
