//! Writing rows.
//!
//! An attempt and the budget that counts it are one transaction, and so are an intent and the number of the next one:
//! there is no state of the disk in which an attempt was begun and not paid for, or in which a number is given twice.
//!
//! What undoing needs (before-images of files) is kept apart from an attempt's body and compressed: queries over the
//! history never read it.

use std::{borrow::Cow, collections::BTreeSet, io::Write};

use flate2::{Compression, write::ZlibEncoder};
use rusqlite::{Connection, TransactionBehavior, params};
use serde::Serialize;
use serde_json::Value;

use crate::model::{
    attempt::{Attempt, AttemptId, NoteKind, Page, Phase, Row},
    moment::Moment,
    standing::{Budget, Pause, Standing},
};

use super::{
    Durability, HistoryEntry, Store, StoreError,
    load::{PAUSES, SILENCES, STORM},
    notices::{put_delivery, put_told},
};

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

    /// Before-images of a rung, or of its next step, durable before it is done: they survive a crash between act and
    /// receipt. They are added to those that the attempt has.
    pub fn prepared(&mut self, attempt: AttemptId, effects: &[Value]) -> Result<(), StoreError> {
        let body = pack(&effects)?;
        self.transact(Durability::Durable, |conn| {
            conn.prepare_cached("INSERT INTO prepared (attempt, body) VALUES (?1, ?2)")
                .and_then(|mut query| query.execute(params![attempt, body]))
                .map(drop)
                .map_err(StoreError::sqlite("write what a rung needs to be undone"))
        })
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
        Row::Held { check, at, hold } => put_entry(
            conn,
            &HistoryEntry::Held {
                check: check.clone(),
                at: *at,
                hold: hold.clone(),
            },
        ),
        Row::Silences(silences) => put_order(conn, SILENCES, Some(silences)),
        Row::Pauses(pauses) => put_order(conn, PAUSES, Some(pauses)),
        Row::Storm(storm) => put_order(conn, STORM, storm.as_ref()),
        Row::Page(page) => put_page(conn, page),
        Row::Told(told) => put_told(conn, told),
        Row::Delivery(delivery) => put_delivery(conn, delivery),
        Row::Heartbeat { name, at, payload } => put_heartbeat(conn, name, *at, payload),
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

pub(super) fn put_order<T: Serialize>(
    conn: &Connection,
    name: &str,
    order: Option<&T>,
) -> Result<(), StoreError> {
    let done = match order {
        Some(order) => text(order).and_then(|body| {
            conn.execute(
                "INSERT OR REPLACE INTO standing_order (name, body) VALUES (?1, ?2)",
                params![name, body],
            )
        }),
        None => conn.execute("DELETE FROM standing_order WHERE name = ?1", [name]),
    };
    done.map(drop)
        .map_err(StoreError::sqlite("write what stands"))
}

fn put_heartbeat(
    conn: &Connection,
    name: &str,
    at: Moment,
    payload: &Value,
) -> Result<(), StoreError> {
    conn.prepare_cached("INSERT OR REPLACE INTO heartbeat (name, at, body) VALUES (?1, ?2, ?3)")
        .and_then(|mut query| query.execute(params![name, at.0, text(payload)?]))
        .map(drop)
        .map_err(StoreError::sqlite("write a heartbeat"))
}

fn put_page(conn: &Connection, page: &Page) -> Result<(), StoreError> {
    conn.prepare_cached("INSERT INTO page (at, name, body) VALUES (?1, ?2, ?3)")
        .and_then(|mut query| query.execute(params![page.at.0, page.check.as_deref(), text(page)?]))
        .map(drop)
        .map_err(StoreError::sqlite("write a page"))
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
        Phase::Ended { at, end } => (Some(end.word()), Some(at.0)),
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
        HistoryEntry::Held { hold, .. } => ("held", hold.by.word()),
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
            entry.check().map_or("", |check| check),
            what,
            word,
            text(entry)?
        ])
    })
    .map(drop)
    .map_err(StoreError::sqlite("write history"))
}

