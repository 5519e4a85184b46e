//! The engine: this same program once more, started as `homeostat`, so that no other one has to be built.

use std::{
    io::{BufRead, BufReader, Read},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use homeostat::clock::Stopwatch;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::events::{Event, Events};

/// Set for the process that is the engine.
const MARK: &str = "SIDE_BY_SIDE_ENGINE";
/// How long an engine may take to end.
const FAREWELL: Duration = Duration::from_secs(10);

/// Whether this process is the engine.
pub fn is_this_one() -> bool {
    std::env::var_os(MARK).is_some()
}

/// `homeostat` on a root, asked and told by its command line.
pub struct Engine {
    program: PathBuf,
    root: PathBuf,
    url: String,
    child: Child,
}

impl Engine {
    /// Starts it; what it says becomes events.
    pub fn start(root: &Path, url: &str, events: Events) -> Result<Engine, String> {
        let told = |error: std::io::Error| format!("could not start the engine: {error}");
        let program = std::env::current_exe().map_err(told)?;
        let mut child = homeostat(&program, root, url)
            .args(["run", "--listen", "none"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .process_group(0) // Ctrl-C is for this program, which ends the engine itself
            .spawn()
            .map_err(told)?;
        if let Some(out) = child.stdout.take() {
            std::thread::spawn(move || {
                for line in BufReader::new(out).lines().map_while(Result::ok) {
                    if let Ok(news) = serde_json::from_str(&line) {
                        events.send(Event::News(news));
                    }
                }
                events.send(Event::Ended);
            });
        }
        Ok(Engine {
            program,
            root: root.to_owned(),
            url: url.to_owned(),
            child,
        })
    }

    /// What a command answers.
    pub fn say(&self, words: &[&str]) -> Result<Value, String> {
        let told =
            |error: &dyn std::fmt::Display| format!("homeostat {}: {error}", words.join(" "));
        let mut child = homeostat(&self.program, &self.root, &self.url)
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| told(&error))?;
        let mut text = String::new();
        if let Some(mut out) = child.stdout.take() {
            out.read_to_string(&mut text)
                .map_err(|error| told(&error))?;
        }
        child.wait().map_err(|error| told(&error))?;
        serde_json::from_str(&text).map_err(|error| told(&error))
    }
}

fn homeostat(program: &Path, root: &Path, url: &str) -> Command {
    let mut command = Command::new(program);
    command
        .env(MARK, "1")
        .env("ALPACA_BASE_URL", url)
        .env("ALPACA_KEY", "made-up-key")
        .env("ALPACA_SECRET", "made-up-secret")
        .env_remove("ALPACA_API_KEY")
        .env_remove("ALPACA_API_SECRET")
        .arg("--json")
        .arg("--root")
        .arg(root)
        .args(["--set", &format!("bot_url={url}")]);
    command
}

impl Drop for Engine {
    /// Asks it to end, as an operator does; one that does not is killed.
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM); // it may have ended
        let watch = Stopwatch::new();
        while watch.elapsed() < FAREWELL {
            match self.child.try_wait() {
                Ok(None) => std::thread::park_timeout(Duration::from_millis(20)),
                _ => return,
            }
        }
        let _ = self.child.kill(); // it may have ended meanwhile
        let _ = self.child.wait(); // likewise
    }
}
