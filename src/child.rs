//! Child processes: a clean environment, no input, the root as working directory, a time limit and an output limit; at
//! the end the whole group is killed, and what escaped it by `setsid` too.

use std::{path::PathBuf, time::Duration};

/// A program to run. No shell is ever involved.
#[derive(Clone, Debug)]
pub struct Errand {
    /// Absolute program, then its arguments.
    pub argv: Vec<String>,
    /// Beside `PATH`, `LANG`, `HOME` and the marker: nothing of the engine's own environment.
    pub env: Vec<(String, String)>,
    pub dir: PathBuf,
    pub timeout: Duration,
    /// Bytes kept of each stream; the rest is read and dropped.
    pub most_output: usize,
}

#[derive(Clone, Debug)]
pub struct Finished {
    /// `None` when it was ended by a signal or by the time limit.
    pub exit: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    pub timed_out: bool,
    pub duration: Duration,
}

/// Every child carries `HOMEOSTAT_CHILD=<engine>-<number>` in its environment: by it escaped descendants are found.
pub const MARKER: &str = "HOMEOSTAT_CHILD";

/// Runs it to its end or to the time limit. An error only if it could not be started.
pub async fn run(errand: &Errand) -> std::io::Result<Finished> {
    let _ = errand;
    todo!()
}
