//! Forgetting, a little at a time: history and facts past their keep, before-images and facts past their space.
//!
//! What is forgotten of attempts is added to `ledger_past` first, in the same transaction, so the ledger never shrinks.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, params};

use crate::{model::moment::Moment, permission::settings::Keep};

use super::{
    Durability, Store, StoreError,
    block::Builder,
    ledger::{self, Tallies},
    looks,
    schema::broken,
};

/// Facts never take more than this on the disk (one more block at most).
pub const FACTS_BYTES: u64 = 1 << 30;

/// Before-images kept for undoing never take more than this.
pub const IMAGES_BYTES: u64 = 256 << 20;

/// Rows of a kind one call forgets at most.
const ROWS: usize = 500;
/// Blocks of facts one call forgets, or makes one of, at most.
const BLOCKS: usize = 256;
/// Fewer small blocks are not worth joining.
const JOINED: usize = 16;
/// Blocks are joined up to about this size before compression. (Less than a quarter of a full block is small: the
/// number stands in the index `block_small`, too.)
const JOINED_BYTES: usize = 4 << 20;
/// Free pages one call gives back to the file system at most.
const PAGES: u32 = 1024;

/// What one call forgot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    pub attempts: usize,
    /// Changes, held remediations and notes.
    pub entries: usize,
    /// Standings and budgets of checks that were not looked at for as long as history is kept.
    pub standings: usize,
    /// Attempts that can no longer be undone, because their images took too much space.
    pub images: usize,
    /// Blocks of facts.
    pub blocks: usize,
    /// Small blocks of facts that were joined.
    pub joined: usize,
    /// There is more to forget: call again soon.
    pub more: bool,
}

impl Store {
    /// Forgets what is past its keep. Bounded work: a call takes some milliseconds and says whether there is `more`.
    pub fn prune(&mut self, now: Moment, keep: &Keep) -> Result<Pruned, StoreError> {
        let mut pruned = Pruned::default();
        let before = now.minus(keep.history.0);
        self.transact(Durability::Lazy, |conn| {
            forget_history(conn, before, now, &mut pruned)
        })?;
        self.transact(Durability::Lazy, |conn| {
            forget_images(conn, IMAGES_BYTES, &mut pruned)
        })?;
        shrink(&self.conn)?;
        let before = now.minus(keep.facts.0);
        self.facts.change(now, |conn| {
            forget_facts(conn, before, FACTS_BYTES, &mut pruned)?;
            join(conn, now, &mut pruned)?;
            shrink(conn)
        })?;
        Ok(pruned)
    }
}

fn forget_history(
    conn: &Connection,
    before: Moment,
    now: Moment,
    pruned: &mut Pruned,
) -> Result<(), StoreError> {
    let doing = "forget old history";
    let mut past = Tallies::new();
    let old = ledger::climbs(conn, "ended IS NOT NULL AND begun < ?1", before, ROWS)?;
    for climb in &old {
        ledger::count(&mut past, climb, now);
        for query in [
            "DELETE FROM attempt WHERE id = ?1",
            "DELETE FROM prepared WHERE attempt = ?1",
            "DELETE FROM undone WHERE attempt = ?1",
        ] {
            conn.prepare_cached(query)
                .and_then(|mut query| query.execute([climb.id]))
                .map_err(StoreError::sqlite(doing))?;
        }
    }
    pruned.attempts = old.len();
    // An attempt that still stands needs the changes after it to tell whether its repair lasted.
    let standing: Option<i64> = conn
        .query_row("SELECT min(begun) FROM attempt", [], |row| row.get(0))
        .map_err(broken(doing))?;
    let last = standing.map_or(before, |begun| before.min(Moment(begun)));
    let edge: i64 = edge(conn, last).map_err(broken(doing))?;
    for (check, held) in ledger::held(conn, i64::MIN, edge)? {
        past.entry((check, String::new())).or_default().held += held;
    }
    pruned.entries = conn
        .execute("DELETE FROM entry WHERE at < ?1", [edge])
        .map_err(StoreError::sqlite(doing))?;
    ledger::add_past(conn, &past)?;
    for query in [
        "DELETE FROM page WHERE at < ?1",
        "DELETE FROM incident WHERE ended < ?1",
        "DELETE FROM delivery WHERE at < ?1 AND state <> 'waiting'",
        "DELETE FROM heartbeat WHERE at < ?1",
    ] {
        conn.execute(query, [before.0])
            .map_err(StoreError::sqlite(doing))?;
    }
    pruned.standings = forget_standings(conn, before).map_err(StoreError::sqlite(doing))?;
    pruned.more |= old.len() == ROWS || edge < last.0;
    Ok(())
}

