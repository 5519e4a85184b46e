//! A query over a file of SQLite that may be at work: nothing is written, no file is made beside it, and no writer waits.
//!
//! What lies beside the file says how it can be read:
//!
//! | beside it | then |
//! |---|---|
//! | `-wal` and `-shm` | somebody has it open in WAL mode, where readers and writers do not hinder each other: it is read with both, the `-shm` read-only |
//! | a `-wal` with something in it, no `-shm` | it was not closed, or somebody keeps it for himself: what the `-wal` holds cannot be read without making a `-shm`, so it is not read |
//! | a `-journal` in force | a transaction has begun to change the file, or died: it is waited for |
//! | nothing of that | the file is all there is: it is read without any lock, and was read only if it did not change meanwhile |
//!
//! The lock that SQLite would take in the last case makes a writer's commit fail or wait. A change is told by the times
//! that the file system keeps, which are as fine as the ticks of its clock: so a file that was written just now is first
//! seen to be at rest. This holds for file systems of this machine.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rusqlite::{
    Connection, OpenFlags,
    config::DbConfig,
    ffi,
    hooks::{AuthAction, AuthContext, Authorization},
    limits::Limit,
    params_from_iter,
    types::ValueRef,
};
use rustix::fs::{Mode, OFlags};
use serde_json::Value;

use super::table::{Bounds, Table, real};
use crate::{
    clock::{self, Stopwatch},
    model::{moment::Moment, span::Span},
    permission::Permission,
    probe::{ProbeError, apart::Apart},
};

/// Coarser than any clock of a file system of this machine.
const QUIET: Duration = Duration::from_millis(50);
/// Operations of SQLite between two looks at the time.
const OPERATIONS: i32 = 1000;
/// No value of a database is read that is larger.
const LONGEST: i32 = 1 << 30;
/// Smaller ones would make a schema unreadable.
const SHORTEST: u64 = 1 << 20;

/// A query, everything filled in.
#[derive(Clone)]
pub struct Asked {
    pub permission: Arc<Permission>,
    /// As the rule has it.
    pub file: String,
    pub query: Arc<str>,
    pub args: Vec<Value>,
    pub bounds: Bounds,
    pub limit: Duration,
    pub now: Moment,
}

/// What came of one try.
enum Tried {
    Missing,
    Answer(Table),
    /// It cannot be told now, but maybe soon.
    Again {
        why: String,
        traces: Traces,
    },
}

/// Asks; `None` if there is no such file.
pub async fn ask(apart: &Apart, asked: Asked) -> Result<Option<Table>, ProbeError> {
    let watch = Stopwatch::new();
    let mut rested = None;
    loop {
        let (now, seen) = (asked.clone(), rested.take());
        let tried = apart.look(move || once(&now, seen, watch)).await?;
        match tried {
            Tried::Missing => return Ok(None),
            Tried::Answer(table) => return Ok(Some(table)),
            Tried::Again { why, .. } if watch.elapsed() + QUIET >= asked.limit => {
                let (file, limit) = (&asked.file, Span(asked.limit));
                return Err(ProbeError(format!("{file} {why}, for {limit}")));
            }
            Tried::Again { traces, .. } => rested = Some(traces),
        }
        clock::sleep(QUIET).await;
    }
}

/// One try. `rested` is what was seen a while ago.
fn once(asked: &Asked, rested: Option<Traces>, watch: Stopwatch) -> Result<Tried, ProbeError> {
    let Some(file) = asked.permission.place(&asked.file)? else {
        return Ok(Tried::Missing);
    };
    let traces = || {
        Traces::of(&file)
            .map_err(|error| ProbeError(format!("could not look at {}: {error}", asked.file)))
    };
    let before = traces()?;
    let way = match before.way() {
        Ok(way) => way,
        Err(why) => {
            return Ok(Tried::Again {
                why: why.to_owned(),
                traces: before,
            });
        }
    };
    let is_at_rest = before.is_older_than(asked.now) || rested.as_ref() == Some(&before);
    let may_read = way == Way::Shared || is_at_rest;
    let answer = may_read.then(|| read(&file, way, asked, watch));
    let after = traces()?;
    let holds = |answer: &Result<Table, String>| match way {
        // whoever had it open may have closed it while it was opened here
        Way::Shared => answer.is_ok() || after.way() == Ok(way),
        Way::Still => after == before,
    };
    match answer.filter(holds) {
        Some(answer) => answer.map(Tried::Answer).map_err(ProbeError),
        None => Ok(Tried::Again {
            why: "was being written all the time".to_owned(),
            traces: after,
        }),
    }
}

