//! `explain`: the last verdict as a tree, from what decided down to what it saw; then what holds the repair.
//!
//! The engine gives one JSON object:
//! `{check, about, rule: {file, line}, status, message, since, verdict: {status, message, why, let, facts, error, …} |
//! null, thresholds: [{line, name, expression, value, error, parts}] | null, remediation: {held_by, until, attempt,
//! guard, budget, pause, …} | null, behind, baseline: {value, by, at, reason} | null}`, where `status` is the one that counts and `verdict` that of the last look;
//! `thresholds` are [`threshold::Branch`](crate::threshold::Branch)es, `guard`, `budget` and `pause` the model's own.
//! Whatever is absent is not shown.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{Style, Tone, answer::held, text, time};
use crate::{
    guard::{Request, Ruling, decide},
    model::{
        moment::Moment,
        outline::Guard,
        standing::{Budget, Pause},
        status::Status,
    },
};

/// Longest value shown.
const LONG: usize = 72;
/// Longest expression shown.
const LONGEST: usize = 160;
/// So many facts are shown; `--json` has all.
const MOST: usize = 24;

/// A line with what it rests on.
#[derive(Debug, Default)]
struct Branch {
    text: String,
    below: Vec<Branch>,
}

impl Branch {
    fn leaf(text: impl Into<String>) -> Branch {
        Branch::of(text, Vec::new())
    }

    fn of(text: impl Into<String>, below: Vec<Branch>) -> Branch {
        Branch {
            text: text.into(),
            below,
        }
    }
}

pub fn explain(explanation: &Value, now: Moment, style: &Style) -> String {
    let mut shown = head(explanation, now, style);
    let verdict = explanation.get("verdict").unwrap_or(&Value::Null);
    let mut branches: Vec<Branch> = look(explanation, verdict, style).into_iter().collect();
    let mut told = BTreeSet::new();
    branches.extend(reasons(explanation, verdict, &mut told, style));
    branches.extend(untold(verdict, &told, style));
    branches.extend(values(verdict, "facts", style));
    if let Some(opens) = moment(explanation.get("opens")).filter(|_| is_skipped(explanation)) {
        let said = format!("not looked at; opens {}", style.zone.relative(opens, now));
        branches.insert(0, Branch::leaf(said));
    }
    branches.extend(behind(explanation));
    branches.extend(baseline(explanation, now, style));
    branches.extend(remediation(explanation, now, style));
    grow(&branches, "", style, &mut shown);
    shown
}

fn behind(explanation: &Value) -> Option<Branch> {
    let cause = word(explanation, "behind")?;
    Some(Branch::leaf(format!("waits behind {cause}")))
}

/// What a person confirmed.
fn baseline(explanation: &Value, now: Moment, style: &Style) -> Option<Branch> {
    let baseline = explanation.get("baseline").filter(|it| it.is_object())?;
    let value = baseline.get("value").map(ToString::to_string);
    let at = baseline.get("at").and_then(Value::as_i64).map(Moment);
    let at = at.map_or_else(String::new, |at| style.zone.relative(at, now));
    let by = word(baseline, "by").unwrap_or_default();
    let why = word(baseline, "reason").filter(|why| !why.is_empty());
    let why = why.map_or_else(String::new, |why| format!(": {why}"));
    let said = format!("baseline {}", text::clean(&value.unwrap_or_default()));
    let below = vec![Branch::leaf(format!("{by} confirmed it {at}{why}"))];
    Some(Branch::of(said, below))
}

fn grow(branches: &[Branch], stem: &str, style: &Style, shown: &mut String) {
    for (index, branch) in branches.iter().enumerate() {
        let last = index + 1 == branches.len();
        let (fork, on) = if last {
            ("└─ ", "   ")
        } else {
            ("├─ ", "│  ")
        };
        shown.push_str(&style.dim(&format!("{stem}{fork}")));
        shown.push_str(&branch.text);
        shown.push('\n');
        grow(&branch.below, &format!("{stem}{on}"), style, shown);
    }
}

