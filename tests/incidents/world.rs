//! A root with the shipped rules and data, the reference bot trading in it, and the real engine as a child process.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use chrono::{DateTime, Utc};
use homeostat::clock::{self, Clock, Stopwatch, SystemClock};
use serde_json::Value;

use crate::{
    bot::{Bot, Market, Options, breakage, server},
    common::Root,
};

/// How long a state may be waited for.
pub const SOON: Duration = Duration::from_secs(30);
/// From one cycle of the bot to the next.
const PERIOD: Duration = Duration::from_millis(100);
/// So many cycles in a row without an order: trading has stopped. Moods of the feed last five.
const STOPPED: usize = 10;

/// The market of the tests is open at any time.
const ALWAYS: &str = "\
defaults:
  timezone: America/New_York
calendars:
  nyse.regular: { about: Always open., weekly: { Mon-Sun: '00:00-24:00' } }
  nyse.extended: { about: Always open., weekly: { Mon-Sun: '00:00-24:00' } }
";

pub fn now() -> DateTime<Utc> {
    DateTime::from_timestamp_millis(SystemClock.now().0).expect("the present")
}

/// Waits until something is there, at most [`SOON`].
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let watch = Stopwatch::new();
    let runtime = runtime();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(watch.elapsed() < SOON, "waited {SOON:?} in vain for {what}");
        runtime.block_on(clock::sleep(Duration::from_millis(20)));
    }
}

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().expect("a runtime")
}

/// The bot at its work, until it is dropped.
struct Trading {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Trading {
    /// Answers its address too.
    fn start(root: &Path) -> (Trading, String) {
        let stop = Arc::new(AtomicBool::new(false));
        let options = Options {
            market: Market::Open,
        };
        let bot = Arc::new(Mutex::new(Bot::new(root, options)));
        let (tell, told) = std::sync::mpsc::channel();
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            runtime().block_on(async move {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
                let listener = listener.expect("a free port");
                let address = listener.local_addr().expect("an address");
                let router = server::router(bot.clone(), Arc::new(now));
                tokio::spawn(async move { axum::serve(listener, router).await });
                tell.send(format!("http://{address}"))
                    .expect("a test that waits");
                while !stopped.load(Ordering::Relaxed) {
                    bot.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .cycle(now());
                    clock::sleep(PERIOD).await;
                }
            });
        });
        let url = told.recv().expect("a bot that listens");
        let thread = Some(thread);
        (Trading { stop, thread }, url)
    }
}

impl Drop for Trading {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // it has said why, if it broke off
        }
    }
}

/// The root, and the bot that trades in it.
pub struct World {
    root: Root,
    url: String,
    _trading: Trading,
}

impl World {
    /// A healthy bot whose orders flow.
    pub fn new() -> World {
        let root = Root::shipped();
        root.put("rules/calendars/nyse.yaml", ALWAYS);
        breakage::mend(root.path(), "all", now()).expect("a healthy root");
        let (trading, url) = Trading::start(root.path());
        let world = World {
            root,
            url,
            _trading: trading,
        };
        until("a first order", || {
            (!world.orders().is_empty()).then_some(())
        });
        world
    }

    pub fn root(&self) -> &Path {
        self.root.path()
    }

    pub fn at(&self, file: &str) -> PathBuf {
        self.root().join(file)
    }

    /// The text of a file; `None` when there is none.
    pub fn text(&self, file: &str) -> Option<String> {
        fs::read_to_string(self.at(file)).ok()
    }

