//! The shapes of the records that other programs read (design, section 6): the check journal
//! (`logs/critical_health_checks.jsonl`) and the journal of investigations (`state/sre_rca_fixes.jsonl`).
//!
//! They are older than this program, and their readers are not ours: keys keep their names, their kinds and their
//! order; new ones are added at the end. Pure functions from plain values.

use serde_json::{Value, json};

use crate::model::{
    attempt::{Brief, Page},
    moment::Moment,
    notice::Notice,
    status::Status,
};

/// What a line of the check journal says. One is written for every look that is journalled, and one for the end of a
/// repair.
#[derive(Clone, Debug)]
pub struct CheckLine<'a> {
    /// When it was looked.
    pub at: Moment,
    pub name: &'a str,
    /// After any repair.
    pub status: Status,
    pub message: &'a str,
    /// The check has a remediation for this status.
    pub can_auto_fix: bool,
    /// Something was done about it (whether it helped says `verified`).
    pub fix_applied: bool,
    /// What led to the repair, where there was one.
    pub before: Option<&'a Brief>,
    /// Whether the repair is proven: `None` while that is not known, or without a repair.
    pub verified: Option<bool>,
    pub generation: &'a str,
}

/// `{"timestamp", "time", "name", "status", "message", "can_auto_fix", "fix_applied", "before", "verified",
/// "generation"}`; `timestamp` is in epoch seconds, `time` ISO 8601 in UTC.
pub fn check_line(line: &CheckLine<'_>) -> Value {
    json!({
        "timestamp": line.at.seconds(),
        "time": line.at.iso(),
        "name": line.name,
        "status": line.status,
        "message": line.message,
        "can_auto_fix": line.can_auto_fix,
        "fix_applied": line.fix_applied,
        "before": line.before,
        "verified": line.verified,
        "generation": line.generation,
    })
}

/// `{"timestamp", "time", "name", "kind", "message", "to", "generation"}`; `name` is `null` when it is about every check.
pub fn page_line(page: &Page, generation: &str) -> Value {
    json!({
        "timestamp": page.at.seconds(),
        "time": page.at.iso(),
        "name": page.check,
        "kind": page.kind,
        "message": page.text,
        "to": page.to,
        "generation": generation,
    })
}

/// As [`page_line`], with `status`, `incident` and `notice` at its end: `kind` says what there is to tell (`opened`,
/// `resolved` …), `message` all of it.
pub fn notice_line(notice: &Notice, generation: &str) -> Value {
    json!({
        "timestamp": notice.at.seconds(),
        "time": notice.at.iso(),
        "name": notice.check,
        "kind": notice.kind,
        "message": format!("{}\n{}", notice.title, notice.text),
        "to": [notice.notifier],
        "generation": generation,
        "status": notice.status,
        "incident": notice.incident,
        "notice": notice.id,
    })
}

/// What the line of an investigation says.
#[derive(Clone, Debug)]
pub struct SessionLine<'a> {
    /// When it began.
    pub at: Moment,
    /// What started it: the investigation's `cause`, or `manual`.
    pub trigger: &'a str,
    /// In the order in which the investigation names them.
    pub checks: Vec<SessionCheck<'a>>,
    /// The check that is the probable cause, by the name under which the record knows it.
    pub cause: Option<&'a str>,
    /// Names this session in other records.
    pub session: &'a str,
    pub duration_ms: f64,
}

/// One check of an investigation.
#[derive(Clone, Debug)]
pub struct SessionCheck<'a> {
    /// The name under which the record knows it.
    pub name: &'a str,
    /// Before any repair.
    pub status: Status,
    pub message: &'a str,
    pub fix: Option<SessionFix<'a>>,
}

/// What was done about a check.
#[derive(Clone, Debug)]
pub struct SessionFix<'a> {
    /// (kind, target) of the steps that were done, in their order.
    pub steps: Vec<(&'a str, &'a str)>,
    /// Whether looking again proved it; `None` while that is not known.
    pub verified: Option<bool>,
}

