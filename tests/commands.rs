//! The commands as people and scripts meet them: what they print, what they return, and that they find a running
//! engine.

mod common;

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

use common::Root;
use serde_json::{Value, json};

const RULES: &str = r#"
checks:
  - name: weights_file
    about: The weights exist.
    trigger: { every: 1h, events: [ { file: data/w.json } ] }
    probe: { json: { file: data/w.json } }
    let:
      few: len < 1
    threshold:
      critical: exists && !valid
      warning: missing || few
    message:
      warning: 'Weights ${if missing { "missing" } else { "empty" }}'
      ok: '${len} weights'
    remediation:
      when: [warning, critical]
      steps:
        - restore_file: { file: data/w.json, from: rules/defaults/w.json }
      guard: { cooldown: 0s, limit: 9 per 1h }
  - name: lock
    about: Nobody holds the lock.
    trigger: { every: 1h }
    probe: { file: { file: data/cache.lock } }
    threshold: { critical: exists }
    message: 'exists is ${exists}'
investigations:
  - name: rca
    about: Looks at everything.
    trigger: { events: [ { event: rca } ] }
    cause: asked
    checks: [ weights_file, { check: lock, as: cache_lock } ]
    journal: state/rca.jsonl
"#;

/// How long anything may take.
const BOUND: Duration = Duration::from_secs(20);

fn root() -> Root {
    let root = Root::new();
    fs::create_dir_all(root.at("rules/defaults")).unwrap();
    fs::write(root.at("rules/a.yaml"), RULES).unwrap();
    fs::write(root.at("rules/defaults/w.json"), r#"{"a": 1, "b": 2}"#).unwrap();
    root
}

fn command(root: &Path, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_homeostat"));
    command
        .current_dir(root)
        .env_remove("HOMEOSTAT_LOG")
        .env("USER", "ann")
        .args(line.split(' ').filter(|word| !word.is_empty()));
    command
}

/// What a command printed, and its exit code.
struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Said {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }
}

fn say(root: &Root, line: &str) -> Said {
    let Output {
        status,
        stdout,
        stderr,
    } = command(root.path(), line).output().unwrap();
    Said {
        code: status.code().unwrap_or(-1),
        out: String::from_utf8(stdout).unwrap(),
        err: String::from_utf8(stderr).unwrap(),
    }
}

/// A running engine, ended when it is dropped.
struct Running {
    child: Child,
    lines: Receiver<Value>,
    ready: Value,
}

impl Running {
    fn start(root: &Root, line: &str) -> Running {
        let mut child = command(root.path(), line)
            .arg("--json")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (send, lines) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                let value = serde_json::from_str(&line).unwrap_or(Value::String(line));
                if send.send(value).is_err() {
                    return;
                }
            }
        });
        let ready = lines.recv_timeout(BOUND).expect("a first line");
        assert_eq!(ready["news"], "ready", "{ready}");
        Running {
            child,
            lines,
            ready,
        }
    }

    /// The next news of this kind.
    fn wait(&self, news: &str) -> Value {
        loop {
            let line = self.lines.recv_timeout(BOUND);
            let line = line.unwrap_or_else(|_| panic!("no news `{news}`"));
            if line["news"] == news {
                return line;
            }
        }
    }

    /// Asks it to end as an operator does. Gives its exit code and what it said on standard error.
    fn end(mut self) -> (i32, String) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.wait("stopped");
        let code = self.child.wait().unwrap().code().unwrap_or(-1);
        let mut err = String::new();
        let mut stderr = self.child.stderr.take().unwrap();
        stderr.read_to_string(&mut err).unwrap();
        (code, err)
    }

    fn http(&self, head: &str) -> (u16, Value) {
        let address = self.ready["listen"].as_str().unwrap();
        let mut stream = TcpStream::connect(address.trim_start_matches("http://")).unwrap();
        stream.set_read_timeout(Some(BOUND)).unwrap();
        write!(stream, "{head}\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let status = text.split(' ').nth(1).unwrap().parse().unwrap();
        let body = text.split_once("\r\n\r\n").unwrap().1;
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended
        let _ = self.child.wait(); // likewise
    }
}

/// Every file below a directory with its content.
fn contents(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                all.push((path.display().to_string(), Vec::new()));
                dirs.push(path);
            } else {
                all.push((path.display().to_string(), fs::read(&path).unwrap()));
            }
        }
    }
    all.sort();
    all
}