/// How it can be read.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    /// With its `-wal` and `-shm`.
    Shared,
    /// The file alone.
    Still,
}

/// What there is of a database, and when it was changed.
#[derive(Clone, Debug, PartialEq)]
struct Traces {
    device: u64,
    inode: u64,
    size: u64,
    /// Seconds and nanoseconds of the last write, and of the last change of any kind.
    times: [(i64, i64); 2],
    has_journal: bool,
    /// Its size.
    wal: Option<u64>,
    has_shm: bool,
}

impl Traces {
    fn of(file: &Path) -> io::Result<Traces> {
        let whole = fs::symlink_metadata(file)?;
        Ok(Traces {
            device: whole.dev(),
            inode: whole.ino(),
            size: whole.size(),
            times: [
                (whole.mtime(), whole.mtime_nsec()),
                (whole.ctime(), whole.ctime_nsec()),
            ],
            has_journal: is_hot(&beside(file, "-journal"))?,
            wal: there(&beside(file, "-wal"))?.map(|it| it.size()),
            has_shm: there(&beside(file, "-shm"))?.is_some(),
        })
    }

    fn way(&self) -> Result<Way, &'static str> {
        match (self.wal, self.has_shm) {
            (Some(_), true) => Ok(Way::Shared),
            (Some(1..), false) => Err(
                "has a -wal and no -shm: it was not closed, or somebody keeps it for himself, and it cannot be read without writing",
            ),
            _ if self.has_journal => {
                Err("has a -journal: a transaction was writing, or died and was not rolled back")
            }
            _ => Ok(Way::Still),
        }
    }

    /// Whether its last change is so long ago that the next one will have another time.
    fn is_older_than(&self, now: Moment) -> bool {
        let quiet = i64::try_from(QUIET.as_millis()).unwrap_or(i64::MAX);
        let milliseconds = |(seconds, nanoseconds): &(i64, i64)| {
            seconds
                .saturating_mul(1000)
                .saturating_add(nanoseconds / 1_000_000)
        };
        let last = self
            .times
            .iter()
            .map(milliseconds)
            .max()
            .unwrap_or(i64::MAX);
        last.saturating_add(quiet) < now.0
    }
}

/// The file that SQLite keeps beside a database.
fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn there(file: &Path) -> io::Result<Option<fs::Metadata>> {
    match fs::symlink_metadata(file) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a journal is in force. It begins with a zero while it is kept for the next transaction, and until it is safe on
/// the disk, before which no page of the file is changed.
fn is_hot(journal: &Path) -> io::Result<bool> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let journal = match rustix::fs::open(journal, flags, Mode::empty()) {
        Ok(journal) => journal,
        Err(rustix::io::Errno::NOENT) => return Ok(false),
        // who may not look at it must take it for one
        Err(_) => return Ok(true),
    };
    let mut first = [0];
    let count = rustix::io::read(&journal, &mut first)?;
    Ok(count > 0 && first != [0])
}

fn read(file: &Path, way: Way, asked: &Asked, watch: Stopwatch) -> Result<Table, String> {
    query(file, way, asked, watch).map_err(|error| match error {
        Wrong::Answer(why) => why,
        Wrong::Sqlite(error) => told(&error, asked),
    })
}

enum Wrong {
    Answer(String),
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for Wrong {
    fn from(error: rusqlite::Error) -> Wrong {
        Wrong::Sqlite(error)
    }
}

fn query(file: &Path, way: Way, asked: &Asked, watch: Stopwatch) -> Result<Table, Wrong> {
    let limit = asked.limit;
    let mut connection = open(file, way, limit.saturating_sub(watch.elapsed()))?;
    let length = asked.bounds.size.0.max(SHORTEST);
    let length = i32::try_from(length).unwrap_or(LONGEST).min(LONGEST);
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, length)?;
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    connection.progress_handler(OPERATIONS, Some(move || watch.elapsed() >= limit))?;
    connection.authorizer(Some(judge))?;
    let mut statement = connection.prepare(&asked.query)?;
    if !statement.readonly() {
        return Err(Wrong::Answer("the query may only read".to_owned()));
    }
    let columns = statement.column_names().map(str::to_owned);
    let mut table = Table::new(columns.collect(), asked.bounds).map_err(Wrong::Answer)?;
    let count = table.columns.len();
    let args = asked.args.iter().map(arg);
    let mut rows = statement.query(params_from_iter(args))?;
    while let Some(row) = rows.next()? {
        if !table.has_room() {
            break;
        }
        let values = (0..count).map(|index| row.get_ref(index).map(value));
        let values = values.collect::<Result<_, _>>()?;
        table.push(values).map_err(Wrong::Answer)?;
    }
    Ok(table)
}

