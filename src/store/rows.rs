//! Writing rows, and loading what a start needs.
//!
//! An attempt and the budget that counts it are one transaction, and so are an intent and the number of the next one:
//! there is no state of the disk in which an attempt was begun and not paid for, or in which a number is given twice.
//!
//! What undoing needs (before-images of files) is kept apart from an attempt's body and compressed: queries over the
//! history never read it.

use std::{
    borrow::Cow,
    collections::BTreeSet,
    io::{Read, Write},
};

use flate2::{Compression, read::ZlibDecoder, write::ZlibEncoder};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::model::{
    attempt::{Attempt, AttemptId, End, NoteKind, Phase, Row, Saved},
    moment::Moment,
    standing::{Budget, Pause, Standing},
};

use super::{Durability, HistoryEntry, Store, StoreError, schema::broken};

/// Compressed bodies are not read past this: more was never written.
const BODY_BYTES: u64 = 1 << 30;

impl Store {
    /// Writes rows in their order, all or none.
    pub fn write(&mut self, rows: &[Row], durability: Durability) -> Result<(), StoreError> {
        self.write_rows(rows, durability)
    }

    pub(super) fn write_rows<'a>(
        &mut self,
        rows: impl IntoIterator<Item = &'a Row>,
        durability: Durability,
    ) -> Result<(), StoreError> {
        let mut rows = rows.into_iter().peekable();
        if rows.peek().is_none() {
            return Ok(());
        }
        self.transact(durability, |conn| rows.try_for_each(|row| put(conn, row)))
    }

    /// Before-images of a rung, durable before it is done: they survive a crash between act and receipt.
    pub fn prepared(&mut self, attempt: AttemptId, effects: &[Value]) -> Result<(), StoreError> {
        let body = pack(&effects)?;
        self.transact(Durability::Durable, |conn| {
            conn.prepare_cached("INSERT OR REPLACE INTO prepared (attempt, body) VALUES (?1, ?2)")
                .and_then(|mut query| query.execute(params![attempt, body]))
                .map(drop)
                .map_err(StoreError::sqlite("write what a rung needs to be undone"))
        })
    }

    /// What [`Store::prepared`] was given for this attempt; empty if nothing was, or if it was forgotten since.
    pub fn prepared_of(&self, attempt: AttemptId) -> Result<Vec<Value>, StoreError> {
        let body: Option<Vec<u8>> = self
            .conn
            .query_row(
                "SELECT body FROM prepared WHERE attempt = ?1",
                [attempt],
                |row| row.get(0),
            )
            .optional()
            .map_err(broken("read what a rung needs to be undone"))?;
        body.map_or(Ok(Vec::new()), |body| unpack(&body))
    }

    /// Remembers that a person (`by`) undid an attempt.
    pub fn undone(&mut self, id: AttemptId, at: Moment, by: &str) -> Result<(), StoreError> {
        self.transact(Durability::Durable, |conn| {
            conn.execute(
                "INSERT OR REPLACE INTO undone (attempt, at, by) VALUES (?1, ?2, ?3)",
                params![id, at.0, by],
            )
            .map(drop)
            .map_err(StoreError::sqlite("write that an attempt was undone"))
        })
    }

    /// When an attempt was undone, if it was.
    pub fn undone_at(&self, id: AttemptId) -> Result<Option<Moment>, StoreError> {
        self.conn
            .query_row("SELECT at FROM undone WHERE attempt = ?1", [id], |row| {
                row.get(0).map(Moment)
            })
            .optional()
            .map_err(broken("read whether an attempt was undone"))
    }

    /// An attempt, ended ones too, with all its receipts need to be undone.
    pub fn attempt(&self, id: AttemptId) -> Result<Option<Attempt>, StoreError> {
        self.conn
            .query_row(
                "SELECT body, undo FROM attempt WHERE id = ?1",
                [id],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()
            .map_err(broken("read an attempt"))?
            .map(|(body, undo): (String, Option<Vec<u8>>)| whole_attempt(&body, undo.as_deref()))
            .transpose()
    }

    /// Everything needed to go on after a restart.
    pub fn load(&self) -> Result<Saved, StoreError> {
        let doing = "load the store";
        let mut saved = Saved {
            standings: self.bodies::<Standing>("SELECT name, body FROM standing ORDER BY name")?,
            budgets: self.bodies::<Budget>("SELECT name, body FROM budget ORDER BY name")?,
            ..Saved::default()
        };
        let pause: Option<String> = self
            .conn
            .query_row("SELECT body FROM pause", [], |row| row.get(0))
            .optional()
            .map_err(broken(doing))?;
        saved.pause = pause.map(|body| parse(&body)).transpose()?;
        let mut query = self
            .conn
            .prepare("SELECT body, undo FROM attempt WHERE ended IS NULL ORDER BY id")
            .map_err(broken(doing))?;
        let open = query
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .map_err(broken(doing))?;
        for row in open {
            let (body, undo): (String, Option<Vec<u8>>) = row.map_err(broken(doing))?;
            saved.attempts.push(whole_attempt(&body, undo.as_deref())?);
        }
        saved.next_attempt = self
            .conn
            .query_row(
                "SELECT max(value, (SELECT coalesce(max(id), 0) + 1 FROM attempt)) FROM counter \
                 WHERE name = 'next_attempt'",
                [],
                |row| row.get(0),
            )
            .map_err(broken(doing))?;
        Ok(saved)
    }

    fn bodies<T: DeserializeOwned>(
        &self,
        query: &str,
    ) -> Result<Vec<(crate::model::Name, T)>, StoreError> {
        let doing = "load the store";
        let mut query = self.conn.prepare(query).map_err(broken(doing))?;
        let rows = query
            .query_map([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))
            .map_err(broken(doing))?;
        rows.map(|row| {
            let (name, body) = row.map_err(broken(doing))?;
            Ok((name, parse(&body)?))
        })
        .collect()
    }

    /// One transaction, after making sure that its file is still the one a restart will find.
    pub(super) fn transact<T>(
        &mut self,
        durability: Durability,
        work: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.be_there()?;
        let doing = "write to the store";
        // Syncing the log once more syncs what was written lazily before, too.
        let level = match durability {
            Durability::Durable => "PRAGMA synchronous = FULL",
            Durability::Lazy => "PRAGMA synchronous = NORMAL",
        };
        self.conn
            .execute_batch(level)
            .map_err(StoreError::sqlite(doing))?;
        let transaction = self
            .conn
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(StoreError::sqlite(doing))?;
        let done = work(&transaction)?;
        transaction.commit().map_err(StoreError::sqlite(doing))?;
        Ok(done)
    }
}

