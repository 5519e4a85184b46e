//! What a calendar says of an instant: open, closed, or that its data does not reach so far.
//!
//! A session belongs to the day on which it begins, also where it runs past midnight. Clock times follow the rule of
//! [`zone`]: of a doubled one the first is meant, a skipped one is the end of the gap.

use chrono::{Datelike, Days, NaiveDate, NaiveTime};

use super::zone;
use crate::model::{
    calendar::{Calendar, Session},
    moment::Moment,
};

/// A week that changes nothing is like all that follow, but for days that differ. Sessions reach two days further.
const WEEK: usize = 7 + 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Open,
    Closed,
    /// Before or after what its data covers. Neither open nor closed may be assumed.
    Unknown,
}

/// The state at an instant, and when it ends, if ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hours {
    pub state: State,
    pub until: Option<Moment>,
}

impl Calendar {
    pub fn state(&self, now: Moment) -> State {
        let day = zone::clock_time(now, self.zone).date();
        let known = self.since.is_none_or(|first| first <= day)
            && self.until.is_none_or(|last| day <= last);
        if !known {
            return State::Unknown;
        }
        let inside =
            |window: &crate::model::calendar::Window| (window.from..window.to).contains(&now);
        if self.except.iter().any(inside) {
            return State::Closed;
        }
        // Two days back: a session may run a whole day, and one that begins in a gap begins later.
        let begun = (0..=2).filter_map(|back| day.checked_sub_days(Days::new(back)));
        let in_session = begun.into_iter().any(|day| {
            let mut sessions = self.sessions(day).iter();
            sessions.any(|session| {
                let (from, to) = self.bounds(day, *session);
                (from..to).contains(&now)
            })
        });
        match in_session || self.windows.iter().any(inside) {
            true => State::Open,
            false => State::Closed,
        }
    }

    /// The state now and the instant at which it changes.
    pub fn hours(&self, now: Moment) -> Hours {
        let state = self.state(now);
        let changed = |at: &Moment| self.state(*at) != state;
        let day = zone::clock_time(now, self.zone).date();
        let mut far = self.fixed_bounds(now);
        far.sort();
        let mut until = None;
        let start = day.checked_sub_days(Days::new(2)).unwrap_or(day);
        let differing = self
            .days
            .range(start..)
            .flat_map(|(day, _)| day.pred_opt().unwrap_or(*day).iter_days().take(3));
        for day in start.iter_days().take(WEEK + 2).chain(differing) {
            let mut bounds: Vec<Moment> = self
                .sessions(day)
                .iter()
                .flat_map(|session| {
                    let (from, to) = self.bounds(day, *session);
                    [from, to]
                })
                .filter(|at| *at > now)
                .collect();
            bounds.sort();
            // Sessions of a later day begin later, though one of this day may end later than that.
            until = bounds
                .into_iter()
                .find(changed)
                .into_iter()
                .chain(until)
                .min();
            let next = day.succ_opt().map(|next| self.clock(next, 0));
            if until.is_some_and(|until| next.is_some_and(|next| until <= next)) {
                break;
            }
        }
        let fixed = far.into_iter().find(changed);
        Hours {
            state,
            until: until.into_iter().chain(fixed).min(),
        }
    }

    /// The first instant at which it is open, from `now` on.
    pub fn next_opening(&self, now: Moment) -> Option<Moment> {
        let mut at = now;
        // Closed, perhaps unknown, then open: a few changes at most lie between.
        for _ in 0..8 {
            let hours = self.hours(at);
            if hours.state == State::Open {
                return Some(at);
            }
            at = hours.until?;
        }
        None
    }

    /// The first instant its data knows nothing of.
    pub fn end(&self) -> Option<Moment> {
        let after = self.until?.succ_opt()?;
        Some(self.clock(after, 0))
    }

    /// What its data covers, in words.
    pub fn reach(&self) -> String {
        match (self.since, self.until) {
            (None, None) => "its data covers all time".to_owned(),
            (Some(since), None) => format!("its data begins on {since}"),
            (None, Some(until)) => format!("its data ends on {until}"),
            (Some(since), Some(until)) => format!("its data goes from {since} to {until}"),
        }
    }

