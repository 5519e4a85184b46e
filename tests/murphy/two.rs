//! Two engines on one root, as processes: the second says who runs and leaves everything alone.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::common::{Root, SOON, until};

pub fn homeostat(root: &Root) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_homeostat"));
    command.arg("--root").arg(root.path());
    command.stdin(Stdio::null());
    command
}

/// A running engine that is killed with its test.
pub struct Program(pub Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Program {
    pub fn start(root: &Root) -> Program {
        let mut child = homeostat(root)
            .args(["run", "--listen", "none"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let mut line = String::new();
        let out = child.stdout.take().expect("its output");
        let mut out = BufReader::new(out);
        out.read_line(&mut line).expect("a line");
        assert!(line.contains("generation"), "{line}");
        // It may say more, and must not be stopped by a pipe that nobody empties.
        std::thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()));
        Program(child)
    }

    /// The most it ever had in memory, in KiB.
    pub fn most_memory(&self) -> u64 {
        let path = format!("/proc/{}/status", self.0.id());
        let status = std::fs::read_to_string(path).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        line.and_then(|it| it.split_whitespace().next()?.parse().ok())
            .expect("a number")
    }
}

const RULES: &str = "
checks:
  - name: stuck
    about: Nothing is stuck.
    trigger: { every: 200ms }
    probe: { file: { file: data/stuck } }
    threshold: { critical: exists }
    journal: logs/checks.jsonl
    remediation:
      steps: [ { remove_file: { file: data/stuck } } ]
      guard: { cooldown: 0s, limit: 100 per 1h }
";

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_says_who_runs_and_takes_over_only_after_its_death() {
    let root = Root::new();
    root.put("rules/rules.yaml", RULES);
    let mut first = Program::start(&root);
    let pid = first.0.id().to_string();
    let second = homeostat(&root)
        .args(["run", "--listen", "none"])
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(!second.status.success(), "{said}");
    assert!(
        said.contains("another engine") && said.contains(&pid),
        "{said}"
    );
    // The first one goes on, and is the one that answers and repairs.
    let mended = async || {
        root.put("data/stuck", "");
        until(SOON, "the repair", async || {
            (!root.at("data/stuck").exists()).then_some(())
        })
        .await;
    };
    mended().await;
    let asked = homeostat(&root)
        .args(["check", "--json"])
        .output()
        .expect("it runs");
    let answer: serde_json::Value = serde_json::from_slice(&asked.stdout).expect("JSON");
    assert_eq!(answer["overall"], "OK", "{answer}");
    // Killed without a farewell, it leaves a lock that is nobody's.
    first.0.kill().expect("a child of ours");
    first.0.wait().expect("a child of ours");
    let third = Program::start(&root);
    mended().await;
    drop(third);
}

/// Of many that start at once, one runs.
#[tokio::test(flavor = "multi_thread")]
async fn of_engines_that_start_at_once_one_runs() {
    let root = Root::new();
    root.put("rules/rules.yaml", RULES);
    let starts = (0..8).map(|_| root.start());
    let started = futures::future::join_all(starts).await;
    let (running, refused): (Vec<_>, Vec<_>) = started.into_iter().partition(Result::is_ok);
    assert_eq!(running.len(), 1);
    for error in refused.into_iter().filter_map(Result::err) {
        assert!(error.to_string().contains("another engine"), "{error}");
    }
    for live in running.into_iter().flatten() {
        crate::end(live).await;
    }
    let again = until(Duration::from_secs(5), "the lock to be free", async || {
        root.start().await.ok()
    })
    .await;
    crate::end(again).await;
}
