//! A root in a temporary directory, with the shipped rules, and the bot that trades in it. Its market is open at any time.

use std::{
    fs, io,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use chrono::{DateTime, Utc};
use homeostat::clock::{Clock, SystemClock};

use crate::{
    bot::{Bot, Market, Options, breakage, server},
    events::{Event, Events},
};

/// The market is open at any time, for the rules too.
const ALWAYS: &str = "\
defaults:
  timezone: America/New_York
calendars:
  nyse.regular: { about: Always open., weekly: { Mon-Sun: '00:00-24:00' } }
  nyse.extended: { about: Always open., weekly: { Mon-Sun: '00:00-24:00' } }
";

/// The bot at its work in a root of its own. Both end when it is dropped.
pub struct Desk {
    dir: tempfile::TempDir,
    url: String,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Desk {
    /// Lays out a healthy root and starts the bot, which tells of each cycle.
    pub fn open(period: Duration, events: Events) -> Result<Desk, String> {
        let dir = tempfile::tempdir().map_err(|error| format!("no place for a root: {error}"))?;
        lay_out(dir.path()).map_err(|error| format!("could not lay out a root: {error}"))?;
        breakage::mend(dir.path(), "all", now()).map_err(|error| error.to_string())?;
        let options = Options {
            market: Market::Open,
        };
        let bot = Arc::new(Mutex::new(Bot::new(dir.path(), options)));
        let stop = Arc::new(AtomicBool::new(false));
        let (tell, told) = std::sync::mpsc::channel();
        let stopped = stop.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| format!("could not start the bot: {error}"))?;
        let thread = std::thread::spawn(move || {
            runtime.block_on(async move {
                let listening = listen(bot.clone()).await;
                let listens = listening.is_ok();
                let _ = tell.send(listening); // whoever opens the desk waits for it
                if listens {
                    tokio::spawn(interrupt(events.clone()));
                    trade(&bot, period, &events, &stopped).await;
                }
            });
        });
        let url = told.recv().map_err(|_| "the bot broke off".to_owned())??;
        let thread = Some(thread);
        Ok(Desk {
            dir,
            url,
            stop,
            thread,
        })
    }

    pub fn root(&self) -> &Path {
        self.dir.path()
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn breaks(&self, name: &str) -> Result<String, String> {
        breakage::break_it(self.root(), name, now()).map_err(|error| error.to_string())
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // it has said why, if it broke off
        }
    }
}

async fn listen(bot: Arc<Mutex<Bot>>) -> Result<String, String> {
    let told = |error: io::Error| format!("the bot cannot listen: {error}");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.map_err(told)?;
    let address = listener.local_addr().map_err(told)?;
    let router = server::router(bot, Arc::new(now));
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(format!("http://{address}"))
}

async fn trade(bot: &Mutex<Bot>, period: Duration, events: &Events, stop: &AtomicBool) {
    let mut ticks = tokio::time::interval(period);
    while !stop.load(Ordering::Relaxed) {
        // Seen to now and then, so that a slow bot ends at once too.
        if tokio::time::timeout(Duration::from_millis(100), ticks.tick())
            .await
            .is_err()
        {
            continue;
        }
        let report = bot
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .cycle(now());
        events.send(Event::Cycle(report));
    }
}

/// Ctrl-C, or SIGTERM.
async fn interrupt(events: Events) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupted), Ok(mut terminated)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) else {
        return; // then they end this program as they always do
    };
    tokio::select! {
        _ = interrupted.recv() => {}
        _ = terminated.recv() => {}
    }
    events.send(Event::Interrupted);
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp_millis(SystemClock.now().0).unwrap_or_default()
}

fn lay_out(root: &Path) -> io::Result<()> {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR"));
    copy(&shipped.join("rules"), &root.join("rules"))?;
    copy(&shipped.join("data/bot"), &root.join("data/bot"))?;
    fs::copy(shipped.join("homeostat.yaml"), root.join("homeostat.yaml"))?;
    fs::write(root.join("rules/calendars/nyse.yaml"), ALWAYS)
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}