fn put(conn: &Connection, row: &Row) -> Result<(), StoreError> {
    match row {
        Row::Standing { check, standing } => put_standing(conn, check, standing),
        Row::Intent { attempt, budget } | Row::Attempt { attempt, budget } => {
            put_attempt(conn, attempt)?;
            put_budget(conn, &attempt.check, budget)
        }
        Row::Budget { check, budget } => put_budget(conn, check, budget),
        Row::Pause(pause) => put_pause(conn, pause.as_ref()),
        Row::Change {
            check,
            at,
            from,
            to,
            message,
        } => put_entry(
            conn,
            &HistoryEntry::Change {
                check: check.clone(),
                at: *at,
                from: *from,
                to: *to,
                message: message.clone(),
            },
        ),
        Row::Held {
            check,
            at,
            by,
            until,
        } => put_entry(
            conn,
            &HistoryEntry::Held {
                check: check.clone(),
                at: *at,
                by: *by,
                until: *until,
            },
        ),
        Row::Note {
            check,
            at,
            kind,
            text,
            to,
        } => put_entry(
            conn,
            &HistoryEntry::Note {
                check: check.clone(),
                at: *at,
                kind: *kind,
                text: text.clone(),
                to: to.clone(),
            },
        ),
    }
}

fn put_standing(conn: &Connection, check: &str, standing: &Standing) -> Result<(), StoreError> {
    let at = standing.looked.unwrap_or(standing.since);
    conn.prepare_cached("INSERT OR REPLACE INTO standing (name, at, body) VALUES (?1, ?2, ?3)")
        .and_then(|mut query| query.execute(params![check, at.0, text(standing)?]))
        .map(drop)
        .map_err(StoreError::sqlite("write a standing"))
}

fn put_budget(conn: &Connection, check: &str, budget: &Budget) -> Result<(), StoreError> {
    let at = budget
        .begun
        .last()
        .copied()
        .max(budget.rested)
        .max(budget.quarantined)
        .unwrap_or_default();
    conn.prepare_cached("INSERT OR REPLACE INTO budget (name, at, body) VALUES (?1, ?2, ?3)")
        .and_then(|mut query| query.execute(params![check, at.0, text(budget)?]))
        .map(drop)
        .map_err(StoreError::sqlite("write a budget"))
}

pub(super) fn put_pause(conn: &Connection, pause: Option<&Pause>) -> Result<(), StoreError> {
    let done = match pause {
        Some(pause) => text(pause).and_then(|body| {
            conn.execute(
                "INSERT OR REPLACE INTO pause (one, body) VALUES (1, ?1)",
                [body],
            )
        }),
        None => conn.execute("DELETE FROM pause", []),
    };
    done.map(drop)
        .map_err(StoreError::sqlite("write the kill switch"))
}

