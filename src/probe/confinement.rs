//! Probes read below the root and nowhere else, whatever a path says or leads to, and nothing makes them wait or fills
//! the memory.

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use rustix::fs::{CWD, FileType, RenameFlags, mknodat, renameat_with};
use serde_json::{Value, json};

use super::{KINDS, Kind, testing::Bench};
use crate::clock::Stopwatch;

const SECRET: &str = "nobody may read this";

/// The kinds that read the file `${vars.path}`: a path that is known only when it is looked at.
fn file_kinds() -> Vec<(&'static Kind, Value)> {
    let file = "${vars.path}";
    let script = "rules/scripts/s.rhai";
    let rules = [
        ("file", json!({"file": file})),
        ("file", json!({"file": ["data/x.json", file]})),
        ("json", json!({"file": file})),
        ("jsonl", json!({"file": file})),
        ("code", json!({"file": file})),
        ("jsonl", json!({"file": file, "last": 1, "since": "1h"})),
        ("text", json!({"file": file, "patterns": {"all": "(?s).*"}})),
        (
            "text",
            json!({"file": file, "tail": 1, "patterns": {"all": ".*"}}),
        ),
        (
            "script",
            json!({"file": script, "args": {"path": file, "look": "text"}}),
        ),
        (
            "script",
            json!({"file": script, "args": {"path": file, "look": "json"}}),
        ),
        (
            "script",
            json!({"file": script, "args": {"path": file, "look": "jsonl"}}),
        ),
        (
            "script",
            json!({"file": script, "args": {"path": file, "look": "info"}}),
        ),
    ];
    let kind = |name: &str| KINDS.iter().copied().find(|kind| kind.name == name);
    rules
        .into_iter()
        .map(|(name, rule)| (kind(name).expect("a kind"), rule))
        .collect()
}

const SCRIPT: &str = r#"
    let seen = switch args.look {
        "text" => read_text(args.path),
        "json" => read_json(args.path),
        "jsonl" => read_jsonl(args.path),
        _ => file_info(args.path),
    };
    #{ seen: seen }
"#;

fn bench(path: &str) -> Bench {
    let bench = Bench::new().with_script("s", SCRIPT);
    bench.file("data/x.json", "{\"a\": 1}\n", 1.0);
    bench.with_vars(json!({"path": path}))
}

/// What a kind sees, or why it cannot look.
fn look(bench: &Bench, kind: &Kind, rule: Value) -> Result<String, String> {
    let probe = bench.build(kind, rule).expect("no mistakes");
    let look = probe.quick().expect("a kind that reads files");
    match look.look(&bench.eyes()) {
        Ok(facts) => Ok(facts.to_json().to_string()),
        Err(error) => Err(error.to_string()),
    }
}

fn tricks(root: &Path, outside: &Path) {
    let at = |name: &str| root.join("data").join(name);
    symlink(outside.join("secret"), at("link")).expect("a link");
    symlink(outside, at("out")).expect("a link");
    let up = format!(
        "../../{}/secret",
        outside.file_name().expect("a name").display()
    );
    symlink(up, at("up")).expect("a link");
    symlink("/proc/self/root", at("proc")).expect("a link");
    symlink("/dev/zero", at("zero")).expect("a link");
    symlink("loop", at("loop")).expect("a link");
    mknodat(CWD, at("fifo"), FileType::Fifo, 0o600.into(), 0).expect("a FIFO");
    symlink("fifo", at("tofifo")).expect("a link");
    std::os::unix::net::UnixListener::bind(at("socket")).expect("a socket");
    // only the superuser may make one
    let zero = rustix::fs::makedev(1, 5);
    let _ = mknodat(
        CWD,
        at("device"),
        FileType::CharacterDevice,
        0o600.into(),
        zero,
    );
}

#[test]
fn what_lies_outside_is_an_error_and_never_seen() {
    let outside = tempfile::tempdir().expect("a directory");
    fs::write(
        outside.path().join("secret"),
        format!("{{\"s\": \"{SECRET}\"}}\n"),
    )
    .expect("a file");
    let secret = outside.path().join("secret").display().to_string();
    let through = format!("data/proc{secret}");
    let by_proc = format!("/proc/self/root{secret}");
    for path in [
        &*secret,
        &through,
        &by_proc,
        "data/link",
        "data/out/secret",
        "data/up",
        "data/out/none",
        "data/proc/etc/hostname",
        "../secret",
        "data/../../secret",
        "data/../..",
        "/etc/hostname",
        "/proc/self/environ",
        "/proc/self/mem",
        "/proc/1/maps",
        "data/zero",
        "/dev/zero",
        "/dev/stdin",
        "/dev/tty",
        "data/fifo",
        "data/tofifo",
        "data/socket",
        "data/loop",
        "data",
        "data/",
        ".",
        "/",
        "",
        "data/x\0.json",
    ] {
        for (kind, rule) in file_kinds() {
            let bench = bench(path);
            tricks(bench.root(), outside.path());
            let shown = rule.to_string();
            match look(&bench, kind, rule) {
                Err(error) => assert!(!error.contains(SECRET), "{error}"),
                Ok(seen) => panic!("{path:?} by {} {shown}: {seen}", kind.name),
            }
        }
    }
    // a name that no file system takes is either not there or an error
    for path in ["n".repeat(300), "n/".repeat(5000)] {
        for (kind, rule) in file_kinds() {
            let seen = look(&bench(&path), kind, rule).unwrap_or_default();
            assert!(
                !seen.contains("\"missing\":false") || seen.contains("files"),
                "{seen}"
            );
        }
    }
}

