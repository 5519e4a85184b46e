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
    Store, StoreError,
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
    if file::interrupted(dir) {
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
    Ok(conn)
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