fn put_attempt(conn: &Connection, attempt: &Attempt) -> Result<(), StoreError> {
    let doing = "write an attempt";
    let (ending, ended) = match &attempt.phase {
        Phase::Ended { at, end } => (Some(end_word(*end)), Some(at.0)),
        _ => (None, None),
    };
    let (bare, undo) = without_undo(attempt);
    let undo = undo.map(|undo| pack(&undo)).transpose()?;
    let kinds = text(&kinds_of(attempt)).map_err(StoreError::sqlite(doing))?;
    conn.prepare_cached(
        "INSERT OR REPLACE INTO attempt (id, name, begun, bad_since, kinds, ending, ended, body, undo) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )
    .and_then(|mut query| {
        query.execute(params![
            attempt.id,
            &*attempt.check,
            attempt.begun.0,
            attempt.bad_since.0,
            kinds,
            ending,
            ended,
            text(bare.as_ref())?,
            undo,
        ])
    })
    .map_err(StoreError::sqlite(doing))?;
    conn.prepare_cached("UPDATE counter SET value = ?1 WHERE name = 'next_attempt' AND value < ?1")
        .and_then(|mut query| query.execute([attempt.id.saturating_add(1)]))
        .map(drop)
        .map_err(StoreError::sqlite(doing))
}

fn put_entry(conn: &Connection, entry: &HistoryEntry) -> Result<(), StoreError> {
    let (what, word) = match entry {
        HistoryEntry::Change { to, .. } => ("change", to.word()),
        HistoryEntry::Held { by, .. } => ("held", by.word()),
        HistoryEntry::Note { kind, .. } => ("note", note_word(*kind)),
        // Attempts have a table of their own.
        HistoryEntry::Attempt { .. } => return Ok(()),
    };
    conn.prepare_cached(
        "INSERT INTO entry (at, name, what, word, body) VALUES (?1, ?2, ?3, ?4, ?5)",
    )
    .and_then(|mut query| {
        query.execute(params![
            entry.at().0,
            &**entry.check(),
            what,
            word,
            text(entry)?
        ])
    })
    .map(drop)
    .map_err(StoreError::sqlite("write history"))
}

pub(super) fn end_word(end: End) -> &'static str {
    match end {
        End::Verified => "verified",
        End::Failed => "failed",
        End::Superseded => "superseded",
        End::Interrupted => "interrupted",
        End::Withheld => "withheld",
        End::Would => "would",
    }
}

fn note_word(kind: NoteKind) -> &'static str {
    match kind {
        NoteKind::Quarantined => "quarantined",
        NoteKind::Rearmed => "rearmed",
        NoteKind::Escalated => "escalated",
        NoteKind::Interrupted => "interrupted",
        NoteKind::RolledBack => "rolled_back",
    }
}

/// The kinds of an attempt's steps: those it has receipts for, or those its rung plans.
pub(super) fn kinds_of(attempt: &Attempt) -> BTreeSet<&str> {
    if attempt.receipts.is_empty() {
        let rung = attempt.remediation.ladder.get(attempt.rung);
        rung.into_iter().flatten().map(String::as_str).collect()
    } else {
        let receipts = attempt.receipts.iter();
        receipts.map(|receipt| receipt.kind.as_str()).collect()
    }
}

/// The attempt without what undoing needs, and that, receipt by receipt, if there is any.
fn without_undo(attempt: &Attempt) -> (Cow<'_, Attempt>, Option<Vec<Option<Value>>>) {
    if attempt
        .receipts
        .iter()
        .all(|receipt| receipt.undo.is_none())
    {
        return (Cow::Borrowed(attempt), None);
    }
    let mut bare = attempt.clone();
    let undo = bare
        .receipts
        .iter_mut()
        .map(|receipt| receipt.undo.take())
        .collect();
    (Cow::Owned(bare), Some(undo))
}

fn whole_attempt(body: &str, undo: Option<&[u8]>) -> Result<Attempt, StoreError> {
    let mut attempt: Attempt = parse(body)?;
    if let Some(undo) = undo {
        let undo: Vec<Option<Value>> = unpack(undo)?;
        for (receipt, undo) in attempt.receipts.iter_mut().zip(undo) {
            receipt.undo = undo;
        }
    }
    Ok(attempt)
}

fn text<T: Serialize>(value: &T) -> rusqlite::Result<String> {
    serde_json::to_string(value)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

pub(super) fn parse<T: DeserializeOwned>(body: &str) -> Result<T, StoreError> {
    serde_json::from_str(body)
        .map_err(|error| StoreError::corrupt(format!("a row of it cannot be read: {error}")))
}

/// JSON, compressed.
fn pack<T: Serialize>(value: &T) -> Result<Vec<u8>, StoreError> {
    let body = serde_json::to_vec(value).map_err(StoreError::Encode)?;
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder
        .write_all(&body)
        .and_then(|()| encoder.finish())
        .map_err(|error| StoreError::Encode(serde_json::Error::io(error)))
}

fn unpack<T: DeserializeOwned>(body: &[u8]) -> Result<T, StoreError> {
    let mut text = Vec::new();
    ZlibDecoder::new(body)
        .take(BODY_BYTES)
        .read_to_end(&mut text)
        .map_err(|error| StoreError::corrupt(format!("a row of it cannot be read: {error}")))?;
    serde_json::from_slice(&text)
        .map_err(|error| StoreError::corrupt(format!("a row of it cannot be read: {error}")))
}
