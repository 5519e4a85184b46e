//! Virtual time: a clock that leaps to whatever the engine has due next, and lets the bot do its cycles on the way. The
//! engine is the live one, with its store and its journals; the bot answers over HTTP by the same clock.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime},
};

use chrono::{DateTime, NaiveDateTime, TimeZone, Utc};
use chrono_tz::America::New_York;
use homeostat::{
    clock::{Clock, SystemClock},
    engine::live::{self, Live},
    model::{
        attempt::{End, Phase},
        moment::Moment,
        status::Status,
    },
    store::{HistoryEntry, HistoryQuery},
};
use regex::Regex;
use serde_json::json;
use tokio::sync::Notify;

use crate::{
    bot::{Bot, Market, Options, breakage, server},
    common::Root,
};

/// From one cycle of the bot to the next, in milliseconds.
const MINUTE: i64 = 60_000;

/// Files that repairs of the shipped rules write and rules ask the age of.
const REPAIRED: [&str; 2] = ["data/uw_weights.json", "state/signal_weights.json"];

/// What a clock in New York says: `2026-11-25 09:00`.
pub fn new_york(text: &str) -> Moment {
    let text = format!("{text}:10"); // between the slots: nothing is due at such a moment
    let local = NaiveDateTime::parse_from_str(&text, "%Y-%m-%d %H:%M:%S").expect("a time");
    let time = New_York.from_local_datetime(&local).single();
    Moment(time.expect("one such time").timestamp_millis())
}

fn utc(at: Moment) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(at.0).expect("an instant")
}

/// As people in New York say it: `Wed 25 10:20:00`.
pub fn told(at: Moment) -> String {
    let local = utc(at).with_timezone(&New_York);
    local.format("%a %d %H:%M:%S").to_string()
}

/// The clock.
struct Leaping {
    now: AtomicI64,
    /// Where it stops until it is told to go on.
    halt: AtomicI64,
    bot: Arc<Mutex<Bot>>,
    root: PathBuf,
    /// Where it has stopped with nothing under way any more, and who is told of it.
    rested: AtomicI64,
    arrived: Notify,
}

impl Leaping {
    fn bot(&self) -> MutexGuard<'_, Bot> {
        self.bot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Leaping {
    /// What the engine has written just now has the time of the machine: it gets that of this clock.
    fn date_repairs(&self) {
        let real = SystemTime::from(utc(SystemClock.now()));
        for file in REPAIRED {
            let path = self.root.join(file);
            let modified = fs::metadata(&path).and_then(|it| it.modified());
            let fresh = modified.is_ok_and(|at| {
                let age = real.duration_since(at).unwrap_or_default();
                at > real - Duration::from_secs(60) && age < Duration::from_secs(60)
            });
            if fresh && let Ok(file) = File::options().append(true).open(&path) {
                let _ = file.set_modified(SystemTime::from(utc(self.now()))); // it may be gone again
            }
        }
    }

    fn cycle(&self, at: Moment) {
        self.now.store(at.0, Ordering::SeqCst);
        self.bot().cycle(utc(at));
    }

    /// Around the opening and the close, what is due within a minute is done at its end; in the middle of a session at the
    /// end of five minutes, and while the exchange is closed at the end of an hour.
    fn next(&self, now: Moment) -> Moment {
        let half = Duration::from_secs(1800);
        let hours = [now.minus(half), now, now.plus(half)];
        let stride = match hours.map(|at| Market::Nyse.open_session(utc(at)).is_some()) {
            [true, true, true] => 5,
            [false, false, false] => 60,
            _ => 1,
        };
        Moment((now.0 / (stride * MINUTE) + 1) * stride * MINUTE)
    }
}

impl Clock for Leaping {
    fn now(&self) -> Moment {
        Moment(self.now.load(Ordering::SeqCst))
    }

    fn stands(&self) -> bool {
        true
    }

