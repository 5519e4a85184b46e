//! `text`: how often patterns match in a text file, and what they captured last.
//!
//! Bytes that are no UTF-8 are replaced before matching. A value filled into a pattern by `${…}` is part of the pattern, not
//! a text to be found: `vars` may hold alternatives.

use std::sync::Arc;

use futures::future::BoxFuture;
use regex::{Captures, Regex};
use schemars::JsonSchema;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Map, Value};

use super::{
    Eyes, Kind, Look, Probe, ProbeError, Workshop,
    backward::{Backward, ReadError},
    path::{Filled, whole},
    pattern::Pattern,
};
use crate::{
    model::{
        facts::Facts,
        node::{Node, decode},
        text::{Mistake, Text},
    },
    permission::{Opened, settings::Size},
};

pub static KIND: Kind = Kind {
    name: "text",
    about: "a text file: how often patterns match",
    example: r#"probe: { text: { file: logs/bot.log, tail: 200, patterns: { errors: 'ERROR', slow: 'took (?<ms>\d+) ms' } } }"#,
    facts: &[
        ("exists", "boolean", "it is there"),
        ("missing", "boolean", "not `exists`"),
        ("counts", "map", "of each pattern: how often it matches"),
        (
            "captures",
            "map",
            "of each pattern, of its last match: a map of its named groups, else a list of its groups, else a list of the match; () without match or of a group that took no part",
        ),
    ],
    schema: Rule::json_schema,
    build,
};

const MAX_SIZE: Size = Size(16 << 20);
const MOST_LINES: usize = 1_000_000;

/// A text file and patterns to look for in it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Rule {
    file: Text,
    /// Regular expressions by name.
    #[schemars(with = "std::collections::BTreeMap<String, Text>")]
    #[expect(
        dead_code,
        reason = "read from the node, where its entries have places"
    )]
    patterns: IgnoredAny,
    /// Only the last so many lines. By default all.
    tail: Option<usize>,
    /// A larger file, or more in its last lines, is an error of the probe. By default 16 MiB.
    max_size: Option<Size>,
}

struct TextProbe {
    file: Filled,
    patterns: Vec<(String, Pattern)>,
    tail: Option<usize>,
    max_size: Size,
}

fn build(node: &Node, workshop: &mut Workshop<'_>) -> Option<Arc<dyn Probe>> {
    let rule: Rule = decode(node, workshop.mistakes)?;
    let before = workshop.mistakes.len();
    let file = Filled::path(&rule.file, workshop);
    let patterns = patterns(node.get("patterns")?, workshop);
    if let Some(tail) = rule.tail.filter(|tail| !(1..=MOST_LINES).contains(tail)) {
        let place = node.get("tail").map_or(&node.place, |tail| &tail.place);
        let wrong = format!("`tail: {tail}`: from 1 to {MOST_LINES} lines");
        workshop
            .mistakes
            .push(Mistake::new("bad-value", wrong, place.clone()));
    }
    if workshop.mistakes.len() > before {
        return None;
    }
    Some(Arc::new(TextProbe {
        file: file?,
        patterns,
        tail: rule.tail,
        max_size: rule.max_size.unwrap_or(MAX_SIZE),
    }))
}

fn patterns(node: &Node, workshop: &mut Workshop<'_>) -> Vec<(String, Pattern)> {
    if node.entries().is_empty() {
        let wrong = Mistake::new(
            "bad-value",
            "expected a map of patterns by name",
            node.place.clone(),
        );
        workshop
            .mistakes
            .push(wrong.help("write `patterns: { errors: 'ERROR' }`"));
    }
    node.entries()
        .iter()
        .filter_map(|(name, value)| {
            let Some(text) = value.text() else {
                let wrong = format!("expected a regular expression, found {}", value.kind());
                workshop
                    .mistakes
                    .push(Mistake::new("wrong-type", wrong, value.place.clone()));
                return None;
            };
            Some((name.key().to_owned(), Pattern::build(&text, workshop)?))
        })
        .collect()
}

impl Probe for TextProbe {
    fn observe<'a>(&'a self, eyes: &'a Eyes) -> BoxFuture<'a, Result<Facts, ProbeError>> {
        Box::pin(async { self.look(eyes) })
    }

    fn quick(&self) -> Option<&dyn Look> {
        Some(self)
    }

    fn shape(&self) -> Facts {
        self.facts(true, |_| Ok((0, Value::Null)))
            .unwrap_or_default()
    }

    fn files(&self) -> Vec<String> {
        self.file.plain().map(str::to_owned).into_iter().collect()
    }
}

impl Look for TextProbe {
    fn look(&self, eyes: &Eyes) -> Result<Facts, ProbeError> {
        let path = self.file.at(eyes)?;
        let Some(mut opened) = eyes.permission.read(&path)? else {
            return self.facts(false, |_| Ok((0, Value::Null)));
        };
        let bytes = match self.tail {
            Some(lines) => self.last_lines(&path, &opened, lines)?,
            None => whole(&path, &mut opened, self.max_size)?,
        };
        let text = String::from_utf8_lossy(&bytes);
        self.facts(true, |pattern| Ok(matches(&*pattern.at(eyes)?, &text)))
    }
}

impl TextProbe {
    fn facts(
        &self,
        exists: bool,
        found: impl Fn(&Pattern) -> Result<(usize, Value), ProbeError>,
    ) -> Result<Facts, ProbeError> {
        let (mut counts, mut captures) = (Map::new(), Map::new());
        for (name, pattern) in &self.patterns {
            let (count, captured) = found(pattern)?;
            counts.insert(name.clone(), count.into());
            captures.insert(name.clone(), captured);
        }
        Ok(Facts::new()
            .with("exists", exists)
            .with("missing", !exists)
            .with("counts", counts)
            .with("captures", captures))
    }

