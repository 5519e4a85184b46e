//! Slots of a cron expression. They are clock times of its zone, each of them once: those of a skipped hour fall
//! together on the first instant after the gap, those of a doubled hour come in its first pass only.

use chrono::{NaiveDateTime, Timelike};
use chrono_tz::Tz;
use croner::{
    errors::CronError,
    parser::{CronParser, Seconds, Year},
};

use super::zone;
use crate::model::{calendar::Cron, moment::Moment};

/// Reads `*/5 9-16 * * Mon-Fri`, with seconds before it or without, or a nickname like `@daily`.
pub fn parse(text: &str, zone: Tz) -> Result<Cron, String> {
    let text = text.trim();
    if let Some(nickname) = text.strip_prefix('@') {
        const KNOWN: [&str; 6] = ["yearly", "annually", "monthly", "weekly", "daily", "hourly"];
        if !KNOWN.contains(&nickname.to_ascii_lowercase().as_str()) {
            return Err(format!(
                "there is no `{text}`: there are @yearly, @monthly, @weekly, @daily and @hourly"
            ));
        }
    } else {
        let fields = text.split_whitespace().count();
        if !(5..=6).contains(&fields) {
            return Err(format!(
                "`{text}` has {fields} fields: write minute, hour, day of month, month and day of week"
            ));
        }
    }
    let parser = CronParser::builder()
        .seconds(Seconds::Optional)
        .year(Year::Disallowed)
        .build();
    let pattern = parser.parse(text).map_err(|error| told(text, &error))?;
    Ok(Cron { pattern, zone })
}

fn told(text: &str, error: &CronError) -> String {
    let why = match error {
        CronError::InvalidPattern(why)
        | CronError::IllegalCharacters(why)
        | CronError::ComponentError(why) => why.trim_end_matches('.').to_owned(),
        _ => return format!("`{text}` is no cron expression"),
    };
    format!("`{text}` is no cron expression: {}", lower(&why))
}

fn lower(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => String::new(),
    }
}

/// The first slot after `now`; `None` if there is none in the years to come.
pub fn next_slot(cron: &Cron, now: Moment) -> Option<Moment> {
    let clock = zone::clock_time(now, cron.zone);
    let mut clock = clock.with_nanosecond(0).unwrap_or(clock);
    let mut inclusive = false;
    if zone::is_second_pass(now, cron.zone) {
        // All that this hour had came in its first pass.
        (clock, inclusive) = (zone::overlap_end(clock, cron.zone), true);
    }
    // A clock time of a gap may mean an instant that has come already: that slot is over.
    loop {
        let slot = next_clock_time(cron, clock, inclusive)?;
        let at = zone::instant(slot, cron.zone);
        if at > now {
            return Some(at);
        }
        (clock, inclusive) = (slot, false);
    }
}

fn next_clock_time(cron: &Cron, after: NaiveDateTime, inclusive: bool) -> Option<NaiveDateTime> {
    // Found on a clock that neither skips nor doubles; zones are seen to outside.
    cron.pattern
        .find_next_occurrence(&after.and_utc(), inclusive)
        .ok()
        .map(|found| found.naive_utc())
}

/// Whether it has any slot at all. The calendar repeats after 400 years, so it does not matter from when on.
pub fn ever_fires(cron: &Cron) -> bool {
    next_slot(cron, Moment(0)).is_some()
}

#[cfg(test)]
mod tests {
    use chrono_tz::{America::New_York, Australia::Lord_Howe, Europe::Berlin, UTC};
    use proptest::prelude::*;

    use super::*;

    fn cron(text: &str, zone: Tz) -> Cron {
        parse(text, zone).expect("a cron expression")
    }

    fn moment(text: &str) -> Moment {
        Moment::parse(text).expect("an instant")
    }

