//! `code`: what a source file says when it is parsed, so that comments, texts and dead code fool nobody.

mod bounds;
mod python;
mod refused;

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Eyes, Kind, Look, Probe, ProbeError, Workshop,
    path::{Filled, age, whole},
};
use crate::{
    clock::Stopwatch,
    model::{
        facts::Facts,
        node::{Node, decode},
        text::{Mistake, Text},
    },
    permission::settings::Size,
};
use python::Seen;

pub static KIND: Kind = Kind {
    name: "code",
    about: "a Python source file, parsed: what a function assigns, calls and names",
    example: r#"probe: { code: { file: src/enrich.py, function: enrich_signal } }"#,
    facts: &[
        ("exists", "boolean", "it is there"),
        ("missing", "boolean", "not `exists`"),
        ("age_s", "seconds", "since its last write; () when missing"),
        ("size", "bytes", "of the file"),
        (
            "parse_ok",
            "boolean",
            "the whole file can be parsed: one mistake anywhere, and Python loads none of it",
        ),
        (
            "parse_error",
            "text",
            "the first mistake, as `line 3, column 7: invalid syntax`; () without one",
        ),
        (
            "found",
            "boolean",
            "the function is defined (true where none is asked for and the file is there)",
        ),
        (
            "line",
            "number",
            "of its last definition, from 1; () when not found",
        ),
        (
            "functions",
            "list",
            "the functions that are defined, methods as `Class.name`",
        ),
        ("source", "text", "of the function, its first 64 KiB"),
        (
            "keys",
            "list",
            "texts that are assigned as a subscript: `x[\"key\"] = …`, `x.setdefault(\"key\", …)`",
        ),
        (
            "dict_keys",
            "list",
            "texts that are keys of a dictionary written out: `{\"key\": …}`, `dict(key=…)`, `x.update(key=…)`",
        ),
        (
            "assigned",
            "map",
            "of each name: the keys it is given, by subscript, by a dictionary or by `update`",
        ),
        (
            "computed",
            "boolean",
            "a key that is not written out is assigned: `x[name] = …`",
        ),
        (
            "copies",
            "list",
            "what is copied as a whole: `dict(data)`, `data.copy()`, `copy.deepcopy(data)`, `{**data}`, `x.update(data)`",
        ),
        (
            "calls",
            "list",
            "what is called: `max`, `math.exp`, `data.get`",
        ),
        ("names", "list", "names that are read or written"),
        (
            "strings",
            "list",
            "texts, those that stand alone (docstrings) left out",
        ),
        ("returns", "number", "of `return` statements"),
    ],
    schema: Rule::json_schema,
    build,
};

const MAX_SIZE: Size = Size(4 << 20);
/// Of `source`.
const MOST_SOURCE: usize = 64 << 10;

/// A source file. Comments, docstrings and code that cannot run (behind a `return`, below `if False:`) do not count; of a
/// function that is defined twice the last one does.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Rule {
    file: Text,
    /// `python`, which is also what `.py` means.
    language: Option<Text>,
    /// A function, a method as `Class.method`, or its bare name wherever it stands. By default the whole file.
    function: Option<Text>,
    /// A larger file is an error of the probe. By default 4 MiB.
    max_size: Option<Size>,
}

struct Code {
    file: Filled,
    function: Option<String>,
    max_size: Size,
}

fn build(node: &Node, workshop: &mut Workshop<'_>) -> Option<Arc<dyn Probe>> {
    let rule: Rule = decode(node, workshop.mistakes)?;
    let before = workshop.mistakes.len();
    let file = Filled::path(&rule.file, workshop);
    let mut wrong = |text: &Text, what: String, help: &str| {
        let mistake = Mistake::new("bad-value", what, text.place());
        workshop.mistakes.push(mistake.help(help));
    };
    match &rule.language {
        Some(language) if language.as_str() != "python" => wrong(
            language,
            format!("the language `{language}` is not known"),
            "write `language: python`",
        ),
        // What ends in a template may have any ending.
        None if !rule.file.as_str().ends_with('}') && !rule.file.as_str().ends_with(".py") => {
            wrong(
                &rule.file,
                "its ending does not say which language it is in".to_owned(),
                "write `language: python`",
            )
        }
        _ => {}
    }
    if let Some(function) = &rule.function {
        let name = |part: &str| {
            let starts = part.starts_with(|c: char| c.is_alphabetic() || c == '_');
            starts && part.chars().all(|c| c.is_alphanumeric() || c == '_')
        };
        if !function.as_str().split('.').all(name) {
            wrong(
                function,
                format!("`{function}` is no name of a function"),
                "write `name` or `Class.method`",
            );
        }
    }
    if workshop.mistakes.len() > before {
        return None;
    }
    Some(Arc::new(Code {
        file: file?,
        function: rule.function.map(|function| function.to_string()),
        max_size: rule.max_size.unwrap_or(MAX_SIZE),
    }))
}

