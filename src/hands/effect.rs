//! A prepared step: what exactly will be done, with what was seen of its target.

use std::time::Duration;

use serde_json::Value;

use super::{HandsError, command_line, diff};
pub use super::{
    call_http::Call,
    image::{Image, Mark, Seen},
    signal_process::{Signal, Target},
};
use crate::{
    model::step::{Outcome, Receipt},
    permission::restarting::Unit,
};

/// Something to do to the world, complete: committing it needs nothing but hands.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// The target is as wished already.
    Nothing {
        kind: &'static str,
        target: String,
        why: String,
    },
    /// Replaces a file (or makes it).
    Write {
        kind: &'static str,
        file: String,
        body: Vec<u8>,
        rights: Rights,
        seen: Seen,
    },
    Remove {
        kind: &'static str,
        file: String,
        seen: Seen,
    },
    /// Gives a file another name.
    Move {
        kind: &'static str,
        file: String,
        to: String,
        mark: Mark,
        /// What stands there and is replaced.
        there: Seen,
        /// What is put in its place: an undone move gives back what it had replaced.
        leave: Option<Leave>,
    },
    Run {
        argv: Vec<String>,
        timeout: Duration,
    },
    /// Restarts a unit of systemd.
    Restart { unit: Unit, timeout: Duration },
    /// Sends a request.
    Call(Box<Call>),
    /// Asks for looks at these checks, repairs included.
    RunChecks { checks: Vec<String> },
    /// Raises an event.
    Raise { event: String },
    /// Tells these notifiers something.
    Tell { to: Vec<String>, text: String },
    /// Signals these processes, if they are still the ones that were looked at.
    Signal {
        signal: Signal,
        /// Who is meant, as the rule says it.
        who: String,
        targets: Vec<Target>,
        /// How long to wait for their end.
        within: Option<Duration>,
    },
}

/// A body with its rights.
#[derive(Clone, Debug, PartialEq)]
pub struct Leave {
    pub body: Vec<u8>,
    pub rights: Rights,
}

/// What a written file shall have beside its body. Where nothing is said, a replaced file keeps what it had, and a new
/// one is like any other new file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// Permission bits.
    pub mode: Option<u32>,
    /// Numbers of the user and the group.
    pub owner: Option<(u32, u32)>,
}

