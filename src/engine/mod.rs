//! The live driver: performs the core's outputs, returns inputs.
//!
//! | file | is |
//! |---|---|
//! | [`live`] | starting an engine: settings, lock, rules, store, then the loop |
//! | `driver` | the loop that owns the core; live, one-off and dry run are this same loop |
//! | [`look`], `pool`, `looking` | one look; the blocking threads for looks at files; looks that have not come back |
//! | `repair` | doing a rung, undoing a ladder |
//! | `watch` | what changes on disk while it runs |
//! | `pause` | the kill switch that is a file |
//! | `telling`, `notifiers`, `post` | who is told of what happens; what is asked of that; the task that brings notices to their receivers |
//! | `records` | where a driver writes: for real, or nowhere |
//! | [`dry`] | the dry driver |
//! | `failpoint` | where tests kill it |
//! | `investigate`, `board`, `counts` | the record of a session; what other looks may ask; the ledger's sums |
//! | [`handle`], [`answer`] | what it is asked, and what it answers |

pub mod answer;
mod board;
mod counts;
mod driver;
pub mod dry;
mod failpoint;
pub mod handle;
mod investigate;
pub mod live;
pub mod look;
mod looking;
mod masks;
mod notifiers;
mod pause;
mod pool;
mod post;
mod records;
mod repair;
mod requests;
mod telling;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod watch;

pub use handle::Handle;
