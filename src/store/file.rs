//! Making and opening the file `history.db`.
//!
//! A store is never seen half-made: a new one is built under another name and renamed into place. What was removed while
//! open is written anew; what was replaced is not touched.

use std::{
    fs,
    io::{ErrorKind, Read},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags};

use crate::model::moment::Moment;

use super::{
    Opened, Store, StoreError,
    aside::{interrupted, set_aside},
    looks::FactsFile,
    schema::{self, Care, broken},
};

pub(super) const HISTORY: &str = "history.db";
const FRESH: &str = "history.db.fresh";
const MENDED: &str = "history.db.mended";

/// What SQLite keeps beside a database.
pub(super) const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

/// A log is cut back to this after a checkpoint.
const LOG_BYTES: i64 = 8 << 20;

/// Memory for pages; negative means KiB.
const CACHE_KIB: i64 = -16_384;

/// (device, inode).
type Identity = (u64, u64);

/// Where an open store lies, and which file that was when it was opened.
pub(super) struct Place {
    pub path: PathBuf,
    file: Option<Identity>,
    log: Option<Identity>,
}

impl Place {
    fn of(path: &Path) -> Place {
        Place {
            path: path.to_owned(),
            file: identity(path),
            log: identity(&beside(path, "-wal")),
        }
    }

    /// What is written now would be found after a restart.
    pub(super) fn still_there(&self) -> bool {
        identity(&self.path) == self.file && identity(&beside(&self.path, "-wal")) == self.log
    }
}

impl Store {
    /// Opens `history.db` in `dir` (made with mode 0700), or makes it (0600). A corrupt one is renamed to
    /// `history.db.corrupt-<epoch ms>`, and the fresh one is paused from its first moment. The caller holds the
    /// [`super::Lock`].
    ///
    /// # Errors
    /// A store of a newer version, a directory or a disk that cannot be written: nothing is set aside for those.
    pub fn open(dir: &Path, now: Moment) -> Result<(Store, Opened), StoreError> {
        open_or_make(dir, now).map_err(|error| told_of_room(dir, error))
    }

    /// Sees to it that what is about to be written will be found again. A store whose file or log was removed is
    /// written anew from what is still open; one that was replaced by another file is an error.
    pub(super) fn be_there(&mut self) -> Result<(), StoreError> {
        let Some(place) = &self.place else {
            return Ok(());
        };
        if place.still_there() {
            return Ok(());
        }
        let path = place.path.clone();
        if identity(&path).is_some_and(|found| Some(found) != place.file) {
            return Err(StoreError::Replaced { path });
        }
        self.mend(&path)
    }

    fn mend(&mut self, path: &Path) -> Result<(), StoreError> {
        let doing = "write the removed store anew";
        let dir = path.parent().unwrap_or(Path::new("."));
        make_dir(dir)?;
        let mended = dir.join(MENDED);
        make_file(&mended)?;
        self.conn
            .execute("VACUUM INTO ?1", [mended.to_string_lossy()])
            .map_err(StoreError::sqlite(doing))?;
        sync(&mended)?;
        // Closed before the new file has the name: SQLite removes a log by name when it closes.
        self.conn = Connection::open_in_memory().map_err(StoreError::sqlite(doing))?;
        for suffix in BESIDE {
            remove(&beside(path, suffix))?;
        }
        rename(&mended, path)?;
        let store = existing(dir)?;
        self.conn = store.conn;
        self.place = store.place;
        tracing::warn!(path = %path.display(), "the store was removed while open; it was written anew");
        Ok(())
    }
}

