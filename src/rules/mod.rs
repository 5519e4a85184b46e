//! From text to book: YAML, compiling, complaints.

pub mod book;
pub mod compile;
pub mod complaint;
mod cycle;
mod fingerprint;
pub mod format;
mod link;
pub mod load;
mod names;
mod parallel;
mod reading;
pub mod sources;
pub mod testing;
pub mod unit;
pub mod values;
mod vars;
pub mod yaml;
