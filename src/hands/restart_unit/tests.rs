//! Tests of `restart_unit`, with a stand-in for `systemctl` that does what files say.

use std::{fs, process::Command};

use serde_json::json;

use super::*;
use crate::{
    hands::testing::{World, mistakes, wait},
    hands::{Hands, Live, refused, testing::step},
    model::{standing::HeldBy, step::Outcome},
    permission::Settings,
};

/// Notes what it is asked; `show` prints `now`, `restart` puts `next` in its place, unless there is a `refusal` or it hangs.
const STANDIN: &str = r#"#!/bin/sh
cd "$(dirname "$0")" || exit 9
echo "$* $XDG_RUNTIME_DIR" >> calls
case " $* " in
*" show "*) [ ! -f silence ] && cat now ;;
*" restart "*)
    [ -f hang ] && exec sleep 600
    [ -f refusal ] && cat refusal >&2 && exit 1
    cp next now ;;
esac
"#;

fn shown(load: &str, active: &str, sub: &str, pid: u32, restarts: u32) -> String {
    format!(
        "LoadState={load}\nActiveState={active}\nSubState={sub}\nMainPID={pid}\nNRestarts={restarts}\n"
    )
}

/// A world with the stand-in, and how the unit stands before and after a restart.
fn world(now: &str, next: &str) -> World {
    let mut world = World::new();
    fs::create_dir(world.path("systemd")).expect("a directory");
    world.put("systemd/body", STANDIN);
    // written by somebody else, so that no child of this process keeps it open
    let (body, program) = (world.path("systemd/body"), world.path("systemd/systemctl"));
    let copied = Command::new("/bin/cp").arg(body).arg(&program).status();
    assert!(copied.expect("it runs").success());
    let made = Command::new("/bin/chmod").arg("755").arg(&program).status();
    assert!(made.expect("it runs").success());
    world.put("systemd/now", now);
    world.put("systemd/next", next);
    world.units = vec![
        "bot".to_owned(),
        "user:bot".to_owned(),
        "worker@*".to_owned(),
    ];
    world.systemctl = program.display().to_string();
    world
}

fn failed() -> String {
    shown("loaded", "failed", "failed", 0, 5)
}

fn running() -> String {
    shown("loaded", "active", "running", 4711, 0)
}

fn calls(world: &World) -> Vec<String> {
    let calls = fs::read_to_string(world.path("systemd/calls")).unwrap_or_default();
    calls
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect()
}

const SHOW: &str = "show --property=LoadState,ActiveState,SubState,MainPID,NRestarts bot.service";

#[test]
fn a_unit_is_restarted_and_the_receipt_says_how_it_stood() {
    let world = world(&failed(), &running());
    let effect = world.ready("restart_unit", json!({"unit": "bot"}));
    let would = world.dry(&effect);
    assert_eq!(
        (would.outcome, would.detail.as_str(), would.target.as_str()),
        (Outcome::Would, "would restart bot.service", "bot.service")
    );
    assert_eq!(calls(&world), [""; 0], "a dry run starts no program");
    let done = world.commit(&effect).expect("it is done");
    assert_eq!(
        (done.outcome, done.target.as_str(), done.detail.as_str()),
        (
            Outcome::Done,
            "bot.service",
            "failed after 5 restarts by systemd → active (running), pid 4711"
        )
    );
    assert_eq!((done.diff, done.undo), (None, None));
    let restart = "--no-ask-password restart bot.service";
    assert_eq!(calls(&world), [SHOW, restart, SHOW]);
}

#[test]
fn one_of_the_user_is_asked_of_its_manager() {
    let world = world(&failed(), &running());
    let args = json!({"unit": "bot.service", "scope": "user"});
    let done = world.act("restart_unit", args);
    assert_eq!(done.target, "user:bot.service");
    let uid = rustix::process::geteuid().as_raw();
    assert_eq!(
        calls(&world)[1],
        format!("--user --no-ask-password restart bot.service /run/user/{uid}")
    );
}

