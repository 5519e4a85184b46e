//! What `check` and `dry-run` say: a line for each check, its repair with the proof below it, a summary last.

use std::collections::BTreeMap;

use super::{
    Style, Tone, diff,
    table::{indented, table},
    text, time,
};
use crate::{
    engine::answer::{Answer, CheckAnswer, Decided, NoticeAnswer, RemediationAnswer, StepAnswer},
    model::{moment::Moment, status::Status, step::Outcome},
};

/// Where what belongs to a check is indented to.
const INDENT: usize = 10;

pub fn answer(answer: &Answer, style: &Style) -> String {
    let mut shown = String::new();
    let name_width = answer
        .checks
        .iter()
        .map(|check| textwrap::core::display_width(&check.name))
        .max()
        .unwrap_or(0);
    for check in &answer.checks {
        shown.push_str(&line(check, name_width, style));
        let below = below(check, Moment::from_seconds(answer.now), style);
        shown.push_str(&indented(&below, INDENT));
    }
    if !answer.checks.is_empty() {
        shown.push('\n');
    }
    shown.push_str(&summary(answer, style));
    shown
}

fn line(check: &CheckAnswer, name_width: usize, style: &Style) -> String {
    let status = format!("{:8}", check.status);
    let status = if check.skipped {
        style.dim(&format!("{:8}", "skipped"))
    } else {
        style.paint(Tone::of(check.status), &status)
    };
    let name = text::clean(&check.name);
    let pad = name_width.saturating_sub(textwrap::core::display_width(&name));
    let name = format!("{}{}", style.strong(&name), " ".repeat(pad));
    let mut said = text::clean(&check.message);
    if let Some(cause) = check.behind.as_deref().filter(|_| !check.skipped) {
        said.push_str(&style.dim(&format!("  behind {}", text::clean(cause))));
    }
    table(&[vec![status, name, said]], &[], style)
}

fn below(check: &CheckAnswer, now: Moment, style: &Style) -> String {
    let mut lines = String::new();
    if let Some(error) = &check.error
        && *error != check.message
    {
        lines.push_str(&style.paint(Tone::Unknown, &format!("error: {}", text::clean(error))));
        lines.push('\n');
    }
    if let Some(said) = outcome(check, now, style) {
        lines.push_str(&said);
        lines.push('\n');
    }
    for step in &check.remediation.steps {
        lines.push_str(&indented(&one_step(step, style), 2));
    }
    lines.push_str(&told(&check.notices, style));
    lines
}

/// `tells ops by webhook (hooks.example.net:443) after 30s, if it still stands`.
fn told(notices: &[NoticeAnswer], style: &Style) -> String {
    let mut by: BTreeMap<(&str, &str), Vec<String>> = BTreeMap::new();
    for notice in notices {
        let way = format!("{} ({})", notice.channel, text::clean(&notice.whom));
        by.entry((&notice.notifier, &notice.when))
            .or_default()
            .push(way);
    }
    let line = |((notifier, when), ways): (&(&str, &str), &Vec<String>)| {
        let said = format!(
            "tells {} by {}: {}",
            text::clean(notifier),
            ways.join(", "),
            text::clean(when)
        );
        format!("{}\n", style.dim(&said))
    };
    by.iter().map(line).collect()
}

/// What became of the repair, with its proof.
fn outcome(check: &CheckAnswer, now: Moment, style: &Style) -> Option<String> {
    let repair = &check.remediation;
    let change = check
        .before
        .as_ref()
        .map(|before| format!("{}  ", style.change(before.status, check.status)))
        .unwrap_or_default();
    let number = repair
        .attempt
        .map(|attempt| style.dim(&format!("  (attempt {attempt})")))
        .unwrap_or_default();
    match repair.decision {
        Decided::None => None,
        Decided::Repaired | Decided::Failed => {
            Some(format!("{change}{}{number}", became(repair, style)))
        }
        Decided::Would => Some(style.paint(Tone::Place, "would be repaired:")),
        Decided::Held => Some(held(
            repair.held_by.as_deref().unwrap_or("a guard"),
            repair.held_until.map(Moment::from_seconds),
            repair.held_why.as_deref(),
            now,
            style,
        )),
    }
}

