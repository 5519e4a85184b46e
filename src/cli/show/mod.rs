//! What people see. Everything here is pure: values and a [`Style`] in, text out, so that it is kept as snapshots and
//! reviewed like prose. Every text that came from outside goes through [`text::clean`] before it reaches a terminal.

pub mod answer;
pub mod compare;
pub mod complaints;
pub mod diff;
pub mod explain;
pub mod history;
pub mod investigation;
pub mod ledger;
pub mod news;
pub mod standings;
pub mod style;
pub mod table;
pub mod tests_run;
pub mod text;
pub mod time;

pub use style::{Style, Tone};
