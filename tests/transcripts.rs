//! What people see when they try the shipped rules by hand: weights removed, thresholds set too high, a root-cause
//! session, thresholds confirmed, and a fresh clone without a bot. The real binary on a copy of the shipped root; nothing
//! is sent anywhere.

mod common;

use std::{
    fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
};

use common::{Root, SOON, until};
use serde_json::Value;

/// The data that ships, without what a bot may have written beside it.
const DATA: [&str; 7] = [
    "data/bot/main.py",
    "data/bot/uw_enrichment_v2.py",
    "data/entry_thresholds.json",
    "data/scoring.json",
    "data/uw_attribution.jsonl",
    "data/uw_flow_cache.json",
    "data/uw_weights.json",
];

/// The market is open whenever the tests run.
const ALWAYS: &str = "\
defaults:
  timezone: America/New_York
calendars:
  nyse.regular: { about: Always open., weekly: { Mon-Sun: '00:00-24:00' } }
  nyse.extended: { about: Always open., weekly: { Mon-Sun: '00:00-24:00' } }
";

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).expect("a directory");
        for entry in fs::read_dir(from).expect("a directory") {
            let entry = entry.expect("an entry");
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    } else {
        fs::create_dir_all(to.parent().expect("a parent")).expect("a directory");
        fs::copy(from, to).expect("a copy");
    }
}

/// The shipped root in a directory of its own, and an address where no bot answers.
struct Shipped {
    root: Root,
    nobody: u16,
}

impl Shipped {
    fn new() -> Shipped {
        let root = Root::new();
        let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        for file in ["rules", "homeostat.yaml", "logs/run.jsonl"]
            .iter()
            .chain(&DATA)
        {
            copy(&here.join(file), &root.at(file));
        }
        root.put("rules/calendars/nyse.yaml", ALWAYS);
        let closed = TcpListener::bind("127.0.0.1:0").expect("a port");
        let nobody = closed.local_addr().expect("an address").port();
        Shipped { root, nobody }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_homeostat"));
        command.current_dir(self.root.path()).env("USER", "ann");
        for name in [
            "HOMEOSTAT_LOG",
            "ALPACA_BASE_URL",
            "ALPACA_KEY",
            "ALPACA_SECRET",
        ] {
            command.env_remove(name);
        }
        for name in ["ALPACA_API_KEY", "ALPACA_API_SECRET"] {
            command.env_remove(name);
        }
        let bot = format!("bot_url=http://127.0.0.1:{}", self.nobody);
        command.args(["--set", &bot]).args(args);
        command
    }

    /// What a person sees: the command, what it says, its exit code.
    fn type_in(&self, line: &[&str]) -> String {
        let output = assert_cmd::Command::from_std(self.command(line))
            .timeout(SOON)
            .output()
            .expect("it runs");
        let (out, err) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        let code = output.status.code().expect("an exit code");
        format!("$ homeostat {}\n{out}{err}(exit {code})\n", line.join(" "))
    }

    fn json(&self, file: &str) -> Value {
        serde_json::from_str(&self.root.text(file)).expect("JSON")
    }
}

/// Times, durations, ports and the hash of the rules are not what a transcript is about.
fn settled(body: impl FnOnce()) {
    let mut settings = insta::Settings::clone_current();
    for (pattern, instead) in [
        (r"\d{4}-\d\d-\d\d", "[date]"),
        (r"\d\d:\d\d:\d\d", "[time]"),
        (r" +\d+(\.\d+)? (ms|s)\b *", " [took] "),
        (r"generation [0-9a-f]{12}", "generation [hash]"),
        (r"127\.0\.0\.1:\d+", "127.0.0.1:[port]"),
        (r"homeostat \d+\.\d+\.\d+", "homeostat [version]"),
    ] {
        settings.add_filter(pattern, instead);
    }
    settings.bind(body);
}

