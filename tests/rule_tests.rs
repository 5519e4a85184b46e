//! Rule tests in virtual time: what a `tests:` block can say of time, patience, ladders, commands and guards; and that a
//! wrong expectation is told.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use homeostat::{
    permission::{Permission, Settings},
    rules::load::load_sources,
    script::Engine,
    simulate::{self, Lab, Results},
};

const RULES: &str = "
checks:
  - name: load
    about: The load is bearable.
    trigger: { every: 1m }
    probe: { json: { file: data/load.json } }
    value: doc.load
    threshold:
      critical: { above: 3.0, clear: 2.0 }
      for: 2 of 3
      recover: 2
    message: 'load ${doc.load}'
    keep: { score: 'if status == \"ok\" { min(10, kept.score + 1) } else { kept.score - 1 }' }
    keep_start: { score: 5 }
  - name: service
    about: The service answers.
    trigger: { every: 1m, events: [ { event: deployed } ] }
    probe: { file: { file: data/up } }
    threshold: { critical: missing }
    message: 'the service is ${if exists { \"up\" } else { \"down\" }}'
    remediation:
      steps:
        - run_command: { argv: [/usr/bin/systemctl, reload, service] }
        - - run_command: { argv: [/usr/bin/systemctl, restart, service], timeout: 30s }
          - write_file: { file: state/note.txt, body: restarted }
      verify: { within: 2m }
      guard: { cooldown: 5m, limit: 4 per 1h, breaker: 3 }
  - name: quiet
    about: Nothing is wrong here.
    trigger: { every: 1h }
    probe: { file: { file: data/quiet } }
    threshold: { warning: exists }
    message: quiet
tests:
";

fn run(tests: &str) -> Results {
    let root = tempfile::tempdir().expect("a directory");
    let settings = Settings {
        allow: homeostat::permission::settings::Allow {
            run: vec!["/usr/bin/systemctl * service".to_owned()],
            ..Default::default()
        },
        ..Settings::default()
    };
    let permission = Permission::new(root.path(), settings.clone()).expect("a permission");
    let engine = Engine::new();
    let text = format!("{RULES}{tests}");
    let sources: BTreeMap<String, Arc<[u8]>> =
        [("rules.yaml".to_owned(), Arc::from(text.as_bytes()))].into();
    let loaded = load_sources(&sources, &BTreeMap::new(), &permission, &engine);
    let told: Vec<String> = loaded.complaints.iter().map(ToString::to_string).collect();
    let book = Arc::new(loaded.book.unwrap_or_else(|| panic!("{told:#?}")));
    let lab = Lab {
        book: &book,
        rules: Path::new("rules"),
        settings: &settings,
        engine: &engine,
    };
    simulate::run(lab, &|_| true)
}

fn failures(tests: &str) -> Vec<String> {
    run(tests)
        .outcomes
        .into_iter()
        .flat_map(|outcome| outcome.failures)
        .map(|failure| failure.message)
        .collect()
}

