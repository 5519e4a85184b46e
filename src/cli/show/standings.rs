//! `status`: how everything stands, and why if something is unusual.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    Style, Tone,
    answer::{counts, held, one_step},
    news::because,
    table::{indented, table},
    text, time,
};
use crate::{
    engine::handle::{Proposal, StandingAnswer, StatusAnswer},
    model::{moment::Moment, standing::Silence, status::Status},
};

/// `asleep`: no engine runs, this is what the last one remembered.
pub fn status(status: &StatusAnswer, asleep: bool, style: &Style) -> String {
    let all = counts(status.checks.iter().map(|check| check.status), style);
    status_with(status, &all, asleep, style)
}

/// With what is said of all of them.
fn status_with(status: &StatusAnswer, all: &str, asleep: bool, style: &Style) -> String {
    let now = Moment::from_seconds(status.now);
    let mut shown = String::new();
    if asleep {
        shown.push_str(&style.paint(
            Tone::Warning,
            "No engine is running here: this is what the last one remembered.",
        ));
        shown.push_str("\n\n");
    }
    if let Some(pause) = &status.paused {
        let until = pause
            .until
            .map(|until| format!(" until {}", style.zone.relative(until, now)))
            .unwrap_or_default();
        let since = style.zone.relative(pause.at, now);
        let said = format!(
            "PAUSED since {since}{until}: no repair starts{}",
            because(&pause.by, &pause.reason)
        );
        shown.push_str(&style.paint(Tone::Warning, &said));
        shown.push_str("\n\n");
    }
    if let Some(storm) = &status.storm {
        let since = style.zone.relative(storm.began, now);
        let until = style.zone.relative(storm.until, now);
        let said = format!(
            "STORM since {since}: {} turned bad together, {} are not well yet; repairs wait until {until} or `homeostat resume`",
            text::count(storm.turned, "check"),
            storm.checks.len()
        );
        shown.push_str(&style.paint(Tone::Bad, &said));
        shown.push_str("\n\n");
    }
    let (behind, own): (Vec<&StandingAnswer>, Vec<&StandingAnswer>) = status
        .checks
        .iter()
        .partition(|check| check.behind.is_some());
    let rows: Vec<Vec<String>> = own.iter().map(|check| row(check, now, style)).collect();
    shown.push_str(&table(&rows, &[], style));
    shown.push_str(&waiting(&behind, style));
    for (head, below) in [
        ("Silenced", silences(&status.silences, now, style)),
        (
            "Waiting for a person",
            proposals(&status.proposals, now, style),
        ),
    ] {
        if !below.is_empty() {
            shown.push_str(&format!("\n{}\n{below}", style.strong(head)));
        }
    }
    shown.push_str(&footer(status, all, style));
    shown
}

/// Only these checks (all of them if none is named), and only those that are not OK.
pub fn chosen(mut answer: StatusAnswer, names: &[String], bad: bool) -> StatusAnswer {
    answer.checks.retain(|check| {
        (names.is_empty() || names.contains(&check.name)) && !(bad && check.status == Status::Ok)
    });
    answer
}

/// What fits on so many lines, the worst first; `foot` stands at the end of the last one.
pub fn watched(answer: &StatusAnswer, lines: usize, foot: &str, style: &Style) -> String {
    let mut sorted = answer.clone();
    sorted.checks.sort_by(|a, b| {
        let rank = |check: &StandingAnswer| (badness(check.status), check.behind.is_some());
        rank(a)
            .cmp(&rank(b))
            .then(a.since.total_cmp(&b.since))
            .then_with(|| a.name.cmp(&b.name))
    });
    let all = counts(answer.checks.iter().map(|check| check.status), style);
    let mut left = 0;
    loop {
        let shown = status_with(&sorted, &all, false, style);
        let height = shown.lines().count() + 3;
        if height <= lines || sorted.checks.is_empty() {
            let more = match left {
                0 => String::new(),
                some => style.dim(&format!("… and {some} more\n")),
            };
            return format!("{shown}{more}\n{}\n", style.dim(foot));
        }
        let cut = (height - lines).max(1).min(sorted.checks.len());
        left += cut;
        sorted.checks.truncate(sorted.checks.len() - cut);
    }
}

/// 0 is worst.
fn badness(status: Status) -> u8 {
    match status {
        Status::Critical => 0,
        Status::Unknown => 1,
        Status::Warning => 2,
        Status::Ok => 3,
    }
}

/// An answer without what goes on by itself: when it was given, when it was looked.
pub fn without_clocks(mut value: Value) -> String {
    if let Some(map) = value.as_object_mut() {
        map.remove("now");
        let checks = map.get_mut("checks").and_then(Value::as_array_mut);
        for check in checks.into_iter().flatten() {
            if let Some(check) = check.as_object_mut() {
                check.remove("looked");
                check.remove("looks");
            }
        }
    }
    value.to_string()
}

