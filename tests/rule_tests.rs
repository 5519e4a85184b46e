//! Rule tests in virtual time: what a `tests:` block can say of time, patience, ladders, commands and guards; that a wrong
//! expectation is told with its reason; that a slip in a test never passes. The examples of `docs/testing-rules.md` are run.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use homeostat::{
    permission::{Permission, Settings, settings::Allow},
    rules::load::load_sources,
    script::Engine,
    simulate::{self, Lab, Results},
};

const RULES: &str = r#"
vars: { most: 3.0 }
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
    keep: { score: 'if status == "ok" { min(10, kept.score + 1) } else { kept.score - 1 }' }
    keep_start: { score: 5 }
    publish: { file: state/score.json, set: { score: '${kept.score}' } }
  - name: service
    about: The service answers.
    trigger: { every: 1m, events: [ { event: deployed } ] }
    probe: { file: { file: data/up } }
    threshold: { critical: missing }
    message: 'the service is ${if exists { "up" } else { "down" }}'
    publish: { file: state/service.json, set: { repairs: '${ledger.verified}' } }
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
  - name: remote
    about: The tool is content.
    trigger: { every: 2m }
    probe: { command: { argv: [/usr/bin/tool], parse: json } }
    let: { level: json.level }
    threshold: { critical: level > vars.most, warning: level > 1 }
    message: 'level ${level}${if env("KEY") == () { "" } else { `, key ${env("KEY")}` }}'
    remediation:
      - write_file: { file: state/level.json, body: { level: 0 } }
  - name: two
    about: Two looks agree.
    trigger: { every: 1m }
    probes:
      one: { json: { file: data/one.json } }
      other: { json: { file: data/other.json } }
    threshold: { critical: one.len != other.len }
    message: '${one.len} and ${other.len}'
  - name: unwise
    about: It is undone when it does not help.
    trigger: { every: 10m }
    probe: { file: { file: data/wish } }
    threshold: { critical: missing }
    message: wishing
    remediation:
      steps: [ write_file: { file: data/attempt.txt, body: tried } ]
      verify: { within: 30s }
      rollback: true
  - name: forbidden
    about: Its program may not run.
    trigger: { every: 1m }
    probe: { file: { file: data/wish } }
    threshold: { critical: missing }
    message: wishing
    remediation:
      - run_command: { argv: ['${"/usr/bin/" + "other"}', now] }
  - name: calls
    about: A request is sent.
    trigger: { every: 1m }
    probe: { file: { file: data/call } }
    threshold: { critical: exists }
    message: calling
    remediation:
      - - call_http: { url: 'http://127.0.0.1:1/flush/${1 + 1}', json: { n: 1 } }
        - write_file: { file: state/called.txt, body: by hand }
  - name: stuck
    about: The bot is not stuck.
    trigger: { every: 1m }
    probe: { process: { name: bot } }
    threshold: { critical: cpu_pct > 90 }
    message: '${cpu_pct} %'
    remediation:
      steps:
        - signal_process: { cmdline: 'sh', pid_file: state/bot.pid, signal: HUP }
        - signal_process: { name: bot, all: true, signal: KILL, within: 5s }
      verify: { within: 30s }
  - name: locks
    about: No lock is old.
    trigger: { every: 10m }
    probe: { file: { file: [data/a.lock, data/b.lock] } }
    let: { stale: 'files.filter(|f| f.exists && f.age_s > 300).pluck("path")' }
    threshold: { critical: 'files.any(|f| f.exists)' }
    message: '${stale.join(", ")}'
    remediation:
      - { each: stale, remove_file: { file: '${it}', older_than: 300s } }
  - name: all
    about: The others stand well.
    trigger: { every: 1m }
    probe: { status: { checks: [service, quiet] } }
    threshold: { critical: 'worst == "critical"', warning: 'worst == "warning"' }
    message: 'worst is ${worst}'
  - name: asks
    about: It has others looked at.
    trigger: { every: 30m }
    probe: { file: { file: data/asks } }
    threshold: { critical: exists }
    message: asking
    remediation:
      steps: [ run_checks: [service, unwise], remove_file: { file: data/asks } ]
  - name: asks_in_order
    about: It has another looked at, then goes on.
    trigger: { every: 30m }
    probe: { file: { file: data/asks } }
    threshold: { critical: exists }
    message: asking
    remediation:
      steps:
        - - run_checks: [service]
          - remove_file: { file: data/asks }
      verify: { within: 1m }
  - name: fresh
    about: The stamp is fresh.
    trigger: { every: 30s }
    probe: { file: { file: state/stamp } }
    threshold: { critical: missing || age_s > 60 || age_s < 0 }
    message: '${if missing { "missing" } else { age_s.fixed(0) }}'
    remediation: [ { write_file: { file: state/stamp, body: stamp } } ]
  - name: sized
    about: There is something in it.
    trigger: { every: 1m }
    probe: { file: { file: data/sized } }
    threshold: { critical: missing }
    message: sized
    remediation:
      steps: [ write_file: { file: data/sized, body: '' } ]
      verify: { within: 30s, until: 'status == "ok" && size > 0' }
  - name: outside
    about: The machine has a load.
    trigger: { every: 1m }
    probe: { file: { file: /proc/loadavg } }
    threshold: { critical: missing }
    message: outside
  - name: noted
    about: Nobody had to restart it.
    trigger: { every: 1h, events: [ { file: state/note.txt } ] }
    probe: { file: { file: state/note.txt } }
    threshold: { warning: exists }
    message: noted