#[test]
fn one_that_does_not_stand_afterwards_has_failed() {
    let failure = |world: &World, timeout: &str| {
        let args = json!({"unit": "bot", "timeout": timeout});
        let effect = world.ready("restart_unit", args);
        match world.commit(&effect) {
            Err(HandsError::Failed(why)) => why,
            other => panic!("{other:?}"),
        }
    };
    let again = shown("loaded", "activating", "auto-restart", 0, 6);
    let world_of = |next: &str| world(&running(), next);
    assert_eq!(
        failure(&world_of(&again), "10s"),
        "it is not active after the restart: active (running), pid 4711 → activating (auto-restart) after 6 restarts by systemd"
    );
    let refusing = world_of(&running());
    refusing.put("systemd/refusal", "Job for bot.service failed.\n");
    let why = failure(&refusing, "10s");
    assert!(why.starts_with("exit 1 after "), "{why}");
    assert!(
        why.ends_with(": Job for bot.service failed.; it was active (running), pid 4711, and is active (running), pid 4711"),
        "{why}"
    );
    let hanging = world_of(&running());
    hanging.put("systemd/hang", "");
    assert_eq!(
        failure(&hanging, "1s"),
        "did not end within 1s and was killed; systemd may still be at it"
    );
    for (load, said) in [
        ("not-found", "there is no unit bot.service"),
        ("masked", "bot.service is masked and cannot be restarted"),
        (
            "bad-setting",
            "bot.service is bad-setting and cannot be restarted",
        ),
    ] {
        let world = world(&shown(load, "inactive", "dead", 0, 0), &running());
        assert_eq!(failure(&world, "10s"), said);
        assert_eq!(calls(&world), [SHOW], "it is not restarted");
    }
    let silent = world_of(&running());
    silent.put("systemd/silence", "");
    let why = failure(&silent, "10s");
    assert!(
        why.starts_with("could not look at bot.service: exit 1"),
        "{why}"
    );
    let mut none = world_of(&running());
    none.systemctl = "/nowhere/systemctl".to_owned();
    let why = failure(&none, "10s");
    assert!(
        why.starts_with("could not start /nowhere/systemctl show "),
        "{why}"
    );
}

#[test]
fn two_ways_to_name_a_unit_are_one_claim() {
    let world = world(&failed(), &running());
    let claims = |args: Value| world.ready("restart_unit", args).claims();
    assert_eq!(claims(json!({"unit": "bot"})), ["unit bot.service"]);
    assert_eq!(
        claims(json!({"unit": "bot.service", "scope": "system"})),
        ["unit bot.service"]
    );
    assert_eq!(
        claims(json!({"unit": "bot", "scope": "user"})),
        ["unit user:bot.service"]
    );
}

#[test]
fn anything_else_is_held_when_prepared_and_at_the_act() {
    let world = world(&failed(), &running());
    let held = |done: Result<(), HandsError>| match done {
        Err(HandsError::Held {
            by: HeldBy::Permission,
            reason,
        }) => reason,
        other => panic!("{other:?}"),
    };
    for args in [
        json!({"unit": "ssh"}),
        json!({"unit": "bot.socket"}),
        json!({"unit": "worker@1", "scope": "user"}),
    ] {
        let reason = held(world.prepare("restart_unit", args).map(drop));
        assert!(reason.contains("is not allowed by `allow: { units: [...] }`"));
    }
    for args in [
        json!({"unit": "--now"}),
        json!({"unit": "reboot.target"}),
        json!({"unit": "bot", "timeout": "0s"}),
        json!({"unit": "bot", "timeout": "2h"}),
        json!({"unit": "bot", "scope": "global"}),
    ] {
        let error = world
            .prepare("restart_unit", args)
            .expect_err("it cannot be");
        assert!(matches!(error, HandsError::Failed(_)), "{error}");
    }
    let effect = world.ready("restart_unit", json!({"unit": "worker@7"}));
    let strict = Permission::new(&world.path("."), Settings::default()).expect("a root");
    let live = Live::new(std::sync::Arc::new(strict), world.runner.clone());
    held(wait(live.commit(&effect)).map(drop));
    assert_eq!(calls(&world), [""; 0]);
}

#[test]
fn units_are_checked_at_load() {
    let mut world = World::new();
    world.units = vec!["bot".to_owned()];
    let with = |world: &World, args: Value| {
        let found = mistakes(world, "restart_unit", args);
        let found = found.into_iter().map(|(code, line, _)| (code, line));
        found.collect::<Vec<_>>()
    };
    assert_eq!(with(&world, json!("bot.service")), []);
    assert_eq!(with(&world, json!({"unit": "bot", "timeout": "1m"})), []);
    assert_eq!(with(&world, json!({"unit": "${vars.unit}"})), []);
    assert_eq!(with(&world, json!("ssh")), [("forbidden-unit", 0)]);
    assert_eq!(
        with(&world, json!({"scope": "user", "unit": "bot"})),
        [("forbidden-unit", 2)]
    );
    assert_eq!(with(&world, json!({"unit": "b t"})), [("bad-value", 1)]);
    assert_eq!(
        with(&world, json!({"unit": "bot", "timeout": "2h"})),
        [("bad-value", 2)]
    );
    assert_eq!(
        with(&world, json!({"unit": "bot", "scope": "all"})),
        [("bad-value", 2)]
    );
    let none = World::new();
    assert_eq!(
        with(&none, json!({"unit": "${vars.unit}"})),
        [("forbidden-unit", 1)]
    );
    let error = HandsError::Failed("no".to_owned());
    let target = |args| refused(&step("restart_unit", args), &error).target;
    assert_eq!(
        target(json!({"unit": "bot", "scope": "user"})),
        "user:bot.service"
    );
    assert_eq!(target(json!({"unit": "b t"})), "b t");
}