fn head(explanation: &Value, now: Moment, style: &Style) -> String {
    let name = style.strong(&word(explanation, "check").unwrap_or_default());
    let status = status(explanation.get("status"), style);
    let since = moment(explanation.get("since"))
        .map(|since| format!("  since {}", style.zone.relative(since, now)))
        .unwrap_or_default();
    let mut shown = format!("{name}  {status}{}\n", style.dim(&since));
    for line in [
        word(explanation, "message"),
        word(explanation, "about").map(|about| style.dim(&about)),
    ] {
        if let Some(line) = line.filter(|line| !line.is_empty()) {
            shown.push_str(&line);
            shown.push('\n');
        }
    }
    if let Some(rule) = explanation.get("rule").filter(|rule| rule.is_object()) {
        let file = word(rule, "file").unwrap_or_default();
        let line = rule.get("line").and_then(Value::as_u64).unwrap_or(0);
        let place = style.paint(Tone::Place, &format!("{file}:{line}"));
        shown.push_str(&format!("{place}\n"));
    }
    shown
}

fn status(value: Option<&Value>, style: &Style) -> String {
    let word = value.and_then(Value::as_str).unwrap_or_default();
    match Status::from_word(&word.to_lowercase()) {
        Some(status) => style.status(status),
        None => text::clean(word),
    }
}

/// The verdict of the last look, where it is not the one that counts (patience).
fn look(explanation: &Value, verdict: &Value, style: &Style) -> Option<Branch> {
    let seen = verdict.get("status")?;
    if Some(seen) == explanation.get("status") {
        return None;
    }
    let message = word(verdict, "message").unwrap_or_default();
    let last = format!("last look  {}  {message}", status(Some(seen), style));
    Some(Branch::leaf(last))
}

/// The error, then the lines of the threshold in the order in which they are tried.
fn reasons(
    explanation: &Value,
    verdict: &Value,
    told: &mut BTreeSet<String>,
    style: &Style,
) -> Vec<Branch> {
    let mut branches = Vec::new();
    if let Some(error) = word(verdict, "error").filter(|error| !error.is_empty()) {
        branches.push(Branch::leaf(
            style.paint(Tone::Unknown, &format!("error: {error}")),
        ));
    }
    let decided = verdict.pointer("/why/line").and_then(Value::as_str);
    let lines = explanation.get("thresholds").and_then(Value::as_array);
    let lines: Vec<&Value> = lines.into_iter().flatten().collect();
    let is_decided =
        |line: &Value| decided.is_some() && line.get("line").and_then(Value::as_str) == decided;
    if let Some(why) = verdict.get("why").filter(|why| why.is_object())
        && !lines.iter().any(|line| is_decided(line))
    {
        branches.push(expression(why, true, told, style));
    }
    for line in lines {
        branches.push(expression(line, is_decided(line), told, style));
    }
    branches
}

/// One expression or name: what it is, its value, and below it what it saw or rests on. A `let` that was told before
/// (`told`) gives its value only.
fn expression(node: &Value, decided: bool, told: &mut BTreeSet<String>, style: &Style) -> Branch {
    let mut said: Vec<String> = Vec::new();
    if let Some(line) = word(node, "line") {
        said.push(style.paint(tone_of_line(&line, decided), &line));
    }
    let equals = style.dim("=");
    let value = node.get("value").map(|value| text::value(value, LONG));
    let expression = word(node, "expression").map(|expression| text::short(&expression, LONGEST));
    if let (Some(name), Some(_)) = (word(node, "name"), &expression)
        && !told.insert(name.clone())
    {
        let value = value.unwrap_or_else(|| "?".to_owned());
        return Branch::leaf(format!("{name} {equals} {value}  {}", style.dim("(above)")));
    }
    match (word(node, "name"), value, expression) {
        (Some(name), value, expression) => {
            said.push(format!(
                "{name} {equals} {}",
                value.unwrap_or_else(|| "?".to_owned())
            ));
            said.extend(expression.map(|expression| style.dim(&expression)));
        }
        (None, value, expression) => {
            said.extend(expression);
            said.extend(value.map(|value| format!("{equals} {value}")));
        }
    }
    if let Some(error) = word(node, "error") {
        said.push(style.paint(Tone::Unknown, &error));
    }
    let parts = node.get("parts").and_then(Value::as_array);
    let mut below: Vec<Branch> = parts
        .into_iter()
        .flatten()
        .map(|part| self::expression(part, false, told, style))
        .collect();
    if let Some(Value::Object(saw)) = node.get("saw") {
        below.extend(pairs(saw, style));
    }
    Branch::of(said.join("  "), below)
}

