//! How much processor time was used since the look before.
//!
//! A share needs two samples. The first is the one that the look before left here, if that is at least a second ago;
//! looks that follow closer (a verification, two checks over one thing) are given the share of the last one, since a
//! moment says nothing. Where there is no sample yet the look takes two, a quarter of a second apart. Times are those of
//! the boot clock, so setting the clock changes nothing.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::ProbeError;
use crate::clock;

/// Between the two samples of a first look.
const MOMENT: Duration = Duration::from_millis(250);
/// Seconds from one sample to the next.
const LEAST: f64 = 1.0;
/// Things whose samples are kept; the one seen longest ago goes first.
const MOST: usize = 1024;

/// What had been used at one instant.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Usage {
    /// Seconds since boot.
    pub(super) at: f64,
    /// Ticks that were there to be used.
    pub(super) there: u64,
    /// Ticks used, by whom: a number and when it started.
    pub(super) used: HashMap<(i32, u64), u64>,
}

impl Usage {
    /// Percent of what was there since `before`. Who was not seen before counts if it started since.
    fn since(&self, before: &Usage, ticks: f64) -> Option<f64> {
        let there = self
            .there
            .checked_sub(before.there)
            .filter(|there| *there > 0)?;
        let used: u64 = self
            .used
            .iter()
            .map(|(who, now)| match before.used.get(who) {
                Some(then) => now.saturating_sub(*then),
                None if who.1 as f64 / ticks >= before.at => *now,
                None => 0,
            })
            .sum();
        Some(100.0 * used as f64 / there as f64)
    }
}

/// The last sample of each thing, by a key of its own, and the share it gave.
#[derive(Default)]
pub(crate) struct Usages(Mutex<HashMap<String, (Usage, Option<f64>)>>);

impl Usages {
    /// Percent used of what was there since the look before (see above). `again` takes another sample; `ticks` are there
    /// each second. `limit` is the time of the whole look.
    pub(super) async fn share<F>(
        &self,
        key: &str,
        now: Usage,
        ticks: f64,
        limit: Duration,
        again: impl FnOnce() -> F,
    ) -> Result<Option<f64>, ProbeError>
    where
        F: Future<Output = Result<Usage, ProbeError>>,
    {
        if let Some(share) = self.known(key, &now, ticks) {
            return Ok(share);
        }
        clock::sleep(MOMENT.min(limit / 4)).await;
        let later = again().await?;
        let share = later.since(&now, ticks);
        self.keep(key, later, share);
        Ok(share)
    }

    fn known(&self, key: &str, now: &Usage, ticks: f64) -> Option<Option<f64>> {
        let (before, share) = self.all().get(key).cloned()?;
        let gone = now.at - before.at;
        if gone < 0.0 {
            return None; // not of this boot
        }
        if gone < LEAST {
            return Some(share);
        }
        let share = now.since(&before, ticks);
        self.keep(key, now.clone(), share);
        Some(share)
    }

    fn keep(&self, key: &str, now: Usage, share: Option<f64>) {
        let mut all = self.all();
        if !all.contains_key(key) && all.len() >= MOST {
            let oldest = all
                .iter()
                .min_by(|(_, (one, _)), (_, (other, _))| one.at.total_cmp(&other.at));
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                all.remove(&oldest);
            }
        }
        all.insert(key.to_owned(), (now, share));
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, (Usage, Option<f64>)>> {
        // nothing in it can be left half done
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use super::*;

    fn usage(at: f64, used: &[((i32, u64), u64)]) -> Usage {
        Usage {
            at,
            there: (at * 100.0) as u64,
            used: used.iter().copied().collect(),
        }
    }

    async fn share(usages: &Usages, now: Usage, later: Option<Usage>) -> Option<f64> {
        let again = || ready(later.ok_or(ProbeError("no second sample is due".to_owned())));
        let limit = Duration::from_secs(1);
        usages
            .share("bot", now, 100.0, limit, again)
            .await
            .expect("a share")
    }

    #[tokio::test]
    async fn between_this_look_and_the_one_before() {
        let usages = Usages::default();
        let bot = |ticks| ((7, 500), ticks);
        let first = share(
            &usages,
            usage(10.0, &[bot(100)]),
            Some(usage(10.5, &[bot(125)])),
        )
        .await;
        assert_eq!(first, Some(50.0), "over a moment");
        let again = share(&usages, usage(11.0, &[bot(175)]), None).await;
        assert_eq!(again, Some(50.0), "too soon to tell anew");
        let next = share(&usages, usage(20.5, &[bot(225)]), None).await;
        assert_eq!(next, Some(10.0), "over ten seconds");
        // the old one has ended, one has started since, one was there but was not meant yet
        let others = [((9, 2500), 300), ((8, 400), 9000)];
        assert_eq!(share(&usages, usage(30.5, &others), None).await, Some(30.0));
        let idle = share(&usages, usage(40.5, &[]), None).await;
        assert_eq!(idle, Some(0.0));
        let booted = share(
            &usages,
            usage(1.0, &[]),
            Some(usage(2.0, &[((1, 150), 25)])),
        )
        .await;
        assert_eq!(booted, Some(0.0 + 25.0), "another boot begins anew");
    }

    #[test]
    fn so_many_are_kept() {
        let usages = Usages::default();
        for nth in 0..MOST + 3 {
            usages.keep(&nth.to_string(), usage(nth as f64, &[]), None);
        }
        let all = usages.all();
        assert_eq!(all.len(), MOST);
        assert!(!all.contains_key("2") && all.contains_key("3"));
    }
}