#[test]
fn a_wrong_command_line_is_no_critical() {
    let root = root();
    for line in [
        "",
        "nonsense",
        "check --wait soon",
        "undo x",
        "check --set a",
    ] {
        let said = say(&root, line);
        assert_eq!(said.code, 64, "{line}: {}", said.err);
        assert!(said.err.contains("error"), "{line}: {}", said.err);
    }
    let said = say(&root, "check --json --wait soon");
    assert_eq!(said.json()["exit"], 64);
    let said = say(&root, "check weight_file");
    assert_eq!(said.code, 64);
    assert!(
        said.err.contains("did you mean `weights_file`?"),
        "{}",
        said.err
    );
    assert_eq!(say(&root, "dry-run weight_file").code, 64);
    assert_eq!(say(&root, "investigate rac").code, 64);
    assert_eq!(say(&root, "--root nowhere status").code, 64);
    assert_eq!(say(&root, "--help").code, 0);
    assert_eq!(say(&root, "--version").out, "homeostat 0.1.0\n");
}

#[test]
fn a_dry_run_changes_nothing_and_a_check_does_what_it_said() {
    let root = root();
    let before = contents(root.path());
    let said = say(&root, "dry-run");
    assert_eq!(said.code, 1, "{}", said.err);
    assert!(said.out.contains("would be repaired"), "{}", said.out);
    assert!(said.out.contains("+{\"a\": 1, \"b\": 2}"), "{}", said.out);
    assert!(!said.out.contains('\u{1b}'), "no colours in a file");
    assert_eq!(contents(root.path()), before);

    let dry = say(&root, "--json dry-run").json();
    let live = say(&root, "check --json");
    assert_eq!(live.code, 0, "{}", live.err);
    let live = live.json();
    let of = |answer: &Value| {
        let checks = answer["checks"].as_array().unwrap();
        checks
            .iter()
            .find(|check| check["name"] == "weights_file")
            .unwrap()
            .clone()
    };
    let (would, did) = (of(&dry), of(&live));
    assert_eq!(would["remediation"]["decision"], "would");
    assert_eq!(did["remediation"]["decision"], "repaired");
    assert_eq!(did["remediation"]["verified"], true);
    assert_eq!(did["before"]["status"], "WARNING");
    assert_eq!(did["status"], "OK");
    assert_eq!(
        would["remediation"]["steps"][0]["diff"],
        did["remediation"]["steps"][0]["diff"]
    );
    for key in [
        "name",
        "status",
        "message",
        "skipped",
        "facts",
        "let",
        "error",
        "duration_ms",
        "before",
        "remediation",
    ] {
        assert!(did.get(key).is_some(), "the contract has `{key}`");
    }
    assert_eq!(live["overall"], "OK");
}

#[test]
fn the_exit_code_is_the_worst_status() {
    let root = root();
    fs::write(root.at("data/cache.lock"), "").unwrap();
    assert_eq!(say(&root, "check --no-fix weights_file").code, 1);
    assert!(!root.at("data/w.json").exists(), "it only looked");
    assert_eq!(say(&root, "check --no-fix").code, 2);
    assert_eq!(say(&root, "dry-run lock").code, 2);
    fs::remove_file(root.at("data/cache.lock")).unwrap();
    fs::create_dir(root.at("data/cache.lock")).unwrap();
    let said = say(&root, "check lock");
    assert_eq!(said.code, 3, "{}", said.out);
}

#[test]
fn what_was_done_can_be_seen_and_undone() {
    let root = root();
    assert!(say(&root, "history").out.contains("Nothing has happened."));
    assert_eq!(say(&root, "status").code, 69);
    assert_eq!(say(&root, "check").code, 0);
    let history = say(&root, "history weights_file --json --since 1h --limit 50").json();
    let attempt = history
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["what"] == "attempt")
        .unwrap();
    assert_eq!(attempt["phase"], "verified");
    assert!(attempt["steps"][0].get("undo").is_none());
    let ledger = say(&root, "ledger --json").json();
    assert_eq!(ledger[0]["verified"], 1);
    let status = say(&root, "status --json");
    assert_eq!(status.code, 69);
    assert_eq!(status.json()["running"], false);

    let undone = say(&root, "undo 1 --json");
    assert_eq!(undone.code, 0, "{}", undone.err);
    assert_eq!(undone.json()["undone"], true);
    assert!(!root.at("data/w.json").exists());
    let again = say(&root, "undo 1 --json");
    assert_eq!(again.code, 1, "{}", again.out);
    assert_eq!(say(&root, "undo 99").code, 1);
}

