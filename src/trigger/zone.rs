//! Between instants and clock times. Of a clock time that comes twice (the hour that daylight saving doubles) the first
//! one is meant; one that never comes (the hour that is skipped) means the first instant after the gap.

use chrono::{DateTime, Duration, LocalResult, NaiveDateTime, TimeZone, Utc};
use chrono_tz::Tz;

use crate::model::moment::Moment;

/// What clocks show at this instant. Years beyond those that clocks can show are taken for the nearest.
pub fn clock_time(moment: Moment, zone: Tz) -> NaiveDateTime {
    let utc = DateTime::<Utc>::from_timestamp_millis(moment.0.clamp(FIRST, LAST));
    utc.unwrap_or_default().with_timezone(&zone).naive_local()
}

/// The instant that a clock time means.
pub fn instant(clock: NaiveDateTime, zone: Tz) -> Moment {
    let found = match zone.from_local_datetime(&clock) {
        LocalResult::Single(time) => time,
        LocalResult::Ambiguous(first, _) => first,
        LocalResult::None => return gap_end(clock, zone),
    };
    Moment(found.timestamp_millis())
}

/// How a zone's clocks stand at an instant: whether they show a time that they showed before.
pub fn is_second_pass(moment: Moment, zone: Tz) -> bool {
    let clock = clock_time(moment, zone);
    matches!(zone.from_local_datetime(&clock), LocalResult::Ambiguous(first, _)
        if first.timestamp_millis() < moment.0)
}

/// The first clock time after those that come twice around `clock`.
pub fn overlap_end(clock: NaiveDateTime, zone: Tz) -> NaiveDateTime {
    edge(clock, |it| {
        matches!(zone.from_local_datetime(&it), LocalResult::Ambiguous(_, _))
    })
}

fn gap_end(clock: NaiveDateTime, zone: Tz) -> Moment {
    let after = edge(clock, |it| {
        matches!(zone.from_local_datetime(&it), LocalResult::None)
    });
    match zone.from_local_datetime(&after).earliest() {
        Some(time) => Moment(time.timestamp_millis()),
        None => Moment(after.and_utc().timestamp_millis()), // no zone skips more than a day
    }
}

/// The first time after `clock` that is not `inside`: by bisection, since a stretch has one end. Zones shift at whole
/// seconds, by at most a day.
fn edge(clock: NaiveDateTime, inside: impl Fn(NaiveDateTime) -> bool) -> NaiveDateTime {
    let at = |seconds: i64| clock.checked_add_signed(Duration::seconds(seconds));
    let whole = clock.and_utc().timestamp_subsec_nanos();
    let clock_start = clock - Duration::nanoseconds(i64::from(whole));
    let (mut low, mut high) = (0i64, 25 * 3600);
    while low + 1 < high {
        let middle = (low + high) / 2;
        match at(middle) {
            Some(time) if inside(time) => low = middle,
            _ => high = middle,
        }
    }
    clock_start
        .checked_add_signed(Duration::seconds(high))
        .unwrap_or(clock)
}

/// 1 January of the year 1, and of 9999, in milliseconds since the epoch: inside what every clock can show.
const FIRST: i64 = -62_135_596_800_000;
const LAST: i64 = 253_370_764_800_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(text: &str) -> NaiveDateTime {
        NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").expect("a clock time")
    }

    fn at(text: &str, zone: Tz) -> String {
        instant(clock(text), zone).iso()
    }

    #[test]
    fn a_clock_time_that_is_skipped_means_the_end_of_the_gap() {
        let berlin = chrono_tz::Europe::Berlin;
        for skipped in ["02:00:00", "02:30:00", "02:59:59", "03:00:00"] {
            let text = at(&format!("2026-03-29 {skipped}"), berlin);
            assert_eq!(text, "2026-03-29T01:00:00.000Z", "{skipped}");
        }
        let lord_howe = chrono_tz::Australia::Lord_Howe;
        assert_eq!(
            at("2026-10-04 02:15:00", lord_howe),
            "2026-10-03T15:30:00.000Z"
        );
        assert_eq!(
            at("2026-10-04 02:30:00", lord_howe),
            "2026-10-03T15:30:00.000Z"
        );
    }

    #[test]
    fn of_a_clock_time_that_comes_twice_the_first_is_meant() {
        let berlin = chrono_tz::Europe::Berlin;
        assert_eq!(
            at("2026-10-25 02:30:00", berlin),
            "2026-10-25T00:30:00.000Z"
        );
        let second = Moment::parse("2026-10-25T01:30:00Z").expect("an instant");
        assert!(is_second_pass(second, berlin));
        assert!(!is_second_pass(Moment(second.0 - 3_600_000), berlin));
        assert_eq!(
            overlap_end(clock_time(second, berlin), berlin),
            clock("2026-10-25 03:00:00")
        );
    }

    #[test]
    fn a_day_that_a_country_left_out_is_a_gap_too() {
        let apia = chrono_tz::Pacific::Apia;
        assert_eq!(at("2011-12-30 12:00:00", apia), "2011-12-30T10:00:00.000Z");
    }

    #[test]
    fn the_end_of_time_is_no_panic() {
        for moment in [Moment(i64::MIN), Moment(i64::MAX)] {
            let clock = clock_time(moment, chrono_tz::Europe::Berlin);
            let _ = instant(clock, chrono_tz::Europe::Berlin);
        }
    }
}
