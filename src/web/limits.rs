//! How often somebody may ask: buckets that fill with time and are emptied by asking.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::clock::Stopwatch;

/// More askers are not told apart: the emptiest bucket goes to whoever comes then.
const ASKERS: usize = 1024;

/// A bucket for each asker.
#[derive(Debug)]
pub(super) struct Limit<K> {
    /// At once.
    burst: f64,
    /// And so many in a second after that.
    rate: f64,
    watch: Stopwatch,
    buckets: Mutex<HashMap<K, Bucket>>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: f64,
    at: Duration,
}

impl<K: Hash + Eq + Clone> Limit<K> {
    pub fn new(burst: u32, rate: f64) -> Limit<K> {
        Limit {
            burst: burst.into(),
            rate,
            watch: Stopwatch::new(),
            buckets: Mutex::default(),
        }
    }

    /// Takes one. `Err`: the bucket is empty, and has one again after so many seconds.
    pub fn take(&self, asker: &K) -> Result<(), u64> {
        self.take_at(asker, self.watch.elapsed())
    }

    fn take_at(&self, asker: &K, now: Duration) -> Result<(), u64> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= ASKERS && !buckets.contains_key(asker) {
            // Full ones are as good as none.
            buckets.retain(|_, bucket| self.filled(*bucket, now) < self.burst);
            if buckets.len() >= ASKERS {
                return Err(1);
            }
        }
        let full = Bucket {
            left: self.burst,
            at: now,
        };
        let bucket = buckets.entry(asker.clone()).or_insert(full);
        let left = self.filled(*bucket, now);
        *bucket = Bucket {
            left: if left >= 1.0 { left - 1.0 } else { left },
            at: now,
        };
        match left >= 1.0 {
            true => Ok(()),
            false => Err(((1.0 - left) / self.rate).ceil() as u64),
        }
    }

    fn filled(&self, bucket: Bucket, now: Duration) -> f64 {
        let passed = now.saturating_sub(bucket.at).as_secs_f64();
        (bucket.left + passed * self.rate).min(self.burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn a_bucket_is_emptied_by_asking_and_fills_with_time() {
        let limit: Limit<&str> = Limit::new(3, 0.5);
        for _ in 0..3 {
            assert_eq!(limit.take_at(&"a", at(0.0)), Ok(()));
        }
        assert_eq!(limit.take_at(&"a", at(0.0)), Err(2));
        assert_eq!(limit.take_at(&"b", at(0.0)), Ok(()), "each has its own");
        assert_eq!(limit.take_at(&"a", at(1.0)), Err(1));
        assert_eq!(limit.take_at(&"a", at(2.0)), Ok(()));
        assert_eq!(limit.take_at(&"a", at(2.0)), Err(2));
        assert_eq!(limit.take_at(&"a", at(999.0)), Ok(()));
    }

    #[test]
    fn there_are_not_more_buckets_than_can_be_kept() {
        let limit: Limit<usize> = Limit::new(2, 1.0);
        for asker in 0..ASKERS {
            assert_eq!(limit.take_at(&asker, at(0.0)), Ok(()));
        }
        assert_eq!(limit.take_at(&ASKERS, at(0.5)), Err(1));
        assert_eq!(limit.take_at(&0, at(0.5)), Ok(()), "who is known may go on");
        assert_eq!(
            limit.take_at(&ASKERS, at(2.0)),
            Ok(()),
            "full ones are forgotten"
        );
    }
}
