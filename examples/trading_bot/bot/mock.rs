//! A mock signal: one that is made up to see what the bot would do with it. It takes the way of a real one, but nothing is
//! ordered and nothing recorded.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    cycle::{Bot, start},
    feed, files,
    judge::{Judge, Numbers},
    python::from_json,
};

/// The symbol of a mock signal that names none.
const SYMBOL: &str = "MOCK_SIGNAL_TEST";

/// What the bot would have done.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MockAnswer {
    /// 0 when the signal was skipped.
    pub score: f64,
    /// The score it needs; null when there is no threshold and nothing enters.
    pub threshold: Option<f64>,
    pub freshness: f64,
    pub enter: bool,
    /// `signal`, `rejected`, or `skipped` when it could not be scored.
    pub decision: &'static str,
    /// Why it does not enter, or `clean`.
    pub reason: String,
    pub components: Map<String, Value>,
    /// Fields of the signal that enrichment carried over (the feed's `ftd` as `shorts`).
    pub enriched: Vec<String>,
}

impl Bot {
    /// Judges a raw signal: the fields of a symbol in the cache, `age_min` (its age in minutes), and perhaps `symbol`. With
    /// `flow_trades` its sentiment and conviction are those that the parser reads from them, as for the feed.
    ///
    /// # Errors
    /// Says what is wrong with the signal.
    pub fn mock_signal(&mut self, body: &Value, now: DateTime<Utc>) -> Result<MockAnswer, String> {
        let mut record = match body {
            Value::Object(record) => record.clone(),
            _ => return Err("a signal is an object".to_owned()),
        };
        let age = match record.remove("age_min").as_ref().map(Value::as_f64) {
            Some(Some(age)) if age >= 0.0 => age,
            Some(_) => return Err("age_min is no number of minutes".to_owned()),
            None => return Err("age_min is missing: the age of the signal in minutes".to_owned()),
        };
        let symbol = match record.remove("symbol") {
            None => SYMBOL.to_owned(),
            Some(Value::String(symbol)) if !symbol.is_empty() => symbol,
            Some(_) => return Err("symbol is no text".to_owned()),
        };
        let updated = now.timestamp() as f64 - age * 60.0;
        record.insert("_last_update".to_owned(), updated.into());

        let mut errors = Vec::new();
        let (enrichment, main) = (self.program(files::ENRICHMENT), self.program(files::MAIN));
        let judge = Judge {
            numbers: Numbers::read(self.root(), &mut errors),
            enrichment: start(files::ENRICHMENT, &enrichment),
            main: start(files::MAIN, &main),
        };
        let trades = feed::read_trades(&mut record, judge.main.as_ref().ok());
        let record = Value::Object(record);
        let mut cache = Map::new();
        cache.insert(symbol.clone(), record.clone());
        let judged = trades.and_then(|()| {
            let cache = from_json(&Value::Object(cache));
            judge.judge(&symbol, &cache, &record, now)
        });
        let threshold = judge.numbers.threshold.ok();
        Ok(match judged {
            Ok(it) => MockAnswer {
                score: it.score.total,
                threshold,
                freshness: it.freshness,
                enter: it.enters,
                decision: it.decision(),
                enriched: carried(&record, &it.enriched),
                reason: it.reason,
                components: it.score.components,
            },
            Err(why) => MockAnswer {
                score: 0.0,
                threshold,
                freshness: 0.0,
                enter: false,
                decision: "skipped",
                reason: why,
                components: Map::new(),
                enriched: Vec::new(),
            },
        })
    }
}

fn carried(record: &Value, enriched: &Value) -> Vec<String> {
    let same = |field: &str, value: &Value| {
        let raw = if field == "shorts" { "ftd" } else { field };
        record.get(raw).is_some_and(|it| it == value)
    };
    let fields = enriched.as_object().into_iter().flatten();
    fields
        .filter(|(field, value)| same(field, value))
        .map(|(field, _)| field.clone())
        .collect()
}
