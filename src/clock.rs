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

    /// Whether it stands until it leaps, so that waiting for it is in vain.
    fn stands(&self) -> bool {
        false
    }

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
        #[cfg(feature = "failpoints")]
        if let Some(now) = chosen::now() {
            return now;
        }
        #[expect(clippy::disallowed_methods, reason = "this is the clock")]
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Moment(match since {
            Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
        })
    }

    fn is_machines(&self) -> bool {
        true
    }
}

/// For tests that let hours pass from one run of the program to the next: the clock starts at `HOMEOSTAT_NOW` (epoch
/// seconds) when it is first asked, and goes on with the steady one.
#[cfg(feature = "failpoints")]
mod chosen {
    use std::sync::LazyLock;

    use super::Stopwatch;
    use crate::model::moment::Moment;

    static START: LazyLock<Option<(Moment, Stopwatch)>> = LazyLock::new(|| {
        let text = std::env::var("HOMEOSTAT_NOW").ok()?;
        let Ok(seconds) = text.parse() else {
            eprintln!("HOMEOSTAT_NOW={text} is no number of seconds");
            std::process::exit(64);
        };
        Some((Moment::from_seconds(seconds), Stopwatch::new()))
    });

    pub fn now() -> Option<Moment> {
        let (start, watch) = START.as_ref()?;
        Some(start.plus(watch.elapsed()))
    }
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

    fn stands(&self) -> bool {
        true
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
