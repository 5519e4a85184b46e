//! The facts of looks, in `facts.db`: blocks of them, compressed, each with the checks it holds, so that replaying one
//! check skips what does not concern it.
//!
//! Looks are buffered for some seconds before a block is written ([`BLOCK_SPAN`], [`BLOCK_BYTES`]): a crash loses those,
//! and nothing that is needed to go on. Queries see the buffer, too.

use std::{
    collections::{BTreeSet, HashMap},
    io::{Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use flate2::{Compression, read::ZlibDecoder, write::ZlibEncoder};
use rusqlite::{Connection, params};

use crate::model::{Name, moment::Moment, status::Status, verdict::Verdict};

use super::{
    Replay, Store, StoreError, aside,
    block::{self, Builder},
    file,
    replay::Source,
    schema,
    schema::broken,
    snapshot,
};

pub(super) const FILE: &str = "facts.db";

/// A block is written when its looks span this much…
pub(super) const BLOCK_SPAN: Duration = Duration::from_secs(5);
/// …or take so many bytes before compression.
pub(super) const BLOCK_BYTES: usize = 1 << 20;
/// No block is larger than this before compression.
const BLOCK_LIMIT: u64 = 16 << 20;

/// One look, as replay needs it.
#[derive(Clone, Debug, PartialEq)]
pub struct LookRecord {
    pub check: Name,
    pub at: Moment,
    /// Of the look by itself.
    pub status: Status,
    /// After patience.
    pub counted: Status,
    /// Kept to the microsecond.
    pub duration_ms: f64,
    /// Recorded of it: facts (at most 64 KiB; larger values are `{"$cut": bytes}`), message and error (at most 4 KiB
    /// each), `skipped`, `no_data`, `kept`, `latch`, `proven`. The rest follows from the facts and a rule set.
    pub verdict: Arc<Verdict>,
}

/// `facts.db`, opened when it is first needed, and the block being filled.
pub(super) struct FactsFile {
    dir: PathBuf,
    /// Of a snapshot: nothing is ever written.
    read_only: bool,
    /// Found corrupt: to be set aside when it is next needed.
    broken: bool,
    conn: Option<Connection>,
    names: Names,
    filling: Builder,
}

impl FactsFile {
    pub(super) fn beside(dir: &Path) -> FactsFile {
        FactsFile {
            dir: dir.to_owned(),
            read_only: false,
            broken: false,
            conn: None,
            names: HashMap::new(),
            filling: Builder::default(),
        }
    }

    /// The same for a snapshot.
    pub(super) fn read_only(dir: &Path) -> FactsFile {
        FactsFile {
            read_only: true,
            ..FactsFile::beside(dir)
        }
    }

    /// Opens it for writing; it is made if it is not there, and replaced if it is broken or was removed.
    fn ready(&mut self, now: Moment) -> Result<(), StoreError> {
        if self.read_only {
            return Err(StoreError::Closed);
        }
        let path = self.dir.join(FILE);
        if self.broken {
            self.forget();
            let aside = aside::put_aside(&path, now)?;
            tracing::warn!(aside = %aside.display(), "recorded facts are corrupt and set aside");
            self.broken = false;
        }
        if self.conn.is_some() && !file::present(&path) {
            tracing::warn!(path = %path.display(), "recorded facts were removed while open");
            self.forget();
        }
        if self.conn.is_none() {
            let (conn, names) = open(&path, now)?;
            self.names = names;
            self.conn = Some(conn);
        }
        Ok(())
    }

    fn forget(&mut self) {
        self.conn = None;
        self.names.clear();
    }

    /// Does something to it, if it is there. What turns out corrupt is set aside at the next occasion.
    pub(super) fn change<T>(
        &mut self,
        now: Moment,
        work: impl FnOnce(&mut Connection) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        if self.conn.is_none() && !file::present(&self.dir.join(FILE)) {
            return Ok(None);
        }
        self.ready(now)?;
        let done = self.conn.as_mut().map(work).transpose();
        self.note(done)
    }

    /// The looks of the block being filled.
    pub(super) fn buffered(&self) -> Vec<LookRecord> {
        block::decode(self.filling.bytes()).unwrap_or_default()
    }

    fn note<T>(&mut self, done: Result<T, StoreError>) -> Result<T, StoreError> {
        match &done {
            Err(StoreError::Corrupt { .. }) => self.broken = true,
            Err(StoreError::Sqlite { source, .. }) if schema::is_corrupt(source) => {
                self.broken = true;
            }
            _ => {}
        }
        done
    }

    pub(super) fn reader(&self) -> Result<Option<Source<'_>>, StoreError> {
        let path = self.dir.join(FILE);
        if let Some(conn) = &self.conn {
            return Ok(Some(Source::Shared(conn)));
        }
        if !file::present(&path) {
            return Ok(None);
        }
        let conn = if self.read_only {
            snapshot::reader(&path)?
        } else {
            file::open_file(&path, schema::FACTS, schema::Care::Quick)?
        };
        Ok(Some(Source::Own(conn)))
    }

    /// Folds its log into the file and closes it; what is left unfolded is found again at the next start.
    pub(super) fn close(&mut self) {
        if let Some(conn) = self.conn.take() {
            let folded = conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
            if let Err(error) = folded.and_then(|()| conn.close().map_err(|(_, error)| error)) {
                tracing::warn!(%error, "could not fold the log of recorded facts");
            }
        }
    }
}

type Names = HashMap<Name, i64>;

fn open(path: &Path, now: Moment) -> Result<(Connection, Names), StoreError> {
    if file::present(path) {
        match open_existing(path) {
            Err(StoreError::Corrupt { why }) => {
                let aside = aside::put_aside(path, now)?;
                tracing::warn!(aside = %aside.display(), why, "recorded facts are corrupt and set aside");
            }
            other => return other,
        }
    }
    let fresh = file::beside(path, ".fresh");
    file::build(&fresh, schema::FACTS, |_| Ok(()))?;
    // A log that belongs to no file must not be taken for the new one's.
    if file::present(&file::beside(path, "-wal")) {
        aside::put_aside(path, now)?;
    }
    file::rename(&fresh, path)?;
    open_existing(path)
}

fn open_existing(path: &Path) -> Result<(Connection, Names), StoreError> {
    let conn = file::open_file(path, schema::FACTS, schema::Care::Quick)?;
    let names = names(&conn)?;
    Ok((conn, names))
}

fn names(conn: &Connection) -> Result<Names, StoreError> {
    let doing = "read the names of recorded checks";
    let mut query = conn
        .prepare("SELECT name, id FROM name")
        .map_err(broken(doing))?;
    let rows = query
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .map_err(broken(doing))?;
    rows.collect::<Result<_, _>>().map_err(broken(doing))
}

impl Store {
    /// Records looks for replay. They are buffered; see [`Store::flush_looks`].
    ///
    /// # Errors
    /// A full block could not be written: its looks are lost, later ones are not.
    pub fn looks(&mut self, looks: &[LookRecord]) -> Result<(), StoreError> {
        let mut written = Ok(());
        for look in looks {
            let filling = &mut self.facts.filling;
            filling.push(look);
            let spans = filling
                .span
                .is_some_and(|(from, to)| to.since(from) >= BLOCK_SPAN);
            if spans || filling.bytes().len() >= BLOCK_BYTES {
                written = written.and(self.flush_looks());
            }
        }
        written
    }

    /// How many looks are buffered.
    pub fn buffered_looks(&self) -> usize {
        self.facts.filling.looks
    }

    /// Writes the looks that are buffered as a block.
    pub fn flush_looks(&mut self) -> Result<(), StoreError> {
        let block = std::mem::take(&mut self.facts.filling);
        let Some((_, to)) = block.span else {
            return Ok(());
        };
        self.facts.ready(to)?;
        let done = self.facts.put(&block);
        self.facts.note(done)
    }

    /// Recorded looks from one instant to another (both included), oldest first; a block at a time is in memory.
    pub fn replay_looks(&self, from: Moment, to: Moment) -> Result<Replay<'_>, StoreError> {
        Replay::new(self, None, from, to)
    }

    /// The same of one check, skipping the blocks it is not in.
    pub fn replay_looks_of(
        &self,
        check: &str,
        from: Moment,
        to: Moment,
    ) -> Result<Replay<'_>, StoreError> {
        Replay::new(self, Some(check), from, to)
    }
}

