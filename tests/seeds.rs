//! What the fuzzer does (`tests/fuzz`), done with every seed, with every input that once found a fault, and for a while
//! with seeds changed at random. The fuzzer itself, which knows where in the code it has been, is run by hand: see
//! `tests/fuzz/README.md`.

mod common;
#[path = "fuzz/src/lib.rs"]
mod fuzz;

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Mutex,
    time::Duration,
};

use homeostat::{clock::Stopwatch, rules::explain};

/// For so many seconds each target is tried beyond its seeds. `HOMEOSTAT_FUZZ` sets another number.
const SECONDS: u64 = 2;
/// No input may take longer.
const SOON: Duration = Duration::from_secs(10);

/// Where in the world something is done one at a time: targets measure how long they take.
static ONE: Mutex<()> = Mutex::new(());

/// Numbers that only look random: a failure comes back.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % most.max(1) as u64) as usize
    }

    fn part<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let from = self.below(bytes.len() + 1);
        let most = (bytes.len() - from).min(1 << self.below(8));
        &bytes[from..from + self.below(most + 1)]
    }

    /// A seed with something from another one, something of its own twice, something less, or other bytes.
    fn change(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = seeds[self.below(seeds.len())].clone();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            match self.below(5) {
                0 => {
                    let other = self.below(seeds.len());
                    let part = self.part(&seeds[other]).to_vec();
                    bytes.splice(at..at, part);
                }
                1 => {
                    let part = self.part(&bytes).to_vec();
                    bytes.splice(at..at, part.repeat(1 + self.below(3)));
                }
                2 => {
                    let to = (at + (1 << self.below(8))).min(bytes.len());
                    bytes.drain(at..to);
                }
                3 => {
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte = self.below(256) as u8;
                    }
                }
                _ => {
                    let marks = b"{}[]()'\"$&*!|>-:#,.\n \0\\%@`?=<09e\xff";
                    bytes.insert(at, marks[self.below(marks.len())]);
                }
            }
        }
        bytes
    }
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fuzz/seeds")
        .join(target);
    let mut paths: Vec<_> = fs::read_dir(&dir)
        .expect("there are seeds")
        .map(|entry| entry.expect("listed").path())
        .collect();
    paths.sort();
    paths
        .iter()
        .map(|path| fs::read(path).expect("readable"))
        .collect()
}

fn try_all(target: &str, run: fn(&[u8]), more: impl IntoIterator<Item = Vec<u8>>) {
    let _one = ONE.lock();
    let mut seeds = seeds(target);
    seeds.extend(more);
    assert!(!seeds.is_empty());
    if let Some(dir) = std::env::var_os("HOMEOSTAT_SEEDS") {
        let dir = Path::new(&dir).join(target);
        fs::create_dir_all(&dir).expect("made");
        for (number, seed) in seeds.iter().enumerate() {
            fs::write(dir.join(format!("seed-{number:03}")), seed).expect("written");
        }
    }
    for seed in &seeds {
        once(target, run, seed);
    }
    let seconds = std::env::var("HOMEOSTAT_FUZZ");
    let seconds = seconds.ok().and_then(|text| text.parse().ok());
    let span = Duration::from_secs(seconds.unwrap_or(SECONDS));
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let (watch, mut tries) = (Stopwatch::new(), 0_u64);
    while watch.elapsed() < span {
        once(target, run, &dice.change(&seeds));
        tries += 1;
    }
    println!("{target}: {} seeds, {tries} tries", seeds.len());
}

/// A failure leaves its input behind, to be kept among the seeds.
fn once(target: &str, run: fn(&[u8]), bytes: &[u8]) {
    let watch = Stopwatch::new();
    let done = catch_unwind(AssertUnwindSafe(|| run(bytes)));
    if done.is_err() || watch.elapsed() > SOON {
        let path = std::env::temp_dir().join(format!("homeostat-{target}-found"));
        fs::write(&path, bytes).expect("written");
        panic!(
            "{target}: {} after {:?}; the input is {}:\n{}",
            if done.is_err() { "panicked" } else { "ended" },
            watch.elapsed(),
            path.display(),
            String::from_utf8_lossy(bytes)
        );
    }
}

/// All rules there are, right and wrong ones.
#[test]
fn loader() {
    let mut more = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in ["rules/critical.yaml", "rules/sre.yaml", "homeostat.yaml"] {
        more.push(fs::read(root.join(file)).expect("readable"));
    }
    more.extend(
        common::faults::faults()
            .into_iter()
            .map(|fault| fault.text.into_bytes()),
    );
    for one in explain::all() {
        for example in [one.bad, one.good] {
            more.push(common::faults::file_of(example).into_bytes());
        }
    }
    try_all("loader", fuzz::loader::run, more);
}

#[test]
fn expressions() {
    try_all("expressions", fuzz::expressions::run, []);
}

#[test]
fn jsonl_window() {
    try_all("jsonl_window", fuzz::jsonl_window::run, []);
}

#[test]
fn store_start() {
    try_all("store_start", fuzz::store_start::run, []);
}

#[test]
fn plugin() {
    try_all("plugin", fuzz::plugin::run, []);
}
