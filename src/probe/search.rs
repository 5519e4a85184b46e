//! What is looked for at the end of a JSON-lines log, what a line is taken for, and when the search is done.
//!
//! A line is a record if it is one JSON object. From the end backward, `where` picks records, `since` drops those that
//! are older, `last` ends the search. What is no record (broken, a scalar, NUL padding, bytes that are not UTF-8, a key
//! twice, more than [`MOST_KEPT`]; with `since` also a record without a readable time) costs one `skipped`; an empty line costs nothing. A last line
//! without line end counts if it is whole, and is read anew at the next look.
//!
//! Records are taken to be roughly in order: with `since` the search ends after [`OLD_IN_A_ROW`] records that are too old.

use std::{sync::Arc, time::Duration};

use serde_json::Value;

use super::{ProbeError, backward::ReadError, strict_json};
use crate::{model::moment::Moment, permission::settings::Size};

/// Old records in a row that end a search by time.
pub(super) const OLD_IN_A_ROW: usize = 64;
/// Bytes of lines that one window holds as records.
const MOST_KEPT: Size = Size(16 << 20);
/// Lines that one search looks at.
const MOST_LINES: usize = 1_000_000;

/// Whether `where` picks a record; the error says why that cannot be told.
pub(super) type Filter<'a> = dyn Fn(&Arc<Value>) -> Result<bool, String> + 'a;

/// What is looked for.
pub(super) struct Search<'a> {
    pub(super) filter: Option<&'a Filter<'a>>,
    pub(super) since: Option<Duration>,
    pub(super) last: Option<usize>,
    /// Where a record has its time: the first of these keys with a readable one.
    pub(super) time: &'a [String],
    pub(super) max_scan: Size,
    pub(super) now: Moment,
}

#[derive(Debug)]
pub(super) enum Trouble {
    /// The file became another while it was read: look again.
    Changed,
    Told(String),
}

impl From<Trouble> for ProbeError {
    fn from(trouble: Trouble) -> ProbeError {
        ProbeError(match trouble {
            Trouble::Changed => "it changes while it is read".to_owned(),
            Trouble::Told(why) => why,
        })
    }
}

/// A judged line.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) begin: u64,
    pub(super) length: u64,
    pub(super) time: Option<Moment>,
    pub(super) skipped: bool,
    pub(super) kind: LineKind,
}

#[derive(Debug)]
pub(super) enum LineKind {
    /// Its value stands in the list, in order.
    Record,
    Other,
    /// `where` failed on it.
    Fault(String),
}

impl Search<'_> {
    pub(super) fn oldest(&self) -> Option<Moment> {
        self.since.map(|since| self.now.minus(since))
    }

    /// Lines that begin before this are not looked at.
    pub(super) fn floor(&self, size: u64) -> u64 {
        size.saturating_sub(self.max_scan.0)
    }

    pub(super) fn told(&self, error: ReadError) -> Trouble {
        match error {
            ReadError::Changed => Trouble::Changed,
            ReadError::Io(error) => Trouble::Told(error.to_string()),
            ReadError::TooFar => Trouble::Told(format!(
                "the window is not found within the last {} (`max_scan`)",
                self.max_scan
            )),
        }
    }

    /// What a line is, and its value if it is a record; `None` for an empty one.
    pub(super) fn judge(&self, begin: u64, bytes: &[u8]) -> Option<(Line, Option<Value>)> {
        let body = bytes.trim_ascii();
        let text = trim_padding(body);
        if body.is_empty() {
            return None;
        }
        let mut line = Line {
            begin,
            length: bytes.len() as u64,
            time: None,
            skipped: text.len() < body.len(),
            kind: LineKind::Other,
        };
        if text.is_empty() {
            return Some((line, None));
        }
        if text.len() as u64 > MOST_KEPT.0 {
            // No window could hold it, and parsed it is many times as large.
            line.skipped = true;
            return Some((line, None));
        }
        let Ok(value @ Value::Object(_)) = strict_json::parse(text) else {
            line.skipped = true;
            return Some((line, None));
        };
        line.time = time_of(&value, self.time);
        let value = Arc::new(value);
        match self.filter.map_or(Ok(true), |filter| filter(&value)) {
            Ok(false) => return Some((line, None)),
            Err(why) => {
                line.kind = LineKind::Fault(why);
                return Some((line, None));
            }
            Ok(true) => {}
        }
        if let Some(oldest) = self.oldest() {
            line.skipped |= line.time.is_none();
            if line.time.is_none_or(|time| time < oldest) {
                return Some((line, None));
            }
        }
        line.kind = LineKind::Record;
        Some((line, Some(Arc::unwrap_or_clone(value))))
    }
}

/// Without the NUL bytes (and white space among them) that a file system leaves where a write was lost.
pub(super) fn trim_padding(bytes: &[u8]) -> &[u8] {
    let is_text = |byte: &u8| *byte != 0 && !byte.is_ascii_whitespace();
    match (
        bytes.iter().position(is_text),
        bytes.iter().rposition(is_text),
    ) {
        (Some(first), Some(last)) => bytes.get(first..=last).unwrap_or_default(),
        _ => &[],
    }
}

/// The time of a record: the first of these keys that holds a readable one.
pub(super) fn time_of(record: &Value, keys: &[String]) -> Option<Moment> {
    keys.iter().find_map(|key| match record.get(key)? {
        Value::Number(number) => Moment::from_number(number.as_f64()?),
        Value::String(text) => Moment::parse(text),
        _ => None,
    })
}

/// What a search has met on its way back.
pub(super) struct Tally<'a> {
    pub(super) search: &'a Search<'a>,
    oldest: Option<Moment>,
    pub(super) floor: u64,
    lines: usize,
    pub(super) records: usize,
    pub(super) bytes: u64,
    pub(super) skipped: usize,
    pub(super) newest: Option<Moment>,
    old_in_a_row: usize,
    pub(super) done: bool,
}

impl<'a> Tally<'a> {
    pub(super) fn new(search: &'a Search<'a>, size: u64) -> Tally<'a> {
        Tally {
            search,
            oldest: search.oldest(),
            floor: search.floor(size),
            lines: 0,
            records: 0,
            bytes: 0,
            skipped: 0,
            newest: None,
            old_in_a_row: 0,
            done: false,
        }
    }

    /// The same for a line that was known and one just read, so that a continued window is what a fresh one would be.
    pub(super) fn take(&mut self, line: &Line) -> Result<(), Trouble> {
        let told = |why: String| Err(Trouble::Told(why));
        self.lines += 1;
        if line.begin < self.floor {
            return Err(self.search.told(ReadError::TooFar));
        }
        if self.lines > MOST_LINES {
            return told(format!("the window is not found within {MOST_LINES} lines"));
        }
        self.skipped += usize::from(line.skipped);
        match &line.kind {
            LineKind::Fault(why) => return told(why.clone()),
            LineKind::Record => {
                self.records += 1;
                self.bytes += line.length;
                self.newest = self.newest.max(line.time);
                self.old_in_a_row = 0;
                self.done = self.search.last.is_some_and(|last| self.records >= last);
            }
            LineKind::Other if line.time.is_none() || self.oldest.is_none() => {}
            LineKind::Other if line.time < self.oldest => {
                self.old_in_a_row += 1;
                self.done = self.old_in_a_row >= OLD_IN_A_ROW;
            }
            LineKind::Other => self.old_in_a_row = 0,
        }
        if self.bytes > MOST_KEPT.0 {
            return told(format!(
                "the window holds more than {MOST_KEPT}: narrow it with `last`"
            ));
        }
        Ok(())
    }
}
