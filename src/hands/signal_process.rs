//! `signal_process`: sends a signal to a process that `homeostat.yaml` allows to be signalled.
//!
//! Looking freezes which process is meant: its number, when it started and its command line. All three must still be so
//! when the signal is sent, through a handle (a pidfd) that was opened before they were read again: a number that went
//! to somebody else meanwhile is not signalled. Beyond reach, whatever is allowed: process 1, the engine, what the engine
//! was started by and what it runs, threads of the kernel, and processes of other users unless the engine is root.

use std::time::Duration;

use regex::Regex;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Effect, Eyes, HandsError, Kind, args, denied};
use crate::{
    model::{
        node::{self, Node},
        span::Span,
        standing::HeldBy,
        text::{Mistake, Text},
    },
    permission::{Denied, Permission},
    probe::processes::{Proc, Process, Who, pid_file},
};

pub static KIND: Kind = Kind {
    name: "signal_process",
    about: "Sends a signal to a process that homeostat.yaml allows to be signalled (`allow.signal`); with `within` it must end in \
            that time.",
    example: "signal_process: { name: bot, pid_file: state/bot.pid, signal: TERM, within: 10s }",
    shorthand: None,
    schema: <Args as JsonSchema>::json_schema,
    check,
    prepare,
};

/// More processes than this are not signalled by one step.
const MOST: usize = 20;
/// Characters shown of a command line.
const MOST_SHOWN: usize = 200;
/// No step waits longer for a process to end.
const LONGEST: Duration = Duration::from_secs(300);

/// Sends a signal to the process with this name or command line, or that a pid file names.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// The exact name of the process, or of its program file without directories.
    name: Option<Text>,
    /// A regular expression that matches somewhere in the command line, whose words are joined by spaces.
    cmdline: Option<Text>,
    /// A file whose first line is the number of the process. With `name` or `cmdline` the process must be that as well.
    pid_file: Option<Text>,
    /// By default TERM.
    #[serde(default)]
    signal: Signal,
    /// Signals each process with this name or command line, at most 20. Otherwise more than one is refused.
    #[serde(default)]
    all: bool,
    /// How long to wait for it to end; if it does not, the step has failed. At most 5m. By default it is not waited for.
    within: Option<Span>,
}

/// A signal by its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Signal {
    #[default]
    Term,
    Hup,
    Int,
    Quit,
    Kill,
    Abrt,
    Usr1,
    Usr2,
    Stop,
    Cont,
    Winch,
}

impl Signal {
    pub fn word(self) -> &'static str {
        match self {
            Signal::Term => "TERM",
            Signal::Hup => "HUP",
            Signal::Int => "INT",
            Signal::Quit => "QUIT",
            Signal::Kill => "KILL",
            Signal::Abrt => "ABRT",
            Signal::Usr1 => "USR1",
            Signal::Usr2 => "USR2",
            Signal::Stop => "STOP",
            Signal::Cont => "CONT",
            Signal::Winch => "WINCH",
        }
    }

    pub(super) fn number(self) -> rustix::process::Signal {
        match self {
            Signal::Term => rustix::process::Signal::TERM,
            Signal::Hup => rustix::process::Signal::HUP,
            Signal::Int => rustix::process::Signal::INT,
            Signal::Quit => rustix::process::Signal::QUIT,
            Signal::Kill => rustix::process::Signal::KILL,
            Signal::Abrt => rustix::process::Signal::ABORT,
            Signal::Usr1 => rustix::process::Signal::USR1,
            Signal::Usr2 => rustix::process::Signal::USR2,
            Signal::Stop => rustix::process::Signal::STOP,
            Signal::Cont => rustix::process::Signal::CONT,
            Signal::Winch => rustix::process::Signal::WINCH,
        }
    }

    /// Whether a process may be expected to end of it.
    fn ends(self) -> bool {
        use Signal::{Abrt, Hup, Int, Kill, Quit, Term};
        matches!(self, Term | Hup | Int | Quit | Kill | Abrt)
    }
}