fn open(file: &Path, way: Way, patience: Duration) -> rusqlite::Result<Connection> {
    let path = file.to_string_lossy();
    let path = utf8_percent_encode(&path, NON_ALPHANUMERIC);
    let how = match way {
        Way::Shared => "mode=ro&readonly_shm=1",
        Way::Still => "immutable=1",
    };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = Connection::open_with_flags(format!("file:{path}?{how}"), flags)?;
    connection.busy_timeout(patience)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

/// Pragmas that tell something, given a name or a number at the most.
const TELLING: [&str; 10] = [
    "foreign_key_check",
    "foreign_key_list",
    "index_info",
    "index_list",
    "index_xinfo",
    "integrity_check",
    "quick_check",
    "table_info",
    "table_list",
    "table_xinfo",
];
/// Pragmas that tell something as long as they are given nothing.
const ASKING: [&str; 9] = [
    "application_id",
    "data_version",
    "encoding",
    "freelist_count",
    "max_page_count",
    "page_count",
    "page_size",
    "schema_version",
    "user_version",
];
/// Functions that do more than compute.
const ACTING: [&str; 2] = ["fts3_tokenizer", "load_extension"];

/// Reading is allowed, and nothing else, whatever SQLite may learn to do.
fn judge(asked: AuthContext<'_>) -> Authorization {
    let is_one = |names: &[&str], name: &str| names.iter().any(|it| it.eq_ignore_ascii_case(name));
    let may = match asked.action {
        AuthAction::Select | AuthAction::Read { .. } | AuthAction::Recursive => true,
        AuthAction::Function { function_name } => !is_one(&ACTING, function_name),
        AuthAction::Pragma {
            pragma_name,
            pragma_value,
        } => {
            is_one(&TELLING, pragma_name)
                || (pragma_value.is_none() && is_one(&ASKING, pragma_name))
        }
        _ => false,
    };
    match may {
        true => Authorization::Allow,
        false => Authorization::Deny,
    }
}

/// What went wrong, in a few words.
fn told(error: &rusqlite::Error, asked: &Asked) -> String {
    let (file, limit) = (&asked.file, Span(asked.limit));
    let code = error.sqlite_error().map(|it| it.extended_code & 0xff);
    match (code, error) {
        (Some(ffi::SQLITE_AUTH), _) => format!("the query may only read: {error}"),
        (Some(ffi::SQLITE_INTERRUPT), _) => format!("no answer within {limit}"),
        (Some(ffi::SQLITE_BUSY), _) => format!("{file} was locked for {limit}"),
        (Some(ffi::SQLITE_TOOBIG), _) => super::table::too_large(asked.bounds.size),
        (Some(ffi::SQLITE_ERROR), _) => format!("the query is wrong: {error}"),
        (Some(_), _) => format!("could not read {file}: {error}"),
        (None, rusqlite::Error::MultipleStatement) => "a query is one statement".to_owned(),
        (None, rusqlite::Error::Empty) => "the query says nothing".to_owned(),
        (None, rusqlite::Error::InvalidParameterCount(given, wanted)) => {
            format!("the query takes {wanted} `args`, not {given}")
        }
        (None, _) => format!("the query is wrong: {error}"),
    }
}

/// An argument. A list or a map is given as JSON.
fn arg(value: &Value) -> rusqlite::types::Value {
    use rusqlite::types::Value as Sql;
    match value {
        Value::Null => Sql::Null,
        Value::Bool(value) => Sql::Integer((*value).into()),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Sql::Integer(whole),
            (None, Some(real)) => Sql::Real(real),
            (None, None) => Sql::Text(number.to_string()),
        },
        Value::String(text) => Sql::Text(text.clone()),
        other => Sql::Text(other.to_string()),
    }
}

fn value(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(whole) => whole.into(),
        ValueRef::Real(number) => real(number),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into(),
        ValueRef::Blob(bytes) => BASE64_STANDARD.encode(bytes).into(),
    }
}

#[cfg(test)]
mod tests;
