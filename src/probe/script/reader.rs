//! Answers the functions with which a script looks: each does what a kind of probe does, through permission and within
//! the same bounds. Paths are taken as they are, never as templates: they may come out of a file.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use serde_json::{Map, Value, json};

use super::super::{Eyes, ProbeError, file, json as json_file, jsonl::Wanted, path::whole, status};
use crate::{
    model::{facts::Facts, span::Span},
    permission::settings::Size,
    script::Host,
};

/// Of a text: as long as texts of scripts may be.
const MOST_TEXT: Size = Size(8 << 20);
/// Of all that one run of a script was answered.
const MOST: u64 = 64 << 20;

pub(super) struct Reader {
    eyes: Eyes,
    /// Bytes, about, of all answers.
    answered: AtomicU64,
}

impl Reader {
    pub fn new(eyes: &Eyes) -> Reader {
        Reader {
            eyes: eyes.clone(),
            answered: AtomicU64::new(0),
        }
    }

    fn look(&self, function: &str, args: &[Value]) -> Result<Arc<Value>, ProbeError> {
        let eyes = &self.eyes;
        let what = match function {
            "status_of" => "the name of a check",
            "glob" => "a pattern",
            _ => "a path",
        };
        let path = match args.first() {
            Some(Value::String(path)) => path.as_str(),
            other => {
                let other = other.unwrap_or(&Value::Null);
                return Err(ProbeError(format!(
                    "`{function}` takes {what} as a text, not {other}"
                )));
            }
        };
        Ok(match function {
            "read_text" => Arc::new(self.text(path)?),
            "read_json" => {
                let facts = json_file::document(path, json_file::MAX_SIZE, eyes)?;
                match facts.get("parse_error").map(|error| &**error) {
                    Some(Value::String(error)) => {
                        return Err(ProbeError(format!("{path}: {error}")));
                    }
                    _ => fact(&facts, "doc"),
                }
            }
            "read_jsonl" => fact(&wanted(args.get(1))?.look(path, eyes)?, "records"),
            "file_info" => Arc::new(file::info(path, eyes)?.to_json()),
            "exists" => fact(&file::info(path, eyes)?, "exists"),
            "glob" => fact(&file::found(path, eyes)?, "files"),
            "status_of" => {
                let (status, message) = status::or_unknown(eyes.board.status(path));
                Arc::new(json!({"status": status.word(), "message": message}))
            }
            other => return Err(ProbeError(format!("there is no function `{other}`"))),
        })
    }

    fn text(&self, path: &str) -> Result<Value, ProbeError> {
        let Some(mut opened) = self.eyes.permission.read(path)? else {
            return Ok(Value::Null);
        };
        let bytes = whole(path, &mut opened, MOST_TEXT)?;
        Ok(String::from_utf8_lossy(&bytes).into())
    }
}

impl Host for Reader {
    fn ask(&self, function: &str, args: Vec<Value>) -> Result<Arc<Value>, String> {
        let answer = self.look(function, &args).map_err(|ProbeError(why)| why)?;
        let weight = weight(&answer);
        let before = self.answered.fetch_add(weight, Ordering::Relaxed);
        if before.saturating_add(weight) > MOST {
            return Err("the script looked at more than 64 MiB".to_owned());
        }
        Ok(answer)
    }
}

fn fact(facts: &Facts, name: &str) -> Arc<Value> {
    facts.get(name).cloned().unwrap_or_default()
}

/// The options of `read_jsonl`.
fn wanted(options: Option<&Value>) -> Result<Wanted, ProbeError> {
    let mut wanted = Wanted::default();
    let none = Map::new();
    let options = match options {
        None => &none,
        Some(Value::Object(options)) => options,
        Some(_) => {
            let why = "`read_jsonl` takes options as a map: `#{ last: 20 }`";
            return Err(ProbeError(why.to_owned()));
        }
    };
    for (name, value) in options {
        let wrong = |what: &str| ProbeError(format!("`{name}` is {what}"));
        match (name.as_str(), value) {
            ("last", value) => {
                let last = value.as_u64().and_then(|last| usize::try_from(last).ok());
                wanted.last = Some(last.ok_or_else(|| wrong("a number of records"))?);
            }
            ("since", value) => {
                let span: Result<Span, _> = serde_json::from_value(value.clone());
                wanted.since = Some(span.map_err(|error| ProbeError(format!("`since`: {error}")))?);
            }
            ("time", Value::String(key)) => wanted.time = Some(key.clone()),
            ("time", _) => return Err(wrong("the key of a record's time")),
            _ => {
                return Err(ProbeError(format!(
                    "`read_jsonl` has no option `{name}`; there are last, since and time"
                )));
            }
        }
    }
    Ok(wanted)
}

/// Bytes that a value takes, about.
fn weight(value: &Value) -> u64 {
    const NODE: u64 = 32;
    NODE + match value {
        Value::String(text) => text.len() as u64,
        Value::Array(items) => items.iter().map(weight).sum(),
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| key.len() as u64 + weight(value))
            .sum(),
        _ => 0,
    }
}