/// A process as it was looked at: it must still be so when it is signalled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub pid: i32,
    /// Ticks from boot to its start.
    pub started: u64,
    pub line: Vec<String>,
}

impl Target {
    /// Its number and its command line, cut to what one can read.
    pub(super) fn told(&self) -> String {
        let mut line = super::command_line(&self.line);
        if let Some((at, _)) = line.char_indices().nth(MOST_SHOWN) {
            line.truncate(at);
            line.push('…');
        }
        format!("{} ({line})", self.pid)
    }
}

impl Args {
    /// What is wrong with it by itself, and at which key.
    fn wrong(&self) -> Option<(&'static str, String)> {
        let told = |key, what: &str| Some((key, what.to_owned()));
        let texts = [&self.name, &self.cmdline, &self.pid_file];
        if self.name.is_some() && self.cmdline.is_some() {
            return told("cmdline", "`name` and `cmdline`: one of them");
        }
        if texts.iter().all(|text| text.is_none()) {
            return told(
                "",
                "it does not say which process: `name`, `cmdline` or `pid_file`",
            );
        }
        for (text, key) in texts.into_iter().zip(["name", "cmdline", "pid_file"]) {
            if text
                .as_ref()
                .is_some_and(|text| text.as_str().trim().is_empty())
            {
                return told(key, "nothing means no process, not every one");
            }
        }
        if self.all && self.pid_file.is_some() {
            return told(
                "all",
                "a pid file names one process: `all` goes with `name` or `cmdline` alone",
            );
        }
        let within = self.within?;
        if !self.signal.ends() {
            let what = format!("nobody ends of {}: leave `within` out", self.signal.word());
            return Some(("within", what));
        }
        if within.0.is_zero() || within.0 > LONGEST {
            return Some((
                "within",
                format!("`{within}`: more than nothing, at most 5m"),
            ));
        }
        None
    }

    /// Who is meant, in a word or two.
    fn who(&self) -> String {
        let texts = [&self.name, &self.cmdline, &self.pid_file];
        let texts = texts.into_iter().flatten().map(Text::as_str);
        texts.collect::<Vec<_>>().join(" of ")
    }

    fn effect(&self, targets: Vec<Target>) -> Effect {
        Effect::Signal {
            signal: self.signal,
            who: self.who(),
            targets,
            within: self.within.map(|Span(within)| within),
        }
    }
}

fn check(node: &Node, permission: &Permission, mistakes: &mut Vec<Mistake>) {
    let Some(args) = node::decode::<Args>(node, mistakes) else {
        return;
    };
    if let Some((key, what)) = args.wrong() {
        let place = args::place(node, key);
        mistakes.push(Mistake::new("bad-value", what, place));
    }
    if let Some(text) = &args.cmdline
        && let Some(pattern) = args::constant(text)
        && let Err(error) = Regex::new(pattern)
    {
        mistakes.push(Mistake::new("bad-pattern", one_line(&error), text.place()));
    }
    if let Some(text) = &args.pid_file
        && let Some(path) = args::constant(text).filter(|path| !path.trim().is_empty())
        && let Err(error) = permission.may_look(path)
    {
        mistakes.push(Mistake::new("not-allowed", error.told(), text.place()));
    }
    if let Err(error) = permission.may_signal_any() {
        mistakes.push(
            Mistake::new("forbidden-signal", error.told(), node.place.clone()).help(
                "homeostat.yaml beside the rules says which processes may be signalled: allow: { signal: [\"/absolute/program ARGUMENT\"] }",
            ),
        );
    }
}

fn one_line(error: &regex::Error) -> String {
    let drawn = error.to_string();
    let what = drawn
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("error: "));
    let what = what.map_or_else(|| drawn.replace('\n', " "), str::to_owned);
    format!("no regular expression: {what}")
}

fn read(args: &Map<String, Value>) -> Result<Args, HandsError> {
    let args: Args = args::read(args)?;
    match args.wrong() {
        Some((_, what)) => Err(HandsError::Failed(what)),
        None => Ok(args),
    }
}

