//! What an evaluation may use: operations, which are counted and decide, and time, which is only the backstop.

use std::{cell::Cell, time::Duration};

use rhai::Dynamic;

use super::value::{Outcome, refuse};
use crate::clock::Stopwatch;

/// Operations of one evaluation, its `let` values included. Counted, so that a rule fails here and there alike.
pub const MOST_OPERATIONS: u64 = 500_000;

/// Wall time of one evaluation: only the backstop, operations are what decides. A debug build is ten times as slow.
pub const MOST_TIME: Duration = Duration::from_millis(match cfg!(debug_assertions) {
    true => 500,
    false => 50,
});

/// How much of it a few hundred operations can use up.
const LONGEST_SLICE: Duration = Duration::from_millis(10);

thread_local! {
    static SPENT: Cell<u64> = const { Cell::new(0) };
    static TIME: Cell<Option<Time>> = const { Cell::new(None) };
}

/// What an evaluation took so far.
#[derive(Clone, Copy)]
struct Time {
    watch: Stopwatch,
    seen: Duration,
    used: Duration,
}

impl Time {
    /// Adds what has gone by since the last time. Some hundred operations that seem to take longer than [`LONGEST_SLICE`]
    /// were not running: a busy machine makes no rule fail.
    fn tick(&mut self) -> Duration {
        let now = self.watch.elapsed();
        self.used += now.saturating_sub(self.seen).min(LONGEST_SLICE);
        self.seen = now;
        self.used
    }
}

/// Begins the evaluation of an expression, its `let` values included.
pub(super) fn begin() {
    SPENT.set(0);
    TIME.set(None);
}

/// Counts a text of so many bytes that is made: texts can be long, and a list can hold many.
pub(super) fn text(bytes: usize) -> Outcome<()> {
    const BYTES_AN_OPERATION: usize = 128;
    spend(bytes / BYTES_AN_OPERATION)
}

/// Counts what a function gave, if it is a text.
pub(super) fn made(answer: &Dynamic) -> Outcome<()> {
    match answer.as_immutable_string_ref() {
        Ok(made) => text(made.len()),
        Err(_) => Ok(()),
    }
}

/// Does what takes time of its own, with bounds of its own: looking at a file. It is not the evaluation's time.
pub(super) fn outside<T>(look: impl FnOnce() -> T) -> T {
    let answer = look();
    if let Some(mut time) = TIME.get() {
        time.seen = time.watch.elapsed();
        TIME.set(Some(time));
    }
    answer
}

/// Counts operations that Rhai does not see: the items a function goes through.
pub(super) fn spend(operations: usize) -> Outcome<()> {
    match count(operations as u64) {
        None => Ok(()),
        Some(why) => refuse(why),
    }
}

/// What Rhai calls for every operation. A text ends the evaluation.
pub(super) fn progress() -> Option<Dynamic> {
    count(1).map(Dynamic::from)
}

/// Whether the running evaluation has used up what it may use.
pub(super) fn is_spent() -> bool {
    SPENT.get() > MOST_OPERATIONS || TIME.get().is_some_and(|time| time.used > MOST_TIME)
}

fn count(operations: u64) -> Option<&'static str> {
    const LOOK_EVERY: u64 = 256;
    let before = SPENT.get();
    let after = before.saturating_add(operations);
    SPENT.set(after);
    if after > MOST_OPERATIONS {
        return Some("too much to calculate: the limit of 500000 operations is passed");
    }
    if before / LOOK_EVERY == after / LOOK_EVERY {
        return None;
    }
    let mut time = TIME.get().unwrap_or_else(|| Time {
        watch: Stopwatch::new(),
        seen: Duration::ZERO,
        used: Duration::ZERO,
    });
    let used = time.tick();
    TIME.set(Some(time));
    (used > MOST_TIME).then_some("too slow: the limit of 50 ms is passed")
}

/// What the last evaluation on this thread has spent.
#[cfg(test)]
pub(super) fn spent() -> u64 {
    SPENT.get()
}
