//! The record of an investigation, as it stands in its journal.

use serde_json::Value;

use super::{Style, Tone, table::table, text};
use crate::model::status::Status;

/// What it found, in one line.
pub fn headline(record: &Value, style: &Style) -> String {
    let status = status_of(record.get("overall_status"))
        .map(|status| style.status(status))
        .unwrap_or_else(|| style.dim("no status"));
    let looked = list(record, "checks").len();
    let fixes = list(record, "fixes_applied").len();
    let word = |key: &str| record.get(key).and_then(Value::as_str).map(text::clean);
    let cause = word("cause")
        .map(|cause| format!("; probable cause {}", style.strong(&cause)))
        .unwrap_or_default();
    let trigger = word("trigger")
        .map(|trigger| style.dim(&format!("  ({trigger})")))
        .unwrap_or_default();
    format!(
        "{status} before repairs: {}, {}{cause}{trigger}",
        text::count(looked, "check"),
        text::count(fixes, "step"),
    )
}

/// A line for each check of the session.
pub fn checks(record: &Value, style: &Style) -> String {
    let rows: Vec<Vec<String>> = list(record, "checks")
        .iter()
        .map(|check| row(check, style))
        .collect();
    table(&rows, &[], style)
}

fn row(check: &Value, style: &Style) -> Vec<String> {
    let word = |key: &str| check.get(key).and_then(Value::as_str).unwrap_or_default();
    let status = match status_of(check.get("status")) {
        Some(status) => style.status(status),
        None => text::clean(word("status")),
    };
    let success = check.get("fix_success").and_then(Value::as_bool);
    let fix = match (check.get("fix_applied").and_then(Value::as_str), success) {
        (None, _) => String::new(),
        (Some(kinds), Some(true)) => {
            style.paint(Tone::Good, &format!("  {}: verified", text::clean(kinds)))
        }
        (Some(kinds), _) => {
            style.paint(Tone::Bad, &format!("  {}: not proven", text::clean(kinds)))
        }
    };
    vec![
        status,
        style.strong(&text::clean(word("check_name"))),
        format!("{}{fix}", text::clean(word("message"))),
    ]
}

/// What is still bad after the repairs of a session.
pub fn left(record: &Value) -> Status {
    let left = list(record, "checks").iter().map(|check| {
        let mended = check.get("fix_success").and_then(Value::as_bool) == Some(true);
        match status_of(check.get("status")) {
            _ if mended => Status::Ok,
            Some(status) => status,
            None => Status::Unknown,
        }
    });
    Status::worst(left)
}

fn status_of(value: Option<&Value>) -> Option<Status> {
    let word = value?.as_str()?.to_lowercase();
    Status::from_word(&word)
}

fn list<'a>(record: &'a Value, key: &str) -> &'a [Value] {
    record
        .get(key)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

#[cfg(test)]
pub(crate) mod samples {
    use serde_json::{Value, json};

    pub fn record() -> Value {
        json!({
            "timestamp": 1_767_700_800.0, "time": "2026-01-06T12:00:00.000Z",
            "trigger": "mock_signal_failure", "overall_status": "CRITICAL",
            "checks": [
                {"check_name": "composite_weights", "status": "OK", "message": "21 entries",
                 "fix_applied": null, "fix_success": false},
                {"check_name": "entry_thresholds", "status": "CRITICAL", "message": "Base 3.5 is above 3.0",
                 "fix_applied": "set_json", "fix_success": true},
                {"check_name": "cache_lock", "status": "WARNING", "message": "held for 412 s",
                 "fix_applied": "remove_file", "fix_success": false},
            ],
            "fixes_applied": [
                "entry_thresholds: set_json data/thresholds.json (verified)",
                "cache_lock: remove_file data/cache.lock (failed)",
            ],
            "cause": "entry_thresholds", "session": "sre_rca-1767700800000", "duration_ms": 12.5,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_shows_what_it_found_and_what_it_mended() {
        let record = samples::record();
        let style = Style::plain();
        let shown = format!("{}\n{}", headline(&record, &style), checks(&record, &style));
        insta::assert_snapshot!(shown, @r#"
        CRITICAL before repairs: 3 checks, 2 steps; probable cause entry_thresholds  (mock_signal_failure)
        OK        composite_weights  21 entries
        CRITICAL  entry_thresholds   Base 3.5 is above 3.0  set_json: verified
        WARNING   cache_lock         held for 412 s  remove_file: not proven
        "#);
        assert_eq!(left(&record), Status::Warning);
        assert_eq!(left(&Value::Null), Status::Ok);
    }
}
