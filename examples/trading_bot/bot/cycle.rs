//! One cycle of the bot: the feed, the signals, the orders, the records. A cycle is given its instant and asks no clock.

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use chrono::{DateTime, SecondsFormat, Utc};
use chrono_tz::America::New_York;
use serde_json::{Map, Value, json};

use super::{
    broker::{self, Book, Day, Position, Side},
    feed,
    files::{self, Content},
    judge::{Judge, Judgement, Numbers},
    market::{Market, Session},
    outside::Outside,
    python::{self, Program, from_json},
    score::decimals,
};

/// Shares of an order.
const QTY: u32 = 10;
/// Where scores come from, and the version of the composite.
const SOURCE: &str = "uw_v3";
const VERSION: &str = "V3.1";

/// How a bot runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    pub market: Market,
}

/// The bot. Everything it knows lies in files below its root; in memory is only what spares work.
#[derive(Debug)]
pub struct Bot {
    root: PathBuf,
    options: Options,
    cycles: u64,
    book: Book,
    sources: BTreeMap<&'static str, Source>,
    last: Option<CycleReport>,
    /// Told with the next cycle.
    trouble: Option<String>,
}

/// What a cycle came to.
#[derive(Debug, Clone, PartialEq)]
pub struct CycleReport {
    /// Number of the cycle since the start, from 1.
    pub cycle: u64,
    pub at: DateTime<Utc>,
    pub open: bool,
    /// Signals scored, and the mean of their scores.
    pub scored: usize,
    pub mean_score: Option<f64>,
    /// Signals that entered, and orders that were filled.
    pub clusters: usize,
    pub orders: usize,
    /// What went wrong: signals skipped, files that could not be read or written, orders refused.
    pub errors: Vec<String>,
}

/// A source as it was read last; it is parsed again only when its text has changed.
#[derive(Debug)]
struct Source {
    text: String,
    program: Result<Arc<Program>, String>,
}