impl FactsFile {
    fn put(&mut self, block: &Builder) -> Result<(), StoreError> {
        let doing = "record facts";
        let Some(conn) = self.conn.as_mut() else {
            return Err(StoreError::Closed);
        };
        let transaction = conn.transaction().map_err(StoreError::sqlite(doing))?;
        let mut added = Vec::new();
        let mut ids = BTreeSet::new();
        for name in block.checks() {
            let id = match self.names.get(name) {
                Some(id) => *id,
                None => {
                    let id = name_id(&transaction, name).map_err(StoreError::sqlite(doing))?;
                    added.push((name.clone(), id));
                    id
                }
            };
            ids.insert(id);
        }
        insert_block(&transaction, None, block, &ids)?;
        transaction.commit().map_err(StoreError::sqlite(doing))?;
        self.names.extend(added);
        Ok(())
    }
}

fn name_id(conn: &Connection, name: &str) -> rusqlite::Result<i64> {
    conn.prepare_cached("INSERT OR IGNORE INTO name (name) VALUES (?1)")?
        .execute([name])?;
    conn.prepare_cached("SELECT id FROM name WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
}

/// Blocks are numbered in the order in which their looks came; `number` is `None` for the next.
pub(super) fn insert_block(
    conn: &Connection,
    number: Option<i64>,
    block: &Builder,
    ids: &BTreeSet<i64>,
) -> Result<(), StoreError> {
    let Some((from, to)) = block.span else {
        return Ok(());
    };
    conn.prepare_cached(
        "INSERT INTO block (id, from_at, to_at, looks, raw, checks, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )
    .and_then(|mut query| {
        query.execute(params![
            number,
            from.0,
            to.0,
            block.looks,
            block.bytes().len(),
            deflate(&gaps(ids)),
            deflate(block.bytes()),
        ])
    })
    .map(drop)
    .map_err(StoreError::sqlite("record facts"))
}

/// Ascending numbers as their gaps, base 128.
fn gaps(ids: &BTreeSet<i64>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(ids.len());
    let mut last = 0;
    for id in ids {
        let mut gap = id.wrapping_sub(last) as u64;
        last = *id;
        while gap >= 0x80 {
            bytes.push(gap as u8 | 0x80);
            gap >>= 7;
        }
        bytes.push(gap as u8);
    }
    bytes
}

pub(super) fn ids(gaps: &[u8]) -> BTreeSet<i64> {
    let mut ids = BTreeSet::new();
    let (mut id, mut gap, mut shift) = (0i64, 0u64, 0u32);
    for byte in gaps {
        gap |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        shift += 7;
        if byte & 0x80 == 0 {
            id = id.wrapping_add_unsigned(gap);
            ids.insert(id);
            (gap, shift) = (0, 0);
        }
    }
    ids
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    // Writing to memory does not fail.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

fn inflate(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut raw = Vec::new();
    ZlibDecoder::new(bytes)
        .take(BLOCK_LIMIT)
        .read_to_end(&mut raw)
        .ok()?;
    Some(raw)
}

/// The checks of a block and its looks.
pub(super) fn read_block(body: &[u8]) -> Option<Vec<LookRecord>> {
    block::decode(&inflate(body)?)
}

pub(super) fn read_ids(checks: &[u8]) -> BTreeSet<i64> {
    inflate(checks).map(|gaps| ids(&gaps)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        model::facts::Facts,
        permission::settings::Keep,
        store::sample::{NOON, look, minutes},
    };

    const EVER: (Moment, Moment) = (Moment(i64::MIN), Moment(i64::MAX));

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(dir.path(), NOON).unwrap();
        (dir, store)
    }

    fn after(milliseconds: i64) -> Moment {
        Moment(NOON.0 + milliseconds)
    }

    fn numbered(check: &str, at: Moment, number: i64) -> LookRecord {
        look(check, at, Facts::new().with("n", number))
    }

    fn replayed(store: &Store, from: Moment, to: Moment) -> Vec<LookRecord> {
        let looks = store.replay_looks(from, to).unwrap();
        looks.collect::<Result<_, _>>().unwrap()
    }

    fn blocks(store: &Store) -> i64 {
        let conn = store.facts.conn.as_ref().unwrap();
        conn.query_row("SELECT count(*) FROM block", [], |row| row.get(0))
            .unwrap()
    }

    #[test]
    fn looks_come_back_in_order_from_blocks_and_buffer() {
        let (dir, mut store) = store();
        assert!(replayed(&store, EVER.0, EVER.1).is_empty());
        let mut looks = Vec::new();
        for number in 0..100 {
            // Every tenth look is recorded four seconds late.
            let at = after(number * 500 - if number % 10 == 9 { 4_000 } else { 0 });
            looks.push(numbered(["a", "b", "c"][number as usize % 3], at, number));
        }
        store.looks(&looks).unwrap();
        assert!(store.buffered_looks() > 0 && blocks(&store) > 5);
        looks.sort_by_key(|look| look.at);
        assert_eq!(replayed(&store, EVER.0, EVER.1), looks);
        let (from, to) = (after(10_000), after(30_000));
        let within: Vec<_> = looks
            .iter()
            .filter(|look| look.at >= from && look.at <= to)
            .cloned()
            .collect();
        assert_eq!(replayed(&store, from, to), within);
        let only: Vec<_> = looks
            .iter()
            .filter(|look| &*look.check == "b")
            .cloned()
            .collect();
        let mine = store.replay_looks_of("b", EVER.0, EVER.1).unwrap();
        assert_eq!(mine.collect::<Result<Vec<_>, _>>().unwrap(), only);
        assert_eq!(
            store.replay_looks_of("z", EVER.0, EVER.1).unwrap().count(),
            0
        );
        store.close().unwrap();
        let (store, _) = Store::open(dir.path(), NOON).unwrap();
        assert_eq!(replayed(&store, EVER.0, EVER.1), looks);
        assert!(!dir.path().join("facts.db-wal").exists());
        let snapshot = crate::store::snapshot(dir.path()).unwrap().unwrap();
        assert_eq!(replayed(&snapshot, EVER.0, EVER.1), looks);
    }

    #[test]
    fn a_check_skips_the_blocks_it_is_not_in() {
        let (_dir, mut store) = store();
        for block in 0..3 {
            let name = format!("check_{block}");
            store
                .looks(&[numbered(&name, after(block * 60_000), block)])
                .unwrap();
            store.flush_looks().unwrap();
        }
        let conn = store.facts.conn.as_ref().unwrap();
        conn.execute("UPDATE block SET body = x'00' WHERE id <> 2", [])
            .unwrap();
        let mine: Vec<_> = store
            .replay_looks_of("check_1", EVER.0, EVER.1)
            .unwrap()
            .collect();
        assert_eq!(mine.len(), 1);
        assert_eq!(mine[0].as_ref().unwrap().check, "check_1".into());
        // Of all, what can be read is given, and what cannot be is said.
        let all: Vec<_> = store.replay_looks(EVER.0, EVER.1).unwrap().collect();
        assert_eq!(all.iter().filter(|look| look.is_err()).count(), 2);
        assert_eq!(all.iter().filter(|look| look.is_ok()).count(), 1);
    }

    #[test]
    fn broken_facts_are_replaced_and_harm_nothing_else() {
        type Damage = fn(&Path);
        let damages: [Damage; 5] = [
            |path| std::fs::write(path, "noise").unwrap(),
            |path| std::fs::write(path, "").unwrap(),
            |path| {
                let bytes = std::fs::read(path).unwrap();
                std::fs::write(path, &bytes[..5000]).unwrap();
            },
            |path| {
                let mut bytes = std::fs::read(path).unwrap();
                bytes[4096..].fill(0xa5);
                std::fs::write(path, bytes).unwrap();
            },
            |path| std::fs::rename(path, path.with_file_name("facts.db-wal")).unwrap(),
        ];
        for (number, damage) in damages.iter().enumerate() {
            let (dir, mut store) = store();
            store.looks(&[numbered("a", NOON, 1)]).unwrap();
            store.close().unwrap();
            damage(&dir.path().join(FILE));
            let (mut store, opened) = Store::open(dir.path(), NOON).unwrap();
            assert_eq!(opened, crate::store::Opened::Resumed);
            // What is broken further on may be found by the first write, which is then lost.
            for minute in 1..4 {
                store
                    .looks(&[numbered("a", NOON.plus(minutes(minute)), 2)])
                    .unwrap();
                let _ = store.flush_looks();
            }
            let looks = replayed(&store, EVER.0, EVER.1);
            assert!((2..=3).contains(&looks.len()), "{number}: {looks:?}");
            let aside = std::fs::read_dir(dir.path()).unwrap().flatten();
            assert!(aside.into_iter().any(|entry| {
                entry
                    .file_name()
                    .to_string_lossy()
                    .contains("facts.db.corrupt-")
            }));
            assert_eq!(store.load().unwrap().pause, None);
        }
    }

    #[test]
    fn facts_removed_while_open_are_made_anew() {
        let (dir, mut store) = store();
        store.looks(&[numbered("a", NOON, 1)]).unwrap();
        store.flush_looks().unwrap();
        for suffix in ["", "-wal", "-shm"] {
            std::fs::remove_file(file::beside(&dir.path().join(FILE), suffix)).unwrap();
        }
        store.looks(&[numbered("a", NOON, 2)]).unwrap();
        store.flush_looks().unwrap();
        store.close().unwrap();
        let (store, _) = Store::open(dir.path(), NOON).unwrap();
        assert_eq!(replayed(&store, EVER.0, EVER.1), [numbered("a", NOON, 2)]);
    }

    #[test]
    fn small_blocks_of_an_hour_become_one_and_say_the_same() {
        let (_dir, mut store) = store();
        let mut looks = Vec::new();
        for minute in 0..600 {
            let check = format!("check_{}", minute % 3);
            let seen = numbered(&check, NOON.plus(minutes(minute)), 7);
            store.looks(std::slice::from_ref(&seen)).unwrap();
            store.flush_looks().unwrap();
            looks.push(seen);
        }
        let before = blocks(&store);
        let now = NOON.plus(minutes(600));
        let mut calls = 0;
        while store.prune(now, &Keep::default()).unwrap().more {
            calls += 1;
            assert!(calls < 50, "it comes to an end");
        }
        // NOON is a full hour. The last, over but for some minutes, is left as it is.
        assert_eq!((before, blocks(&store)), (600, 9 + 60));
        assert_eq!(replayed(&store, EVER.0, EVER.1), looks);
        let mine = store.replay_looks_of("check_2", EVER.0, EVER.1).unwrap();
        assert_eq!(mine.count(), 200);
    }

    #[test]
    fn facts_past_their_keep_are_forgotten() {
        let (_dir, mut store) = store();
        for day in 0..40 {
            store
                .looks(&[numbered("a", NOON.plus(minutes(day * 24 * 60)), 1)])
                .unwrap();
        }
        store.flush_looks().unwrap();
        let now = NOON.plus(minutes(40 * 24 * 60));
        while store.prune(now, &Keep::default()).unwrap().more {}
        let left = replayed(&store, EVER.0, EVER.1);
        // Thirty days, and what shares a block with them.
        assert!((30..=31).contains(&left.len()), "{}", left.len());
        assert!(
            left.iter()
                .all(|look| now.since(look.at) <= minutes(31 * 24 * 60))
        );
    }

    proptest! {
        #[test]
        fn the_checks_of_a_block_come_back(set in proptest::collection::btree_set(1i64..100_000, 0..50)) {
            prop_assert_eq!(ids(&gaps(&set)), set.clone());
            prop_assert_eq!(read_ids(&deflate(&gaps(&set))), set);
        }
    }
}
