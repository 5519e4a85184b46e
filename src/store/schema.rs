//! The tables of `history.db`, their version, and whether a file has them.
//!
//! Bodies are JSON of the plain values of `model`; columns beside a body are only what queries need. A new version
//! raises [`VERSION`] and adds a step to [`migrate`].

use std::path::Path;

use rusqlite::Connection;

use super::StoreError;

/// `PRAGMA user_version`.
pub(super) const VERSION: i64 = 3;

/// `PRAGMA application_id`: "home".
pub(super) const APPLICATION: i64 = 0x686f_6d65;

/// What version 2 added: small things that stand (`silences`, `storm`), heartbeats as they were heard last, and pages.
macro_rules! added {
    () => {
        "
CREATE TABLE standing_order (name TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE heartbeat (name TEXT PRIMARY KEY, at INTEGER NOT NULL, body TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE page (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    name TEXT,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX page_at ON page (at);
"
    };
}

/// What version 3 added: incidents, and notices on their way through a channel.
macro_rules! told {
    () => {
        "
CREATE TABLE incident (id INTEGER PRIMARY KEY, opened INTEGER NOT NULL, ended INTEGER, body TEXT NOT NULL) STRICT;
CREATE INDEX incident_open ON incident (id) WHERE ended IS NULL;
CREATE INDEX incident_ended ON incident (ended);
CREATE TABLE delivery (
    notice INTEGER NOT NULL,
    channel TEXT NOT NULL,
    at INTEGER NOT NULL,
    incident INTEGER,
    state TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (notice, channel)
) STRICT, WITHOUT ROWID;
CREATE INDEX delivery_waiting ON delivery (notice) WHERE state = 'waiting';
CREATE INDEX delivery_incident ON delivery (incident);
CREATE INDEX delivery_at ON delivery (at);
"
    };
}

pub(super) const HISTORY: &str = concat!(
    "
CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE standing (name TEXT PRIMARY KEY, at INTEGER NOT NULL, body TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE budget (name TEXT PRIMARY KEY, at INTEGER NOT NULL, body TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE pause (one INTEGER PRIMARY KEY CHECK (one = 1), body TEXT NOT NULL) STRICT;
CREATE TABLE attempt (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    begun INTEGER NOT NULL,
    bad_since INTEGER NOT NULL,
    kinds TEXT NOT NULL,
    ending TEXT,
    ended INTEGER,
    body TEXT NOT NULL,
    undo BLOB
) STRICT;
CREATE INDEX attempt_open ON attempt (id) WHERE ended IS NULL;
CREATE INDEX attempt_name ON attempt (name, begun);
CREATE INDEX attempt_begun ON attempt (begun);
CREATE TABLE prepared (id INTEGER PRIMARY KEY, attempt INTEGER NOT NULL, body BLOB NOT NULL) STRICT;
CREATE INDEX prepared_attempt ON prepared (attempt);
CREATE TABLE undone (attempt INTEGER PRIMARY KEY, at INTEGER NOT NULL, by TEXT NOT NULL) STRICT;
CREATE TABLE entry (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    name TEXT NOT NULL,
    what TEXT NOT NULL,
    word TEXT NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX entry_at ON entry (at);
CREATE INDEX entry_name ON entry (name, at);
CREATE TABLE ledger_past (
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    verified INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    superseded INTEGER NOT NULL,
    interrupted INTEGER NOT NULL,
    held INTEGER NOT NULL,
    recovery_ms INTEGER NOT NULL,
    recurred_1h INTEGER NOT NULL,
    recurred_24h INTEGER NOT NULL,
    last_at INTEGER,
    PRIMARY KEY (name, kind)
) STRICT, WITHOUT ROWID;
INSERT INTO counter VALUES ('next_attempt', 1), ('opened', 0);
",
    added!(),
    told!()
);

pub(super) const FACTS: &str = "
CREATE TABLE name (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE block (
    id INTEGER PRIMARY KEY,
    from_at INTEGER NOT NULL,
    to_at INTEGER NOT NULL,
    looks INTEGER NOT NULL,
    raw INTEGER NOT NULL,
    checks BLOB NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE INDEX block_from ON block (from_at);
CREATE INDEX block_small ON block (from_at) WHERE raw < 262144;
";

/// How much of a file is read before it is trusted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Care {
    /// Every page.
    Whole,
    /// Its head and its tables: what is broken further on is found when it is read.
    Quick,
}

/// Refuses what is broken (corrupt), what is not ours (corrupt) and what a newer program wrote (newer).
pub(super) fn verify(
    conn: &Connection,
    tables: &str,
    care: Care,
    path: &Path,
) -> Result<(), StoreError> {
    if care == Care::Whole {
        whole(conn)?;
    }
    let number = |pragma| {
        conn.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0))
            .map_err(broken("read the store's version"))
    };
    if number("application_id")? != APPLICATION {
        return Err(StoreError::corrupt("it is no store of homeostat"));
    }
    let found = number("user_version")?;
    if found > VERSION {
        return Err(StoreError::Newer {
            path: path.to_owned(),
            found,
            known: VERSION,
        });
    }
    migrate(conn, tables, found)?;
    complete(conn, tables)
}

/// Brings an older store to [`VERSION`]. The tables of facts have been the same from the first: they are only read.
fn migrate(conn: &Connection, tables: &str, found: i64) -> Result<(), StoreError> {
    match found {
        VERSION => Ok(()),
        1 | 2 if tables == FACTS => Ok(()),
        1 | 2 => {
            let steps = match found {
                1 => concat!(
                    "BEGIN IMMEDIATE;",
                    added!(),
                    told!(),
                    "PRAGMA user_version = 3; COMMIT;"
                ),
                _ => concat!(
                    "BEGIN IMMEDIATE;",
                    told!(),
                    "PRAGMA user_version = 3; COMMIT;"
                ),
            };
            conn.execute_batch(steps)
                .map_err(broken("bring the store to this version"))
        }
        _ => Err(StoreError::corrupt(format!(
            "its version is {found}, which never existed"
        ))),
    }
}

fn whole(conn: &Connection) -> Result<(), StoreError> {
    let answer: String = conn
        .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
        .map_err(broken("check the store"))?;
    match answer.as_str() {
        "ok" => Ok(()),
        _ => Err(StoreError::corrupt(answer.replace('\n', " "))),
    }
}

/// Every table and index stands there exactly as this version makes it. Others (an index somebody added) may stay.
fn complete(conn: &Connection, tables: &str) -> Result<(), StoreError> {
    let model = Connection::open_in_memory().map_err(StoreError::sqlite("open memory"))?;
    model
        .execute_batch(tables)
        .map_err(StoreError::sqlite("make the model of the tables"))?;
    let found = objects(conn)?;
    match objects(&model)?
        .into_iter()
        .find(|wanted| !found.contains(wanted))
    {
        Some((name, _)) => Err(StoreError::corrupt(format!(
            "its table or index `{name}` is missing or different"
        ))),
        None => begins(conn, &model),
    }
}

/// Each index begins as an index: where a table is empty, the check of the whole does not look into its indexes, and the
/// first row would not go in.
fn begins(conn: &Connection, model: &Connection) -> Result<(), StoreError> {
    let doing = "read the store's indexes";
    let mut query = model
        .prepare("SELECT name, tbl_name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL")
        .map_err(StoreError::sqlite(doing))?;
    let indexes = query
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .and_then(Iterator::collect::<rusqlite::Result<Vec<(String, String, String)>>>)
        .map_err(StoreError::sqlite(doing))?;
    for (name, table, sql) in indexes {
        let of = sql.split_once(" WHERE ").map_or("1", |(_, of)| of);
        conn.prepare(&format!(
            "SELECT 1 FROM {table} INDEXED BY {name} WHERE {of} LIMIT 1"
        ))
        .and_then(|mut query| query.exists([]))
        .map_err(broken(doing))?;
    }
    Ok(())
}

fn objects(conn: &Connection) -> Result<Vec<(String, Option<String>)>, StoreError> {
    let doing = "read the store's tables";
    let mut query = conn
        .prepare("SELECT name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'")
        .map_err(broken(doing))?;
    let rows = query
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .map_err(broken(doing))?;
    rows.collect::<Result<_, _>>().map_err(broken(doing))
}

/// Tells "the file is broken" from "it could not be read just now": only the first is a reason to set it aside.
pub(super) fn broken(doing: &'static str) -> impl FnOnce(rusqlite::Error) -> StoreError {
    move |source| {
        if is_corrupt(&source) {
            StoreError::corrupt(source.to_string())
        } else {
            StoreError::Sqlite { doing, source }
        }
    }
}

pub(super) fn is_corrupt(error: &rusqlite::Error) -> bool {
    use rusqlite::{Error, ErrorCode};
    match error.sqlite_error_code() {
        Some(code) => matches!(code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase),
        None => matches!(
            error,
            Error::FromSqlConversionFailure(..)
                | Error::IntegralValueOutOfRange(..)
                | Error::InvalidColumnType(..)
                | Error::Utf8Error(..)
                | Error::QueryReturnedNoRows
        ),
    }
}
