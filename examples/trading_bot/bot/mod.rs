//! A small options-flow trading bot. The money, the broker and the feed are made up; its files, its cycle and the ways it can
//! break are those of a real one.
//!
//! | module | what it is for |
//! |---|---|
//! | [`cycle`] | one cycle: the feed, the signals, the orders, the records |
//! | [`mock`] | what would become of a signal that is made up |
//! | [`judge`] | from a raw signal to a decision |
//! | [`score`] | the composite score |
//! | [`feed`] | the feed daemon and the flow cache |
//! | [`broker`] | positions, cash, orders, quotes |
//! | [`market`] | when the exchange trades |
//! | [`outside`] | faults of feed and broker |
//! | [`breakage`] | breaking the bot, and mending it |
//! | [`python`] | executing the bot's own sources, `data/bot/*.py` |
//! | [`server`] | health, mock signals and the broker over HTTP |
//! | [`files`] | where its files are |
#![allow(
    dead_code,
    unused_imports,
    reason = "the program and the tests that include this each use a part of it"
)]

pub mod breakage;
pub mod broker;
pub mod cycle;
pub mod feed;
pub mod files;
pub mod judge;
pub mod market;
pub mod mock;
pub mod outside;
pub mod python;
pub mod python_source;
pub mod python_values;
pub mod score;
pub mod server;

pub use cycle::{Bot, CycleReport, Options};
pub use market::Market;
pub use mock::MockAnswer;
