//! `jsonl`: the end of a JSON-lines log.
//!
//! How the window is found stands in [`super::search`]; a running engine keeps windows in [`super::Tails`].

use std::{borrow::Cow, sync::Arc};

use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Eyes, Kind, Look, Probe, ProbeError, Workshop,
    path::{Filled, age},
    search::{Filter, Search, Trouble},
    tails::Key,
    window::{self, Seen},
};
use crate::{
    model::{
        facts::Facts,
        node::{Node, decode},
        span::Span,
        text::{Mistake, Text},
    },
    permission::{Opened, settings::Size},
    script::{Expr, Scope},
};

pub static KIND: Kind = Kind {
    name: "jsonl",
    about: "the end of a JSON-lines log",
    example: r#"probe: { jsonl: { file: logs/run.jsonl, where: 'r.get("msg", "") == "complete"', since: 1h, last: 10 } }"#,
    facts: &[
        ("exists", "boolean", "it is there"),
        ("missing", "boolean", "not `exists`"),
        ("records", "list", "the records of the window, oldest first"),
        ("count", "number", "of `records`"),
        (
            "skipped",
            "number",
            "lines of the window that are no record, one each",
        ),
        ("age_s", "seconds or ()", "since it was last written"),
        (
            "record_age_s",
            "seconds or ()",
            "since the latest time of a record, by `time`",
        ),
    ],
    schema: Rule::json_schema,
    build,
};

/// Keys that hold a record's time unless the rule names one: the first of them with a readable time.
const TIME: [&str; 4] = ["ts", "_ts", "timestamp", "time"];
const MAX_SCAN: Size = Size(64 << 20);
const MOST_LAST: usize = 100_000;
/// How often a file is opened that becomes another while it is read.
const TRIES: usize = 3;

/// The end of a JSON-lines log: `where`, then `since`, then `last`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Rule {
    file: Text,
    /// Picks records; `r` is the record.
    #[serde(rename = "where")]
    filter: Option<Text>,
    /// Only records whose time is at most that long ago.
    since: Option<Span>,
    /// The key of a record's time: epoch seconds or milliseconds, or ISO 8601 with zone. By default the first of `ts`,
    /// `_ts`, `timestamp`, `time` that holds one.
    time: Option<String>,
    /// At most so many records, the last ones.
    last: Option<usize>,
    /// How far back the window is looked for; not found within it is an error of the probe. By default 64 MiB.
    max_scan: Option<Size>,
}

struct JsonlProbe {
    file: Filled,
    filter: Option<Expr>,
    /// Which kept window is continued; with an empty path if that has templates.
    key: Key,
    /// What `where` says of a record may change with time, so every look must judge anew.
    judged_by_time: bool,
}

fn build(node: &Node, workshop: &mut Workshop<'_>) -> Option<Arc<dyn Probe>> {
    let rule: Rule = decode(node, workshop.mistakes)?;
    if let Some(last) = rule.last.filter(|last| !(1..=MOST_LAST).contains(last)) {
        let place = node.get("last").map_or(&node.place, |last| &last.place);
        let wrong = format!("`last: {last}`: from 1 to {MOST_LAST}");
        workshop
            .mistakes
            .push(Mistake::new("bad-value", wrong, place.clone()));
    }
    let file = Filled::path(&rule.file, workshop);
    let known = workshop.known.clone().with("r", None);
    let filter = match &rule.filter {
        Some(text) => Some(Expr::compile(
            workshop.engine,
            text,
            &known,
            workshop.mistakes,
        )?),
        None => None,
    };
    if rule
        .last
        .is_some_and(|last| !(1..=MOST_LAST).contains(&last))
    {
        return None;
    }
    let file = file?;
    let wanted = Wanted {
        since: rule.since,
        time: rule.time,
        last: rule.last,
    };
    let path = file.plain().unwrap_or_default();
    let max_scan = rule.max_scan.unwrap_or(MAX_SCAN);
    let key = key(path, rule.filter.as_ref(), wanted, max_scan);
    Some(Arc::new(JsonlProbe {
        judged_by_time: key.filter.as_deref().is_some_and(asks_for_time),
        file,
        filter,
        key,
    }))
}

/// Whether an expression may read `now` or call `age(…)`.
fn asks_for_time(expression: &str) -> bool {
    expression
        .split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .any(|word| word == "now" || word == "age")
}

impl Probe for JsonlProbe {
    fn observe<'a>(&'a self, eyes: &'a Eyes) -> BoxFuture<'a, Result<Facts, ProbeError>> {
        Box::pin(async { self.look(eyes) })
    }

    fn quick(&self) -> Option<&dyn Look> {
        Some(self)
    }

