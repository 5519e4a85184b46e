//! `calendars:` of a file: when something is open.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{NaiveDate, NaiveDateTime};
use chrono_tz::Tz;

use super::{
    super::{
        format::{CalendarRule, WindowRule},
        names, reading,
        unit::{Notes, Unit},
    },
    trigger,
};
use crate::{
    model::{
        calendar::{Calendar, Session, Window},
        moment::Moment,
        node::{Node, Tree},
        text::{Mistake, Text},
    },
    trigger::zone,
};

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Reads all calendars of a file.
pub fn compile_all(node: &Node, zone: Tz, unit: &mut Unit, notes: &mut Notes) {
    if matches!(node.tree, Tree::Null) {
        return; // told already
    }
    for (name, node) in reading::named(node, &mut notes.mistakes) {
        let before = notes.mistakes.len();
        let good = names::check_rule(&name, &mut notes.mistakes);
        let calendar = compile(name.as_str(), node, zone, &mut notes.mistakes);
        let sound = notes.mistakes.len() == before;
        if good {
            unit.calendars
                .push((name, sound.then(|| Arc::new(calendar))));
        }
    }
}

fn compile(name: &str, node: &Node, default: Tz, mistakes: &mut Vec<Mistake>) -> Calendar {
    let before = mistakes.len();
    let rule: CalendarRule = reading::read(node, mistakes);
    let zone = match &rule.timezone {
        Some(text) => trigger::zone(text, mistakes).unwrap_or_default(),
        None => default,
    };
    let part = |key: &str, there: bool| node.get(key).filter(|_| there);
    let mut calendar = Calendar {
        name: name.into(),
        zone,
        weekly: Default::default(),
        days: BTreeMap::new(),
        windows: Vec::new(),
        except: Vec::new(),
        since: rule.since.and_then(|text| date(&text, mistakes)),
        until: rule.until.and_then(|text| date(&text, mistakes)),
    };
    if let Some(node) = part("weekly", rule.weekly.is_some()) {
        weekly(node, &mut calendar, mistakes);
    }
    if let Some(node) = part("holidays", rule.holidays.is_some()) {
        for item in reading::items(node, mistakes) {
            if let Some(text) = reading::text(item, "a date", mistakes) {
                day(&text, Vec::new(), &mut calendar, mistakes);
            }
        }
    }
    if let Some(node) = part("half_days", rule.half_days.is_some()) {
        for (key, node) in reading::named(node, mistakes) {
            let sessions = sessions(node, mistakes);
            day(&key, sessions, &mut calendar, mistakes);
        }
    }
    for (key, there) in [
        ("windows", rule.windows.is_some()),
        ("except", rule.except.is_some()),
    ] {
        let Some(node) = part(key, there) else {
            continue;
        };
        let found = reading::items(node, mistakes)
            .iter()
            .filter_map(|node| window(node, zone, mistakes))
            .collect();
        match key {
            "windows" => calendar.windows = found,
            _ => calendar.except = found,
        }
    }
    if let (Some(since), Some(until)) = (calendar.since, calendar.until)
        && since > until
        && let Some(node) = node.get("until")
    {
        mistakes.push(bad(
            "`until` lies before `since`".to_owned(),
            node,
            "write the first date under `since`, the last one under `until`",
        ));
    }
    let opens = calendar.weekly.iter().chain(calendar.days.values());
    let opens = opens.flatten().next().is_some() || !calendar.windows.is_empty();
    if !opens && mistakes.len() == before {
        mistakes.push(bad(
            format!("the calendar `{name}` never opens"),
            node,
            "write `weekly: { Mon-Fri: '09:00-17:00' }`, or `windows:` with `from` and `to`",
        ));
    }
    calendar
}

fn bad(message: String, node: &Node, help: &str) -> Mistake {
    Mistake::new("bad-calendar", message, node.place.clone()).help(help)
}

