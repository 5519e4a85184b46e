//! A small options-flow trading bot: see README.md beside this file.
//!
//! Here are its command line, its clock and its listener; the bot itself is in `bot/`.

mod bot;

use std::{
    io::{self, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bot::{Bot, Market, Options, breakage, files, server};
use chrono::{DateTime, Utc};
use clap::{Parser, ValueEnum};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    time::MissedTickBehavior,
};

/// Exit code for a command line that cannot be followed (EX_USAGE of sysexits.h).
const USAGE: u8 = 64;

/// A small options-flow trading bot: one cycle a minute, until Ctrl-C or SIGTERM.
#[derive(Debug, Parser)]
#[command(name = "trading_bot", after_help = after_help())]
struct Arguments {
    /// Directory with the bot's data/, state/ and logs/.
    #[arg(long, value_name = "DIR", default_value = ".")]
    root: PathBuf,
    /// Where health, mock signals and the broker answer.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8090")]
    listen: SocketAddr,
    /// Time from one cycle to the next.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = period)]
    period: Duration,
    /// Hours the bot keeps: those of the exchange, always, or never.
    #[arg(long, value_enum, default_value = "nyse")]
    market: Hours,
    /// End after so many cycles.
    #[arg(long, value_name = "N")]
    cycles: Option<u64>,
    /// Break the bot of this root in a named way, and exit. Repeatable.
    #[arg(long = "break", value_name = "NAME")]
    breaks: Vec<String>,
    /// Put a breakage right, and exit; `all` also lays out what is missing. Repeatable.
    #[arg(long = "mend", value_name = "NAME")]
    mends: Vec<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Hours {
    Nyse,
    Open,
    Closed,
}

impl From<Hours> for Market {
    fn from(hours: Hours) -> Market {
        match hours {
            Hours::Nyse => Market::Nyse,
            Hours::Open => Market::Open,
            Hours::Closed => Market::Closed,
        }
    }
}

fn after_help() -> String {
    let rows = breakage::BREAKAGES.map(|(name, does)| format!("  {name:<12} {does}\n"));
    let all = breakage::ALL.join(", ");
    format!(
        "Breakages:\n{}  {:<12} {all}; to mend: everything",
        rows.concat(),
        "all"
    )
}

fn period(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err("a period is longer than nothing".to_owned()),
        Ok(period) => Ok(period),
        Err(error) => Err(error.to_string()),
    }
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let code = if error.use_stderr() { USAGE } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    if arguments.breaks.is_empty() && arguments.mends.is_empty() {
        run(&arguments)
    } else {
        edit(&arguments)
    }
}

/// The wall clock.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where the program asks for the time; everything else is given it"
)]
fn clock() -> DateTime<Utc> {
    Utc::now()
}

fn edit(arguments: &Arguments) -> ExitCode {
    let root = &arguments.root;
    let names = arguments.mends.iter().chain(&arguments.breaks);
    if let Some(error) = names
        .map(|name| breakage::known(name))
        .find_map(Result::err)
    {
        eprintln!("trading_bot: {error}");
        return ExitCode::from(USAGE);
    }
    let mends = arguments.mends.iter();
    let mended = mends.map(|name| breakage::mend(root, name, clock()));
    let breaks = arguments.breaks.iter();
    let broken = breaks.map(|name| breakage::break_it(root, name, clock()));
    for told in mended.chain(broken) {
        match told {
            Ok(told) => say(&told),
            Err(error) => {
                eprintln!("trading_bot: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

fn run(arguments: &Arguments) -> ExitCode {
    if let Some(missing) = missing(&arguments.root) {
        eprintln!("trading_bot: {missing}");
        return ExitCode::FAILURE;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(live(arguments)),
        Err(error) => Err(format!("cannot start: {error}")),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("trading_bot: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What to do when the root holds no bot.
fn missing(root: &Path) -> Option<String> {
    let sources = Path::new(files::MAIN).parent()?;
    if root.join(sources).is_dir() {
        return None;
    }
    let (sources, root) = (sources.display(), root.display());
    Some(format!(
        "there is no {sources} in {root}; `trading_bot --root {root} --mend all` lays out all that a bot needs"
    ))
}

async fn live(arguments: &Arguments) -> Result<(), String> {
    let options = Options {
        market: arguments.market.into(),
    };
    let bot = Arc::new(Mutex::new(Bot::new(&arguments.root, options)));
    let listener = tokio::net::TcpListener::bind(arguments.listen)
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", arguments.listen))?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    say(&format!("listening on http://{address}"));

    let (stop, mut stopped) = watch::channel(false);
    let router = server::router(Arc::clone(&bot), Arc::new(clock));
    let serving = tokio::spawn(
        axum::serve(listener, router)
            .with_graceful_shutdown(async move {
                let _ = stopped.wait_for(|it| *it).await;
            })
            .into_future(),
    );
    let ended = cycles(arguments, &bot).await;
    let _ = stop.send(true);
    // A slow request must not keep the program from ending.
    let _ = tokio::time::timeout(Duration::from_secs(1), serving).await;
    ended
}

async fn cycles(arguments: &Arguments, bot: &Arc<Mutex<Bot>>) -> Result<(), String> {
    let told = |error: io::Error| format!("cannot wait for signals: {error}");
    let mut terminated = signal(SignalKind::terminate()).map_err(told)?;
    let mut interrupted = signal(SignalKind::interrupt()).map_err(told)?;
    let mut ticks = tokio::time::interval(arguments.period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut left = arguments.cycles;
    while left != Some(0) {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = terminated.recv() => return Ok(()),
            _ = interrupted.recv() => return Ok(()),
        }
        let bot = Arc::clone(bot);
        let cycle = tokio::task::spawn_blocking(move || {
            bot.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .cycle(clock())
        });
        let report = cycle
            .await
            .map_err(|error| format!("a cycle broke off: {error}"))?;
        say(&report.to_string());
        for error in &report.errors {
            eprintln!("error: {error}");
        }
        left = left.map(|it| it - 1);
    }
    Ok(())
}

/// A line on standard output. That nobody reads it any more is no reason to stop trading.
fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}
