//! Ways to break a bot, and how a person would put each right. Both only edit files; a bot that runs meets them with its next
//! cycle.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    path::Path,
    time::{Duration, SystemTime},
};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use thiserror::Error;

use super::{
    broker::Book,
    files::{self, Content},
    score,
};

/// The sources as they are shipped.
const SHIPPED_ENRICHMENT: &str = include_str!("../../../data/bot/uw_enrichment_v2.py");
const SHIPPED_MAIN: &str = include_str!("../../../data/bot/main.py");

/// Every breakage with what it does to the bot.
pub const BREAKAGES: [(&str, &str); 12] = [
    ("weights", "the weights file is gone: every score is 0"),
    (
        "thresholds",
        "entry thresholds of 3.5/3.8/4.2: no score reaches them",
    ),
    ("fields", "enrichment forgets sentiment and conviction"),
    ("decay", "signals decay within a minute instead of 45"),
    ("adaptive", "the adaptive multiplier of the flow is 0.255"),
    (
        "floor_code",
        "as decay, and the code of freshness has no floor",
    ),
    ("parser", "the parser of trades forgets signal_type"),
    (
        "lock",
        "a lock of the cache that nobody holds: the feed cannot write",
    ),
    ("daemon", "the feed daemon stops writing"),
    ("broker_down", "the broker answers 503"),
    ("broker_slow", "the broker takes 2.5 s to answer"),
    ("positions", "the broker's positions are not the bot's"),
];

/// What `all` breaks: the five ways of an unlucky day. (To mend `all` mends everything.)
pub const ALL: [&str; 5] = ["weights", "thresholds", "fields", "decay", "adaptive"];

/// Age of the lock that `lock` leaves behind.
const LOCK_AGE: Duration = Duration::from_secs(3600);

const CONVICTION: &str = "    enriched_symbol[\"conviction\"] = data.get(\"conviction\", 0.0)\n";
const SENTIMENT: &str = "    enriched_symbol[\"sentiment\"] = data.get(\"sentiment\", NEUTRAL)\n";
/// The line that these two stand below.
const FEED_SAYS: &str = "    # What the feed says.\n";
const SIGNAL_TYPE: &str = "            \"signal_type\": t.get(\"k\"),\n";
const WITH_FLOOR: &str =
    "return max(scoring.get(\"freshness_floor\", FRESHNESS_FLOOR), min(1.0, f))";
const WITHOUT_FLOOR: &str = "return min(1.0, f)";

#[derive(Debug, Error)]
pub enum BreakError {
    #[error("there is no breakage {name}; there are {}, and all", names())]
    Unknown { name: String },
    #[error("{0}")]
    File(String),
}

type Told = Result<String, BreakError>;

/// The names of all breakages, separated by commas.
pub fn names() -> String {
    BREAKAGES.map(|(name, _)| name).join(", ")
}

/// Refuses a name that is none, before anything is done.
pub fn known(name: &str) -> Result<(), BreakError> {
    let listed = BREAKAGES.iter().any(|(it, _)| *it == name);
    if listed || name == "all" {
        Ok(())
    } else {
        Err(unknown(name))
    }
}

/// Breaks a bot in a named way and says what was done. Doing it twice is as good as once.
pub fn break_it(root: &Path, name: &str, now: DateTime<Utc>) -> Told {
    let files = Files { root, now };
    match name {
        "all" => each(&ALL, |name| break_it(root, name, now)),
        "weights" => files.remove(files::WEIGHTS),
        "thresholds" => files.set(
            files::THRESHOLDS,
            json!({"base": 3.5, "canary": 3.8, "champion": 4.2}),
        ),
        "fields" => files.edit(files::ENRICHMENT, |text| {
            text.replace(SENTIMENT, "").replace(CONVICTION, "")
        }),
        "decay" => files.set(
            files::SCORING,
            json!({"decay_minutes": 1.0, "freshness_floor": 0.1}),
        ),
        "adaptive" => files.flow_multiplier(0.255),
        "floor_code" => {
            let code = files.edit(files::MAIN, |text| text.replace(WITH_FLOOR, WITHOUT_FLOOR))?;
            let decay = files.set(files::SCORING, json!({"decay_minutes": 1.0}))?;
            Ok(format!("{code}\n{decay}"))
        }
        "parser" => files.edit(files::MAIN, |text| text.replace(SIGNAL_TYPE, "")),
        "lock" => files.lock(),
        "daemon" | "broker_down" | "positions" => files.outside(name, Some(json!(true))),
        "broker_slow" => files.outside(name, Some(json!({"latency_ms": 2500}))),
        _ => Err(unknown(name)),
    }
}