impl Effect {
    /// The kind of step it came from, or `undo`.
    pub fn kind(&self) -> &'static str {
        match self {
            Effect::Nothing { kind, .. }
            | Effect::Write { kind, .. }
            | Effect::Move { kind, .. }
            | Effect::Remove { kind, .. } => kind,
            Effect::Run { .. } => super::run_command::KIND.name,
            Effect::Restart { .. } => super::restart_unit::KIND.name,
            Effect::Call(_) => super::call_http::KIND.name,
            Effect::RunChecks { .. } => super::run_checks::KIND.name,
            Effect::Raise { .. } => super::raise_event::KIND.name,
            Effect::Tell { .. } => super::notify::KIND.name,
            Effect::Signal { .. } => super::signal_process::KIND.name,
        }
    }

    /// The file, command line, request, check names, unit or process it is about.
    pub fn target(&self) -> String {
        match self {
            Effect::Nothing { target, .. } => target.clone(),
            Effect::Write { file, .. }
            | Effect::Move { file, .. }
            | Effect::Remove { file, .. } => file.clone(),
            Effect::Run { argv, .. } => command_line(argv),
            Effect::Restart { unit, .. } => unit.to_string(),
            Effect::Call(call) => call.line(),
            Effect::RunChecks { checks } => checks.join(", "),
            Effect::Raise { event } => event.clone(),
            Effect::Tell { to, .. } => to.join(", "),
            Effect::Signal { who, .. } => who.clone(),
        }
    }

    /// What it acts on, as others would name it too: nobody else acts on it until its attempt has ended. Checks that are
    /// run have repairs, and claims, of their own.
    pub fn claims(&self) -> Vec<String> {
        match self {
            Effect::Nothing { .. } | Effect::RunChecks { .. } | Effect::Tell { .. } => Vec::new(),
            Effect::Move { file, to, .. } => vec![file.clone(), to.clone()],
            Effect::Raise { event } => vec![crate::core::event_target(event)],
            Effect::Restart { unit, .. } => vec![format!("unit {unit}")],
            // whichever way two steps found one process, it is one process
            Effect::Signal { targets, .. } if !targets.is_empty() => {
                let each = targets.iter();
                each.map(|target| format!("process {}", target.pid))
                    .collect()
            }
            _ => vec![self.target()],
        }
    }

    /// The difference it makes to a file, or the request it sends.
    pub fn diff(&self) -> Option<String> {
        match self {
            Effect::Write {
                file, body, seen, ..
            } => diff::unified(file, seen.body(), Some(body)),
            Effect::Remove { file, seen, .. } => diff::unified(file, seen.body(), None),
            Effect::Call(call) => Some(call.told()),
            Effect::Tell { text, .. } => {
                let lines = text
                    .lines()
                    .map(|line| format!("+{}\n", diff::visible(line)));
                Some(lines.collect())
            }
            _ => None,
        }
    }

    /// What it does, as (`change`, `changed`) and the rest of the sentence.
    pub(super) fn deed(&self) -> (&'static str, &'static str, String) {
        match self {
            Effect::Write {
                file,
                body,
                rights,
                seen,
                ..
            } => {
                let new = body.len();
                match seen.file() {
                    None => ("make", "made", format!("{file} ({new} bytes)")),
                    Some(old) => {
                        let mode = rights.mode.filter(|mode| *mode != old.mode);
                        let mode = mode.map_or_else(String::new, |mode| {
                            format!(", mode {:04o} → {mode:04o}", old.mode)
                        });
                        let sizes = format!("{} → {new} bytes", old.body.len());
                        ("change", "changed", format!("{file} ({sizes}{mode})"))
                    }
                }
            }
            Effect::Remove { file, seen, .. } => {
                let size = seen.body().unwrap_or_default().len();
                ("remove", "removed", format!("{file} ({size} bytes)"))
            }
            Effect::Move {
                file,
                to,
                mark,
                there,
                leave,
                ..
            } => {
                let replaced = there.body().map_or_else(String::new, |old| {
                    format!(", in place of its {} bytes", old.len())
                });
                let back = leave.as_ref().map_or_else(String::new, |leave| {
                    format!("; {file} is as it was before ({} bytes)", leave.body.len())
                });
                let what = format!("{file} to {to} ({} bytes{replaced}){back}", mark.size);
                ("move", "moved", what)
            }
            Effect::Run { argv, .. } => ("run", "ran", command_line(argv)),
            Effect::Restart { unit, .. } => ("restart", "restarted", unit.to_string()),
            Effect::Call(call) => ("send", "sent", call.line()),
            Effect::RunChecks { checks } => ("run", "ran", format!("checks {}", checks.join(", "))),
            Effect::Raise { event } => ("raise", "raised", format!("the event {event}")),
            Effect::Tell { to, text } => {
                let first = text.lines().next().unwrap_or_default();
                ("tell", "told", format!("{}: {first}", to.join(", ")))
            }
            Effect::Signal {
                signal, targets, ..
            } => {
                let each: Vec<String> = targets.iter().map(Target::told).collect();
                let what = format!("{} to {}", signal.word(), each.join(", "));
                ("send", "sent", what)
            }
            Effect::Nothing { why, .. } => ("do", "did", format!("nothing: {why}")),
        }
    }

    pub(super) fn receipt(&self, outcome: Outcome, detail: String, undo: Option<Value>) -> Receipt {
        Receipt {
            kind: self.kind().to_owned(),
            target: self.target(),
            outcome,
            detail,
            diff: self.diff(),
            undo,
        }
    }

    /// The receipt it will have if it is done: kept before the act, so that it can be undone even if the engine dies
    /// before the real one is written.
    pub fn promise(&self) -> Receipt {
        self.receipt(Outcome::Done, "intended".to_owned(), super::undo::of(self))
    }

    /// The receipt of an effect whose commit failed: nothing was changed, so there is no difference and no undo.
    pub fn failed(&self, error: &HandsError) -> Receipt {
        Receipt {
            diff: None,
            ..self.receipt(Outcome::Failed, error.to_string(), None)
        }
    }
}
