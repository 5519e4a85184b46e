//! Whether the engine makes progress: what `/healthz`, the metrics and the dead man's switch go by.
//!
//! The loop writes here every time it goes round, which is at least once a second; whoever wants to know reads it without
//! asking the loop. So a loop that is stuck is seen to be stuck, which it could not say itself.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use schemars::JsonSchema;
use serde::Serialize;

use crate::{clock::Stopwatch, model::moment::Moment};

/// A loop that has not gone round for so long is stuck: it goes round once a second.
const STUCK: Duration = Duration::from_secs(10);
/// An agenda whose head lies so far in the past is not being worked off.
const LATE: Duration = Duration::from_secs(30);

/// Written by the loop, read by anybody.
#[derive(Debug)]
pub struct Progress(Mutex<Turn>);

#[derive(Debug)]
struct Turn {
    since: Stopwatch,
    turns: u64,
    looks: u64,
    missed: u64,
    lateness: Duration,
    next_due: Option<Moment>,
    stopping: bool,
    store: Option<String>,
    heartbeat: Option<Beat>,
}

/// The heartbeat out that was sent last, or was to be.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Beat {
    /// Epoch seconds.
    pub at: f64,
    /// Why it did not arrive.
    pub error: Option<String>,
}

/// How the engine gets on.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Health {
    /// It works off its agenda.
    pub alive: bool,
    /// Why not, or that it is being stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Seconds since the loop went round last.
    pub turned_s: f64,
    /// How late the head of the agenda was then, in seconds.
    pub lateness_s: f64,
    /// When something is due next, in epoch seconds; `null` if nothing ever is.
    pub next_due: Option<f64>,
    /// Looks that came back since it started.
    pub looks: u64,
    pub missed_slots: u64,
    /// Trouble with the store.
    pub store: Option<String>,
    /// The heartbeat out, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<Beat>,
}

impl Default for Progress {
    fn default() -> Progress {
        Progress(Mutex::new(Turn {
            since: Stopwatch::new(),
            turns: 0,
            looks: 0,
            missed: 0,
            lateness: Duration::ZERO,
            next_due: None,
            stopping: false,
            store: None,
            heartbeat: None,
        }))
    }
}

/// What the loop says when it goes round.
pub(super) struct Said {
    pub now: Moment,
    pub next_due: Option<Moment>,
    pub missed: u64,
    pub stopping: bool,
    pub store: Option<String>,
}

impl Progress {
    fn turn(&self) -> MutexGuard<'_, Turn> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner) // plain numbers: whole after any panic
    }

    /// The loop goes round.
    pub(super) fn goes_round(&self, said: Said) {
        let mut turn = self.turn();
        turn.since = Stopwatch::new();
        turn.turns += 1;
        let due = said.next_due.filter(|due| *due < said.now);
        turn.lateness = due.map_or(Duration::ZERO, |due| said.now.since(due));
        turn.next_due = said.next_due;
        turn.missed = said.missed;
        turn.stopping = said.stopping;
        turn.store = said.store;
    }

    /// A look came back.
    pub(super) fn looked(&self) {
        self.turn().looks += 1;
    }

    /// Whether the loop has gone round once.
    pub(super) fn has_begun(&self) -> bool {
        self.turn().turns > 0
    }

    pub(super) fn beats(&self, beat: Beat) {
        self.turn().heartbeat = Some(beat);
    }

    pub(super) fn heartbeat(&self) -> Option<Beat> {
        self.turn().heartbeat.clone()
    }

    pub fn health(&self) -> Health {
        let turn = self.turn();
        judge(&turn, turn.since.elapsed())
    }
}

fn judge(turn: &Turn, since: Duration) -> Health {
    let why = if turn.turns == 0 {
        Some("the engine has not begun".to_owned())
    } else if since > STUCK {
        let span = humantime::format_duration(Duration::from_secs(since.as_secs()));
        Some(format!("the loop has not gone round for {span}"))
    } else if turn.lateness > LATE {
        let late = Duration::from_secs(turn.lateness.as_secs());
        let late = humantime::format_duration(late);
        Some(format!("the agenda is {late} behind"))
    } else {
        None
    };
    let alive = why.is_none();
    let stopping = || {
        turn.stopping
            .then(|| "the engine is being stopped".to_owned())
    };
    Health {
        alive,
        why: why.or_else(stopping),
        turned_s: since.as_secs_f64(),
        lateness_s: turn.lateness.as_secs_f64(),
        next_due: turn.next_due.map(Moment::seconds),
        looks: turn.looks,
        missed_slots: turn.missed,
        store: turn.store.clone(),
        heartbeat: turn.heartbeat.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(now: i64, next_due: Option<i64>) -> Said {
        Said {
            now: Moment(now),
            next_due: next_due.map(Moment),
            missed: 0,
            stopping: false,
            store: None,
        }
    }

    fn after(progress: &Progress, since: u64) -> Health {
        judge(&progress.turn(), Duration::from_secs(since))
    }

    #[test]
    fn an_engine_lives_while_it_works_off_its_agenda() {
        let progress = Progress::default();
        assert_eq!(
            after(&progress, 0).why.as_deref(),
            Some("the engine has not begun")
        );
        progress.goes_round(said(1_000_000, Some(1_005_000)));
        progress.looked();
        let health = after(&progress, 1);
        assert_eq!(
            (health.alive, health.lateness_s, health.looks),
            (true, 0.0, 1)
        );
        assert!(after(&progress, 10).alive);
        let stuck = after(&progress, 11);
        assert!(!stuck.alive);
        assert_eq!(
            stuck.why.as_deref(),
            Some("the loop has not gone round for 11s")
        );
    }

    #[test]
    fn a_loop_that_goes_round_without_working_is_dead_too() {
        let progress = Progress::default();
        progress.goes_round(said(1_030_000, Some(1_000_000)));
        assert!(after(&progress, 0).alive);
        progress.goes_round(said(1_031_000, Some(1_000_000)));
        let health = after(&progress, 0);
        assert_eq!(
            (health.alive, health.why.as_deref(), health.lateness_s),
            (false, Some("the agenda is 31s behind"), 31.0)
        );
    }

    #[test]
    fn an_engine_with_nothing_to_do_is_well_and_one_that_stops_says_so() {
        let progress = Progress::default();
        progress.goes_round(Said {
            stopping: true,
            ..said(0, None)
        });
        let health = after(&progress, 0);
        assert_eq!(
            (health.alive, health.why.as_deref()),
            (true, Some("the engine is being stopped"))
        );
    }
}
