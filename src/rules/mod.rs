//! From text to book: YAML, compiling, complaints.

pub mod book;
pub mod complaint;
pub mod testing;
