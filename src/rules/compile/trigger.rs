//! When to look.

use std::time::Duration;

use super::super::{
    format::{EventRule, TriggerRule},
    names, reading,
};
use crate::model::{
    node::Node,
    outline::{EventTrigger, Trigger},
    status::Status,
    text::{Mistake, Text},
};

/// Parts of a trigger that later versions know.
const LATER: [&str; 5] = ["cron", "timezone", "during", "quiet", "calendar"];
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// Reads a trigger; `asks` receives the checks it names.
pub fn read(node: &Node, asks: &mut Vec<Text>, mistakes: &mut Vec<Mistake>) -> Trigger {
    let before = mistakes.len();
    let node = &*reading::without_later(node, &LATER, mistakes);
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
    let events = match node.get("events") {
        Some(events) if rule.events.is_some() => reading::items(events, mistakes)
            .iter()
            .filter_map(|node| event(node, asks, mistakes))
            .collect(),
        _ => Vec::new(),
    };
    if rule.every.is_none() && rule.events.is_none() && mistakes.len() == before {
        mistakes.push(
            Mistake::new(
                "missing-key",
                "a trigger needs `every` or `events`",
                node.place.clone(),
            )
            .help("write `trigger: { every: 5m }`"),
        );
    }
    Trigger {
        every: rule.every.map(|every| every.0),
        splay: rule.splay.unwrap_or(true),
        events,
    }
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