impl Probe for Code {
    fn observe<'a>(&'a self, eyes: &'a Eyes) -> BoxFuture<'a, Result<Facts, ProbeError>> {
        Box::pin(async { self.look(eyes) })
    }

    fn quick(&self) -> Option<&dyn Look> {
        Some(self)
    }

    fn shape(&self) -> Facts {
        facts(&Seen::default(), 0.0.into(), 0)
    }

    fn files(&self) -> Vec<String> {
        self.file.plain().map(str::to_owned).into_iter().collect()
    }
}

impl Look for Code {
    fn look(&self, eyes: &Eyes) -> Result<Facts, ProbeError> {
        let path = self.file.at(eyes)?;
        let Some(mut opened) = eyes.permission.read(&path)? else {
            let gone = facts(&Seen::default(), Value::Null, 0);
            return Ok(gone
                .with("exists", false)
                .with("missing", true)
                .with("parse_ok", false));
        };
        let bytes = whole(&path, &mut opened, self.max_size)?;
        let written = age(eyes.ground.now, opened.stat.modified);
        let size = opened.stat.size;
        let seen = match std::str::from_utf8(&bytes) {
            // Python refuses these two as a whole.
            Ok(text) if text.contains('\0') => Seen {
                error: text.find('\0').map(|at| format!("a NUL at byte {at}")),
                ..Seen::default()
            },
            Ok(text) => {
                let text = text.strip_prefix('\u{feff}').unwrap_or(text);
                if let Some(fault) = bounds::fault(text) {
                    return Err(ProbeError(format!("{path} {fault}")));
                }
                see(text, self.function.as_deref(), eyes.limit)
                    .ok_or_else(|| ProbeError(format!("{path} was not parsed in time")))?
            }
            Err(error) => Seen {
                error: Some(format!("not UTF-8 at byte {}", error.valid_up_to())),
                ..Seen::default()
            },
        };
        Ok(facts(&seen, written, size))
    }
}

/// `None` when it takes longer than it may.
fn see(text: &str, function: Option<&str>, limit: Duration) -> Option<Seen> {
    let watch = Stopwatch::new();
    python::see(text, function, &|| watch.elapsed() >= limit)
}

fn facts(seen: &Seen, age: Value, size: u64) -> Facts {
    let mut end = seen.source.len().min(MOST_SOURCE);
    while !seen.source.is_char_boundary(end) {
        end -= 1;
    }
    Facts::new()
        .with("exists", true)
        .with("missing", false)
        .with("age_s", age)
        .with("size", size)
        .with("parse_ok", seen.error.is_none())
        .with("parse_error", json!(seen.error))
        .with("found", seen.found)
        .with("line", json!(seen.line))
        .with("functions", json!(seen.functions))
        .with("source", seen.source.get(..end).unwrap_or_default())
        .with("keys", json!(seen.keys))
        .with("dict_keys", json!(seen.dict_keys))
        // Which names there are is seen at a look only.
        .with(
            "assigned",
            if seen.assigned.is_empty() {
                Value::Null
            } else {
                json!(seen.assigned)
            },
        )
        .with("computed", seen.computed)
        .with("copies", json!(seen.copies))
        .with("calls", json!(seen.calls))
        .with("names", json!(seen.names))
        .with("strings", json!(seen.strings))
        .with("returns", seen.returns)
}

#[cfg(test)]
mod tests {
    use super::{super::testing::Bench, *};

    const SOURCE: &str = "\u{feff}def enrich(x):\n    x['a'] = max(1, 2)\n    return x\n";

