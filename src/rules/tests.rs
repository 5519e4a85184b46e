//! Rule sets, good and bad, as a whole.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{
    book::{Book, Probes},
    complaint::{Complaint, Severity},
    diff::diff,
    load::{Cache, Loaded, load, load_sources},
    sources::Sources,
};
use crate::{
    model::{
        outline::{EventTrigger, Guard},
        status::Status,
    },
    permission::{Permission, Settings},
    script::Engine,
};

struct World {
    root: tempfile::TempDir,
    permission: Permission,
    engine: Engine,
    overrides: BTreeMap<String, Value>,
}

impl World {
    fn new() -> World {
        let root = tempfile::tempdir().expect("a directory");
        let mut settings = Settings::default();
        settings.env.push("ALPACA_KEY".to_owned());
        settings
            .allow
            .run
            .push("/usr/bin/systemctl reload *".to_owned());
        settings
            .allow
            .run
            .push("/usr/bin/systemctl restart *".to_owned());
        World {
            permission: Permission::new(root.path(), settings).expect("permission"),
            root,
            engine: Engine::new(),
            overrides: BTreeMap::new(),
        }
    }

    fn load(&self, files: &[(&str, &str)]) -> Loaded {
        let sources: Sources = files
            .iter()
            .map(|(path, text)| ((*path).to_owned(), Arc::from(text.as_bytes())))
            .collect();
        load_sources(&sources, &self.overrides, &self.permission, &self.engine)
    }
}

fn told(complaints: &[Complaint]) -> Vec<String> {
    complaints.iter().map(Complaint::to_string).collect()
}

fn errors(loaded: &Loaded) -> Vec<String> {
    loaded.errors().map(Complaint::to_string).collect()
}

/// `code line:column` of the errors.
fn places(loaded: &Loaded) -> Vec<String> {
    loaded
        .errors()
        .map(|one| {
            let place = &one.mistake.place;
            format!("{} {}:{}", one.mistake.code, place.line, place.column)
        })
        .collect()
}

fn warnings(loaded: &Loaded) -> Vec<&'static str> {
    let found = loaded.complaints.iter();
    found
        .filter(|one| one.severity == Severity::Warning)
        .map(|one| one.mistake.code)
        .collect()
}

/// A check that is right, with more lines in it.
fn check(name: &str, lines: &str) -> String {
    let mut text = format!(
        "  - name: {name}\n    about: It is there.\n    probe: {{ json: {{ file: data/x.json }} }}\n"
    );
    for line in lines.lines() {
        text.push_str(&format!("    {line}\n"));
    }
    if !lines.contains("message:") {
        text.push_str("    message: it is ${status}\n");
    }
    if !lines.contains("threshold:") {
        text.push_str("    threshold: { critical: missing }\n");
    }
    text
}

/// The example of the rule reference.
const EXAMPLE: &str = include_str!("testdata/example.yaml");

fn example(world: &World) -> Loaded {
    let names = [
        "alpaca_connectivity",
        "entry_thresholds",
        "mock_signal",
        "uw_parser_integrity",
        "alpaca_latency",
        "cache_lock",
    ];
    let more = names
        .map(|name| check(name, "trigger: { every: 1m }"))
        .concat();
    world.load(&[
        ("critical.yaml", EXAMPLE),
        ("more.yaml", &format!("checks:\n{more}")),
        ("defaults/uw_weights.json", "{}"),
    ])
}