/// `Mon-Fri: '09:30-16:00'`, each day once.
fn weekly(node: &Node, calendar: &mut Calendar, mistakes: &mut Vec<Mistake>) {
    let mut said = [false; 7];
    for (key, node) in reading::named(node, mistakes) {
        let sessions = sessions(node, mistakes);
        let Some(days) = weekdays(key.as_str()) else {
            let mistake = Mistake::new(
                "bad-calendar",
                format!("`{key}` means no day of the week"),
                key.place(),
            );
            mistakes.push(mistake.help("write Mon, Mon-Fri, or 'Sat, Sun'"));
            continue;
        };
        for day in days {
            if said.get(day) == Some(&true) {
                let mistake = Mistake::new(
                    "bad-calendar",
                    format!("{} stands here twice", capital(day)),
                    key.place(),
                );
                mistakes.push(mistake.help("write several sessions of a day as a list"));
                break;
            }
            if let (Some(said), Some(its)) = (said.get_mut(day), calendar.weekly.get_mut(day)) {
                *said = true;
                its.clone_from(&sessions);
            }
        }
    }
}

fn capital(day: usize) -> String {
    let word = DAYS.get(day).copied().unwrap_or_default();
    let (first, rest) = word.split_at(word.len().min(1));
    format!("{}{rest}", first.to_uppercase())
}

/// `Mon`, `Mon-Fri`, `Sat, Sun`; from Monday as 0. Full names will do.
fn weekdays(text: &str) -> Option<Vec<usize>> {
    let day = |word: &str| {
        let word = word.trim().to_ascii_lowercase();
        let full = [
            "monday",
            "tuesday",
            "wednesday",
            "thursday",
            "friday",
            "saturday",
            "sunday",
        ];
        let is = |known: &[&str]| known.iter().position(|known| *known == word);
        is(&DAYS).or_else(|| is(&full))
    };
    let mut days = Vec::new();
    for part in text.split(',') {
        match part.split_once('-') {
            None => days.push(day(part)?),
            Some((first, last)) => {
                let (mut at, last) = (day(first)?, day(last)?);
                days.push(at);
                while at != last {
                    at = (at + 1) % 7;
                    days.push(at);
                }
            }
        }
    }
    Some(days)
}

