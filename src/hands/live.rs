//! The hands that act: the only place of homeostat that changes the watched system.
//!
//! Permission is asked again at the act, and a target must still be as it was seen; otherwise nothing is done.

mod replace;
mod restart;
mod signal;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::future::{BoxFuture, FutureExt};

use super::{Effect, Hands, HandsError, command_line, denied, diff, undo};
use crate::{
    child::{self, Errand, Finished},
    model::{
        span::Span,
        step::{Outcome, Receipt},
    },
    permission::Permission,
};

/// One file is changed at a time: two steps on one file must not share a temporary file, nor both find it unchanged.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Bytes kept of what a command writes.
const MOST_OUTPUT: usize = 64 << 10;
/// Lines of a failed command's output that a receipt tells.
const MOST_LINES: usize = 5;

/// Looks at checks for a `run_checks` step. The engine lends itself as one.
pub trait Runner: Send + Sync {
    /// Has these checks looked at, repairs included. What came of it, or why it could not be done.
    fn run_checks(&self, names: Vec<String>) -> BoxFuture<'_, Result<String, String>>;
    /// Tells whoever waits for this event.
    fn raise(&self, event: String) -> Result<(), String>;
    /// Has these notifiers told; an error if one of them is not there.
    fn tell(&self, to: Vec<String>, text: String) -> BoxFuture<'_, Result<(), String>>;
}

/// Does effects for real.
#[derive(Clone)]
pub struct Live {
    permission: Arc<Permission>,
    runner: Arc<dyn Runner>,
}

impl Live {
    pub fn new(permission: Arc<Permission>, runner: Arc<dyn Runner>) -> Live {
        Live { permission, runner }
    }

    async fn act(&self, effect: &Effect) -> Result<Receipt, HandsError> {
        match effect {
            Effect::Nothing { why, .. } => Ok(done(effect, why.clone())),
            Effect::Write { .. } | Effect::Move { .. } | Effect::Remove { .. } => {
                let (permission, effect) = (self.permission.clone(), effect.clone());
                tokio::task::spawn_blocking(move || change(&permission, &effect))
                    .await
                    .unwrap_or_else(|error| {
                        Err(HandsError::Failed(format!("the act broke off: {error}")))
                    })
            }
            Effect::Run { argv, timeout } => {
                let detail = self.run(argv, *timeout).await?;
                Ok(done(effect, detail))
            }
            Effect::Restart { unit, timeout } => {
                let said = restart::restart(&self.permission, unit, *timeout).await;
                Ok(done(effect, said?))
            }
            Effect::Signal {
                signal,
                targets,
                within,
                ..
            } => {
                let said = signal::send(&self.permission, *signal, targets, *within).await;
                Ok(done(effect, said?))
            }
            Effect::Call(call) => Ok(done(effect, call.send(&self.permission).await?)),
            Effect::Raise { event } => {
                let raised = self.runner.raise(event.clone());
                raised.map_err(HandsError::Failed)?;
                Ok(done(effect, format!("raised the event {event}")))
            }
            Effect::Tell { to, text } => {
                let told = self.runner.tell(to.clone(), text.clone()).await;
                told.map_err(HandsError::Failed)?;
                let (_, did, what) = effect.deed();
                Ok(done(effect, format!("{did} {what}")))
            }
            Effect::RunChecks { checks } => {
                let said = self.runner.run_checks(checks.clone()).await;
                Ok(done(effect, said.map_err(HandsError::Failed)?))
            }
        }
    }

    async fn run(&self, argv: &[String], timeout: Duration) -> Result<String, HandsError> {
        self.permission.may_run(argv).map_err(denied)?;
        let errand = Errand {
            argv: argv.to_vec(),
            env: Vec::new(),
            dir: self.permission.root().to_owned(),
            timeout,
            most_output: MOST_OUTPUT,
            input: None,
        };
        let finished = child::run(&errand).await.map_err(|error| {
            HandsError::Failed(format!("could not start {}: {error}", command_line(argv)))
        })?;
        told(&finished, timeout).map_err(HandsError::Failed)
    }
}

impl Hands for Live {
    fn commit<'a>(&'a self, effect: &'a Effect) -> BoxFuture<'a, Result<Receipt, HandsError>> {
        self.act(effect).boxed()
    }
}

fn done(effect: &Effect, detail: String) -> Receipt {
    effect.receipt(Outcome::Done, detail, undo::of(effect))
}

/// Changes, moves or removes a file.
fn change(permission: &Permission, effect: &Effect) -> Result<Receipt, HandsError> {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let notes = match effect {
        Effect::Write {
            file,
            body,
            rights,
            seen,
            ..
        } => {
            let slot = permission
                .writable(file, seen.file().is_none())
                .map_err(denied)?;
            replace::replace(&slot, seen, body, *rights, &mut replace::fill)?
        }
        Effect::Move {
            file,
            to,
            mark,
            there,
            leave,
            ..
        } => {
            let from = permission.writable(file, false).map_err(denied)?;
            let to = permission
                .writable(to, there.file().is_none())
                .map_err(denied)?;
            replace::move_file(&from, &to, *mark, there, leave.as_ref())?
        }
        Effect::Remove { file, seen, .. } => {
            let slot = permission.writable(file, false).map_err(denied)?;
            replace::remove(&slot, seen)?
        }
        _ => Vec::new(),
    };
    let (_, did, what) = effect.deed();
    let mut detail = format!("{did} {what}");
    for note in notes {
        detail.push_str("; ");
        detail.push_str(&note);
    }
    Ok(done(effect, detail))
}