    /// The last lines of a file, one that is not finished included.
    fn last_lines(&self, path: &str, opened: &Opened, lines: usize) -> Result<Vec<u8>, ProbeError> {
        let told = |error| match error {
            ReadError::TooFar => ProbeError(format!(
                "{path}: its last {lines} lines are larger than {} (`max_size`)",
                self.max_size
            )),
            error => ProbeError(format!("could not read {path}: {error}")),
        };
        let floor = opened.stat.size.saturating_sub(self.max_size.0);
        let mut back = Backward::new(&opened.file, opened.stat.size, floor);
        let unfinished = back.unfinished().map_err(told)?;
        let mut found = Vec::new();
        if !unfinished.is_empty() {
            found.push(unfinished);
        }
        while found.len() < lines {
            let Some((_, line)) = back.line().map_err(told)? else {
                break;
            };
            found.push(line.to_vec());
        }
        found.reverse();
        Ok(found.join(&b'\n'))
    }
}

/// How often it matches, and the groups of the last match.
fn matches(regex: &Regex, text: &str) -> (usize, Value) {
    let mut count = 0;
    let mut last = None;
    for found in regex.captures_iter(text) {
        count += 1;
        last = Some(found);
    }
    (count, last.map_or(Value::Null, |last| groups(regex, &last)))
}

fn groups(regex: &Regex, captures: &Captures<'_>) -> Value {
    let value = |group: Option<regex::Match<'_>>| group.map(|group| group.as_str().to_owned());
    let named: Map<String, Value> = regex
        .capture_names()
        .flatten()
        .map(|name| (name.to_owned(), value(captures.name(name)).into()))
        .collect();
    if !named.is_empty() {
        return named.into();
    }
    let skip = usize::from(captures.len() > 1);
    captures.iter().skip(skip).map(value).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::testing::Bench, *};

    #[test]
    fn counts_and_captures() {
        let bench = Bench::new();
        bench.file(
            "logs/bot.log",
            b"took 5 ms\nERROR one\ntook 17 ms\nERROR \xff\n",
            0.0,
        );
        let rule = json!({"file": "logs/bot.log", "patterns": {
            "errors": "ERROR", "slow": "took (?<ms>\\d+) (?<unit>s)?", "plain": "took (\\d+) (ms)", "none": "(x)y",
            "named": "${vars.name}|one"
        }});
        assert_eq!(
            bench.look(&KIND, rule),
            Ok(json!({
                "exists": true, "missing": false,
                "counts": {"errors": 2, "slow": 2, "plain": 2, "none": 0, "named": 1},
                "captures": {
                    "errors": ["ERROR"], "slow": {"ms": "17", "unit": null}, "plain": ["17", "ms"], "none": null,
                    "named": ["one"]
                }
            }))
        );
    }

    #[test]
    fn a_missing_file_is_a_fact() {
        let rule = json!({"file": "logs/none", "patterns": {"errors": "ERROR"}});
        assert_eq!(
            Bench::new().look(&KIND, rule),
            Ok(json!({
                "exists": false, "missing": true, "counts": {"errors": 0}, "captures": {"errors": null}
            }))
        );
    }

    #[test]
    fn a_tail_sees_the_last_lines_only() {
        let bench = Bench::new();
        let count = |body: &str, tail: usize| {
            bench.file("logs/bot.log", body, 0.0);
            let rule = json!({"file": "logs/bot.log", "tail": tail, "patterns": {"x": "x"}});
            bench.look(&KIND, rule).expect("seen")["counts"]["x"].clone()
        };
        assert_eq!(count("x\nx\nx\n", 2), 2);
        assert_eq!(count("x\nx\nx", 2), 2, "one that is not finished is a line");
        assert_eq!(count("x\n", 5), 1);
        assert_eq!(count("", 5), 0);
        assert_eq!(count(&"x\n".repeat(100_000), 200), 200);
    }

    #[test]
    fn too_large_is_an_error() {
        let bench = Bench::new();
        bench.file("logs/bot.log", "y".repeat(3000), 0.0);
        for extra in [json!(null), json!(1)] {
            let mut rule =
                json!({"file": "logs/bot.log", "max_size": "1 KiB", "patterns": {"x": "x"}});
            if !extra.is_null() {
                rule["tail"] = extra;
            }
            assert!(
                bench
                    .look(&KIND, rule)
                    .expect_err("too large")
                    .contains("larger than 1 KiB")
            );
        }
        assert!(
            bench
                .look(&KIND, json!({"file": "logs", "patterns": {"x": "x"}}))
                .is_err()
        );
    }

    #[test]
    fn mistakes_are_found_at_load() {
        let bench = Bench::new();
        for (rule, codes) in [
            (json!({"file": "x"}), &["missing-key"][..]),
            (json!({"file": "x", "patterns": {}}), &["bad-value"]),
            (json!({"file": "x", "patterns": "ERROR"}), &["bad-value"]),
            (
                json!({"file": "/etc/passwd", "patterns": {"a": "(", "b": ["x"]}}),
                &["not-allowed", "bad-pattern", "wrong-type"],
            ),
            (
                json!({"file": "x", "tail": 0, "patterns": {"a": "a"}}),
                &["bad-value"],
            ),
        ] {
            assert_eq!(bench.codes(&KIND, rule.clone()), codes, "{rule}");
        }
    }
}
