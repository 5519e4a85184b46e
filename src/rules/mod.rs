//! From text to book: YAML, compiling, complaints.

pub mod book;
pub mod compile;
pub mod complaint;
mod cycle;
mod fingerprint;
pub mod format;
mod names;
mod reading;
pub mod unit;
pub mod values;
pub mod yaml;
