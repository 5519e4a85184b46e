//! People are told: the program as it runs, with receivers that are there, down, or slow, across kills and restarts.

mod common;

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use common::Root;
use serde_json::{Value, json};

/// How long anything may take.
const BOUND: Duration = Duration::from_secs(60);
const SECRET: &str = "hook-of-ops-hunter2";

fn until(what: &str, mut look: impl FnMut() -> bool) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(common::until(BOUND, what, async || look().then_some(())));
}

/// Two locks that should not be there; whoever is told is said by `notifiers`.
fn rules(notifiers: &str) -> String {
    let check = |name: &str| {
        format!(
            "  - name: {name}\n    about: Nobody holds it.\n    trigger: {{ every: 1s, splay: false }}\n    \
             probe: {{ file: {{ file: data/{name} }} }}\n    threshold: {{ critical: exists }}\n    message: '{name} is held'\n    \
             notify: [ops]\n"
        )
    };
    format!(
        "notifiers:\n{notifiers}checks:\n{}{}",
        check("one"),
        check("two")
    )
}

fn root(notifiers: &str) -> Root {
    let root = Root::new();
    root.put("rules/a.yaml", &rules(notifiers));
    root.put("homeostat.yaml", "env: [HOOK]\n");
    root
}

fn command(root: &Root, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_homeostat"));
    command
        .current_dir(root.path())
        .env_remove("HOMEOSTAT_LOG")
        .env("USER", "ann")
        .env("HOOK", SECRET)
        .args(line.split(' '));
    command
}

fn say(root: &Root, line: &str) -> (i32, String) {
    let said = command(root, line).output().expect("it runs");
    let out = String::from_utf8(said.stdout).expect("text");
    let err = String::from_utf8(said.stderr).expect("text");
    assert!(!out.contains(SECRET) && !err.contains(SECRET), "{out}{err}");
    (said.status.code().unwrap_or(-1), out)
}

fn json_of(root: &Root, line: &str) -> Value {
    let (code, out) = say(root, &format!("{line} --json"));
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{line}: {code}: {error}: {out}"))
}

/// A running engine, killed when it is dropped.
struct Engine(Child);

impl Engine {
    fn start(root: &Root) -> Engine {
        let child = command(root, "run --listen none --json")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let engine = Engine(child);
        let socket = root.at("state/homeostat/api.sock");
        until("it answers", || {
            socket.exists() && say(root, "status --json").0 < 4
        });
        engine
    }

    /// As a power cut, but for the disk.
    fn kill(mut self) {
        self.0.kill().expect("it is killed");
        self.0.wait().expect("it is gone");
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.0.kill(); // it may be gone already
        let _ = self.0.wait();
    }
}

/// A receiver of webhooks, which takes everything.
struct Receiver {
    port: u16,
    heard: Arc<Mutex<Vec<Value>>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Receiver {
    fn start(port: u16) -> Receiver {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the port is free");
        let port = listener.local_addr().expect("an address").port();
        let (heard, ended) = (
            Arc::<Mutex<Vec<Value>>>::default(),
            Arc::<AtomicBool>::default(),
        );
        let (hears, ends) = (heard.clone(), ended.clone());
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ends.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(mut stream) = stream else { continue };
                let mut request = Vec::new();
                let mut chunk = [0; 4096];
                let body = loop {
                    let text = String::from_utf8_lossy(&request).into_owned();
                    if let Some((_, body)) = text.split_once("\r\n\r\n")
                        && let Ok(body) = serde_json::from_str::<Value>(body)
                    {
                        break Some(body);
                    }
                    match stream.read(&mut chunk) {
                        Ok(0) | Err(_) => break None,
                        Ok(count) => request.extend_from_slice(&chunk[..count]),
                    }
                };
                let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
                hears.lock().expect("no panic").extend(body);
            }
        });
        Receiver {
            port,
            heard,
            ended,
            thread: Some(thread),
        }
    }

    /// Each notice once, in the order in which it was heard first, as `opened one`.
    fn heard(&self) -> Vec<String> {
        let mut keys = Vec::new();
        let mut told = Vec::new();
        for notice in self.heard.lock().expect("no panic").iter() {
            if !keys.contains(&notice["key"]) {
                keys.push(notice["key"].clone());
                let word = |key: &str| notice[key].as_str().unwrap_or("-").to_owned();
                told.push(format!("{} {}", word("kind"), word("check")));
            }
        }
        told
    }

    fn hears(&self, wanted: &[&str]) {
        until(
            &format!("{wanted:?} is heard, not {:?}", self.heard()),
            || self.heard().len() >= wanted.len(),
        );
        assert_eq!(self.heard(), wanted);
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        let _ = std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)); // to wake it
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A port on which nobody listens.
fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.local_addr().expect("an address").port()
}

fn hook(port: u16, more: &str) -> String {
    format!(
        "  ops: {{ webhook: {{ url: 'http://127.0.0.1:{port}/${{env(\"HOOK\")}}' }}, after: 0s{more} }}\n"
    )
}

