//! From text to book: YAML, compiling, complaints.

pub mod book;
pub mod compile;
pub mod complaint;
mod cycle;
pub mod diff;
pub mod explain;
mod fingerprint;
pub mod format;
mod link;
pub mod load;
mod names;
mod parallel;
mod reading;
pub mod schema;
pub mod settings;
pub mod sources;
<<<<<<< HEAD
pub mod testing;
=======
#[cfg(test)]
mod tests;
>>>>>>> rules
pub mod unit;
pub mod values;
mod vars;
pub mod yaml;