fn became(repair: &RemediationAnswer, style: &Style) -> String {
    match (repair.decision, repair.verified) {
        (Decided::Repaired, Some(true)) => {
            let took = repair.took_s.map(std::time::Duration::try_from_secs_f64);
            let verified = match took {
                Some(Ok(took)) => verified_in(took),
                _ => "verified".to_owned(),
            };
            style.paint(Tone::Good, &format!("repaired, {verified}"))
        }
        (Decided::Repaired, _) => style.paint(
            Tone::Warning,
            "repaired, not verified yet: the attempt stays open",
        ),
        (_, Some(false)) => style.paint(Tone::Bad, "repair failed: it did not help"),
        _ => style.paint(Tone::Bad, "repair failed"),
    }
}

/// `held by cooldown until 16:40:00 (in 10 min): why`.
pub fn held(
    by: &str,
    until: Option<Moment>,
    why: Option<&str>,
    now: Moment,
    style: &Style,
) -> String {
    let said = match by {
        "look_only" => "not repaired: asked only to look".to_owned(),
        "no_target" => "not repaired: its steps found nothing to do".to_owned(),
        by => format!("held by {}", text::clean(by).replace('_', " ")),
    };
    let until = until
        .map(|until| format!(" until {}", style.zone.relative(until, now)))
        .unwrap_or_default();
    let why = why
        .map(|why| format!(": {}", text::clean(why)))
        .unwrap_or_default();
    style.paint(Tone::Warning, &format!("{said}{until}{why}"))
}

/// A step with its outcome, and the difference it made.
pub fn one_step(step: &StepAnswer, style: &Style) -> String {
    let (mark, tone) = match step.outcome {
        Outcome::Done => ("✓", Tone::Good),
        Outcome::Failed => ("✗", Tone::Bad),
        Outcome::Would => ("○", Tone::Place),
    };
    let detail = match text::clean(&step.detail) {
        detail if detail.is_empty() => String::new(),
        detail => format!("  {}", style.dim(&detail)),
    };
    let mut shown = format!(
        "{} {} {}{detail}\n",
        style.paint(tone, mark),
        step.kind,
        text::clean(&step.target)
    );
    if let Some(difference) = &step.diff {
        shown.push_str(&indented(&diff::diff(difference, style), 2));
    }
    shown
}

/// `7 checks: 6 OK, 1 WARNING; 1 repair verified`.
pub fn summary(answer: &Answer, style: &Style) -> String {
    let counts = counts(answer.checks.iter().map(|check| check.status), style);
    let repairs = repairs(&answer.checks);
    let repairs = match repairs.is_empty() {
        true => String::new(),
        false => format!("; {}", repairs.join(", ")),
    };
    let generation = style.dim(&format!("generation {}", text::clean(&answer.generation)));
    format!("{counts}{repairs}  {generation}\n")
}

/// `7 checks: 6 OK, 1 WARNING`.
pub fn counts(statuses: impl Iterator<Item = Status>, style: &Style) -> String {
    let statuses: Vec<Status> = statuses.collect();
    let parts: Vec<String> = Status::ALL
        .into_iter()
        .filter_map(|status| {
            let number = statuses.iter().filter(|seen| **seen == status).count();
            (number > 0).then(|| style.paint(Tone::of(status), &format!("{number} {status}")))
        })
        .collect();
    let total = style.strong(&text::count(statuses.len(), "check"));
    match parts.is_empty() {
        true => total,
        false => format!("{total}: {}", parts.join(", ")),
    }
}

fn repairs(checks: &[CheckAnswer]) -> Vec<String> {
    let number = |wanted: &dyn Fn(&RemediationAnswer) -> bool| {
        let found = checks.iter().filter(|check| wanted(&check.remediation));
        found.count()
    };
    let is = |decided| move |repair: &RemediationAnswer| repair.decision == decided;
    let is_held = |repair: &RemediationAnswer| {
        let by = repair.held_by.as_deref();
        repair.decision == Decided::Held && !matches!(by, Some("look_only" | "no_target"))
    };
    let verified =
        number(&|repair| repair.decision == Decided::Repaired && repair.verified == Some(true));
    let open = number(&is(Decided::Repaired)) - verified;
    [
        (verified, "repair", "verified"),
        (open, "repair", "not verified yet"),
        (number(&is(Decided::Failed)), "repair", "failed"),
        (number(&is_held), "repair", "held"),
        (
            number(&is(Decided::Would)),
            "repair",
            "would be tried, nothing was changed",
        ),
    ]
    .into_iter()
    .filter(|(number, _, _)| *number > 0)
    .map(|(number, word, what)| format!("{} {what}", text::count(number, word)))
    .collect()
}

/// `verified in 0.2 s`.
pub fn verified_in(span: std::time::Duration) -> String {
    format!("verified in {}", time::span(span))
}