/// One session or a list of them.
fn sessions(node: &Node, mistakes: &mut Vec<Mistake>) -> Vec<Session> {
    let items = match &node.tree {
        Tree::Seq(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    let mut found: Vec<Session> = Vec::new();
    for item in items {
        let Some(text) = reading::text(item, "a session", mistakes) else {
            continue;
        };
        match session(text.as_str()) {
            Some(session) => found.push(session),
            None => mistakes.push(bad(
                format!("`{text}` is no session"),
                item,
                "write '09:30-16:00', '22:00-06:00' past midnight, or '00:00-24:00'",
            )),
        }
    }
    found.sort();
    let overlap = found.windows(2).any(|pair| match pair {
        [first, second] => second.from < first.to,
        _ => false,
    });
    if overlap {
        mistakes.push(bad(
            "sessions of one day overlap".to_owned(),
            node,
            "write them as one",
        ));
    }
    found
}

fn session(text: &str) -> Option<Session> {
    let (from, to) = text.split_once('-')?;
    let (from, to) = (clock(from)?, clock(to)?);
    let whole = from == to || from == 1440;
    (!whole).then(|| Session {
        from,
        to: if to < from { to + 1440 } else { to },
    })
}

/// Minutes after midnight; `24:00` is the end of the day.
fn clock(text: &str) -> Option<u32> {
    let (hours, minutes) = text.trim().split_once(':')?;
    let number = |text: &str, most: u32| {
        let digits = text.len() <= 2 && text.chars().all(|c| c.is_ascii_digit());
        let number: u32 = text.parse().ok()?;
        (digits && number <= most).then_some(number)
    };
    let (hours, minutes) = (
        number(hours, 24)?,
        number(minutes, 59).filter(|_| minutes.len() == 2)?,
    );
    let all = hours * 60 + minutes;
    (all <= 1440).then_some(all)
}

fn date(text: &Text, mistakes: &mut Vec<Mistake>) -> Option<NaiveDate> {
    let found = NaiveDate::parse_from_str(text.as_str().trim(), "%Y-%m-%d").ok();
    if found.is_none() {
        let message = format!("`{text}` is no date");
        let mistake = Mistake::new("bad-calendar", message, text.place());
        mistakes.push(mistake.help("write it as 2026-12-24"));
    }
    found
}

/// A day that differs from its weekday; each once.
fn day(text: &Text, sessions: Vec<Session>, calendar: &mut Calendar, mistakes: &mut Vec<Mistake>) {
    let Some(day) = date(text, mistakes) else {
        return;
    };
    if calendar.days.insert(day, sessions).is_some() {
        let message = format!("{day} stands here twice");
        let mistake = Mistake::new("bad-calendar", message, text.place());
        mistakes.push(mistake.help("a day is a holiday or has other sessions, not both"));
    }
}

fn window(node: &Node, zone: Tz, mistakes: &mut Vec<Mistake>) -> Option<Window> {
    let before = mistakes.len();
    let rule: WindowRule = reading::read(node, mistakes);
    for key in ["from", "to"] {
        reading::missing(node, key, mistakes);
    }
    if mistakes.len() > before {
        return None;
    }
    let from = edge(&rule.from?, false, zone, mistakes)?;
    let to = edge(&rule.to?, true, zone, mistakes)?;
    if from >= to {
        mistakes.push(bad(
            "a window that ends before it begins".to_owned(),
            node,
            "write the earlier one under `from`",
        ));
        return None;
    }
    Some(Window { from, to })
}

/// An instant of a window: with a zone, by the clock of the calendar, or a date for its beginning or end.
fn edge(text: &Text, end: bool, zone: Tz, mistakes: &mut Vec<Mistake>) -> Option<Moment> {
    let said = text.as_str().trim();
    let by_clock = [
        "%Y-%m-%dT%H:%M:%S",
        "%Y-%m-%dT%H:%M",
        "%Y-%m-%d %H:%M:%S",
        "%Y-%m-%d %H:%M",
    ]
    .into_iter()
    .find_map(|form| NaiveDateTime::parse_from_str(said, form).ok());
    let by_date = || {
        let day = NaiveDate::parse_from_str(said, "%Y-%m-%d").ok()?;
        let day = if end { day.succ_opt()? } else { day };
        day.and_hms_opt(0, 0, 0)
    };
    let with_zone = || Moment::parse(said).filter(|_| said.contains(['T', 't', ' ']));
    let found = by_clock
        .or_else(by_date)
        .map(|clock| zone::instant(clock, zone))
        .or_else(with_zone);
    if found.is_none() {
        let message = format!("`{text}` is no instant");
        let mistake = Mistake::new("bad-calendar", message, text.place());
        mistakes.push(mistake.help(
            "write 2026-12-24T22:00 by the clock of the calendar, 2026-12-24T22:00:00Z, or a date",
        ));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_read_as_people_write_them() {
        let read = |text: &str| session(text).map(|it| (it.from, it.to));
        assert_eq!(read("09:30-16:00"), Some((570, 960)));
        assert_eq!(read("9:30 - 16:00"), Some((570, 960)));
        assert_eq!(read("22:00-06:00"), Some((1320, 1800)));
        assert_eq!(read("00:00-24:00"), Some((0, 1440)));
        assert_eq!(read("22:00-24:00"), Some((1320, 1440)));
        for wrong in [
            "",
            "09:30",
            "9-16",
            "24:00-06:00",
            "09:30-09:30",
            "25:00-26:00",
            "09:60-10:00",
            "+9:00-10:00",
            "09:3-10:00",
            "24:01-25:00",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn days_of_the_week() {
        assert_eq!(weekdays("Mon-Fri"), Some(vec![0, 1, 2, 3, 4]));
        assert_eq!(weekdays("sat, Sunday"), Some(vec![5, 6]));
        assert_eq!(weekdays("Fri-Mon"), Some(vec![4, 5, 6, 0]));
        for wrong in ["", "Mo", "Mon-", "Mon Fri"] {
            assert_eq!(weekdays(wrong), None, "{wrong}");
        }
    }
}