/// What waits behind a broken check: names only, since what they show follows from that one.
fn waiting(behind: &[&StandingAnswer], style: &Style) -> String {
    let mut by: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for check in behind {
        let name = text::clean(&check.name);
        by.entry(check.behind.as_deref().unwrap_or_default())
            .or_default()
            .push(name);
    }
    let one = |(cause, names): (&&str, &Vec<String>)| {
        let head = format!("behind {}", text::clean(cause));
        format!(
            "\n{}  {}\n",
            style.strong(&head),
            style.dim(&names.join(", "))
        )
    };
    by.iter().map(one).collect()
}

/// One line for each silence.
pub fn silences(silences: &[Silence], now: Moment, style: &Style) -> String {
    let line = |silence: &Silence| {
        let whose = match silence.checks.is_empty() {
            true => "every check".to_owned(),
            false => text::clean(&silence.checks.join(", ")),
        };
        let until = style.zone.relative(silence.until, now);
        format!(
            "  silence {}: {} until {until}{}\n",
            silence.id,
            style.strong(&whose),
            because(&silence.by, &silence.reason)
        )
    };
    silences.iter().map(line).collect()
}

/// What waits for a person, with what it would do.
pub fn proposals(proposals: &[Proposal], now: Moment, style: &Style) -> String {
    let one = |proposal: &Proposal| {
        let until = style
            .zone
            .relative(Moment::from_seconds(proposal.until), now);
        let word = match &proposal.approved_by {
            Some(by) => format!("approved by {}, held by a guard", text::clean(by)),
            None => format!(
                "`homeostat approve {0}` or `homeostat deny {0}`",
                proposal.attempt
            ),
        };
        let steps = proposal.steps.iter().map(|step| one_step(step, style));
        let steps = steps.collect::<String>();
        format!(
            "  {}  {}  {}\n    {word} until {until}\n{}",
            style.strong(&text::clean(&proposal.check)),
            style.status(proposal.before.status),
            text::clean(&proposal.before.message),
            indented(&steps, 4),
        )
    };
    proposals.iter().map(one).collect()
}

fn row(check: &StandingAnswer, now: Moment, style: &Style) -> Vec<String> {
    let since = Moment::from_seconds(check.since);
    let mut said = text::clean(&check.message);
    if let Some(by) = &check.held_by {
        let until = check.held_until.map(Moment::from_seconds);
        let said_of = held(by, until, check.held_why.as_deref(), now, style);
        said.push_str(&format!("  {said_of}"));
    }
    if let Some(opens) = check.opens.map(Moment::from_seconds) {
        let opens = style.zone.relative(opens, now);
        said.push_str(&style.dim(&format!("  opens {opens}")));
    }
    if let Some(pause) = &check.pause {
        let until = pause
            .until
            .map(|until| format!(" until {}", style.zone.relative(until, now)))
            .unwrap_or_default();
        let told = format!("  paused{until}{}", because(&pause.by, &pause.reason));
        said.push_str(&style.paint(Tone::Warning, &told));
    }
    if let Some((attempt, phase)) = &check.attempt {
        let open = format!("  attempt {attempt} {}", text::clean(phase));
        said.push_str(&style.paint(Tone::Place, &open));
    }
    if let Some(word) = &check.acknowledged {
        let until = word
            .until
            .map(Moment::from_seconds)
            .map(|until| format!(" until {}", style.zone.relative(until, now)));
        let until = until.unwrap_or_default();
        let by = because(&word.by, &word.reason);
        said.push_str(&style.dim(&format!("  acknowledged{until}{by}")));
    }
    let age = match check.looked {
        Some(_) => style.dim(&format!("for {}", time::span(now.since(since)))),
        None => style.dim("unseen"),
    };
    vec![
        style.status(check.status),
        style.strong(&text::clean(&check.name)),
        age,
        said,
    ]
}

fn footer(status: &StatusAnswer, all: &str, style: &Style) -> String {
    let generation = style.dim(&format!("generation {}", text::clean(&status.generation)));
    let mut shown = format!("\n{all}  {generation}\n");
    if status.missed_slots > 0 {
        let missed = text::count(status.missed_slots as usize, "slot");
        shown.push_str(&style.paint(Tone::Warning, &format!("{missed} missed\n")));
    }
    if let Some(store) = &status.store {
        let said = format!("store: {}\n", text::clean(store));
        shown.push_str(&style.paint(Tone::Warning, &said));
    }
    if let Some(complaints) = &status.complaints_text {
        shown.push_str(&style.paint(
            Tone::Bad,
            "\nThe rules on disk were refused; the last good ones keep running:\n",
        ));
        shown.push_str(&lines(complaints));
    } else if !status.complaints.is_empty() {
        let number = text::count(status.complaints.len(), "mistake");
        let said = format!(
            "\nThe rules on disk were refused ({number}); the last good ones keep running.\n"
        );
        shown.push_str(&style.paint(Tone::Bad, &said));
    }
    shown
}

