//! What `run` says while it runs: a line for every change of status, repair, hold and reload.

use super::{
    Style, Tone,
    answer::{held, one_step, verified_in},
    complaints::complaints,
    investigation,
    table::{broken, indented},
    text,
};
use crate::{
    engine::{answer::StepAnswer, handle::News, news::took},
    model::{
        attempt::{Attempt, End},
        moment::Moment,
        standing::HeldBy,
        status::Status,
        step::Outcome,
    },
    rules::complaint::{self, Complaint},
};

/// Width of `CRITICAL`.
const WORD: usize = 8;
/// Where the lines below a news line start: time, gap, word, gap.
const INDENT: usize = 8 + 2 + WORD + 2;

/// `names` is the width of the column of names.
pub fn news(news: &News, now: Moment, names: usize, style: &Style) -> String {
    let line = |tone, word: &str, name: &str, said: &str| {
        let time = style.dim(&style.zone.clock(now));
        let word = style.paint(tone, &format!("{word:WORD$}"));
        let name = text::clean(name);
        let pad = names.saturating_sub(textwrap::core::display_width(&name));
        let name = format!("{}{}", style.strong(&name), " ".repeat(pad));
        let indent = INDENT + textwrap::core::display_width(&name) + 2;
        format!("{time}  {word}  {name}  {}\n", broken(said, indent, style))
    };
    let whole = |tone, word: &str, said: &str| {
        let time = style.dim(&style.zone.clock(now));
        let word = style.paint(tone, &format!("{word:WORD$}"));
        format!("{time}  {word}  {}\n", broken(said, INDENT, style))
    };
    match news {
        News::Changed {
            behind: Some(_), ..
        } => String::new(), // the check it waits behind is told
        News::Incident(_) => String::new(), // its checks are told
        News::Changed {
            check,
            from,
            to,
            message,
            holds,
            behind: None,
        } => {
            let message = text::clean(message);
            let holds = match holds {
                0 => String::new(),
                some => format!("; {} behind it", text::count(*some, "check")),
            };
            let said = format!("{message}  {}", style.dim(&format!("(was {from}{holds})")));
            line(Tone::of(*to), &to.to_string(), check, &said)
        }
        News::Acted(attempt) => {
            let said = format!("attempt {}{}", attempt.id, rung(attempt));
            let done = attempt.receipts.iter().map(StepAnswer::of);
            let steps: String = done.map(|step| one_step(&step, style)).collect();
            let head = line(Tone::Place, "repair", &attempt.check, &said);
            format!("{head}{}", indented(&steps, INDENT))
        }
        News::Ended(attempt) => {
            let (tone, word, said) = ended(attempt, style);
            line(tone, word, &attempt.check, &said)
        }
        News::Held { hold, .. } if hold.by == HeldBy::Dependency => String::new(), // likewise
        News::Held { check, hold } => {
            let said = held(hold.by.word(), hold.until, hold.why.as_deref(), now, style);
            line(Tone::Warning, "held", check, &said)
        }
        News::Note {
            check: Some(check),
            text,
        } => line(Tone::Strong, "note", check, &text::clean(text)),
        News::Note { check: None, text } => whole(Tone::Warning, "note", &text::clean(text)),
        News::Silenced(silence) => {
            let whose = match silence.checks.is_empty() {
                true => "every check".to_owned(),
                false => text::clean(&silence.checks.join(", ")),
            };
            let said = format!(
                "{whose}: neither repaired nor told of until {}{}",
                style.zone.relative(silence.until, now),
                because(&silence.by, &silence.reason)
            );
            whole(Tone::Warning, "silence", &said)
        }
        News::Unsilenced(id) => whole(Tone::Good, "silence", &format!("silence {id} was ended")),
        News::Reloaded {
            generation,
            changes,
            warnings,
        } => {
            let warned = match warnings.is_empty() {
                true => String::new(),
                false => format!("  {}", warned(warnings, style)),
            };
            let said = format!("{changes}, generation {generation}{warned}");
            whole(Tone::Good, "reload", &said)
        }
        News::Refused {
            generation,
            complaints: all,
        } => {
            let said = format!(
                "the rules on disk have mistakes ({}): generation {generation} keeps running",
                complaint::summary(all)
            );
            let head = whole(Tone::Bad, "refused", &said);
            format!("{head}{}", indented(&complaints(all, style), 2))
        }
        News::ChecksPaused { checks, pause } => {
            let whose = text::clean(&checks.join(", "));
            match pause {
                Some(pause) => {
                    let until = pause
                        .until
                        .map(|until| format!(" until {}", style.zone.relative(until, now)))
                        .unwrap_or_default();
                    let why = because(&pause.by, &pause.reason);
                    let said = format!("{whose}: no repair starts{until}{why}");
                    whole(Tone::Warning, "paused", &said)
                }
                None => whole(
                    Tone::Good,
                    "resumed",
                    &format!("{whose}: repairs are allowed again"),
                ),
            }
        }
        News::Paused(Some(pause)) => {
            let until = pause
                .until
                .map(|until| format!(" until {}", style.zone.relative(until, now)))
                .unwrap_or_default();
            let said = format!(
                "no repair starts{until}{}",
                because(&pause.by, &pause.reason)
            );
            whole(Tone::Warning, "paused", &said)
        }
        News::Paused(None) => whole(Tone::Good, "resumed", "repairs are allowed again"),
        News::Investigated { name, record } => {
            let head = line(
                Tone::Place,
                "session",
                name,
                &investigation::headline(record, style),
            );
            let checks = investigation::checks(record, style);
            format!("{head}{}", indented(&checks, INDENT))
        }
    }
}

