//! An instant, as everything of homeostat is given it: milliseconds since the Unix epoch. Only `clock.rs` makes new ones.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Moment(pub i64);

impl schemars::JsonSchema for Moment {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Moment".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "integer", "description": "Milliseconds since the Unix epoch."})
    }
}

impl Moment {
    pub fn from_seconds(seconds: f64) -> Moment {
        Moment((seconds * 1000.0).round() as i64)
    }

    /// Seconds since the epoch, with milliseconds as the fraction.
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    /// Time gone since `earlier`; zero when `earlier` lies ahead.
    pub fn since(self, earlier: Moment) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0).max(0) as u64)
    }

    pub fn plus(self, span: Duration) -> Moment {
        Moment(
            self.0
                .saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)),
        )
    }

    pub fn minus(self, span: Duration) -> Moment {
        Moment(
            self.0
                .saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)),
        )
    }

    /// ISO 8601 in UTC with milliseconds, as journals write it: `2026-01-06T16:30:00.000Z`.
    pub fn iso(self) -> String {
        match DateTime::<Utc>::from_timestamp_millis(self.0) {
            Some(time) => time.to_rfc3339_opts(SecondsFormat::Millis, true),
            None => format!("{} ms", self.0),
        }
    }

    /// Reads epoch seconds (`1767717000`, `1767717000.5`), epoch milliseconds (from 1e11 on) or ISO 8601 with a zone.
    pub fn parse(text: &str) -> Option<Moment> {
        let text = text.trim();
        if let Ok(number) = text.parse::<f64>() {
            return Moment::from_number(number);
        }
        DateTime::parse_from_rfc3339(text)
            .ok()
            .map(|time| Moment(time.timestamp_millis()))
    }

    /// Epoch seconds, or milliseconds when the number is 1e11 or more (the year 5138 in seconds, 1973 in milliseconds).
    pub fn from_number(number: f64) -> Option<Moment> {
        if !number.is_finite() || number.abs() > 1e15 {
            return None;
        }
        Some(if number.abs() >= 1e11 {
            Moment(number as i64)
        } else {
            Moment::from_seconds(number)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_logs_write() {
        let noon = Moment(1_767_717_000_000);
        assert_eq!(Moment::parse("1767717000"), Some(noon));
        assert_eq!(Moment::parse("1767717000000"), Some(noon));
        assert_eq!(Moment::parse("2026-01-06T16:30:00Z"), Some(noon));
        assert_eq!(Moment::parse("2026-01-06T11:30:00-05:00"), Some(noon));
        assert_eq!(Moment::parse("NaN"), None);
        assert_eq!(
            Moment::parse("2026-01-06T16:30:00"),
            None,
            "a time without zone is ambiguous"
        );
        assert_eq!(noon.iso(), "2026-01-06T16:30:00.000Z");
    }

    #[test]
    fn never_wraps() {
        assert_eq!(Moment(i64::MAX).plus(Duration::MAX), Moment(i64::MAX));
        assert_eq!(Moment(0).since(Moment(5)), Duration::ZERO);
    }
}