/// `{"timestamp", "time", "trigger", "overall_status", "checks", "fixes_applied", "cause", "session", "duration_ms"}`.
/// `overall_status` is the worst status before repairs; a fix is a success only if it is proven.
pub fn session_line(line: &SessionLine<'_>) -> Value {
    let overall = Status::worst(line.checks.iter().map(|check| check.status));
    let checks: Vec<Value> = line.checks.iter().map(session_check).collect();
    let fixes: Vec<String> = line.checks.iter().flat_map(fixes_of).collect();
    json!({
        "timestamp": line.at.seconds(),
        "time": line.at.iso(),
        "trigger": line.trigger,
        "overall_status": overall,
        "checks": checks,
        "fixes_applied": fixes,
        "cause": line.cause,
        "session": line.session,
        "duration_ms": line.duration_ms,
    })
}

fn session_check(check: &SessionCheck<'_>) -> Value {
    let kinds = check.fix.as_ref().map(|fix| {
        let kinds: Vec<&str> = fix.steps.iter().map(|(kind, _)| *kind).collect();
        kinds.join(", ")
    });
    let proven = check.fix.as_ref().and_then(|fix| fix.verified);
    json!({
        "check_name": check.name,
        "status": check.status,
        "message": check.message,
        "fix_applied": kinds,
        "fix_success": proven == Some(true),
        "verified": proven,
    })
}