    fn slots(text: &str, zone: Tz, from: &str, to: &str) -> Vec<String> {
        let (cron, mut now) = (cron(text, zone), moment(from));
        let mut found = Vec::new();
        while let Some(slot) = next_slot(&cron, now).filter(|slot| *slot <= moment(to)) {
            found.push(slot.iso()[..16].to_owned());
            now = slot;
        }
        found
    }

    #[test]
    fn working_hours_by_name() {
        let found = slots(
            "0 9,16 * * Mon-Fri",
            New_York,
            "2026-07-02T13:00:00Z",
            "2026-07-06T20:00:00Z",
        );
        assert_eq!(
            found,
            [
                "2026-07-02T20:00",
                "2026-07-03T13:00",
                "2026-07-03T20:00",
                "2026-07-06T13:00",
                "2026-07-06T20:00"
            ]
        );
    }

    #[test]
    fn the_skipped_hour_runs_once_after_the_gap() {
        let night = ("2026-03-28T23:00:00Z", "2026-03-29T06:00:00Z");
        assert_eq!(
            slots("30 2 * * *", Berlin, night.0, night.1),
            ["2026-03-29T01:00"]
        );
        assert_eq!(
            slots("*/20 2,3 * * *", Berlin, night.0, night.1),
            ["2026-03-29T01:00", "2026-03-29T01:20", "2026-03-29T01:40"]
        );
        let half = slots(
            "15 2 * * *",
            Lord_Howe,
            "2026-10-03T12:00:00Z",
            "2026-10-04T12:00:00Z",
        );
        assert_eq!(half, ["2026-10-03T15:30"]);
    }

    #[test]
    fn the_doubled_hour_runs_once() {
        let night = ("2026-10-24T22:30:00Z", "2026-10-25T02:30:00Z");
        assert_eq!(
            slots("30 2 * * *", Berlin, night.0, night.1),
            ["2026-10-25T00:30"]
        );
        assert_eq!(
            slots("*/30 * * * *", Berlin, night.0, night.1),
            [
                "2026-10-24T23:00",
                "2026-10-24T23:30",
                "2026-10-25T00:00",
                "2026-10-25T00:30",
                "2026-10-25T02:00",
                "2026-10-25T02:30"
            ]
        );
        let second = slots(
            "30 2 * * *",
            Berlin,
            "2026-10-25T01:10:00Z",
            "2026-10-26T12:00:00Z",
        );
        assert_eq!(second, ["2026-10-26T01:30"], "asked in the second pass");
    }

    #[test]
    fn nicknames_seconds_and_both_kinds_of_day() {
        let day = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
        assert_eq!(slots("@daily", UTC, day.0, day.1), ["2026-01-02T00:00"]);
        assert_eq!(slots("@hourly", UTC, day.0, day.1).len(), 24);
        let next = next_slot(&cron("*/10 * * * * *", UTC), Moment(1_500));
        assert_eq!(next, Some(Moment(10_000)));
        // The 13th or a Friday, as everywhere.
        let both = slots(
            "0 0 13 * Fri",
            UTC,
            "2026-01-08T00:00:00Z",
            "2026-01-16T00:00:00Z",
        );
        assert_eq!(
            both,
            ["2026-01-09T00:00", "2026-01-13T00:00", "2026-01-16T00:00"]
        );
    }

    #[test]
    fn what_never_fires_is_known_at_once() {
        for never in ["0 0 30 2 *", "0 0 31 4,6,9,11 *"] {
            assert!(!ever_fires(&cron(never, Berlin)), "{never}");
        }
        for rare in ["0 0 29 2 *", "0 0 30 2 Mon", "30 2 29 3 *"] {
            assert!(ever_fires(&cron(rare, Berlin)), "{rare}");
        }
    }

    #[test]
    fn what_is_no_expression_is_refused_with_the_reason() {
        let wrong = |text: &str| parse(text, UTC).expect_err(text);
        assert!(wrong("61 * * * *").starts_with("`61 * * * *` is no cron expression: "));
        assert!(wrong("* * *").contains("3 fields"));
        assert!(wrong("0 0 0 1 1 * 2026").contains("7 fields"));
        assert!(wrong("@reboot").contains("@daily"));
        for text in [
            "",
            "a b c d e",
            "*/0 * * * *",
            "5-1 * * * *",
            "* * 32 * *",
            "* * * 13 *",
            "* * * * 9",
        ] {
            wrong(text);
        }
    }