/// ` (by ann: deploy)`.
pub fn because(by: &str, reason: &str) -> String {
    match (text::clean(by), text::clean(reason)) {
        (by, reason) if by.is_empty() && reason.is_empty() => String::new(),
        (by, reason) if reason.is_empty() => format!(" (by {by})"),
        (by, reason) if by.is_empty() => format!(" ({reason})"),
        (by, reason) => format!(" (by {by}: {reason})"),
    }
}

fn rung(attempt: &Attempt) -> String {
    let rungs = attempt.remediation.ladder.len();
    let trial = if attempt.trial {
        ", a single trial"
    } else {
        ""
    };
    match rungs {
        0 | 1 => trial.to_owned(),
        rungs => format!(", rung {} of {rungs}{trial}", attempt.rung + 1),
    }
}

/// How an attempt ended, with its proof.
pub fn ended(attempt: &Attempt, style: &Style) -> (Tone, &'static str, String) {
    let after = attempt.after.as_ref().map(|after| after.status);
    let change = match after {
        Some(after) => style.change(attempt.before.status, after),
        None => style.status(attempt.before.status),
    };
    let number = style.dim(&format!("  (attempt {})", attempt.id));
    let (tone, word, said) = match attempt.end() {
        Some(End::Verified) => {
            let change = style.change(attempt.before.status, after.unwrap_or(Status::Ok));
            let said = format!("{change}  repaired, {}{number}", verified_in(took(attempt)));
            return (Tone::Good, "verified", said);
        }
        Some(End::Failed) if attempt_broke(attempt) => (Tone::Bad, "failed", "a step failed"),
        Some(End::Failed) => (Tone::Bad, "failed", "it did not help"),
        Some(End::Superseded) => (
            Tone::Warning,
            "ended",
            "it did not help, and its ladder was changed meanwhile",
        ),
        Some(End::Interrupted) => (
            Tone::Bad,
            "failed",
            "it was interrupted, and the check is not OK",
        ),
        Some(End::Withheld) => {
            let hold = attempt.withheld.as_ref();
            let by = hold.map_or("a guard", |hold| hold.by.word());
            let why = hold.and_then(|hold| hold.why.as_deref());
            let said = held(by, None, why, attempt.begun, style);
            return (Tone::Warning, "held", format!("{said}{number}"));
        }
        Some(End::Would) => (Tone::Place, "would", "nothing was done"),
        Some(End::Denied) => (Tone::Warning, "denied", "nothing was done"),
        Some(End::Expired) => (
            Tone::Warning,
            "expired",
            "nobody approved it in time; nothing was done",
        ),
        Some(End::Withdrawn) => (
            Tone::Place,
            "ended",
            "what was proposed is no longer needed",
        ),
        None => (Tone::Place, "repair", "is under way"),
    };
    (tone, word, format!("{change}  {said}{number}"))
}