/// Puts a breakage right and says what was done; `all` puts everything right and lays out what is missing, so that an empty
/// directory becomes the root of a healthy bot.
pub fn mend(root: &Path, name: &str, now: DateTime<Utc>) -> Told {
    let files = Files { root, now };
    match name {
        "all" => each(&BREAKAGES.map(|(name, _)| name), |name| {
            mend(root, name, now)
        }),
        "weights" => {
            let weights: Map<String, Value> = score::WEIGHTS
                .iter()
                .map(|(name, weight)| ((*name).to_owned(), json!(weight)))
                .collect();
            files.write(files::WEIGHTS, &Value::Object(weights))
        }
        "thresholds" => files.set(
            files::THRESHOLDS,
            json!({"base": 2.7, "canary": 2.9, "champion": 3.2}),
        ),
        "fields" => files.put_back(files::ENRICHMENT, SHIPPED_ENRICHMENT, |text| {
            let text = with_line(text, FEED_SAYS, SENTIMENT)?;
            with_line(&text, SENTIMENT, CONVICTION)
        }),
        "decay" => files.set(
            files::SCORING,
            json!({"decay_minutes": null, "freshness_floor": 0.1}),
        ),
        "adaptive" => files.flow_multiplier(1.0),
        "floor_code" => {
            let code = files.put_back(files::MAIN, SHIPPED_MAIN, |text| {
                let text = text.replace(WITHOUT_FLOOR, WITH_FLOOR);
                text.contains(WITH_FLOOR).then_some(text)
            })?;
            let decay = files.set(files::SCORING, json!({"decay_minutes": null}))?;
            Ok(format!("{code}\n{decay}"))
        }
        "parser" => files.put_back(files::MAIN, SHIPPED_MAIN, |text| {
            let before =
                "            \"flow_magnitude\": Client._magnitude(self, t.get(\"p\", 0)),\n";
            with_line(text, before, SIGNAL_TYPE)
        }),
        "lock" => files.remove(files::LOCK),
        "daemon" | "broker_down" | "broker_slow" => files.outside(name, None),
        "positions" => {
            let fault = files.outside(name, None)?;
            let noted = files.note_positions()?;
            Ok(format!("{fault}\n{noted}"))
        }
        _ => Err(unknown(name)),
    }
}

fn each(names: &[&str], mut act: impl FnMut(&str) -> Told) -> Told {
    let told: Vec<String> = names
        .iter()
        .map(|name| act(name))
        .collect::<Result<_, _>>()?;
    Ok(told.join("\n"))
}

fn unknown(name: &str) -> BreakError {
    BreakError::Unknown {
        name: name.to_owned(),
    }
}

/// The text with `line` after `before`, unless it has it already; `None` when there is no such place.
fn with_line(text: &str, before: &str, line: &str) -> Option<String> {
    if text.contains(line) {
        return Some(text.to_owned());
    }
    let (head, tail) = text.split_once(before)?;
    Some(format!("{head}{before}{line}{tail}"))
}

struct Files<'r> {
    root: &'r Path,
    now: DateTime<Utc>,
}