/// The effect without looking for any process: for rule tests, which look at nothing outside their root.
pub fn unlooked(args: &Map<String, Value>) -> Result<Effect, HandsError> {
    Ok(read(args)?.effect(Vec::new()))
}

fn prepare(args: &Map<String, Value>, eyes: &Eyes) -> Result<Effect, HandsError> {
    let args = read(args)?;
    let proc = Proc::default();
    let found = match find(&args, &proc, &eyes.permission)? {
        Ok(found) => found,
        Err(why) => {
            return Ok(Effect::Nothing {
                kind: KIND.name,
                target: args.who(),
                why,
            });
        }
    };
    let many = |most: &str| HandsError::Held {
        by: HeldBy::TooMany,
        reason: format!("{} processes are {}: {most}", found.len(), args.who()),
    };
    if found.len() > 1 && !args.all {
        return Err(many("which one? `all: true` means each of them"));
    }
    if found.len() > MOST {
        return Err(many("more than a step may signal (20)"));
    }
    let targets = found.iter().map(|process| {
        let line = proc.command_line(process.pid);
        may_reach(&proc, process, &line)
            .and_then(|()| eyes.permission.may_signal(&line))
            .map_err(denied)?;
        Ok(Target {
            pid: process.pid,
            started: process.started,
            line,
        })
    });
    let targets: Vec<Target> = targets.collect::<Result<_, HandsError>>()?;
    Ok(args.effect(targets))
}

/// The processes that are meant, or why there is none.
fn find(
    args: &Args,
    proc: &Proc,
    permission: &Permission,
) -> Result<Result<Vec<Process>, String>, HandsError> {
    let failed =
        |error: String| HandsError::Failed(format!("could not look at the processes: {error}"));
    let who = match (&args.name, &args.cmdline) {
        (Some(name), _) => Some(Who::Name(name.as_str().to_owned())),
        (_, Some(line)) => Some(Who::Line(
            Regex::new(line.as_str()).map_err(|error| HandsError::Failed(one_line(&error)))?,
        )),
        _ => None,
    };
    if let Some(file) = &args.pid_file {
        let body = pid_file(permission, file.as_str()).map_err(denied)?;
        let named = proc.named_by(file.as_str(), body.as_deref(), who.as_ref());
        return Ok(named
            .map(|process| vec![process])
            .map_err(|stale| stale.why));
    }
    let Some(who) = who else {
        return Ok(Err("nobody is meant".to_owned()));
    };
    let found = proc.find(&who).map_err(|error| failed(error.to_string()))?;
    Ok(match found.is_empty() {
        true => Err(format!("no process {who}")),
        false => Ok(found),
    })
}

