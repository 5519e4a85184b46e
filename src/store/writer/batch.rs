//! Rows that wait to be written.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::model::{Name, attempt::Row};

/// Rows not yet written.
#[derive(Default)]
pub struct Batch {
    /// In their order; no standings.
    pub rows: VecDeque<Row>,
    pub standings: HashMap<Name, Row>,
    /// Rows of history that were dropped.
    pub dropped: u64,
}

impl Batch {
    pub fn len(&self) -> usize {
        self.rows.len() + self.standings.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn clear(&mut self) {
        self.rows.clear();
        self.standings.clear();
    }

    pub fn add(&mut self, rows: Vec<Row>) {
        for row in rows {
            match &row {
                Row::Standing { check, .. } => drop(self.standings.insert(check.clone(), row)),
                _ => self.rows.push_back(row),
            }
        }
        if self.rows.len() > ROWS {
            self.shrink();
        }
    }

    /// Puts back what was taken by [`Batch::urgent`]; what came since is newer.
    pub fn add_first(&mut self, rows: Vec<Row>) {
        for row in rows.into_iter().rev() {
            match &row {
                Row::Standing { check, .. } => {
                    self.standings.entry(check.clone()).or_insert(row);
                }
                _ => self.rows.push_front(row),
            }
        }
    }

    /// By name, as they lie in the store: thousands in any other order would go through all its pages again and again.
    pub fn standings(&self) -> impl Iterator<Item = &Row> {
        let mut standings: Vec<(&Name, &Row)> = self.standings.iter().collect();
        standings.sort_unstable_by_key(|(name, _)| *name);
        standings.into_iter().map(|(_, row)| row)
    }

    /// Takes the rows, and the standings of their checks.
    pub fn urgent(&mut self) -> Vec<Row> {
        let mut rows: Vec<Row> = self.rows.drain(..).collect();
        let standings: Vec<Row> = rows
            .iter()
            .filter_map(|row| self.standings.remove(check_of(row)?))
            .collect();
        rows.extend(standings);
        rows
    }

    /// Keeps the last row of each attempt and budget, the last pause and the newer half of the history.
    fn shrink(&mut self) {
        let mut attempts = HashSet::new();
        let mut budgets: HashSet<Name> = HashSet::new();
        let mut beats: HashSet<Name> = HashSet::new();
        let (mut paused, mut pauses) = (false, false);
        let (mut silenced, mut stormed) = (false, false);
        let mut history = 0;
        let before = self.rows.len();
        let mut kept: VecDeque<Row> = VecDeque::with_capacity(ROWS);
        for row in self.rows.drain(..).rev() {
            let keep = match &row {
                Row::Intent { attempt, .. } | Row::Attempt { attempt, .. } => {
                    attempts.insert(attempt.id)
                }
                Row::Budget { check, .. } => budgets.insert(check.clone()),
                Row::Pause(_) => !std::mem::replace(&mut paused, true),
                Row::Heartbeat { name, .. } => beats.insert(name.clone()),
                Row::Pauses(_) => !std::mem::replace(&mut pauses, true),
                Row::Silences(_) => !std::mem::replace(&mut silenced, true),
                Row::Storm(_) => !std::mem::replace(&mut stormed, true),
                // Kept apart, and the last one of a check alone.
                Row::Standing { .. } => true,
                // Few, and what people are to be told.
                Row::Told(_) | Row::Delivery(_) => true,
                Row::Change { .. } | Row::Held { .. } | Row::Note { .. } | Row::Page(_) => {
                    history += 1;
                    history <= ROWS / 2
                }
            };
            if keep {
                kept.push_front(row);
            }
        }
        self.dropped += history.saturating_sub(ROWS / 2) as u64;
        self.rows = kept;
        tracing::warn!(
            rows = before - self.rows.len(),
            "too many rows wait for the store; older ones were dropped"
        );
    }
}

fn check_of(row: &Row) -> Option<&Name> {
    match row {
        Row::Standing { check, .. }
        | Row::Budget { check, .. }
        | Row::Change { check, .. }
        | Row::Held { check, .. } => Some(check),
        Row::Note { check, .. } => check.as_ref(),
        Row::Page(page) => page.check.as_ref(),
        Row::Intent { attempt, .. } | Row::Attempt { attempt, .. } => Some(&attempt.check),
        Row::Pause(_)
        | Row::Pauses(_)
        | Row::Silences(_)
        | Row::Storm(_)
        | Row::Heartbeat { .. }
        | Row::Told(_)
        | Row::Delivery(_) => None,
    }
}

/// Rows of history kept in memory while they cannot be written.
pub const ROWS: usize = 100_000;
