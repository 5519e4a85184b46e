//! Every way in which a rule file can be wrong is told, at its place, and explained.

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use common::faults::{GOOD, GOOD_FILE, faults};
use homeostat::{
    permission::{Permission, Settings},
    rules::{
        complaint::{Complaint, Severity},
        explain,
        load::{Loaded, load_sources},
    },
    script::Engine,
};

fn load(extra: &str) -> Loaded {
    let root = tempfile::tempdir().expect("a directory");
    let permission = Permission::new(root.path(), Settings::default()).expect("a permission");
    let sources: BTreeMap<String, Arc<[u8]>> = [(GOOD_FILE, GOOD), ("rules/extra.yaml", extra)]
        .into_iter()
        .map(|(path, text)| {
            let path = path.trim_start_matches("rules/").to_owned();
            (path, Arc::from(text.as_bytes()))
        })
        .collect();
    load_sources(&sources, &BTreeMap::new(), &permission, &Engine::new())
}

fn told(complaints: &[Complaint]) -> String {
    complaints
        .iter()
        .map(|one| format!("\n    {one}"))
        .collect()
}

#[test]
fn each_fault_is_told_at_its_place() {
    let mut wrong = Vec::new();
    let all = faults();
    assert!(all.len() >= 60, "{}", all.len());
    for fault in &all {
        let loaded = load(&fault.text);
        let found = loaded.errors().any(|one| {
            let place = &one.mistake.place;
            one.mistake.code == fault.code
                && &*place.file == fault.file
                && (place.line, place.column) == (fault.line, fault.column)
        });
        let mut lines = Vec::new();
        if !found {
            lines.push("is not told");
        }
        if loaded.book.is_some() {
            lines.push("gives a book");
        }
        // One fault is one error, or a reader does not know where to begin.
        if loaded.errors().count() > 1 {
            lines.push("is told several times");
        }
        // What was expected says what to write.
        let speaks = ["wrong-type", "forbidden-path"];
        if loaded.errors().any(|one| {
            let code = one.mistake.code;
            one.mistake.help.is_none() && !code.starts_with("yaml-") && !speaks.contains(&code)
        }) {
            lines.push("has no help");
        }
        if !lines.is_empty() {
            wrong.push(format!(
                "{} ({} at {}:{}) {}:{}",
                fault.name,
                fault.code,
                fault.line,
                fault.column,
                lines.join(", "),
                told(&loaded.complaints)
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{}\n{} of {} faults",
        wrong.join("\n"),
        wrong.len(),
        all.len()
    );
}

#[test]
fn names_of_faults_are_unique_and_every_code_is_explained() {
    let mut names = BTreeSet::new();
    for fault in faults() {
        assert!(names.insert(fault.name), "{}", fault.name);
        assert!(
            explain::explain(fault.code).is_some(),
            "{} is not explained",
            fault.code
        );
    }
}

#[test]
fn the_good_file_is_good() {
    let loaded = load("# nothing\n");
    assert_eq!(told(&loaded.complaints), "");
    assert_eq!(loaded.book.expect("a book").checks.len(), 1);
}

/// All faults of different checks, in one file, in one go.
#[test]
fn one_bad_check_hides_no_other() {
    let text = "\
checks:
  - name: a
    thershold: { critical: missing }
    probe: { json: { file: data/x.json } }
    message: '${lne}'
  - name: b
    probe: { jsn: { file: data/x.json } }
    threshold: { critical: whatever, for: 0 }
    trigger: { evry: 5m }
  - name: c
    probe: { json: { file: data/x.json } }
    threshold: { critical: len > , warning: valdi }
    let: { a: zzz, b: 1 + }
    remediation: [ { remove_file: { fil: data/x } }, { nothing: {} } ]
    needs: [d, b]
";
    let loaded = load(text);
    let found: Vec<String> = loaded
        .errors()
        .map(|one| {
            format!(
                "{}:{} {}",
                one.mistake.place.line, one.mistake.place.column, one.mistake.code
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            "3:5 unknown-key",
            "5:17 unknown-name",
            "7:14 unknown-kind",
            "8:43 bad-value",
            "9:16 unknown-key",
            "12:33 bad-expression",
            "12:45 unknown-name",
            "13:15 unknown-name",
            "13:26 bad-expression",
            "14:37 unknown-key",
            "14:56 unknown-kind",
            "15:13 unknown-check",
        ],
        "{}",
        told(&loaded.complaints)
    );
    assert!(
        loaded
            .complaints
            .iter()
            .all(|one| one.severity == Severity::Warning || one.rule.is_some())
    );
}

/// What is explained is true: the wrong example gives the complaint, the right one does not.
#[test]
fn the_examples_of_explanations_are_right() {
    let mut wrong = Vec::new();
    for one in explain::all() {
        for (example, expected) in [(one.bad, true), (one.good, false)] {
            if example.is_empty() {
                continue;
            }
            let loaded = load(&common::faults::file_of(example));
            let errors = loaded.errors().count();
            let found = loaded
                .complaints
                .iter()
                .any(|complaint| complaint.mistake.code == one.code);
            if found != expected || (!expected && errors > 0) {
                wrong.push(format!(
                    "{} {expected}: {example}{}",
                    one.code,
                    told(&loaded.complaints)
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