    /// All slots from `from` on by looking at every minute: the first minute at which the clock shows a time that
    /// matches, or has passed over one.
    fn scan(cron: &Cron, from: Moment, minutes: i64) -> Vec<Moment> {
        let mut shown = std::collections::BTreeSet::new();
        let mut last = zone::clock_time(Moment(from.0 - 60_000), cron.zone);
        let mut found = Vec::new();
        let before = |it: i64| zone::clock_time(Moment(from.0 + it * 60_000), cron.zone);
        for it in -180..0 {
            shown.insert(before(it));
        }
        for minute in 0..minutes {
            let now = Moment(from.0 + minute * 60_000);
            let clock = zone::clock_time(now, cron.zone);
            let mut passed = last + chrono::Duration::minutes(1);
            let mut due = false;
            while passed <= clock {
                let new = shown.insert(passed);
                let matches = cron.pattern.is_time_matching(&passed.and_utc());
                due |= new && matches.expect("a time that can be matched");
                passed += chrono::Duration::minutes(1);
            }
            if due {
                found.push(now);
            }
            last = clock;
        }
        found
    }

    fn expressions() -> impl Strategy<Value = String> {
        let minute = prop::sample::select(vec![
            "*", "*/5", "*/7", "0", "30", "15,45", "20-40/10", "59",
        ]);
        let hour = prop::sample::select(vec!["*", "0", "1", "2", "3", "1-3", "*/2", "23"]);
        let day = prop::sample::select(vec!["*", "1", "25-31", "*/3"]);
        let week = prop::sample::select(vec!["*", "Sun", "Mon-Fri", "6,7", "0"]);
        (minute, hour, day, week).prop_map(|(a, b, c, d)| format!("{a} {b} {c} * {d}"))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn slots_are_those_of_a_scan_of_every_minute(
            text in expressions(),
            place in prop::sample::select(vec![
                // (zone, a day or two before its clocks go forward and back in 2026)
                (Berlin, "2026-03-27T00:00:00Z"), (Berlin, "2026-10-23T00:00:00Z"),
                (New_York, "2026-03-06T00:00:00Z"), (New_York, "2026-10-30T00:00:00Z"),
                (Lord_Howe, "2026-04-03T00:00:00Z"), (Lord_Howe, "2026-10-02T00:00:00Z"),
            ]),
            off in 0i64..1440,
        ) {
            let (zone, start) = place;
            let cron = cron(&text, zone);
            let from = Moment(moment(start).0 + off * 60_000);
            let minutes = 4 * 1440;
            let end = Moment(from.0 + minutes * 60_000);
            let mut now = Moment(from.0 - 1);
            let mut found = Vec::new();
            while let Some(slot) = next_slot(&cron, now).filter(|slot| *slot < end) {
                prop_assert!(slot > now);
                found.push(slot);
                now = slot;
            }
            prop_assert_eq!(found, scan(&cron, from, minutes));
        }

        #[test]
        fn a_slot_does_not_depend_on_when_it_is_asked_for(
            text in expressions(),
            zone in prop::sample::select(vec![Berlin, New_York, Lord_Howe, UTC]),
            now in 1_760_000_000_000i64..1_800_000_000_000,
            wait in 0i64..7_200_000,
        ) {
            let cron = cron(&text, zone);
            let slot = next_slot(&cron, Moment(now));
            prop_assert!(slot.is_some_and(|slot| slot.0 > now));
            if let Some(slot) = slot && slot.0 > now + wait {
                prop_assert_eq!(next_slot(&cron, Moment(now + wait)), Some(slot));
            }
        }
    }
}
