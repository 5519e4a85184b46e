//! What hangs: a command that will not end and escapes, an expression that loops, many of them at once. Each is UNKNOWN in
//! its time, nothing is left behind two seconds later, and the others keep their schedule.

mod common;

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use common::{Root, SOON, until};
use homeostat::{
    clock::Stopwatch,
    engine::{handle::StandingAnswer, live::Live},
    model::status::Status,
};

/// Forks, ignores SIGTERM, leaves its group by `setsid`, forks again, and keeps the pipe open.
const ESCAPE: &str = r#"
use POSIX;
$| = 1;
$SIG{TERM} = 'IGNORE';
$SIG{HUP} = 'IGNORE';
if (fork() == 0) { POSIX::setsid(); if (fork() == 0) { $SIG{TERM} = 'IGNORE'; sleep 600; } sleep 600; }
print "begun\n";
sleep 600;
"#;
/// It, its child, and its grandchild.
const PROCESSES: usize = 3;

/// After its verdict, nothing of what it began is there.
const GONE: Duration = Duration::from_secs(2);

const QUICK: &str = "
  - name: quick
    about: Keeps its schedule.
    trigger: { every: 200ms }
    probe: { file: { file: data/quick } }
    threshold: { critical: missing }
    message: quick
";

/// Perl is an interpreter: it is allowed with this one script, named in full.
fn root(rules: &str) -> Root {
    let root = Root::new();
    root.put("bin/escape.pl", ESCAPE);
    root.put("data/quick", "");
    let script = root.at("bin/escape.pl");
    root.put(
        "homeostat.yaml",
        &format!(
            "allow: {{ run: [ '/usr/bin/perl {}', '/usr/bin/yes' ] }}\n",
            script.display()
        ),
    );
    let rules = rules.replace("SCRIPT", &script.display().to_string());
    root.put("rules/hanging.yaml", &format!("checks:\n{rules}{QUICK}"));
    root
}

async fn standing(live: &Live, name: &str) -> Option<StandingAnswer> {
    let status = live.handle.status().await.ok()?;
    status.checks.into_iter().find(|check| check.name == name)
}

/// Processes below this root that carry the marker of an engine's child.
fn children(root: &Path) -> usize {
    let Ok(processes) = fs::read_dir("/proc") else {
        return 0;
    };
    let marked = |process: &Path| {
        let environment = fs::read(process.join("environ")).unwrap_or_default();
        let text = String::from_utf8_lossy(&environment).into_owned();
        let here = fs::read_link(process.join("cwd")).is_ok_and(|dir| dir == root);
        here && text.contains(homeostat::child::MARKER)
    };
    processes
        .flatten()
        .filter(|entry| marked(&entry.path()))
        .count()
}

/// The quick check is looked at so many times more, in not much more than its time, and misses next to no slot.
async fn keeps_its_schedule(live: &Live, looks: u64) {
    let before = live.handle.status().await.expect("the engine lives");
    let from = standing(live, "quick").await.map_or(0, |it| it.looks);
    let watch = Stopwatch::new();
    until(SOON, "looks on schedule", async || {
        let now = standing(live, "quick").await?.looks;
        (now >= from + looks).then_some(())
    })
    .await;
    let due = Duration::from_millis(200) * looks as u32;
    assert!(
        watch.elapsed() < due * 2 + Duration::from_secs(1),
        "{:?} for {looks} looks",
        watch.elapsed()
    );
    let after = live.handle.status().await.expect("the engine lives");
    let missed = after.missed_slots - before.missed_slots;
    assert!(
        missed <= looks / 2,
        "{missed} slots missed in {looks} looks"
    );
}

/// Everything that carries a marker is gone in the time that is promised.
async fn all_gone(path: &Path) {
    until(GONE, "all children to be gone", async || {
        (children(path) == 0).then_some(())
    })
    .await;
}