#[test]
fn the_kill_switch_works_without_an_engine() {
    let root = root();
    let said = say(&root, "pause --reason deploy");
    assert_eq!(said.code, 0, "{}", said.err);
    let file = fs::read_to_string(root.at("state/homeostat/PAUSE")).unwrap();
    assert_eq!(file, "deploy (paused by ann)\n");
    for line in ["dry-run --json weights_file", "check --json weights_file"] {
        let held = say(&root, line).json();
        assert_eq!(
            held["checks"][0]["remediation"]["held_by"], "pause",
            "{line}"
        );
    }
    assert_eq!(say(&root, "resume --json").json()["was_paused"], true);
    assert_eq!(say(&root, "resume --json").json()["was_paused"], false);
    assert!(!root.at("state/homeostat/PAUSE").exists());

    let until = say(&root, "pause --for 2h --json").json()["until"]
        .as_f64()
        .unwrap();
    assert!(until > 1.7e9);
    let held = say(&root, "check weights_file");
    assert!(held.out.contains("held by pause until"), "{}", held.out);
    assert_eq!(say(&root, "resume").code, 0);
    assert_eq!(say(&root, "check weights_file").code, 0);

    // The file was thrown by hand, seen by an engine, and removed while none was running.
    fs::write(root.at("state/homeostat/PAUSE"), "by hand\n").unwrap();
    say(&root, "check");
    fs::remove_file(root.at("state/homeostat/PAUSE")).unwrap();
    fs::remove_file(root.at("data/w.json")).unwrap();
    assert_eq!(say(&root, "check weights_file").code, 0);
}

#[test]
fn rules_are_linted_whole_by_file_and_apart() {
    let root = root();
    let said = say(&root, "lint");
    assert_eq!(
        (said.code, said.out.starts_with("no complaints")),
        (0, true),
        "{}",
        said.out
    );
    fs::write(
        root.at("rules/b.yaml"),
        "checks:\n  - name: b\n    thershold: 1\n",
    )
    .unwrap();
    let said = say(&root, "lint --json");
    assert_eq!(said.code, 1);
    let files = |said: &Said| -> Vec<String> {
        let complaints = said.json()["complaints"].as_array().unwrap().clone();
        complaints
            .iter()
            .map(|one| one["file"].as_str().unwrap().to_owned())
            .collect()
    };
    assert!(
        files(&said).iter().all(|file| file == "rules/b.yaml"),
        "{:?}",
        files(&said)
    );
    assert_eq!(say(&root, "lint rules/a.yaml").code, 0);
    assert_eq!(say(&root, "lint rules/b.yaml").code, 1);
    assert_eq!(say(&root, "lint rules").code, 1);

    fs::write(root.at("loose.yaml"), "checks: 5\n").unwrap();
    let said = say(&root, "lint loose.yaml --json");
    assert_eq!(said.code, 1);
    assert_eq!(files(&said), ["loose.yaml"]);
    assert_eq!(say(&root, "lint absent.yaml").code, 64);

    let said = say(&root, "lint --explain unknown-key");
    assert_eq!(said.code, 0);
    assert!(said.out.contains("right:"), "{}", said.out);
    assert_eq!(say(&root, "lint --explain unknown-kee").code, 64);
}

#[test]
fn wrong_rules_are_told_and_the_last_good_ones_are_used() {
    let root = root();
    fs::write(root.at("rules/a.yaml"), "checks: 5\n").unwrap();
    let said = say(&root, "check --json");
    assert_eq!(said.code, 70);
    assert!(!said.json()["complaints"].as_array().unwrap().is_empty());
    fs::write(root.at("rules/a.yaml"), RULES).unwrap();
    assert_eq!(say(&root, "check").code, 0);
    fs::write(root.at("rules/a.yaml"), "checks: 5\n").unwrap();
    let said = say(&root, "check");
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(
        said.err.contains("running the last good rules"),
        "{}",
        said.err
    );
    assert_eq!(
        say(&root, "dry-run").code,
        70,
        "a dry run is about what is on disk"
    );
}