    fn shape(&self) -> Facts {
        Facts::new()
            .with("exists", true)
            .with("missing", false)
            .with("records", json!([Value::Null]))
            .with("count", 1)
            .with("skipped", 0)
            .with("age_s", 12.5)
            .with("record_age_s", 12.5)
    }

    fn files(&self) -> Vec<String> {
        self.file.plain().map(str::to_owned).into_iter().collect()
    }
}

impl Look for JsonlProbe {
    fn look(&self, eyes: &Eyes) -> Result<Facts, ProbeError> {
        let path = self.file.at(eyes)?;
        let key = match self.file.plain() {
            Some(_) => Cow::Borrowed(&self.key),
            None => Cow::Owned(Key {
                path: path.clone().into_owned(),
                ..self.key.clone()
            }),
        };
        let mut tries = 1;
        loop {
            let Some(opened) = eyes.permission.read(&path)? else {
                return Ok(missing());
            };
            match self.window(&key, &opened, eyes) {
                Err(Trouble::Changed) if tries < TRIES => tries += 1,
                Err(trouble) => {
                    let ProbeError(why) = trouble.into();
                    return Err(ProbeError(format!("{path}: {why}")));
                }
                Ok(seen) => return Ok(facts(&seen, &opened, eyes)),
            }
        }
    }
}

/// The window of a log that a script asks for.
#[derive(Default)]
pub(super) struct Wanted {
    pub since: Option<Span>,
    pub time: Option<String>,
    pub last: Option<usize>,
}

impl Wanted {
    /// What is known of the end of the log at a path. Read afresh: the next look may ask for another.
    pub(super) fn look(self, path: &str, eyes: &Eyes) -> Result<Facts, ProbeError> {
        if let Some(last) = self.last.filter(|last| !(1..=MOST_LAST).contains(last)) {
            return Err(ProbeError(format!("`last: {last}`: from 1 to {MOST_LAST}")));
        }
        let file = Filled::Plain(path.to_owned());
        JsonlProbe {
            file,
            filter: None,
            key: key(path, None, self, MAX_SCAN),
            judged_by_time: true,
        }
        .look(eyes)
    }
}

fn key(path: &str, filter: Option<&Text>, wanted: Wanted, max_scan: Size) -> Key {
    Key {
        path: path.to_owned(),
        filter: filter.map(|text| text.as_str().into()),
        since: wanted.since.map(|Span(since)| since),
        last: wanted.last,
        time: match wanted.time {
            Some(key) => Arc::new([key]) as Arc<[String]>,
            None => TIME.map(str::to_owned).into(),
        },
        max_scan: max_scan.0,
    }
}

impl JsonlProbe {
    fn window(&self, key: &Key, opened: &Opened, eyes: &Eyes) -> Result<Seen, Trouble> {
        let filter = self.filter.as_ref().map(|filter| {
            |record: &Arc<Value>| {
                let mut scope = Scope::new(&eyes.ground);
                scope.bind("r", Arc::clone(record));
                filter
                    .truth(&eyes.engine, &scope)
                    .map_err(|fault| format!("`where`: {fault}"))
            }
        });
        let search = Search {
            filter: filter.as_ref().map(|filter| filter as &Filter<'_>),
            since: key.since,
            last: key.last,
            time: &key.time,
            max_scan: Size(key.max_scan),
            now: eyes.ground.now,
        };
        if self.judged_by_time {
            return window::look(&mut None, opened, &search);
        }
        eyes.tails.with(key, &eyes.ground, |kept| {
            window::look(kept, opened, &search)
        })
    }
}

fn missing() -> Facts {
    Facts::new()
        .with("exists", false)
        .with("missing", true)
        .with("records", json!([]))
        .with("count", 0)
        .with("skipped", 0)
        .with("age_s", Value::Null)
        .with("record_age_s", Value::Null)
}

fn facts(seen: &Seen, opened: &Opened, eyes: &Eyes) -> Facts {
    let now = eyes.ground.now;
    let mut facts = Facts::new().with("exists", true).with("missing", false);
    facts.share("records", Arc::clone(&seen.records));
    facts
        .with("count", seen.count)
        .with("skipped", seen.skipped)
        .with("age_s", age(now, opened.stat.modified))
        .with(
            "record_age_s",
            seen.newest.map_or(Value::Null, |newest| age(now, newest)),
        )
}

#[cfg(test)]
mod tests {
    use super::{super::testing::Bench, *};

