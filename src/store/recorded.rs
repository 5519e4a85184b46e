//! Recorded looks, newest first, read beside the store's owner: whoever draws the last hours of a check must not make
//! the writing of an intent wait.
//!
//! The file is opened for reading alone, and read in one transaction: what is folded together or forgotten meanwhile
//! is still there for it. What the owner has not written yet is asked of the owner ([`Store::buffered_looks_of`]).

use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use super::{
    LookRecord, Store, StoreError, file,
    looks::{FILE, read_block, read_ids},
    schema::broken,
};
use crate::model::moment::Moment;

/// So much is unpacked for one answer, in bytes.
const BUDGET: u64 = 64 << 20;
/// So many blocks are looked into for one answer.
const BLOCKS: usize = 5_000;

/// `facts.db`, opened for reading.
pub struct Recorded(Connection);

/// What was found, newest first.
#[derive(Debug, Default, PartialEq)]
pub struct Found {
    pub looks: Vec<LookRecord>,
    /// There may be more: it had enough, or reading on would take too long.
    pub more: bool,
}

impl Recorded {
    /// The recorded looks of the store in `dir`; `None` if there are none yet.
    pub fn open(dir: &Path) -> Result<Option<Recorded>, StoreError> {
        let path = dir.join(FILE);
        if !file::present(&path) {
            return Ok(None);
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let doing = "open recorded facts";
        let conn = Connection::open_with_flags(&path, flags).map_err(broken(doing))?;
        conn.busy_timeout(std::time::Duration::from_millis(500))
            .and_then(|()| conn.execute_batch("PRAGMA query_only = ON; BEGIN"))
            .map_err(broken(doing))?;
        Ok(Some(Recorded(conn)))
    }

    /// The newest `limit` looks from one instant to another (both included): of one check, or of all.
    pub fn newest(
        &self,
        check: Option<&str>,
        from: Moment,
        to: Moment,
        limit: usize,
    ) -> Result<Found, StoreError> {
        let doing = "list recorded facts";
        let id = match check {
            None => None,
            Some(check) => match self.id(check).map_err(broken(doing))? {
                Some(id) => Some(id),
                None => return Ok(Found::default()),
            },
        };
        let mut found = Found::default();
        let mut left = BUDGET;
        for (tried, block) in self
            .blocks(from, to)
            .map_err(broken(doing))?
            .into_iter()
            .enumerate()
        {
            // Blocks come by their last look; one that ended before the oldest we want has nothing for us.
            let oldest = found.looks.get(limit.saturating_sub(1)).map(|look| look.at);
            if oldest.is_some_and(|oldest| block.to < oldest) {
                found.more = true;
                break;
            }
            if left < block.raw || tried >= BLOCKS {
                found.more = true;
                break;
            }
            if !self.holds(block.id, id).map_err(broken(doing))? {
                continue;
            }
            left -= block.raw;
            let looks = self.body(block.id)?;
            let wanted = |look: &LookRecord| {
                look.at >= from && look.at <= to && check.is_none_or(|check| *look.check == *check)
            };
            found.looks.extend(looks.into_iter().filter(wanted));
            // Stable: looks of one instant stay in the order in which they came.
            found.looks.sort_by_key(|look| std::cmp::Reverse(look.at));
        }
        if found.looks.len() > limit {
            found.looks.truncate(limit);
            found.more = true;
        }
        Ok(found)
    }

    fn id(&self, check: &str) -> rusqlite::Result<Option<i64>> {
        self.0
            .query_row("SELECT id FROM name WHERE name = ?1", [check], |row| {
                row.get(0)
            })
            .optional()
    }

    fn blocks(&self, from: Moment, to: Moment) -> rusqlite::Result<Vec<Block>> {
        let mut query = self.0.prepare_cached(
            "SELECT id, to_at, raw FROM block WHERE to_at >= ?1 AND from_at <= ?2 ORDER BY to_at DESC, id DESC",
        )?;
        let rows = query.query_map(params![from.0, to.0], |row| {
            Ok(Block {
                id: row.get(0)?,
                to: Moment(row.get(1)?),
                raw: row.get(2)?,
            })
        })?;
        rows.collect()
    }

    /// Whether a block has looks of this check.
    fn holds(&self, block: i64, check: Option<i64>) -> rusqlite::Result<bool> {
        let Some(check) = check else {
            return Ok(true);
        };
        let mut query = self
            .0
            .prepare_cached("SELECT checks FROM block WHERE id = ?1")?;
        let checks: Vec<u8> = query.query_row([block], |row| row.get(0))?;
        Ok(read_ids(&checks).contains(&check))
    }

    fn body(&self, block: i64) -> Result<Vec<LookRecord>, StoreError> {
        let doing = "read recorded facts";
        let mut query = self
            .0
            .prepare_cached("SELECT body FROM block WHERE id = ?1")
            .map_err(broken(doing))?;
        let body: Vec<u8> = query
            .query_row([block], |row| row.get(0))
            .map_err(broken(doing))?;
        read_block(&body).ok_or_else(|| {
            StoreError::corrupt(format!("the block {block} of facts cannot be read"))
        })
    }
}

struct Block {
    id: i64,
    /// Of its newest look.
    to: Moment,
    /// Bytes unpacked.
    raw: u64,
}

impl Store {
    /// Looks of a check that are not written yet, oldest first.
    pub fn buffered_looks_of(&self, check: &str) -> Vec<LookRecord> {
        let all = self.facts.buffered();
        all.into_iter()
            .filter(|look| *look.check == *check)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::facts::Facts,
        store::sample::{NOON, look, minutes},
    };

    const EVER: (Moment, Moment) = (Moment(i64::MIN), Moment(i64::MAX));

    #[test]
    fn the_newest_are_found_beside_the_owner_and_what_is_not_written_by_asking_it() {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, _) = Store::open(dir.path(), NOON).unwrap();
        assert!(Recorded::open(dir.path()).unwrap().is_none());
        let at = |minute: u32| NOON.plus(minutes(minute.into()));
        for minute in 0..30 {
            let check = ["a", "b"][minute as usize % 2];
            store
                .looks(&[look(check, at(minute), Facts::new().with("n", minute))])
                .unwrap();
            store.flush_looks().unwrap();
        }
        store.looks(&[look("a", at(31), Facts::new())]).unwrap();
        let recorded = Recorded::open(dir.path()).unwrap().unwrap();
        let times = |found: &Found| found.looks.iter().map(|look| look.at).collect::<Vec<_>>();
        let found = recorded.newest(Some("a"), EVER.0, EVER.1, 3).unwrap();
        assert_eq!(times(&found), [at(28), at(26), at(24)]);
        assert!(found.more);
        let found = recorded.newest(Some("a"), at(2), at(6), 9).unwrap();
        assert_eq!(times(&found), [at(6), at(4), at(2)]);
        assert!(!found.more);
        let found = recorded.newest(None, at(27), EVER.1, 9).unwrap();
        assert_eq!(times(&found), [at(29), at(28), at(27)]);
        assert_eq!(
            recorded.newest(Some("z"), EVER.0, EVER.1, 9).unwrap(),
            Found::default()
        );
        assert_eq!(store.buffered_looks_of("a").len(), 1);
        assert!(store.buffered_looks_of("b").is_empty());
        // The owner goes on while it is read.
        store.flush_looks().unwrap();
        store.close().unwrap();
    }
}