#[test]
fn a_candidate_is_compared_with_the_present_rules() {
    let root = root();
    fs::create_dir_all(root.at("new/defaults")).unwrap();
    fs::write(root.at("new/defaults/w.json"), "{}").unwrap();
    let candidate = RULES
        .replace("missing || few", "few")
        .replace("name: lock", "name: other");
    let candidate = candidate.replace("check: lock", "check: other");
    fs::write(root.at("new/a.yaml"), candidate).unwrap();
    let answer = say(&root, "dry-run --rules new --json").json();
    let names: Vec<&str> = answer["compared"]["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pair| pair["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["lock", "other", "weights_file"]);
    assert_eq!(answer["compared"]["checks"][0]["candidate"], Value::Null);
    assert_eq!(answer["compared"]["checks"][1]["present"], Value::Null);
    assert!(answer["checks"].is_array(), "the contract's object");
    let same = say(&root, "dry-run --rules rules --json").json();
    assert_eq!(same.get("compared"), None);
    let said = say(&root, "dry-run --rules new");
    assert!(said.out.contains("Present rules"), "{}", said.out);
}

#[test]
fn vars_are_overridden_and_time_is_set() {
    let root = root();
    let rules = r#"
vars: { limit: 100 }
checks:
  - name: fresh
    about: The log is fresh.
    trigger: { every: 1m }
    probe: { file: { file: data/log } }
    threshold: { warning: age_s > vars.limit }
    message: '${age_s.fixed(0)} of ${vars.limit}'
"#;
    fs::write(root.at("rules/a.yaml"), rules).unwrap();
    fs::write(root.at("data/log"), "").unwrap();
    assert_eq!(say(&root, "dry-run").code, 0);
    assert_eq!(say(&root, "dry-run --set limit=-1").code, 1);
    assert_eq!(
        say(&root, "--set limit=5 dry-run --set limit=-1").code,
        1,
        "the last one wins"
    );
    assert_eq!(say(&root, "dry-run --at 2100-01-01T00:00:00Z").code, 1);
    assert_eq!(
        say(&root, "dry-run --at 2100-01-01T00:00:00Z --set limit=1e12").code,
        0
    );
    assert_eq!(say(&root, "dry-run --set lmit=3").code, 70);
}

#[test]
fn an_explanation_goes_down_to_the_facts() {
    let root = root();
    let said = say(&root, "explain weights_file");
    assert_eq!(said.code, 0, "{}", said.err);
    for part in [
        "warning  missing || few  = true",
        "missing = true",
        "few = true  len < 1",
        "a repair may start now",
    ] {
        assert!(said.out.contains(part), "`{part}` in:\n{}", said.out);
    }
    assert!(!root.at("state/homeostat").exists(), "nothing was written");
    assert_eq!(say(&root, "explain nothing").code, 64);
}

