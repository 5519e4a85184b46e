//! The engine is killed at every boundary of persisting and acting, and at any moment besides; and whatever the kill, the
//! next start goes on rightly: no act within its cooldown, no budget refunded, no attempt repeated blindly.
//!
//! Everything is judged from outside. Every act leaves a directory named by its rung and its instant, so what was done is
//! counted in the world and not by what the engine believes; the store is read from its files by a copy in memory. Hours
//! pass from one run to the next by `HOMEOSTAT_NOW`. The kills are `HOMEOSTAT_KILLS` (60 unless said otherwise), in series
//! of a fresh root each; `HOMEOSTAT_SEED` repeats those of a failure, whose root is left where the message says.
#![cfg(feature = "failpoints")]

use std::{
    collections::BTreeMap,
    fs,
    io::ErrorKind,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

use homeostat::{
    clock::Stopwatch,
    model::{
        Name,
        attempt::{Attempt, AttemptId, End, Phase},
        moment::Moment,
        standing::Budget,
    },
    store::{self, Store},
};
use serde_json::Value;

/// Every boundary of `src/engine/failpoint.rs`: each must have killed.
const BOUNDARIES: [&str; 14] = [
    "before-rows",
    "after-rows",
    "before-intent",
    "after-intent",
    "before-image",
    "after-image",
    "before-act",
    "after-act",
    "before-told",
    "after-told",
    "before-rollback",
    "after-rollback",
    "before-line",
    "after-line",
];
/// A kill at no boundary, by the clock.
const ANY_MOMENT: &str = "any moment";

/// Kills of one root.
const SERIES: u64 = 50;
/// Roots that are tried at the same time.
const WORKERS: usize = 2;
/// No run may take longer, killed or not.
const BOUND: Duration = Duration::from_secs(60);

const SETTINGS: &str = "
allow: { run: [ '/bin/mkdir *' ] }
keep: { journal: 64 KiB x 2 }
";

/// `ladder` is never helped and climbs in one run. `slow` is never helped, settles and is verified over several runs and
/// is quarantined. `stuck` is helped. `stale` is helped or not as `data/need.json` says, waits between its rungs and is
/// undone when they are exhausted.
const RULES: &str = "
defaults:
  trigger: { every: 1h }
  journal: logs/checks.jsonl
checks:
  - name: ladder
    about: Never there, whatever is done.
    probe: { file: { file: data/never } }
    threshold: { critical: missing }
    message: 'there: ${exists}'
    remediation:
      steps:
        - run_command: { argv: [/bin/mkdir, 'data/acts/ladder/0-${now}'] }
        - run_command: { argv: [/bin/mkdir, 'data/acts/ladder/1-${now}'] }
      verify: { within: 5ms }
      guard: { cooldown: 3m, limit: 5 per 20m, backoff: 0s..0s, breaker: 1000 }
  - name: slow
    about: Never there, and it takes its time.
    probe: { file: { file: data/never } }
    threshold: { critical: missing }
    message: 'there: ${exists}'
    remediation:
      steps:
        - run_command: { argv: [/bin/mkdir, 'data/acts/slow/0-${now}'] }
      verify: { after: 20s, within: 2m }
      guard: { cooldown: 5m, limit: 2 per 30m, breaker: 3 }
  - name: stuck
    about: A lock that was left behind.
    probe: { file: { file: data/stuck.lock } }
    threshold: { warning: exists }
    message: 'there: ${exists}'
    remediation:
      when: [warning]
      steps:
        - - run_command: { argv: [/bin/mkdir, 'data/acts/stuck/0-${now}'] }
          - remove_file: { file: data/stuck.lock }
      verify: { within: 5ms }
      guard: { cooldown: 4m, limit: 3 per 20m, backoff: 0s..0s, breaker: 3 }
  - name: stale
    about: The settings are as new as they need to be.
    probes:
      has: { json: { file: data/settings.json } }
      need: { json: { file: data/need.json } }
    threshold: { critical: 'has.doc.stamp < need.doc.stamp' }
    message: 'of ${has.doc.stamp}'
    remediation:
      steps:
        - - run_command: { argv: [/bin/mkdir, 'data/acts/stale/0-${now}'] }
          - write_file: { file: data/settings.json, body: { stamp: '${now}' } }
        - - run_command: { argv: [/bin/mkdir, 'data/acts/stale/1-${now}'] }
          - write_file: { file: data/settings.json, body: { stamp: '${now}' } }
      verify: { within: 5ms }
      guard: { cooldown: 3m, limit: 4 per 30m, backoff: 10s..30s, breaker: 1000 }
      rollback: true
";

/// What the rules above promise of a check.
struct Promise {
    check: &'static str,
    cooldown: Duration,
    limit: usize,
    window: Duration,
}

const fn promise(check: &'static str, cooldown: u64, limit: usize, window: u64) -> Promise {
    Promise {
        check,
        cooldown: Duration::from_secs(cooldown * 60),
        limit,
        window: Duration::from_secs(window * 60),
    }
}

const PROMISES: [Promise; 4] = [
    promise("ladder", 3, 5, 20),
    promise("slow", 5, 2, 30),
    promise("stuck", 4, 3, 20),
    promise("stale", 3, 4, 30),
];

/// Numbers that look random and come again with their seed (xorshift64*).
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % most
    }

    fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }

    /// How long nobody runs anything: mostly near what the guards wait for.
    fn gap(&mut self) -> Duration {
        let (from, to) = match self.below(20) {
            0..=3 => (1, 60),
            4..=12 => (60, 300),
            13..=18 => (300, 1_200),
            _ => (3_600, 18_000),
        };
        Duration::from_secs(from + self.below(to - from))
    }
}

