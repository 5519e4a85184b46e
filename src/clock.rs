//! The only place that knows a clock. Everything else is given `now`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crate::model::moment::Moment;

/// Where `now` comes from.
pub trait Clock: Send + Sync {
    fn now(&self) -> Moment;

    /// Nothing is under way until `to`: a clock that stands may leap there instead of being waited for.
    fn leap(&self, to: Moment) {
        let _ = to;
    }

    /// Whether it goes with the machine's steady clock, so that parting from that one means it was set.
    fn is_machines(&self) -> bool {
        false
    }
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        #[expect(clippy::disallowed_methods, reason = "this is the clock")]
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = Moment(match since {
            Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
        });
        displaced(now)
    }

    fn is_machines(&self) -> bool {
        true
    }
}

/// With the feature `failpoints`, `HOMEOSTAT_NOW` says what time it is when the process begins, so that a test can let
/// hours pass between two runs.
#[cfg(feature = "failpoints")]
fn displaced(now: Moment) -> Moment {
    static BY: std::sync::OnceLock<i64> = std::sync::OnceLock::new();
    let by = BY.get_or_init(|| {
        let wanted = std::env::var("HOMEOSTAT_NOW").ok();
        let wanted = wanted.and_then(|text| Moment::parse(&text));
        wanted.map_or(0, |wanted| wanted.0 - now.0)
    });
    Moment(now.0 + by)
}

#[cfg(not(feature = "failpoints"))]
fn displaced(now: Moment) -> Moment {
    now
}

/// A clock that stands until it is set: for `--at`, rule tests and replay.
#[derive(Clone, Debug, Default)]
pub struct SetClock(Arc<AtomicI64>);

impl SetClock {
    pub fn at(now: Moment) -> SetClock {
        SetClock(Arc::new(AtomicI64::new(now.0)))
    }

    pub fn set(&self, now: Moment) {
        self.0.store(now.0, Ordering::SeqCst);
    }
}

impl Clock for SetClock {
    fn now(&self) -> Moment {
        Moment(self.0.load(Ordering::SeqCst))
    }

    fn leap(&self, to: Moment) {
        self.0.fetch_max(to.0, Ordering::SeqCst);
    }
}

/// How long something took, by the steady clock.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(
        clippy::new_without_default,
        reason = "starting is an act, not a default"
    )]
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn new() -> Stopwatch {
        Stopwatch(Instant::now())
    }

    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    pub fn milliseconds(&self) -> f64 {
        self.elapsed().as_secs_f64() * 1000.0
    }
}

/// Waits in real time. Only the live driver waits.
pub async fn sleep(span: Duration) {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    tokio::time::sleep(span).await;
}
