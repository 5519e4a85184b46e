//! What hangs: a command that will not end and escapes, an expression that loops, many of them at once. Each is UNKNOWN in
//! its time, nothing is left behind, and the others keep their schedule.

mod common;

use std::{fs, path::Path, time::Duration};

use common::{Root, SOON, until};
use homeostat::{
    clock::Stopwatch,
    engine::{handle::StandingAnswer, live::Live},
    model::status::Status,
};

/// Forks, ignores SIGTERM, leaves its group by `setsid`, forks again, and keeps the pipe open.
const ESCAPE: &str = r#"
use POSIX;
$SIG{TERM} = 'IGNORE';
$SIG{HUP} = 'IGNORE';
if (fork() == 0) { POSIX::setsid(); if (fork() == 0) { $SIG{TERM} = 'IGNORE'; sleep 600; } sleep 600; }
print "begun\n";
sleep 600;
"#;

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

/// The quick check is looked at so many times more, in not much more than its time.
async fn keeps_its_schedule(live: &Live, looks: u64) {
    let before = standing(live, "quick").await.map_or(0, |it| it.looks);
    let watch = Stopwatch::new();
    until(SOON, "looks on schedule", async || {
        let now = standing(live, "quick").await?.looks;
        (now >= before + looks).then_some(())
    })
    .await;
    let due = Duration::from_millis(200) * looks as u32;
    assert!(
        watch.elapsed() < due * 5 + Duration::from_secs(2),
        "{:?} for {looks} looks",
        watch.elapsed()
    );
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
    let root = root(
        "
  - name: escapes
    about: Runs what will not end.
    trigger: { every: 1h }
    probe: { command: { argv: [/usr/bin/perl, SCRIPT], timeout: 1s } }
    threshold: { critical: exit != 0 }
    message: '${stdout}'
",
    );
    let live = root.start().await.expect("it starts");
    let path = root.path().canonicalize().expect("a root");
    until(SOON, "the children", async || {
        (children(&path) >= 2).then_some(())
    })
    .await;
    let at = until(SOON, "the verdict", async || {
        standing(&live, "escapes").await.filter(|it| it.looks > 0)
    })
    .await;
    assert_eq!(at.status, Status::Unknown, "{}", at.message);
    until(
        Duration::from_secs(10),
        "all of them to be gone",
        async || (children(&path) == 0).then_some(()),
    )
    .await;
    keeps_its_schedule(&live, 5).await;
    end(live).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_escapes_fails_and_is_gone() {
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
    let answer = live
        .handle
        .check(vec!["mends".into()], true, Duration::ZERO)
        .await
        .expect("the engine lives");
    assert_eq!(answer.checks[0].status, Status::Critical);
    let path = root.path().canonicalize().expect("a root");
    let attempt = until(SOON, "the attempt to end", async || {
        let (attempt, _) = (standing(&live, "mends").await?.attempt, ());
        attempt.is_none().then_some(())
    });
    attempt.await;
    until(
        Duration::from_secs(10),
        "all of them to be gone",
        async || (children(&path) == 0).then_some(()),
    )
    .await;
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
    let at = until(SOON, "the verdict", async || {
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
    for n in 0..20 {
        rules += &format!(
            "
  - name: hangs_{n}
    about: Hangs.
    trigger: {{ every: 1h }}
    probe: {{ command: {{ argv: [/usr/bin/perl, SCRIPT], timeout: 2s }} }}
    threshold: {{ critical: exit != 0 }}
    message: hangs
"
        );
    }
    for n in 0..300 {
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
        SOON,
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
    until(SOON, "the hanging ones to be UNKNOWN", async || {
        let status = live.handle.status().await.ok()?;
        let hang = |name: &str| name.starts_with("hangs_") || name == "floods";
        let hanging = status.checks.iter().filter(|it| hang(&it.name));
        hanging
            .clone()
            .all(|it| it.looks > 0 && it.status == Status::Unknown)
            .then_some(())
    })
    .await;
    let path = root.path().canonicalize().expect("a root");
    until(
        Duration::from_secs(10),
        "all children to be gone",
        async || (children(&path) == 0).then_some(()),
    )
    .await;
    end(live).await;
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
        (children(&path) >= 2).then_some(())
    })
    .await;
    end(live).await;
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
    assert!(live.handle.reload().await.expect("the engine lives").live);
    end(live).await;
}