    const LOG: &str = r#"{"ts": 1767716000, "msg": "complete", "orders": 1}
{"ts": "2026-01-06T16:29:00Z", "msg": "start"}
{"ts": "today", "_ts": 1767716990.5, "msg": "complete", "orders": 0}
{"broken
"#;

    #[test]
    fn sees_the_end_of_a_log() {
        let bench = Bench::new();
        bench.file("logs/run.jsonl", LOG, 3.0);
        let rule = json!({"file": "logs/run.jsonl", "where": r#"r.msg == "complete""#, "last": 1});
        assert_eq!(
            bench.look(&KIND, rule),
            Ok(json!({
                "exists": true, "missing": false,
                "records": [{"ts": "today", "_ts": 1767716990.5, "msg": "complete", "orders": 0}],
                "count": 1, "skipped": 1, "age_s": 3.0, "record_age_s": 9.5
            }))
        );
    }

    #[test]
    fn a_missing_log_is_a_fact() {
        let rule = json!({"file": "logs/run.jsonl", "last": 1});
        assert_eq!(
            Bench::new().look(&KIND, rule),
            Ok(json!({
                "exists": false, "missing": true, "records": [], "count": 0, "skipped": 0,
                "age_s": null, "record_age_s": null
            }))
        );
    }

    #[test]
    fn time_is_read_from_the_key_that_the_rule_names() {
        let bench = Bench::new();
        bench.file(
            "logs/run.jsonl",
            "{\"at\": 1767716950, \"ts\": 1}\n{\"ts\": 1767717000}\n",
            3.0,
        );
        let rule = json!({"file": "logs/run.jsonl", "since": "1m", "time": "at"});
        let seen = bench.look(&KIND, rule).expect("seen");
        let told = (&seen["count"], &seen["skipped"], &seen["record_age_s"]);
        assert_eq!(told, (&json!(1), &json!(1), &json!(50.0)));
    }

    #[test]
    fn a_running_engine_goes_on_where_it_was() {
        let mut bench = Bench::new();
        bench.file("logs/run.jsonl", LOG, 3.0);
        let rule = json!({"file": "logs/${\"run\"}.jsonl", "where": "r.msg != vars.name && age(r._ts) < 60", "last": 5});
        let young = bench.build(&KIND, rule).expect("no mistakes");
        let rule = json!({"file": "logs/run.jsonl", "where": r#"r.get("msg", "") != "start""#, "since": "1h"});
        let recent = bench.build(&KIND, rule).expect("no mistakes");
        let count = |bench: &Bench| bench.look_with(&*recent).expect("seen")["count"].clone();
        assert_eq!(count(&bench), 2);
        bench.now = bench.now.plus(std::time::Duration::from_secs(3000));
        assert_eq!(count(&bench), 1, "the other is too old now");
        bench.file(
            "logs/run.jsonl",
            format!("{LOG}{{\"ts\": 1767719999}}\n"),
            3.0,
        );
        assert_eq!(count(&bench), 2);
        std::fs::remove_file(bench.root().join("logs/run.jsonl")).expect("removed");
        assert_eq!(count(&bench), 0);
        bench.file(
            "logs/run.jsonl",
            "{\"msg\": \"a\", \"_ts\": 1767719990}\n",
            3.0,
        );
        assert_eq!(bench.look_with(&*young).expect("seen")["count"], 1);
        bench.now = bench.now.plus(std::time::Duration::from_secs(3000));
        assert_eq!(
            bench.look_with(&*young).expect("seen")["count"],
            0,
            "judged by time"
        );
    }

    #[test]
    fn what_cannot_be_told_is_an_error() {
        let bench = Bench::new();
        bench.file("logs/run.jsonl", LOG, 3.0);
        let fault = bench.look(
            &KIND,
            json!({"file": "logs/run.jsonl", "where": "r.orders > 0"}),
        );
        let fault = fault.expect_err("a record without orders");
        assert!(
            fault.starts_with("logs/run.jsonl: `where`: ") && fault.contains("orders"),
            "{fault}"
        );
        let small = json!({"file": "logs/run.jsonl", "last": 9, "max_scan": 100});
        assert!(bench.look(&KIND, small).is_err());
        assert!(bench.look(&KIND, json!({"file": "logs"})).is_err());
    }

    #[test]
    fn mistakes_are_found_at_load() {
        let bench = Bench::new();
        for (rule, codes) in [
            (json!({"last": 1}), &["missing-key"][..]),
            (
                json!({"file": "/var/log/x", "last": 0}),
                &["bad-value", "not-allowed"],
            ),
            (
                json!({"file": "x", "since": "soon", "lsat": 1}),
                &["bad-value", "unknown-key"],
            ),
            (json!({"file": "x", "max_scan": "much"}), &["bad-value"]),
        ] {
            assert_eq!(bench.codes(&KIND, rule.clone()), codes, "{rule}");
        }
        for filter in ["q.x == 1", "r.x ==", "status == 1"] {
            assert!(
                !bench
                    .codes(&KIND, json!({"file": "x", "where": filter}))
                    .is_empty(),
                "{filter}"
            );
        }
    }
}
