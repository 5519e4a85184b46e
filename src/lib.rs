//! homeostat watches a running system and puts it right.
//!
//! The tree is named after the words of a rule: whoever can read a rule file knows the way here. Modules stand on
//! floors and import only from lower ones, and inside a floor only from those listed before them; `tests/floors.rs`
//! guards it.
//!
//! | floor | module | is |
//! |---|---|---|
//! | 0 | [`model`] | the words, as plain values |
//! | 0 | [`clock`] | the only place that knows the time |
//! | 1 | [`script`] | the one Rhai engine, made strict |
//! | 1 | [`trigger`] | when to look: slots by arithmetic, clock times, calendars |
//! | 1 | [`threshold`] | what is bad: from facts to a verdict |
//! | 1 | [`remediation`] | what to wish for: from a ladder to steps |
//! | 1 | [`guard`] | may I: cooldown, limit, breaker, pause |
//! | 1 | [`core`] | the state machine without I/O: inputs in, outputs out |
//! | 1 | [`incident`] | what belongs to one cause, and whom to tell of it when |
//! | 2 | [`permission`] | below which directories, which programs, which hosts; what is never told |
//! | 2 | [`child`] | child processes that end |
//! | 2 | [`net`] | going over the network: resolve, ask permission, connect |
//! | 2 | [`probe`] | where to look: one file a kind |
//! | 2 | [`hands`] | what is done: one file a step; only `hands/live.rs` changes the world |
//! | 2 | [`notify`] | how people are told: one file a channel, and the queue of what is on its way |
//! | 2 | [`journal`] | JSON lines and published files |
//! | 2 | [`store`] | what survives: SQLite |
//! | 3 | [`rules`] | text to book: YAML, compiling, complaints, schema |
//! | 4 | [`engine`] | the live driver: performs outputs, returns inputs; reload, investigations, board |
//! | 5 | [`web`] | the API on the owner-only socket |
//! | 5 | [`simulate`] | rule tests: the jumping driver |
//! | 6 | [`cli`] | one file per command |
#![forbid(unsafe_code)]

pub mod child;
pub mod cli;
pub mod clock;
pub mod core;
pub mod engine;
pub mod guard;
pub mod hands;
pub mod incident;
pub mod journal;
pub mod model;
pub mod net;
pub mod notify;
pub mod permission;
pub mod probe;
pub mod remediation;
pub mod rules;
pub mod script;
pub mod simulate;
pub mod store;
pub mod threshold;
pub mod trigger;
pub mod web;
