//! A root that is killed again and again: what is in it, one run of the engine on it, and what it does by itself.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{Command, Output, Stdio},
    thread,
    time::Duration,
};

use homeostat::{
    clock::Stopwatch,
    model::{
        attempt::{Attempt, AttemptId},
        moment::Moment,
    },
};
use serde_json::Value;

use super::{
    judge::Act,
    plan::{Dice, Kill},
    promises::{PROMISES, RULES, SETTINGS},
};

/// A kill at no boundary, by the clock.
pub const ANY_MOMENT: &str = "any moment";

/// No run may take longer, killed or not.
const BOUND: Duration = Duration::from_secs(60);

/// A root that is killed again and again, with all that was ever seen of it.
pub struct World {
    dir: Option<tempfile::TempDir>,
    /// What a failure names.
    pub label: String,
    pub now: Moment,
    /// From when to when each run was.
    pub runs: Vec<(Moment, Moment)>,
    pub acts: BTreeMap<&'static str, Vec<Act>>,
    pub attempts: BTreeMap<AttemptId, Attempt>,
    /// Attempts that a kill left without an outcome.
    pub interrupted: Vec<AttemptId>,
    /// Where each run was killed.
    pub killed: BTreeMap<String, u64>,
}

impl Drop for World {
    fn drop(&mut self) {
        if thread::panicking()
            && let Some(dir) = self.dir.take()
        {
            eprintln!("{}: its root is {}", self.label, dir.keep().display());
        }
    }
}

impl World {
    pub fn new(label: String) -> World {
        let dir = tempfile::Builder::new()
            .prefix("homeostat-kills-")
            .tempdir();
        let dir = dir.expect("a temporary directory");
        let world = World {
            dir: Some(dir),
            label,
            now: Moment::from_seconds(1_767_717_000.0),
            runs: Vec::new(),
            acts: BTreeMap::new(),
            attempts: BTreeMap::new(),
            interrupted: Vec::new(),
            killed: BTreeMap::new(),
        };
        for name in ["rules", "state", "logs"] {
            fs::create_dir(world.at(name)).expect("a directory");
        }
        for promise in PROMISES {
            let acts = world.at("data/acts").join(promise.check);
            fs::create_dir_all(acts).expect("a directory");
        }
        world.put("homeostat.yaml", SETTINGS);
        world.put("rules/kills.yaml", RULES);
        world.put("data/settings.json", "{\"stamp\": 0}");
        world.put("data/need.json", "{\"stamp\": 0}");
        world
    }

    pub fn at(&self, file: &str) -> PathBuf {
        let dir = self.dir.as_ref().expect("it is there until the end");
        dir.path().join(file)
    }

    fn put(&self, file: &str, text: &str) {
        fs::write(self.at(file), text).expect("a file");
    }

    /// What the watched system does by itself: it goes wrong again, or not.
    pub fn stir(&mut self, dice: &mut Dice) {
        if dice.one_in(2) {
            self.put("data/stuck.lock", "");
        }
        let need = match dice.below(4) {
            0 => 0.0,
            // A repair helps.
            1 => self.now.seconds(),
            // It does not.
            _ => 9e12,
        };
        self.put("data/need.json", &format!("{{\"stamp\": {need}}}"));
    }

    pub fn homeostat(&self, kill: &Kill, args: &[&str]) -> (Output, Duration) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_homeostat"));
        command
            .args(args)
            .arg("--json")
            .arg("--root")
            .arg(self.at(""))
            .env("HOMEOSTAT_NOW", self.now.seconds().to_string())
            .env_remove("HOMEOSTAT_FAILPOINT")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Kill::At(boundary) = kill {
            command.env("HOMEOSTAT_FAILPOINT", boundary);
        }
        let watch = Stopwatch::new();
        let mut child = command.spawn().expect("the program");
        // What it says fits into the pipes.
        while child.try_wait().expect("a child of ours").is_none() {
            match kill {
                Kill::After(span) if watch.elapsed() >= *span => {
                    child.kill().expect("a child of ours");
                    break;
                }
                _ => assert!(watch.elapsed() < BOUND, "{}: it hangs", self.label),
            }
            thread::park_timeout(Duration::from_millis(1));
        }
        let output = child.wait_with_output().expect("a child of ours");
        (output, watch.elapsed())
    }

    /// One run. Where it was killed, if it was.
    pub fn run(&mut self, kill: &Kill, wait: &str) -> Option<String> {
        let locked = self.at("data/stuck.lock").exists();
        let from = self.now;
        let (output, took) = self.homeostat(kill, &["check", "--wait", wait]);
        self.now = from.plus(took + Duration::from_millis(1));
        self.runs.push((from, self.now));
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let killed = match (output.status.signal(), output.status.code()) {
            (Some(9), _) => {
                let boundary = told
                    .lines()
                    .find_map(|line| line.strip_prefix("failpoint "));
                Some(boundary.unwrap_or(ANY_MOMENT).to_owned())
            }
            (None, Some(0..=3)) => {
                let answer: Result<Value, _> = serde_json::from_slice(&output.stdout);
                assert!(answer.is_ok(), "{}: no answer: {output:?}", self.label);
                None
            }
            _ => panic!("{}: {:?}: {told}", self.label, output.status),
        };
        self.look(locked, killed.is_some());
        if let Some(boundary) = &killed {
            *self.killed.entry(boundary.clone()).or_default() += 1;
        }
        killed
    }
}