#[cfg(test)]
pub(crate) mod samples {
    use serde_json::{Map, json};

    use super::*;
    use crate::model::{attempt::Brief, facts::Facts};

    pub const DIFF: &str = "--- data/thresholds.json\n+++ data/thresholds.json\n@@ -1,3 +1,3 @@\n {\n-  \"base\": 3.5\n+  \"base\": 2.7\n }\n";

    pub fn check(name: &str, status: Status, message: &str) -> CheckAnswer {
        CheckAnswer {
            name: name.to_owned(),
            status,
            message: message.to_owned(),
            behind: None,
            skipped: false,
            no_data: false,
            facts: Facts::new().with("exists", true),
            lets: Map::new(),
            error: None,
            duration_ms: 0.4,
            before: None,
            remediation: RemediationAnswer::default(),
            notices: Vec::new(),
        }
    }

    pub fn step(kind: &str, target: &str, outcome: Outcome, detail: &str) -> StepAnswer {
        StepAnswer {
            kind: kind.to_owned(),
            target: target.to_owned(),
            outcome,
            detail: detail.to_owned(),
            diff: None,
        }
    }

    pub fn of(checks: Vec<CheckAnswer>) -> Answer {
        Answer {
            generation: "0a1b2c3d4e5f".to_owned(),
            now: 1_767_717_000.0,
            overall: Status::worst(checks.iter().map(|check| check.status)),
            checks,
        }
    }

    /// One check of every kind of outcome.
    pub fn round() -> Answer {
        let mut skipped = check("alpaca_latency", Status::Ok, "outside nyse.regular");
        skipped.skipped = true;
        let mut repaired = check(
            "weights_file",
            Status::Ok,
            "Weights file exists with 21 entries",
        );
        repaired.before = Some(Brief {
            status: Status::Warning,
            message: "Weights file missing".to_owned(),
        });
        repaired.remediation = RemediationAnswer {
            decision: Decided::Repaired,
            verified: Some(true),
            attempt: Some(12),
            took_s: Some(0.2),
            steps: vec![step(
                "restore_file",
                "data/uw_weights.json",
                Outcome::Done,
                "restored from rules/defaults/uw_weights.json",
            )],
            ..RemediationAnswer::default()
        };
        let mut held = check("cache_lock", Status::Critical, "Lock is held for 412 s");
        held.remediation = RemediationAnswer {
            decision: Decided::Held,
            held_by: Some("cooldown".to_owned()),
            held_until: Some(1_767_717_540.0),
            ..RemediationAnswer::default()
        };
        let mut failed = check(
            "zero_trades",
            Status::Critical,
            "8 of 10 cycles without orders",
        );
        failed.before = Some(Brief {
            status: Status::Critical,
            message: "8 of 10 cycles without orders".to_owned(),
        });
        failed.remediation = RemediationAnswer {
            decision: Decided::Failed,
            verified: Some(false),
            attempt: Some(13),
            steps: vec![step(
                "run_command",
                "/usr/bin/systemctl restart trading-bot",
                Outcome::Failed,
                "exit code 5: Unit trading-bot.service not found.\n",
            )],
            ..RemediationAnswer::default()
        };
        let mut unknown = check("parser", Status::Unknown, "the look failed");
        unknown.error = Some("property `score` is absent".to_owned());
        unknown.facts = Facts::from_json(json!({"count": 3})).unwrap_or_default();
        of(vec![
            skipped,
            held,
            check(
                "entry_thresholds",
                Status::Ok,
                "base 2.7, canary 2.9, champion 3.2",
            ),
            unknown,
            repaired,
            failed,
        ])
    }

