//! Reading recorded looks, a block at a time.

use std::collections::VecDeque;

use rusqlite::{Connection, OptionalExtension, params};

use crate::model::{Name, moment::Moment};

use super::{
    LookRecord, Store, StoreError,
    looks::{read_block, read_ids},
    schema::broken,
};

/// Recorded looks, oldest first. A block that cannot be read is one error, and the rest follows.
pub struct Replay<'a> {
    conn: Option<Source<'a>>,
    check: Option<Name>,
    from: Moment,
    to: Moment,
    /// (id, first instant) of the blocks still to be read.
    blocks: VecDeque<(i64, i64)>,
    /// The looks still to be given of the blocks that were read, and their blocks.
    ready: VecDeque<(i64, LookRecord)>,
}

pub(super) enum Source<'a> {
    Shared(&'a Connection),
    Own(Connection),
}

impl Source<'_> {
    fn conn(&self) -> &Connection {
        match self {
            Source::Shared(conn) => conn,
            Source::Own(conn) => conn,
        }
    }
}

impl<'a> Replay<'a> {
    pub(super) fn new(
        store: &'a Store,
        check: Option<&str>,
        from: Moment,
        to: Moment,
    ) -> Result<Replay<'a>, StoreError> {
        let conn = store.facts.reader()?;
        let mut replay = Replay {
            check: check.map(Name::from),
            from,
            to,
            blocks: VecDeque::new(),
            ready: VecDeque::new(),
            conn,
        };
        if let Some(conn) = &replay.conn {
            replay.blocks = replay
                .list(conn.conn())
                .map_err(broken("list recorded facts"))?;
        }
        // The buffer is younger than every block.
        replay.add(i64::MAX, store.facts.buffered());
        Ok(replay)
    }

    fn list(&self, conn: &Connection) -> rusqlite::Result<VecDeque<(i64, i64)>> {
        let wanted: Option<i64> = match &self.check {
            None => None,
            Some(check) => match conn
                .query_row("SELECT id FROM name WHERE name = ?1", [&**check], |row| {
                    row.get(0)
                })
                .optional()?
            {
                Some(id) => Some(id),
                None => return Ok(VecDeque::new()),
            },
        };
        let mut query = conn.prepare(
            "SELECT id, from_at, CASE WHEN ?3 THEN checks END FROM block \
             WHERE to_at >= ?1 AND from_at <= ?2 ORDER BY from_at, id",
        )?;
        let mut rows = query.query(params![self.from.0, self.to.0, wanted.is_some()])?;
        let mut blocks = VecDeque::new();
        while let Some(row) = rows.next()? {
            let holds = match wanted {
                Some(id) => read_ids(&row.get::<_, Vec<u8>>(2)?).contains(&id),
                None => true,
            };
            if holds {
                blocks.push_back((row.get(0)?, row.get(1)?));
            }
        }
        Ok(blocks)
    }

    fn read(&self, id: i64) -> Result<Vec<LookRecord>, StoreError> {
        let doing = "read recorded facts";
        let Some(source) = &self.conn else {
            return Ok(Vec::new());
        };
        let body: Option<Vec<u8>> = source
            .conn()
            .prepare_cached("SELECT body FROM block WHERE id = ?1")
            .and_then(|mut query| query.query_row([id], |row| row.get(0)).optional())
            .map_err(broken(doing))?;
        match body {
            // Forgotten since the list was made.
            None => Ok(Vec::new()),
            Some(body) => read_block(&body).ok_or_else(|| {
                StoreError::corrupt(format!("the block {id} of facts cannot be read"))
            }),
        }
    }

    fn add(&mut self, block: i64, looks: Vec<LookRecord>) {
        let wanted = |look: &LookRecord| {
            look.at >= self.from
                && look.at <= self.to
                && self.check.as_ref().is_none_or(|check| *check == look.check)
        };
        let looks = looks.into_iter().filter(wanted);
        self.ready.extend(looks.map(|look| (block, look)));
        // Stable: looks of one instant stay in the order in which they came.
        let ready = self.ready.make_contiguous();
        ready.sort_by_key(|(block, look)| (look.at, *block));
    }
}

impl Iterator for Replay<'_> {
    type Item = Result<LookRecord, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        // Blocks may overlap: a look that ended late is recorded late.
        while let Some(&(id, from)) = self.blocks.front()
            && self.ready.front().is_none_or(|(_, look)| from <= look.at.0)
        {
            self.blocks.pop_front();
            match self.read(id) {
                Ok(looks) => self.add(id, looks),
                Err(error) => return Some(Err(error)),
            }
        }
        self.ready.pop_front().map(|(_, look)| Ok(look))
    }
}