async fn end(live: Live) {
    let watch = Stopwatch::new();
    live.handle.stop().await.expect("the engine lives");
    live.finished().await;
    assert!(
        watch.elapsed() < SOON,
        "it took {:?} to end",
        watch.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_escapes_is_unknown_in_its_time_and_gone() {
    for ([own, of_check], says) in [
        // By its own limit, and by that of its check, which is the engine's to keep.
        (["1s", "9s"], "took longer than 1s and was killed"),
        (["9s", "1s"], "no answer within 1s"),
    ] {
        let root = root(
            &"
  - name: escapes
    about: Runs what will not end.
    trigger: { every: 1h }
    probe: { command: { argv: [/usr/bin/perl, SCRIPT], timeout: OWN } }
    timeout: OF_CHECK
    threshold: { critical: exit != 0 }
    message: '${stdout}'
"
            .replace("OWN", own)
            .replace("OF_CHECK", of_check),
        );
        let live = root.start().await.expect("it starts");
        let path = root.path().canonicalize().expect("a root");
        until(SOON, "the children", async || {
            (children(&path) >= PROCESSES).then_some(())
        })
        .await;
        let watch = Stopwatch::new();
        let at = until(SOON, "the verdict", async || {
            standing(&live, "escapes").await.filter(|it| it.looks > 0)
        })
        .await;
        assert!(watch.elapsed() < Duration::from_secs(3), "{says}");
        all_gone(&path).await;
        assert_eq!(at.status, Status::Unknown, "{}", at.message);
        let why = live.handle.explain("escapes".into()).await;
        let why = why.ok().flatten().map(|it| it.to_string());
        assert!(why.is_some_and(|it| it.contains(says)), "{says}");
        keeps_its_schedule(&live, 5).await;
        end(live).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_escapes_fails_in_its_time_and_is_gone() {
    let root = root(
        "
  - name: mends
    about: Is mended by what will not end.
    trigger: { every: 1h }
    probe: { file: { file: data/none } }
    threshold: { critical: missing }
    message: missing
    remediation:
      steps: [ { run_command: { argv: [/usr/bin/perl, SCRIPT], timeout: 1s } } ]
",
    );
    let live = root.start().await.expect("it starts");
    let path = root.path().canonicalize().expect("a root");
    let seen = until(SOON, "the children", async || {
        (children(&path) >= PROCESSES).then_some(())
    });
    seen.await;
    keeps_its_schedule(&live, 3).await;
    until(Duration::from_secs(5), "the attempt to end", async || {
        standing(&live, "mends")
            .await?
            .attempt
            .is_none()
            .then_some(())
    })
    .await;
    all_gone(&path).await;
    let told = live
        .handle
        .store(|store| store.attempt(1).ok().flatten())
        .await
        .expect("the engine lives")
        .expect("the attempt");
    assert_eq!(
        told.receipts[0].detail,
        "did not end within 1s and was killed: begun"
    );
    end(live).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_is_answered_although_a_check_hangs() {
    let root = root(
        "
  - name: hangs
    about: Hangs.
    trigger: { every: 1h }
    probe: { command: { argv: [/usr/bin/perl, SCRIPT] } }
    timeout: 1s
    on_error: warning
    threshold: { critical: exit != 0 }
    message: hangs
",
    );
    let live = root.start().await.expect("it starts");
    let watch = Stopwatch::new();
    let round = live
        .handle
        .check(Vec::new(), true, Duration::from_secs(60))
        .await
        .expect("the engine lives");
    assert!(watch.elapsed() < Duration::from_secs(5));
    let statuses: Vec<(&str, Status)> = round
        .checks
        .iter()
        .map(|it| (it.name.as_str(), it.status))
        .collect();
    assert_eq!(
        statuses,
        [("hangs", Status::Warning), ("quick", Status::Ok)],
        "by `on_error`"
    );
    let watch = Stopwatch::new();
    let dry = live.handle.dry_run(Vec::new()).await.expect("it runs");
    assert_eq!(dry.overall, Status::Warning);
    assert!(watch.elapsed() < Duration::from_secs(5));
    end(live).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expression_that_loops_is_unknown_and_says_where() {
    let root = root(
        "
  - name: loops
    about: Counts for ever.
    trigger: { every: 1h }
    probe: { json: { file: data/list.json } }
    threshold:
      critical: 'doc.all(|a| doc.all(|b| doc.all(|c| doc.all(|d| a + b + c + d >= 0))))'
    message: loops
",
    );
    let list: Vec<u32> = (0..1000).collect();
    root.put("data/list.json", &format!("{list:?}"));
    let live = root.start().await.expect("it starts");
    let at = until(Duration::from_secs(2), "the verdict", async || {
        standing(&live, "loops").await.filter(|it| it.looks > 0)
    })
    .await;
    assert_eq!(at.status, Status::Unknown);
    let explained = live
        .handle
        .explain("loops".into())
        .await
        .expect("the engine lives");
    let error = explained.map(|it| it.to_string()).unwrap_or_default();
    assert!(
        error.contains("operations") || error.contains("too long"),
        "{error}"
    );
    assert!(error.contains("hanging.yaml:8:"), "the place: {error}");
    keeps_its_schedule(&live, 5).await;
    end(live).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_that_hang_delay_no_other_and_an_output_flood_is_bounded() {
    let mut rules = String::from(
        "
  - name: floods
    about: Writes for ever.
    trigger: { every: 1h }
    probe: { command: { argv: [/usr/bin/yes], timeout: 1s } }
    threshold: { critical: exit != 0 }
    message: flood
",
    );
    for n in 0..50 {
        rules += &format!(
            "
  - name: hangs_{n}
    about: Hangs.
    trigger: {{ every: 1h }}
    probe: {{ command: {{ argv: [/usr/bin/perl, SCRIPT], timeout: 1s }} }}
    threshold: {{ critical: exit != 0 }}
    message: hangs
"
        );
    }
    for n in 0..500 {
        rules += &format!(
            "
  - name: file_{n}
    about: Is there.
    trigger: {{ every: 1h }}
    probe: {{ file: {{ file: data/quick }} }}
    threshold: {{ critical: missing }}
    message: there
"
        );
    }
    let root = root(&rules);
    let live = root.start().await.expect("it starts");
    until(
        Duration::from_secs(3),
        "every file to be looked at while they hang",
        async || {
            let status = live.handle.status().await.ok()?;
            let files = status
                .checks
                .iter()
                .filter(|it| it.name.starts_with("file_"));
            files
                .clone()
                .all(|it| it.status == Status::Ok)
                .then_some(())
        },
    )
    .await;
    keeps_its_schedule(&live, 5).await;
    until(
        Duration::from_secs(10),
        "the hanging ones to be UNKNOWN",
        async || {
            let status = live.handle.status().await.ok()?;
            let hang = |name: &str| name.starts_with("hangs_") || name == "floods";
            let hanging = status.checks.iter().filter(|it| hang(&it.name));
            hanging
                .clone()
                .all(|it| it.looks > 0 && it.status == Status::Unknown)
                .then_some(())
        },
    )
    .await;
    all_gone(&root.path().canonicalize().expect("a root")).await;
    let most = most_memory();
    assert!(most < 400 << 10, "{most} KiB: the flood was kept");
    end(live).await;
}

/// The most this process ever had in memory, in KiB.
fn most_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|it| it.split_whitespace().next()?.parse().ok())
        .expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_ends_while_a_probe_hangs() {
    let root = root(
        "
  - name: hangs
    about: Hangs.
    trigger: { every: 1h }
    probe: { command: { argv: [/usr/bin/perl, SCRIPT], timeout: 9s } }
    threshold: { critical: exit != 0 }
    message: hangs
",
    );
    let live = root.start().await.expect("it starts");
    let path = root.path().canonicalize().expect("a root");
    until(SOON, "the children", async || {
        (children(&path) >= PROCESSES).then_some(())
    })
    .await;
    let watch = Stopwatch::new();
    end(live).await;
    assert!(watch.elapsed() < GONE);
    all_gone(&path).await;
}

/// The program itself, once it is ready.
fn program(root: &Root) -> Child {
    let mut program = Command::new(env!("CARGO_BIN_EXE_homeostat"))
        .arg("--root")
        .arg(root.path())
        .arg("--rules")
        .arg(root.at("rules"))
        .args(["run", "--listen", "none"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut line = String::new();
    let out = program.stdout.take().expect("its output");
    BufReader::new(out).read_line(&mut line).expect("a line");
    assert!(line.contains("generation"), "{line}");
    program
}

fn terminate(program: &Child) {
    let told = Command::new("/bin/kill")
        .args(["-TERM", &program.id().to_string()])
        .status();
    assert!(told.is_ok_and(|it| it.success()));
}

/// A process that ends leaves nobody behind who could still kill.
#[tokio::test(flavor = "multi_thread")]
async fn the_process_ends_while_a_probe_hangs_and_leaves_nothing() {
    let root = root(
        "
  - name: hangs
    about: Hangs.
    trigger: { every: 1h }
    probe: { command: { argv: [/usr/bin/perl, SCRIPT], timeout: 9s } }
    threshold: { critical: exit != 0 }
    message: hangs
",
    );
    let mut program = program(&root);
    let path = root.path().canonicalize().expect("a root");
    until(SOON, "the children", async || {
        (children(&path) >= PROCESSES).then_some(())
    })
    .await;
    terminate(&program);
    let code = until(Duration::from_secs(5), "its end", async || {
        program.try_wait().expect("a child")
    })
    .await;
    assert_eq!(children(&path), 0, "{code}");
}

/// User and system time, in hundredths of a second.
fn cpu(process: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let after = stat.rsplit(')').next().unwrap_or_default();
    let spent = after.split_whitespace().skip(11).take(2);
    spent.filter_map(|it| it.parse::<u64>().ok()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_with_nothing_to_do_does_next_to_nothing() {
    let root = root(
        "
  - name: by_event
    about: Is looked at when it changes.
    trigger: { events: [ { file: data/quick } ] }
    probe: { file: { file: data/quick } }
    threshold: { critical: missing }
    message: there
",
    );
    let mut program = program(&root);
    let (watch, mut from) = (Stopwatch::new(), None);
    until(SOON, "some seconds to pass", async || {
        if from.is_none() && watch.elapsed() > Duration::from_secs(1) {
            from = Some(cpu(program.id())); // it has started
        }
        (watch.elapsed() > Duration::from_secs(4)).then_some(())
    })
    .await;
    let spent = cpu(program.id()) - from.unwrap_or_default();
    terminate(&program);
    program.wait().expect("it ends");
    assert!(spent < 45, "{spent} hundredths of a second in three");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_question_is_answered_also_a_foolish_one() {
    let root = root("");
    let live = root.start().await.expect("it starts");
    let answer = live
        .handle
        .check(vec!["nobody".into()], true, Duration::from_secs(1))
        .await
        .expect("the engine lives");
    assert!(answer.checks.is_empty());
    assert!(live.handle.dry_run(vec!["nobody".into()]).await.is_ok());
    assert!(
        live.handle
            .investigate("nobody".into(), Duration::from_secs(1))
            .await
            .is_ok()
    );
    assert_eq!(
        live.handle.explain("nobody".into()).await.ok().flatten(),
        None
    );
    assert!(
        live.handle
            .undo(99, "me".to_owned())
            .await
            .expect("the engine lives")
            .is_err()
    );
    // Those who ask while others are served are answered too.
    let reloads = (0..5).map(|_| live.handle.reload());
    for answer in futures::future::join_all(reloads).await {
        assert!(answer.expect("the engine lives").live);
    }
    let none = live.handle.investigate("nobody".into(), Duration::ZERO);
    assert!(none.await.expect("the engine lives").is_null());
    end(live).await;
}
