//! What the engine costs, reported and not asserted: `cargo bench --bench engine`.
//!
//! 1. a `check` of the critical rules over a 200 MB `uw_attribution.jsonl` and a 200 MB `run.jsonl` (aim 60 ms, 64 MB)
//! 2. 10,000 file checks every second: CPU per check, history included (aim under 3 µs)
//! 3. load and reload of 10,000 rules (aim 0.5 s), and of one changed file among them (aim 50 ms)

use std::{
    collections::BTreeMap,
    fs,
    io::{BufWriter, Write},
    path::Path,
    process::Command,
    sync::Arc,
    time::Duration,
};

use homeostat::{
    clock::{self, Stopwatch, SystemClock},
    engine::live::{self, Options},
    permission::{Permission, Settings},
    rules::load::{self, Cache},
    script::Engine,
};

fn main() {
    let only = std::env::args().nth(1).filter(|it| !it.starts_with("--"));
    let wanted = |name: &str| only.as_deref().is_none_or(|only| only == name);
    if wanted("big") {
        big_logs();
    }
    if wanted("many") {
        many_checks();
    }
    if wanted("load") {
        load_rules();
    }
}

/// User and system time of this process so far.
fn cpu() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit(')').next().unwrap_or_default();
    let field = |n: usize| {
        after
            .split_whitespace()
            .nth(n)
            .and_then(|it| it.parse::<u64>().ok())
    };
    let ticks = field(11).unwrap_or(0) + field(12).unwrap_or(0);
    Duration::from_millis(ticks * 10) // 100 ticks a second on Linux
}

fn write_log(path: &Path, line: &str, bytes: usize) {
    fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
    let mut file = BufWriter::new(fs::File::create(path).expect("a log"));
    for _ in 0..bytes / (line.len() + 1) {
        writeln!(file, "{line}").expect("room on the disk");
    }
}

fn big_logs() {
    let root = tempfile::tempdir().expect("a directory");
    let notes = "x".repeat(1_550);
    let signal = format!(
        r#"{{"ts":1767904955,"symbol":"XOM","score":3.1,"decision":"signal","source":"uw_v3","components":{{"flow":2.4}},"freshness":0.95,"notes":"{notes}"}}"#
    );
    let cycle = r#"{"ts":"2026-01-06T15:01:00Z","_ts":1767713460,"msg":"complete","clusters":3,"orders":2,"market_open":true,"metrics":{"a":1,"b":2}}"#;
    write_log(
        &root.path().join("data/uw_attribution.jsonl"),
        &signal,
        200 << 20,
    );
    write_log(&root.path().join("logs/run.jsonl"), cycle, 200 << 20);
    for file in ["data/uw_weights.json", "data/entry_thresholds.json"] {
        fs::copy(file, root.path().join(file)).expect("the shipped data");
    }
    let homeostat = env!("CARGO_BIN_EXE_homeostat");
    let checks = [
        "weights_file",
        "entry_thresholds",
        "freshness_killing_scores",
        "zero_trades",
    ];
    let mut walls = Vec::new();
    let mut peak = 0u64;
    for _ in 0..5 {
        let watch = Stopwatch::new();
        let child = Command::new(homeostat)
            .args(["--json", "--rules", "rules", "--root"])
            .arg(root.path())
            .args(["check", "--no-fix"])
            .args(checks)
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let pid = child.id();
        // The peak is read while the process is there; the last reading counts.
        let reader = std::thread::spawn(move || {
            let mut peak = 0;
            while let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) {
                let found = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
                match found.and_then(|it| it.trim().split(' ').next()?.parse::<u64>().ok()) {
                    Some(kib) => peak = kib.max(peak),
                    None => break,
                }
            }
            peak
        });
        let output = child.wait_with_output().expect("the binary ends");
        walls.push(watch.milliseconds());
        peak = peak.max(reader.join().unwrap_or(0));
        assert!(!output.stdout.is_empty(), "check answered nothing");
    }
    walls.sort_by(f64::total_cmp);
    println!(
        "check of 4 critical rules over 200 MB + 200 MB: {:.0} ms (median of 5), peak {:.1} MB; aim 60 ms, 64 MB",
        walls[2],
        peak as f64 / 1024.0
    );
}

fn rules_of(dir: &Path, files: usize, per_file: usize, every: &str) {
    fs::create_dir_all(dir).expect("a directory");
    for file in 0..files {
        let mut text = format!("defaults:\n  trigger: {{ every: {every} }}\nchecks:\n");
        for n in 0..per_file {
            let name = format!("file_{file}_{n}");
            text += &format!(
                "  - name: {name}\n    about: The file is fresh.\n    probe: {{ file: {{ file: data/{name}.txt }} }}\n    threshold:\n      critical: missing || age_s > 86400\n      warning: size > 1000000\n    message: '${{size}} bytes, ${{age_s.fixed(0)}} s old'\n"
            );
        }
        fs::write(dir.join(format!("f{file:04}.yaml")), text).expect("a rule file");
    }
}

fn many_checks() {
    const CHECKS: usize = 10_000;
    const SECONDS: u64 = 20;
    let root = tempfile::tempdir().expect("a directory");
    rules_of(&root.path().join("rules"), 100, CHECKS / 100, "1s");
    fs::create_dir_all(root.path().join("data")).expect("a directory");
    for file in 0..100 {
        for n in 0..CHECKS / 100 {
            fs::write(root.path().join(format!("data/file_{file}_{n}.txt")), "x").expect("a file");
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let live = live::start(Options {
            root: root.path().to_owned(),
            rules: root.path().join("rules"),
            set: BTreeMap::new(),
            watch: true,
env: BTreeMap::new(),
            clock: Arc::new(SystemClock),
        })
        .await
        .expect("it starts");
        clock::sleep(Duration::from_secs(3)).await;
        let looks = async || -> u64 {
            let status = live.handle.status().await.expect("it runs");
            status.checks.iter().map(|check| check.looks).sum()
        };
        let (before, began) = (looks().await, cpu());
        clock::sleep(Duration::from_secs(SECONDS)).await;
        let (after, spent) = (looks().await, cpu() - began);
        let done = after - before;
        let missed = live.handle.status().await.expect("it runs").missed_slots;
        println!(
            "{CHECKS} file checks a second for {SECONDS} s: {done} looks, {:.2} µs of CPU each, history included ({missed} slots missed); aim 3 µs",
            spent.as_secs_f64() * 1e6 / done as f64
        );
        live.handle.stop().await.expect("it stops");
        live.finished().await;
    });
}

fn load_rules() {
    let root = tempfile::tempdir().expect("a directory");
    let rules = root.path().join("rules");
    rules_of(&rules, 100, 100, "1m");
    let permission = Permission::new(root.path(), Settings::default()).expect("a root");
    let engine = Engine::new();
    let mut cache = Cache::default();
    let set = BTreeMap::new();
    let mut load = |what: &str, aim: &str| {
        let watch = Stopwatch::new();
        let loaded = load::load(&rules, &set, &permission, &engine, &mut cache);
        let took = watch.milliseconds();
        assert!(
            loaded.book.is_some(),
            "{} complaints",
            loaded.complaints.len()
        );
        println!("{what}: {took:.0} ms; aim {aim}");
    };
    load("load of 10,000 rules in 100 files", "500 ms");
    load("reload of 10,000 unchanged rules", "500 ms");
    let one = rules.join("f0050.yaml");
    let text = fs::read_to_string(&one).expect("a rule file");
    fs::write(&one, text.replace("86400", "43200")).expect("a rule file");
    load("reload with one changed file of 100", "50 ms");
}