investigations:
  - name: why
    about: What is wrong with the service.
    trigger: { events: [ { check: quiet, status: [warning] } ] }
    cause: noise
    checks: [service, load]
tests:
"#;

fn settings() -> Settings {
    let run = [
        "/usr/bin/systemctl * service",
        "/usr/bin/tool",
        "/usr/bin/loadavg",
    ];
    Settings {
        allow: Allow {
            run: run.map(str::to_owned).to_vec(),
            read: vec!["/proc/loadavg".to_owned()],
            signal: vec!["/opt/bot *".to_owned()],
            ..Allow::default()
        },
        env: vec!["KEY".to_owned()],
        ..Settings::default()
    }
}

/// Loads a rule file and runs its tests.
fn run_file(text: &str) -> Results {
    let root = tempfile::tempdir().expect("a directory");
    let settings = settings();
    let permission = Permission::new(root.path(), settings.clone()).expect("a permission");
    let engine = Engine::new();
    let sources: BTreeMap<String, Arc<[u8]>> =
        [("rules.yaml".to_owned(), Arc::from(text.as_bytes()))].into();
    let loaded = load_sources(&sources, &BTreeMap::new(), &permission, &engine);
    let told: Vec<String> = loaded.complaints.iter().map(ToString::to_string).collect();
    let book = loaded.book.unwrap_or_else(|| panic!("{told:#?}"));
    let lab = Lab {
        book: &book,
        rules: Path::new("rules"),
        settings: &settings,
        engine: &engine,
    };
    simulate::run(lab, &|_| true)
}

fn run(tests: &str) -> Results {
    run_file(&format!("{RULES}{tests}"))
}

/// Every failure with its place, counted from the first line after the rules.
fn failures(tests: &str) -> Vec<String> {
    told(run(tests), RULES.lines().count())
}

fn told(results: Results, rules: usize) -> Vec<String> {
    let failures = results
        .outcomes
        .into_iter()
        .flat_map(|outcome| outcome.failures);
    failures
        .map(|failure| {
            let (line, column) = (failure.place.line - rules, failure.place.column);
            format!("{line}:{column} {}", failure.message)
        })
        .collect()
}

