//! `json`: a JSON file, read whole.
//!
//! What is no JSON is a fact (`valid`, `parse_error`), what cannot be read an error. A file that changed while it was
//! read is read again, so a writer that does not rename is not mistaken for a broken file.

use std::sync::Arc;

use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{
    Eyes, Kind, Look, Probe, ProbeError, Workshop,
    path::{Filled, age, whole},
    strict_json,
};
use crate::{
    model::{
        facts::Facts,
        node::{Node, decode},
        text::Text,
    },
    permission::{Stat, settings::Size},
};

pub static KIND: Kind = Kind {
    name: "json",
    about: "a JSON file",
    example: r#"probe: { json: { file: data/uw_weights.json } }"#,
    facts: &[
        ("exists", "boolean", "it is there"),
        ("missing", "boolean", "not `exists`"),
        (
            "valid",
            "boolean",
            "it is one JSON value, UTF-8, at most 128 deep, no key twice",
        ),
        (
            "parse_error",
            "text or ()",
            "why it is not valid, with line and column",
        ),
        ("doc", "any", "the value; () if it is missing or not valid"),
        ("len", "number", "keys of a map, items of a list, else 0"),
        ("age_s", "seconds or ()", "since it was last written"),
    ],
    schema: Rule::json_schema,
    build,
};

pub(super) const MAX_SIZE: Size = Size(16 << 20);
/// How often a file is read that changes while it is read.
const TRIES: usize = 3;

/// A JSON file.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Rule {
    file: Text,
    /// A larger file is an error of the probe. By default 16 MiB.
    max_size: Option<Size>,
}

struct JsonProbe {
    file: Filled,
    max_size: Size,
}

fn build(node: &Node, workshop: &mut Workshop<'_>) -> Option<Arc<dyn Probe>> {
    let rule: Rule = decode(node, workshop.mistakes)?;
    Some(Arc::new(JsonProbe {
        file: Filled::path(&rule.file, workshop)?,
        max_size: rule.max_size.unwrap_or(MAX_SIZE),
    }))
}

impl Probe for JsonProbe {
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
            .with("valid", true)
            .with("parse_error", Value::Null)
            .with("doc", Value::Null)
            .with("len", 1)
            .with("age_s", 12.5)
    }

    fn files(&self) -> Vec<String> {
        self.file.plain().map(str::to_owned).into_iter().collect()
    }
}

impl Look for JsonProbe {
    fn look(&self, eyes: &Eyes) -> Result<Facts, ProbeError> {
        document(&self.file.at(eyes)?, self.max_size, eyes)
    }
}

/// What is known of the JSON file at a path.
pub(super) fn document(path: &str, max_size: Size, eyes: &Eyes) -> Result<Facts, ProbeError> {
    let mut tries = 1;
    loop {
        let Some(mut opened) = eyes.permission.read(path)? else {
            return Ok(facts(None, Err(None), eyes));
        };
        let read = strict_json::parse(&whole(path, &mut opened, max_size)?);
        if read.is_err() && tries < TRIES && eyes.permission.stat(path)? != Some(opened.stat) {
            tries += 1;
            continue;
        }
        return Ok(facts(Some(opened.stat), read.map_err(Some), eyes));
    }
}

fn facts(stat: Option<Stat>, read: Result<Value, Option<String>>, eyes: &Eyes) -> Facts {
    let valid = read.is_ok();
    let (doc, parse_error) = match read {
        Ok(doc) => (doc, None),
        Err(error) => (Value::Null, error),
    };
    let len = match &doc {
        Value::Object(map) => map.len(),
        Value::Array(items) => items.len(),
        _ => 0,
    };
    Facts::new()
        .with("exists", stat.is_some())
        .with("missing", stat.is_none())
        .with("valid", valid)
        .with("parse_error", parse_error)
        .with("doc", doc)
        .with("len", len)
        .with(
            "age_s",
            stat.map_or(Value::Null, |stat| age(eyes.ground.now, stat.modified)),
        )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::testing::Bench, *};

    fn rule() -> Value {
        json!({"file": "data/x.json"})
    }

    #[test]
    fn sees_the_document() {
        let bench = Bench::new();
        bench.file("data/x.json", r#"{"b": 1, "a": [1, 2]}"#, 2.5);
        assert_eq!(
            bench.look(&KIND, rule()),
            Ok(json!({
                "exists": true, "missing": false, "valid": true, "parse_error": null,
                "doc": {"b": 1, "a": [1, 2]}, "len": 2, "age_s": 2.5
            }))
        );
        for (body, len) in [
            ("[1, 2, 3]", 3),
            ("7", 0),
            ("null", 0),
            ("\"abc\"", 0),
            ("{}", 0),
        ] {
            bench.file("data/x.json", body, 0.0);
            let seen = bench.look(&KIND, rule()).expect("seen");
            assert_eq!(
                (&seen["len"], &seen["valid"]),
                (&json!(len), &json!(true)),
                "{body}"
            );
        }
    }

    #[test]
    fn a_missing_file_is_a_fact() {
        assert_eq!(
            Bench::new().look(&KIND, rule()),
            Ok(json!({
                "exists": false, "missing": true, "valid": false, "parse_error": null,
                "doc": null, "len": 0, "age_s": null
            }))
        );
    }

    #[test]
    fn what_is_no_json_is_a_fact() {
        let bench = Bench::new();
        for body in [
            &b""[..],
            b"{\"a\": 1",
            b"{} {}",
            b"\xEF\xBB\xBF{}",
            b"{\"a\": \"\xFF\"}",
            b"\xFF\xFE",
            b"{\"a\": 1}\0\0",
            b"NaN",
            b"{\"a\": 1, \"a\": 2}",
        ] {
            bench.file("data/x.json", body, 1.0);
            let seen = bench.look(&KIND, rule()).expect("a fact");
            assert_eq!(
                (&seen["exists"], &seen["valid"]),
                (&json!(true), &json!(false)),
                "{body:?}"
            );
            assert_eq!((&seen["doc"], &seen["len"]), (&json!(null), &json!(0)));
            assert!(seen["parse_error"].is_string() && seen["age_s"].is_f64());
        }
        assert_eq!(
            bench.look(&KIND, rule()).expect("a fact")["parse_error"],
            "duplicate key `a` at line 1 column 12"
        );
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        let bench = Bench::new();
        bench.file("data/x.json", [b' '; 2000], 1.0);
        let small = json!({"file": "data/x.json", "max_size": "1 kB"});
        assert_eq!(
            bench.look(&KIND, small),
            Err("data/x.json is larger than 1 kB (`max_size`)".to_owned())
        );
        assert!(bench.look(&KIND, json!({"file": "data"})).is_err());
    }

    #[test]
    fn mistakes_are_found_at_load() {
        let bench = Bench::new();
        for (rule, codes) in [
            (json!({}), &["missing-key"][..]),
            (json!({"file": "/etc/passwd"}), &["not-allowed"]),
            (
                json!({"file": "x", "max_size": "big", "min": 1}),
                &["bad-value", "unknown-key"],
            ),
        ] {
            assert_eq!(bench.codes(&KIND, rule.clone()), codes, "{rule}");
        }
    }
}
