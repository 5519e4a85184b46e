//! What is far too large: a JSON file of 1 GB, a log of one endless line, a directory of 20,000 rule files.

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
    time::Duration,
};

use crate::{
    common::{Root, SOON, until},
    two::{Program, homeostat},
};

/// The engine's memory, in KiB, whatever it is given to look at.
const MEMORY: u64 = 256 << 10;

const RULES: &str = "
defaults: { trigger: { every: 500ms }, journal: logs/checks.jsonl }
checks:
  - name: document
    about: A document.
    probe: { json: { file: data/huge.json } }
    threshold: { critical: '!valid' }
  - name: sparse
    about: A document of nothing.
    probe: { json: { file: data/sparse.json } }
    threshold: { critical: '!valid' }
  - name: words
    about: A text.
    probe: { text: { file: data/huge.json, patterns: { x: xyz } } }
    threshold: { critical: counts.x > 0 }
  - name: lines
    about: A log that is one line.
    probe: { jsonl: { file: data/huge.json, last: 5 } }
    threshold: { critical: count > 0 }
  - name: beat
    about: Keeps its schedule.
    trigger: { every: 200ms }
    probe: { file: { file: data/huge.json } }
    threshold: { critical: size < 1000000000 }
    journal: logs/beat.jsonl
";

/// A gigabyte of right JSON on one line, without the disk having to hold most of it: blanks are NUL in a hole, so they
/// are written where a parser that reads on would be.
fn huge(path: &Path) {
    let mut file = File::create(path).expect("made");
    file.write_all(b"{\"list\": [").expect("written");
    let part = "\"abcdefgh\", ".repeat(100_000);
    for _ in 0..20 {
        file.write_all(part.as_bytes()).expect("written");
    }
    file.set_len(1_000_000_001).expect("a hole");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_a_gigabyte_is_unknown_and_fills_no_memory() {
    let root = Root::new();
    root.put("rules/rules.yaml", RULES);
    huge(&root.at("data/huge.json"));
    File::create(root.at("data/sparse.json"))
        .and_then(|file| file.set_len(1_000_000_001))
        .expect("a hole");
    let program = Program::start(&root);
    let of = |name: &str| {
        let lines = root.lines("logs/checks.jsonl");
        let found = lines.into_iter().filter(|line| line["name"] == *name);
        found.collect::<Vec<_>>()
    };
    let names = ["document", "sparse", "words", "lines"];
    until(SOON, "three looks of each", async || {
        names.iter().all(|name| of(name).len() >= 3).then_some(())
    })
    .await;
    for name in names {
        for line in of(name) {
            let said = line["message"].as_str().unwrap_or_default();
            assert_eq!(line["status"], "UNKNOWN", "{line}");
            assert!(said.contains("MiB"), "{said}");
        }
    }
    let beats = root.lines("logs/beat.jsonl");
    assert!(beats.iter().all(|line| line["status"] == "OK"));
    let at = |line: &serde_json::Value| line["timestamp"].as_f64().unwrap_or_default();
    let gaps = beats.windows(2).map(|two| at(&two[1]) - at(&two[0]));
    let longest = gaps.fold(0.0, f64::max);
    assert!(
        longest < 1.5,
        "a beat came {longest} s after the one before"
    );
    let most = program.most_memory();
    println!("{most} KiB at most, {longest} s between beats at most");
    assert!(most < MEMORY, "{most} KiB");
}

fn rule(number: usize) -> String {
    format!(
        "checks:\n  - name: check_{number}\n    about: It is there.\n    trigger: {{ every: 1h }}\n    \
         probe: {{ file: {{ file: data/x }} }}\n    threshold: {{ critical: missing }}\n"
    )
}

fn fill(root: &Root, files: std::ops::Range<usize>) {
    for number in files {
        let dir = root.at(&format!("many/{}", number / 1000));
        if number % 1000 == 0 {
            fs::create_dir_all(&dir).expect("made");
        }
        fs::write(dir.join(format!("{number}.yaml")), rule(number)).expect("written");
    }
}

/// One more than is allowed: refused with a word that says what is too much, and the old book runs on.
#[tokio::test(flavor = "multi_thread")]
async fn more_than_twenty_thousand_rule_files_are_refused_and_the_old_book_runs_on() {
    let root = Root::new();
    root.put(
        "rules/rules.yaml",
        &format!("{}    journal: logs/checks.jsonl\n", rule(99_999)).replace("1h", "200ms"),
    );
    let program = Program::start(&root);
    until(SOON, "a look", async || {
        (!root.lines("logs/checks.jsonl").is_empty()).then_some(())
    })
    .await;
    let memory = program.most_memory();
    // At once: what is there while they are written may be loaded.
    fill(&root, 0..20_001);
    fs::rename(root.at("many"), root.at("rules/many")).expect("renamed");
    let told = async || {
        let status = homeostat(&root).args(["status", "--json"]).output().ok()?;
        let status: serde_json::Value = serde_json::from_slice(&status.stdout).ok()?;
        let text = status["complaints_text"].as_str()?.to_owned();
        text.contains("more than 20000 rule files")
            .then_some(status)
    };
    let status = until(Duration::from_secs(60), "the complaint", told).await;
    assert_eq!(status["checks"].as_array().map(Vec::len), Some(1));
    let looks = root.lines("logs/checks.jsonl").len();
    until(Duration::from_secs(5), "more looks", async || {
        (root.lines("logs/checks.jsonl").len() > looks + 5).then_some(())
    })
    .await;
    let grown = program.most_memory().saturating_sub(memory);
    println!("{grown} KiB more");
    assert!(grown < 200 << 10, "{grown} KiB more");
    drop(program);
    // A start beside them runs the last good book, and lint says the same.
    let program = Program::start(&root);
    let lint = homeostat(&root).arg("lint").output().expect("it runs");
    let said = [lint.stdout, lint.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(
        !lint.status.success() && said.contains("more than 20000"),
        "{said}"
    );
    drop(program);
}

/// As many as are allowed are loaded, and a change of one of them is live within its time.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes long without optimisation: run by the gate"]
async fn twenty_thousand_rule_files_are_loaded() {
    let root = Root::new();
    fill(&root, 0..20_000);
    fs::rename(root.at("many"), root.at("rules/many")).expect("renamed");
    let program = Program::start(&root);
    let most = program.most_memory();
    println!("{most} KiB");
    assert!(most < 2 << 20, "{most} KiB");
    let status = homeostat(&root)
        .args(["status", "--json"])
        .output()
        .expect("it runs");
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).expect("JSON");
    assert_eq!(status["checks"].as_array().map(Vec::len), Some(20_000));
}