/// `weights_file: restore_file data/uw_weights.json (verified)`, one for each step.
fn fixes_of(check: &SessionCheck<'_>) -> Vec<String> {
    let Some(fix) = &check.fix else {
        return Vec::new();
    };
    let end = match fix.verified {
        Some(true) => "verified",
        Some(false) => "failed",
        None => "done",
    };
    let line = |(kind, target): &(&str, &str)| format!("{}: {kind} {target} ({end})", check.name);
    fix.steps.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Moment = Moment(1_767_717_000_250);

    #[test]
    fn a_line_of_the_check_journal() {
        let before = Brief {
            status: Status::Warning,
            message: "Weights file missing".to_owned(),
        };
        let repaired = check_line(&CheckLine {
            at: AT,
            name: "weights_file",
            status: Status::Ok,
            message: "Weights file exists with 21 entries",
            can_auto_fix: true,
            fix_applied: true,
            before: Some(&before),
            verified: Some(true),
            generation: "0123456789ab",
        });
        insta::assert_snapshot!(repaired, @r##"{"timestamp":1767717000.25,"time":"2026-01-06T16:30:00.250Z","name":"weights_file","status":"OK","message":"Weights file exists with 21 entries","can_auto_fix":true,"fix_applied":true,"before":{"status":"WARNING","message":"Weights file missing"},"verified":true,"generation":"0123456789ab"}"##);
        let plain = check_line(&CheckLine {
            at: Moment(1_767_717_000_000),
            name: "zero_trades",
            status: Status::Unknown,
            message: "say \"what\"\nand \u{fc}",
            can_auto_fix: false,
            fix_applied: false,
            before: None,
            verified: None,
            generation: "0123456789ab",
        });
        insta::assert_snapshot!(plain, @r##"{"timestamp":1767717000.0,"time":"2026-01-06T16:30:00.000Z","name":"zero_trades","status":"UNKNOWN","message":"say \"what\"\nand ü","can_auto_fix":false,"fix_applied":false,"before":null,"verified":null,"generation":"0123456789ab"}"##);
    }

    /// A line as the monitoring before this one wrote it: what its readers look for must be there, of the same kind.
    #[test]
    fn readers_of_the_old_lines_find_what_they_know() {
        let old: Value = serde_json::from_str(
            r#"{"timestamp": 1767717000.25, "time": "2026-01-06 11:30:00", "name": "weights_file", "status": "OK",
                "message": "Weights file exists with 21 entries", "can_auto_fix": true, "fix_applied": false}"#,
        )
        .unwrap();
        let new = check_line(&CheckLine {
            at: AT,
            name: "weights_file",
            status: Status::Ok,
            message: "Weights file exists with 21 entries",
            can_auto_fix: true,
            fix_applied: false,
            before: None,
            verified: None,
            generation: "0123456789ab",
        });
        same_kinds(&old, &new);
        let old: Value = serde_json::from_str(
            r#"{"timestamp": 1767717000.25, "trigger": "manual", "overall_status": "OK", "checks": [{"check_name": "cache_lock",
                "status": "OK", "message": "No stale locks", "fix_applied": "clear_cache_lock", "fix_success": false}],
                "fixes_applied": ["clear_cache_lock (failed)"], "time": "2026-01-06T16:30:00Z"}"#,
        )
        .unwrap();
        same_kinds(&old, &session_line(&session()));
    }

    fn same_kinds(old: &Value, new: &Value) {
        match (old, new) {
            (Value::Object(old), Value::Object(new)) => {
                for (key, value) in old {
                    same_kinds(value, new.get(key).unwrap_or(&Value::Null));
                }
            }
            (Value::Array(old), Value::Array(new)) => same_kinds(&old[0], &new[0]),
            _ => assert_eq!(
                std::mem::discriminant(old),
                std::mem::discriminant(new),
                "{old} {new}"
            ),
        }
    }

    fn session() -> SessionLine<'static> {
        SessionLine {
            at: AT,
            trigger: "mock_signal_failure",
            checks: vec![
                SessionCheck {
                    name: "composite_weights",
                    status: Status::Critical,
                    message: "Weights file is corrupted",
                    fix: Some(SessionFix {
                        steps: vec![
                            ("restore_file", "data/uw_weights.json"),
                            ("run_command", "/usr/bin/systemctl reload bot"),
                        ],
                        verified: Some(true),
                    }),
                },
                SessionCheck {
                    name: "cache_lock",
                    status: Status::Critical,
                    message: "1 stale lock",
                    fix: Some(SessionFix {
                        steps: vec![("remove_file", "data/uw_flow_cache.json.lock")],
                        verified: None,
                    }),
                },
                SessionCheck {
                    name: "alpaca_latency",
                    status: Status::Unknown,
                    message: "not configured",
                    fix: None,
                },
            ],
            cause: Some("composite_weights"),
            session: "rca-17",
            duration_ms: 41.5,
        }
    }

    #[test]
    fn a_line_of_an_investigation() {
        insta::assert_snapshot!(format!("{:#}", session_line(&session())), @r#"
        {
          "timestamp": 1767717000.25,
          "time": "2026-01-06T16:30:00.250Z",
          "trigger": "mock_signal_failure",
          "overall_status": "CRITICAL",
          "checks": [
            {
              "check_name": "composite_weights",
              "status": "CRITICAL",
              "message": "Weights file is corrupted",
              "fix_applied": "restore_file, run_command",
              "fix_success": true,
              "verified": true
            },
            {
              "check_name": "cache_lock",
              "status": "CRITICAL",
              "message": "1 stale lock",
              "fix_applied": "remove_file",
              "fix_success": false,
              "verified": null
            },
            {
              "check_name": "alpaca_latency",
              "status": "UNKNOWN",
              "message": "not configured",
              "fix_applied": null,
              "fix_success": false,
              "verified": null
            }
          ],
          "fixes_applied": [
            "composite_weights: restore_file data/uw_weights.json (verified)",
            "composite_weights: run_command /usr/bin/systemctl reload bot (verified)",
            "cache_lock: remove_file data/uw_flow_cache.json.lock (done)"
          ],
          "cause": "composite_weights",
          "session": "rca-17",
          "duration_ms": 41.5
        }
        "#);
    }

    #[test]
    fn what_did_not_help_is_no_success() {
        let mut session = session();
        session.checks[0].fix.as_mut().unwrap().verified = Some(false);
        let line = session_line(&session);
        assert_eq!(line["checks"][0]["fix_success"], false);
        assert_eq!(
            line["fixes_applied"][0],
            "composite_weights: restore_file data/uw_weights.json (failed)"
        );
        session.checks.clear();
        let line = session_line(&session);
        assert_eq!(
            (&line["overall_status"], &line["checks"]),
            (&json!("OK"), &json!([]))
        );
    }
}