impl Bot {
    /// A bot over the files below `root`.
    pub fn new(root: impl Into<PathBuf>, options: Options) -> Bot {
        let root = root.into();
        let (book, trouble) = Book::open(&root);
        Bot {
            root,
            options,
            cycles: 0,
            book,
            sources: BTreeMap::new(),
            last: None,
            trouble,
        }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn market(&self) -> Market {
        self.options.market
    }

    pub fn book(&self) -> &Book {
        &self.book
    }

    /// The last cycle.
    pub fn last(&self) -> Option<&CycleReport> {
        self.last.as_ref()
    }

    /// Does one cycle at an instant.
    pub fn cycle(&mut self, now: DateTime<Utc>) -> CycleReport {
        self.cycles += 1;
        let mut report = CycleReport {
            cycle: self.cycles,
            at: now,
            open: false,
            scored: 0,
            mean_score: None,
            clusters: 0,
            orders: 0,
            errors: self.trouble.take().into_iter().collect(),
        };
        let outside = Outside::read(&self.root);
        let (enrichment, main) = (self.program(files::ENRICHMENT), self.program(files::MAIN));
        let main = start(files::MAIN, &main);
        if !outside.daemon {
            let parser = main.as_ref().ok();
            feed::write(&self.root, self.cycles, now, parser, &mut report.errors);
        }
        self.end_day(now, &mut report.errors);
        if let Some(session) = self.options.market.open_session(now) {
            report.open = true;
            let judge = Judge {
                numbers: Numbers::read(&self.root, &mut report.errors),
                enrichment: start(files::ENRICHMENT, &enrichment),
                main,
            };
            let entering = self.score(&judge, &mut report);
            self.trade(session, &entering, outside, &mut report);
        }
        let run = files::append(&self.root, files::RUN, &[run_line(&report)]);
        report.errors.extend(run.err());
        self.last = Some(report.clone());
        report
    }

    /// Scores every symbol of the cache and records it. Answers the signals that enter.
    fn score(&self, judge: &Judge<'_>, report: &mut CycleReport) -> Vec<(String, Judgement)> {
        let (now, errors) = (report.at, &mut report.errors);
        let effective = judge.numbers.weights.to_json();
        let kept = files::keep_json(&self.root, files::EFFECTIVE_WEIGHTS, &effective, now);
        errors.extend(kept.err());
        let cache = match files::read(&self.root, files::CACHE) {
            Content::Json(cache) => cache,
            Content::Absent => {
                errors.push(format!("{}: there is none", files::CACHE));
                return Vec::new();
            }
            Content::Broken(why) => {
                errors.push(why);
                return Vec::new();
            }
        };
        let shared = from_json(&cache);
        let records = cache.as_object().into_iter().flatten();
        let mut judged = Vec::new();
        for (symbol, record) in records.filter(|(symbol, _)| !symbol.starts_with('_')) {
            match judge.judge(symbol, &shared, record, now) {
                Ok(judgement) => judged.push((symbol.clone(), judgement)),
                Err(why) => errors.push(format!("{symbol} skipped: {why}")),
            }
        }
        let lines: Vec<Value> = judged
            .iter()
            .map(|(symbol, judgement)| attribution_line(symbol, judgement, now))
            .collect();
        errors.extend(files::append(&self.root, files::ATTRIBUTION, &lines).err());
        report.scored = judged.len();
        let total: f64 = judged.iter().map(|(_, it)| it.score.total).sum();
        report.mean_score = (!judged.is_empty()).then(|| decimals(total / judged.len() as f64, 3));
        judged.retain(|(_, judgement)| judgement.enters);
        report.clusters = judged.len();
        judged
    }

    /// Whether somebody has engaged the circuit breaker: no position is opened until it expires. One that is broken counts
    /// as engaged.
    fn breaker(&self, now: DateTime<Utc>, errors: &mut Vec<String>) -> bool {
        match files::read(&self.root, files::BREAKER) {
            Content::Absent => false,
            Content::Json(breaker) => {
                let expires = breaker["expires_at"].as_f64();
                let over = expires.is_some_and(|expires| expires <= now.timestamp() as f64);
                breaker["engaged"] == true && !over
            }
            Content::Broken(why) => {
                errors.push(why);
                true
            }
        }
    }

    /// Opens a position for each signal that enters, or closes the one that is held.
    fn trade(
        &mut self,
        session: Session,
        entering: &[(String, Judgement)],
        outside: Outside,
        report: &mut CycleReport,
    ) {
        let now = report.at;
        let before = self.book.clone();
        let mut day = self
            .book
            .day
            .take()
            .unwrap_or_else(|| Day::new(session.date));
        let mut lines = Vec::new();
        match self.held() {
            Err(why) => report
                .errors
                .push(format!("no orders, positions are unknown: {why}")),
            Ok(mut held) => {
                let engaged = self.breaker(now, &mut report.errors);
                for (symbol, judgement) in entering {
                    if engaged && !held.contains_key(symbol) {
                        continue; // what is held may still be closed
                    }
                    match self.order(symbol, judgement, &mut held, &mut day, outside, now) {
                        Ok(line) => lines.push(line),
                        Err(why) => report.errors.push(format!("order refused: {why}")),
                    }
                }
                if !lines.is_empty() {
                    held.insert(
                        "_meta".to_owned(),
                        json!({"v": 1, "updated": now.timestamp()}),
                    );
                    let kept = files::replace_json(
                        &self.root,
                        files::POSITIONS,
                        &Value::Object(held),
                        false,
                        now,
                    );
                    report.errors.extend(kept.err());
                }
            }
        }
        report.orders = lines.len();
        report
            .errors
            .extend(files::append(&self.root, files::ORDERS, &lines).err());
        self.book.day = Some(day);
        if self.book != before {
            report.errors.extend(self.book.save(&self.root, now).err());
        }
    }

    fn order(
        &mut self,
        symbol: &str,
        judgement: &Judgement,
        held: &mut Map<String, Value>,
        day: &mut Day,
        outside: Outside,
        now: DateTime<Utc>,
    ) -> Result<Value, String> {
        let (order, qty, price) = if held.contains_key(symbol) {
            let order = self.book.closing_order(symbol);
            let price = broker::fill(symbol, order, now);
            let (qty, pnl) = self.book.close_position(symbol, price, outside)?;
            held.remove(symbol);
            day.count(pnl);
            (order, qty, price)
        } else {
            let short = judgement.enriched["sentiment"] == "BEARISH";
            let side = if short { Side::Short } else { Side::Long };
            let order = side.orders().0;
            let price = broker::fill(symbol, order, now);
            let position = Position {
                qty: QTY,
                side,
                avg_entry_price: price,
            };
            self.book.open_position(symbol, position, outside)?;
            let about = json!({"entry_price": price, "side": side, "qty": QTY, "entry_ts": now.timestamp()});
            held.insert(symbol.to_owned(), about);
            (order, QTY, price)
        };
        let event = match feed::unit(symbol, self.cycles, "fill") {
            luck if luck < 0.60 => "MARKET_FILLED",
            luck if luck < 0.85 => "LIMIT_FILLED",
            _ => "LIMIT_FINAL_FILLED",
        };
        Ok(json!({
            "event": event,
            "symbol": symbol,
            "side": order,
            "qty": qty,
            "price": price,
            "order_id": format!("{}-{symbol}-{order}", now.timestamp()),
            "_ts": now.timestamp(),
        }))
    }

    /// The symbols the bot holds, as it has noted them. Keys that start with `_` are no symbols.
    fn held(&self) -> Result<Map<String, Value>, String> {
        match files::read(&self.root, files::POSITIONS) {
            Content::Absent => Ok(Map::new()),
            Content::Json(Value::Object(held)) => Ok(held),
            Content::Json(_) => Err(format!("{}: no object", files::POSITIONS)),
            Content::Broken(why) => Err(why),
        }
    }

    /// Records the session that has closed since the last cycle.
    fn end_day(&mut self, now: DateTime<Utc>, errors: &mut Vec<String>) {
        let Some(day) = &self.book.day else {
            return;
        };
        let session = self.options.market.session(day.date);
        if session.is_some_and(|it| now < it.closes) {
            return;
        }
        let line = json!({
            "_ts": now.timestamp(),
            "date": day.date,
            "pnl_usd": decimals(day.pnl_usd, 2),
            "trades": day.trades,
            "won": day.won,
        });
        match files::append(&self.root, files::POSTMORTEM, &[line]) {
            Err(why) => errors.push(why),
            Ok(()) => {
                self.book.day = None;
                errors.extend(self.book.save(&self.root, now).err());
            }
        }
    }

    /// A source as it is now, parsed.
    pub(super) fn program(&mut self, file: &'static str) -> Result<Arc<Program>, String> {
        let text =
            fs::read_to_string(self.root.join(file)).map_err(|error| format!("{file}: {error}"))?;
        if let Some(known) = self.sources.get(file)
            && known.text == text
        {
            return known.program.clone();
        }
        let program = Program::parse(&text)
            .map(Arc::new)
            .map_err(|error| format!("{file}: {error}"));
        let source = Source {
            text,
            program: program.clone(),
        };
        self.sources.insert(file, source);
        program
    }
}

/// Starts a source that could be read.
pub(super) fn start<'p>(
    file: &str,
    program: &'p Result<Arc<Program>, String>,
) -> Result<python::Session<'p>, String> {
    let program = program.as_ref().map_err(Clone::clone)?;
    program.start().map_err(|error| format!("{file}: {error}"))
}

