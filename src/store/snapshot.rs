//! A store in memory, as it stands on the disk: for dry runs, and for looking at history without a running engine.
//! Nothing is opened for writing, nothing is made, neither beside the store nor anywhere else.

use std::{
    fs,
    io::ErrorKind,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, MAIN_DB, OpenFlags};

use super::{
    Store, StoreError, aside,
    file::{self, HISTORY},
    looks::FactsFile,
    schema::{self, Care, broken},
    wal,
};

/// A larger store is not read into memory.
const BYTES: u64 = 2 << 30;

/// So often it is read again when it changed meanwhile.
const TRIES: usize = 5;

/// Reads the store of `dir`; `None` if there is none. What is written to the result is written to memory alone. Meant
/// for a root on which no engine is running; a running one is asked instead.
///
/// # Errors
/// The store is corrupt, of a newer version, or was being written all the time.
pub fn snapshot(dir: &Path) -> Result<Option<Store>, StoreError> {
    let path = dir.join(HISTORY);
    if aside::interrupted(dir) {
        return Err(StoreError::corrupt("it is being set aside"));
    }
    if !file::present(&path) {
        return Ok(None);
    }
    let store = Store {
        conn: in_memory(&path, schema::HISTORY, Care::Whole)?,
        place: None,
        facts: FactsFile::read_only(dir),
    };
    store.load()?;
    Ok(Some(store))
}

/// Reads `facts.db`: in place, or with its log from memory if it has one.
pub(super) fn reader(path: &Path) -> Result<Connection, StoreError> {
    if length(&file::beside(path, "-wal"))? > 0 {
        return in_memory(path, schema::FACTS, Care::Quick);
    }
    // `immutable` promises that nobody writes: no lock is taken and no file made.
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let doing = "open recorded facts";
    let conn = Connection::open_with_flags(uri(path), flags).map_err(broken(doing))?;
    schema::verify(&conn, schema::FACTS, Care::Quick, path)?;
    keep_to_memory(&conn)?;
    Ok(conn)
}

fn uri(path: &Path) -> PathBuf {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    // Absolute, or a path that begins with two slashes would name a host.
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut uri = b"file://".to_vec();
    for &byte in path.as_os_str().as_bytes() {
        match byte {
            b'%' | b'?' | b'#' => uri.extend(format!("%{byte:02x}").bytes()),
            other => uri.push(other),
        }
    }
    uri.extend(b"?immutable=1");
    PathBuf::from(std::ffi::OsString::from_vec(uri))
}

fn in_memory(path: &Path, tables: &str, care: Care) -> Result<Connection, StoreError> {
    let bytes = read(path)?;
    let doing = "read the store into memory";
    if bytes.is_empty() {
        return Err(StoreError::corrupt("it is empty"));
    }
    let mut conn = Connection::open_in_memory().map_err(StoreError::sqlite(doing))?;
    conn.deserialize_read_exact(MAIN_DB, &bytes[..], bytes.len(), false)
        .map_err(broken(doing))?;
    schema::verify(&conn, tables, care, path)?;
    keep_to_memory(&conn)?;
    Ok(conn)
}

/// A large sort must not go to a file either.
fn keep_to_memory(conn: &Connection) -> Result<(), StoreError> {
    conn.pragma_update(None, "temp_store", "MEMORY")
        .map_err(StoreError::sqlite("set a snapshot up"))
}

/// The file with its log, both of one moment.
fn read(path: &Path) -> Result<Vec<u8>, StoreError> {
    let log = file::beside(path, "-wal");
    for _ in 0..TRIES {
        let before = (state(path)?, state(&log)?);
        let found = (contents(path)?, contents(&log)?);
        if (state(path)?, state(&log)?) == before {
            return Ok(wal::applied(found.0, &found.1));
        }
    }
    Err(StoreError::Io {
        doing: "read, while it is being written,",
        path: path.to_owned(),
        source: std::io::Error::from(ErrorKind::ResourceBusy),
    })
}

/// What changes when a file does; `None` if it is not there.
fn state(path: &Path) -> Result<Option<[i64; 4]>, StoreError> {
    match fs::metadata(path) {
        Ok(found) => Ok(Some([
            found.ino() as i64,
            found.size() as i64,
            found.mtime(),
            found.mtime_nsec(),
        ])),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::io("find", path)(error)),
    }
}

fn length(path: &Path) -> Result<i64, StoreError> {
    Ok(state(path)?.map_or(0, |[_, size, ..]| size))
}

