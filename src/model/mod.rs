//! The words of homeostat, as plain values. Imports nothing of ours, does nothing to the world.
//!
//! One word for one thing, the same in rules, code, logs and screens: a *check* has a *trigger*, a *probe*, a
//! *threshold* and a *remediation*; a probe gives *facts*, a threshold a *verdict*, and what is remembered of a check
//! between looks is its *standing*.

pub mod attempt;
pub mod calendar;
pub mod facts;
pub mod incident;
pub mod moment;
pub mod node;
pub mod notice;
pub mod outline;
pub mod report;
pub mod span;
pub mod standing;
pub mod status;
pub mod step;
pub mod text;
pub mod verdict;

use std::sync::Arc;

/// The name of a check, an investigation or a notifier: unique over the whole rules directory.
pub type Name = Arc<str>;

/// Content hash of a rule set: the first 12 hex digits of SHA-256 over its sorted files, `vars` overrides included.
pub type Generation = Arc<str>;
