//! When to look.

use std::time::Duration;

use chrono_tz::Tz;

use super::super::{
    format::{EventRule, TriggerRule},
    names, reading,
};
use crate::{
    model::{
        calendar::Cron,
        node::Node,
        outline::{EventTrigger, Trigger},
        status::Status,
        text::{Mistake, Text, meant},
    },
    trigger,
};

const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// Reads a trigger; `asks` receives the checks it names, `calendars` the calendars. `zone` is that of cron expressions
/// that say none.
pub fn read(
    node: &Node,
    zone: Tz,
    asks: &mut Vec<Text>,
    calendars: &mut Vec<Text>,
    mistakes: &mut Vec<Mistake>,
) -> Trigger {
    let before = mistakes.len();
    let rule: TriggerRule = reading::read(node, mistakes);
    if let Some(every) = rule.every
        && !(SHORTEST..=LONGEST).contains(&every.0)
        && let Some(node) = node.get("every")
    {
        mistakes.push(
            Mistake::new(
                "bad-value",
                format!("every {every} is out of bounds"),
                node.place.clone(),
            )
            .help("write something from 100ms to 366d"),
        );
    }
    let cron = cron(node, &rule, zone, mistakes);
    let mut calendar = |text: Option<Text>, what: &str, mistakes: &mut Vec<Mistake>| {
        let text = reading::filled(text, what, mistakes)?;
        calendars.push(text.clone());
        Some(text.as_str().into())
    };
    let during = calendar(rule.during, "`during`", mistakes);
    let quiet = calendar(rule.quiet, "`quiet`", mistakes);
    let events = match node.get("events") {
        Some(events) if rule.events.is_some() => reading::items(events, mistakes)
            .iter()
            .filter_map(|node| event(node, asks, mistakes))
            .collect(),
        _ => Vec::new(),
    };
    // With a calendar alone it is looked at in rounds, and only while that is open.
    let says = [
        rule.every.is_some(),
        rule.cron.is_some(),
        rule.events.is_some(),
        during.is_some(),
        quiet.is_some(),
    ];
    if !says.contains(&true) && mistakes.len() == before {
        mistakes.push(
            Mistake::new(
                "missing-key",
                "a trigger needs `every`, `cron` or `events`",
                node.place.clone(),
            )
            .help("write `trigger: { every: 5m }`"),
        );
    }
    Trigger {
        every: rule.every.map(|every| every.0),
        splay: rule.splay.unwrap_or(true),
        cron,
        events,
        during,
        quiet,
    }
}

/// The clock times of a trigger. They are said once: not by an interval besides.
fn cron(node: &Node, rule: &TriggerRule, default: Tz, mistakes: &mut Vec<Mistake>) -> Option<Cron> {
    let key = |name: &str| {
        let entry = node.entries().iter().find(|(key, _)| key.key() == name);
        entry.map_or(&node.place, |(key, _)| &key.place).clone()
    };
    let zone = match &rule.timezone {
        Some(text) => zone(text, mistakes),
        None => Some(default),
    };
    let Some(text) = reading::filled(rule.cron.clone(), "`cron`", mistakes) else {
        if rule.timezone.is_some() && rule.cron.is_none() {
            let mistake = Mistake::new(
                "bad-value",
                "`timezone` is that of `cron`, and there is none",
                key("timezone"),
            );
            mistakes.push(mistake.help("leave it out; a calendar has a `timezone` of its own"));
        }
        return None;
    };
    let word = |name| node.get(name).is_some();
    if let Some(other) = ["every", "splay"].into_iter().find(|name| word(name)) {
        let mistake = Mistake::new(
            "bad-value",
            format!("`cron` and `{other}` do not go together"),
            key(other),
        );
        mistakes.push(mistake.help("keep `cron` for clock times, or `every` for an interval"));
    }
    let cron = match trigger::cron::parse(text.as_str(), zone?) {
        Ok(cron) => cron,
        Err(why) => {
            let mistake = Mistake::new("bad-cron", why, text.place());
            mistakes.push(mistake.help(
                "write minute, hour, day of month, month and day of week, as in '*/5 9-16 * * Mon-Fri'",
            ));
            return None;
        }
    };
    if !trigger::cron::ever_fires(&cron) {
        let mistake = Mistake::new(
            "bad-cron",
            format!("`{text}` never comes: no month has such a day"),
            text.place(),
        );
        mistakes.push(mistake.help("change the day of the month, or the month"));
        return None;
    }
    Some(cron)
}

/// A time zone by its name in the IANA database.
pub fn zone(text: &Text, mistakes: &mut Vec<Mistake>) -> Option<Tz> {
    if let Ok(zone) = text.as_str().parse::<Tz>() {
        return Some(zone);
    }
    let known = chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name());
    let help = match meant(text.as_str(), known) {
        Some(zone) => format!("did you mean `{zone}`?"),
        None => {
            "write a name of the IANA database, as Europe/Berlin or America/New_York".to_owned()
        }
    };
    let message = format!("there is no time zone `{text}`");
    mistakes.push(Mistake::new("unknown-zone", message, text.place()).help(help));
    None
}

fn event(node: &Node, asks: &mut Vec<Text>, mistakes: &mut Vec<Mistake>) -> Option<EventTrigger> {
    let before = mistakes.len();
    let rule: EventRule = reading::read(node, mistakes);
    if mistakes.len() > before {
        return None;
    }
    let kinds = [
        rule.check.is_some(),
        rule.file.is_some(),
        rule.event.is_some(),
    ];
    if kinds.into_iter().filter(|kind| *kind).count() != 1 {
        mistakes.push(
            Mistake::new(
                "bad-value",
                "an event is one of `check`, `file` and `event`",
                node.place.clone(),
            )
            .help("write each event as an item of its own"),
        );
        return None;
    }
    if rule.check.is_none()
        && let Some((key, _)) = node.entries().iter().find(|(key, _)| key.key() == "status")
    {
        mistakes.push(Mistake::new(
            "unknown-key",
            "`status` belongs to an event of a check",
            key.place.clone(),
        ));
        return None;
    }
    if let Some(check) = rule.check {
        let status: Vec<Status> = rule
            .status
            .unwrap_or_default()
            .into_iter()
            .map(Status::from)
            .collect();
        if status.is_empty() {
            mistakes.push(
                Mistake::new(
                    "missing-key",
                    "an event of a check says at which `status`",
                    node.place.clone(),
                )
                .help(format!(
                    "write `{{ check: {check}, status: [warning, critical] }}`"
                )),
            );
            return None;
        }
        if !names::check_rule(&check, mistakes) {
            return None;
        }
        asks.push(check.clone());
        return Some(EventTrigger::Check {
            check: check.as_str().into(),
            status,
        });
    }
    if let Some(file) = rule.file {
        return reading::watched_file(&file, mistakes).map(|file| EventTrigger::File { file });
    }
    let event = rule
        .event
        .filter(|event| names::check_rule(event, mistakes))?;
    Some(EventTrigger::Event {
        event: event.to_string(),
    })
}