/// Empty if it is not there.
fn contents(path: &Path) -> Result<Vec<u8>, StoreError> {
    let found = match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(StoreError::io("find", path))?,
    };
    if !found.is_file() || found.len() > BYTES {
        return Err(StoreError::corrupt(
            "it is no regular file, or far too large",
        ));
    }
    fs::read(path).map_err(StoreError::io("read", path))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        model::{attempt::Row, moment::Moment, status::Status},
        store::{
            Durability, HistoryQuery,
            sample::{NOON, attempt, budget, change, minutes, standing},
        },
    };

    /// Everything below a directory: contents and times.
    fn tree(dir: &Path) -> BTreeMap<String, (Vec<u8>, [i64; 4])> {
        let entries = fs::read_dir(dir).unwrap().flatten();
        entries
            .map(|entry| {
                let path = entry.path();
                let name = entry.file_name().into_string().unwrap();
                (
                    name,
                    (fs::read(&path).unwrap(), state(&path).unwrap().unwrap()),
                )
            })
            .collect()
    }

    fn row(number: u64) -> Row {
        match number % 3 {
            0 => Row::Standing {
                check: format!("check_{}", number % 20).into(),
                standing: standing(Status::Ok, NOON.plus(minutes(number))),
            },
            1 => change(
                "a",
                NOON.plus(minutes(number)),
                Status::Ok,
                Status::Critical,
            ),
            _ => Row::Intent {
                attempt: attempt(number, "a", NOON.plus(minutes(number))),
                budget: budget(&[NOON]),
            },
        }
    }

    fn assert_same(one: &Store, other: &Store) {
        let everything = |store: &Store| {
            let query = HistoryQuery {
                limit: 10_000,
                ..HistoryQuery::default()
            };
            let history = store.history(&query).unwrap();
            format!(
                "{:?} {history:?} {:?}",
                store.load().unwrap(),
                store.ledger(NOON).unwrap()
            )
        };
        assert_eq!(everything(one), everything(other));
    }

    #[test]
    fn a_snapshot_is_the_store_and_nothing_is_written() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("state/homeostat");
        assert!(snapshot(&dir).unwrap().is_none());
        assert!(!dir.exists());
        let (mut store, _) = Store::open(&dir, NOON).unwrap();
        for number in 0..150 {
            store.write(&[row(number)], Durability::Lazy).unwrap();
            if number == 100 {
                // The log starts over, with older frames behind the new ones.
                store
                    .conn
                    .execute_batch("PRAGMA wal_checkpoint(RESTART)")
                    .unwrap();
            }
            if number % 10 == 0 {
                let before = tree(&dir);
                let seen = snapshot(&dir).unwrap().unwrap();
                assert!(tree(&dir) == before);
                assert_same(&seen, &store);
            }
        }
        store.close().unwrap();
        let before = tree(&dir);
        assert_eq!(before.keys().collect::<Vec<_>>(), ["history.db"]);
        let mut seen = snapshot(&dir).unwrap().unwrap();
        // Its own writes go nowhere.
        seen.write(&[row(500)], Durability::Durable).unwrap();
        seen.prepared(500, &[]).unwrap();
        assert_eq!(seen.load().unwrap().next_attempt, 501);
        assert!(seen.replay_looks(Moment(0), NOON).unwrap().next().is_none());
        seen.close().unwrap();
        assert!(tree(&dir) == before);
        let (store, _) = Store::open(&dir, NOON).unwrap();
        assert_eq!(store.load().unwrap().next_attempt, 150);
    }

    #[test]
    fn a_transaction_that_was_cut_off_does_not_count() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("open");
        let (mut store, _) = Store::open(&dir, NOON).unwrap();
        for number in 0..6 {
            store.write(&[row(number)], Durability::Lazy).unwrap();
        }
        let log = fs::read(dir.join("history.db-wal")).unwrap();
        let page = 4096 + 24;
        let copy = root.path().join("copy");
        fs::create_dir(&copy).unwrap();
        // Cut anywhere, and with a flipped byte anywhere, it is what SQLite makes of it.
        let whole = (log.len() - 32) / page;
        let cuts = (0..=whole).flat_map(|frame| [32 + frame * page, 32 + frame * page + 1000]);
        for cut in cuts.filter(|cut| *cut <= log.len()).chain([0, 20]) {
            for flip in [false, true] {
                let mut torn = log[..cut].to_vec();
                if flip && let Some(byte) = torn.get_mut(cut.saturating_sub(page / 2)) {
                    *byte ^= 1;
                }
                fs::copy(dir.join(HISTORY), copy.join(HISTORY)).unwrap();
                fs::write(copy.join("history.db-wal"), torn).unwrap();
                let seen = snapshot(&copy).unwrap().unwrap();
                let (truth, _) = Store::open(&copy, NOON).unwrap();
                assert_same(&seen, &truth);
                drop(truth);
            }
        }
    }

    #[test]
    fn what_cannot_be_trusted_is_said() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path();
        Store::open(dir, NOON).unwrap().0.close().unwrap();
        let path = dir.join(HISTORY);
        let good = fs::read(&path).unwrap();
        for bad in [&b""[..], b"noise", &good[..5000]] {
            fs::write(&path, bad).unwrap();
            let error = snapshot(dir).map(drop).unwrap_err();
            assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
        }
        fs::write(&path, &good).unwrap();
        fs::write(dir.join("history.db.paused"), "").unwrap();
        let error = snapshot(dir).map(drop).unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    }

    #[test]
    fn facts_with_a_log_are_read_without_a_trace() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("with ?#% in it");
        let (mut store, _) = Store::open(&dir, NOON).unwrap();
        let look = crate::store::sample::look("a", NOON, crate::model::facts::Facts::new());
        store.looks(std::slice::from_ref(&look)).unwrap();
        store.flush_looks().unwrap();
        for closed in [false, true] {
            let before = tree(&dir);
            let seen = snapshot(&dir).unwrap().unwrap();
            let looks = seen.replay_looks(Moment(0), NOON).unwrap();
            assert_eq!(
                looks.collect::<Result<Vec<_>, _>>().unwrap(),
                std::slice::from_ref(&look)
            );
            assert!(tree(&dir) == before);
            if !closed {
                store.close().unwrap();
                store = Store::open(&dir, NOON).unwrap().0;
            }
        }
    }
}
