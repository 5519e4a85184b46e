//! `examples/side_by_side` as somebody runs it who has no terminal: the whole story, an early end, a slip.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::SystemTime,
};

use rustix::process::{Pid, Signal, kill_process};

/// `cargo test` builds examples; a single test does not, so one that is missing or older than its source is built here.
fn program() -> PathBuf {
    let this = std::env::current_exe().expect("this program");
    let built = this.parent().and_then(Path::parent);
    let program = built
        .expect("where it was built")
        .join("examples/side_by_side");
    if modified(&program) < newest(Path::new("examples")) {
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--example", "side_by_side"]);
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        assert!(build.status().expect("cargo").success());
    }
    program
}

fn modified(path: &Path) -> Option<SystemTime> {
    path.metadata().and_then(|it| it.modified()).ok()
}

/// When a source below a directory was written last.
fn newest(dir: &Path) -> Option<SystemTime> {
    let entries = fs::read_dir(dir).expect("a directory");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let times = paths.map(|path| match path.is_dir() {
        true => newest(&path),
        false if path.extension().is_some_and(|it| it == "rs") => modified(&path),
        false => None,
    });
    times.max().flatten()
}

/// The directory that is removed at the end, by the line that tells of it.
fn root(line: &str) -> Option<&Path> {
    let rest = line.strip_prefix("Both work in ")?;
    rest.split(',').next().map(Path::new)
}

#[test]
fn it_is_broken_and_repaired_and_trades_again() {
    let output = Command::new(program())
        .args(["--period", "100ms"])
        .stdin(Stdio::null())
        .output()
        .expect("the example");
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{errors}");
    assert_eq!(errors, "");
    let mut rest = &*said;
    for next in [
        "23 checks",
        " orders\n",
        "It is broken: entry thresholds of 3.5/3.8/4.2",
        " 0 orders\n",
        "Repairs are allowed again.",
        "homeostat | repair    entry_thresholds\n",
        "homeostat |     -  \"base\": 3.5,\n",
        "homeostat |     +  \"base\": 2.7,\n",
        " orders\n",
        "homeostat | verified  entry_thresholds: proven after ",
        "It trades again.",
        "  entry_thresholds                 1 tried, 1 verified, recovered in ",
        "Where to go on:",
    ] {
        let place = rest.find(next);
        let place = place.unwrap_or_else(|| panic!("no {next:?} where it belongs:\n{said}"));
        rest = &rest[place + next.len()..];
    }
    let root = said.lines().find_map(root).expect("a root");
    assert!(!root.exists(), "{}", root.display());
}

#[test]
fn ended_early_it_leaves_nothing_behind() {
    let mut child = Command::new(program())
        .args(["weights", "--period", "100ms"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the example");
    let out = BufReader::new(child.stdout.take().expect("its output"));
    let mut lines = out.lines().map_while(Result::ok);
    let line = lines.find(|line| root(line).is_some()).expect("a root");
    let root = root(&line).expect("a root");
    lines
        .find(|line| line.contains("checks"))
        .expect("an engine");
    let lock = root.join("state/homeostat/lock");
    assert!(lock.is_file(), "an engine runs on this root");
    kill_process(Pid::from_child(&child), Signal::INT).expect("it runs");
    let rest: Vec<String> = lines.collect();
    assert!(
        rest.iter().any(|line| line.starts_with("ended early")),
        "{rest:#?}"
    );
    assert!(child.wait().expect("its end").success());
    assert!(!root.exists(), "{}", root.display());
}

#[test]
fn what_cannot_be_shown_is_a_wrong_command_line() {
    let output = Command::new(program()).arg("daemon").output();
    let output = output.expect("the example");
    assert_eq!(output.status.code(), Some(64));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("there are weights, thresholds"), "{errors}");
}
