//! Restarting a unit of systemd, and how it stood before and afterwards.
//!
//! The contract is that of systemctl(1): `restart` comes back when the job is done and fails if it failed; `show` prints
//! `PROPERTY=VALUE` lines, and leaves out what a unit of this kind has not.

use std::{collections::BTreeMap, time::Duration};

use super::{
    super::{HandsError, denied},
    MOST_OUTPUT, told,
};
use crate::{
    child::{self, Errand, Finished},
    clock::Stopwatch,
    hands::command_line,
    permission::{Permission, restarting::Unit},
};

const PROPERTIES: &str = "--property=LoadState,ActiveState,SubState,MainPID,NRestarts";

/// Restarts it. Says how it stood before and how it stands.
pub(super) async fn restart(
    permission: &Permission,
    unit: &Unit,
    timeout: Duration,
) -> Result<String, HandsError> {
    let systemctl = Systemctl {
        program: permission.may_restart(unit).map_err(denied)?,
        permission,
        unit,
        timeout,
        watch: Stopwatch::new(),
    };
    let before = systemctl.look().await?;
    let failed = |why: String| Err(HandsError::Failed(why));
    if before.load != "loaded" {
        return failed(match before.load.as_str() {
            "not-found" => format!("there is no unit {unit}"),
            load => format!("{unit} is {load} and cannot be restarted"),
        });
    }
    let restarting = systemctl.run(&["--no-ask-password", "restart"]).await?;
    if let Err(why) = told(&restarting, timeout) {
        let after = match restarting.timed_out {
            true => "; systemd may still be at it".to_owned(),
            false => match systemctl.look().await {
                Ok(after) => format!("; it was {}, and is {}", before.told(), after.told()),
                Err(_) => String::new(), // that it failed is known
            },
        };
        return failed(format!("{why}{after}"));
    }
    let after = systemctl.look().await?;
    let change = format!("{} → {}", before.told(), after.told());
    match after.active.as_str() {
        "active" | "reloading" => Ok(change),
        _ => failed(format!("it is not active after the restart: {change}")),
    }
}

struct Systemctl<'a> {
    program: &'a str,
    permission: &'a Permission,
    unit: &'a Unit,
    /// For all that is run.
    timeout: Duration,
    watch: Stopwatch,
}

impl Systemctl<'_> {
    async fn run(&self, what: &[&str]) -> Result<Finished, HandsError> {
        let scope = self.unit.of_user.then_some("--user");
        let words = [self.program].into_iter().chain(scope);
        let words = words
            .chain(what.iter().copied())
            .chain([self.unit.name.as_str()]);
        let errand = Errand {
            argv: words.map(str::to_owned).collect(),
            env: match self.unit.of_user {
                true => vec![("XDG_RUNTIME_DIR".to_owned(), runtime_dir())],
                false => Vec::new(),
            },
            dir: self.permission.root().to_owned(),
            timeout: self.timeout.saturating_sub(self.watch.elapsed()),
            most_output: MOST_OUTPUT,
            input: None,
        };
        child::run(&errand).await.map_err(|error| {
            let line = command_line(&errand.argv);
            HandsError::Failed(format!("could not start {line}: {error}"))
        })
    }

    async fn look(&self) -> Result<State, HandsError> {
        let finished = self.run(&["show", PROPERTIES]).await?;
        let unit = self.unit;
        let wrong = |why: String| HandsError::Failed(format!("could not look at {unit}: {why}"));
        told(&finished, self.timeout).map_err(wrong)?;
        State::read(&finished.stdout)
            .ok_or_else(|| wrong("systemctl did not say how it stands".to_owned()))
    }
}

/// Where the manager of the user is found: logind's place for it.
fn runtime_dir() -> String {
    format!("/run/user/{}", rustix::process::geteuid().as_raw())
}

/// How a unit stands.
#[derive(Debug, PartialEq)]
struct State {
    load: String,
    active: String,
    sub: String,
    pid: Option<u32>,
    /// How often systemd itself started it again.
    restarts: u32,
}

impl State {
    fn read(shown: &str) -> Option<State> {
        let shown: BTreeMap<&str, &str> = shown
            .lines()
            .filter_map(|line| line.trim_end().split_once('='))
            .collect();
        let text = |name: &str| shown.get(name).map(|value| (*value).to_owned());
        let number = |name: &str| shown.get(name).and_then(|value| value.parse::<u32>().ok());
        Some(State {
            load: text("LoadState")?,
            active: text("ActiveState")?,
            sub: text("SubState").unwrap_or_default(),
            pid: number("MainPID").filter(|pid| *pid > 0),
            restarts: number("NRestarts").unwrap_or(0),
        })
    }

    fn told(&self) -> String {
        let mut told = self.active.clone();
        if !self.sub.is_empty() && self.sub != self.active {
            told.push_str(&format!(" ({})", self.sub));
        }
        if self.restarts > 0 {
            told.push_str(&format!(" after {} restarts by systemd", self.restarts));
        }
        if let Some(pid) = self.pid {
            told.push_str(&format!(", pid {pid}"));
        }
        super::diff::visible(&told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_told_in_a_few_words() {
        let read = |shown: &str| State::read(shown).map(|state| state.told());
        for (shown, told) in [
            (
                "LoadState=loaded\nActiveState=active\nSubState=running\nMainPID=4711\nNRestarts=0\n",
                "active (running), pid 4711",
            ),
            (
                "MainPID=0\nNRestarts=5\nLoadState=loaded\nActiveState=failed\nSubState=failed\n",
                "failed after 5 restarts by systemd",
            ),
            (
                "LoadState=loaded\r\nActiveState=active\r\nSubState=listening\r\n",
                "active (listening)",
            ),
            (
                "LoadState=masked\nActiveState=in\u{1b}active\n",
                "in\\u{1b}active",
            ),
        ] {
            assert_eq!(read(shown).as_deref(), Some(told));
        }
        assert_eq!(read(""), None);
        assert_eq!(read("LoadState=loaded\n"), None);
    }
}