/// The instant before which entries are forgotten now: `before`, or less far if that would be too many at once.
fn edge(conn: &Connection, before: Moment) -> rusqlite::Result<i64> {
    conn.query_row(
        // One past the last of them, so that all of one instant go together.
        "SELECT coalesce((SELECT at + 1 FROM entry WHERE at < ?1 ORDER BY at LIMIT 1 OFFSET ?2), ?1)",
        params![before.0, ROWS - 1],
        |row| row.get(0),
    )
    .map(|edge: i64| edge.min(before.0))
}

/// Of checks that are gone. A quarantine is never forgotten.
fn forget_standings(conn: &Connection, before: Moment) -> rusqlite::Result<usize> {
    let standings = conn.execute(
        "DELETE FROM standing WHERE name IN (SELECT name FROM standing WHERE at < ?1 LIMIT ?2)",
        params![before.0, ROWS],
    )?;
    let budgets = conn.execute(
        "DELETE FROM budget WHERE name IN (SELECT name FROM budget WHERE at < ?1 \
         AND json_extract(body, '$.quarantined') IS NULL \
         AND json_extract(body, '$.unverified') = 0 \
         AND name NOT IN (SELECT name FROM standing) \
         AND name NOT IN (SELECT name FROM attempt WHERE ended IS NULL) LIMIT ?2)",
        params![before.0, ROWS],
    )?;
    Ok(standings + budgets)
}

/// Forgets the oldest before-images of ended attempts beyond a total size.
fn forget_images(conn: &Connection, bytes: u64, pruned: &mut Pruned) -> Result<(), StoreError> {
    let doing = "forget old before-images";
    let sizes = "SELECT id, coalesce(length(undo), 0) \
                 + (SELECT coalesce(sum(length(body)), 0) FROM prepared WHERE prepared.attempt = attempt.id) AS size \
                 FROM attempt WHERE ended IS NOT NULL";
    let total: u64 = conn
        .query_row(
            &format!("SELECT coalesce(sum(size), 0) FROM ({sizes})"),
            [],
            |row| row.get(0),
        )
        .map_err(broken(doing))?;
    let mut over = total.saturating_sub(bytes);
    let mut query = conn
        .prepare(&format!(
            "SELECT id, size FROM ({sizes}) WHERE size > 0 ORDER BY id LIMIT ?1"
        ))
        .map_err(broken(doing))?;
    let mut rows = query.query([ROWS]).map_err(broken(doing))?;
    let mut gone = Vec::new();
    while over > 0
        && let Some(row) = rows.next().map_err(broken(doing))?
    {
        let (id, size): (i64, u64) = row
            .get(0)
            .and_then(|id| Ok((id, row.get(1)?)))
            .map_err(broken(doing))?;
        over = over.saturating_sub(size);
        gone.push(id);
    }
    drop(rows);
    for id in &gone {
        conn.execute("UPDATE attempt SET undo = NULL WHERE id = ?1", [id])
            .and_then(|_| conn.execute("DELETE FROM prepared WHERE attempt = ?1", [id]))
            .map_err(StoreError::sqlite(doing))?;
    }
    pruned.images = gone.len();
    pruned.more |= over > 0;
    Ok(())
}