fn passes(tests: &str) {
    let failures = failures(tests);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn patience_and_hysteresis_over_a_series() {
    passes(
        "
  - name: two of three, and clear twice
    step: 1m
    series: { load: { doc: '_' } }
    expect: [ { at: 0s, load: { status: unknown, error: { contains: doc } } } ]
  - name: files over time
    files: { data/load.json: { json: { load: 1.0 } } }
    checks: [load]
    then:
      - { at: 90s, files: { data/load.json: { json: { load: 4.0 } } } }
      - { at: 210s, files: { data/load.json: { json: { load: 2.5 } } } }
      - { at: 330s, files: { data/load.json: { json: { load: 1.5 } } } }
    step: 1m
    statuses: { load: 'ok ok ok critical critical critical critical ok' }
    expect:
      - { at: 1m, load: { kept: { score: 7 } } }
      - { at: 4m, load: { seen: critical, message: 'load 2.5' } }
",
    );
}

#[test]
fn a_ladder_of_commands_climbs_rests_and_is_quarantined() {
    passes(
        "
  - name: a reload does not help, a restart does
    checks: [service]
    commands:
      - { run: /usr/bin/systemctl restart service, does: { files: { data/up: { text: '' } } } }
    expect:
      - at: 10m
        service: { status: ok, verified: true, acts: [ { at: 0s, rung: 1, end: failed }, { rung: 2, end: verified, steps: [run_command, write_file] } ] }
        ran: [ /usr/bin/systemctl reload service, /usr/bin/systemctl restart service ]
        files: { state/note.txt: { text: restarted } }
  - name: a failing command ends its rung
    checks: [service]
    commands: [ { run: /usr/bin/systemctl restart *, exit: 1, says: no such unit } ]
    expect:
      - at: 4m
        service: { status: critical, verified: false, notes: [escalated], steps: [ { kind: run_command, outcome: failed, detail: { contains: no such unit } } ] }
        files: { state/note.txt: absent }
  - name: three in a row that do not help are quarantined
    checks: [service]
    expect:
      - { at: 14m, service: { status: critical, notes: [escalated, quarantined], held_by: breaker } }
  - name: an event looks at once
    files: { data/up: { text: '' } }
    checks: [service]
    then:
      - { at: 10s, files: { data/up: absent }, event: deployed }
    expect:
      - { at: 11s, service: { seen: critical } }
  - name: the kill switch
    checks: [service]
    paused: true
    then: [ { at: 3m, paused: false } ]
    expect:
      - { at: 2m, service: { held_by: pause, acts: [] } }
      - { at: 3m, service: { acts: [3m] } }
",
    );
}

#[test]
fn what_is_not_as_expected_is_told_with_the_reason() {
    let told = failures(
        "
  - name: all wrong
    files: { data/load.json: { json: { load: 4.0 } } }
    dry: true
    expect:
      load: { status: ok, message: fine, decision: repaired, let: { nothing: 1 }, facts: { len: 2 }, no_data: true, error: oh }
      service: { status: critical, before: warning, steps: [remove_file], held_by: pause, verified: true, notes: [rearmed], acts: [1m] }
      files: { data/load.json: absent, data/none: present }
      ran: [ /bin/true ]
",
    );
    let told = told.join("\n");
    for part in [
        "load: expected status OK, saw CRITICAL",
        "critical: ",
        "load: expected the message \"fine\", saw \"load 4.0\"",
        "load: expected decision repaired, saw none",
        "load: expected let nothing 1, saw nothing",
        "load: expected fact len 2, saw 1",
        "load: expected no_data true, saw false",
        "load: expected the error \"oh\", saw nothing",
        "service: expected before WARNING, saw nothing",
        "service: expected the steps [\"remove_file\"], saw [\"run_command",
        "service: expected held by pause, saw nothing",
        "service: expected verified true, saw nothing",
        "service: expected the notes rearmed, saw ",
        "service: expected acts 1 of them as told, saw []",
        "data/load.json: expected nothing, and there is something",
        "data/none: expected a file, and there is none",
        "expected the commands [\"/bin/true\"], saw []",
    ] {
        assert!(told.contains(part), "{part}\n\nnot in\n\n{told}");
    }
}

#[test]
fn slips_in_a_test_are_failures_and_what_no_test_sees_is_named() {
    let told = failures(
        "
  - name: a fact that the probe does not give
    facts: { load: { lod: 3 } }
    expect: { load: ok }
",
    );
    assert!(told[0].contains("gives no fact `lod`"), "{told:?}");
    let results = run("
  - name: only one level
    files: { data/load.json: { json: { load: 1.0 } } }
    expect: { load: unknown }
");
    let gaps = results.gaps.join("\n");
    assert!(gaps.contains("load: critical is never tested"), "{gaps}");
    assert!(gaps.contains("quiet: never tested"), "{gaps}");
}

#[test]
fn a_week_of_rules_takes_no_week() {
    passes(
        "
  - name: a week
    files: { data/up: { text: '' }, data/load.json: { json: { load: 1.0 } } }
    checks: [service, load, quiet]
    expect: [ { at: 7d, service: ok, load: ok, quiet: ok } ]
",
    );
}