    #[test]
    fn a_function_of_a_file() {
        let bench = Bench::new();
        bench.file("data/x.py", SOURCE, 5.0);
        let rule =
            json!({"file": "data/${vars.name}.py", "language": "python", "function": "enrich"});
        assert_eq!(
            bench.look(&KIND, rule),
            Ok(json!({
                "exists": true, "missing": false, "age_s": 5.0, "size": SOURCE.len(), "parse_ok": true, "parse_error": null,
                "found": true, "line": 1, "functions": ["enrich"],
                "source": SOURCE.trim_start_matches('\u{feff}').trim_end(),
                "keys": ["a"], "dict_keys": [], "assigned": {"x": ["a"]}, "computed": false, "copies": [], "calls": ["max"],
                "names": ["enrich", "max", "x"], "strings": ["a"], "returns": 1,
            }))
        );
    }

    #[test]
    fn what_is_missing_broken_or_no_text_is_a_fact() {
        let bench = Bench::new();
        let look = |function: Option<&str>| {
            let facts = bench.look(&KIND, json!({"file": "data/x.py", "function": function}));
            let facts = facts.expect("seen");
            (
                facts["exists"].clone(),
                facts["parse_ok"].clone(),
                facts["found"].clone(),
                facts["parse_error"].clone(),
            )
        };
        assert_eq!(
            look(None),
            (false.into(), false.into(), false.into(), Value::Null)
        );
        bench.file("data/x.py", "def f(:\n", 0.0);
        let (_, ok, _, error) = look(Some("g"));
        assert_eq!(
            (ok, error),
            (false.into(), "line 1, column 7: invalid syntax".into())
        );
        bench.file("data/x.py", b"x = '\xff'\n", 0.0);
        assert_eq!(
            look(None),
            (
                true.into(),
                false.into(),
                false.into(),
                "not UTF-8 at byte 5".into()
            )
        );
        bench.file("data/x.py", "x = 1\n#\0\n", 0.0);
        assert_eq!(
            look(None),
            (
                true.into(),
                false.into(),
                false.into(),
                "a NUL at byte 7".into()
            )
        );
        bench.file("data/x.py", "", 0.0);
        assert_eq!(
            look(None),
            (true.into(), true.into(), true.into(), Value::Null)
        );
    }

    #[test]
    fn too_large_is_an_error_and_so_is_a_directory() {
        let bench = Bench::new();
        bench.file("data/x.py", "x = 1\n".repeat(400), 0.0);
        let rule = json!({"file": "data/x.py", "max_size": "1 KiB"});
        assert!(
            bench
                .look(&KIND, rule)
                .expect_err("too large")
                .contains("larger than 1 KiB")
        );
        assert!(
            bench
                .look(&KIND, json!({"file": "data", "language": "python"}))
                .is_err()
        );
    }

    /// The parser would end the process at 511 levels of indentation with a text open, and take a gigabyte for the
    /// brackets.
    #[test]
    fn what_the_parser_has_no_bounds_for_is_an_error() {
        let bench = Bench::new();
        let levels = |count: usize| {
            let lines = (0..count).map(|n| format!("{}if x:\n", " ".repeat(n)));
            let last = format!("{}y = 'a'\n", " ".repeat(count));
            lines.chain([last]).collect::<String>()
        };
        let look = |body: &str| {
            bench.file("data/x.py", body, 0.0);
            bench.look(&KIND, json!({"file": "data/x.py"}))
        };
        assert_eq!(look(&levels(200)).expect("seen")["strings"], json!(["a"]));
        assert_eq!(
            look(&levels(511)),
            Err("data/x.py is indented by more than 300 widths".to_owned())
        );
        assert_eq!(
            look(&"(".repeat(4 << 20)),
            Err("data/x.py has more than 500000 words and signs".to_owned())
        );
    }

    #[test]
    fn mistakes_are_found_at_load() {
        let bench = Bench::new();
        for (rule, codes) in [
            (json!({}), &["missing-key"][..]),
            (json!({"file": "x.py", "language": "rust"}), &["bad-value"]),
            (json!({"file": "x.txt"}), &["bad-value"]),
            (json!({"file": "${vars.name}/x.js"}), &["bad-value"]),
            (json!({"file": "${vars.name}/x.py"}), &[]),
            (json!({"file": "data/${vars.name}"}), &[]),
            (json!({"file": "x.txt", "language": "python"}), &[]),
            (json!({"file": "x.py", "function": "a b"}), &["bad-value"]),
            (json!({"file": "x.py", "function": "A..b"}), &["bad-value"]),
            (json!({"file": "/etc/x.py"}), &["not-allowed"]),
        ] {
            assert_eq!(bench.codes(&KIND, rule.clone()), codes, "{rule}");
        }
    }
}