fn forget_facts(
    conn: &mut Connection,
    before: Moment,
    bytes: u64,
    pruned: &mut Pruned,
) -> Result<(), StoreError> {
    let doing = "forget old facts";
    pruned.blocks = conn
        .execute(
            "DELETE FROM block WHERE id IN (SELECT id FROM block WHERE to_at < ?1 ORDER BY id LIMIT ?2)",
            params![before.0, BLOCKS],
        )
        .map_err(StoreError::sqlite(doing))?;
    while pruned.blocks < BLOCKS && used(conn).map_err(broken(doing))? > bytes {
        let gone = conn
            .prepare_cached(
                "DELETE FROM block WHERE id = (SELECT id FROM block ORDER BY from_at LIMIT 1)",
            )
            .and_then(|mut query| query.execute([]))
            .map_err(StoreError::sqlite(doing))?;
        if gone == 0 {
            break;
        }
        pruned.blocks += gone;
    }
    pruned.more |= pruned.blocks >= BLOCKS;
    Ok(())
}

/// Bytes in use, free pages not counted.
fn used(conn: &Connection) -> rusqlite::Result<u64> {
    let number = |pragma| conn.pragma_query_value(None, pragma, |row| row.get::<_, u64>(0));
    let pages = number("page_count")?.saturating_sub(number("freelist_count")?);
    Ok(pages * number("page_size")?)
}

/// Makes one block of the small ones of an hour that is over: with few checks, the seconds that a block spans hold a
/// look or two, and what repeats from look to look is only seen inside a block.
fn join(conn: &mut Connection, now: Moment, pruned: &mut Pruned) -> Result<(), StoreError> {
    let doing = "join blocks of facts";
    let Some(hour) = crowded_hour(conn, now).map_err(broken(doing))? else {
        return Ok(());
    };
    let small = small_blocks(conn, hour).map_err(broken(doing))?;
    let mut joined = Builder::default();
    let mut ids = BTreeSet::new();
    for block in &small {
        ids.extend(looks::read_ids(&block.checks));
        // One that cannot be read can be done without.
        for look in looks::read_block(&block.body).unwrap_or_default() {
            joined.push(&look);
        }
    }
    let transaction = conn.transaction().map_err(StoreError::sqlite(doing))?;
    for block in &small {
        transaction
            .execute("DELETE FROM block WHERE id = ?1", [block.id])
            .map_err(StoreError::sqlite(doing))?;
    }
    looks::insert_block(
        &transaction,
        small.first().map(|block| block.id),
        &joined,
        &ids,
    )?;
    transaction.commit().map_err(StoreError::sqlite(doing))?;
    pruned.joined = small.len();
    pruned.more = true;
    Ok(())
}

struct Small {
    id: i64,
    checks: Vec<u8>,
    body: Vec<u8>,
}

const HOUR: i64 = 3_600_000;

/// The oldest hour, over for some minutes, of which there are many small blocks.
fn crowded_hour(conn: &Connection, now: Moment) -> rusqlite::Result<Option<i64>> {
    let over = now.0.saturating_sub(HOUR / 6).div_euclid(HOUR);
    conn.query_row(
        "SELECT from_at / ?1 AS hour FROM block WHERE raw < 262144 AND from_at < ?2 * ?1 \
         GROUP BY hour HAVING count(*) >= ?3 ORDER BY hour LIMIT 1",
        params![HOUR, over, JOINED],
        |row| row.get(0),
    )
    .optional()
}

fn small_blocks(conn: &Connection, hour: i64) -> rusqlite::Result<Vec<Small>> {
    let mut query = conn.prepare(
        "SELECT id, checks, body, raw FROM block WHERE raw < 262144 AND from_at >= ?1 AND from_at < ?2 \
         ORDER BY from_at, id LIMIT ?3",
    )?;
    let mut rows = query.query(params![hour * HOUR, (hour + 1) * HOUR, BLOCKS])?;
    let (mut found, mut total) = (Vec::new(), 0);
    while total < JOINED_BYTES
        && let Some(row) = rows.next()?
    {
        total += row.get::<_, usize>(3)?;
        found.push(Small {
            id: row.get(0)?,
            checks: row.get(1)?,
            body: row.get(2)?,
        });
    }
    Ok(found)
}