fn open_or_make(dir: &Path, now: Moment) -> Result<(Store, Opened), StoreError> {
    make_dir(dir)?;
    let path = dir.join(HISTORY);
    if interrupted(dir) {
        return set_aside(
            dir,
            "its file is gone, or setting it aside was interrupted",
            now,
        );
    }
    if !present(&path) {
        let fresh = dir.join(FRESH);
        build(&fresh, schema::HISTORY, |_| Ok(()))?;
        rename(&fresh, &path)?;
        return Ok((existing(dir)?, Opened::Fresh));
    }
    match existing(dir) {
        Ok(store) => Ok((store, Opened::Resumed)),
        Err(StoreError::Corrupt { why }) => set_aside(dir, &why, now),
        Err(other) => Err(other),
    }
}

/// With less than this a store cannot be opened: its log and the index of that want room.
const LITTLE_KIB: u64 = 256;

/// An error of the disk, with the reason where it is that the disk is full.
fn told_of_room(dir: &Path, error: StoreError) -> StoreError {
    if !matches!(error, StoreError::Sqlite { .. } | StoreError::Io { .. }) {
        return error;
    }
    match rustix::fs::statvfs(dir) {
        Ok(disk) if disk.f_bavail.saturating_mul(disk.f_frsize) / 1024 < LITTLE_KIB => {
            StoreError::Full {
                path: dir.to_owned(),
                free: disk.f_bavail.saturating_mul(disk.f_frsize) / 1024,
                source: Box::new(error),
            }
        }
        _ => error,
    }
}

/// Opens a store that is there and proves that it can be used.
pub(super) fn existing(dir: &Path) -> Result<Store, StoreError> {
    let path = dir.join(HISTORY);
    let conn = open_file(&path, schema::HISTORY, Care::Whole)?;
    // A write, so that a disk that cannot be written is found now and the log has its identity.
    conn.execute(
        "UPDATE counter SET value = value + 1 WHERE name = 'opened'",
        [],
    )
    .map_err(broken("write to the store"))?;
    let store = Store {
        place: Some(Place::of(&path)),
        conn,
        facts: FactsFile::beside(dir),
    };
    store.load()?;
    Ok(store)
}

/// Opens a database of ours, checks it and sets it up.
pub(super) fn open_file(path: &Path, tables: &str, care: Care) -> Result<Connection, StoreError> {
    let found = fs::symlink_metadata(path).map_err(StoreError::io("find", path))?;
    if !found.is_file() {
        return Err(StoreError::corrupt("it is no regular file"));
    }
    if found.len() == 0 {
        return Err(StoreError::corrupt("it is empty"));
    }
    if found.mode() & 0o077 != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))
            .map_err(StoreError::io("protect", path))?;
    }
    if !has_our_header(path).map_err(StoreError::io("read", path))? {
        return Err(StoreError::corrupt("its header is damaged"));
    }
    let conn = connect(path)?;
    schema::verify(&conn, tables, care, path)?;
    set_up(&conn).map_err(broken("set the store up"))?;
    Ok(conn)
}

/// Whether the file begins as SQLite begins those that this program makes. SQLite itself takes some damages of the header
/// for a disk that cannot be written, or for files of its own future.
fn has_our_header(path: &Path) -> std::io::Result<bool> {
    let mut header = [0; 100];
    match fs::File::open(path)?.read_exact(&mut header) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(false),
        read => read?,
    }
    let number = |at: usize| header.get(at..at + 4).unwrap_or_default();
    let versions = header.get(18..20).unwrap_or_default();
    Ok(header.starts_with(b"SQLite format 3\0")
        && versions.iter().all(|version| matches!(version, 1 | 2))
        && matches!(number(44), [0, 0, 0, 1..=4])
        && number(56) == [0, 0, 0, 1])
}

fn connect(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags).map_err(broken("open the store"))?;
    // Somebody may be reading it with another tool just now.
    conn.busy_timeout(Duration::from_secs(5))
        .map_err(StoreError::sqlite("open the store"))?;
    Ok(conn)
}

