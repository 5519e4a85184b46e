//! A trading bot and the engine that watches it, side by side: it trades, it is broken, it is repaired, it trades again.
//!
//! ```sh
//! cargo run --release --example side_by_side              # entry thresholds that no score reaches
//! cargo run --release --example side_by_side -- all       # five things at once
//! cargo run --release --example side_by_side -- --pause   # step by step, with Enter
//! ```
//!
//! | module | what it is for |
//! |---|---|
//! | [`story`] | what happens, in its order |
//! | [`desk`] | a root of its own, and the bot that trades in it |
//! | [`engine`] | the engine: this same program once more, as `homeostat run` |
//! | [`events`] | what the two of them say |
//! | [`screen`] | two columns, or plain lines |

#[path = "../trading_bot/bot/mod.rs"]
mod bot;
mod desk;
mod engine;
mod events;
mod screen;
mod story;

use std::{process::ExitCode, time::Duration};

use clap::Parser;

/// Exit code for a command line that cannot be followed (EX_USAGE of sysexits.h).
const USAGE: u8 = 64;

/// A trading bot and the engine that watches it, side by side.
#[derive(Debug, Parser)]
#[command(name = "side_by_side", after_help = story::after_help())]
struct Arguments {
    /// What is broken
    #[arg(default_value = "thresholds", value_parser = story::incident)]
    incident: &'static story::Incident,
    /// Wait for Enter before each step
    #[arg(long)]
    pause: bool,
    /// Time from one cycle of the bot to the next
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = period)]
    period: Duration,
}

fn period(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err("a period is longer than nothing".to_owned()),
        Ok(period) => Ok(period),
        Err(error) => Err(error.to_string()),
    }
}

fn main() -> ExitCode {
    if engine::is_this_one() {
        return homeostat::cli::main();
    }
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let code = if error.use_stderr() { USAGE } else { 0 };
            let _ = error.print(); // nobody may be reading
            return ExitCode::from(code);
        }
    };
    match story::play(arguments.incident, arguments.pause, arguments.period) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("side_by_side: {error}");
            ExitCode::FAILURE
        }
    }
}