#[track_caller]
fn passes(tests: &str) {
    let failures = failures(tests);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The failures of one test without their lines, which change with the rules above.
fn slips(test: &str) -> String {
    let failures = failures(test);
    let bare = failures
        .iter()
        .map(|text| text.split_once(' ').map_or("", |(_, rest)| rest));
    bare.collect::<Vec<_>>().join("\n")
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
fn a_series_has_the_step_of_its_check() {
    passes(
        "
  - name: every two minutes
    facts: { remote: { json: { level: 9 } } }
    then: [ { at: 3m, facts: { remote: { json: { level: 0 } } } } ]
    statuses: { remote: 'critical critical ok _ ok' }
  - name: a fact of one of several looks
    series: { two: { one.len: 1x2 2, other.len: 1 } }
    statuses: { two: okx2 criticalx2 }
    expect: [ { at: 2m, two: { facts: { one.len: 2, other: { len: 1 } } } } ]
",
    );
    assert_eq!(
        slips(
            "
  - name: two intervals
    series: { remote: { json: 1 }, load: { doc: 1 } }
    expect: [ { at: 0s, remote: unknown } ]
"
        ),
        "how far are the values apart? The checks have not one interval\n  say it: `step: 5m`"
    );
}

#[test]
fn values_follow_virtual_time() {
    passes(
        "
  - name: facts that grow
    facts: { remote: { json: { level: '${elapsed / 60}' } } }
    expect:
      - { at: 0s, remote: { status: ok, let: { level: 0 } } }
      - { at: 2m, remote: { status: warning, let: { level: '${elapsed / 60}' } } }
      - { at: 4m, remote: { status: critical, message: { matches: '^level 4(\\.0)?$' } } }
  - name: files too
    at: 1767625200
    env: { KEY: k }
    vars: { most: 9 }
    facts: { remote: { json: { level: 4 } } }
    files:
      data/quiet: { text: 'at ${now}' }
      data/one.json: { json: { a: '${i + 1}' } }
    expect:
      remote: { status: warning, message: 'level 4, key k' }
      files: { data/quiet: { text: { contains: 'at 1767625200' } }, data/one.json: { json: { a: 1.0 } } }
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
        service: { status: ok, verified: true, decision: repaired, acts: [ { at: 0s, rung: 1, end: failed }, { rung: 2, end: verified, steps: [run_command, write_file] } ] }
        ran: [ /usr/bin/systemctl reload service, /usr/bin/systemctl restart service ]
        files: { state/note.txt: { text: restarted } }
  - name: a failing command ends its rung
    checks: [service]
    commands: [ { run: /usr/bin/systemctl restart *, exit: 1, says: no such unit } ]
    expect:
      - at: 4m
        service: { status: critical, verified: false, notes: [escalated], steps: [ { kind: run_command, outcome: failed, detail: { contains: no such unit } } ] }
        files: { state/note.txt: absent }
  - name: a request is answered here and goes nowhere
    checks: [calls]
    files: { data/call: { text: '' } }
    commands: [ { run: [ POST, 'http://127.0.0.1:1/flush/2' ], does: { files: { data/call: absent } } } ]
    expect:
      - at: 1m
        calls: { status: ok, verified: true, steps: [ { kind: call_http, outcome: done }, write_file ] }
        ran: [ 'POST http://127.0.0.1:1/flush/2' ]
  - name: a request that fails ends its rung
    checks: [calls]
    files: { data/call: { text: '' } }
    commands: [ { run: [ POST, '*' ], exit: 1, says: answered 503 } ]
    expect:
      - at: 1m
        calls: { status: critical, steps: [ { kind: call_http, outcome: failed, detail: { contains: answered 503 } } ] }
        files: { state/called.txt: absent }
  - name: a signal is answered here and no process is looked at
    checks: [stuck]
    facts: { stuck: { cpu_pct: 100 } }
    commands:
      - { run: signal_process HUP *, exit: 1, says: no effect }
      - { run: [ signal_process, KILL, bot ], does: { facts: { stuck: { cpu_pct: 3 } } } }
    expect:
      - at: 5m
        stuck: { status: ok, verified: true, acts: [ { rung: 1, end: failed }, { rung: 2, end: verified } ], steps: [ { kind: signal_process, target: bot, outcome: done } ] }
        ran: [ [ signal_process, HUP, sh of state/bot.pid ], signal_process KILL bot ]
  - name: it fails once, then works
    checks: [service]
    commands:
      - { run: [ /usr/bin/systemctl, '*', service ], exit: 3, times: 1 }
      - { run: /usr/bin/systemctl restart service, does: { files: { data/up: { text: '' } } } }
    expect:
      - at: 10m
        service: { status: ok, acts: [ { rung: 1, steps: [ { detail: exit 3 } ] }, { rung: 2, end: verified } ] }
  - name: three in a row that do not help are quarantined
    checks: [service]
    expect:
      - { at: 14m, service: { status: critical, notes: [escalated, quarantined], decision: held, held_by: breaker } }
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
      - { at: 2m, service: { held_by: pause, decision: held, acts: [] } }
      - { at: 3m, service: { acts: [3m], decision: repaired, verified: null } }
",
    );
}

#[test]
fn what_was_done_in_vain_is_undone() {
    passes(
        "
  - name: rolled back
    files: { data/attempt.txt: { text: before } }
    checks: [unwise]
    expect:
      - { at: 10s, files: { data/attempt.txt: { text: tried } }, unwise: { acts: [ { at: 0s, end: open } ] } }
      - { at: 2m, files: { data/attempt.txt: unchanged }, unwise: { status: critical, notes: [escalated, rolled_back], decision: failed } }
",
    );
}

#[test]
fn guards_and_permissions_hold_in_a_test_as_they_do_in_earnest() {
    passes(
        "
  - name: a program that may not run
    expect:
      forbidden: { status: critical, decision: held, held_by: permission, steps: [], verified: null }
      ran: []
  - name: nothing old enough
    files: { data/a.lock: { text: '', age: 10s } }
    expect: { locks: { status: critical, decision: held, held_by: no_target } }
  - name: only what is old enough
    files: { data/a.lock: { text: '', age: 301s }, data/b.lock: { text: '', age: 10s } }
    expect:
      locks: { decision: failed, verified: false, before: critical, steps: [ { kind: remove_file, target: data/a.lock } ] }
      files: { data/a.lock: absent, data/b.lock: present }
",
    );
}

#[test]
fn a_repair_is_proven_as_its_rule_says() {
    passes(
        "
  - name: OK is not enough
    expect: { sized: { status: ok, before: critical, decision: failed, verified: false } }
  - name: until it is so
    then: [ { after: sized, files: { data/sized: { text: x } } } ]
    expect: { sized: { status: ok, verified: true } }
",
    );
}

#[test]
fn a_test_sees_its_own_world_only() {
    passes(
        "
  - name: not the machine it runs on
    expect: { outside: { status: unknown, error: { contains: /proc/loadavg } } }
",
    );
}

#[test]
fn a_dry_run_does_nothing() {
    passes(
        "
  - name: dry
    dry: true
    files: { data/load.json: { json: { load: 9 } }, data/asks: { text: '' } }
    expect:
      service: { status: critical, decision: would, verified: null, steps: [ { kind: run_command, outcome: would } ], acts: [] }
      asks_in_order: { decision: would, steps: [run_checks, remove_file] }
      load: { status: critical, kept: {} }
      files: { state/note.txt: absent, state/score.json: absent, data/asks: unchanged }
      ran: []
",
    );
}

#[test]
fn checks_that_are_run_by_a_step_are_looked_at_before_the_rung_goes_on() {
    passes(
        "
  - name: in order
    files: { data/asks: { text: '' } }
    checks: [asks_in_order]
    commands: [ { run: /usr/bin/systemctl reload service, does: { files: { data/up: { text: '' } } } } ]
    expect:
      asks_in_order: { status: ok, verified: true, steps: [ { kind: run_checks, detail: service OK }, remove_file ] }
      service: { status: ok, before: critical, verified: true }
      ran: [ /usr/bin/systemctl reload service ]
",
    );
}

#[test]
fn what_is_only_asked_for_does_not_run_by_itself() {
    passes(
        "
  - name: nobody asks
    checks: [asks]
    expect: [ { at: 2h, asks: ok, ran: [] } ]
  - name: somebody asks
    checks: [asks]
    then: [ { at: 30s, files: { data/asks: { text: '' } } } ]
    expect:
      - { at: 29m, ran: [] }
      - { at: 30m, ran: [ /usr/bin/systemctl reload service ], service: { status: critical, acts: [ 30m ] } }
",
    );
}

#[test]
fn what_steps_write_is_as_old_as_its_writing_and_raises_its_events() {
    passes(
        "
  - name: a file that ages
    checks: [fresh]
    expect:
      - { at: 0s, fresh: { status: ok, verified: true, acts: [ 0s ], facts: { age_s: 0 } } }
      - { at: 60s, fresh: { status: ok, facts: { age_s: 60 } } }
      - { at: 90s, fresh: { status: critical, message: '90', held_by: cooldown } }
  - name: a file that is written sets others off
    checks: [service, noted]
    expect:
      - { at: 2m, noted: ok, service: { acts: [ 0s ] } }
      - { at: 3m, noted: warning, service: { acts: [ { rung: 1 }, { rung: 2 } ] } }
",
    );
}

#[test]
fn one_check_may_ask_how_others_stand() {
    passes(
        "
  - name: as of their last look
    files: { data/up: { text: '' }, data/quiet: { text: '' } }
    checks: [service, quiet, all]
    expect: { all: { status: warning, message: worst is warning } }
",
    );
}

#[test]
fn investigations_are_begun_now_or_by_their_trigger() {
    passes(
        "
  - name: now
    investigate: why
    files: { data/load.json: { json: { load: 1 } } }
    expect: { service: { status: critical, decision: failed }, load: ok }
  - name: by its trigger
    checks: [quiet, why]
    files: { data/load.json: { json: { load: 1 } } }
    then: [ { at: 1m, files: { data/quiet: { text: '' } } } ]
    expect:
      - { at: 59m, quiet: ok }
      - { at: 1h, quiet: warning, service: { status: critical, acts: [ { at: 1h, rung: 1 } ] }, load: ok }
",
    );
}

#[test]
fn what_is_published_and_kept_is_to_be_seen() {
    passes(
        "
  - name: published after every look
    files: { data/load.json: { json: { load: 1 } }, state/score.json: { json: { other: 1 } } }
    checks: [load, service]
    commands: [ { run: /usr/bin/systemctl reload service, does: { files: { data/up: { text: '' } } } } ]
    expect:
      - { at: 0s, load: { kept: { score: 6 } }, files: { state/score.json: { json: { other: 1, score: 6 } }, state/service.json: { json: { repairs: 0 } } } }
      - { at: 1m, files: { state/score.json: { has: { score: 7 } }, state/service.json: { has: { repairs: 1 } } } }
",
    );
}

#[test]
fn changes_come_when_a_repair_has_acted() {
    passes(
        "
  - name: the first act does not help, the second does
    facts: { remote: { json: { level: 9 } } }
    then:
      - { after: remote, facts: { remote: { json: { level: 8 } } } }
      - { after: remote, act: 2, facts: { remote: { json: { level: 0 } } }, files: { data/x: { text: '' } } }
    expect:
      - at: 0s
        remote: { status: critical, seen: critical, message: level 8, acts: [ 0s ] }
        files: { state/level.json: { has: { level: 0 } }, data/x: absent }
      - at: 40m
        remote: { status: ok, acts: [ { at: 0s, end: failed }, { end: verified } ] }
        files: { data/x: present }
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
      load: { status: ok, message: fine, decision: repaired, facts: { len: 2 }, no_data: true, error: oh, kept: { score: 1 } }
      service: { status: critical, before: warning, steps: [remove_file], held_by: pause, verified: true, notes: [rearmed], acts: [1m] }
      files: { data/load.json: absent, data/none: present, state/note.txt: { json: {} } }
      ran: [ /bin/true ]
",
    );
    insta::assert_snapshot!(told.join("\n"), @r#"
        6:23 load: expected status OK, saw CRITICAL
          seen: CRITICAL "load 4.0"
          critical: doc.load (doc={"load":4.0})
          facts: exists=true missing=false valid=true parse_error=null doc={"load":4.0} len=1 age_s=0.0
        6:36 load: expected the message "fine", saw "load 4.0"
        6:52 load: expected decision repaired, saw none
        6:76 load: expected fact len 2, saw 1
        6:90 load: expected no_data true, saw false
        6:103 load: expected the error "oh", saw nothing
        6:122 load: expected kept score 1, saw nothing
        7:44 service: expected before WARNING, saw no repair
          seen: CRITICAL "the service is down"
          critical: missing (missing=true)
          facts: exists=false missing=true age_s=null size=null modified=null mode=null
          0s rung 1 [run_command] would
            run_command /usr/bin/systemctl reload service would: would run /usr/bin/systemctl reload service
        7:60 service: expected the steps [remove_file], saw [run_command /usr/bin/systemctl reload service would]
        7:84 service: expected held by pause, saw nothing
        7:101 service: expected verified true, saw null
        7:114 service: expected the notes [rearmed], saw []
        7:131 service: expected the acts [1m], saw []
        8:32 data/load.json: expected nothing, saw "{\n  \"load\": 4.0\n}\n"
        8:51 data/none: expected a file, saw nothing
        8:76 state/note.txt: expected a file, saw nothing
        9:12 commands: expected [/bin/true], saw []
        "#);
    let told = failures(
        "
  - name: another time, another rung
    checks: [service]
    expect: [ { at: 3m, service: { acts: [ 1s, { rung: 3, end: open } ], held_by: limit, decision: none } } ]
  - name: a body is compared piece by piece
    checks: [quiet]
    files: { data/x.json: { json: { a: [ 1, { b: 2 } ] } }, data/y: { text: \"one\\ntwo\" }, data/z: directory }
    then: [ { at: 1m, files: { data/y: { append: [ three ] } } } ]
    statuses: { quiet: ok warning }
    expect:
      - at: 2m
        files:
          data/x.json: { json: { a: [ 1, { b: 3 } ] }, has: { c: 1 } }
          data/y: { text: { contains: four }, lines: 4, has: { a: 1 } }
          data/z: { text: '' }
",
    );
    insta::assert_snapshot!(told.join("\n"), @r#"
        4:42 at 3m: service: expected the acts [1s, rung 3 open], saw [0s rung 1 [run_command] failed, 2m 10s rung 2 [run_command, write_file] open]
          seen: CRITICAL "the service is down"
          critical: missing (missing=true)
          facts: exists=false missing=true age_s=null size=null modified=null mode=null
          0s rung 1 [run_command] failed
            run_command /usr/bin/systemctl reload service done: exit 0
          2m 10s rung 2 [run_command, write_file] open
            run_command /usr/bin/systemctl restart service done: exit 0
            write_file state/note.txt done: made state/note.txt (9 bytes)
        4:83 at 3m: service: expected held by limit, saw nothing
        4:100 at 3m: service: expected decision none, saw repaired
        9:24 at 1h: quiet: expected the statuses ok warning, saw okx2
        13:32 at 2m: data/x.json: expected .a[1].b 3, saw 2
        13:61 at 2m: data/x.json: expected .c 1, saw nothing
        14:27 at 2m: data/y: expected something with "four", saw "one\ntwothree\n"
        14:54 at 2m: data/y: expected lines 4, saw 2
        14:62 at 2m: data/y: expected JSON like {"a":1}, saw "one\ntwothree\n"
        15:19 at 2m: data/z: expected a file, saw a directory
        "#);
}

#[test]
fn slips_in_a_test_never_pass() {
    insta::assert_snapshot!(slips(
        "
  - name: names that are not there
    checks: [lod]
    vars: { mst: 1 }
    env: { KEYS: x }
    facts: { load: { lod: 3 }, two: { one: {}, tow: {} } }
    series: { remote: { jsn: 1 } }
    then: [ { after: quiet, event: x } ]
    expect:
      load: { held_by: cooldwn, kept: { scor: 1 }, facts: { dok: 1 } }
      remote: { let: { levl: 1 } }
      servce: ok
      files: { data/x: { from: rules/defaults/none.json } }
"
    ), @r"
        there is no `vars.mst`
          did you mean `most`?
        homeostat.yaml does not list `KEYS`: no rule can read it
          did you mean `KEY`?
        the probe of load has no fact `lod`
          there are exists, missing, valid, parse_error, doc, len, age_s
        the probe of two has no fact `tow`
          there are one, other
        quiet has no remediation that could act
        the probe of remote has no fact `jsn`
          did you mean `json`?
        there is no check `lod`
          did you mean `load`?
        there is no check `servce`
          did you mean `service`?
        the probe of load has no fact `dok`
          did you mean `doc`?
        load has no kept value `scor`
          did you mean `score`?
        there is no guard `cooldwn`
        remote has no `let` value `levl`
          did you mean `level`?
        there is no rules/defaults/none.json in the rules directory
        ");
    insta::assert_snapshot!(slips(
        "
  - name: expressions with mistakes
    facts: { remote: { json: { level: '${nwo}' } } }
    files: { data/x: { lines: [ '${i +}' ] } }
    expect: { remote: { let: { level: '${later}' } } }
"
    ), @r"
        the expression ends too early
          something is missing at its end
        unknown name `nwo`
          did you mean `now`?
        unknown name `later`
          known here: elapsed, i, now, vars
        ");
    insta::assert_snapshot!(slips(
        "
  - name: facts that are missing
    facts: { load: { len: 1 }, locks: { count: 1 } }
    expect: { load: ok }
  - name: a look outside the test
    expect: { remote: ok }
  - name: an expression that fails while it runs
    facts: { remote: { json: { level: '${vars.most.len()}' } } }
    expect: { remote: ok }
"
    ), @r"
        load reads `doc` too, which are not given
        locks reads `files` too, which are not given
        remote: its probe would look outside the test
          give it facts: `facts: { remote: { … } }`
        `len` cannot be used on number 3.0: write `x.len()`
        ");
    insta::assert_snapshot!(slips(
        "
  - name: changes that never come
    files: { data/up: { text: '' } }
    checks: [service]
    then:
      - { at: 10m, event: deployed }
      - { after: service, event: deployed }
    expect: { service: ok }
  - name: nothing to touch
    checks: [quiet]
    then: [ { at: 1m, files: { data/none: { age: 0s } } } ]
    expect: [ { at: 2m, quiet: ok } ]
"
    ), @r"
        the test is over before 10m: this never came
        no repair of service has acted: this never came
        data/none is not there: there is nothing to touch
        ");
}

#[test]
fn what_no_test_sees_is_named() {
    let results = run("
  - name: only one level
    files: { data/load.json: { json: { load: 1.0 } } }
    expect: { load: unknown, service: { decision: failed } }
");
    insta::assert_snapshot!(results.gaps.join("\n"), @r"
        all: never tested
        asks: never tested
        asks_in_order: never tested
        calls: never tested
        forbidden: never tested
        fresh: never tested
        load: critical is never tested
        locks: never tested
        noted: never tested
        outside: never tested
        quiet: never tested
        remote: never tested
        service: ok is never tested
        sized: never tested
        stuck: never tested
        two: never tested
        unwise: never tested
        ");
}

#[test]
fn a_week_of_rules_takes_no_week() {
    let results = run_file(
        "
checks:
  - name: load
    about: The load is bearable.
    trigger: { every: 1m }
    probe: { json: { file: data/load.json } }
    threshold: { critical: doc.load > 3, for: 2 of 3 }
  - name: lock
    about: No lock is old.
    trigger: { every: 30s }
    probe: { file: { file: data/lock } }
    threshold: { warning: exists && age_s > 7 * 86400 }
tests:
  - name: a week
    files: { data/load.json: { json: { load: 1.0 } }, data/lock: { text: '' } }
    checks: [load, lock]
    expect: [ { at: 7d, load: ok, lock: ok }, { at: 169h, lock: warning } ]
",
    );
    assert_eq!(told(results, 0), [""; 0]);
}

#[test]
fn what_a_person_approves_is_done_and_what_nobody_approves_expires() {
    const ASKING: &str = "
checks:
  - name: asks
    about: It asks first.
    trigger: { every: 1m }
    probe: { file: { file: data/asks } }
    threshold: { critical: missing }
    message: asking
    remediation:
      steps: [ write_file: { file: data/asks, body: '' } ]
      approve: true
      approve_within: 10m
  - name: acts
    about: It does not ask.
    trigger: { every: 1m }
    probe: { file: { file: data/acts } }
    threshold: { critical: missing }
    message: acting
    remediation: [ { write_file: { file: data/acts, body: '' } } ]
tests:
";
    let told = |tests: &str| told(run_file(&format!("{ASKING}{tests}")), 0);
    let wrong = told(
        "
  - name: approved
    checks: [asks]
    then: [ { at: 90s, approve: asks } ]
    expect:
      - { at: 1m, asks: { status: critical, held_by: approval, acts: [] }, files: { data/asks: absent } }
      - { at: 2m, asks: { status: ok, verified: true, acts: [ 90s ], notes: [proposed, approved] } }
  - name: nobody there
    checks: [asks]
    expect: [ { at: 11m, asks: { status: critical, acts: [], notes: [proposed, expired, held] } } ]
",
    );
    assert_eq!(wrong, [""; 0]);
    let slips = told(
        "
  - name: nothing waits
    checks: [asks]
    files: { data/asks: { text: '' } }
    then: [ { at: 90s, approve: asks } ]
    expect: [ { at: 2m, asks: ok } ]
  - name: it asks nobody
    then: [ { at: 90s, approve: acts } ]
    expect: [ { at: 2m, acts: ok } ]
  - name: nobody of that name
    then: [ { at: 90s, approve: ask } ]
    expect: [ { at: 2m, asks: critical } ]
",
    );
    let bare = slips
        .iter()
        .filter_map(|text| Some(text.split_once(' ')?.1))
        .collect::<Vec<_>>();
    assert_eq!(
        bare,
        [
            "nothing of asks waits to be approved",
            "acts asks nobody: its remediation has no `approve`",
            "there is no check `ask`\n  did you mean `asks`?",
        ]
    );
}

#[test]
fn the_examples_of_the_documentation_run() {
    let page = std::fs::read_to_string("docs/testing-rules.md").expect("the page is there");
    let mut blocks = page
        .split("```yaml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next());
    let rules = blocks.next().expect("the rules come first");
    let mut tests = 0;
    for block in blocks {
        let results = run_file(&format!("{rules}\n{block}"));
        tests += results.outcomes.len();
        let told = told(results, 0);
        assert!(told.is_empty(), "{}\n\n{block}", told.join("\n"));
    }
    assert!(tests >= 10, "only {tests} examples");
}
