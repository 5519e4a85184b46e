//! The bot's files: where they are, and how they are read, replaced and appended to.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
    time::SystemTime,
};

use chrono::{DateTime, Utc};
use serde_json::Value;

pub const ENRICHMENT: &str = "data/bot/uw_enrichment_v2.py";
pub const MAIN: &str = "data/bot/main.py";
pub const CACHE: &str = "data/uw_flow_cache.json";
pub const LOCK: &str = "data/uw_flow_cache.json.lock";
pub const WEIGHTS: &str = "data/uw_weights.json";
pub const EFFECTIVE_WEIGHTS: &str = "data/effective_weights.json";
pub const THRESHOLDS: &str = "data/entry_thresholds.json";
pub const SCORING: &str = "data/scoring.json";
pub const ADAPTIVE: &str = "state/signal_weights.json";
pub const OUTSIDE: &str = "state/outside.json";
pub const BREAKER: &str = "state/circuit_breaker.json";
pub const BOOK: &str = "state/book.json";
pub const POSITIONS: &str = "state/position_metadata.json";
pub const ATTRIBUTION: &str = "data/uw_attribution.jsonl";
pub const ORDERS: &str = "data/live_orders.jsonl";
pub const POSTMORTEM: &str = "data/daily_postmortem.jsonl";
pub const RUN: &str = "logs/run.jsonl";

/// What a JSON file held.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    Absent,
    Json(Value),
    /// It is there but cannot be read, or is no JSON; the text says why.
    Broken(String),
}

impl Content {
    /// The value, or `otherwise`; a broken file is told.
    pub fn or(self, otherwise: Value, errors: &mut Vec<String>) -> Value {
        match self {
            Content::Json(value) => value,
            Content::Absent => otherwise,
            Content::Broken(why) => {
                errors.push(why);
                otherwise
            }
        }
    }
}

/// Reads a JSON file below the root.
pub fn read(root: &Path, file: &str) -> Content {
    match fs::read(root.join(file)) {
        Ok(bytes) => match serde_json::from_slice(&bytes) {
            Ok(value) => Content::Json(value),
            Err(error) => Content::Broken(format!("{file}: {error}")),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Content::Absent,
        Err(error) => Content::Broken(format!("{file}: {error}")),
    }
}

/// Puts a file in place of the old one in a single step. It was modified at `now`.
pub fn replace(root: &Path, file: &str, text: &str, now: DateTime<Utc>) -> Result<(), String> {
    let beside = root.join(format!("{file}.tmp"));
    let written = make_room(&beside)
        .and_then(|()| File::create(&beside))
        .and_then(|mut it| {
            it.write_all(text.as_bytes())?;
            it.set_modified(SystemTime::from(now))
        })
        .and_then(|()| fs::rename(&beside, root.join(file)));
    written.map_err(|error| format!("cannot write {file}: {error}"))
}

/// As [`replace`], for JSON. `pretty` is for files that people edit.
pub fn replace_json(
    root: &Path,
    file: &str,
    value: &Value,
    pretty: bool,
    now: DateTime<Utc>,
) -> Result<(), String> {
    let text = if pretty {
        format!("{value:#}\n")
    } else {
        value.to_string()
    };
    replace(root, file, &text, now)
}

/// As [`replace_json`], pretty, but leaves a file alone that holds this already.
pub fn keep_json(root: &Path, file: &str, value: &Value, now: DateTime<Utc>) -> Result<(), String> {
    if read(root, file) == Content::Json(value.clone()) {
        return Ok(());
    }
    replace_json(root, file, value, true, now)
}

/// Appends lines to a log.
pub fn append(root: &Path, file: &str, lines: &[Value]) -> Result<(), String> {
    if lines.is_empty() {
        return Ok(());
    }
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let path = root.join(file);
    make_room(&path)
        .and_then(|()| File::options().create(true).append(true).open(&path))
        .and_then(|mut it| it.write_all(text.as_bytes()))
        .map_err(|error| format!("cannot append to {file}: {error}"))
}

/// Creates the directory a file is to lie in.
pub fn make_room(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}
