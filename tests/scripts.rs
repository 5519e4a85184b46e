//! Scripts through the program itself: a probe that is one, steps that come out of one, dry and done, and reloading.

mod common;

use std::process::Command;

use common::{Root, SOON, until};
use serde_json::{Value, json};

const RULES: &str = r#"
checks:
  - name: quarantine
    about: No queue file is broken.
    trigger: { every: 1h }
    probe: { script: { file: rules/scripts/broken.rhai, args: { pattern: 'data/queue/*.jsonl' } } }
    threshold: { critical: count > 0 }
    message: '${count} broken: ${paths.join(", ")}'
    remediation:
      steps:
        - run_script: { file: rules/scripts/away.rhai, args: { paths: '${paths}' } }
      verify: { within: 5s }
tests:
  - name: a broken queue goes away
    files:
      data/queue/a.jsonl: { text: "{}\n" }
      data/queue/b.jsonl: { text: "broken" }
    expect:
      quarantine: { before: { status: critical }, status: ok, steps: [ move_file, write_file ] }
      files: { data/queue/b.jsonl: absent, state/quarantine/b.jsonl: { text: broken } }
"#;
const BROKEN: &str = r#"
// A file is broken when it holds text and no record.
let paths = [];
for file in glob(args.pattern) {
    if file.size > 0 && read_jsonl(file.path).is_empty() {
        paths.push(file.path);
    }
}
#{ count: paths.len(), paths: paths }
"#;
const AWAY: &str = r#"
let steps = args.paths.map(|path| #{ move_file: #{ file: path, to: "state/quarantine/" } });
if !steps.is_empty() {
    steps.push(#{ write_file: #{ file: "state/note.json", body: #{ moved: args.paths } } });
}
steps
"#;

fn root() -> Root {
    let root = Root::new();
    root.put("rules/a.yaml", RULES);
    root.put("rules/scripts/broken.rhai", BROKEN);
    root.put("rules/scripts/away.rhai", AWAY);
    root.put("data/queue/a.jsonl", "{}\n");
    root.put("data/queue/b.jsonl", "broken\n");
    root
}

/// What the program printed and said besides, and its exit code.
fn said(root: &Root, line: &str) -> (i32, String, String) {
    let said = Command::new(env!("CARGO_BIN_EXE_homeostat"))
        .current_dir(root.path())
        .env_remove("HOMEOSTAT_LOG")
        .args(line.split(' '))
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let code = said.status.code().unwrap_or(-1);
    (code, text(said.stdout), text(said.stderr))
}

fn say(root: &Root, line: &str) -> (i32, String) {
    let (code, out, err) = said(root, line);
    (code, format!("{out}{err}"))
}

fn check(root: &Root, line: &str) -> Value {
    let (_, out, err) = said(root, line);
    let answer: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{err}"));
    answer["checks"][0].clone()
}

#[test]
fn a_script_finds_it_and_a_script_says_what_to_do() {
    let root = root();
    let (code, out) = say(&root, "lint");
    assert_eq!(code, 0, "{out}");
    let dry = check(&root, "dry-run --json");
    assert_eq!(dry["message"], "1 broken: data/queue/b.jsonl");
    assert_eq!(dry["facts"]["paths"], json!(["data/queue/b.jsonl"]));
    let steps = &dry["remediation"]["steps"];
    assert_eq!(
        steps[0]["detail"],
        "would move data/queue/b.jsonl to state/quarantine/b.jsonl (7 bytes)"
    );
    let diff = steps[1]["diff"].as_str().unwrap_or_default();
    assert!(
        diff.contains("+++ state/note.json") && diff.contains("data/queue/b.jsonl"),
        "{dry}"
    );
    assert!(root.at("data/queue/b.jsonl").exists() && !root.at("state/note.json").exists());
    let done = check(&root, "check --json");
    assert_eq!(
        (&done["status"], &done["before"]["status"]),
        (&json!("OK"), &json!("CRITICAL")),
        "{done}"
    );
    assert_eq!(done["remediation"]["verified"], true, "{done}");
    assert_eq!(root.text("state/quarantine/b.jsonl"), "broken\n");
    assert!(!root.at("data/queue/b.jsonl").exists());
    assert!(root.at("data/queue/a.jsonl").exists());
}

/// What stands in the documentation about scripts works as it stands.
#[test]
fn the_examples_of_the_documentation_run() {
    let docs = std::fs::read_to_string("docs/rules.md").unwrap();
    let (_, section) = docs.split_once("\n## Scripts\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let blocks = |language: &str| -> Vec<String> {
        let fence = format!("```{language}\n");
        let blocks = section.split(fence.as_str()).skip(1);
        blocks
            .map(|block| block.split("\n```").next().unwrap_or_default().to_owned())
            .collect()
    };
    let root = Root::new();
    root.put("rules/a.yaml", &blocks("yaml")[0]);
    for script in blocks("rhai") {
        let (_, rest) = script.split_once("rules/scripts/").unwrap();
        let (name, _) = rest.split_once(".rhai").unwrap();
        root.put(&format!("rules/scripts/{name}.rhai"), &script);
    }
    let (code, out) = say(&root, "lint");
    assert_eq!(code, 0, "{out}");
    root.put("data/queue/b.jsonl", "broken\n");
    let done = check(&root, "check --json");
    assert_eq!(done["remediation"]["decision"], "repaired", "{done}");
    for function in homeostat::script::functions::that_look() {
        assert!(
            section.contains(&format!("`{}(", function.name)),
            "{}",
            function.name
        );
    }
}

#[test]
fn rule_tests_run_scripts() {
    let root = root();
    let (code, out) = say(&root, "test");
    assert_eq!(code, 0, "{out}");
    root.put("rules/scripts/away.rhai", "[]\n");
    let (code, out) = say(&root, "test");
    assert_eq!(code, 1, "{out}");
}

#[test]
fn a_script_that_cannot_be_used_is_told_and_does_nothing() {
    let root = root();
    root.put(
        "rules/scripts/away.rhai",
        "[#{ erase: #{ file: \"data/x\" } }]\n",
    );
    let told = check(&root, "check --json --wait 1s");
    let step = &told["remediation"]["steps"][0];
    assert_eq!(step["outcome"], "failed", "{told}");
    assert_eq!(
        step["detail"],
        "rules/scripts/away.rhai: step 1: there is no step `erase`"
    );
    root.put(
        "rules/scripts/broken.rhai",
        "let n = read_json(\"data/queue/b.jsonl\");\n#{ count: n, paths: [] }\n",
    );
    let told = check(&root, "check --json --no-fix");
    assert_eq!(told["status"], "UNKNOWN");
    let error = told["error"].to_string();
    assert!(
        error.contains("rules/scripts/broken.rhai:1:9: data/queue/b.jsonl: "),
        "{error}"
    );
    root.put("rules/scripts/broken.rhai", "#{ count: coun, paths: [] }\n");
    let (code, out) = say(&root, "lint");
    assert_eq!(code, 1);
    assert!(
        out.contains("broken.rhai:1:11") && out.contains("unknown name `coun`"),
        "{out}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_engine_takes_a_changed_script() {
    let root = root();
    root.put("data/queue/b.jsonl", "{}\n");
    let live = root.start().await.expect("it starts");
    let first = live.generation.to_string();
    root.put(
        "rules/scripts/broken.rhai",
        "#{ count: 0, paths: [], more: 1 }\n",
    );
    let second = until(SOON, "the changed script", async || {
        let now = live.handle.status().await.expect("the engine lives");
        (now.generation != first).then_some(now.generation)
    })
    .await;
    root.put("rules/scripts/broken.rhai", "#{ count: }\n");
    let told = until(SOON, "the complaint", async || {
        let now = live.handle.status().await.expect("the engine lives");
        now.complaints_text.map(|text| (now.generation, text))
    })
    .await;
    assert_eq!(told.0, second, "the last good book keeps running");
    assert!(
        told.1.contains("rules/scripts/broken.rhai:1:11"),
        "{}",
        told.1
    );
    live.handle.stop().await.expect("the engine lives");
    live.finished().await;
}