#[test]
fn the_schema_is_one_json_value_even_if_nobody_reads_it() {
    let root = root();
    let said = say(&root, "schema");
    assert!(said.json().get("$schema").is_some());
    assert!(
        say(&root, "schema --settings --json")
            .json()
            .get("$schema")
            .is_some()
    );
    let mut child = command(root.path(), "schema")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_running_engine_is_asked() {
    let root = root();
    fs::write(root.at("data/w.json"), r#"{"a": 1}"#).unwrap();
    let engine = Running::start(&root, "run --listen 127.0.0.1:0");
    assert_eq!(engine.ready["checks"], 2);
    assert_eq!(engine.ready["socket"], "state/homeostat/api.sock");
    assert_eq!(say(&root, "run").code, 69, "one engine a root");

    assert_eq!(say(&root, "check").code, 0);
    fs::remove_file(root.at("data/w.json")).unwrap();
    let ended = engine.wait("ended");
    assert_eq!(ended["attempt"]["end"], "verified");
    assert!(ended["attempt"]["steps"][0].get("undo").is_none());

    let status = say(&root, "status --json");
    assert_eq!(status.code, 0, "{}", status.err);
    assert_eq!(status.json()["running"], true);
    assert_eq!(say(&root, "dry-run").code, 0);
    assert_eq!(say(&root, "check nothing").code, 64);
    assert_eq!(say(&root, "check --rules rules").code, 0);
    let explained = say(&root, "explain weights_file --json").json();
    assert_eq!(explained["verdict"]["status"], "OK");
    assert_eq!(explained["thresholds"][0]["value"], false);
    let record = say(&root, "investigate rca --json").json();
    assert_eq!(record["checks"][1]["check_name"], "cache_lock");
    assert!(say(&root, "ledger").out.contains("restore_file"));
    assert!(say(&root, "history --limit 3").out.contains("weights_file"));

    assert_eq!(say(&root, "pause --for 1h --reason deploy").code, 0);
    assert_eq!(engine.wait("paused")["reason"], "deploy");
    fs::remove_file(root.at("data/w.json")).unwrap();
    assert_eq!(engine.wait("held")["by"], "pause");
    assert!(say(&root, "status").out.contains("PAUSED"));
    assert_eq!(say(&root, "resume --json").json()["was_paused"], true);
    say(&root, "check weights_file");
    assert_eq!(engine.wait("ended")["attempt"]["end"], "verified");

    let added = RULES.replace("investigations:", "  - name: third\n    about: More.\n    trigger: { every: 1h }\n    probe: { file: { file: data/x } }\n    threshold: { warning: exists }\n    message: x\ninvestigations:");
    fs::write(root.at("rules/a.yaml"), added).unwrap();
    let reloaded = say(&root, "reload --json");
    assert_eq!(reloaded.code, 0, "{} {}", reloaded.out, reloaded.err);
    assert_eq!(reloaded.json()["live"], true);
    assert_eq!(engine.wait("reloaded")["changes"], "+1 ~0 -0 checks");
    fs::write(root.at("rules/a.yaml"), "checks: 5\n").unwrap();
    assert_eq!(say(&root, "reload").code, 1);
    assert_eq!(
        engine.wait("refused")["complaints"][0]["file"],
        "rules/a.yaml"
    );
    let said = say(&root, "check --rules rules --set a=1");
    assert_eq!(said.code, 70, "what is on disk is wrong: {}", said.err);

    let (code, err) = engine.end();
    assert_eq!(code, 0, "{err}");
    assert!(!root.at("state/homeostat/api.sock").exists());
    assert_eq!(say(&root, "reload").code, 69);
}

#[test]
fn loopback_reads_and_changes_nothing_without_a_token() {
    let root = root();
    let engine = Running::start(&root, "run --listen localhost:0");
    let get = |path: &str| engine.http(&format!("GET {path} HTTP/1.1\r\nHost: localhost"));
    assert_eq!(get("/healthz").0, 200);
    assert_eq!(get("/api/status").0, 200);
    assert_eq!(get("/api/history?limit=5&since=1h").0, 200);
    assert_eq!(get("/api/history?limt=5").0, 400);
    assert_eq!(get("/api/history?since=yesterday").0, 400);
    assert_eq!(get("/api/ledger").0, 200);
    assert_eq!(get("/api/explain/lock").0, 200);
    let (status, body) = get("/api/explain/lok");
    assert_eq!(
        (status, &body["error"]),
        (404, &json!("there is no check `lok`: did you mean `lock`?"))
    );
    assert_eq!(get("/nothing").0, 404);
    fs::write(
        root.at("state/sre_metrics.json"),
        r#"{"auto_fix_count": 3}"#,
    )
    .unwrap();
    let (status, health) = get("/api/sre/health");
    assert_eq!(status, 200);
    assert_eq!(health["sre_metrics"]["auto_fix_count"], 3);
    assert_eq!(health["checks"].as_array().unwrap().len(), 2);
    let post = |path: &str, more: &str| {
        engine.http(&format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0{more}"
        ))
    };
    for path in ["/api/check", "/api/pause", "/api/sre/health"] {
        let (status, body) = post(path, "");
        assert_eq!(status, 401, "{path}: {body}");
    }
    assert_eq!(post("/nothing", "").0, 404);
    let token = fs::read_to_string(root.at("state/homeostat/token")).unwrap();
    let mode = fs::metadata(root.at("state/homeostat/token")).unwrap();
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);
    let bearer = format!("\r\nAuthorization: Bearer {}", token.trim());
    let (status, body) = post("/api/pause", &bearer);
    assert_eq!((status, &body["by"]), (200, &json!("owner")));
    let foreign = format!("{bearer}\r\nOrigin: http://evil.example");
    assert_eq!(post("/api/resume", &foreign).0, 403);
    for host in ["evil.example", "localhost.evil.example", "10.0.0.1"] {
        let (status, _) = engine.http(&format!("GET /api/status HTTP/1.1\r\nHost: {host}"));
        assert_eq!(status, 421, "{host}");
    }
    let (code, err) = engine.end();
    assert_eq!(code, 0, "{err}");
}