/// How a run is to be killed.
#[derive(Clone, Debug)]
enum Kill {
    /// At so many boundaries passed, of all or of one kind.
    At(String),
    /// So long after it was started.
    After(Duration),
    Never,
}

/// An act, as it was left in the world.
#[derive(Clone, Copy, Debug)]
struct Act {
    rung: usize,
    at: Moment,
}

/// A root that is killed again and again, with all that was ever seen of it.
struct World {
    dir: Option<tempfile::TempDir>,
    /// What a failure names.
    label: String,
    now: Moment,
    /// From when to when each run was.
    runs: Vec<(Moment, Moment)>,
    acts: BTreeMap<&'static str, Vec<Act>>,
    attempts: BTreeMap<AttemptId, Attempt>,
    /// Attempts that a kill left without an outcome.
    interrupted: Vec<AttemptId>,
    /// Where each run was killed.
    killed: BTreeMap<String, u64>,
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
    fn new(label: String) -> World {
        let dir = tempfile::tempdir().expect("a temporary directory");
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

    fn at(&self, file: &str) -> PathBuf {
        let dir = self.dir.as_ref().expect("it is there until the end");
        dir.path().join(file)
    }

    fn put(&self, file: &str, text: &str) {
        fs::write(self.at(file), text).expect("a file");
    }

    /// What the watched system does by itself: it goes wrong again, or not.
    fn stir(&mut self, dice: &mut Dice) {
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

    fn homeostat(&self, kill: &Kill, args: &[&str]) -> (Output, Duration) {
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
    fn run(&mut self, kill: &Kill, wait: &str) -> Option<String> {
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

    /// What must hold after every run, killed or not.
    fn look(&mut self, was_locked: bool, killed: bool) {
        self.journals_are_readable();
        if killed {
            self.history_is_readable();
        }
        let own = self.at("state/homeostat");
        let Some(store) = store::snapshot(&own).expect("a store that can be read") else {
            assert!(killed, "{}: it ran and there is no store", self.label);
            return;
        };
        let saved = store.load().expect("a store that can be read");
        assert_eq!(saved.pause, None, "{}", self.label);
        self.take_in_attempts(&store, saved.next_attempt, killed);
        let budgets: BTreeMap<Name, Budget> = saved.budgets.into_iter().collect();
        for promise in &PROMISES {
            self.nothing_is_refunded(promise, budgets.get(promise.check));
            self.take_in_acts(promise.check);
            self.acts_are_paid_for(promise.check);
            self.acts_keep_their_distance(promise);
        }
        self.files_were_changed_by_acts(was_locked);
    }

    fn journals_are_readable(&self) {
        for journal in ["logs/checks.jsonl", "logs/checks.jsonl.1"] {
            let text = match fs::read_to_string(self.at(journal)) {
                Ok(text) => text,
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => panic!("{}: {journal}: {error}", self.label),
            };
            assert!(text.is_empty() || text.ends_with('\n'), "{}", self.label);
            for line in text.lines() {
                let line: Result<Value, _> = serde_json::from_str(line);
                assert!(line.is_ok_and(|line| line.is_object()), "{}", self.label);
            }
        }
    }

    fn history_is_readable(&self) {
        let (output, _) = self.homeostat(&Kill::Never, &["history", "--limit", "20"]);
        let entries: Result<Vec<Value>, _> = serde_json::from_slice(&output.stdout);
        assert!(
            output.status.success() && entries.is_ok(),
            "{}: {output:?}",
            self.label
        );
    }

    /// Reads what the store knows of every attempt that had not ended when it was last seen, and of the new ones.
    fn take_in_attempts(&mut self, store: &Store, next: AttemptId, killed: bool) {
        let label = &self.label;
        let newest = self.attempts.keys().next_back().copied().unwrap_or(0);
        assert!(next > newest, "{label}: a number is given again");
        for id in 1..next {
            let before = self.attempts.get(&id);
            if before.is_some_and(|it| !it.is_open()) {
                continue;
            }
            let Some(now) = store.attempt(id).expect("a store that can be read") else {
                panic!("{label}: attempt {id} is gone");
            };
            if let Some(before) = before {
                let same = (&before.check, before.begun, before.rung);
                assert_eq!(same, (&now.check, now.begun, now.rung), "{label}");
            }
            let unknown = matches!(
                now.phase,
                Phase::Intended | Phase::Acting | Phase::RollingBack
            );
            let known = self.interrupted.contains(&id);
            if known {
                let looked_at_again = matches!(
                    now.phase,
                    Phase::Interrupted { .. }
                        | Phase::Ended {
                            end: End::Verified | End::Interrupted,
                            ..
                        }
                );
                // Or the next start was killed before it wrote anything.
                assert!(looked_at_again || (unknown && killed), "{label}: {now:?}");
            } else if unknown {
                assert!(killed, "{label}: it ended in the middle of {now:?}");
                self.interrupted.push(id);
            }
            self.attempts.insert(id, now);
        }
    }

    /// Every attempt begun within the window is counted, and every one that did not help.
    fn nothing_is_refunded(&self, promise: &Promise, budget: Option<&Budget>) {
        let edge = self.now.minus(promise.window);
        let mut unverified = 0;
        for attempt in self.attempts_of(promise.check) {
            let label = &self.label;
            let budget = budget.unwrap_or_else(|| panic!("{label}: no budget for {attempt:?}"));
            assert!(
                attempt.begun <= edge || budget.begun.contains(&attempt.begun),
                "{label}: {budget:?} does not count {attempt:?}"
            );
            if let Phase::Ended { at, end } = attempt.phase {
                assert!(budget.rested >= Some(at), "{label}: {budget:?} {attempt:?}");
                unverified = match end {
                    End::Verified => 0,
                    _ => unverified + 1,
                };
            }
        }
        assert!(
            budget.is_none_or(|budget| budget.unverified >= unverified),
            "{}: {unverified} did not help: {budget:?}",
            self.label
        );
    }

    /// Those that may have done something, oldest first.
    fn attempts_of(&self, check: &str) -> impl Iterator<Item = &Attempt> {
        self.attempts
            .values()
            .filter(move |it| &*it.check == check && it.end() != Some(End::Withheld))
    }

    fn take_in_acts(&mut self, check: &'static str) {
        let mut acts: Vec<Act> = fs::read_dir(self.at("data/acts").join(check))
            .expect("a directory")
            .map(|entry| act(&entry.expect("an entry").path()))
            .collect();
        acts.sort_by_key(|act| act.at);
        self.acts.insert(check, acts);
    }

    /// Every act is the only one of an attempt whose intent was on the disk before, made by the run that intended it.
    fn acts_are_paid_for(&self, check: &str) {
        let label = &self.label;
        let mut acted = Vec::new();
        for act in &self.acts[check] {
            let attempt = self
                .attempts_of(check)
                .filter(|attempt| attempt.begun <= act.at)
                .last();
            let Some(attempt) = attempt else {
                panic!("{label}: {check}: {act:?} without an intent");
            };
            let run = self.run_of(act.at);
            assert!(
                attempt.rung == act.rung && run.0 <= attempt.begun,
                "{label}: {act:?} of the run {run:?} belongs to no intent of it: {attempt:?}"
            );
            assert!(
                !acted.contains(&attempt.id),
                "{label}: acted twice: {attempt:?}"
            );
            acted.push(attempt.id);
        }
    }

    fn run_of(&self, at: Moment) -> (Moment, Moment) {
        let run = self
            .runs
            .iter()
            .find(|(from, to)| (*from..=*to).contains(&at));
        *run.unwrap_or_else(|| panic!("{}: nobody ran at {at:?}", self.label))
    }

    fn acts_keep_their_distance(&self, promise: &Promise) {
        let acts = &self.acts[promise.check];
        for (earlier, later) in acts.iter().zip(acts.iter().skip(1)) {
            // A ladder ends after its last act, and the next begins a cooldown later.
            assert!(
                later.rung > 0 || later.at >= earlier.at.plus(promise.cooldown),
                "{}: {} within its cooldown: {earlier:?} {later:?}",
                self.label,
                promise.check
            );
        }
        for (earlier, later) in acts.iter().zip(acts.iter().skip(promise.limit)) {
            // It was intended in the same run, so not before that began.
            let intended = self.run_of(earlier.at).0;
            assert!(
                later.at >= intended.plus(promise.window),
                "{}: {} more often than its limit: {earlier:?} … {later:?}",
                self.label,
                promise.check
            );
        }
    }

    /// What became of the files was done by acts that left their trace first.
    fn files_were_changed_by_acts(&self, was_locked: bool) {
        let label = &self.label;
        let run = self.runs.last().expect("there was a run").0;
        if was_locked && !self.at("data/stuck.lock").exists() {
            let removed = self.acts["stuck"].iter().any(|act| act.at >= run);
            assert!(removed, "{label}: the lock went without an act");
        }
        let text = fs::read_to_string(self.at("data/settings.json")).expect("it is there");
        let settings: Value = serde_json::from_str(&text).expect("one of its versions, whole");
        let stamp = settings["stamp"].as_f64().expect("a number");
        let written = |act: &Act| act.at == Moment::from_seconds(stamp);
        assert!(
            stamp == 0.0 || self.acts["stale"].iter().any(written),
            "{label}: {text} was written by no act"
        );
    }
}

/// `…/RUNG-SECONDS`.
fn act(path: &Path) -> Act {
    let name = path.file_name().and_then(|name| name.to_str());
    let parts = name.and_then(|name| name.split_once('-'));
    let (rung, at) = parts.expect("a rung and an instant");
    Act {
        rung: rung.parse().expect("a rung"),
        at: Moment::from_seconds(at.parse().expect("seconds")),
    }
}

/// So many kills of one root. The `first` is its number among all kills: every other one is of a chosen boundary, in
/// turn; the rest fall where the dice say.
fn series(seed: u64, first: u64, kills: u64) -> World {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (first + 1));
    let mut world = World::new(String::new());
    let mut done = 0;
    while done < kills {
        let run = world.runs.len();
        let number = first + done;
        let kill = match number % 2 {
            _ if dice.one_in(8) => Kill::Never,
            0 => {
                let boundary = BOUNDARIES[(number / 2) as usize % BOUNDARIES.len()];
                let nth = 1 + dice.below(3) * dice.below(2) * dice.below(2);
                Kill::At(format!("{boundary}:{nth}"))
            }
            _ if dice.one_in(5) => Kill::After(Duration::from_micros(dice.below(120_000))),
            _ => Kill::At((1 + dice.below(30)).to_string()),
        };
        let wait = ["0s", "50ms", "200ms"][dice.below(3) as usize];
        world.label = format!("seed {seed}, kill {number}, run {run}, {kill:?}, wait {wait}");
        assert!(
            run < 200 + 20 * kills as usize,
            "{}: it is never reached",
            world.label
        );
        world.stir(&mut dice);
        done += u64::from(world.run(&kill, wait).is_some());
        world.now = world.now.plus(dice.gap());
    }
    for _ in 0..2 {
        world.label = format!("seed {seed}, after kill {}", first + done);
        world.run(&Kill::Never, "200ms");
        world.now = world.now.plus(Duration::from_secs(3_600));
    }
    for id in &world.interrupted {
        let attempt = &world.attempts[id];
        assert!(!attempt.is_open(), "{}: {attempt:?}", world.label);
    }
    world
}

fn number(variable: &str, otherwise: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text.parse().expect("a number"),
        Err(_) => otherwise,
    }
}

#[test]
fn whatever_kills_it_the_engine_goes_on_rightly() {
    let kills = number("HOMEOSTAT_KILLS", 60);
    let seed = number("HOMEOSTAT_SEED", 1);
    let watch = Stopwatch::new();
    let next = AtomicU64::new(0);
    let work = || {
        let mut worlds = Vec::new();
        loop {
            let first = next.fetch_add(SERIES, Ordering::Relaxed);
            if first >= kills {
                return worlds;
            }
            worlds.push(series(seed, first, SERIES.min(kills - first)));
        }
    };
    let worlds: Vec<World> = thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(work)).collect();
        let done = workers.into_iter().map(|worker| worker.join());
        done.flat_map(|worlds| worlds.expect("what it found is above"))
            .collect()
    });
    let mut killed: BTreeMap<&str, u64> = BTreeMap::new();
    let sum = |count: fn(&World) -> usize| worlds.iter().map(count).sum::<usize>();
    for (boundary, times) in worlds.iter().flat_map(|world| &world.killed) {
        *killed.entry(boundary).or_default() += times;
    }
    println!(
        "{} kills in {} runs of {} roots, {:.0?}: {} attempts, {} of them interrupted, {} acts",
        killed.values().sum::<u64>(),
        sum(|world| world.runs.len()),
        worlds.len(),
        watch.elapsed(),
        sum(|world| world.attempts.len()),
        sum(|world| world.interrupted.len()),
        sum(|world| world.acts.values().map(Vec::len).sum()),
    );
    for (boundary, times) in &killed {
        println!("{times:>5}  {boundary}");
    }
    let strange: Vec<_> = killed
        .keys()
        .filter(|it| **it != ANY_MOMENT && !BOUNDARIES.contains(it))
        .collect();
    assert!(
        strange.is_empty(),
        "boundaries that are not listed: {strange:?}"
    );
    // With fewer kills not each has its turn.
    if kills >= 2 * BOUNDARIES.len() as u64 {
        let missed: Vec<_> = BOUNDARIES
            .iter()
            .filter(|it| !killed.contains_key(**it))
            .collect();
        assert!(missed.is_empty(), "never killed at {missed:?}");
    }
}