impl Files<'_> {
    fn write(&self, file: &str, value: &Value) -> Told {
        files::replace_json(self.root, file, value, true, self.now).map_err(BreakError::File)?;
        Ok(format!("{file} written"))
    }

    fn object(&self, file: &str) -> Map<String, Value> {
        match files::read(self.root, file) {
            Content::Json(Value::Object(map)) => map,
            _ => Map::new(),
        }
    }

    /// Sets keys of an object; null takes a key away. Other keys stay; what is no object is replaced.
    fn set(&self, file: &str, keys: Value) -> Told {
        let mut doc = self.object(file);
        for (key, value) in keys.as_object().into_iter().flatten() {
            if value.is_null() {
                doc.shift_remove(key);
            } else {
                doc.insert(key.clone(), value.clone());
            }
        }
        self.write(file, &Value::Object(doc))?;
        Ok(format!("{file}: {keys}"))
    }

    fn flow_multiplier(&self, multiplier: f64) -> Told {
        let mut doc = self.object(files::ADAPTIVE);
        let multipliers = doc.entry("multipliers").or_insert_with(|| json!({}));
        if !multipliers.is_object() {
            *multipliers = json!({});
        }
        multipliers["options_flow"] = json!(multiplier);
        self.write(files::ADAPTIVE, &Value::Object(doc))?;
        Ok(format!(
            "{}: options_flow times {multiplier}",
            files::ADAPTIVE
        ))
    }

    fn outside(&self, name: &str, fault: Option<Value>) -> Told {
        let mut doc = self.object(files::OUTSIDE);
        let told = match fault {
            Some(fault) => {
                doc.insert(name.to_owned(), fault);
                format!("{}: {name}", files::OUTSIDE)
            }
            None => {
                doc.shift_remove(name);
                format!("{}: no {name}", files::OUTSIDE)
            }
        };
        self.write(files::OUTSIDE, &Value::Object(doc))?;
        Ok(told)
    }

    fn remove(&self, file: &str) -> Told {
        match fs::remove_file(self.root.join(file)) {
            Ok(()) => Ok(format!("{file} removed")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok(format!("{file} is not there"))
            }
            Err(error) => Err(BreakError::File(format!("cannot remove {file}: {error}"))),
        }
    }

    fn edit(&self, file: &str, change: impl FnOnce(&str) -> String) -> Told {
        let text = fs::read_to_string(self.root.join(file))
            .map_err(|error| BreakError::File(format!("{file}: {error}")))?;
        let changed = change(&text);
        if changed == text {
            return Ok(format!("{file} has nothing to change"));
        }
        files::replace(self.root, file, &changed, self.now).map_err(BreakError::File)?;
        Ok(format!("{file} edited"))
    }

    /// Edits a source back; where that cannot be done (the text is another, or the file is gone) the shipped one is put there.
    fn put_back(
        &self,
        file: &str,
        shipped: &str,
        change: impl FnOnce(&str) -> Option<String>,
    ) -> Told {
        let text = fs::read_to_string(self.root.join(file)).unwrap_or_default();
        let (changed, told) = match change(&text) {
            Some(changed) if changed == text => return Ok(format!("{file} has nothing to mend")),
            Some(changed) => (changed, "mended"),
            None => (shipped.to_owned(), "as shipped"),
        };
        files::replace(self.root, file, &changed, self.now).map_err(BreakError::File)?;
        Ok(format!("{file} {told}"))
    }

    fn lock(&self) -> Told {
        let path = self.root.join(files::LOCK);
        let made = files::make_room(&path)
            .and_then(|()| File::create(&path))
            .and_then(|lock| lock.set_modified(SystemTime::from(self.now) - LOCK_AGE));
        made.map_err(|error| BreakError::File(format!("cannot write {}: {error}", files::LOCK)))?;
        Ok(format!("{} left an hour ago", files::LOCK))
    }

    /// Notes as held what the broker holds.
    fn note_positions(&self) -> Told {
        let (book, trouble) = Book::open(self.root);
        if let Some(why) = trouble {
            return Err(BreakError::File(why));
        }
        let held = self.object(files::POSITIONS);
        let noted: BTreeSet<&String> = held.keys().filter(|key| !key.starts_with('_')).collect();
        if noted == book.positions.keys().collect() {
            return Ok(format!("{} has nothing to mend", files::POSITIONS));
        }
        let mut noted: Map<String, Value> = book
            .positions
            .iter()
            .map(|(symbol, it)| {
                let about =
                    json!({"entry_price": it.avg_entry_price, "side": it.side, "qty": it.qty});
                (symbol.clone(), about)
            })
            .collect();
        noted.insert(
            "_meta".to_owned(),
            json!({"v": 1, "updated": self.now.timestamp()}),
        );
        self.write(files::POSITIONS, &Value::Object(noted))
    }
}
