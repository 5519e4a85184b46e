//! Boundaries at which a test kills the engine: the feature `failpoints`, off in every build that people use.
//!
//! With it, `HOMEOSTAT_FAILPOINT=N` lets the process kill itself (SIGKILL, as if the machine had lost it) at the Nth
//! boundary it passes, after noting the name of the boundary in the file `HOMEOSTAT_FAILPOINT_NOTE`.

/// Passes a boundary, or dies there.
#[cfg(not(feature = "failpoints"))]
#[inline]
pub(super) fn pass(_boundary: &'static str) {}

#[cfg(feature = "failpoints")]
pub(super) fn pass(boundary: &'static str) {
    use std::sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    };
    static LAST: LazyLock<Option<u64>> =
        LazyLock::new(|| std::env::var("HOMEOSTAT_FAILPOINT").ok()?.parse().ok());
    static PASSED: AtomicU64 = AtomicU64::new(0);
    if *LAST != Some(PASSED.fetch_add(1, Ordering::SeqCst) + 1) {
        return;
    }
    if let Ok(note) = std::env::var("HOMEOSTAT_FAILPOINT_NOTE") {
        let _ = std::fs::write(note, boundary); // the test counts what it finds
    }
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
}
