//! Instants and lengths of time, as people read them.

use std::time::Duration;

use chrono::{DateTime, Local, TimeZone, Utc};

use crate::model::moment::Moment;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zone {
    /// That of the machine (`TZ`).
    Local,
    Utc,
}

impl Zone {
    fn format(self, moment: Moment, form: &str) -> String {
        let Some(time) = DateTime::<Utc>::from_timestamp_millis(moment.0) else {
            return format!("{} ms", moment.0);
        };
        match self {
            Zone::Utc => time.format(form).to_string(),
            Zone::Local => Local
                .from_utc_datetime(&time.naive_utc())
                .format(form)
                .to_string(),
        }
    }

    /// `2026-01-06`.
    pub fn day(self, moment: Moment) -> String {
        self.format(moment, "%Y-%m-%d")
    }

    /// `16:30:00`.
    pub fn clock(self, moment: Moment) -> String {
        self.format(moment, "%H:%M:%S")
    }

    /// The time alone on the day of `now`, else with its day.
    pub fn near(self, moment: Moment, now: Moment) -> String {
        if self.day(moment) == self.day(now) {
            self.clock(moment)
        } else {
            self.format(moment, "%Y-%m-%d %H:%M")
        }
    }

    /// `16:30:00 (in 5 min)`, `16:30:00 (5 min ago)`.
    pub fn relative(self, moment: Moment, now: Moment) -> String {
        let at = self.near(moment, now);
        match moment.0 - now.0 {
            gap if gap > 0 => format!("{at} (in {})", span(moment.since(now))),
            gap if gap > -1000 => format!("{at} (now)"),
            _ => format!("{at} ({} ago)", span(now.since(moment))),
        }
    }
}

/// Two units at most: `0.2 s`, `12 s`, `3 min`, `2 h 5 min`, `3 d 4 h`.
pub fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let two = |large: u64, unit: &str, small: u64, under: &str| match small {
        0 => format!("{large} {unit}"),
        _ => format!("{large} {unit} {small} {under}"),
    };
    match seconds {
        0..10 if span.subsec_millis() >= 50 => format!("{:.1} s", span.as_secs_f64()),
        0 if !span.is_zero() => format!("{} ms", span.as_millis().max(1)),
        0..60 => format!("{seconds} s"),
        60..600 => two(seconds / 60, "min", seconds % 60, "s"),
        600..3600 => format!("{} min", seconds / 60),
        3600..86_400 => two(seconds / 3600, "h", seconds % 3600 / 60, "min"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3600, "h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_two_units_at_most() {
        let shown: Vec<String> = [
            0,
            3,
            200,
            9_960,
            12_345,
            75_000,
            700_000,
            7_500_000,
            180_000_000,
        ]
        .map(|ms| span(Duration::from_millis(ms)))
        .into();
        assert_eq!(
            shown,
            [
                "0 s",
                "3 ms",
                "0.2 s",
                "10.0 s",
                "12 s",
                "1 min 15 s",
                "11 min",
                "2 h 5 min",
                "2 d 2 h"
            ]
        );
    }

    #[test]
    fn an_instant_of_another_day_says_so() {
        let now = Moment(1_767_717_000_000);
        let relative = |by: i64| Zone::Utc.relative(Moment(now.0 + by), now);
        assert_eq!(relative(300_000), "16:30:00 (in 5 min)".replace("30", "35"));
        assert_eq!(relative(-90_000), "16:28:30 (1 min 30 s ago)");
        assert_eq!(relative(-200), "16:29:59 (now)");
        assert_eq!(relative(86_400_000), "2026-01-07 16:30 (in 1 d)");
    }
}