fn tone_of_line(line: &str, decided: bool) -> Tone {
    match line {
        _ if !decided => Tone::Dim,
        "critical" => Tone::Bad,
        "warning" => Tone::Warning,
        _ => Tone::Strong,
    }
}

/// The `let` values that stand in no line.
fn untold(verdict: &Value, told: &BTreeSet<String>, style: &Style) -> Option<Branch> {
    let all = verdict.get("let")?.as_object()?;
    let rest: Map<String, Value> = all
        .iter()
        .filter(|(name, _)| !told.contains(name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    (!rest.is_empty()).then(|| Branch::of(style.strong("let"), pairs(&rest, style)))
}

fn values(verdict: &Value, key: &str, style: &Style) -> Option<Branch> {
    let map = verdict.get(key)?.as_object()?;
    (!map.is_empty()).then(|| Branch::of(style.strong(key), pairs(map, style)))
}

fn pairs(map: &Map<String, Value>, style: &Style) -> Vec<Branch> {
    let mut branches: Vec<Branch> = map
        .iter()
        .take(MOST)
        .map(|(name, value)| {
            let value = text::value(value, LONG);
            Branch::leaf(format!("{} {} {value}", text::clean(name), style.dim("=")))
        })
        .collect();
    if map.len() > MOST {
        let more = format!("… {} more (all with --json)", map.len() - MOST);
        branches.push(Branch::leaf(style.dim(&more)));
    }
    branches
}

fn remediation(explanation: &Value, now: Moment, style: &Style) -> Option<Branch> {
    let told = explanation.get("remediation").filter(|it| it.is_object());
    let Some(told) = told else {
        return Some(Branch::leaf(style.dim("no remediation")));
    };
    // None was spent yet.
    let budget: Budget = part(told, "budget").unwrap_or_default();
    let guard: Option<Guard> = part(told, "guard");
    let pause: Option<Pause> = part(told, "pause");
    let mut below = Vec::new();
    if let Some(by) = word(told, "held_by") {
        let until = moment(told.get("until"));
        let why = word(told, "why");
        below.push(Branch::leaf(held(&by, until, why.as_deref(), now, style)));
    }
    let open = told.get("attempt").and_then(Value::as_u64);
    if let Some(attempt) = open {
        let phase = word(told, "phase").unwrap_or_else(|| "open".to_owned());
        let said = format!("attempt {attempt} {phase}");
        below.push(Branch::leaf(style.paint(Tone::Place, &said)));
    }
    below.extend(spent(&budget, guard.as_ref(), now, style));
    // What holds it by other things than its own past is told above, and nobody knows for how long.
    let elsewhere = ["silence", "storm", "dependency", "settling", "approval"];
    let elsewhere = word(told, "held_by").is_some_and(|by| elsewhere.contains(&by.as_str()));
    if let Some(guard) = guard.as_ref().filter(|_| open.is_none() && !elsewhere) {
        let next = next_possible(&budget, guard, pause.as_ref(), now);
        let said = match (next, hours(explanation, told)) {
            (Some(next), Hours::From(at)) => Ok(Some(next.max(at))),
            (Some(_), Hours::Never(why)) => Err(why),
            (next, _) => Ok(next),
        };
        below.push(Branch::leaf(match said {
            Err(why) => format!("no repair starts: {why}"),
            Ok(next) => match next {
                Some(at) if at <= now => "a repair may start now".to_owned(),
                Some(at) => format!(
                    "a repair may start again at {}",
                    style.zone.relative(at, now)
                ),
                None => "no repair may start until a person resumes".to_owned(),
            },
        }));
    }
    if below.is_empty() {
        below.push(Branch::leaf(style.dim("nothing holds it")));
    }
    Some(Branch::of(style.strong("remediation"), below))
}

/// When the calendars of a check let its repairs begin.
enum Hours {
    Always,
    From(Moment),
    /// Nobody can tell when.
    Never(&'static str),
}

fn hours(explanation: &Value, remediation: &Value) -> Hours {
    let (until, why) = if is_skipped(explanation) {
        let opens = moment(explanation.get("opens"));
        (opens, "it is outside its calendar")
    } else if word(remediation, "held_by").as_deref() == Some("quiet") {
        (moment(remediation.get("until")), "it is quiet")
    } else {
        return Hours::Always;
    };
    until.map_or(Hours::Never(why), Hours::From)
}

fn is_skipped(explanation: &Value) -> bool {
    explanation.pointer("/verdict/skipped") == Some(&Value::Bool(true))
}

fn spent(budget: &Budget, guard: Option<&Guard>, now: Moment, style: &Style) -> Vec<Branch> {
    let mut said = Vec::new();
    if let Some(guard) = guard {
        let edge = now.minus(guard.window);
        let inside = budget.begun.iter().filter(|at| **at > edge).count();
        let window = time::span(guard.window);
        said.push(format!("spent {inside} of {} in {window}", guard.limit));
    }
    if budget.rung > 0 {
        said.push(format!("comes to rung {} next", budget.rung + 1));
    }
    if budget.unverified > 0 {
        let number = text::count(budget.unverified as usize, "repair");
        said.push(format!("{number} in a row did not help"));
    }
    if let Some(at) = budget.quarantined {
        said.push(format!(
            "quarantined since {}",
            style.zone.relative(at, now)
        ));
    }
    said.into_iter().map(Branch::leaf).collect()
}

/// When all guards would let a first rung go, as far as they can tell; `None` if only a person can.
fn next_possible(
    budget: &Budget,
    guard: &Guard,
    pause: Option<&Pause>,
    now: Moment,
) -> Option<Moment> {
    let mut at = now;
    // Every guard holds at most once on the way.
    for _ in 0..8 {
        let ruling = decide(Request {
            now: at,
            guard,
            budget,
            pause,
            silence: None,
            storm: None,
            dependency: None,
            stirred: None,
            in_flight: false,
            rung: budget.rung,
            jumped: None,
        });
        match ruling {
            Ruling::Go { .. } => return Some(at),
            Ruling::Held(hold) => at = hold.until.filter(|until| *until > at)?,
        }
    }
    None
}

fn part<T: serde::de::DeserializeOwned>(value: &Value, key: &str) -> Option<T> {
    serde_json::from_value(value.get(key)?.clone()).ok()
}

fn word(value: &Value, key: &str) -> Option<String> {
    value.get(key)?.as_str().map(text::clean)
}

fn moment(value: Option<&Value>) -> Option<Moment> {
    Moment::from_number(value?.as_f64()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: Moment = Moment(1_767_717_000_000);

    fn sample() -> Value {
        let budget = Budget {
            begun: vec![Moment(NOW.0 - 900_000), Moment(NOW.0 - 60_000)],
            rested: Some(Moment(NOW.0 - 60_000)),
            unverified: 1,
            tries: 1,
            tried: Some(Moment(NOW.0 - 60_000)),
            ..Budget::default()
        };
        json!({
            "check": "weights_file",
            "about": "The composite weights exist.",
            "status": "WARNING",
            "message": "Weights file missing",
            "since": NOW.seconds() - 600.0,
            "verdict": {
                "status": "OK",
                "message": "Weights file exists",
                "why": {
                    "line": "warning",
                    "expression": "missing || len == 0",
                    "saw": {"missing": true, "len": 0},
                },
                "let": {"avg": 2, "max": 3},
                "facts": {"exists": false, "doc": null, "records": [1, 2, 3, 4]},
            },
            "thresholds": [
                {"line": "critical", "expression": "exists && !valid", "value": false,
                 "parts": [{"name": "avg", "expression": "scores.mean()", "value": 2, "parts": [{"name": "scores", "value": []}]}, {"name": "valid", "value": false}]},
                {"line": "warning", "expression": "missing || avg < 1", "value": true,
                 "parts": [
                     {"name": "missing", "value": true},
                     {"name": "avg", "expression": "scores.mean()", "error": "`mean` of an empty list",
                      "parts": [{"name": "scores", "value": []}]},
                 ]},
            ],
            "remediation": {
                "held_by": "cooldown",
                "until": NOW.seconds() + 540.0,
                "budget": budget,
                "guard": Guard::default(),
            },
            "rule": {"file": "critical.yaml", "line": 12},
        })
    }

    #[test]
    fn what_calendars_hold_is_told_with_its_end() {
        let tail = |sample: &Value| {
            let shown = explain(sample, NOW, &Style::plain());
            shown.lines().last().unwrap_or_default().to_owned()
        };
        let mut outside = sample();
        outside["verdict"] =
            json!({"status": "OK", "message": "outside nyse.regular", "skipped": true});
        outside["status"] = "OK".into();
        outside["message"] = "outside nyse.regular".into();
        outside["thresholds"] = Value::Null;
        outside["opens"] = (NOW.seconds() + 3600.0).into();
        outside["remediation"]["held_by"] = Value::Null;
        insta::assert_snapshot!(explain(&outside, NOW, &Style::plain()), @r"
        weights_file  OK  since 16:20:00 (10 min ago)
        outside nyse.regular
        The composite weights exist.
        critical.yaml:12
        ├─ not looked at; opens 17:30:00 (in 1 h)
        └─ remediation
           ├─ spent 2 of 3 in 1 h
           ├─ 1 repair in a row did not help
           └─ a repair may start again at 17:30:00 (in 1 h)
        ");
        outside["opens"] = Value::Null;
        assert_eq!(
            tail(&outside),
            "   └─ no repair starts: it is outside its calendar"
        );
        let mut quiet = sample();
        quiet["remediation"]["held_by"] = "quiet".into();
        quiet["remediation"]["until"] = (NOW.seconds() + 7200.0).into();
        assert_eq!(
            tail(&quiet),
            "   └─ a repair may start again at 18:30:00 (in 2 h)"
        );
        quiet["remediation"]["until"] = Value::Null;
        assert_eq!(tail(&quiet), "   └─ no repair starts: it is quiet");
    }

    #[test]
    fn a_verdict_is_a_tree_down_to_what_it_saw() {
        insta::assert_snapshot!(explain(&sample(), NOW, &Style::plain()), @r#"
        weights_file  WARNING  since 16:20:00 (10 min ago)
        Weights file missing
        The composite weights exist.
        critical.yaml:12
        ├─ last look  OK  Weights file exists
        ├─ critical  exists && !valid  = false
        │  ├─ avg = 2  scores.mean()
        │  │  └─ scores = []
        │  └─ valid = false
        ├─ warning  missing || avg < 1  = true
        │  ├─ missing = true
        │  └─ avg = ?  (above)
        ├─ let
        │  └─ max = 3
        ├─ facts
        │  ├─ exists = false
        │  ├─ doc = null
        │  └─ records = [1,2,3,4]
        └─ remediation
           ├─ held by cooldown until 16:39:00 (in 9 min)
           ├─ spent 2 of 3 in 1 h
           ├─ 1 repair in a row did not help
           └─ a repair may start again at 16:39:00 (in 9 min)
        "#);
    }

    #[test]
    fn little_is_enough() {
        let value = json!({"check": "x", "status": "UNKNOWN", "message": "", "verdict": {"status": "UNKNOWN", "error": "no answer within 10s"}});
        insta::assert_snapshot!(explain(&value, NOW, &Style::plain()), @r#"
        x  UNKNOWN
        ├─ error: no answer within 10s
        └─ no remediation
        "#);
    }

    #[test]
    fn the_next_time_passes_every_guard() {
        let guard = Guard::default();
        let next = |budget: &Budget| next_possible(budget, &guard, None, NOW);
        assert_eq!(next(&Budget::default()), Some(NOW));
        let full = Budget {
            begun: vec![NOW, NOW, NOW],
            rested: Some(NOW),
            ..Budget::default()
        };
        assert_eq!(next(&full), Some(NOW.plus(guard.window)));
        let pause = Pause {
            at: NOW,
            by: String::new(),
            reason: String::new(),
            until: None,
        };
        assert_eq!(next_possible(&full, &guard, Some(&pause), NOW), None);
    }
}