    fn sessions(&self, day: NaiveDate) -> &[Session] {
        let weekday = day.weekday().num_days_from_monday() as usize;
        match self.days.get(&day) {
            Some(sessions) => sessions,
            None => self.weekly.get(weekday).map_or(&[], Vec::as_slice),
        }
    }

    fn bounds(&self, day: NaiveDate, session: Session) -> (Moment, Moment) {
        (self.clock(day, session.from), self.clock(day, session.to))
    }

    /// So many minutes after the midnight at which a day begins, by the clock.
    fn clock(&self, day: NaiveDate, minutes: u32) -> Moment {
        let days = Days::new(u64::from(minutes / 1440));
        let minutes = minutes % 1440;
        let time = NaiveTime::from_hms_opt(minutes / 60, minutes % 60, 0).unwrap_or_default();
        let day = day.checked_add_days(days).unwrap_or(day);
        zone::instant(day.and_time(time), self.zone)
    }

    /// Where its state may change besides its days, after `now`.
    fn fixed_bounds(&self, now: Moment) -> Vec<Moment> {
        let since = self.since.map(|first| self.clock(first, 0));
        let windows = self.windows.iter().chain(&self.except);
        let mut bounds: Vec<Moment> = windows
            .flat_map(|window| [window.from, window.to])
            .chain(since)
            .chain(self.end())
            .filter(|at| *at > now)
            .collect();
        bounds.sort();
        bounds
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use chrono_tz::{America::New_York, Australia::Lord_Howe, Europe::Berlin, Tz, UTC};
    use proptest::prelude::*;

    use super::*;
    use crate::model::calendar::Window;

    fn moment(text: &str) -> Moment {
        Moment::parse(text).expect("an instant")
    }

    fn date(text: &str) -> NaiveDate {
        text.parse().expect("a date")
    }

    const REGULAR: Session = Session { from: 570, to: 960 };

    pub(crate) fn empty(zone: Tz) -> Calendar {
        Calendar {
            name: "market".into(),
            zone,
            weekly: Default::default(),
            days: BTreeMap::new(),
            windows: Vec::new(),
            except: Vec::new(),
            since: None,
            until: None,
        }
    }

    fn market() -> Calendar {
        let mut calendar = empty(New_York);
        for day in 0..5 {
            calendar.weekly[day] = vec![REGULAR];
        }
        calendar.days.insert(date("2026-11-26"), Vec::new());
        let half = Session { from: 570, to: 780 };
        calendar.days.insert(date("2026-11-27"), vec![half]);
        calendar
    }

    fn says(calendar: &Calendar, at: &str) -> (State, String) {
        let hours = calendar.hours(moment(at));
        let until = hours.until.map(|at| at.iso()[..16].to_owned());
        (hours.state, until.unwrap_or_default())
    }

    use State::{Closed, Open, Unknown};

    #[test]
    fn sessions_holidays_and_half_days() {
        let market = market();
        let said = |at, state, until: &str| {
            assert_eq!(says(&market, at), (state, until.to_owned()), "{at}")
        };
        said("2026-11-25T14:29:59Z", Closed, "2026-11-25T14:30");
        said("2026-11-25T14:30:00Z", Open, "2026-11-25T21:00");
        said("2026-11-25T21:00:00Z", Closed, "2026-11-27T14:30");
        said("2026-11-27T17:00:00Z", Open, "2026-11-27T18:00");
        said("2026-11-27T18:00:00Z", Closed, "2026-11-30T14:30");
        // In summer time the same clock times are other instants.
        said("2026-07-10T13:30:00Z", Open, "2026-07-10T20:00");
    }

    #[test]
    fn a_session_runs_past_midnight_and_belongs_to_the_day_it_begins_on() {
        let mut nights = empty(UTC);
        nights.weekly[4] = vec![Session {
            from: 1320,
            to: 1800,
        }];
        nights.days.insert(date("2026-01-10"), Vec::new()); // the Saturday is a holiday: Friday's night goes on
        assert_eq!(
            says(&nights, "2026-01-09T23:00:00Z"),
            (Open, "2026-01-10T06:00".to_owned())
        );
        assert_eq!(
            says(&nights, "2026-01-10T06:00:00Z"),
            (Closed, "2026-01-16T22:00".to_owned())
        );
    }

    #[test]
    fn sessions_that_touch_are_one() {
        let mut days = empty(Berlin);
        days.weekly = std::array::from_fn(|_| vec![Session { from: 0, to: 1440 }]);
        assert_eq!(
            says(&days, "2026-03-29T00:30:00Z"),
            (Open, String::new()),
            "open for good"
        );
        days.except.push(Window {
            from: moment("2030-01-01T00:00:00Z"),
            to: moment("2030-01-02T00:00:00Z"),
        });
        assert_eq!(
            says(&days, "2026-03-29T00:30:00Z"),
            (Open, "2030-01-01T00:00".to_owned())
        );
    }

    #[test]
    fn a_day_that_differs_is_found_however_far_it_is() {
        let mut days = empty(Berlin);
        days.days.insert(date("2031-05-01"), vec![REGULAR]);
        assert_eq!(
            says(&days, "2026-03-29T00:30:00Z"),
            (Closed, "2031-05-01T07:30".to_owned())
        );
        days.weekly = std::array::from_fn(|_| vec![Session { from: 0, to: 1440 }]);
        assert_eq!(
            says(&days, "2026-03-29T00:30:00Z"),
            (Open, "2031-04-30T22:00".to_owned())
        );
        assert_eq!(
            says(&days, "2031-05-01T16:00:00Z"),
            (Closed, "2031-05-01T22:00".to_owned())
        );
    }

    #[test]
    fn windows_open_and_exceptions_close() {
        let mut market = market();
        market.windows.push(Window {
            from: moment("2026-11-28T10:00:00Z"),
            to: moment("2026-11-28T12:00:00Z"),
        });
        market.except.push(Window {
            from: moment("2026-11-28T11:00:00Z"),
            to: moment("2026-11-28T11:30:00Z"),
        });
        assert_eq!(
            says(&market, "2026-11-27T20:00:00Z"),
            (Closed, "2026-11-28T10:00".to_owned())
        );
        assert_eq!(
            says(&market, "2026-11-28T10:30:00Z"),
            (Open, "2026-11-28T11:00".to_owned())
        );
        assert_eq!(
            says(&market, "2026-11-28T11:10:00Z"),
            (Closed, "2026-11-28T11:30".to_owned())
        );
        let mut maintenance = empty(UTC);
        maintenance.windows = market.windows.clone();
        assert_eq!(
            says(&maintenance, "2020-01-01T00:00:00Z"),
            (Closed, "2026-11-28T10:00".to_owned())
        );
        assert_eq!(
            says(&maintenance, "2026-11-28T12:00:00Z"),
            (Closed, String::new())
        );
    }

    #[test]
    fn past_its_data_nobody_knows() {
        let mut market = market();
        market.since = Some(date("2026-01-01"));
        market.until = Some(date("2026-12-31"));
        assert_eq!(
            says(&market, "2026-12-31T22:00:00Z"),
            (Closed, "2027-01-01T05:00".to_owned())
        );
        assert_eq!(
            says(&market, "2027-01-01T05:00:00Z"),
            (Unknown, String::new())
        );
        assert_eq!(
            says(&market, "2025-12-30T15:00:00Z"),
            (Unknown, "2026-01-01T05:00".to_owned())
        );
        assert_eq!(market.next_opening(moment("2026-12-31T22:00:00Z")), None);
        assert_eq!(market.end(), Some(moment("2027-01-01T05:00:00Z")));
    }

    #[test]
    fn a_session_inside_the_skipped_hour_does_not_take_place() {
        let mut nightly = empty(Berlin);
        nightly.weekly = std::array::from_fn(|_| vec![Session { from: 130, to: 170 }]);
        assert_eq!(
            says(&nightly, "2026-03-29T00:00:00Z"),
            (Closed, "2026-03-30T00:10".to_owned())
        );
        // In the doubled hour it takes place once.
        assert_eq!(
            says(&nightly, "2026-10-25T00:20:00Z"),
            (Open, "2026-10-25T00:50".to_owned())
        );
        assert_eq!(
            says(&nightly, "2026-10-25T01:20:00Z"),
            (Closed, "2026-10-26T01:10".to_owned())
        );
    }

    fn sessions() -> impl Strategy<Value = Vec<Session>> {
        let session = (0u32..144, 1u32..=144).prop_map(|(from, length)| Session {
            from: from * 10,
            to: from * 10 + length * 10,
        });
        prop::collection::vec(session, 0..3)
    }

    prop_compose! {
        fn calendars()(
            zone in prop::sample::select(vec![Berlin, New_York, Lord_Howe, UTC]),
            weekly in prop::array::uniform7(sessions()),
            days in prop::collection::btree_map(0u64..14, sessions(), 0..3),
            windows in prop::collection::vec((0i64..1440, 1i64..300), 0..2),
            except in prop::collection::vec((0i64..1440, 1i64..300), 0..2),
            until in prop::option::of(3u64..12),
        ) -> Calendar {
            let first = date("2026-10-20");
            let day = |days: u64| first.checked_add_days(Days::new(days)).expect("a day");
            let start = moment("2026-10-20T00:00:00Z").0;
            let window = |(from, length): (i64, i64)| Window {
                from: Moment(start + from * 600_000),
                to: Moment(start + (from + length) * 600_000),
            };
            Calendar {
                weekly,
                days: days.into_iter().map(|(it, sessions)| (day(it), sessions)).collect(),
                windows: windows.into_iter().map(window).collect(),
                except: except.into_iter().map(window).collect(),
                until: until.map(day),
                ..empty(zone)
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_next_change_is_that_of_a_scan(calendar in calendars(), from in 0i64..1000) {
            // Bounds lie on multiples of ten minutes.
            let start = Moment(moment("2026-10-21T00:00:00Z").0 + from * 600_000 + 1);
            let hours = calendar.hours(start);
            prop_assert_eq!(hours.state, calendar.state(start));
            let mut scanned = (1..1500).map(|it| Moment(start.0 - 1 + it * 600_000));
            let change = scanned.find(|at| calendar.state(*at) != hours.state);
            let near = hours.until.filter(|at| at.0 < start.0 - 1 + 1500 * 600_000);
            prop_assert_eq!(near, change);
        }

        #[test]
        fn a_state_is_what_the_clock_shows(calendar in calendars(), minute in 0i64..20_000) {
            // Away from the nights in which clocks change, a clock time is in a session or it is not.
            let now = Moment(moment("2026-10-20T12:00:00Z").0 + minute * 60_000);
            let clock = zone::clock_time(now, calendar.zone);
            let offset = |moment| zone::clock_time(moment, calendar.zone).and_utc().timestamp_millis() - moment.0;
            let far = 3 * 86_400_000;
            prop_assume!(offset(Moment(now.0 - far)) == offset(now));
            prop_assume!(calendar.until.is_none_or(|until| clock.date() <= until));
            let minutes = i64::from(chrono::Timelike::num_seconds_from_midnight(&clock.time()) / 60);
            let day = |back: i64| clock.date() - chrono::Duration::days(back);
            let shows = (0..2).any(|back| {
                calendar.sessions(day(back)).iter().any(|session| {
                    (i64::from(session.from)..i64::from(session.to)).contains(&(minutes + back * 1440))
                })
            });
            let inside = |windows: &[Window]| windows.iter().any(|it| it.from <= now && now < it.to);
            let open = (shows || inside(&calendar.windows)) && !inside(&calendar.except);
            prop_assert_eq!(calendar.state(now) == Open, open);
        }
    }
}