fn note_word(kind: NoteKind) -> &'static str {
    match kind {
        NoteKind::Quarantined => "quarantined",
        NoteKind::Rearmed => "rearmed",
        NoteKind::Escalated => "escalated",
        NoteKind::Interrupted => "interrupted",
        NoteKind::RolledBack => "rolled_back",
        NoteKind::Proposed => "proposed",
        NoteKind::Approved => "approved",
        NoteKind::Denied => "denied",
        NoteKind::Expired => "expired",
        NoteKind::Withdrawn => "withdrawn",
        NoteKind::Held => "held",
        NoteKind::StormBegan => "storm_began",
        NoteKind::StormEnded => "storm_ended",
        NoteKind::Confirmed => "confirmed",
        NoteKind::Forgotten => "forgotten",
        NoteKind::Edited => "edited",
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

pub(super) fn text<T: Serialize>(value: &T) -> rusqlite::Result<String> {
    serde_json::to_string(value)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::model::attempt::End;
    use crate::{
        model::{
            standing::{HeldBy, Hold},
            status::Status,
        },
        permission::settings::Keep,
        store::sample::{NOON, attempt, budget, change, ended, minutes, standing},
    };

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(dir.path(), NOON).unwrap();
        (dir, store)
    }

    #[test]
    fn what_stands_and_what_people_were_told_is_read_back() {
        use std::collections::BTreeMap;

        use crate::model::{
            Name,
            standing::{Silence, Storm},
        };
        let (dir, mut store) = store();
        let silence = Silence {
            id: 3,
            checks: vec!["a".into()],
            at: NOON,
            until: NOON.plus(minutes(60)),
            by: "ann".to_owned(),
            reason: "moving".to_owned(),
        };
        let storm = Storm {
            began: NOON,
            last: NOON,
            until: NOON.plus(minutes(5)),
            turned: 4,
            checks: ["a".into(), "b".into()].into(),
            threshold: 3,
        };
        let page = |check: Option<&str>, text: &str| Page {
            at: NOON,
            check: check.map(Into::into),
            kind: NoteKind::Held,
            text: text.to_owned(),
            to: vec!["ops".into()],
        };
        let beat = |files: u32| Row::Heartbeat {
            name: "nightly".into(),
            at: NOON.plus(minutes(u64::from(files))),
            payload: json!({"files": files}),
        };
        let pauses: BTreeMap<Name, Pause> = [(
            "a".into(),
            Pause {
                at: NOON,
                by: "ann".to_owned(),
                reason: "by hand".to_owned(),
                until: None,
            },
        )]
        .into();
        let rows = [
            Row::Pauses(pauses.clone()),
            Row::Silences(vec![silence.clone()]),
            Row::Storm(Some(storm.clone())),
            Row::Page(page(None, "first")),
            Row::Page(page(Some("a"), "second")),
            beat(1),
            beat(2),
        ];
        store.write(&rows, Durability::Durable).unwrap();
        store.close().unwrap();
        let (mut store, _) = Store::open(dir.path(), NOON).unwrap();
        let saved = store.load().unwrap();
        assert_eq!((saved.silences, saved.storm), (vec![silence], Some(storm)));
        assert_eq!(saved.pauses, pauses);
        let heard = ("nightly".into(), NOON.plus(minutes(2)), json!({"files": 2}));
        assert_eq!(saved.heartbeats, [heard]);
        let pages = store.pages(10).unwrap();
        let told: Vec<(i64, &str)> = pages.iter().map(|it| (it.id, &*it.page.text)).collect();
        assert_eq!(told, [(2, "second"), (1, "first")]);
        store
            .write(&[Row::Storm(None), Row::Silences(vec![])], Durability::Lazy)
            .unwrap();
        let saved = store.load().unwrap();
        assert_eq!((saved.silences, saved.storm), (vec![], None));
    }

    fn written(attempt: Attempt) -> Row {
        let budget = budget(&[attempt.begun]);
        Row::Attempt { attempt, budget }
    }

    #[test]
    fn what_a_start_needs_comes_back_and_the_last_row_of_a_key_counts() {
        let (_dir, mut store) = store();
        let later = NOON.plus(minutes(5));
        let pause = Pause {
            at: NOON,
            by: "ann".to_owned(),
            reason: "moving".to_owned(),
            until: Some(later),
        };
        let open = ended(&attempt(3, "a", NOON), End::Failed, later);
        let open = Attempt {
            phase: Phase::Verifying { until: later },
            ..open
        };
        let rows = [
            Row::Standing {
                check: "a".into(),
                standing: standing(Status::Ok, NOON),
            },
            Row::Pause(None),
            Row::Intent {
                attempt: attempt(3, "a", NOON),
                budget: budget(&[NOON]),
            },
            Row::Standing {
                check: "a".into(),
                standing: standing(Status::Critical, later),
            },
            written(ended(&attempt(2, "b", NOON), End::Verified, later)),
            Row::Attempt {
                attempt: open.clone(),
                budget: budget(&[NOON, later]),
            },
            Row::Pause(Some(pause.clone())),
            Row::Budget {
                check: "c".into(),
                budget: budget(&[later]),
            },
            change("a", NOON, Status::Ok, Status::Critical),
        ];
        store.write(&rows, Durability::Lazy).unwrap();
        store.write(&[], Durability::Durable).unwrap();
        let saved = store.load().unwrap();
        assert_eq!(
            saved.standings,
            [("a".into(), standing(Status::Critical, later))]
        );
        assert_eq!(
            saved.budgets,
            [
                ("a".into(), budget(&[NOON, later])),
                ("b".into(), budget(&[NOON])),
                ("c".into(), budget(&[later]))
            ]
        );
        assert_eq!(saved.attempts, std::slice::from_ref(&open));
        assert_eq!(saved.pause, Some(pause));
        assert_eq!(saved.next_attempt, 4);
        assert_eq!(store.attempt(3).unwrap(), Some(open));
        store
            .write(&[Row::Pause(None)], Durability::Durable)
            .unwrap();
        assert_eq!(store.load().unwrap().pause, None);
    }

    #[test]
    fn an_ended_attempt_can_still_be_undone() {
        let (_dir, mut store) = store();
        let done = ended(&attempt(1, "a", NOON), End::Failed, NOON);
        store
            .write(&[written(done.clone())], Durability::Lazy)
            .unwrap();
        let undo = store.attempt(1).unwrap().unwrap().receipts[0].undo.clone();
        assert_eq!(undo, done.receipts[0].undo);
        assert_eq!(store.attempt(2).unwrap(), None);
        let effects = [
            json!({"file": "data/x.json", "body": "b\u{0}"}),
            json!(null),
        ];
        assert!(store.prepared_of(1).unwrap().is_empty());
        store.prepared(1, &effects).unwrap();
        assert_eq!(store.prepared_of(1).unwrap(), effects);
        // The images of the next step are added.
        let next = json!({"file": "data/y.json"});
        store.prepared(2, &[json!("another attempt")]).unwrap();
        store.prepared(1, std::slice::from_ref(&next)).unwrap();
        assert_eq!(
            store.prepared_of(1).unwrap(),
            [effects[0].clone(), effects[1].clone(), next]
        );
        assert_eq!(store.undone_at(1).unwrap(), None);
        store.undone(1, NOON.plus(minutes(1)), "ann").unwrap();
        assert_eq!(store.undone_at(1).unwrap(), Some(NOON.plus(minutes(1))));
    }

    #[test]
    fn a_write_is_all_or_nothing() {
        let (_dir, mut store) = store();
        let rows = [
            Row::Intent {
                attempt: attempt(1, "a", NOON),
                budget: budget(&[NOON]),
            },
            // No such number fits into the store.
            Row::Intent {
                attempt: attempt(u64::MAX, "b", NOON),
                budget: budget(&[NOON]),
            },
        ];
        assert!(store.write(&rows, Durability::Durable).is_err());
        let saved = store.load().unwrap();
        assert!(saved.attempts.is_empty() && saved.budgets.is_empty());
        assert_eq!(saved.next_attempt, 1);
    }

    #[test]
    fn history_is_newest_first_and_can_be_narrowed() {
        let (_dir, mut store) = store();
        let at = |minute| NOON.plus(minutes(minute));
        let rows = [
            change("a", at(0), Status::Ok, Status::Critical),
            Row::Held {
                check: "a".into(),
                at: at(1),
                hold: Hold::by(HeldBy::Cooldown).until(at(9)),
            },
            change("b", at(2), Status::Ok, Status::Warning),
            change("a", at(3), Status::Critical, Status::Warning),
            written(ended(&attempt(1, "a", at(3)), End::Verified, at(3))),
            change("a", at(3), Status::Warning, Status::Ok),
            Row::Note {
                check: Some("b".into()),
                at: at(4),
                kind: NoteKind::Escalated,
                text: "help".to_owned(),
                to: vec!["ops".into()],
            },
        ];
        store.write(&rows, Durability::Lazy).unwrap();
        store.undone(1, at(8), "ann").unwrap();
        let seen = |query: &super::super::HistoryQuery| -> Vec<String> {
            let entries = store.history(query).unwrap();
            let seen = entries.iter().map(|entry| {
                let minute = entry.at().since(NOON).as_secs() / 60;
                let what = match entry {
                    HistoryEntry::Change { from, to, .. } => format!("{from}>{to}"),
                    HistoryEntry::Held { hold, .. } => format!("held by {}", hold.by),
                    HistoryEntry::Note { text, .. } => text.clone(),
                    HistoryEntry::Attempt { attempt, undone } => {
                        assert_eq!(*undone, Some(at(8)));
                        assert_eq!(attempt.receipts[0].undo, None);
                        format!("attempt {}", attempt.id)
                    }
                };
                format!(
                    "{minute} {} {what}",
                    entry.check().map_or("*", |check| check)
                )
            });
            seen.collect()
        };
        let all = super::super::HistoryQuery::default();
        assert_eq!(
            seen(&all),
            [
                "4 b help",
                "3 a attempt 1",
                "3 a WARNING>OK",
                "3 a CRITICAL>WARNING",
                "2 b OK>WARNING",
                "1 a held by cooldown",
                "0 a OK>CRITICAL",
            ]
        );
        let narrow = super::super::HistoryQuery {
            check: Some("a".into()),
            since: Some(at(1)),
            until: Some(at(3)),
            limit: 3,
        };
        assert_eq!(
            seen(&narrow),
            ["3 a attempt 1", "3 a WARNING>OK", "3 a CRITICAL>WARNING"]
        );
        // As JSON, for `history --json` and for reading a body back.
        let entries = store.history(&all).unwrap();
        let text = serde_json::to_string(&entries).unwrap();
        assert_eq!(
            serde_json::from_str::<Vec<HistoryEntry>>(&text).unwrap(),
            entries
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]

        /// Whatever is written, pruned and reopened: no number is given twice.
        #[test]
        fn the_next_number_is_greater_than_every_one_before(
            steps in proptest::collection::vec((0u8..4, 0u64..40, 0u64..200), 1..20)
        ) {
            let (dir, mut store) = store();
            let mut highest = 0;
            for (what, gap, days) in steps {
                match what {
                    0 | 1 => {
                        highest += gap;
                        let attempt = attempt(highest, "a", NOON);
                        let row = if what == 0 {
                            Row::Intent { attempt, budget: budget(&[NOON]) }
                        } else {
                            written(ended(&attempt, End::Failed, NOON))
                        };
                        store.write(&[row], Durability::Lazy).unwrap();
                    }
                    2 => {
                        store.prune(NOON.plus(minutes(days * 24 * 60)), &Keep::default()).unwrap();
                    }
                    _ => {
                        drop(store);
                        store = Store::open(dir.path(), NOON).unwrap().0;
                    }
                }
                prop_assert!(store.load().unwrap().next_attempt > highest);
            }
        }
    }
}