#[test]
fn the_example_of_the_reference_loads() {
    let world = World::new();
    let loaded = example(&world);
    // Some of its checks speak through the default message.
    assert_eq!(told(&loaded.complaints), Vec::<String>::from([
        "rules/critical.yaml:41:11: warning[no-message] in zero_trades: the check has no message of its own (write `message:` with the values that matter, like '${count} records')".to_owned()
    ]));
    let book = loaded.book.expect("a book");
    assert_eq!(book.checks.len(), 9);
    assert_eq!(book.generation.len(), 12);
    assert_eq!(
        book.reserved,
        [
            "logs/critical_health_checks.jsonl",
            "state/sre_rca_fixes.jsonl"
        ]
    );
    let weights = &book.checks["weights_file"];
    assert_eq!(weights.tags, ["critical"]);
    assert_eq!(
        weights.journal.as_deref(),
        Some("logs/critical_health_checks.jsonl")
    );
    let outline = &weights.outline;
    assert_eq!(outline.trigger.every, Some(Duration::from_secs(300)));
    assert_eq!(
        outline.trigger.events,
        [EventTrigger::File {
            file: "data/uw_weights.json".to_owned()
        }]
    );
    let remedy = outline.remediation.as_ref().expect("a remediation");
    assert_eq!(remedy.when, [Status::Warning, Status::Critical]);
    assert_eq!(remedy.ladder, [["restore_file"]]);
    // Three intervals are fifteen minutes.
    assert_eq!(remedy.verify.within, Duration::from_secs(900));
    assert_eq!(remedy.guard, Guard::default());
    let trades = &book.checks["zero_trades"];
    let patience = trades.outline.patience;
    assert_eq!((patience.bad, patience.of, patience.recover), (2, 3, 1));
    assert!(matches!(&trades.probes, Probes::Many(probes) if probes.len() == 2));
    assert_eq!(trades.judging.lets.len(), 4);
    assert_eq!(&*trades.outline.needs[0], "alpaca_connectivity");
    let rca = &book.investigations["sre_rca"];
    assert_eq!(rca.cause, "mock_signal_failure");
    assert_eq!(
        rca.checks[1],
        ("weights_file".into(), "composite_weights".to_owned())
    );
    assert_eq!(rca.checks[2].1, "entry_thresholds");
    assert_eq!(book.outline.investigations["sre_rca"].checks.len(), 6);
}