fn attempt_broke(attempt: &Attempt) -> bool {
    attempt
        .receipts
        .iter()
        .any(|receipt| receipt.outcome == Outcome::Failed)
}

/// `3 warnings (homeostat lint)`: warnings keep nothing from running, so they are not drawn here.
pub fn warned(warnings: &[Complaint], style: &Style) -> String {
    let said = format!("{} (see `homeostat lint`)", complaint::summary(warnings));
    style.paint(Tone::Warning, &said)
}

#[cfg(test)]
pub(crate) mod samples {
    use std::{sync::Arc, time::Duration};

    use serde_json::json;

    use super::*;
    use crate::model::{
        attempt::{Brief, Phase},
        outline::{Guard, RemediationOutline, Verify},
        standing::Pause,
        step::Receipt,
    };

    pub const NOON: Moment = Moment(1_767_700_800_000);

    pub fn attempt(end: Option<End>) -> Attempt {
        let after = NOON.plus(Duration::from_millis(200));
        Attempt {
            id: 12,
            check: "weights_file".into(),
            generation: "0a1b2c3d4e5f".into(),
            rung: 0,
            remediation: Arc::new(RemediationOutline {
                when: vec![Status::Warning],
                ladder: vec![
                    vec!["restore_file".to_owned()],
                    vec!["run_command".to_owned()],
                ],
                fingerprint: String::new(),
                verify: Verify {
                    after: Duration::ZERO,
                    within: Duration::from_secs(60),
                    checks: vec![],
                },
                guard: Guard::default(),
                approve: false,
                approve_within: Duration::from_secs(3600),
                rollback: true,
                escalate: vec![],
            }),
            phase: match end {
                Some(end) => Phase::Ended { at: after, end },
                None => Phase::Verifying {
                    until: NOON.plus(Duration::from_secs(60)),
                },
            },
            begun: NOON,
            bad_since: NOON,
            acted: Some(NOON),
            receipts: vec![Receipt {
                kind: "restore_file".to_owned(),
                target: "data/uw_weights.json".to_owned(),
                outcome: Outcome::Done,
                detail: "restored from rules/defaults/uw_weights.json".to_owned(),
                diff: Some(
                    "--- data/uw_weights.json\n+++ data/uw_weights.json\n@@ -0,0 +1 @@\n+{}\n"
                        .to_owned(),
                ),
                undo: Some(json!({"secret": "before-image"})),
            }],
            before: Brief {
                status: Status::Warning,
                message: "Weights file missing".to_owned(),
            },
            after: end.map(|end| Brief {
                status: if end == End::Verified {
                    Status::Ok
                } else {
                    Status::Warning
                },
                message: "as seen after".to_owned(),
            }),
            trial: false,
            round: None,
            withheld: None,
            targets: vec![],
            approved: None,
            opens: None,
        }
    }