fn set_up(conn: &Connection) -> rusqlite::Result<()> {
    conn.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    conn.pragma_update(None, "synchronous", "NORMAL")?;
    conn.pragma_update_and_check(None, "journal_size_limit", LOG_BYTES, |_| Ok(()))?;
    conn.pragma_update(None, "cache_size", CACHE_KIB)?;
    conn.set_prepared_statement_cache_capacity(64);
    Ok(())
}

/// Builds a complete database under `path`, which no reader looks at, and flushes it to the disk.
pub(super) fn build(
    path: &Path,
    tables: &str,
    fill: impl FnOnce(&Connection) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let doing = "make the store";
    for suffix in BESIDE {
        remove(&beside(path, suffix))?;
    }
    make_file(path)?;
    let conn = connect(path)?;
    conn.pragma_update(None, "auto_vacuum", "INCREMENTAL")
        .map_err(StoreError::sqlite(doing))?;
    conn.execute_batch("BEGIN IMMEDIATE")
        .and_then(|()| conn.execute_batch(tables))
        .and_then(|()| conn.pragma_update(None, "application_id", schema::APPLICATION))
        .and_then(|()| conn.pragma_update(None, "user_version", schema::VERSION))
        .map_err(StoreError::sqlite(doing))?;
    fill(&conn)?;
    conn.execute_batch("COMMIT")
        .map_err(StoreError::sqlite(doing))?;
    conn.close()
        .map_err(|(_, source)| StoreError::Sqlite { doing, source })?;
    sync(path)
}

pub(super) fn make_dir(dir: &Path) -> Result<(), StoreError> {
    if let Some(parent) = dir.parent() {
        // `state` may be made, but never the root: one that was moved away must not be there again, empty.
        match fs::create_dir(parent) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            made => made.map_err(StoreError::io("make", parent))?,
        }
    }
    match fs::DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => {
            // Its name, and that of `state/`, survive a loss of power.
            for parent in dir.ancestors().skip(1).take(2) {
                let _ = sync(parent);
            }
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(StoreError::io("make", dir)(error)),
    }
    let found = fs::metadata(dir).map_err(StoreError::io("find", dir))?;
    if found.is_dir() && found.mode() & 0o077 != 0 {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700))
            .map_err(StoreError::io("protect", dir))?;
    }
    Ok(())
}

/// An empty file for its owner alone, in place of whatever had the name.
fn make_file(path: &Path) -> Result<(), StoreError> {
    remove(path)?;
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map(drop)
        .map_err(StoreError::io("make", path))
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(StoreError::io("remove", path)(error))
        }
        _ => Ok(()),
    }
}

/// Renames and flushes the directory, so that the name survives a loss of power.
pub(super) fn rename(from: &Path, to: &Path) -> Result<(), StoreError> {
    fs::rename(from, to).map_err(StoreError::io("rename", from))?;
    match to.parent() {
        Some(dir) => sync(dir),
        None => Ok(()),
    }
}

/// Flushes a file or a directory to the disk.
pub(super) fn sync(path: &Path) -> Result<(), StoreError> {
    fs::File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(StoreError::io("flush", path))
}