/// Gives free pages back to the file system, once there are many.
fn shrink(conn: &Connection) -> Result<(), StoreError> {
    let doing = "give space back";
    let free: u32 = conn
        .pragma_query_value(None, "freelist_count", |row| row.get(0))
        .map_err(broken(doing))?;
    if free < PAGES {
        return Ok(());
    }
    let mut query = conn
        .prepare(&format!("PRAGMA incremental_vacuum({PAGES})"))
        .map_err(StoreError::sqlite(doing))?;
    let mut steps = query.raw_query();
    // A step gives back one page.
    while steps.next().map_err(StoreError::sqlite(doing))?.is_some() {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{
            attempt::{End, Row},
            facts::Facts,
            status::Status,
        },
        store::{
            HistoryQuery,
            sample::{NOON, attempt, budget, change, ended, look, minutes, standing},
        },
    };

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(dir.path(), NOON).unwrap();
        (dir, store)
    }

    fn day(day: u64) -> Moment {
        NOON.plus(minutes(day * 24 * 60))
    }

    #[test]
    fn history_is_forgotten_a_little_at_a_time() {
        let (_dir, mut store) = store();
        let rows: Vec<Row> = (0..1800)
            .map(|minute| {
                change(
                    "a",
                    NOON.plus(minutes(minute)),
                    Status::Ok,
                    Status::Critical,
                )
            })
            .collect();
        store.write(&rows, Durability::Lazy).unwrap();
        let mut calls = Vec::new();
        loop {
            let pruned = store.prune(day(91), &Keep::default()).unwrap();
            calls.push(pruned.entries);
            if !pruned.more {
                break;
            }
        }
        // 91 days on, one day of it is past its keep.
        assert_eq!(calls, [500, 500, 440]);
        let left = store
            .history(&HistoryQuery {
                limit: 10_000,
                ..HistoryQuery::default()
            })
            .unwrap();
        assert_eq!(left.len(), 360);
    }

    #[test]
    fn an_open_attempt_a_spent_budget_and_a_quarantine_are_kept() {
        let (_dir, mut store) = store();
        let mut quarantined = budget(&[]);
        quarantined.unverified = 0;
        quarantined.quarantined = Some(NOON);
        let mut rested = budget(&[NOON]);
        rested.unverified = 0;
        let with = |id, check: &str, budget| Row::Attempt {
            attempt: ended(&attempt(id, check, NOON), End::Failed, NOON),
            budget,
        };
        let rows = [
            Row::Intent {
                attempt: attempt(1, "open", NOON),
                budget: budget(&[NOON]),
            },
            with(2, "quarantined", quarantined),
            with(3, "rested", rested),
            Row::Standing {
                check: "gone".into(),
                standing: standing(Status::Ok, NOON),
            },
            Row::Standing {
                check: "here".into(),
                standing: standing(Status::Ok, day(399)),
            },
        ];
        store.write(&rows, Durability::Lazy).unwrap();
        store.prepared(3, &[]).unwrap();
        while store.prune(day(400), &Keep::default()).unwrap().more {}
        let saved = store.load().unwrap();
        let names = |names: Vec<&crate::model::Name>| -> Vec<String> {
            names.iter().map(ToString::to_string).collect()
        };
        assert_eq!(saved.attempts.len(), 1);
        assert_eq!(
            names(saved.budgets.iter().map(|(name, _)| name).collect()),
            ["open", "quarantined"]
        );
        assert_eq!(
            names(saved.standings.iter().map(|(name, _)| name).collect()),
            ["here"]
        );
        let done = ended(&attempt(1, "open", NOON), End::Failed, day(1));
        store
            .write(
                &[Row::Attempt {
                    attempt: done,
                    budget: budget(&[NOON]),
                }],
                Durability::Lazy,
            )
            .unwrap();
        while store.prune(day(400), &Keep::default()).unwrap().more {}
        let saved = store.load().unwrap();
        assert_eq!(
            names(saved.standings.iter().map(|(name, _)| name).collect()),
            ["here"]
        );
        assert_eq!(saved.next_attempt, 4);
        assert_eq!(store.attempt(3).unwrap(), None);
    }

    #[test]
    fn before_images_are_kept_within_their_space() {
        let (_dir, mut store) = store();
        for id in 1..=4 {
            let attempt = attempt(id, "a", NOON);
            let row = match id {
                2 => Row::Intent {
                    attempt,
                    budget: budget(&[]),
                },
                _ => Row::Attempt {
                    attempt: ended(&attempt, End::Failed, NOON),
                    budget: budget(&[]),
                },
            };
            store.write(&[row], Durability::Lazy).unwrap();
            store.prepared(id, &[serde_json::Value::from(id)]).unwrap();
        }
        let mut pruned = Pruned::default();
        store
            .transact(Durability::Lazy, |conn| {
                forget_images(conn, 10_000, &mut pruned)
            })
            .unwrap();
        assert_eq!(pruned.images, 0);
        // Room for the images of one.
        store
            .transact(Durability::Lazy, |conn| {
                forget_images(conn, 100, &mut pruned)
            })
            .unwrap();
        assert_eq!(pruned.images, 2);
        let undo = |id| {
            let attempt = store.attempt(id).unwrap().unwrap();
            let undo = attempt
                .receipts
                .first()
                .and_then(|receipt| receipt.undo.clone());
            (undo.is_some(), store.prepared_of(id).unwrap().len())
        };
        assert_eq!(
            [1, 2, 3, 4].map(undo),
            [(false, 0), (false, 1), (false, 0), (true, 1)]
        );
    }

    #[test]
    fn facts_are_kept_within_their_space() {
        let (_dir, mut store) = store();
        let noise = |minute: u64| {
            // Nothing that compresses.
            let text: String = (0..6000u64)
                .map(|at| {
                    let mixed = (minute * 6000 + at).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                    char::from(b' ' + (mixed >> 57) as u8 % 90)
                })
                .collect();
            look(
                "a",
                NOON.plus(minutes(minute)),
                Facts::new().with("noise", text),
            )
        };
        for minute in 0..200 {
            store.looks(&[noise(minute)]).unwrap();
        }
        store.flush_looks().unwrap();
        let mut pruned = Pruned::default();
        let limit = 200 << 10;
        let used_now = store
            .facts
            .change(NOON, |conn| {
                assert!(used(conn).unwrap() > 2 * limit);
                forget_facts(conn, Moment(0), limit, &mut pruned)?;
                Ok(used(conn).unwrap())
            })
            .unwrap()
            .unwrap();
        // A block more at most, for its pages are not quite full.
        assert!(used_now <= limit + (16 << 10), "{used_now}");
        assert!(pruned.blocks > 20);
        let left = store.replay_looks(Moment(0), Moment(i64::MAX)).unwrap();
        let left: Vec<_> = left.collect::<Result<_, _>>().unwrap();
        assert_eq!(left.last(), Some(&noise(199)), "the newest are kept");
    }

    #[test]
    fn space_is_given_back() {
        let (_dir, mut store) = store();
        let rows: Vec<Row> = (0..400)
            .map(|minute| Row::Change {
                check: "a".into(),
                at: NOON.plus(minutes(minute)),
                from: Status::Ok,
                to: Status::Critical,
                message: "m".repeat(30_000),
            })
            .collect();
        store.write(&rows, Durability::Lazy).unwrap();
        let pages = |store: &Store| -> i64 {
            store
                .conn
                .pragma_query_value(None, "page_count", |row| row.get(0))
                .unwrap()
        };
        let before = pages(&store);
        for _ in 0..6 {
            store.prune(day(100), &Keep::default()).unwrap();
        }
        assert!(
            before > 3000 && pages(&store) < before / 2,
            "{before} {}",
            pages(&store)
        );
    }
}
