//! What survives: standings, budgets, attempts, history and the ledger in `state/homeostat/history.db`; the facts of
//! looks, for replay, beside it in `facts.db`. SQLite both.
//!
//! Two files, because they deserve different care. `history.db` is small and precious: it is checked whole at every
//! start, a dry run reads it whole into memory, and if it is corrupt nobody knows any more what a remediation has spent,
//! so a fresh one starts **paused**. `facts.db` is large and can be done without: at most [`FACTS_BYTES`], replaced
//! without ceremony when it is broken.
//!
//! *Durable* means that it survives a loss of power once `Ok` is returned; *lazy* that it survives the death of the
//! process once it is written, and the writer may wait a little before it writes ([`Writer`]).
//!
//! | file | is |
//! |---|---|
//! | `file`, `aside` | making and opening; setting a corrupt one aside |
//! | `schema` | the tables |
//! | `rows`, `load` | writing rows; reading back what a start needs |
//! | `history`, `ledger` | what happened, and what it came to |
//! | `notices` | incidents, and what is on its way to people |
//! | `block` | how looks are encoded |
//! | `looks`, `replay` | recording them in `facts.db`; reading them back |
//! | `recorded` | the newest of them, beside the store's owner |
//! | `prune` | forgetting, a little at a time |
//! | `writer` | the thread that owns a store |
//! | `snapshot`, `wal` | reading a store without writing a byte anywhere |
//! | [`lock`], [`lastgood`], `kill_switch` | the other files of `state/homeostat/` |

mod aside;
mod block;
mod file;
mod history;
mod kill_switch;
pub mod lastgood;
mod ledger;
mod load;
pub mod lock;
mod looks;
mod notices;
mod prune;
mod recorded;
mod replay;
mod rows;
#[cfg(test)]
mod sample;
mod schema;
mod snapshot;
mod wal;
mod writer;

use std::path::PathBuf;

use rusqlite::Connection;

pub use history::{HISTORY_LIMIT, HistoryEntry, HistoryQuery};
pub use kill_switch::{PAUSE_FILE, pause_file};
pub use lastgood::LastGood;
pub use ledger::LedgerLine;
pub use lock::{Lock, LockError};
pub use looks::LookRecord;
pub use prune::{FACTS_BYTES, IMAGES_BYTES, Pruned};
pub use recorded::{Found, Recorded};
pub use replay::Replay;
pub use snapshot::snapshot;
pub use writer::{Health, Writer};

/// How sure a write must be before `Ok`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Survives a loss of power: flushed to the disk.
    Durable,
    /// Survives the death of the process.
    Lazy,
}

/// How a store was found.
#[derive(Clone, Debug, PartialEq)]
pub enum Opened {
    /// There was none.
    Fresh,
    Resumed,
    /// A corrupt store was set aside; the new one is paused.
    SetAside {
        path: PathBuf,
        why: String,
    },
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("could not {doing}")]
    Sqlite {
        doing: &'static str,
        #[source]
        source: rusqlite::Error,
    },
    #[error("could not {doing} {path}")]
    Io {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error(
        "the store {path} is of version {found}, this program knows versions up to {known}: use the newer program, or \
         move the file away"
    )]
    Newer {
        path: PathBuf,
        found: i64,
        known: i64,
    },
    /// SQLite says only that something could not be read or written.
    #[error("there is next to no room on the disk of {path} ({free} KiB)")]
    Full {
        path: PathBuf,
        free: u64,
        #[source]
        source: Box<StoreError>,
    },
    #[error("the store is corrupt: {why}")]
    Corrupt { why: String },
    /// Its file was replaced or removed while open: what is written now would not be there after a restart.
    #[error("the store {path} was replaced while it was open")]
    Replaced { path: PathBuf },
    #[error("could not encode a row")]
    Encode(#[source] serde_json::Error),
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    fn sqlite(doing: &'static str) -> impl FnOnce(rusqlite::Error) -> StoreError {
        move |source| StoreError::Sqlite { doing, source }
    }

    fn io(
        doing: &'static str,
        path: &std::path::Path,
    ) -> impl FnOnce(std::io::Error) -> StoreError {
        let path = path.to_owned();
        move |source| StoreError::Io {
            doing,
            path,
            source,
        }
    }

    fn corrupt(why: impl Into<String>) -> StoreError {
        StoreError::Corrupt { why: why.into() }
    }

    /// The message with those of its causes, in one line.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

/// An open store. One owner at a time; a running engine gives it to a [`Writer`].
pub struct Store {
    conn: Connection,
    /// Where it lies; `None` for a snapshot in memory.
    place: Option<file::Place>,
    facts: looks::FactsFile,
}

impl Store {
    /// Writes what is still buffered, folds the write-ahead logs into their files, so that none is left, and closes.
    pub fn close(mut self) -> Result<(), StoreError> {
        let flushed = self.flush_looks();
        self.facts.close();
        // A store whose file was removed must not fold itself into somebody else's file of that name.
        if self.place.as_ref().is_none_or(file::Place::still_there) {
            self.conn
                .execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")
                .map_err(StoreError::sqlite("fold the log into the store"))?;
        }
        self.conn
            .close()
            .map_err(|(_, source)| StoreError::Sqlite {
                doing: "close the store",
                source,
            })?;
        flushed
    }
}