/// Several lines from outside, each cleaned.
pub fn lines(text: &str) -> String {
    text.lines().map(|line| text::clean(line) + "\n").collect()
}

#[cfg(test)]
pub(crate) mod samples {
    use super::*;
    use crate::model::standing::Pause;

    pub fn answer() -> StatusAnswer {
        let now = 1_767_717_000.0;
        let check = |name: &str, status, message: &str, age: f64| StandingAnswer {
            name: name.to_owned(),
            status,
            message: message.to_owned(),
            since: now - age,
            looked: Some(now - 3.0),
            looks: 9,
            held_by: None,
            held_until: None,
            held_why: None,
            opens: None,
            behind: None,
            pause: None,
            attempt: None,
            incident: None,
            acknowledged: None,
        };
        let mut lock = check(
            "cache_lock",
            Status::Critical,
            "Lock is held for 412 s",
            131.0,
        );
        lock.held_by = Some("in_flight".to_owned());
        lock.attempt = Some((14, "verifying".to_owned()));
        let mut fresh = check("zero_trades", Status::Unknown, "not looked at yet", 0.0);
        fresh.looked = None;
        StatusAnswer {
            generation: "0a1b2c3d4e5f".to_owned(),
            now,
            overall: Status::Critical,
            paused: Some(Pause {
                at: Moment::from_seconds(now - 600.0),
                by: "ann".to_owned(),
                reason: "deploy".to_owned(),
                until: None,
            }),
            checks: vec![
                lock,
                check(
                    "weights_file",
                    Status::Ok,
                    "Weights file exists with 21 entries",
                    7_300.0,
                ),
                fresh,
            ],
            complaints: vec![],
            complaints_text: None,
            missed_slots: 2,
            silences: vec![],
            storm: None,
            proposals: vec![],
            store: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watching_shows_the_worst_first_as_far_as_it_fits() {
        let mut answer = samples::answer();
        answer.paused = None;
        insta::assert_snapshot!(watched(&answer, 9, "12:00:00  every 2s", &Style::plain()), @r#"
        CRITICAL  cache_lock    for 2 min 11 s  Lock is held for 412 s  held by in flight  attempt 14 verifying
        UNKNOWN   zero_trades   unseen          not looked at yet
        OK        weights_file  for 2 h 1 min   Weights file exists with 21 entries

        3 checks: 1 OK, 1 CRITICAL, 1 UNKNOWN  generation 0a1b2c3d4e5f
        2 slots missed

        12:00:00  every 2s
        "#);
        let all = watched(&answer, 40, "", &Style::plain());
        assert!(!all.contains("more"), "{all}");
        let none = watched(&answer, 1, "", &Style::plain());
        assert!(none.contains("… and 3 more"), "{none}");
        let bad = chosen(answer.clone(), &[], true);
        assert_eq!(bad.checks.len(), 2);
        let one = chosen(answer, &["weights_file".to_owned()], false);
        assert_eq!(one.checks.len(), 1);
    }

    #[test]
    fn what_goes_on_by_itself_is_no_change() {
        let answer = samples::answer();
        let mut later = answer.clone();
        later.now += 5.0;
        later.checks[0].looked = Some(later.now);
        later.checks[0].looks += 1;
        let told = |answer: &StatusAnswer| without_clocks(serde_json::json!(answer));
        assert_eq!(told(&answer), told(&later));
        later.checks[0].message = "Lock is gone".to_owned();
        assert_ne!(told(&answer), told(&later));
    }

    #[test]
    fn what_is_unusual_stands_out() {
        let mut answer = samples::answer();
        insta::assert_snapshot!(status(&answer, false, &Style::plain()), @r#"
        PAUSED since 16:20:00 (10 min ago): no repair starts (by ann: deploy)

        CRITICAL  cache_lock    for 2 min 11 s  Lock is held for 412 s  held by in flight  attempt 14 verifying
        OK        weights_file  for 2 h 1 min   Weights file exists with 21 entries
        UNKNOWN   zero_trades   unseen          not looked at yet

        3 checks: 1 OK, 1 CRITICAL, 1 UNKNOWN  generation 0a1b2c3d4e5f
        2 slots missed
        "#);
        answer.paused = None;
        answer.checks.clear();
        answer.missed_slots = 0;
        answer.store = Some("a corrupt store was set aside".to_owned());
        answer.complaints_text =
            Some("error[unknown-key]: \u{1b}[31mno\n  critical.yaml:3:3\n".to_owned());
        insta::assert_snapshot!(status(&answer, true, &Style::plain()), @r#"
        No engine is running here: this is what the last one remembered.


        0 checks  generation 0a1b2c3d4e5f
        store: a corrupt store was set aside

        The rules on disk were refused; the last good ones keep running:
        error[unknown-key]: \u{1b}[31mno
          critical.yaml:3:3
        "#);
    }
}
