//! Calendars and cron expressions as plain values: when something is open, and at which clock times it is due, in which
//! time zone. What they mean for an instant is `trigger`'s business.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use chrono_tz::Tz;

use super::{Name, moment::Moment};

/// When something is open: weekly sessions in a time zone, with days that differ and one-off windows.
#[derive(Clone, Debug, PartialEq)]
pub struct Calendar {
    pub name: Name,
    pub zone: Tz,
    /// Monday first.
    pub weekly: [Vec<Session>; 7],
    /// Days that have other sessions than their weekday: half days; a holiday has none.
    pub days: BTreeMap<NaiveDate, Vec<Session>>,
    /// Open besides, whatever the sessions say.
    pub windows: Vec<Window>,
    /// Closed, whatever else is said.
    pub except: Vec<Window>,
    /// The first day its data knows of.
    pub since: Option<NaiveDate>,
    /// The last day its data knows of: later nobody knows whether it is open.
    pub until: Option<NaiveDate>,
}

/// From one clock time of a day to another, in minutes after midnight. One that ends after 24:00 runs into the next day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Session {
    pub from: u32,
    /// Not part of it.
    pub to: u32,
}

/// From an instant to before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub from: Moment,
    pub to: Moment,
}

/// A cron expression and the time zone of its clock times.
#[derive(Clone, Debug, PartialEq)]
pub struct Cron {
    pub pattern: croner::Cron,
    pub zone: Tz,
}