/// There is something of that name, be it a link that leads nowhere.
pub(super) fn present(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn identity(path: &Path) -> Option<Identity> {
    fs::symlink_metadata(path)
        .ok()
        .map(|found| (found.dev(), found.ino()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::store::aside::PAUSED;
    use crate::{
        model::{attempt::Row, status::Status},
        store::{
            Durability,
            sample::{NOON, attempt, budget, change, minutes, standing},
        },
    };

    fn dir() -> (tempfile::TempDir, PathBuf) {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("state/homeostat");
        (root, dir)
    }

    fn intent(id: u64) -> Row {
        Row::Intent {
            attempt: attempt(id, "weights", NOON),
            budget: budget(&[NOON]),
        }
    }

    /// Opens, fills and closes a store.
    fn filled(dir: &Path) {
        let (mut store, opened) = Store::open(dir, NOON).unwrap();
        assert_eq!(opened, Opened::Fresh);
        let rows: Vec<Row> = (1..200)
            .map(|id| Row::Standing {
                check: format!("check_{id}").into(),
                standing: standing(Status::Ok, NOON),
            })
            .chain([intent(7)])
            .collect();
        store.write(&rows, Durability::Durable).unwrap();
        store.close().unwrap();
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn a_store_is_for_its_owner_alone_and_leaves_no_log() {
        let (_root, dir) = dir();
        filled(&dir);
        assert_eq!(mode(&dir), 0o700);
        assert_eq!(names(&dir), ["history.db"]);
        fs::set_permissions(dir.join(HISTORY), fs::Permissions::from_mode(0o644)).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
        let (store, opened) = Store::open(&dir, NOON).unwrap();
        assert_eq!(opened, Opened::Resumed);
        assert_eq!(mode(&dir), 0o700);
        for name in ["history.db", "history.db-wal", "history.db-shm"] {
            assert_eq!(mode(&dir.join(name)), 0o600, "{name}");
        }
        assert_eq!(store.load().unwrap().pause, None);
        assert_eq!(store.load().unwrap().next_attempt, 8);
    }

    /// (what it is called, what it does to a store)
    type Damage = (&'static str, fn(&Path));

    const DAMAGES: &[Damage] = &[
        ("a garbage header", |path| {
            let mut bytes = fs::read(path).unwrap();
            bytes[..64].fill(0x5a);
            fs::write(path, bytes).unwrap();
        }),
        ("a header of the future", |path| {
            let mut bytes = fs::read(path).unwrap();
            bytes[47] = 9;
            fs::write(path, bytes).unwrap();
        }),
        ("a header that forbids writing", |path| {
            let mut bytes = fs::read(path).unwrap();
            bytes[18] = 9;
            fs::write(path, bytes).unwrap();
        }),
        ("nothing in it", |path| fs::write(path, "").unwrap()),
        ("cut in half", |path| {
            let bytes = fs::read(path).unwrap();
            fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
        }),
        ("cut within its header", |path| {
            let bytes = fs::read(path).unwrap();
            fs::write(path, &bytes[..50]).unwrap();
        }),
        ("a page of noise", |path| {
            let mut bytes = fs::read(path).unwrap();
            let pages = bytes.len() / 4096;
            bytes[(pages - 2) * 4096..(pages - 1) * 4096].fill(0xa5);
            fs::write(path, bytes).unwrap();
        }),
        ("another program's database", |path| {
            fs::remove_file(path).unwrap();
            let conn = Connection::open(path).unwrap();
            conn.execute_batch("CREATE TABLE bookmarks (url TEXT)")
                .unwrap();
        }),
        ("a table less", |path| {
            let conn = Connection::open(path).unwrap();
            conn.execute_batch("DROP TABLE budget").unwrap();
        }),
        ("another table", |path| {
            let conn = Connection::open(path).unwrap();
            conn.execute_batch("ALTER TABLE budget ADD COLUMN more TEXT")
                .unwrap();
        }),
        ("a row that cannot be read", |path| {
            let conn = Connection::open(path).unwrap();
            conn.execute_batch("UPDATE budget SET body = '{'").unwrap();
        }),
        ("a version that never was", |path| {
            let conn = Connection::open(path).unwrap();
            conn.execute_batch("PRAGMA user_version = -3").unwrap();
        }),
        ("no counter", |path| {
            let conn = Connection::open(path).unwrap();
            conn.execute_batch("DELETE FROM counter").unwrap();
        }),
        ("a directory in its place", |path| {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
        }),
        ("a link in its place", |path| {
            let elsewhere = path.with_file_name("elsewhere");
            fs::rename(path, &elsewhere).unwrap();
            symlink(elsewhere, path).unwrap();
        }),
        ("its log without it", |path| {
            fs::remove_file(path).unwrap();
            fs::write(beside(path, "-wal"), "log").unwrap();
        }),
        ("a setting aside that was interrupted before it", |path| {
            fs::write(path.with_file_name(PAUSED), "half a sto").unwrap();
        }),
        ("a setting aside that was interrupted after it", |path| {
            fs::rename(path, beside(path, ".corrupt-1")).unwrap();
            fs::write(path.with_file_name(PAUSED), "half a sto").unwrap();
        }),
    ];

    #[test]
    fn a_corrupt_store_is_set_aside_and_the_fresh_one_is_paused() {
        for (name, damage) in DAMAGES {
            let (_root, dir) = dir();
            filled(&dir);
            damage(&dir.join(HISTORY));
            let (store, opened) = Store::open(&dir, NOON).expect(name);
            let Opened::SetAside { path, .. } = opened else {
                panic!("{name}: {opened:?}");
            };
            assert_eq!(
                path,
                dir.join(format!("history.db.corrupt-{}", NOON.0)),
                "{name}"
            );
            let saved = store.load().unwrap();
            assert_eq!(saved.pause.as_ref().unwrap().by, "engine", "{name}");
            assert!(
                saved.budgets.is_empty() && saved.attempts.is_empty(),
                "{name}"
            );
            store.close().unwrap();
            let left = names(&dir);
            assert!(
                left.iter().all(|name| name == HISTORY
                    || name == "elsewhere"
                    || name.starts_with("history.db.corrupt-")),
                "{name}: {left:?}"
            );
            let (store, opened) = Store::open(&dir, NOON.plus(minutes(1))).unwrap();
            assert_eq!(opened, Opened::Resumed, "{name}");
            assert_eq!(store.load().unwrap().pause, saved.pause, "{name}");
        }
    }

    #[test]
    fn what_was_set_aside_can_be_looked_at_and_only_the_newest_are_kept() {
        let (_root, dir) = dir();
        for minute in 0..6 {
            let at = NOON.plus(minutes(minute));
            drop(Store::open(&dir, at).unwrap());
            fs::write(dir.join(HISTORY), format!("broken {minute}")).unwrap();
            drop(Store::open(&dir, at).unwrap());
        }
        let aside: Vec<String> = names(&dir)
            .into_iter()
            .filter(|name| name.contains(".corrupt-"))
            .map(|name| fs::read_to_string(dir.join(name)).unwrap())
            .collect();
        assert_eq!(aside, ["broken 3", "broken 4", "broken 5"]);
    }

    #[test]
    fn a_store_of_the_first_version_is_brought_along_with_all_it_holds() {
        let (_root, dir) = dir();
        filled(&dir);
        let before = existing(&dir).unwrap();
        let saved = before.load().unwrap();
        before.close().unwrap();
        // What versions 2 and 3 added is all that is different.
        let old = Connection::open(dir.join(HISTORY)).unwrap();
        old.execute_batch(
            "DROP TABLE standing_order; DROP TABLE heartbeat; DROP TABLE page; DROP TABLE incident; \
             DROP TABLE delivery; PRAGMA user_version = 1",
        )
        .unwrap();
        drop(old);
        // Commands without an engine read it from a copy in memory and leave the file as it is.
        let read = super::super::snapshot(&dir).unwrap().unwrap();
        assert_eq!(read.load().unwrap().standings, saved.standings);
        let (store, opened) = Store::open(&dir, NOON).unwrap();
        assert_eq!(opened, Opened::Resumed);
        let now = store.load().unwrap();
        assert_eq!(now.standings, saved.standings);
        assert_eq!(now.attempts, saved.attempts);
        assert_eq!((now.silences, now.storm, now.pause), (vec![], None, None));
        let version: i64 = store
            .conn
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .unwrap();
        assert_eq!(version, schema::VERSION);
    }

    #[test]
    fn a_newer_store_is_refused_and_left_alone() {
        let (_root, dir) = dir();
        filled(&dir);
        let path = dir.join(HISTORY);
        let conn = Connection::open(&path).unwrap();
        conn.execute_batch("PRAGMA user_version = 9; DROP TABLE budget")
            .unwrap();
        drop(conn);
        let before = fs::read(&path).unwrap();
        let error = Store::open(&dir, NOON).map(drop).unwrap_err();
        assert!(
            matches!(
                error,
                StoreError::Newer {
                    found: 9,
                    known: schema::VERSION,
                    ..
                }
            ),
            "{error}"
        );
        assert!(error.to_string().contains("use the newer program"));
        assert_eq!(fs::read(&path).unwrap(), before);
        assert_eq!(names(&dir), ["history.db"]);
    }

    #[test]
    fn where_nothing_can_be_written_opening_fails_and_sets_nothing_aside() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("state"), "a file").unwrap();
        for dir in [
            root.path().join("state/homeostat"),
            "/proc/self/homeostat".into(),
        ] {
            let error = Store::open(&dir, NOON).map(drop).unwrap_err();
            assert!(matches!(error, StoreError::Io { .. }), "{error}");
        }
        // A store that can be read but not written: its directory takes no log.
        let (_root, dir) = dir();
        filled(&dir);
        fs::create_dir(dir.join("history.db-wal")).unwrap();
        let error = Store::open(&dir, NOON).map(drop).unwrap_err();
        assert!(
            matches!(error, StoreError::Sqlite { .. }),
            "{}",
            error.chain()
        );
        assert!(!names(&dir).iter().any(|name| name.contains("corrupt")));
    }

    /// What `kill -9` leaves: the files as they are while the store is open.
    fn killed(dir: &Path) -> (tempfile::TempDir, PathBuf) {
        let root = tempfile::tempdir().unwrap();
        let copy = root.path().join("homeostat");
        fs::create_dir(&copy).unwrap();
        for name in names(dir).iter().filter(|name| !name.ends_with("-shm")) {
            fs::copy(dir.join(name), copy.join(name)).unwrap();
        }
        (root, copy)
    }

    #[test]
    fn what_was_written_survives_a_kill_at_any_point() {
        let (_root, dir) = dir();
        let (mut store, _) = Store::open(&dir, NOON).unwrap();
        for id in 1..30 {
            store.write(&[intent(id)], Durability::Durable).unwrap();
            store
                .prepared(id, &[serde_json::json!({"before": id})])
                .unwrap();
            let (_copy, copy) = killed(&dir);
            let (after, opened) = Store::open(&copy, NOON).unwrap();
            assert_eq!(opened, Opened::Resumed);
            let saved = after.load().unwrap();
            assert_eq!(saved.attempts.len() as u64, id);
            assert_eq!(saved.budgets, [("weights".into(), budget(&[NOON]))]);
            assert_eq!(saved.next_attempt, id + 1);
            assert_eq!(after.prepared_of(id).unwrap().len(), 1);
        }
    }

    #[test]
    fn a_durable_write_syncs_its_log() {
        let (_root, dir) = dir();
        let (mut store, _) = Store::open(&dir, NOON).unwrap();
        let level = |store: &Store| -> i64 {
            let level = store
                .conn
                .pragma_query_value(None, "synchronous", |row| row.get(0));
            level.unwrap()
        };
        store.write(&[intent(1)], Durability::Durable).unwrap();
        assert_eq!(level(&store), 2, "FULL");
        store.write(&[intent(1)], Durability::Lazy).unwrap();
        assert_eq!(level(&store), 1, "NORMAL");
        store.prepared(1, &[]).unwrap();
        assert_eq!(level(&store), 2, "FULL");
        let mode: String = store
            .conn
            .pragma_query_value(None, "journal_mode", |row| row.get(0))
            .unwrap();
        assert_eq!(mode, "wal");
    }

    #[test]
    fn a_store_removed_while_open_is_written_anew() {
        type Removal = fn(&Path);
        let removals: [(&str, Removal); 4] = [
            ("file", |dir| fs::remove_file(dir.join(HISTORY)).unwrap()),
            ("log", |dir| {
                fs::remove_file(dir.join("history.db-wal")).unwrap()
            }),
            ("all three", |dir| {
                for suffix in ["", "-wal", "-shm"] {
                    fs::remove_file(beside(&dir.join(HISTORY), suffix)).unwrap();
                }
            }),
            ("directory", |dir| fs::remove_dir_all(dir).unwrap()),
        ];
        for (name, remove) in removals {
            let (_root, dir) = dir();
            filled(&dir);
            let (mut store, _) = Store::open(&dir, NOON).unwrap();
            store.write(&[intent(8)], Durability::Lazy).unwrap();
            remove(&dir);
            store.write(&[intent(9)], Durability::Durable).expect(name);
            let (_copy, copy) = killed(&dir);
            let (after, opened) = Store::open(&copy, NOON).unwrap();
            assert_eq!(opened, Opened::Resumed, "{name}");
            let saved = after.load().unwrap();
            let ids: Vec<u64> = saved.attempts.iter().map(|attempt| attempt.id).collect();
            assert_eq!(ids, [7, 8, 9], "{name}");
            assert_eq!(saved.standings.len(), 199, "{name}");
            assert_eq!(mode(&dir.join(HISTORY)), 0o600, "{name}");
            store.write(&[intent(10)], Durability::Durable).unwrap();
            store.close().unwrap();
            let (after, _) = Store::open(&dir, NOON).unwrap();
            assert_eq!(after.load().unwrap().attempts.len(), 4, "{name}");
        }
    }

    #[test]
    fn a_store_replaced_while_open_is_not_written() {
        let (_root, dir) = dir();
        filled(&dir);
        let (mut store, _) = Store::open(&dir, NOON).unwrap();
        fs::remove_file(dir.join(HISTORY)).unwrap();
        fs::write(dir.join(HISTORY), "somebody's").unwrap();
        let error = store.write(&[intent(9)], Durability::Durable).unwrap_err();
        assert!(matches!(error, StoreError::Replaced { .. }), "{error}");
        store.close().unwrap();
        assert_eq!(fs::read(dir.join(HISTORY)).unwrap(), b"somebody's");
    }

    #[test]
    fn a_full_disk_fails_the_write_and_harms_nothing() {
        let (_root, dir) = dir();
        let (mut store, _) = Store::open(&dir, NOON).unwrap();
        store.write(&[intent(1)], Durability::Durable).unwrap();
        let pages: i64 = store
            .conn
            .pragma_query_value(None, "page_count", |row| row.get(0))
            .unwrap();
        let limit = |store: &Store, pages: i64| {
            let done =
                store
                    .conn
                    .pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()));
            done.unwrap();
        };
        limit(&store, pages);
        let many: Vec<Row> = (0..500)
            .map(|minute| {
                change(
                    "weights",
                    NOON.plus(minutes(minute)),
                    Status::Ok,
                    Status::Critical,
                )
            })
            .chain([intent(2)])
            .collect();
        let error = store.write(&many, Durability::Durable).unwrap_err();
        assert!(error.chain().contains("full"), "{}", error.chain());
        let saved = store.load().unwrap();
        assert_eq!((saved.attempts.len(), saved.next_attempt), (1, 2));
        limit(&store, 1 << 20);
        store.write(&many, Durability::Durable).unwrap();
        assert_eq!(store.load().unwrap().next_attempt, 3);
    }

    #[test]
    fn a_root_that_was_moved_away_is_not_made_again() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("root");
        assert!(make_dir(&root.join("state/homeostat")).is_err());
        assert!(!root.exists());
        fs::create_dir(&root).unwrap();
        make_dir(&root.join("state/homeostat")).unwrap();
        assert!(
            root.join("state/homeostat").is_dir(),
            "below a root that is there it is made"
        );
    }
}