    pub fn json(&self, file: &str) -> Value {
        let text = self.text(file).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}: {text}"))
    }

    pub fn lines(&self, file: &str) -> Vec<Value> {
        self.root.lines(file)
    }

    pub fn orders(&self) -> Vec<Value> {
        self.lines("data/live_orders.jsonl")
    }

    fn cycles(&self) -> Vec<Value> {
        self.lines("logs/run.jsonl")
    }

    /// Breaks the bot and waits until it trades no more.
    pub fn breaks(&self, name: &str) {
        breakage::break_it(self.root(), name, now()).expect("it can be broken");
        self.stops_trading();
    }

    /// Waits until no order has come for some cycles. Answers how many orders there are.
    pub fn stops_trading(&self) -> usize {
        until("orders to stop", || {
            let cycles = self.cycles();
            let (_, last) = cycles.split_at_checked(cycles.len().checked_sub(STOPPED)?)?;
            last.iter().all(|it| it["orders"] == 0).then_some(())
        });
        self.orders().len()
    }

    /// Lets the bot go through some more cycles.
    pub fn cycles_pass(&self, count: usize) {
        let before = self.cycles().len();
        until("cycles of the bot", || {
            (self.cycles().len() >= before + count).then_some(())
        });
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_homeostat"));
        command
            .current_dir(self.root())
            .env_remove("HOMEOSTAT_LOG")
            .env("USER", "ann")
            .env("ALPACA_BASE_URL", &self.url)
            .env("ALPACA_KEY", "key-of-the-test")
            .env("ALPACA_SECRET", "secret-of-the-test")
            .env_remove("ALPACA_API_KEY")
            .env_remove("ALPACA_API_SECRET")
            .args(["--json", "--set", &format!("bot_url={}", self.url)])
            .args(words);
        command
    }

    /// What a command answers, and its exit code.
    pub fn says(&self, words: &[&str]) -> (Value, i32) {
        let output = self.command(words).output().expect("a command");
        let text = String::from_utf8_lossy(&output.stdout);
        let value = serde_json::from_str(&text).unwrap_or_else(|error| {
            let errors = String::from_utf8_lossy(&output.stderr);
            panic!("{words:?}: {error}: {text}{errors}")
        });
        (value, output.status.code().unwrap_or(-1))
    }

    /// How a check stands in the answer of `status` or `check`.
    pub fn check(&self, words: &[&str], name: &str) -> Value {
        let (answer, _) = self.says(words);
        let checks = answer["checks"].as_array().expect("checks");
        let found = checks.iter().find(|it| it["name"] == name);
        found
            .unwrap_or_else(|| panic!("no {name} in {answer}"))
            .clone()
    }

    pub fn status(&self, name: &str) -> Value {
        self.check(&["status"], name)
    }

    /// The ledger's line of a check, all its steps together.
    pub fn ledger(&self, name: &str) -> Value {
        let (answer, _) = self.says(&["ledger"]);
        let lines = answer.as_array().expect("lines");
        let mut own = lines.iter().filter(|it| it["kind"].is_null());
        own.find(|it| it["check"] == name)
            .cloned()
            .unwrap_or_default()
    }

    /// All verified repairs by the ledger.
    pub fn verified(&self) -> u64 {
        let (answer, _) = self.says(&["ledger"]);
        let lines = answer.as_array().expect("lines");
        let own = lines.iter().filter(|it| it["kind"].is_null());
        own.filter_map(|it| it["verified"].as_u64()).sum()
    }

    /// Lines of the journal of the critical checks that a check wrote with a status.
    pub fn journal(&self, name: &str, status: &str) -> Vec<Value> {
        let mut lines = self.lines("logs/critical_health_checks.jsonl");
        lines.retain(|it| it["name"] == name && it["status"] == status);
        lines
    }

    pub fn engine(&self) -> Engine {
        Engine::start(self)
    }
}

/// `homeostat run`, ended when it is dropped.
pub struct Engine {
    child: Child,
    news: Arc<Mutex<Vec<Value>>>,
}

impl Engine {
    fn start(world: &World) -> Engine {
        let mut child = world
            .command(&["run", "--listen", "none"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("an engine");
        let out = BufReader::new(child.stdout.take().expect("its output"));
        let news = Arc::new(Mutex::new(Vec::new()));
        let heard = news.clone();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                let value = serde_json::from_str(&line).unwrap_or(Value::String(line));
                let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
                heard.push(value);
            }
        });
        let engine = Engine { child, news };
        engine.news("the engine to start", |it| it["news"] == "ready");
        engine
    }

    fn heard(&self) -> Vec<Value> {
        let news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        news.clone()
    }

    /// Waits for the first news of a kind.
    pub fn news(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        until(what, || self.heard().into_iter().find(|it| wanted(it)))
    }

    /// Waits until a repair of a check was done (before it is proven).
    pub fn acts(&self, check: &str) -> Value {
        self.news(&format!("a repair of {check}"), |it| {
            it["news"] == "acted" && it["attempt"]["check"] == check
        })
    }

    /// Waits until a repair of a check has ended that was made: one that found nothing to do is none.
    pub fn ends(&self, check: &str) -> Value {
        self.news(&format!("the end of a repair of {check}"), |it| {
            it["news"] == "ended"
                && it["attempt"]["check"] == check
                && it["attempt"]["withheld"].is_null()
        })
    }

    /// Whether anything was repaired so far.
    pub fn has_acted(&self) -> bool {
        self.heard().iter().any(|it| it["news"] == "acted")
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended
        let _ = self.child.wait(); // likewise
    }
}