#[test]
fn removed_weights_come_back() {
    let shipped = Shipped::new();
    fs::remove_file(shipped.root.at("data/uw_weights.json")).expect("the weights");
    let said = shipped.type_in(&["check", "weights_file"]);
    settled(|| {
        insta::assert_snapshot!(said, @r#"
    $ homeostat check weights_file
    OK        weights_file  Weights file exists with 21 entries
              WARNING → OK  repaired, verified in [took] (attempt 1)
                ✓ restore_file data/uw_weights.json  made data/uw_weights.json (490 bytes)
                  --- /dev/null
                  +++ data/uw_weights.json
                  @@ -0,0 +1,23 @@
                  +{
                  +  "options_flow": 2.4,
                  +  "dark_pool": 1.3,
                  +  "insider": 0.5,
                  +  "iv_term_skew": 0.6,
                  +  "smile_slope": 0.35,
                  +  "whale_persistence": 0.7,
                  +  "event_alignment": 0.4,
                  +  "toxicity_penalty": -0.9,
                  +  "temporal_motif": 0.6,
                  +  "regime_modifier": 0.3,
                  +  "congress": 0.9,
                  +  "shorts_squeeze": 0.7,
                  +  "institutional": 0.5,
                  +  "market_tide": 0.4,
                  +  "calendar_catalyst": 0.45,
                  +  "etf_flow": 0.3,
                  +  "greeks_gamma": 0.4,
                  +  "ftd_pressure": 0.3,
                  +  "iv_rank": 0.2,
                  +  "oi_change": 0.35,
                  +  "squeeze_score": 0.2
                  +}

    1 check: 1 OK; 1 repair verified  generation [hash]
    (exit 0)
    "#)
    });
    let default = shipped.json("rules/defaults/uw_weights.json");
    assert_eq!(shipped.json("data/uw_weights.json"), default);
    let lines = shipped.root.lines("logs/critical_health_checks.jsonl");
    let told: Vec<(&Value, &Value)> = lines
        .iter()
        .map(|it| (&it["status"], &it["verified"]))
        .collect();
    assert_eq!(
        told,
        [
            (&"WARNING".into(), &Value::Null),
            (&"OK".into(), &true.into())
        ]
    );
}

#[test]
fn thresholds_that_block_every_trade_are_put_back() {
    let shipped = Shipped::new();
    let high = r#"{"base": 3.5, "canary": 3.8, "champion": 4.2}"#;
    shipped.root.put("data/entry_thresholds.json", high);
    let said = [
        shipped.type_in(&["dry-run", "entry_thresholds"]),
        shipped.type_in(&["check", "entry_thresholds"]),
        shipped.type_in(&["ledger"]),
        shipped.type_in(&["undo", "1"]),
    ];
    settled(|| {
        insta::assert_snapshot!(said.join("\n"), @r#"
    $ homeostat dry-run entry_thresholds
    CRITICAL  entry_thresholds  Entry thresholds too high: base=3.5 (should be <=2.7). This blocks all trades!
              would be repaired:
                ○ set_json data/entry_thresholds.json  would change data/entry_thresholds.json (45 → 45 bytes)
                  --- data/entry_thresholds.json
                  +++ data/entry_thresholds.json
                  @@ -1 +1 @@
                  -{"base": 3.5, "canary": 3.8, "champion": 4.2}
                  \ No newline at end of file
                  +{"base": 2.7, "canary": 2.9, "champion": 3.2}
                  \ No newline at end of file

    1 check: 1 CRITICAL; 1 repair would be tried, nothing was changed  generation [hash]
    (exit 2)

    $ homeostat check entry_thresholds
    OK        entry_thresholds  Entry thresholds OK: base=2.7, canary=2.9, champion=3.2
              CRITICAL → OK  repaired, verified in [took] (attempt 1)
                ✓ set_json data/entry_thresholds.json  changed data/entry_thresholds.json (45 → 45 bytes)
                  --- data/entry_thresholds.json
                  +++ data/entry_thresholds.json
                  @@ -1 +1 @@
                  -{"base": 3.5, "canary": 3.8, "champion": 4.2}
                  \ No newline at end of file
                  +{"base": 2.7, "canary": 2.9, "champion": 3.2}
                  \ No newline at end of file

    1 check: 1 OK; 1 repair verified  generation [hash]
    (exit 0)

    $ homeostat ledger
    CHECK             STEP      TRIED  VERIFIED  FAILED  OTHER  HELD  RECOVERY  AGAIN 1H  24H
    entry_thresholds                1         1       ·      ·     · [took] ·    ·
                      set_json      1         1       ·      ·     · [took] ·    ·

    1 repair tried, 1 verified
    (exit 0)

    $ homeostat undo 1
    ✓ undo data/entry_thresholds.json  changed data/entry_thresholds.json (45 → 45 bytes)
      --- data/entry_thresholds.json
      +++ data/entry_thresholds.json
      @@ -1 +1 @@
      -{"base": 2.7, "canary": 2.9, "champion": 3.2}
      \ No newline at end of file
      +{"base": 3.5, "canary": 3.8, "champion": 4.2}
      \ No newline at end of file
    attempt 1 is undone
    (exit 0)
    "#)
    });
    assert_eq!(shipped.root.text("data/entry_thresholds.json"), high);
}

#[test]
fn a_root_cause_session_shows_all_checks_and_what_it_repaired() {
    let shipped = Shipped::new();
    fs::remove_file(shipped.root.at("data/uw_weights.json")).expect("the weights");
    shipped
        .root
        .put("data/entry_thresholds.json", r#"{"base": 9.0}"#);
    let said = shipped.type_in(&["investigate", "sre_rca"]);
    settled(|| {
        insta::assert_snapshot!(said, @r#"
    $ homeostat investigate sre_rca
    OK        uw_parser_integrity              Parser fields present
    WARNING   composite_weights                Weights file missing (will use defaults)  restore_file: verified
    CRITICAL  entry_thresholds                 Entry thresholds too high: base=9.0 (should be <=2.7). This blocks all trades!  set_json: verified
    OK        enrich_signal_fields             enrich_signal includes sentiment and conviction fields
    OK        freshness_adjustment             compute_freshness keeps the floor of data/scoring.json
    OK        freshness_scores                 Score range normal: avg=3.24, min=2.58, max=3.87
    OK        adaptive_weights_killing_scores  Flow weight OK: 2.400
    WARNING   alpaca_latency                   Alpaca credentials not set
    OK        cache_lock                       No stale lock files
    OK        uw_daemon_liveness               UW cache is the made-up one that ships with homeostat; no daemon has written here yet
    OK        uw_cache_freshness               6 symbols cached, made up

    CRITICAL before repairs: 11 checks, 2 steps; probable cause bot_running  (manual)
    (exit 1)
    "#)
    });
    let [session] = &shipped.root.lines("state/sre_rca_fixes.jsonl")[..] else {
        panic!("one session");
    };
    assert_eq!(session["trigger"], "manual");
    assert_eq!(session["overall_status"], "CRITICAL");
    assert_eq!(session["checks"].as_array().map(Vec::len), Some(11));
    assert_eq!(
        session["fixes_applied"],
        serde_json::json!([
            "composite_weights: restore_file data/uw_weights.json (verified)",
            "entry_thresholds: set_json data/entry_thresholds.json (verified)"
        ])
    );
}

#[test]
fn thresholds_that_are_meant_so_are_confirmed() {
    let shipped = Shipped::new();
    let high = r#"{"base": 3.5, "canary": 3.8, "champion": 4.2}"#;
    shipped.root.put("data/entry_thresholds.json", high);
    let said = [
        shipped.type_in(&["confirm", "entry_thresholds", "--reason", "loss stop"]),
        shipped.type_in(&["check", "entry_thresholds"]),
    ];
    settled(|| {
        insta::assert_snapshot!(said.join("\n"), @r#"
    $ homeostat confirm entry_thresholds --reason loss stop
    confirmed: entry_thresholds is meant to be {"base":3.5,"canary":3.8,"champion":4.2}
    `homeostat confirm entry_thresholds --forget` takes it back
    (exit 0)

    $ homeostat check entry_thresholds
    OK        entry_thresholds  Entry thresholds as ann confirmed: base=3.5, canary=3.8, champion=4.2

    1 check: 1 OK  generation [hash]
    (exit 0)
    "#)
    });
    assert_eq!(shipped.root.text("data/entry_thresholds.json"), high);

    // Forgotten, they are again what blocks every trade.
    let forgotten = shipped.type_in(&["confirm", "entry_thresholds", "--forget"]);
    assert!(forgotten.contains("no longer meant to be"), "{forgotten}");
    let checked = shipped.type_in(&["check", "entry_thresholds"]);
    assert!(checked.contains("base=2.7"), "{checked}");
    assert_eq!(shipped.json("data/entry_thresholds.json")["base"], 2.7);
}

/// The engine, as it is started by hand.
struct Engine {
    child: Child,
    lines: Receiver<String>,
}

impl Engine {
    fn start(shipped: &Shipped) -> Engine {
        let mut child = shipped
            .command(&["run", "--listen", "none"])
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("it starts");
        let out = BufReader::new(child.stdout.take().expect("its output"));
        let (send, lines) = channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        Engine { child, lines }
    }

    /// Ends it as an operator does; gives all it has said.
    fn end(mut self) -> Vec<String> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
        let mut said = Vec::new();
        loop {
            match self.lines.recv_timeout(SOON) {
                Ok(line) => said.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it does not end"),
            }
        }
        assert_eq!(self.child.wait().expect("it ended").code(), Some(0));
        said
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended
        let _ = self.child.wait(); // likewise
    }
}

#[tokio::test]
async fn a_fresh_clone_says_one_thing_that_no_bot_is_running() {
    let shipped = Shipped::new();
    let engine = Engine::start(&shipped);
    let looked = async || {
        let status = shipped.command(&["status", "--json"]).output().ok()?;
        let status: Value = serde_json::from_slice(&status.stdout).ok()?;
        let checks = status["checks"].as_array()?;
        let all = checks.iter().all(|it| it["looked"].is_number());
        (checks.len() == 23 && all).then_some(())
    };
    until(SOON, "every check to be looked at", looked).await;
    let status = shipped.type_in(&["status"]);
    let said = engine.end();
    let bad: Vec<&str> = said
        .iter()
        .map(String::as_str)
        .filter(|line| {
            ["WARNING", "CRITICAL", "UNKNOWN  "]
                .iter()
                .any(|word| line.contains(word))
        })
        .collect();
    settled(|| {
        insta::assert_snapshot!(bad.join("\n"), @r#"
    [time]  CRITICAL  bot_running                      No bot is running at http://127.0.0.1:[port]. The reference bot: cargo run --release --example trading_bot  (was UNKNOWN; 13 checks behind it)
    "#)
    });
    settled(|| {
        insta::assert_snapshot!(status, @r#"
    $ homeostat status
    OK        adaptive_weights_killing_scores  for [took] Flow weight OK: 2.400
    CRITICAL  bot_running                      for [took] No bot is running at http://127.0.0.1:[port]. The reference bot: cargo run --release --example trading_bot
    OK        cache_lock                       for [took] No stale lock files
    OK        enrich_signal_fields             for [took] enrich_signal includes sentiment and conviction fields
    OK        entry_thresholds                 for [took] Entry thresholds OK: base=2.7, canary=2.9, champion=3.2
    OK        freshness_adjustment             for [took] compute_freshness keeps the floor of data/scoring.json
    OK        freshness_killing_scores         for [took] Score range normal: avg=3.24, min=2.58, max=3.87
    OK        performance_metrics              for [took] No postmortem data yet
    OK        weights_file                     for [took] Weights file exists with 21 entries
    OK        zero_trades                      for [took] Trading active: 6/10 cycles had orders

    behind bot_running  alpaca_connectivity, alpaca_latency, cycle_errors, cycle_scores, mock_signal, orders_flow, position_tracking, score_distribution, trade_execution_cadence, uw_cache_freshness, uw_daemon_liveness, uw_parser_integrity, zero_order_cycles

    23 checks: 18 OK, 1 WARNING, 1 CRITICAL, 3 UNKNOWN  generation [hash]
    (exit 0)
    "#)
    });
}