    fn leap(&self, to: Moment) {
        let halt = self.halt.load(Ordering::SeqCst);
        if self.now() == Moment(halt) {
            self.rested.store(halt, Ordering::SeqCst);
            self.arrived.notify_one();
            return;
        }
        self.date_repairs();
        while self.now() < to.min(Moment(halt)) {
            let now = self.now();
            let next = self.next(now).0.min(halt);
            if Market::Nyse.open_session(utc(now)).is_some() {
                let minute = |at: i64| (at / MINUTE + 1) * MINUTE;
                let mut cycle = minute(now.0);
                while cycle < next {
                    self.cycle(Moment(cycle));
                    cycle = minute(cycle);
                }
            }
            match next % MINUTE {
                0 => self.cycle(Moment(next)),
                _ => self.now.store(next, Ordering::SeqCst), // a halt
            }
        }
    }
}

/// An engine and a bot in virtual time.
pub struct Exchange {
    pub root: Root,
    clock: Arc<Leaping>,
    live: Live,
}

impl Exchange {
    /// Opens a healthy root at a time of New York.
    pub async fn new(start: &str) -> Exchange {
        let root = Root::shipped();
        let start = new_york(start);
        // Notices of changed files come in real time: here everything is looked at by its interval alone.
        let files = Regex::new(r", events: \[ \{ file: [^\]]* \} \]").expect("a pattern");
        for file in ["bot", "critical", "run_cycle", "supervisor"] {
            let file = format!("rules/{file}.yaml");
            root.put(&file, &files.replace_all(&root.text(&file), ""));
        }
        breakage::mend(root.path(), "all", utc(start)).expect("a healthy root");
        let options = Options {
            market: Market::Nyse,
        };
        let bot = Arc::new(Mutex::new(Bot::new(root.path(), options)));
        let clock = Arc::new(Leaping {
            now: AtomicI64::new(start.0),
            halt: AtomicI64::new(start.0),
            bot: bot.clone(),
            root: root.path().to_owned(),
            rested: AtomicI64::new(i64::MIN),
            arrived: Notify::new(),
        });
        clock.bot().cycle(utc(start));
        let url = serve(bot, clock.clone()).await;
        let named = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let live = live::start(live::Options {
            set: BTreeMap::from([("bot_url".to_owned(), json!(url))]),
            env: BTreeMap::from([
                named("ALPACA_BASE_URL", &url),
                named("ALPACA_KEY", "key-of-the-test"),
                named("ALPACA_SECRET", "secret-of-the-test"),
            ]),
            clock: clock.clone(),
            ..root.options()
        });
        let live = live.await.expect("an engine");
        assert!(live.warnings.is_empty(), "{:?}", live.warnings);
        Exchange { root, clock, live }
    }

    /// Lets time pass until then.
    pub async fn to(&self, time: &str) {
        let halt = new_york(time);
        self.clock.halt.store(halt.0, Ordering::SeqCst);
        while self.clock.rested.load(Ordering::SeqCst) < halt.0 {
            self.clock.arrived.notified().await; // perhaps of the halt before
        }
    }

    pub fn breaks(&self, name: &str) {
        let now = utc(self.clock.now());
        breakage::break_it(self.root.path(), name, now).expect("it can be broken");
    }

    /// Approves what a check proposes.
    pub async fn approves(&self, check: &str) {
        let status = self.live.handle.status().await.expect("an engine");
        let mut proposals = status.proposals.into_iter();
        let proposal = proposals.find(|it| it.check == check).expect("a proposal");
        let decided = self
            .live
            .handle
            .decide(proposal.attempt, "ann".to_owned(), Ok(()));
        decided
            .await
            .expect("an engine")
            .expect("it can be approved");
    }

    /// Status of a check now, with its message.
    pub async fn stands(&self, check: &str) -> (Status, String) {
        let status = self.live.handle.status().await.expect("an engine");
        let mut checks = status.checks.into_iter();
        let check = checks.find(|it| it.name == check).expect("a check");
        (check.status, check.message)
    }