    pub fn all() -> Vec<News> {
        let complaint = super::super::complaints::samples::complaint;
        use crate::rules::complaint::Severity;
        vec![
            News::Changed {
                check: "weights_file".into(),
                from: Status::Ok,
                to: Status::Warning,
                message: "Weights file missing".to_owned(),
                behind: None,
                holds: 0,
            },
            News::Acted(Arc::new(attempt(None))),
            News::Ended(Arc::new(attempt(Some(End::Verified)))),
            News::Ended(Arc::new(attempt(Some(End::Failed)))),
            News::Held {
                check: "cache_lock".into(),
                hold: crate::model::standing::Hold::by(crate::model::standing::HeldBy::Cooldown)
                    .until(NOON.plus(Duration::from_secs(540))),
            },
            News::Note {
                check: Some("cache_lock".into()),
                text: "quarantined: 3 repairs in a row did not help".to_owned(),
            },
            News::Reloaded {
                generation: "0a1b2c3d4e5f".to_owned(),
                changes: "+2 ~1 -0 checks".to_owned(),
                warnings: vec![complaint(Severity::Warning, 2, 11)],
            },
            News::Refused {
                generation: "0a1b2c3d4e5f".to_owned(),
                complaints: vec![complaint(Severity::Error, 3, 5)],
            },
            News::Paused(Some(Pause {
                at: NOON,
                by: "ann".to_owned(),
                reason: "deploy".to_owned(),
                until: Some(NOON.plus(Duration::from_secs(7200))),
            })),
            News::Paused(None),
            News::Investigated {
                name: "sre_rca".into(),
                record: investigation::samples::record(),
            },
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::news::json;

    #[test]
    fn a_day_of_news() {
        let shown: String = samples::all()
            .iter()
            .map(|one| news(one, samples::NOON, 12, &Style::plain()))
            .collect();
        insta::assert_snapshot!(shown, @r#"
        12:00:00  WARNING   weights_file  Weights file missing  (was OK)
        12:00:00  repair    weights_file  attempt 12, rung 1 of 2
                            ✓ restore_file data/uw_weights.json  restored from rules/defaults/uw_weights.json
                              --- data/uw_weights.json
                              +++ data/uw_weights.json
                              @@ -0,0 +1 @@
                              +{}
        12:00:00  verified  weights_file  WARNING → OK  repaired, verified in 0.2 s  (attempt 12)
        12:00:00  failed    weights_file  WARNING → WARNING  it did not help  (attempt 12)
        12:00:00  held      cache_lock    held by cooldown until 12:09:00 (in 9 min)
        12:00:00  note      cache_lock    quarantined: 3 repairs in a row did not help
        12:00:00  reload    +2 ~1 -0 checks, generation 0a1b2c3d4e5f  1 warning (see `homeostat lint`)
        12:00:00  refused   the rules on disk have mistakes (1 error): generation 0a1b2c3d4e5f keeps running
          unknown-key

            × there is no key `thershold`
             ╭─[critical.yaml:3:5]
           2 │   - name: weights_file
           3 │     thershold: {}
             ·     ────┬────
             ·         ╰── in weights_file
             ╰────
            help: write `threshold`
        12:00:00  paused    no repair starts until 14:00:00 (in 2 h) (by ann: deploy)
        12:00:00  resumed   repairs are allowed again
        12:00:00  session   sre_rca       CRITICAL before repairs: 3 checks, 2 steps; probable cause entry_thresholds  (mock_signal_failure)
                            OK        composite_weights  21 entries
                            CRITICAL  entry_thresholds   Base 3.5 is above 3.0  set_json: verified
                            WARNING   cache_lock         held for 412 s  remove_file: not proven
        "#);
    }

    #[test]
    fn json_lines_hold_no_before_images() {
        let lines: Vec<String> = samples::all()
            .iter()
            .map(|one| json(one, samples::NOON).to_string())
            .collect();
        assert!(!lines.concat().contains("before-image"));
        insta::assert_snapshot!(lines.join("\n"), @r#"
        {"news":"changed","check":"weights_file","from":"OK","to":"WARNING","message":"Weights file missing","behind":null,"holds":0,"time":"2026-01-06T12:00:00.000Z","now":1767700800.0}
        {"news":"acted","attempt":{"id":12,"check":"weights_file","generation":"0a1b2c3d4e5f","rung":0,"trial":false,"end":null,"withheld":null,"before":{"status":"WARNING","message":"Weights file missing"},"after":null,"steps":[{"kind":"restore_file","target":"data/uw_weights.json","outcome":"done","detail":"restored from rules/defaults/uw_weights.json","diff":"--- data/uw_weights.json\n+++ data/uw_weights.json\n@@ -0,0 +1 @@\n+{}\n"}],"took_s":null},"time":"2026-01-06T12:00:00.000Z","now":1767700800.0}
        {"news":"ended","attempt":{"id":12,"check":"weights_file","generation":"0a1b2c3d4e5f","rung":0,"trial":false,"end":"verified","withheld":null,"before":{"status":"WARNING","message":"Weights file missing"},"after":{"status":"OK","message":"as seen after"},"steps":[{"kind":"restore_file","target":"data/uw_weights.json","outcome":"done","detail":"restored from rules/defaults/uw_weights.json","diff":"--- data/uw_weights.json\n+++ data/uw_weights.json\n@@ -0,0 +1 @@\n+{}\n"}],"took_s":0.2},"time":"2026-01-06T12:00:00.000Z","now":1767700800.0}
        {"news":"ended","attempt":{"id":12,"check":"weights_file","generation":"0a1b2c3d4e5f","rung":0,"trial":false,"end":"failed","withheld":null,"before":{"status":"WARNING","message":"Weights file missing"},"after":{"status":"WARNING","message":"as seen after"},"steps":[{"kind":"restore_file","target":"data/uw_weights.json","outcome":"done","detail":"restored from rules/defaults/uw_weights.json","diff":"--- data/uw_weights.json\n+++ data/uw_weights.json\n@@ -0,0 +1 @@\n+{}\n"}],"took_s":0.2},"time":"2026-01-06T12:00:00.000Z","now":1767700800.0}
        {"news":"held","check":"cache_lock","by":"cooldown","until":1767701340.0,"why":null,"time":"2026-01-06T12:00:00.000Z","now":1767700800.0}
        {"news":"note","check":"cache_lock","text":"quarantined: 3 repairs in a row did not help","time":"2026-01-06T12:00:00.000Z","now":1767700800.0}
        {"news":"reloaded","generation":"0a1b2c3d4e5f","changes":"+2 ~1 -0 checks","warnings":[{"severity":"warning","code":"unknown-key","message":"there is no key `thershold`","help":"write `threshold`","file":"critical.yaml","line":2,"column":11,"rule":"weights_file","excerpt":"  - name: weights_file"}],"time":"2026-01-06T12:00:00.000Z","now":1767700800.0}
        {"news":"refused","generation":"0a1b2c3d4e5f","complaints":[{"severity":"error","code":"unknown-key","message":"there is no key `thershold`","help":"write `threshold`","file":"critical.yaml","line":3,"column":5,"rule":"weights_file","excerpt":"    thershold: {}"}],"time":"2026-01-06T12:00:00.000Z","now":1767700800.0}
        {"news":"paused","paused":true,"by":"ann","reason":"deploy","until":1767708000.0,"time":"2026-01-06T12:00:00.000Z","now":1767700800.0}
        {"news":"paused","paused":false,"by":null,"reason":null,"until":null,"time":"2026-01-06T12:00:00.000Z","now":1767700800.0}
        {"news":"investigated","name":"sre_rca","record":{"timestamp":1767700800.0,"time":"2026-01-06T12:00:00.000Z","trigger":"mock_signal_failure","overall_status":"CRITICAL","checks":[{"check_name":"composite_weights","status":"OK","message":"21 entries","fix_applied":null,"fix_success":false},{"check_name":"entry_thresholds","status":"CRITICAL","message":"Base 3.5 is above 3.0","fix_applied":"set_json","fix_success":true},{"check_name":"cache_lock","status":"WARNING","message":"held for 412 s","fix_applied":"remove_file","fix_success":false}],"fixes_applied":["entry_thresholds: set_json data/thresholds.json (verified)","cache_lock: remove_file data/cache.lock (failed)"],"cause":"entry_thresholds","session":"sre_rca-1767700800000","duration_ms":12.5},"time":"2026-01-06T12:00:00.000Z","now":1767700800.0}
        "#);
    }
}
