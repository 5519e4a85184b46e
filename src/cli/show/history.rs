//! What happened, newest first, by days.

use std::time::Duration;

use super::{
    Style, Tone,
    answer::{held, one_step, verified_in},
    table::{broken, indented},
    text,
};
use crate::{
    model::{moment::Moment, status::Status},
    web::records::{AttemptAnswer, HistoryAnswer, What},
};

/// Time and a gap.
const TIME: usize = 10;

pub fn history(entries: &[HistoryAnswer], now: Moment, style: &Style) -> String {
    if entries.is_empty() {
        return "Nothing has happened.\n".to_owned();
    }
    let names = entries
        .iter()
        .map(|entry| textwrap::core::display_width(&whose(entry)))
        .max()
        .unwrap_or(0);
    let mut shown = String::new();
    let mut day = String::new();
    for entry in entries {
        let at = Moment::from_seconds(entry.at);
        let today = style.zone.day(at);
        if today != day {
            let gap = if day.is_empty() { "" } else { "\n" };
            shown.push_str(&format!("{gap}{}\n", style.strong(&today)));
            day = today;
        }
        shown.push_str(&line(entry, names, now, style));
    }
    shown
}

fn line(entry: &HistoryAnswer, names: usize, now: Moment, style: &Style) -> String {
    let at = Moment::from_seconds(entry.at);
    let time = style.dim(&style.zone.clock(at));
    let name = whose(entry);
    let pad = " ".repeat(names.saturating_sub(textwrap::core::display_width(&name)));
    let (said, below) = said(entry, at, now, style);
    let said = broken(&said, TIME + names + 2, style);
    let below = indented(&below, TIME + names + 4);
    format!("{time}  {}{pad}  {said}\n{below}", style.strong(&name))
}

fn whose(entry: &HistoryAnswer) -> String {
    let check = entry.check.as_deref();
    check.map_or_else(|| "every check".to_owned(), text::clean)
}

fn said(entry: &HistoryAnswer, at: Moment, now: Moment, style: &Style) -> (String, String) {
    match &entry.what {
        What::Change { from, to, message } => {
            let said = format!("{}  {}", style.change(*from, *to), text::clean(message));
            (said, String::new())
        }
        What::Held { by, until, why } => {
            // Times of long ago are told as they were seen then.
            let until = until.map(Moment::from_seconds);
            let seen = if until.is_some_and(|until| until > now) {
                now
            } else {
                at
            };
            (held(by, until, why.as_deref(), seen, style), String::new())
        }
        What::Note { kind, text, to } => {
            let to = match to.is_empty() {
                true => String::new(),
                false => style.dim(&format!("  (told {})", text::clean(&to.join(", ")))),
            };
            let kind = style.paint(Tone::Warning, &text::clean(kind).replace('_', " "));
            (format!("{kind}  {}{to}", text::clean(text)), String::new())
        }
        What::Attempt(attempt) => {
            let steps = attempt.steps.iter().map(|step| {
                let mut step = step.clone();
                step.diff = None; // `undo` and --json have it
                one_step(&step, style)
            });
            (outcome(attempt, style), steps.collect())
        }
    }
}

fn outcome(attempt: &AttemptAnswer, style: &Style) -> String {
    let after = attempt.after.as_ref().map(|after| after.status);
    let after = match attempt.phase.as_str() {
        "verified" => Some(after.unwrap_or(Status::Ok)),
        _ => after,
    };
    let change = match after {
        Some(after) => style.change(attempt.before.status, after),
        None => style.status(attempt.before.status),
    };
    let took = attempt
        .took_s
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let (tone, word) = match (attempt.phase.as_str(), took) {
        ("verified", Some(took)) => (Tone::Good, format!("repaired, {}", verified_in(took))),
        ("verified", None) => (Tone::Good, "repaired, verified".to_owned()),
        ("failed", _) => (Tone::Bad, "repair failed".to_owned()),
        ("superseded", _) => (
            Tone::Warning,
            "superseded: its ladder was changed".to_owned(),
        ),
        ("interrupted", _) => (Tone::Bad, "interrupted".to_owned()),
        ("withheld", _) => {
            let by = attempt.withheld.as_deref().unwrap_or("a guard");
            (Tone::Warning, format!("held by {}", by.replace('_', " ")))
        }
        (phase, _) => (Tone::Place, text::clean(phase).replace('_', " ")),
    };
    let undone = attempt
        .undone
        .map(|at| style.zone.clock(Moment::from_seconds(at)))
        .map(|at| style.paint(Tone::Warning, &format!("  undone at {at}")))
        .unwrap_or_default();
    let number = style.dim(&format!("  (attempt {})", attempt.id));
    format!("{change}  {}{number}{undone}", style.paint(tone, &word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::show::answer::samples::step,
        model::{attempt::Brief, step::Outcome},
    };

    #[test]
    fn days_stand_above_what_happened_on_them() {
        let now = Moment(1_767_717_000_000);
        let entry = |back: f64, check: &str, what| HistoryAnswer {
            check: Some(check.to_owned()),
            at: now.seconds() - back,
            time: String::new(),
            what,
        };
        let attempt = AttemptAnswer {
            id: 12,
            generation: "0a1b2c3d4e5f".to_owned(),
            rung: 0,
            trial: false,
            phase: "verified".to_owned(),
            before: Brief {
                status: Status::Warning,
                message: "missing".to_owned(),
            },
            after: None,
            steps: vec![step(
                "restore_file",
                "data/uw_weights.json",
                Outcome::Done,
                "restored",
            )],
            took_s: Some(0.2),
            withheld: None,
            undone: Some(now.seconds() - 30.0),
        };
        let entries = [
            entry(60.0, "weights_file", What::Attempt(Box::new(attempt))),
            entry(
                60.0,
                "weights_file",
                What::Change {
                    from: Status::Ok,
                    to: Status::Warning,
                    message: "Weights file missing".to_owned(),
                },
            ),
            entry(
                90_000.0,
                "lock",
                What::Held {
                    by: "in_flight".to_owned(),
                    until: Some(now.seconds() - 89_400.0),
                    why: Some("the repair before has not ended".to_owned()),
                },
            ),
            entry(
                90_001.0,
                "lock",
                What::Note {
                    kind: "rolled_back".to_owned(),
                    text: "2 steps were undone".to_owned(),
                    to: vec!["ops".to_owned()],
                },
            ),
        ];
        insta::assert_snapshot!(history(&entries, now, &Style::plain()), @r#"
        2026-01-06
        16:29:00  weights_file  WARNING → OK  repaired, verified in 0.2 s  (attempt 12)  undone at 16:29:30
                                  ✓ restore_file data/uw_weights.json  restored
        16:29:00  weights_file  OK → WARNING  Weights file missing

        2026-01-05
        15:30:00  lock          held by in flight until 15:40:00 (in 10 min): the repair before has not ended
        15:29:59  lock          rolled back  2 steps were undone  (told ops)
        "#);
        insta::assert_snapshot!(history(&[], now, &Style::plain()), @r#"Nothing has happened."#);
    }
}