/// Whether a process can be meant at all.
pub(super) fn may_reach(proc: &Proc, process: &Process, line: &[String]) -> Result<(), Denied> {
    let pid = process.pid;
    let beyond = |what: &str| {
        let said = super::command_line(line);
        Err(Denied::Forbidden(format!(
            "process {pid} ({said}) {what} and is never signalled"
        )))
    };
    if pid == 1 {
        return beyond("is the first of this machine");
    }
    if process.is_kernel {
        return beyond("is a thread of the kernel");
    }
    if proc.is_above(pid) {
        return beyond("is the engine or started it");
    }
    if proc.is_below(pid) {
        return beyond("is run by the engine");
    }
    let me = rustix::process::geteuid();
    if !me.is_root() && proc.user(pid) != Some(me.as_raw()) {
        return beyond("belongs to another user");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use serde_json::json;

    use super::*;
    use crate::{
        hands::{
            Hands, Live,
            testing::{World, mistakes, wait},
        },
        model::step::Outcome,
        permission::Settings,
        probe::processes::testing::{Orphan, becomes},
    };

    /// A world in which sleepers of this name may be signalled.
    fn world(name: &str) -> World {
        let mut world = World::new();
        world.signal = vec![format!("{} 600", world.path(name).display())];
        world
    }

    fn sleeper(world: &World, name: &str) -> Orphan {
        Orphan::sleeping(&world.path(""), name)
    }

    fn held(world: &World, args: Value) -> (HeldBy, String) {
        match world.prepare("signal_process", args.clone()) {
            Err(HandsError::Held { by, reason }) => (by, reason),
            other => panic!("{args}: {other:?}"),
        }
    }

    #[test]
    fn a_process_is_ended_and_the_receipt_says_which() {
        let world = world("hs-ended");
        let bot = sleeper(&world, "hs-ended");
        let args = json!({"cmdline": "/hs-ended 600$", "within": "10s"});
        let effect = world.ready("signal_process", args.clone());
        let line = world.path("hs-ended").display().to_string();
        let would = world.dry(&effect);
        assert_eq!(
            would.detail,
            format!("would send TERM to {} ({line} 600)", bot.pid)
        );
        assert_eq!(
            (would.outcome, &*would.target),
            (Outcome::Would, "/hs-ended 600$")
        );
        assert!(bot.is_alive(), "a dry run sends nothing");
        let receipt = world.commit(&effect).expect("it ends");
        let said = format!("sent TERM to {} ({line} 600); ended after ", bot.pid);
        assert!(receipt.detail.starts_with(&said), "{}", receipt.detail);
        assert_eq!((receipt.outcome, &receipt.undo), (Outcome::Done, &None));
        assert!(!bot.is_alive());
        assert_eq!(effect.claims(), [format!("process {}", bot.pid)]);
        let again = world.ready("signal_process", args);
        assert_eq!(
            world.dry(&again).detail,
            "would do nothing: no process has a command line like /hs-ended 600$"
        );
    }

    #[test]
    fn the_signal_is_the_one_that_is_named() {
        let world = world("hs-signals");
        let bot = sleeper(&world, "hs-signals");
        let send = |signal: &str, within: Value| {
            let args = json!({"name": "hs-signals", "signal": signal, "within": within});
            world.commit(&world.ready("signal_process", args))
        };
        let stat = format!("/proc/{}/stat", bot.pid);
        let state =
            |letter: &str| fs::read_to_string(&stat).is_ok_and(|text| text.contains(letter));
        send("STOP", Value::Null).expect("sent");
        assert!(becomes(|| state(") T ")), "it stands");
        let error = send("TERM", json!("50ms")).expect_err("it stands");
        assert!(
            error
                .to_string()
                .ends_with(&format!("; {} did not end within 50ms", bot.pid)),
            "{error}"
        );
        assert!(bot.is_alive());
        send("CONT", Value::Null).expect("sent");
        assert!(becomes(|| !bot.is_alive()), "now it obeys");
    }

    #[test]
    fn a_number_that_went_to_another_process_is_left_alone() {
        let world = world("hs-reused");
        let bot = sleeper(&world, "hs-reused");
        let mut effect = world.ready(
            "signal_process",
            json!({"name": "hs-reused", "signal": "KILL"}),
        );
        let Effect::Signal { targets, .. } = &mut effect else {
            panic!("{effect:?}")
        };
        // as if what was looked at had started a moment before the one that has its number now
        targets[0].started -= 1;
        let error = world
            .commit(&effect)
            .expect_err("it is another one")
            .to_string();
        assert_eq!(
            error,
            format!(
                "process {} is another one than was looked at: nothing was sent",
                bot.pid
            )
        );
        assert!(bot.is_alive());
    }

    #[test]
    fn a_process_that_became_another_program_is_left_alone() {
        let mut world = World::new();
        let fifo = world.path("data/go");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &fifo,
            rustix::fs::FileType::Fifo,
            0o600.into(),
            0,
        )
        .expect("a FIFO");
        let sh = world.path("hs-exec");
        symlink("/bin/sh", &sh).expect("a link");
        let script = "read -r x < data/go; exec sleep 600";
        let script = script.replace("data/go", &fifo.display().to_string());
        world.signal = vec![format!("{} -c '{script}'", sh.display())];
        let bot = Orphan::start(&sh, &["-c", &script]);
        let effect = world.ready(
            "signal_process",
            json!({"name": "hs-exec", "signal": "KILL"}),
        );
        fs::write(&fifo, "go\n").expect("somebody reads");
        let proc = Proc::default();
        assert!(becomes(|| proc
            .command_line(bot.pid)
            .first()
            .is_some_and(|word| word == "sleep")));
        let error = world
            .commit(&effect)
            .expect_err("it is another program")
            .to_string();
        assert_eq!(
            error,
            format!(
                "process {} has another command line than when it was looked at: nothing was sent",
                bot.pid
            )
        );
        assert!(bot.is_alive());
    }

    #[test]
    fn one_that_has_gone_is_nothing_to_do() {
        let world = world("hs-gone");
        let bot = sleeper(&world, "hs-gone");
        let effect = world.ready("signal_process", json!({"name": "hs-gone", "within": "1s"}));
        bot.kill();
        assert!(becomes(|| !bot.is_alive()));
        let receipt = world.commit(&effect).expect("nothing to do");
        assert_eq!(receipt.detail, "nothing: it had ended already");
    }

    #[test]
    fn a_pid_file_is_believed_only_so_far() {
        let world = world("hs-file");
        let bot = sleeper(&world, "hs-file");
        let file = |body: &str| world.put("state/x.pid", body);
        let args = || json!({"pid_file": "state/x.pid", "name": "hs-file", "signal": "KILL"});
        let why = |args: Value| match world.ready("signal_process", args) {
            Effect::Nothing { why, .. } => why,
            other => panic!("{other:?}"),
        };
        for body in [
            "",
            "bot",
            "0",
            "-1",
            "99999999999",
            "4294967297",
            &format!("-{}", bot.pid),
        ] {
            file(body);
            assert_eq!(why(args()), "state/x.pid holds no process number", "{body}");
        }
        file("2147483647");
        assert_eq!(why(args()), "state/x.pid names 2147483647, which is gone");
        fs::remove_file(world.path("state/x.pid")).expect("a file");
        assert_eq!(why(args()), "state/x.pid is not there");
        let stranger = sleeper(&world, "hs-else");
        file(&stranger.pid.to_string());
        let said = why(args());
        assert!(
            said.contains("which is \"hs-else\" and not one that is named hs-file"),
            "{said}"
        );
        let mut child = std::process::Command::new("/bin/sleep")
            .arg("600")
            .stdout(std::process::Stdio::null())
            .spawn()
            .expect("a child");
        let _ends = Orphan::adopt(i32::try_from(child.id()).expect("small"));
        for (pid, what) in [
            (1, "is the first of this machine"),
            (std::process::id(), "is the engine or started it"),
            (
                std::os::unix::process::parent_id(),
                "is the engine or started it",
            ),
            (child.id(), "is run by the engine"),
        ] {
            file(&pid.to_string());
            let (by, reason) = held(&world, json!({"pid_file": "state/x.pid", "signal": "KILL"}));
            assert_eq!(by, HeldBy::Permission);
            let first = pid == 1 && reason.contains("is the first of this machine");
            assert!(first || reason.contains(what), "{pid}: {reason}");
        }
        assert!(
            child.try_wait().expect("a child").is_none(),
            "nobody was touched"
        );
        child.kill().and_then(|()| child.wait()).expect("it ends");
        assert!(stranger.is_alive() && bot.is_alive());
        file(&format!("{}\n", bot.pid));
        world.act("signal_process", args());
        assert!(becomes(|| !bot.is_alive()));
    }

    #[test]
    fn a_pid_file_outside_is_not_read() {
        let world = world("hs-out");
        let secret = world.secret().display().to_string();
        let (by, _) = held(&world, json!({"pid_file": secret}));
        assert_eq!(by, HeldBy::Permission);
    }

    #[test]
    fn more_than_one_only_if_each_is_meant() {
        let world = world("hs-many");
        let bots = [sleeper(&world, "hs-many"), sleeper(&world, "hs-many")];
        let (by, reason) = held(&world, json!({"name": "hs-many"}));
        assert_eq!(
            (by, &*reason),
            (
                HeldBy::TooMany,
                "2 processes are hs-many: which one? `all: true` means each of them"
            )
        );
        assert!(bots.iter().all(Orphan::is_alive));
        let more: Vec<Orphan> = (0..MOST - 1).map(|_| sleeper(&world, "hs-many")).collect();
        let all = json!({"name": "hs-many", "all": true, "signal": "KILL", "within": "10s"});
        let (by, reason) = held(&world, all.clone());
        assert_eq!(
            (by, &*reason),
            (
                HeldBy::TooMany,
                "21 processes are hs-many: more than a step may signal (20)"
            )
        );
        assert!(more.iter().all(Orphan::is_alive));
        more[0].kill();
        assert!(becomes(|| !more[0].is_alive()));
        world.act("signal_process", all);
        assert!(!bots.iter().chain(&more).any(Orphan::is_alive));
    }

    #[test]
    fn what_is_not_allowed_is_held_at_the_look_and_at_the_act() {
        let allowed = world("hs-strict");
        let bot = sleeper(&allowed, "hs-strict");
        let effect = allowed.ready("signal_process", json!({"name": "hs-strict"}));
        let strict = Permission::new(&allowed.path("."), Settings::default()).expect("a root");
        let live = Live::new(std::sync::Arc::new(strict), allowed.runner.clone());
        match wait(live.commit(&effect)) {
            Err(HandsError::Held {
                by: HeldBy::Permission,
                ..
            }) => {}
            other => panic!("{other:?}"),
        }
        let other = world("hs-other");
        let (by, reason) = held(&other, json!({"name": "hs-strict"}));
        assert_eq!(by, HeldBy::Permission);
        assert!(
            reason.contains("is not allowed by `allow: { signal: [...] }`"),
            "{reason}"
        );
        assert!(bot.is_alive());
    }

    #[test]
    fn mistakes_are_found_at_load() {
        let world = world("hs-load");
        let codes = |world: &World, args: Value| {
            let found = mistakes(world, "signal_process", args);
            found
                .into_iter()
                .map(|(code, line, _)| (code, line))
                .collect::<Vec<_>>()
        };
        for (args, expected) in [
            (json!({"name": "bot"}), vec![]),
            (
                json!({"cmdline": "${vars.x}", "signal": "KILL", "within": "5m"}),
                vec![],
            ),
            (json!({}), vec![("bad-value", 0)]),
            (json!({"name": "a", "cmdline": "b"}), vec![("bad-value", 2)]),
            (json!({"name": " "}), vec![("bad-value", 1)]),
            (
                json!({"name": "a", "signal": "SIGTERM"}),
                vec![("bad-value", 2)],
            ),
            (
                json!({"name": "a", "signal": "USR1", "within": "1s"}),
                vec![("bad-value", 3)],
            ),
            (json!({"name": "a", "within": "6m"}), vec![("bad-value", 2)]),
            (json!({"name": "a", "within": "0s"}), vec![("bad-value", 2)]),
            (
                json!({"pid_file": "state/x.pid", "all": true}),
                vec![("bad-value", 2)],
            ),
            (json!({"cmdline": "("}), vec![("bad-pattern", 1)]),
            (json!({"pid_file": "/run/x.pid"}), vec![("not-allowed", 1)]),
            (json!({"pid": 5}), vec![("unknown-key", 1)]),
        ] {
            assert_eq!(codes(&world, args.clone()), expected, "{args}");
        }
        let none = World::new();
        assert_eq!(
            codes(&none, json!({"name": "bot"})),
            [("forbidden-signal", 0)]
        );
        let failed = world.prepare("signal_process", json!({"cmdline": "("}));
        assert!(matches!(failed, Err(HandsError::Failed(_))), "{failed:?}");
    }
}