/// What became of a command: why it failed, or that it did not.
fn told(finished: &Finished, timeout: Duration) -> Result<String, String> {
    let took = Span(Duration::from_millis(
        u64::try_from(finished.duration.as_millis()).unwrap_or(u64::MAX),
    ));
    let end = match finished.exit {
        _ if finished.timed_out => format!("did not end within {} and was killed", Span(timeout)),
        Some(0) => return Ok(format!("exit 0 after {took}")),
        Some(code) => format!("exit {code} after {took}"),
        None => format!("was ended by a signal after {took}"),
    };
    let output = match finished.stderr.trim() {
        "" => finished.stdout.trim(),
        stderr => stderr,
    };
    let lines: Vec<&str> = output.lines().collect();
    let skipped = lines.len().saturating_sub(MOST_LINES);
    let mut last: Vec<String> = lines
        .iter()
        .skip(skipped)
        .map(|line| diff::visible(line.trim_end()))
        .collect();
    if finished.cut {
        last.push("… and more that was not kept".to_owned());
    }
    Err(match last.is_empty() {
        true => end,
        false => format!("{end}: {}", last.join("\n")),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        hands::testing::{World, wait},
        model::standing::HeldBy,
        permission::Settings,
    };

    fn run(argv: &[&str], timeout: &str) -> Result<Receipt, HandsError> {
        let world = World::new();
        let args = json!({"argv": argv, "timeout": timeout});
        world.commit(&world.ready("run_command", args))
    }

    #[test]
    fn a_program_runs_in_the_root_and_leaves_a_receipt() {
        let receipt = run(&["/bin/ls", "data"], "30s").expect("data/ is below the root");
        assert_eq!(
            (receipt.outcome, &*receipt.target),
            (Outcome::Done, "/bin/ls data")
        );
        assert!(
            receipt.detail.starts_with("exit 0 after "),
            "{}",
            receipt.detail
        );
        assert_eq!((receipt.diff, receipt.undo), (None, None));
    }

    #[test]
    fn a_program_that_fails_says_why() {
        let failure = |argv: &[&str], timeout| match run(argv, timeout) {
            Err(HandsError::Failed(reason)) => reason,
            other => panic!("{argv:?}: {other:?}"),
        };
        let reason = failure(&["/bin/ls", "no such file"], "30s");
        assert!(reason.starts_with("exit 2 after "), "{reason}");
        assert!(reason.contains("No such file"), "{reason}");
        assert_eq!(
            failure(&["/bin/sleep", "600"], "50ms"),
            "did not end within 50ms and was killed"
        );
        let reason = failure(&["/nowhere/tool"], "30s");
        assert!(
            reason.starts_with("could not start /nowhere/tool: "),
            "{reason}"
        );
    }

    #[test]
    fn permission_is_asked_again_at_the_act() {
        let world = World::new();
        let effect = world.ready("run_command", json!({"argv": ["/bin/echo", "x"]}));
        let strict = Permission::new(&world.path("."), Settings::default()).expect("a root");
        let live = Live::new(Arc::new(strict), world.runner.clone());
        match wait(live.commit(&effect)) {
            Err(HandsError::Held {
                by: HeldBy::Permission,
                ..
            }) => {}
            other => panic!("{other:?}"),
        }
        world.put("logs/mine.jsonl", "");
        let effect = world.ready("remove_file", json!({"file": "logs/mine.jsonl"}));
        let reserved = world.permission().reserving(["logs/mine.jsonl".to_owned()]);
        let live = Live::new(Arc::new(reserved), world.runner.clone());
        assert!(wait(live.commit(&effect)).is_err());
        assert!(world.path("logs/mine.jsonl").exists());
    }

    fn finished(exit: Option<i32>, stdout: &str, stderr: &str, timed_out: bool) -> Finished {
        Finished {
            exit,
            stdout: stdout.to_owned(),
            stderr: stderr.to_owned(),
            cut: false,
            timed_out,
            duration: Duration::from_millis(1200),
        }
    }

    #[test]
    fn a_command_tells_how_it_ended() {
        let limit = Duration::from_secs(30);
        let said = |finished| told(&finished, limit);
        assert_eq!(
            said(finished(Some(0), "much", "noise", false)),
            Ok("exit 0 after 1s 200ms".to_owned())
        );
        let seven: String = (1..=7).map(|line| format!("line {line}\n")).collect();
        insta::assert_snapshot!(said(finished(Some(3), "out", &seven, false)).expect_err("3"), @r"
        exit 3 after 1s 200ms: line 3
        line 4
        line 5
        line 6
        line 7
        ");
        assert_eq!(
            said(finished(Some(1), "only\u{7} this\n", " \n", false)),
            Err("exit 1 after 1s 200ms: only\\u{7} this".to_owned())
        );
        let cut = Finished {
            cut: true,
            ..finished(Some(1), "", "noise", false)
        };
        assert_eq!(
            said(cut),
            Err("exit 1 after 1s 200ms: noise\n… and more that was not kept".to_owned())
        );
        assert_eq!(
            said(finished(None, "", "", false)),
            Err("was ended by a signal after 1s 200ms".to_owned())
        );
        assert_eq!(
            said(finished(Some(0), "", "", true)),
            Err("did not end within 30s and was killed".to_owned())
        );
    }
}