#[test]
fn a_device_is_never_opened() {
    let outside = tempfile::tempdir().expect("a directory");
    for (kind, rule) in file_kinds() {
        let bench = bench("data/device");
        tricks(bench.root(), outside.path());
        let made = bench.root().join("data/device").exists();
        assert_eq!(
            look(&bench, kind, rule).is_err(),
            made,
            "a missing file is a fact"
        );
    }
}

#[test]
fn a_glob_finds_nothing_outside() {
    let outside = tempfile::tempdir().expect("a directory");
    fs::write(outside.path().join("secret"), SECRET).expect("a file");
    let (file, _) = file_kinds().swap_remove(0);
    for pattern in [
        "../*",
        "/etc/*",
        "data/../../*",
        "data/out/*",
        "data/proc/etc/*",
        "/proc/self/root/etc/*",
        "",
        "/",
        "data/",
        "data/[",
        "data/\0*",
    ] {
        let bench = bench(pattern);
        tricks(bench.root(), outside.path());
        assert!(
            look(&bench, file, json!({"glob": "${vars.path}"})).is_err(),
            "{pattern:?}"
        );
    }
    for pattern in ["data/*", "**/*", "**/secret", "data/*/secret", "*/out/**"] {
        let bench = bench(pattern);
        tricks(bench.root(), outside.path());
        let seen = look(&bench, file, json!({"glob": "${vars.path}"})).unwrap_or_default();
        for trick in [
            "secret", "hostname", "fifo", "socket", "zero", "link", "device",
        ] {
            assert!(!seen.contains(trick), "{pattern}: {seen}");
        }
    }
}

/// Ends the other thread, also when an assertion fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Looks at `data/sub/x.json` by every kind, again and again, while another thread exchanges two entries.
fn race(bench: &Bench, here: &str, there: &str) {
    const ENOUGH: u64 = 5000;
    let at = |name: &str| bench.root().join(name);
    let (stop, flips) = (AtomicBool::new(false), AtomicU64::new(0));
    let (mut good, mut refused) = (0, 0);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let _ = renameat_with(CWD, at(here), CWD, at(there), RenameFlags::EXCHANGE);
                flips.fetch_add(1, Ordering::Relaxed);
            }
        });
        let _stopped = Stop(&stop);
        let probes: Vec<_> = file_kinds()
            .into_iter()
            .map(|(kind, rule)| bench.build(kind, rule).expect("no mistakes"))
            .collect();
        let eyes = bench.eyes();
        for round in 0..20_000 {
            let seen = flips.load(Ordering::Relaxed);
            if round > 300 && seen > ENOUGH && good > 100 && refused > 100 {
                break;
            }
            for probe in &probes {
                match probe.quick().expect("it reads files").look(&eyes) {
                    Ok(facts) => {
                        let seen = facts.to_json().to_string();
                        assert!(!seen.contains(SECRET), "{seen}");
                        good += 1;
                    }
                    Err(error) => {
                        assert!(!error.to_string().contains(SECRET), "{error}");
                        refused += 1;
                    }
                }
            }
        }
    });
    let flips = flips.into_inner();
    assert!(
        flips > ENOUGH && good > 100 && refused > 100,
        "{flips} {good} {refused}"
    );
}

#[test]
fn what_is_swapped_while_it_is_read_leads_nowhere_and_holds_nobody() {
    let outside = tempfile::tempdir().expect("a directory");
    let body = format!("{{\"s\": \"{SECRET}\"}}\n");
    fs::write(outside.path().join("x.json"), body).expect("a file");
    let bench = bench("data/sub/x.json");
    let at = |name: &str| bench.root().join(name);
    fs::create_dir(at("data/sub")).expect("a directory");
    bench.file("data/sub/x.json", "{\"a\": 1}\n", 1.0);
    symlink(outside.path(), at("data/trap")).expect("a link");
    race(&bench, "data/sub", "data/trap");
    if at("data/sub").is_symlink() {
        fs::rename(at("data/sub"), at("data/link")).expect("a rename");
        fs::rename(at("data/trap"), at("data/sub")).expect("a rename");
    }
    symlink(outside.path().join("x.json"), at("data/file")).expect("a link");
    race(&bench, "data/sub/x.json", "data/file");
    // nobody ever writes to it: who opened it to read would wait for ever
    mknodat(CWD, at("data/fifo"), FileType::Fifo, 0o600.into(), 0).expect("a FIFO");
    if at("data/sub/x.json").is_symlink() {
        fs::rename(at("data/file"), at("data/sub/x.json")).expect("a rename");
    }
    race(&bench, "data/sub/x.json", "data/fifo");
}

#[test]
fn a_huge_file_costs_neither_time_nor_memory() {
    for (kind, rule) in file_kinds() {
        let bench = bench("data/huge.json");
        let huge = fs::File::create(bench.root().join("data/huge.json")).expect("a file");
        huge.set_len(1 << 30).expect("a sparse file");
        let watch = Stopwatch::new();
        let looks_only = kind.name == "file" || rule.to_string().contains("info");
        let shown = rule.to_string();
        assert_eq!(look(&bench, kind, rule).is_ok(), looks_only, "{shown}");
        let took = watch.elapsed();
        assert!(took < Duration::from_secs(10), "{shown}: {took:?}");
    }
}