fn attribution_line(symbol: &str, judgement: &Judgement, now: DateTime<Utc>) -> Value {
    json!({
        "ts": now.timestamp(),
        "symbol": symbol,
        "score": judgement.score.total,
        "decision": judgement.decision(),
        "source": SOURCE,
        "version": VERSION,
        "components": judgement.score.components,
        "toxicity": judgement.toxicity,
        "freshness": decimals(judgement.freshness, 3),
        "notes": judgement.reason,
    })
}

fn run_line(report: &CycleReport) -> Value {
    json!({
        "ts": report.at.to_rfc3339_opts(SecondsFormat::Secs, true),
        "_ts": report.at.timestamp(),
        "msg": "complete",
        "clusters": report.clusters,
        "orders": report.orders,
        "market_open": report.open,
        "metrics": {
            "scored": report.scored,
            "errors": report.errors.len(),
            "mean_score": report.mean_score,
        },
    })
}

impl fmt::Display for CycleReport {
    /// `10:31:00 open  6 scored, mean 3.11, 5 clusters, 5 orders`, in New York time; errors are only counted.
    fn fmt(&self, line: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = self.at.with_timezone(&New_York).format("%H:%M:%S");
        if self.open {
            write!(line, "{time} open  {} scored", self.scored)?;
            if let Some(mean) = self.mean_score {
                write!(line, ", mean {mean:.2}")?;
            }
            write!(line, ", {} clusters, {} orders", self.clusters, self.orders)?;
        } else {
            write!(line, "{time} closed")?;
        }
        match self.errors.len() {
            0 => Ok(()),
            count => write!(line, ", {count} errors"),
        }
    }
}