    /// Ends the engine. Answers all that happened.
    pub async fn ends(self) -> Day {
        let everything = |store: &mut homeostat::store::Store| {
            store.history(&HistoryQuery {
                limit: usize::MAX,
                ..HistoryQuery::default()
            })
        };
        let history = self.live.handle.store(everything).await;
        let mut history = history.expect("an engine").expect("a store");
        history.reverse();
        self.live.handle.stop().await.expect("an engine");
        self.live.finished().await;
        Day {
            root: self.root,
            history,
        }
    }
}

async fn serve(bot: Arc<Mutex<Bot>>, clock: Arc<Leaping>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let router = server::router(bot, Arc::new(move || utc(clock.now())));
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

/// All that happened.
pub struct Day {
    pub root: Root,
    pub history: Vec<HistoryEntry>,
}

impl Day {
    /// What people would read of some checks, or of all: changes of status, repairs with their end, notes. In New York
    /// time, sorted by name where they are of one instant, without what was seen healthy for the first time.
    pub fn told(&self, of: &[&str]) -> String {
        let mut lines: Vec<(Moment, &str, String)> = Vec::new();
        for entry in &self.history {
            let check = entry.check().map_or("all", |name| &**name);
            if !of.is_empty() && !of.contains(&check) {
                continue;
            }
            let at = entry.at();
            let what = match entry {
                HistoryEntry::Change { from, to, .. } if from == to || (*from, *to) == FIRST => {
                    continue;
                }
                HistoryEntry::Change { from, to, .. } => format!("{from} → {to}"),
                HistoryEntry::Held { hold, .. } => format!("held by {}", hold.by.word()),
                HistoryEntry::Note { kind, text, .. } => format!("{kind:?}, {text}"),
                HistoryEntry::Attempt { attempt, .. } => match attempt.phase {
                    Phase::Ended {
                        end: End::Withheld, ..
                    } => continue, // told as held
                    Phase::Ended { at: ended, end } => {
                        let end = format!("{end:?}").to_lowercase();
                        format!("repair, {end} {}", told(ended))
                    }
                    ref open => format!("repair, {open:?}"),
                },
            };
            lines.push((at, check, what));
        }
        lines.sort_by_key(|(at, check, _)| (*at, *check));
        let line = |(at, check, what): &(Moment, &str, String)| {
            format!("{}  {check:<31}  {what}\n", told(*at))
        };
        lines.iter().map(line).collect()
    }

    /// What, while no session of the exchange was under way, was seen or told that is not OK, pages included.
    pub fn told_outside(&self) -> Vec<String> {
        let bad = self.history.iter().filter(|entry| match entry {
            HistoryEntry::Change { to, .. } => *to != Status::Ok,
            HistoryEntry::Note { .. } => true,
            _ => false,
        });
        let closed = |at: Moment| Market::Nyse.open_session(utc(at)).is_none();
        let told = bad.filter(|entry| closed(entry.at()));
        let lines = self.root.lines("logs/critical_health_checks.jsonl");
        let seen = lines.iter().filter(|line| {
            let at = Moment::from_seconds(line["timestamp"].as_f64().expect("a time"));
            line["status"] != "OK" && closed(at)
        });
        let told = told.map(|entry| format!("{entry:?}"));
        told.chain(seen.map(ToString::to_string)).collect()
    }

    /// Orders that were filled from one time to another.
    pub fn orders(&self, from: &str, to: &str) -> usize {
        let (from, to) = (new_york(from).seconds(), new_york(to).seconds());
        let orders = self.root.lines("data/live_orders.jsonl");
        let times = orders.iter().filter_map(|it| it["_ts"].as_f64());
        times.filter(|at| *at >= from && *at < to).count()
    }
}

const FIRST: (Status, Status) = (Status::Unknown, Status::Ok);
