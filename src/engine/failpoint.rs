//! Boundaries at which the engine may be killed, to prove that it goes on rightly from each.
//!
//! A *boundary* is an instant just before or after something becomes true on the disk or in the world. With the feature
//! `failpoints` the environment variable `HOMEOSTAT_FAILPOINT` names one, and the process kills itself there: `17` is the
//! seventeenth boundary passed, whichever it is, `after-act:2` the second one of that name. Which it was is told on stderr
//! first. Without the feature [`pass`] is nothing at all. `tests/kills` drives it.

/// Where a kill may fall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Boundary {
    /// Rows are about to be handed to the store.
    BeforeRows,
    /// They are written.
    AfterRows,
    BeforeIntent,
    /// The intent is durable, and nobody knows yet.
    AfterIntent,
    /// What undoing needs is about to be kept.
    BeforeImage,
    AfterImage,
    /// An effect is about to be done to the world.
    BeforeAct,
    AfterAct,
    /// The receipts of a rung are there, and the core is about to hear of them.
    BeforeTold,
    AfterTold,
    BeforeRollBack,
    /// All was undone that can be, and the core is about to hear of it.
    AfterRollBack,
    BeforeLine,
    AfterLine,
}

#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub(super) fn pass(_: Boundary) {}

#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub(super) fn is_armed() -> bool {
    false
}

#[cfg(feature = "failpoints")]
pub(super) use armed::{is_armed, pass};

#[cfg(feature = "failpoints")]
mod armed {
    use std::{
        io::Write,
        sync::{
            LazyLock,
            atomic::{AtomicU64, Ordering},
        },
    };

    use rustix::process::{Signal, getpid, kill_process};

    use super::Boundary;

    const VARIABLE: &str = "HOMEOSTAT_FAILPOINT";

    static PLAN: LazyLock<Option<Plan>> = LazyLock::new(plan);
    static PASSED: AtomicU64 = AtomicU64::new(0);

    struct Plan {
        /// `None`: boundaries of every name count.
        name: Option<String>,
        /// From 1.
        nth: u64,
    }

    fn plan() -> Option<Plan> {
        let text = std::env::var(VARIABLE).ok()?;
        let (name, nth) = match text.split_once(':') {
            Some((name, nth)) => (Some(name.to_owned()), nth),
            None => (None, text.as_str()),
        };
        match nth.parse() {
            Ok(nth) if nth > 0 => Some(Plan { name, nth }),
            _ => {
                // A test that believes it kills and does not would prove nothing.
                let _ = writeln!(std::io::stderr(), "{VARIABLE}={text} names no boundary");
                std::process::exit(64);
            }
        }
    }

    /// Whether the process is going to be killed at some boundary.
    pub fn is_armed() -> bool {
        PLAN.is_some()
    }

    pub fn pass(boundary: Boundary) {
        let Some(plan) = &*PLAN else { return };
        let name = name(boundary);
        if plan.name.as_ref().is_some_and(|wanted| wanted != name) {
            return;
        }
        if PASSED.fetch_add(1, Ordering::SeqCst) + 1 == plan.nth {
            let _ = writeln!(std::io::stderr(), "failpoint {name}"); // killed all the same
            let _ = kill_process(getpid(), Signal::KILL);
            std::process::abort(); // never reached: nobody outlives that signal
        }
    }

    fn name(boundary: Boundary) -> &'static str {
        match boundary {
            Boundary::BeforeRows => "before-rows",
            Boundary::AfterRows => "after-rows",
            Boundary::BeforeIntent => "before-intent",
            Boundary::AfterIntent => "after-intent",
            Boundary::BeforeImage => "before-image",
            Boundary::AfterImage => "after-image",
            Boundary::BeforeAct => "before-act",
            Boundary::AfterAct => "after-act",
            Boundary::BeforeTold => "before-told",
            Boundary::AfterTold => "after-told",
            Boundary::BeforeRollBack => "before-rollback",
            Boundary::AfterRollBack => "after-rollback",
            Boundary::BeforeLine => "before-line",
            Boundary::AfterLine => "after-line",
        }
    }
}
