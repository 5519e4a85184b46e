//! A prepared step: what exactly will be done, with what was seen of its target.

use std::time::Duration;

/// Something to do to the world, complete: committing it needs nothing but hands.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// The target is as wished already.
    Nothing {
        kind: &'static str,
        target: String,
        why: String,
    },
    /// Replaces a file (or makes it).
    Write {
        kind: &'static str,
        file: String,
        body: Vec<u8>,
        seen: Seen,
    },
    Remove {
        kind: &'static str,
        file: String,
        seen: Seen,
    },
    Run {
        argv: Vec<String>,
        timeout: Duration,
    },
    /// Asks for looks at these checks, repairs included.
    RunChecks { checks: Vec<String> },
}

/// What a target was when it was looked at: it must still be so when the effect is done.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    Absent,
    File {
        device: u64,
        inode: u64,
        size: u64,
        mode: u32,
        sha256: String,
        body: Vec<u8>,
    },
}