#[test]
fn a_taken_port_is_a_warning_unless_it_was_asked_for() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let root = root();
    fs::write(root.at("homeostat.yaml"), format!("listen: {address}\n")).unwrap();
    let engine = Running::start(&root, "run");
    assert_eq!(engine.ready["listen"], Value::Null);
    assert_eq!(say(&root, "status").code, 0, "the socket is there");
    let (code, err) = engine.end();
    assert_eq!(code, 0);
    assert!(err.contains("could not listen on"), "{err}");
    assert_eq!(say(&root, &format!("run --listen {address}")).code, 69);
    assert_eq!(say(&root, "run --listen 0.0.0.0:8484").code, 64);
    assert_eq!(say(&root, "run --listen nonsense").code, 64);
}

#[test]
fn rule_tests_are_run_and_a_failing_one_is_told() {
    let root = root();
    assert_eq!(say(&root, "test").code, 0, "none at all");
    let tests = r#"
tests:
  - name: a missing file is restored
    checks: [weights_file]
    expect:
      weights_file: { status: ok, before: warning }
  - name: a wrong one
    checks: [lock]
    expect:
      lock: critical
"#;
    fs::write(root.at("rules/t.yaml"), tests).unwrap();
    let said = say(&root, "test --json");
    assert_eq!(said.code, 1, "{}{}", said.out, said.err);
    let value = said.json();
    assert_eq!(
        (&value["passed"], &value["failed"]),
        (&json!(1), &json!(1)),
        "{value}"
    );
    assert!(say(&root, "test").out.contains("FAIL  a wrong one"));
    assert_eq!(say(&root, "test rules/a.yaml").code, 0, "it has none");
    assert_eq!(say(&root, "test rules/t.yaml").code, 1);
    assert_eq!(say(&root, "test absent.yaml").code, 64);
}

const ASKING: &str = r#"
notifiers:
  ops: { journal: logs/pages.jsonl }
checks:
  - name: weights_file
    about: The weights exist.
    trigger: { every: 1h, events: [ { file: data/w.json } ] }
    probe: { json: { file: data/w.json } }
    threshold: { critical: missing }
    message: '${len} weights'
    remediation:
      steps: [ { restore_file: { file: data/w.json, from: rules/defaults/w.json } } ]
      guard: { cooldown: 0s, limit: 9 per 1h }
      approve: true
      escalate: [ops]
  - name: backup
    about: The backup says that it ran.
    trigger: { every: 1h }
    probe: { heartbeat: { name: nightly } }
    threshold: { critical: missing || payload.files == 0 }
    message: 'heard is ${exists}'
"#;

fn asking() -> Root {
    let root = root();
    fs::write(root.at("rules/a.yaml"), ASKING).unwrap();
    root
}

fn pages(root: &Root) -> Vec<(Value, Value)> {
    let lines = root.lines("logs/pages.jsonl");
    let page = |line: &Value| (line["kind"].clone(), line["name"].clone());
    lines.iter().map(page).collect()
}

#[test]
fn a_repair_waits_for_a_person_and_is_done_as_it_was_shown() {
    let root = asking();
    let said = say(&root, "check weights_file --json");
    assert_eq!(said.code, 2, "{}", said.err);
    let check = &said.json()["checks"][0];
    let repair = &check["remediation"];
    assert_eq!(repair["decision"], "held");
    assert_eq!(repair["held_by"], "approval");
    assert_eq!(repair["held_why"], "`homeostat approve 1`");
    assert_eq!(repair["steps"][0]["outcome"], "would");
    let shown = repair["steps"][0]["diff"].clone();
    assert!(!root.at("data/w.json").exists());
    assert_eq!(pages(&root), [(json!("proposed"), json!("weights_file"))]);
    // A dry run sees the same proposal and makes none.
    let dry = say(&root, "dry-run weights_file --json").json();
    assert_eq!(dry["checks"][0]["remediation"]["held_by"], "approval");
    let listed = say(&root, "approve");
    assert!(listed.out.contains("homeostat approve 1"), "{}", listed.out);
    assert!(listed.out.contains("restore_file"), "{}", listed.out);
    let wrong = say(&root, "approve 7");
    assert_eq!(wrong.code, 1);
    assert!(
        wrong.err.contains("nothing of the number 7"),
        "{}",
        wrong.err
    );

    assert_eq!(say(&root, "deny 1 --reason later").code, 0);
    assert_eq!(say(&root, "approve").out, "nothing waits to be approved\n");
    assert_eq!(say(&root, "check weights_file").code, 2, "proposed anew");
    let approved = say(&root, "approve 2 --json").json();
    assert_eq!(approved["check"], "weights_file");
    let repair = approved["done"]["checks"][0]["remediation"].clone();
    assert_eq!(repair["decision"], "repaired");
    assert_eq!(repair["verified"], true);
    assert_eq!(repair["steps"][0]["diff"], shown, "as it was shown");
    let history = say(&root, "history weights_file").out;
    for word in [
        "proposed",
        "denied by ann: later",
        "approved by ann",
        "verified",
    ] {
        assert!(history.contains(word), "{word}: {history}");
    }
}