/// (kind, state) of what was or is to be told, oldest first.
fn notices(root: &Root) -> Vec<(String, String)> {
    let answer = json_of(root, "notify");
    let recent = answer["recent"].as_array().expect("a list").iter().rev();
    let word = |notice: &Value, key: &str| notice[key].as_str().expect("a word").to_owned();
    recent
        .map(|it| (word(it, "kind"), word(it, "state")))
        .collect()
}

fn pair(kind: &str, state: &str) -> (String, String) {
    (kind.to_owned(), state.to_owned())
}

#[test]
fn a_receiver_that_is_down_gets_every_notice_once_it_is_back_across_kills() {
    let port = free_port();
    let root = root(&hook(port, ""));
    let engine = Engine::start(&root);
    root.put("data/one", "");
    until("it is tried", || {
        let answer = json_of(&root, "notify");
        answer["recent"][0]["tries"].as_u64() >= Some(1)
    });
    assert_eq!(notices(&root), [pair("opened", "waiting")]);
    engine.kill();

    let engine = Engine::start(&root);
    std::fs::remove_file(root.at("data/one")).expect("it is there");
    root.put("data/two", "");
    until("all of it waits", || notices(&root).len() == 3);
    engine.kill();

    let receiver = Receiver::start(port);
    let engine = Engine::start(&root);
    until("all of it arrives", || receiver.heard().len() >= 3);
    let heard = receiver.heard();
    let at = |wanted: &str| heard.iter().position(|it| it == wanted);
    assert!(
        at("opened one").is_some() && at("opened one") < at("resolved one"),
        "{heard:?}"
    );
    assert!(at("opened two").is_some(), "{heard:?}");
    until("it is known to have arrived", || {
        notices(&root).iter().all(|(_, state)| state == "sent")
    });
    // Nothing is said twice: not by this engine, nor by the next.
    drop(engine);
    let _engine = Engine::start(&root);
    std::fs::remove_file(root.at("data/two")).expect("it is there");
    until("the end of it", || receiver.heard().len() == 4);
    let all = receiver.heard.lock().expect("no panic").len();
    assert_eq!(all, 4, "each once");
    let incidents = json_of(&root, "notify")["recent"][0]["title"].clone();
    assert_eq!(incidents, "OK two");
}

#[test]
fn quiet_hours_hold_what_stands_until_they_are_over() {
    let receiver = Receiver::start(0);
    let calendar = |open: &str| format!("calendars:\n  night: {{ weekly: {{ {open} }} }}\n");
    let root = root(&hook(receiver.port, ", quiet: night"));
    root.put("rules/night.yaml", &calendar("Mon-Sun: '00:00-24:00'"));
    let _engine = Engine::start(&root);
    root.put("data/one", "");
    root.put("data/two", "");
    until("both are held", || {
        json_of(&root, "notify")["notifiers"][0]["muted"] == 2
    });
    assert_eq!(json_of(&root, "notify")["notifiers"][0]["quiet"], true);
    std::fs::remove_file(root.at("data/two")).expect("it is there");
    until("one is over", || {
        json_of(&root, "notify")["notifiers"][0]["muted"] == 1
    });
    assert_eq!(receiver.heard(), [""; 0]);
    root.put("rules/night.yaml", &calendar("Mon-Sun: '00:00-00:01'"));
    until("the night is over", || receiver.heard().len() >= 2);
    let mut heard = receiver.heard();
    heard.sort();
    assert_eq!(heard, ["opened one", "summary -"]);
}

#[test]
fn an_acknowledgement_is_shown_and_without_one_others_are_told() {
    let root = root(
        "  ops: { journal: logs/ops.jsonl, after: 0s, escalate: { after: 3s, to: [boss] } }\n  boss: { journal: logs/boss.jsonl }\n",
    );
    let _engine = Engine::start(&root);
    root.put("data/one", "");
    let kinds = |file: &str| -> Vec<String> {
        let lines = root.lines(file);
        lines
            .iter()
            .map(|it| {
                format!(
                    "{} {}",
                    it["kind"].as_str().unwrap_or("-"),
                    it["name"].as_str().unwrap_or("-")
                )
            })
            .collect()
    };
    until("ops is told", || !kinds("logs/ops.jsonl").is_empty());
    let acknowledged = json_of(&root, "ack one --reason rebooting");
    assert_eq!(acknowledged["acknowledged"]["by"], "ann");
    assert_eq!(acknowledged["checks"], json!(["one"]));
    let status = json_of(&root, "status");
    let one = status["checks"]
        .as_array()
        .and_then(|all| all.iter().find(|it| it["name"] == "one"));
    let one = one.expect("the check");
    assert_eq!(one["acknowledged"]["reason"], "rebooting");
    assert_eq!(one["incident"], acknowledged["id"]);
    assert!(
        say(&root, "status")
            .1
            .contains("acknowledged (by ann: rebooting)")
    );
    root.put("data/two", "");
    until("boss is told", || !kinds("logs/boss.jsonl").is_empty());
    assert_eq!(
        kinds("logs/boss.jsonl"),
        ["escalated two"],
        "one is in good hands"
    );
    std::fs::remove_file(root.at("data/one")).expect("it is there");
    std::fs::remove_file(root.at("data/two")).expect("it is there");
    until("boss hears of the end", || {
        kinds("logs/boss.jsonl").len() == 2
    });
    assert_eq!(kinds("logs/boss.jsonl")[1], "resolved two");
    until("ops hears of both", || {
        kinds("logs/ops.jsonl")
            .iter()
            .filter(|it| it.starts_with("resolved"))
            .count()
            == 2
    });
    let (code, _) = say(&root, "ack one");
    assert_eq!(code, 1, "there is nothing any more to take in hand");
}

