//! When the exchange trades: regular sessions of the New York Stock Exchange, by its rules.
//!
//! Days on which it closed for other reasons (mourning, storms) are not known here.

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveTime, TimeZone, Utc, Weekday};
use chrono_tz::{America::New_York, Tz};

/// Which hours the bot keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Market {
    /// Regular sessions in New York.
    Nyse,
    /// Always: every day of New York is a session.
    Open,
    /// Never.
    Closed,
}

/// A session: its day in New York, when it opens, when it closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    pub date: NaiveDate,
    pub opens: DateTime<Utc>,
    pub closes: DateTime<Utc>,
}

/// Longest way from one session to the next, in days, with room to spare.
const LONGEST_BREAK: u64 = 14;

impl Market {
    /// The session of a day of New York, if there is one.
    pub fn session(self, date: NaiveDate) -> Option<Session> {
        let (opens, closes) = match self {
            Market::Closed => return None,
            Market::Open => (at(date, 0, 0)?, at(date.succ_opt()?, 0, 0)?),
            Market::Nyse if !trades(date) => return None,
            Market::Nyse if half_day(date) => (at(date, 9, 30)?, at(date, 13, 0)?),
            Market::Nyse => (at(date, 9, 30)?, at(date, 16, 0)?),
        };
        Some(Session {
            date,
            opens,
            closes,
        })
    }

    /// The session under way; it ends the moment it closes.
    pub fn open_session(self, now: DateTime<Utc>) -> Option<Session> {
        self.session(day(now))
            .filter(|session| session.opens <= now && now < session.closes)
    }

    /// When a session opens next, after `now`.
    pub fn next_open(self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.sessions_from(now)
            .map(|session| session.opens)
            .find(|opens| *opens > now)
    }

    /// When the session under way, or else the next one, closes.
    pub fn next_close(self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.sessions_from(now)
            .map(|session| session.closes)
            .find(|closes| *closes > now)
    }

    fn sessions_from(self, now: DateTime<Utc>) -> impl Iterator<Item = Session> {
        let today = day(now);
        (0..LONGEST_BREAK)
            .filter_map(move |ahead| self.session(today.checked_add_days(Days::new(ahead))?))
    }
}

/// The day it is in New York.
pub fn day(now: DateTime<Utc>) -> NaiveDate {
    now.with_timezone(&New_York).date_naive()
}

fn at(date: NaiveDate, hour: u32, minute: u32) -> Option<DateTime<Utc>> {
    let local = date.and_time(NaiveTime::from_hms_opt(hour, minute, 0)?);
    New_York
        .from_local_datetime(&local)
        .earliest()
        .map(|it: DateTime<Tz>| it.with_timezone(&Utc))
}

fn trades(date: NaiveDate) -> bool {
    !weekend(date) && !holiday(date)
}

fn weekend(date: NaiveDate) -> bool {
    matches!(date.weekday(), Weekday::Sat | Weekday::Sun)
}

/// Half days end at 13:00: the day after Thanksgiving, and the eves of 4 July and of Christmas when both are trading days
/// of one week.
fn half_day(date: NaiveDate) -> bool {
    let before_holiday = date.weekday() != Weekday::Fri;
    match (date.month(), date.day()) {
        (7, 3) | (12, 24) => before_holiday,
        (11, _) => {
            let eve = date.pred_opt();
            eve.is_some_and(|eve| nth(eve, 11, Weekday::Thu, 4))
        }
        _ => false,
    }
}

fn holiday(date: NaiveDate) -> bool {
    // One on a Saturday is kept on the Friday before, one on a Sunday on the Monday after. New Year's Day on a Saturday is
    // not kept: that Friday ends a year's books.
    let fixed = |day: NaiveDate| match (day.month(), day.day()) {
        (1, 1) | (7, 4) | (12, 25) => true,
        (6, 19) => day.year() >= 2022,
        _ => false,
    };
    let kept = match date.weekday() {
        Weekday::Fri => date
            .succ_opt()
            .is_some_and(|next| fixed(next) && next.ordinal() != 1),
        Weekday::Mon => date.pred_opt().is_some_and(fixed),
        _ => false,
    };
    fixed(date)
        || kept
        || nth(date, 1, Weekday::Mon, 3)
        || nth(date, 2, Weekday::Mon, 3)
        || good_friday(date)
        || last_monday_of_may(date)
        || nth(date, 9, Weekday::Mon, 1)
        || nth(date, 11, Weekday::Thu, 4)
}

/// Whether a date is the nth such weekday of a month.
fn nth(date: NaiveDate, month: u32, weekday: Weekday, nth: u32) -> bool {
    date.month() == month && date.weekday() == weekday && date.day().div_ceil(7) == nth
}

fn last_monday_of_may(date: NaiveDate) -> bool {
    date.month() == 5 && date.weekday() == Weekday::Mon && date.day() > 24
}

/// Two days before Easter, by the anonymous Gregorian computus (Meeus, Astronomical Algorithms, chapter 8).
fn good_friday(date: NaiveDate) -> bool {
    let year = date.year();
    let a = year.rem_euclid(19);
    let (b, c) = (year.div_euclid(100), year.rem_euclid(100));
    let (d, e) = (b / 4, b % 4);
    let g = (8 * b + 13) / 25;
    let h = (19 * a + b - d - g + 15) % 30;
    let (i, k) = (c / 4, c % 4);
    let l = (32 + 2 * e + 2 * i - h - k) % 7;
    let m = (a + 11 * h + 19 * l) / 433;
    let month = (h + l - 7 * m + 90) / 25;
    let day = (h + l - 7 * m + 33 * month + 19) % 32;
    let easter = u32::try_from(month)
        .ok()
        .zip(u32::try_from(day).ok())
        .and_then(|(month, day)| NaiveDate::from_ymd_opt(year, month, day));
    easter.and_then(|it| it.checked_sub_days(Days::new(2))) == Some(date)
}