#[test]
fn a_running_engine_is_silenced_and_does_what_a_person_approves() {
    let root = asking();
    fs::write(root.at("data/w.json"), r#"{"a": 1}"#).unwrap();
    let running = Running::start(&root, "run --listen none");
    let wrong = say(&root, "silence weight_file --for 1h");
    assert_eq!(wrong.code, 64);
    assert!(
        wrong.err.contains("did you mean `weights_file`?"),
        "{}",
        wrong.err
    );
    assert_eq!(say(&root, "silence weights_file").code, 64, "for how long?");
    assert_eq!(say(&root, "silence --for 1h").code, 64, "which?");
    let silence = say(
        &root,
        "silence weights_file --for 1h --reason moving --json",
    )
    .json();
    assert_eq!(silence["by"], "ann");
    fs::remove_file(root.at("data/w.json")).unwrap();
    let held = running.wait("held");
    assert_eq!(held["by"], "silence");
    assert_eq!(held["why"], "silence 1 by ann: moving");
    assert!(held["until"].is_f64());
    let status = say(&root, "status").out;
    assert!(status.contains("silence 1: weights_file until"), "{status}");
    assert_eq!(pages(&root), [], "nobody is told");
    assert_eq!(say(&root, "silence --end 1").code, 0);
    let proposed = running.wait("note");
    assert!(
        proposed["text"]
            .as_str()
            .unwrap()
            .contains("homeostat approve 1")
    );
    assert_eq!(say(&root, "approve 1").code, 0);
    let ended = running.wait("ended");
    assert_eq!(ended["attempt"]["end"], "verified");
    assert!(root.at("data/w.json").exists());
    assert_eq!(say(&root, "silence").out, "nothing is silenced\n");
    assert_eq!(running.end().0, 0);
}

fn push(root: &Root, name: &str, payload: &str) -> u16 {
    let mut stream =
        std::os::unix::net::UnixStream::connect(root.at("state/homeostat/api.sock")).unwrap();
    stream.set_read_timeout(Some(BOUND)).unwrap();
    write!(
        stream,
        "POST /api/heartbeat/{name} HTTP/1.1\r\nHost: homeostat\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{payload}",
        payload.len()
    )
    .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text.split(' ').nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_heartbeat_is_heard_and_remembered_over_a_restart() {
    let root = asking();
    let running = Running::start(&root, "run --listen none");
    assert_eq!(say(&root, "check backup").code, 2, "never heard");
    assert_eq!(push(&root, "nightli", ""), 404, "no rule waits for it");
    assert_eq!(push(&root, "nightly", "{"), 400);
    assert_eq!(push(&root, "nightly", &"1".repeat(65_537)), 413);
    assert_eq!(say(&root, "check backup").code, 2);
    assert_eq!(push(&root, "nightly", r#"{"files": 3}"#), 200);
    let heard = say(&root, "check backup --json");
    assert_eq!(heard.code, 0, "{}", heard.out);
    assert_eq!(
        heard.json()["checks"][0]["facts"]["payload"],
        json!({"files": 3})
    );
    assert_eq!(running.end().0, 0);
    assert_eq!(say(&root, "check backup").code, 0, "also without an engine");
    assert_eq!(say(&root, "dry-run backup").code, 0);
    let running = Running::start(&root, "run --listen none");
    assert_eq!(say(&root, "check backup").code, 0);
    assert_eq!(running.end().0, 0);
}

#[test]
fn a_check_is_paused_by_name_with_and_without_an_engine() {
    let root = root();
    let said = say(&root, "pause weights_file --reason moving --json");
    assert_eq!(said.code, 0, "{}", said.err);
    assert_eq!(said.json()["checks"], json!(["weights_file"]));
    assert_eq!(say(&root, "pause wieghts_file").code, 64);
    assert!(!root.at("state/homeostat/PAUSE").exists());
    let held = say(&root, "check --json weights_file").json();
    assert_eq!(held["checks"][0]["remediation"]["held_by"], "pause");
    assert_eq!(say(&root, "resume --json").json()["was_paused"], false);
    let status = say(&root, "status").out;
    assert!(status.contains("paused (by ann: moving)"), "{status}");

    let engine = Running::start(&root, "run --listen none");
    let held = say(&root, "check --json weights_file").json();
    assert_eq!(held["checks"][0]["remediation"]["held_by"], "pause");
    let resumed = say(&root, "resume weights_file lock --json").json();
    assert_eq!(resumed["checks"], json!(["weights_file"]));
    assert_eq!(engine.wait("ended")["attempt"]["end"], "verified");

    assert_eq!(say(&root, "pause weights_file --for 1h").code, 0);
    let paused = engine.wait("paused");
    assert_eq!(paused["checks"], json!(["weights_file"]));
    fs::remove_file(root.at("data/w.json")).unwrap();
    assert_eq!(engine.wait("held")["by"], "pause");
    let still = say(&root, "status --json").json();
    assert_eq!(still["paused"], Value::Null);
    let (code, err) = engine.end();
    assert_eq!(code, 0, "{err}");
    assert!(!root.at("data/w.json").exists());
}

#[test]
fn status_is_chosen_and_watched() {
    let root = root();
    fs::write(root.at("data/w.json"), r#"{"a": 1}"#).unwrap();
    fs::write(root.at("data/cache.lock"), "").unwrap();
    let engine = Running::start(&root, "run --listen none");
    say(&root, "check");
    let names = |line: &str| -> Vec<String> {
        let said = say(&root, line);
        assert_eq!(said.code, 0, "{}", said.err);
        let checks = said.json()["checks"].as_array().unwrap().clone();
        let name = |check: &Value| check["name"].as_str().unwrap().to_owned();
        checks.iter().map(name).collect()
    };
    assert_eq!(names("status --json"), ["lock", "weights_file"]);
    assert_eq!(names("status --json --bad"), ["lock"]);
    assert_eq!(names("status --json weights_file"), ["weights_file"]);
    assert_eq!(say(&root, "status loc").code, 64);

    let mut child = command(root.path(), "status --watch=200ms --json")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (send, lines) = channel();
    let out = BufReader::new(child.stdout.take().unwrap());
    std::thread::spawn(move || {
        for line in out.lines().map_while(Result::ok) {
            let _ = send.send(line); // the test has ended
        }
    });
    let next = || -> Value { serde_json::from_str(&lines.recv_timeout(BOUND).unwrap()).unwrap() };
    assert_eq!(next()["overall"], "CRITICAL");
    fs::remove_file(root.at("data/cache.lock")).unwrap();
    say(&root, "check lock");
    loop {
        let line = next();
        if line["overall"] == "OK" {
            break;
        }
    }
    let pid = rustix::process::Pid::from_child(&engine.child);
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    loop {
        if next()["error"] == "the engine gives no answer" {
            break;
        }
    }
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
    engine.end();
    loop {
        if next()["running"] == false {
            break;
        }
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_heartbeat_goes_out_while_the_engine_works() {
    let root = root();
    fs::write(
        root.at("homeostat.yaml"),
        "heartbeat: { file: state/alive.json, every: 1s }\n",
    )
    .unwrap();
    let engine = Running::start(&root, "run --listen 127.0.0.1:0");
    let file = root.at("state/alive.json");
    let watch = homeostat::clock::Stopwatch::new();
    while !file.exists() {
        assert!(watch.elapsed() < BOUND, "no heartbeat");
        std::thread::yield_now();
    }
    let health = engine.http("GET /healthz HTTP/1.1\r\nHost: localhost");
    assert_eq!((health.0, &health.1["alive"]), (200, &json!(true)));
    assert_eq!(health.1["heartbeat"]["error"], Value::Null);
    engine.end();

    fs::write(
        root.at("homeostat.yaml"),
        "heartbeat: { url_env: NO_SUCH }\n",
    )
    .unwrap();
    let said = say(&root, "run --listen none");
    assert_eq!(said.code, 70);
    assert!(said.err.contains("NO_SUCH is not set"), "{}", said.err);
}

#[test]
fn shells_are_told_how_to_complete() {
    let root = root();
    let said = say(&root, "completions bash");
    assert_eq!(said.code, 0);
    assert!(said.out.contains("investigate") && said.out.contains("--no-fix"));
    assert_eq!(say(&root, "completions cmd").code, 64);
}