#[test]
fn a_dry_run_shows_what_would_be_told_and_tells_nobody() {
    let receiver = Receiver::start(0);
    let root = root(&hook(receiver.port, ""));
    root.put("data/one", "");
    let answer = json_of(&root, "dry-run");
    let of: BTreeMap<&str, &Value> = answer["checks"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|it| (it["name"].as_str().unwrap_or("-"), &it["notices"]))
        .collect();
    assert_eq!(
        *of["one"],
        json!([{
            "notifier": "ops", "channel": "webhook", "whom": format!("127.0.0.1:{}", receiver.port),
            "when": "at once", "text": "CRITICAL one\none is held",
        }])
    );
    assert_eq!(*of["two"], Value::Null);
    let shown = say(&root, "dry-run").1;
    assert!(
        shown.contains("tells ops by webhook (127.0.0.1:"),
        "{shown}"
    );
    assert_eq!(receiver.heard(), [""; 0]);
    // A one-off round tells, before it ends.
    say(&root, "check");
    receiver.hears(&["opened one"]);
}

#[test]
fn a_test_notice_says_for_each_channel_whether_it_arrives() {
    let receiver = Receiver::start(0);
    let down = free_port();
    let notifiers = format!(
        "{}  broken: {{ journal: logs/broken.jsonl, webhook: {{ url: 'http://127.0.0.1:{down}/${{env(\"HOOK\")}}' }} }}\n",
        hook(receiver.port, "")
    );
    let root = root(&notifiers);
    let tested = json_of(&root, "notify --test ops");
    assert_eq!(tested["arrived"], true, "{tested}");
    receiver.hears(&["test -"]);
    let _engine = Engine::start(&root);
    let (code, shown) = say(&root, "notify --test broken");
    assert_eq!(code, 1);
    assert!(
        shown.contains("arrived  journal") && shown.contains("failed   webhook"),
        "{shown}"
    );
    assert_eq!(root.lines("logs/broken.jsonl")[0]["kind"], "test");
    let (code, _) = say(&root, "notify --test nobody");
    assert_ne!(code, 0);
}

#[test]
fn a_step_of_a_rule_tells_what_it_is_told_to() {
    let receiver = Receiver::start(0);
    let root = Root::new();
    root.put("homeostat.yaml", "env: [HOOK]\n");
    root.put(
        "rules/a.yaml",
        &format!(
            "notifiers:\n{}checks:\n  - name: lock\n    about: Nobody holds it.\n    trigger: {{ every: 1h }}\n    \
             probe: {{ file: {{ file: data/lock }} }}\n    threshold: {{ critical: exists }}\n    message: 'the lock is held'\n    \
             remediation:\n      - - notify: {{ to: ops, text: 'the lock was held for ${{age_s.fixed(0)}} s' }}\n        \
             - remove_file: {{ file: data/lock }}\n",
            hook(receiver.port, "")
        ),
    );
    root.put("data/lock", "");
    let answer = json_of(&root, "check");
    let steps = &answer["checks"][0]["remediation"]["steps"];
    assert_eq!(steps[0]["kind"], "notify");
    assert_eq!(steps[0]["outcome"], "done", "{steps}");
    assert_eq!(answer["checks"][0]["status"], "OK");
    receiver.hears(&["note -"]);
    let title = receiver.heard.lock().expect("no panic")[0]["title"].clone();
    assert!(
        title
            .as_str()
            .is_some_and(|it| it.starts_with("the lock was held for ")),
        "{title}"
    );
}

/// The page is the only place where its examples stand.
#[test]
fn the_examples_of_the_page_are_rules_without_complaint() {
    let page = std::fs::read_to_string("docs/notices.md").expect("the page is there");
    let root = Root::new();
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for block in page.split("```yaml\n").skip(1) {
        let block = block.split("```").next().unwrap_or_default();
        let first = block.lines().next().unwrap_or_default();
        let file = first.trim_start_matches("# ").split([' ', ':']).next();
        let file = file.filter(|file| file.ends_with(".yaml"));
        let file = file.unwrap_or_else(|| panic!("a block names no file: {first}"));
        files.entry(file.to_owned()).or_default().push_str(block);
    }
    assert_eq!(files.len(), 3);
    for (file, text) in &files {
        root.put(file, text);
    }
    let (code, said) = say(&root, "lint");
    assert_eq!(code, 0, "{said}");
    assert!(!said.contains("warning"), "{said}");
    for kind in homeostat::notify::KINDS {
        assert!(
            page.contains(&format!("| `{}` |", kind.name)),
            "{}",
            kind.name
        );
    }
}
