//! The reference bot of `examples/trading_bot`: what it scores, when it trades, how each breakage stops it and each mending
//! brings it back, what it writes and answers.

#[path = "../../examples/trading_bot/bot/mod.rs"]
mod bot;

mod breakages;
mod market_hours;
mod routes;
mod scores;
mod sessions;
mod small_python;

use std::{fs, path::Path};

use bot::{Bot, CycleReport, Market, Options, breakage};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

/// The opening of a session, a Tuesday in January: 9:30 in New York.
const OPENING: &str = "2026-01-06T14:30:00Z";

fn instant(text: &str) -> DateTime<Utc> {
    text.parse().expect("an instant")
}

/// A healthy bot in a root of its own, and its time.
struct Desk {
    dir: tempfile::TempDir,
    bot: Bot,
    now: DateTime<Utc>,
}

impl Desk {
    fn new() -> Desk {
        Desk::at(OPENING, Market::Nyse)
    }

    fn at(now: &str, market: Market) -> Desk {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let now = instant(now);
        breakage::mend(dir.path(), "all", now).expect("a root is laid out");
        let bot = Bot::new(dir.path(), Options { market });
        Desk { dir, bot, now }
    }

    fn root(&self) -> &Path {
        self.dir.path()
    }

    /// One cycle; then a minute passes.
    fn cycle(&mut self) -> CycleReport {
        let report = self.bot.cycle(self.now);
        self.now += TimeDelta::minutes(1);
        report
    }

    fn cycles(&mut self, count: usize) -> Vec<CycleReport> {
        (0..count).map(|_| self.cycle()).collect()
    }

    fn breaks(&self, name: &str) {
        breakage::break_it(self.root(), name, self.now).expect("it can be broken");
    }

    fn mends(&self, name: &str) {
        breakage::mend(self.root(), name, self.now).expect("it can be mended");
    }

    fn mock(&mut self, signal: &Value) -> bot::MockAnswer {
        self.bot
            .mock_signal(signal, self.now)
            .expect("a signal that can be read")
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.root().join(file), text).expect("a file can be written");
    }

    fn text(&self, file: &str) -> String {
        fs::read_to_string(self.root().join(file)).unwrap_or_default()
    }

    fn json(&self, file: &str) -> Value {
        serde_json::from_str(&self.text(file)).expect("JSON")
    }

    /// The lines of a log.
    fn lines(&self, file: &str) -> Vec<Value> {
        let text = self.text(file);
        let lines = text.lines();
        lines
            .map(|line| serde_json::from_str(line).expect("a line is JSON"))
            .collect()
    }
}

/// The signals of the README, in its order: perfect, ordinary.
fn signals() -> (Value, Value) {
    let readme = include_str!("../../examples/trading_bot/README.md");
    let mut blocks = readme
        .split("```json\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .map(|block| serde_json::from_str(block).expect("an example is JSON"));
    let perfect = blocks.next().expect("the perfect signal");
    let ordinary = blocks.next().expect("the ordinary signal");
    (perfect, ordinary)
}

/// A signal with some fields changed; null takes one away.
fn with(signal: &Value, changes: Value) -> Value {
    let mut signal = signal.as_object().expect("a signal").clone();
    for (field, value) in changes.as_object().expect("changes") {
        signal.shift_remove(field);
        if !value.is_null() {
            signal.insert(field.clone(), value.clone());
        }
    }
    json!(signal)
}
