//! What the fuzzer does to the engine, one file a target. Each has `run`, which takes any bytes, must come back soon, and
//! panics if something is wrong.
//!
//! The bodies stand apart from the fuzzer, so that the ordinary test `tests/seeds.rs` runs them too: over the seeds, and
//! over every input that once found a fault.

pub mod expressions;
pub mod jsonl_window;
pub mod loader;
pub mod plugin;
pub mod store_start;