    pub fn wish() -> Answer {
        let mut would = check(
            "entry_thresholds",
            Status::Critical,
            "Base threshold 3.5 is above 3.0",
        );
        would.remediation.decision = Decided::Would;
        would.remediation.steps = vec![StepAnswer {
            diff: Some(DIFF.to_owned()),
            ..step(
                "set_json",
                "data/thresholds.json",
                Outcome::Would,
                "would change 1 key",
            )
        }];
        of(vec![
            would,
            check(
                "weights_file",
                Status::Ok,
                "Weights file exists with 21 entries",
            ),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::show::style::visible;

    #[test]
    fn a_round_shows_every_repair_with_its_proof() {
        insta::assert_snapshot!(answer(&samples::round(), &Style::plain()), @r#"
        skipped   alpaca_latency    outside nyse.regular
        CRITICAL  cache_lock        Lock is held for 412 s
                  held by cooldown until 16:39:00 (in 9 min)
        OK        entry_thresholds  base 2.7, canary 2.9, champion 3.2
        UNKNOWN   parser            the look failed
                  error: property `score` is absent
        OK        weights_file      Weights file exists with 21 entries
                  WARNING → OK  repaired, verified in 0.2 s  (attempt 12)
                    ✓ restore_file data/uw_weights.json  restored from rules/defaults/uw_weights.json
        CRITICAL  zero_trades       8 of 10 cycles without orders
                  CRITICAL → CRITICAL  repair failed: it did not help  (attempt 13)
                    ✗ run_command /usr/bin/systemctl restart trading-bot  exit code 5: Unit trading-bot.service not found.

        6 checks: 3 OK, 2 CRITICAL, 1 UNKNOWN; 1 repair verified, 1 repair failed, 1 repair held  generation 0a1b2c3d4e5f
        "#);
    }

    #[test]
    fn a_dry_run_shows_the_difference() {
        insta::assert_snapshot!(answer(&samples::wish(), &Style::plain()), @r#"
        CRITICAL  entry_thresholds  Base threshold 3.5 is above 3.0
                  would be repaired:
                    ○ set_json data/thresholds.json  would change 1 key
                      --- data/thresholds.json
                      +++ data/thresholds.json
                      @@ -1,3 +1,3 @@
                       {
                      -  "base": 3.5
                      +  "base": 2.7
                       }
        OK        weights_file      Weights file exists with 21 entries

        2 checks: 1 OK, 1 CRITICAL; 1 repair would be tried, nothing was changed  generation 0a1b2c3d4e5f
        "#);
    }

    #[test]
    fn colours_say_how_bad_it_is() {
        let style = Style {
            colour: true,
            ..Style::plain()
        };
        insta::assert_snapshot!(visible(&answer(&samples::wish(), &style)), @r#"
        ␛[31;1mCRITICAL␛[0m  ␛[1mentry_thresholds␛[0m  Base threshold 3.5 is above 3.0
                  ␛[36mwould be repaired:␛[0m
                    ␛[36m○␛[0m set_json data/thresholds.json  ␛[2mwould change 1 key␛[0m
                      ␛[1m--- data/thresholds.json␛[0m
                      ␛[1m+++ data/thresholds.json␛[0m
                      ␛[36m@@ -1,3 +1,3 @@␛[0m
                       {
                      ␛[31;1m-  "base": 3.5␛[0m
                      ␛[32m+  "base": 2.7␛[0m
                       }
        ␛[32mOK      ␛[0m  ␛[1mweights_file␛[0m      Weights file exists with 21 entries

        ␛[1m2 checks␛[0m: ␛[32m1 OK␛[0m, ␛[31;1m1 CRITICAL␛[0m; 1 repair would be tried, nothing was changed  ␛[2mgeneration 0a1b2c3d4e5f␛[0m
        "#);
    }

    #[test]
    fn a_narrow_terminal_breaks_messages_below_themselves() {
        let style = Style {
            width: 60,
            ..Style::plain()
        };
        insta::assert_snapshot!(answer(&samples::round(), &style), @r#"
        skipped   alpaca_latency    outside nyse.regular
        CRITICAL  cache_lock        Lock is held for 412 s
                  held by cooldown until 16:39:00 (in 9 min)
        OK        entry_thresholds  base 2.7, canary 2.9, champion
                                    3.2
        UNKNOWN   parser            the look failed
                  error: property `score` is absent
        OK        weights_file      Weights file exists with 21
                                    entries
                  WARNING → OK  repaired, verified in 0.2 s  (attempt 12)
                    ✓ restore_file data/uw_weights.json  restored from rules/defaults/uw_weights.json
        CRITICAL  zero_trades       8 of 10 cycles without orders
                  CRITICAL → CRITICAL  repair failed: it did not help  (attempt 13)
                    ✗ run_command /usr/bin/systemctl restart trading-bot  exit code 5: Unit trading-bot.service not found.

        6 checks: 3 OK, 2 CRITICAL, 1 UNKNOWN; 1 repair verified, 1 repair failed, 1 repair held  generation 0a1b2c3d4e5f
        "#);
    }

    #[test]
    fn nothing_to_look_at_is_said() {
        insta::assert_snapshot!(answer(&samples::of(vec![]), &Style::plain()), @r#"0 checks  generation 0a1b2c3d4e5f"#);
    }
}