/// What the reference shows of a remediation, without what later versions honour.
#[test]
fn a_full_remediation_is_read_as_written() {
    let world = World::new();
    let text = check(
        "a",
        "trigger: { every: 1m }
remediation:
  when: [critical]
  steps:
    - - set_json: { file: data/entry_thresholds.json, set: { base: 2.7, canary: 2.9, champion: 3.2 } }
      - run_command: { argv: [/usr/bin/systemctl, reload, trading-bot], timeout: 30s }
    - run_command: { argv: [/usr/bin/systemctl, restart, trading-bot], timeout: 30s }
    - each: '[\"a\", \"b\"]'
      remove_file: { file: 'data/${it}', older_than: 300s }
  verify: { after: 5s, within: 2m, until: 'status == \"ok\"', checks: [b] }
  guard: { cooldown: 10m, limit: 4 per 2h, backoff: 20s..5m, breaker: 2 }
  approve: false
  rollback: true",
    );
    let loaded = world.load(&[("a.yaml", &format!("checks:\n{text}{}", check("b", "")))]);
    assert_eq!(told(&loaded.complaints), Vec::<String>::new());
    let book = loaded.book.expect("a book");
    let check = &book.checks["a"];
    let remedy = check.outline.remediation.as_ref().expect("a remediation");
    insta::assert_debug_snapshot!((&remedy.ladder, &remedy.verify, &remedy.guard, remedy.rollback), @r#"
    (
        [
            [
                "set_json",
                "run_command",
            ],
            [
                "run_command",
            ],
            [
                "remove_file",
            ],
        ],
        Verify {
            after: 5s,
            within: 120s,
            checks: [
                "b",
            ],
        },
        Guard {
            cooldown: 600s,
            limit: 4,
            window: 7200s,
            backoff: (
                20s,
                300s,
            ),
            breaker: 2,
        },
        true,
    )
    "#);
    let plan = check.remediation.as_ref().expect("a plan");
    assert!(plan.until.is_some() && plan.ladder[2][0].each.is_some());
}

#[test]
fn verification_lasts_three_intervals_but_no_longer_than_a_quarter_of_an_hour() {
    let world = World::new();
    let within = |trigger: &str| {
        let text = check(
            "a",
            &format!("{trigger}\nremediation: [ {{ run_checks: [b] }} ]"),
        );
        let loaded = world.load(&[("a.yaml", &format!("checks:\n{text}{}", check("b", "")))]);
        let book = loaded.book.expect("a book");
        let remedy = book.checks["a"].outline.remediation.clone();
        remedy.expect("a remediation").verify.within.as_secs()
    };
    assert_eq!(within("trigger: { every: 1m }"), 180);
    assert_eq!(within("trigger: { every: 1h }"), 900);
    assert_eq!(within("trigger: { events: [ { event: x } ] }"), 900);
}

#[test]
fn defaults_hold_for_checks_that_do_not_say_otherwise() {
    let world = World::new();
    let defaults = "
defaults:
  trigger: { every: 2m, splay: false }
  timeout: 3s
  tags: [one]
  journal: logs/a.jsonl
  on_error: critical
  on_no_data: ok
  needs: [a]
  remediation:
    when: [warning]
    verify: { after: 7s }
    guard: { cooldown: 1m, breaker: 5 }
";
    let text = format!(
        "{defaults}checks:\n{}{}",
        check(
            "a",
            "remediation: [ { run_checks: [b] } ]\nthreshold: { warning: missing }"
        ),
        check(
            "b",
            "trigger: { events: [ { event: x } ] }\ntimeout: 4s\ntags: []\njournal: logs/b.jsonl\non_error: { probe: warning }\nneeds: []\nremediation: { steps: [ { run_checks: [a] } ], when: [critical], guard: { breaker: 2 } }"
        )
    );
    let loaded = world.load(&[("a.yaml", &text)]);
    assert_eq!(told(&loaded.complaints), Vec::<String>::new());
    let book = loaded.book.expect("a book");
    let shown = |name: &str| {
        let check = &book.checks[name];
        let outline = &check.outline;
        let remedy = outline.remediation.as_ref().expect("a remediation");
        json!({
            "every": outline.trigger.every.map(|every| every.as_secs()),
            "splay": outline.trigger.splay,
            "deadline": outline.deadline.as_secs(),
            "tags": check.tags,
            "journal": check.journal,
            "on_error": [check.judging.on_error.probe, check.judging.on_error.rule],
            "on_no_data": check.judging.on_no_data.0,
            "needs": outline.needs.iter().map(|need| &**need).collect::<Vec<_>>(),
            "when": remedy.when,
            "after": remedy.verify.after.as_secs(),
            "cooldown": remedy.guard.cooldown.as_secs(),
            "breaker": remedy.guard.breaker,
        })
    };
    // `a` does not need itself, although all need it.
    assert_eq!(
        shown("a"),
        json!({"every": 120, "splay": false, "deadline": 3, "tags": ["one"], "journal": "logs/a.jsonl",
            "on_error": ["CRITICAL", "CRITICAL"], "on_no_data": "OK", "needs": [], "when": ["WARNING"],
            "after": 7, "cooldown": 60, "breaker": 5})
    );
    assert_eq!(
        shown("b"),
        json!({"every": null, "splay": true, "deadline": 4, "tags": [], "journal": "logs/b.jsonl",
            "on_error": ["WARNING", "UNKNOWN"], "on_no_data": "OK", "needs": [], "when": ["CRITICAL"],
            "after": 7, "cooldown": 60, "breaker": 2})
    );
}

#[test]
fn vars_are_one_map_and_can_be_set() {
    let mut world = World::new();
    let files = [
        ("a.yaml", "vars: { need: 3 }\n"),
        (
            "b.yaml",
            &format!(
                "vars: {{ other: x }}\nchecks:\n{}",
                check("a", "threshold: { critical: len < vars.need }")
            ),
        ),
    ];
    let loaded = world.load(&files);
    let first = loaded.book.expect("a book");
    assert_eq!(
        Value::Object(Map::clone(&first.vars)),
        json!({"need": 3, "other": "x"})
    );
    world.overrides.insert("need".to_owned(), json!(5));
    let second = world.load(&files).book.expect("a book");
    assert_eq!(second.vars["need"], json!(5));
    assert_ne!(first.generation, second.generation);
    assert_eq!(
        diff(&first.outline, &second.outline).to_string(),
        "+0 ~1 -0 checks"
    );
    world.overrides.insert("ned".to_owned(), json!(5));
    insta::assert_snapshot!(errors(&world.load(&files)).join("\n"), @r#"--set:1:1: error[unknown-var]: no file has `ned` under `vars` (did you mean `need`?)"#);
}

#[test]
fn a_reload_says_what_it_changes() {
    let world = World::new();
    let load = |text: String| {
        world
            .load(&[("a.yaml", &text)])
            .book
            .expect("a book")
            .outline
    };
    let old = load(format!(
        "checks:\n{}{}{}",
        check("a", ""),
        check("b", ""),
        check("c", "")
    ));
    let new = load(format!(
        "# moved down\n\nchecks:\n{}{}{}{}",
        check("d", ""),
        check("c", "timeout: 3s"),
        check("a", ""),
        check("e", "")
    ));
    let found = diff(&old, &new);
    assert_eq!(found.to_string(), "+2 ~1 -1 checks");
    assert_eq!((&*found.changed[0], &*found.removed[0]), ("c", "b"));
    assert!(diff(&new, &new).is_empty());
    // Defaults that a check takes are part of it.
    let with = |defaults: &str| {
        load(format!(
            "defaults: {defaults}\nchecks:\n{}{}",
            check("a", ""),
            check("b", "tags: [x]")
        ))
    };
    let found = diff(&with("{ tags: [y] }"), &with("{ tags: [z] }"));
    assert_eq!(found.to_string(), "+0 ~1 -0 checks");
}

#[test]
fn a_file_that_cannot_be_read_puts_no_blame_on_others() {
    let world = World::new();
    let loaded = world.load(&[
        (
            "a.yaml",
            "vars: { need: 3 }\nchecks:\n  - name: base\n    threshold: { critical: !valid }\n",
        ),
        (
            "b.yaml",
            &format!(
                "checks:\n{}",
                check(
                    "x",
                    "needs: [base]\nthreshold: { critical: len < vars.need }"
                )
            ),
        ),
    ]);
    assert_eq!(places(&loaded), ["yaml-tag 4:28"]);
    // The same when only the check is broken, or its probe.
    let loaded = world.load(&[(
        "a.yaml",
        &format!(
            "checks:\n{}  - name: base\n    probe: {{ jsn: {{ file: x }} }}\n    threshold: {{ critical: len > y }}\n",
            check("x", "needs: [base]")
        ),
    )]);
    assert_eq!(places(&loaded), ["unknown-kind 9:14"]);
}

#[test]
fn warnings_do_not_stop_a_book() {
    let world = World::new();
    let text = "checks:
  - name: a
    probe: { file: { file: data/x } }
    threshold: { warning: missing }
    remediation: [ { write_file: { file: data/x, body: one } } ]
  - name: b
    probe: { file: { file: data/x } }
    threshold: { critical: missing }
    remediation: [ { remove_file: { file: data/x } } ]
    trigger: { every: 1m }
    about: It is.
    message: x
";
    let loaded = world.load(&[("a.yaml", text)]);
    assert!(loaded.book.is_some());
    assert_eq!(
        warnings(&loaded),
        [
            "no-about",
            "no-message",
            "no-trigger",
            "idle-remediation",
            "conflict"
        ]
    );
}

#[test]
fn steps_that_set_other_keys_of_one_file_agree() {
    let world = World::new();
    let pair = |one: &str, two: &str| {
        let step = |set: &str| {
            format!(
                "trigger: {{ every: 1m }}\nremediation: [ {{ set_json: {{ file: data/t.json, set: {set} }} }} ]"
            )
        };
        let text = format!(
            "checks:\n{}{}",
            check("a", &step(one)),
            check("b", &step(two))
        );
        warnings(&world.load(&[("a.yaml", &text)]))
    };
    assert_eq!(pair("{ a: 1 }", "{ b: 1 }"), [""; 0]);
    assert_eq!(pair("{ a: 1 }", "{ a: 1 }"), [""; 0]);
    assert_eq!(pair("{ a: 1 }", "{ a: 2 }"), ["conflict"]);
}

#[test]
fn names_are_seen_where_the_reference_says() {
    let world = World::new();
    let seen = |lines: &str| {
        places(&world.load(&[(
            "a.yaml",
            &format!("checks:\n{}{}", check("a", lines), check("b", "")),
        )]))
    };
    let keep = "keep: { pct: 'if status == \"ok\" { min(100, kept.pct + 1) } else { max(0, kept.pct - 10) }' }\nkeep_start: { pct: 100 }";
    for good in [
        keep,
        &format!("{keep}\nthreshold: {{ critical: kept.pct < 50 }}\nlet: {{ was: prev.status }}"),
        &format!(
            "{keep}\npublish: {{ file: state/m.json, set: {{ p: '${{kept.pct}}', n: '${{ledger.verified}}', s: '${{status}}' }} }}"
        ),
        "let: { one: two + 1, two: '1' }\nthreshold: { critical: one > two && prev.let.one > 3 }",
        "let: { n: '[1]' }\nremediation: [ { each: n, remove_file: { file: 'data/${it}.${len}' } } ]",
        "remediation:\n  steps: [ { run_checks: [b] } ]\n  verify: { until: 'status == \"ok\" && exists' }",
        "threshold: { critical: 'env(\"ALPACA_KEY\") == () && now > 3' }",
    ] {
        assert_eq!(seen(good), Vec::<String>::new(), "{good}");
    }
    for bad in [
        "threshold: { critical: kept.pct < 50 }",
        "threshold: { critical: status == \"ok\" }",
        "enough: prev.status == \"ok\"",
        "message: '${ledger.verified}'",
        "let: { a: it }",
        "let: { a: r }",
        "remediation: [ { remove_file: { file: 'data/${status}' } } ]",
        "remediation: [ { remove_file: { file: 'data/${it}' } } ]",
    ] {
        let found = seen(bad);
        assert!(
            found.len() == 1 && found[0].starts_with("unknown-name"),
            "{bad}: {found:?}"
        );
    }
    assert!(
        seen("let: { a: len }\nthreshold: { critical: prev.let.nope > 3 }")[0]
            .starts_with("unknown-property")
    );
}

#[test]
fn only_what_changed_is_compiled_again() {
    let world = World::new();
    let rules = world.root.path().join("rules");
    std::fs::create_dir(&rules).expect("made");
    let write = |name: &str, text: &str| std::fs::write(rules.join(name), text).expect("written");
    for name in ["a", "b", "c"] {
        write(
            &format!("{name}.yaml"),
            &format!("checks:\n{}", check(name, "")),
        );
    }
    let mut cache = Cache::default();
    let mut load = || {
        load(
            &rules,
            &world.overrides,
            &world.permission,
            &world.engine,
            &mut cache,
        )
    };
    let first = load().book.expect("a book");
    write("b.yaml", &format!("checks:\n{}", check("b", "timeout: 3s")));
    let second = load().book.expect("a book");
    let kept =
        |name: &str, one: &Book, two: &Book| Arc::ptr_eq(&one.checks[name], &two.checks[name]);
    assert!(kept("a", &first, &second) && kept("c", &first, &second));
    assert!(!kept("b", &first, &second));
    // A broken file and its mending leave the others as they are.
    write("b.yaml", "checks: [\n");
    assert_eq!(load().errors().count(), 1);
    write("b.yaml", &format!("checks:\n{}", check("b", "timeout: 3s")));
    let third = load().book.expect("a book");
    assert!(kept("a", &second, &third));
    assert_eq!(second.generation, third.generation);
    // Other `vars` reach every file.
    write("d.yaml", "vars: { need: 3 }\n");
    let fourth = load().book.expect("a book");
    assert!(!kept("a", &third, &fourth));
    assert!(
        diff(&third.outline, &fourth.outline).is_empty(),
        "nobody reads them"
    );
    std::fs::remove_file(rules.join("a.yaml")).expect("removed");
    let fifth = load().book.expect("a book");
    assert_eq!(
        diff(&fourth.outline, &fifth.outline).to_string(),
        "+0 ~0 -1 checks"
    );
}

#[test]
fn a_directory_is_named_from_the_root() {
    let world = World::new();
    let rules = world.root.path().join("rules");
    let load = || {
        load(
            &rules,
            &world.overrides,
            &world.permission,
            &world.engine,
            &mut Cache::default(),
        )
    };
    insta::assert_snapshot!(super::complaint::plain(&load().complaints), @r#"
    no-rules

      x rules: there are no rule files here
      help: write checks into a file like rules/critical.yaml, or name the directory with --rules
    "#);
    std::fs::create_dir(&rules).expect("made");
    assert_eq!(errors(&load()).len(), 1);
    std::fs::write(rules.join("a.yaml"), b"checks:\n  - name: \xff\n").expect("written");
    std::os::unix::fs::symlink("gone.yaml", rules.join("b.yaml")).expect("linked");
    let loaded = load();
    assert!(loaded.book.is_none());
    insta::assert_snapshot!(errors(&loaded).join("\n"), @r#"
    rules/a.yaml:2:11: error[not-utf8]: here stands a byte that is not UTF-8 (save the file as UTF-8)
    rules/b.yaml:1:1: error[unreadable]: could not read rules/b.yaml: is a link to gone.yaml, which is not there
    "#);
}

#[test]
fn the_generation_is_the_content() {
    let world = World::new();
    let text = format!("checks:\n{}", check("a", ""));
    let generation = |files: &[(&str, &str)]| world.load(files).book.expect("a book").generation;
    let base = generation(&[("a.yaml", &text)]);
    assert_eq!(
        base,
        generation(&[("a.yaml", &text), ("README.md", "x")]),
        "no rule file"
    );
    assert_ne!(base, generation(&[("b.yaml", &text)]));
    assert_ne!(base, generation(&[("a.yaml", &text), ("defaults/x", "")]));
    assert_ne!(base, generation(&[("a.yaml", &format!("{text}\n"))]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever happens to a file, loading ends, and complains about places that are there.
    #[test]
    fn no_file_breaks_the_loader(at in 0..EXAMPLE.len(), cut in 0..40usize, insert in "[ a-z:{}\\[\\]'\"|>&!#\n\t$-]{0,6}") {
        let floor = |at: usize| (0..=at.min(EXAMPLE.len())).rev().find(|at| EXAMPLE.is_char_boundary(*at)).unwrap_or(0);
        let text = format!("{}{insert}{}", &EXAMPLE[..floor(at)], &EXAMPLE[floor(at + cut)..]);
        let world = World::new();
        let loaded = world.load(&[("a.yaml", &text)]);
        prop_assert!(loaded.book.is_none() || loaded.errors().count() == 0);
        let lines = text.lines().count();
        for one in &loaded.complaints {
            let place = &one.mistake.place;
            prop_assert!(&*place.file == "rules/a.yaml" && (1..=lines + 1).contains(&place.line), "{}", one);
        }
        super::complaint::plain(&loaded.complaints);
    }
}

/// What stands in `rules/` of this repository loads without a word.
#[test]
fn the_shipped_rules_are_good() {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let settings = super::settings::load(here).expect("good settings");
    let permission = Permission::new(here, settings).expect("a permission");
    let loaded = load(
        &here.join("rules"),
        &BTreeMap::new(),
        &permission,
        &Engine::new(),
        &mut Cache::default(),
    );
    assert_eq!(told(&loaded.complaints), Vec::<String>::new());
    assert!(loaded.book.expect("a book").checks.len() >= 7);
}

const LAGS: &str = "checks:
  - name: lags
    about: The queue keeps up.
    trigger: { every: 5m }
    probe: { script: { file: rules/scripts/lag.rhai, args: { limit: 30 } } }
    threshold: { critical: lag_s > 30 }
    message: '${worst} lags ${lag_s} s'
    remediation:
      - run_script: { file: rules/scripts/fix.rhai, args: { worst: '${worst}' } }
";
const LAG: &str = "let lag = args.limit + 1;\n#{ lag_s: lag, worst: \"q\" }\n";
const FIX: &str = "[#{ remove_file: #{ file: `data/${args.worst}` } }]\n";

fn with_scripts<'a>(rules: &'a str, lag: &'a str, fix: &'a str) -> [(&'a str, &'a str); 3] {
    [
        ("a.yaml", rules),
        ("scripts/lag.rhai", lag),
        ("scripts/fix.rhai", fix),
    ]
}

#[test]
fn scripts_are_part_of_the_rules() {
    let world = World::new();
    let loaded = world.load(&with_scripts(LAGS, LAG, FIX));
    assert_eq!(told(&loaded.complaints), Vec::<String>::new());
    let book = loaded.book.expect("a book");
    let print = |book: &Book| {
        let outline = &book.checks["lags"].outline;
        let remedy = outline.remediation.as_ref().expect("it has one");
        (
            outline.fingerprint.clone(),
            remedy.fingerprint.clone(),
            book.generation.clone(),
        )
    };
    let before = print(&book);
    let changed = |lag: &str, fix: &str| {
        let loaded = world.load(&with_scripts(LAGS, lag, fix));
        print(&loaded.book.expect("a book"))
    };
    assert_eq!(changed(LAG, FIX), before);
    let other = LAG.replace("+ 1", "+ 2");
    let (check, ladder, generation) = changed(&other, FIX);
    assert!(check != before.0 && ladder == before.1 && generation != before.2);
    let (check, ladder, _) = changed(LAG, &FIX.replace("data", "state"));
    assert!(check != before.0 && ladder != before.1);
}

#[test]
fn mistakes_in_scripts_are_told_with_the_line_of_the_script() {
    let world = World::new();
    let lag = LAG.replace("args.limit", "args.limt");
    let fix = FIX.replace("args.worst", "args.worst + lenn");
    let loaded = world.load(&with_scripts(LAGS, &lag, &fix));
    assert_eq!(
        errors(&loaded),
        [
            "rules/scripts/fix.rhai:1:48: error[unknown-name] in lags: unknown name `lenn` (known here: args, now, vars)",
            "rules/scripts/lag.rhai:1:16: error[unknown-property] in lags: no property `limt` (did you mean `limit`?)",
        ]
    );
    let excerpt = loaded.complaints[1].to_json();
    assert_eq!(
        excerpt["line_text"]
            .as_str()
            .or(excerpt["excerpt"].as_str()),
        Some("let lag = args.limt + 1;"),
        "{excerpt}"
    );
    let fix = FIX.replace("args.worst", "args.wrst");
    assert_eq!(
        errors(&world.load(&with_scripts(LAGS, LAG, &fix))),
        [
            "rules/scripts/fix.rhai:1:40: error[unknown-property] in lags: no property `wrst` (did you mean `worst`?)"
        ]
    );
    // a fact that the script does not give is found where it is read
    let rules = LAGS.replace("lag_s > 30", "lag > 30");
    assert_eq!(
        errors(&world.load(&with_scripts(&rules, LAG, FIX))),
        [
            "rules/a.yaml:6:28: error[unknown-name] in lags: unknown name `lag` (known here: lag_s, now, prev, vars, worst)"
        ]
    );
    let rules = LAGS
        .replace("scripts/lag", "scripts/log")
        .replace("scripts/fix", "scripts/fixes");
    let loaded = world.load(&with_scripts(&rules, LAG, FIX));
    assert_eq!(
        errors(&loaded),
        [
            "rules/a.yaml:5:30: error[missing-script] in lags: there is no script `rules/scripts/log.rhai` (did you mean `rules/scripts/lag.rhai`?)",
            "rules/a.yaml:9:29: error[missing-script] in lags: there is no script `rules/scripts/fixes.rhai` (did you mean `rules/scripts/fix.rhai`?)",
        ]
    );
    assert_eq!(warnings(&loaded), ["unused-script", "unused-script"]);
    let rules = LAGS.replace("worst: '${worst}'", "worst: '${wrost}'");
    assert_eq!(
        errors(&world.load(&with_scripts(&rules, LAG, FIX))).len(),
        1
    );
}

#[test]
fn a_check_that_a_script_asks_about_must_be_there() {
    let world = World::new();
    let lag = "#{ lag_s: 1, worst: status_of(\"lagss\").message }\n";
    assert_eq!(
        errors(&world.load(&with_scripts(LAGS, lag, FIX))),
        [
            "rules/a.yaml:5:22: error[unknown-check] in lags: there is no check `lagss` (did you mean `lags`?)"
        ]
    );
}

#[test]
fn a_script_that_is_not_text_is_told_once() {
    let world = World::new();
    let mut sources: Sources = Sources::new();
    for (path, text) in with_scripts(LAGS, LAG, FIX) {
        sources.insert(path.to_owned(), Arc::from(text.as_bytes()));
    }
    sources.insert(
        "scripts/lag.rhai".to_owned(),
        Arc::from(&b"#{ a:\n \xFF }"[..]),
    );
    let loaded = load_sources(&sources, &world.overrides, &world.permission, &world.engine);
    assert_eq!(places(&loaded), ["not-utf8 2:2"]);
}

#[test]
fn rules_that_did_not_change_are_compiled_again_when_their_script_did() {
    let world = World::new();
    let dir = world.root.path().join("rules");
    let write = |lag: &str| {
        for (path, text) in with_scripts(LAGS, lag, FIX) {
            let path = dir.join(path);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            std::fs::write(path, text).expect("a file");
        }
    };
    let mut cache = Cache::default();
    let mut load = || {
        load(
            &dir,
            &world.overrides,
            &world.permission,
            &world.engine,
            &mut cache,
        )
    };
    write(LAG);
    assert!(load().book.is_some());
    write("#{ lag: 1 }");
    let names = errors(&load());
    assert_eq!(names.len(), 4, "lag_s and worst are read: {names:?}");
    write(LAG);
    assert!(load().book.is_some());
}

const NOTIFIERS: &str = r#"
calendars:
  night: { weekly: { Mon-Sun: '22:00-07:00' } }
notifiers:
  ops:
    about: Whoever has the watch.
    journal: logs/pages.jsonl
    webhook: { url: 'http://127.0.0.1:9/${env("ALPACA_KEY")}', template: slack }
    email: { to: [a@example.net], from: b@example.net, server: 'smtp://127.0.0.1:25' }
    command: { argv: [/usr/bin/systemctl, reload, '${notice.check}'] }
    alertmanager: { url: 'http://127.0.0.1:9093' }
    when: [warning, critical]
    after: 2m
    repeat: 4h
    repaired: true
    limit: 20 per 1h
    quiet: { calendar: night, but: [critical] }
    escalate: { after: 15m, to: [boss] }
  boss: { journal: logs/boss.jsonl, for: { tags: [vital], layers: [other], checks: [third] } }
  all: { journal: logs/all.jsonl, for: all, quiet: night }
defaults: { notify: [ops] }
checks:
"#;

#[test]
fn notifiers_say_whom_to_tell_of_what_and_when() {
    let world = World::new();
    let trigger = "trigger: { every: 1m }";
    let rules = format!(
        "{NOTIFIERS}{}{}{}",
        check("first", &format!("{trigger}\ntags: [vital]")),
        check("second", &format!("{trigger}\nnotify: [boss]")),
        check("third", &format!("{trigger}\nnotify: []")),
    );
    let other = format!("checks:\n{}", check("fourth", trigger));
    let loaded = world.load(&[("a.yaml", &rules), ("other.yaml", &other)]);
    assert_eq!(told(&loaded.complaints), [""; 0]);
    let book = loaded.book.expect("a book");
    let ops = &book.notifiers["ops"];
    let kinds: Vec<&str> = ops.channels.iter().map(|it| it.kind()).collect();
    assert_eq!(kinds, ["webhook", "email", "command", "alertmanager"]);
    assert_eq!(ops.journal.as_deref(), Some("logs/pages.jsonl"));
    let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
    assert_eq!(
        ops.policy,
        crate::incident::Policy {
            when: vec![Status::Warning, Status::Critical],
            after: minutes(2),
            limit: Some((20, minutes(60))),
            repeat: Some(minutes(240)),
            repaired: true,
            quiet: Some(("night".into(), vec![Status::Critical])),
            escalate: Some((minutes(15), vec!["boss".into()])),
        }
    );
    let boss = &book.notifiers["boss"].policy;
    assert_eq!(*boss, crate::incident::Policy::default());
    let listeners = |name: &str| -> Vec<&str> {
        let found = book.listeners.get(name);
        found.into_iter().flatten().map(|it| &**it).collect()
    };
    assert_eq!(listeners("first"), ["all", "boss", "ops"], "by its tag");
    assert_eq!(
        listeners("second"),
        ["all", "boss"],
        "its own words replace the defaults"
    );
    assert_eq!(listeners("third"), ["all", "boss"], "named by the notifier");
    assert_eq!(
        listeners("fourth"),
        ["all", "boss"],
        "by its layer, the name of its file"
    );
}

#[test]
fn mistakes_of_notifiers_are_told_where_they_stand() {
    let world = World::new();
    let wrong = |body: &str| {
        let rules = format!(
            "notifiers:\n  ops: {{ journal: logs/ops.jsonl, {body} }}\nchecks:\n{}",
            check("one", "trigger: { every: 1m }")
        );
        errors(&world.load(&[("a.yaml", &rules)])).join("\n")
    };
    for (body, told) in [
        ("when: []", "names no status"),
        ("when: [ok]", "bad-value"),
        ("after: 30d", "`after` cannot be 30days"),
        ("repeat: 5s", "`repeat` cannot be 5s"),
        ("limit: many", "is no limit"),
        ("quiet: nights", "there is no calendar `nights`"),
        ("quiet: { but: [critical] }", "`calendar` is missing"),
        (
            "escalate: { after: 5m, to: [bos] }",
            "there is no notifier `bos`",
        ),
        (
            "escalate: { after: 5m, to: [ops] }",
            "take over from itself",
        ),
        (
            "escalate: { after: 0s, to: [ops] }",
            "nobody can acknowledge within 0s",
        ),
        ("escalate: { to: [ops] }", "`after` is missing"),
        ("for: some", "`all`, or a map"),
        ("for: { checks: [] }", "`for` means no check"),
        ("for: { checks: [two] }", "there is no check `two`"),
        ("webhook: http://127.0.0.1/", "a map like `webhook: {"),
        (
            "webhook: { url: 'http://127.0.0.1/', template: irc }",
            "irc",
        ),
        ("sms: { to: 1 }", "unknown-key"),
    ] {
        let said = wrong(body);
        assert!(said.contains(told), "{body}: {said}");
    }
    let silent = "notifiers: { ops: { when: [critical] } }\nchecks:\n".to_owned();
    let loaded = world.load(&[(
        "a.yaml",
        &format!("{silent}{}", check("one", "trigger: { every: 1m }")),
    )]);
    assert!(errors(&loaded).join("").contains("`ops` has no channel"));
    let unknown = format!(
        "checks:\n{}",
        check("one", "trigger: { every: 1m }\nnotify: [ops]")
    );
    let loaded = world.load(&[("a.yaml", &unknown)]);
    assert!(
        errors(&loaded)
            .join("")
            .contains("there is no notifier `ops`")
    );
}

#[test]
fn a_notifier_that_reads_what_is_not_listed_is_warned_of() {
    let rules = format!(
        "notifiers:\n  ops: {{ webhook: {{ url: '${{env(\"SLACK_URL\")}}' }} }}\nchecks:\n{}",
        check("one", "trigger: { every: 1m }\nnotify: [ops]")
    );
    let loaded = World::new().load(&[("a.yaml", &rules)]);
    assert_eq!(warnings(&loaded), ["unlisted-env"]);
}
