//! When the exchange trades.

use std::collections::BTreeMap;

use chrono::{NaiveDate, NaiveTime};
use chrono_tz::America::New_York;

use crate::{bot::Market, instant};

fn open(text: &str) -> bool {
    Market::Nyse.open_session(instant(text)).is_some()
}

#[test]
fn a_session_goes_from_half_past_nine_to_four_in_new_york() {
    assert!(!open("2026-01-06T14:29:59Z"));
    assert!(open("2026-01-06T14:30:00Z"));
    assert!(open("2026-01-06T20:59:59Z"));
    assert!(!open("2026-01-06T21:00:00Z"));
    // Saturday and Sunday.
    assert!(!open("2026-01-10T16:00:00Z"));
    assert!(!open("2026-01-11T16:00:00Z"));
}

#[test]
fn the_hours_move_with_daylight_saving() {
    // The Friday before clocks go forward (8 March 2026), and the Monday after.
    assert!(!open("2026-03-06T13:30:00Z") && open("2026-03-06T14:30:00Z"));
    assert!(open("2026-03-09T13:30:00Z") && !open("2026-03-09T20:00:00Z"));
    // The Friday before they go back (1 November 2026), and the Monday after.
    assert!(open("2026-10-30T13:30:00Z") && !open("2026-10-30T20:00:00Z"));
    assert!(!open("2026-11-02T14:29:00Z") && open("2026-11-02T20:59:00Z"));
}

#[test]
fn holidays_and_half_days() {
    assert!(!open("2026-01-19T16:00:00Z"), "Martin Luther King Jr.");
    assert!(!open("2026-07-03T16:00:00Z"), "4 July is a Saturday");
    assert!(open("2021-12-31T16:00:00Z"), "New Year's Day is a Saturday");
    assert!(open("2021-06-18T16:00:00Z"), "no Juneteenth yet");
    assert!(
        open("2026-11-27T17:59:00Z") && !open("2026-11-27T18:00:00Z"),
        "13:00 after Thanksgiving"
    );
}

#[test]
fn what_is_computed_agrees_with_what_was_published() {
    #[derive(serde::Deserialize)]
    struct Book {
        calendars: BTreeMap<String, serde_yaml::Value>,
    }
    let text = include_str!("../../rules/calendars/nyse.yaml");
    let book: Book = serde_yaml::from_str(text).expect("a calendar");
    let regular = &book.calendars["nyse.regular"];
    let listed: Vec<NaiveDate> =
        serde_yaml::from_value(regular["holidays"].clone()).expect("holidays");
    let half: BTreeMap<NaiveDate, String> =
        serde_yaml::from_value(regular["half_days"].clone()).expect("half days");
    // A day of mourning is not computed.
    let mourning = NaiveDate::from_ymd_opt(2025, 1, 9).expect("a date");
    let first = NaiveDate::from_ymd_opt(2025, 1, 1).expect("a date");
    let mut holidays = 0;
    for date in first
        .iter_days()
        .take_while(|date| date < &NaiveDate::from_ymd_opt(2031, 1, 1).expect("a date"))
    {
        let session = Market::Nyse.session(date);
        let weekend = matches!(
            chrono::Datelike::weekday(&date),
            chrono::Weekday::Sat | chrono::Weekday::Sun
        );
        if date != mourning {
            let trades = !weekend && !listed.contains(&date);
            assert_eq!(session.is_some(), trades, "{date}");
        }
        holidays += u32::from(!weekend && session.is_none());
        if let Some(session) = session {
            let hour = if half.contains_key(&date) { 13 } else { 16 };
            let closes = session.closes.with_timezone(&New_York).naive_local();
            assert_eq!(
                closes,
                date.and_time(NaiveTime::from_hms_opt(hour, 0, 0).expect("a time")),
                "{date}"
            );
        }
    }
    assert_eq!(
        holidays, 59,
        "ten a year; New Year's Day of 2028 is a Saturday"
    );
}

#[test]
fn what_comes_next() {
    let friday_evening = instant("2026-01-16T22:00:00Z");
    // Monday is a holiday.
    assert_eq!(
        Market::Nyse.next_open(friday_evening),
        Some(instant("2026-01-20T14:30:00Z"))
    );
    assert_eq!(
        Market::Nyse.next_close(friday_evening),
        Some(instant("2026-01-20T21:00:00Z"))
    );
    let noon = instant("2026-01-16T17:00:00Z");
    assert_eq!(
        Market::Nyse.next_close(noon),
        Some(instant("2026-01-16T21:00:00Z"))
    );
    assert_eq!(Market::Closed.next_open(noon), None);
    assert!(Market::Open.open_session(friday_evening).is_some());
    assert!(Market::Closed.open_session(noon).is_none());
    // Midnight in New York.
    assert_eq!(
        Market::Open.next_close(noon),
        Some(instant("2026-01-17T05:00:00Z"))
    );
}
