//! What happened, newest first: changes of status, attempts, what was held, notes.

use rusqlite::params;
use serde::{Deserialize, Serialize};

use crate::model::{
    Name,
    attempt::{Attempt, AttemptId, NoteKind},
    moment::Moment,
    standing::Hold,
    status::Status,
};

use super::{Store, StoreError, load::parse, schema::broken};

/// No query gives more than this.
pub const HISTORY_LIMIT: usize = 10_000;

/// Attempts that did something, or are at it.
const BEGUN: &str =
    "(ending IS NULL OR ending IN ('verified', 'failed', 'superseded', 'interrupted'))";

/// What to look for. The default is the newest hundred entries of all checks.
#[derive(Clone, Debug)]
pub struct HistoryQuery {
    pub check: Option<Name>,
    /// Not before this.
    pub since: Option<Moment>,
    /// Not after this: for paging back, or to see history as it stood at an instant.
    pub until: Option<Moment>,
    /// At most [`HISTORY_LIMIT`].
    pub limit: usize,
}

impl Default for HistoryQuery {
    fn default() -> HistoryQuery {
        HistoryQuery {
            check: None,
            since: None,
            until: None,
            limit: 100,
        }
    }
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "what")]
pub enum HistoryEntry {
    Change {
        check: Name,
        at: Moment,
        from: Status,
        to: Status,
        message: String,
    },
    /// As it stands now; its receipts come without what undoing needs (see [`Store::attempt`]).
    Attempt {
        attempt: Box<Attempt>,
        undone: Option<Moment>,
    },
    Held {
        check: Name,
        at: Moment,
        #[serde(flatten)]
        hold: Hold,
    },
    Note {
        /// `None` when it is about all of them.
        check: Option<Name>,
        at: Moment,
        kind: NoteKind,
        text: String,
        to: Vec<Name>,
    },
}

impl HistoryEntry {
    /// `None` when it is about all of them.
    pub fn check(&self) -> Option<&Name> {
        match self {
            HistoryEntry::Change { check, .. } | HistoryEntry::Held { check, .. } => Some(check),
            HistoryEntry::Note { check, .. } => check.as_ref(),
            HistoryEntry::Attempt { attempt, .. } => Some(&attempt.check),
        }
    }

    /// When it happened; of an attempt, when it began.
    pub fn at(&self) -> Moment {
        match self {
            HistoryEntry::Change { at, .. }
            | HistoryEntry::Held { at, .. }
            | HistoryEntry::Note { at, .. } => *at,
            HistoryEntry::Attempt { attempt, .. } => attempt.begun,
        }
    }
}

impl Store {
    /// What happened, newest first.
    pub fn history(&self, query: &HistoryQuery) -> Result<Vec<HistoryEntry>, StoreError> {
        let limit = query.limit.min(HISTORY_LIMIT);
        // An attempt begins at the instant of the change that led to it, so of one instant it is the newer.
        let mut found = self.attempts_of(query, limit)?;
        found.extend(self.entries_of(query, limit)?);
        found.sort_by_key(|entry| std::cmp::Reverse(entry.at()));
        found.truncate(limit);
        Ok(found)
    }

    /// The newest repair of every check that has one, oldest first. What only waits for a person, or was held, is none.
    pub fn newest_repairs(&self) -> Result<Vec<Attempt>, StoreError> {
        let doing = "read the newest repairs";
        let sql = format!(
            "SELECT body FROM attempt WHERE id IN \
             (SELECT max(id) FROM attempt WHERE {BEGUN} GROUP BY name) ORDER BY id"
        );
        let mut statement = self.conn.prepare(&sql).map_err(broken(doing))?;
        let rows = statement
            .query_map([], |row| row.get::<_, String>(0))
            .map_err(broken(doing))?;
        rows.map(|body| parse(&body.map_err(broken(doing))?))
            .collect()
    }

    /// The newest repairs, newest first, with when a person undid them. Those without an end may still wait for a person.
    pub fn repairs(
        &self,
        check: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(Attempt, Option<Moment>)>, StoreError> {
        let doing = "read repairs";
        let sql = format!(
            "SELECT id, body FROM attempt WHERE {BEGUN} AND (?1 IS NULL OR name = ?1) \
             ORDER BY id DESC LIMIT ?2"
        );
        let mut statement = self.conn.prepare_cached(&sql).map_err(broken(doing))?;
        let rows = statement
            .query_map(params![check, limit.min(HISTORY_LIMIT)], |row| {
                Ok((row.get::<_, AttemptId>(0)?, row.get::<_, String>(1)?))
            })
            .map_err(broken(doing))?;
        rows.map(|row| {
            let (id, body) = row.map_err(broken(doing))?;
            Ok((parse(&body)?, self.undone_at(id)?))
        })
        .collect()
    }

    fn entries_of(
        &self,
        query: &HistoryQuery,
        limit: usize,
    ) -> Result<Vec<HistoryEntry>, StoreError> {
        let doing = "read history";
        let (check, since, until) = bounds(query);
        let mut statement = self
            .conn
            .prepare_cached(match check {
                Some(_) => {
                    "SELECT body FROM entry WHERE name = ?1 AND at BETWEEN ?2 AND ?3 \
                     ORDER BY at DESC, seq DESC LIMIT ?4"
                }
                None => {
                    "SELECT body FROM entry WHERE ?1 IS NULL AND at BETWEEN ?2 AND ?3 \
                     ORDER BY at DESC, seq DESC LIMIT ?4"
                }
            })
            .map_err(broken(doing))?;
        let rows = statement
            .query_map(params![check, since, until, limit], |row| {
                row.get::<_, String>(0)
            })
            .map_err(broken(doing))?;
        rows.map(|body| parse(&body.map_err(broken(doing))?))
            .collect()
    }

    fn attempts_of(
        &self,
        query: &HistoryQuery,
        limit: usize,
    ) -> Result<Vec<HistoryEntry>, StoreError> {
        let doing = "read history";
        let (check, since, until) = bounds(query);
        let mut statement = self
            .conn
            .prepare_cached(match check {
                Some(_) => {
                    "SELECT id, body FROM attempt WHERE name = ?1 AND begun BETWEEN ?2 AND ?3 \
                     ORDER BY begun DESC, id DESC LIMIT ?4"
                }
                None => {
                    "SELECT id, body FROM attempt WHERE ?1 IS NULL AND begun BETWEEN ?2 AND ?3 \
                     ORDER BY begun DESC, id DESC LIMIT ?4"
                }
            })
            .map_err(broken(doing))?;
        let rows = statement
            .query_map(params![check, since, until, limit], |row| {
                Ok((row.get::<_, AttemptId>(0)?, row.get::<_, String>(1)?))
            })
            .map_err(broken(doing))?;
        rows.map(|row| {
            let (id, body) = row.map_err(broken(doing))?;
            Ok(HistoryEntry::Attempt {
                attempt: parse(&body)?,
                undone: self.undone_at(id)?,
            })
        })
        .collect()
    }
}

fn bounds(query: &HistoryQuery) -> (Option<&str>, i64, i64) {
    (
        query.check.as_deref(),
        query.since.map_or(i64::MIN, |since| since.0),
        query.until.map_or(i64::MAX, |until| until.0),
    )
}
