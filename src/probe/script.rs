//! `script`: a Rhai file, for what one look of the other kinds cannot tell. It looks through functions, as those kinds do
//! and within their bounds, and ends with a map: the facts.

mod reader;

use std::sync::Arc;

use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Map, Value};

use super::{Eyes, Kind, Look, Probe, ProbeError, Workshop};
use crate::{
    model::{
        Name,
        facts::Facts,
        node::{Node, decode},
        text::Text,
    },
    script::{Program, Scope, TemplateTree},
};
use reader::Reader;

pub static KIND: Kind = Kind {
    name: "script",
    about: "what a Rhai file makes of files and of other checks",
    example: "probe: { script: { file: rules/scripts/lag.rhai, args: { limit: 30 } } }",
    facts: &[(
        "NAME",
        "any",
        "each name of the map that the script ends with, `#{ lag_s: lag, worst: name }`",
    )],
    schema: Rule::json_schema,
    build,
};

/// A Rhai file of the rules.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Rule {
    /// `rules/scripts/NAME.rhai`.
    file: Text,
    /// What the script reads as `args`. Texts may hold `${…}`.
    #[schemars(with = "Option<serde_json::Map<String, Value>>")]
    args: Option<IgnoredAny>,
}

struct ScriptProbe {
    program: Program,
    args: Option<TemplateTree>,
}

fn build(node: &Node, workshop: &mut Workshop<'_>) -> Option<Arc<dyn Probe>> {
    let rule: Rule = decode(node, workshop.mistakes)?;
    let args = node.get("args").filter(|_| rule.args.is_some());
    let args = match args {
        Some(args) => Some(TemplateTree::compile(
            workshop.engine,
            args,
            workshop.known,
            workshop.mistakes,
        )?),
        None => None,
    };
    let mut known = workshop.known.clone();
    if let Some(args) = &args {
        known = known.with("args", Some(args.sample()));
    }
    let text = workshop.scripts.find(&rule.file, workshop.mistakes)?;
    let program = Program::of_probe(workshop.engine, text, &known, workshop.mistakes)?;
    Some(Arc::new(ScriptProbe { program, args }))
}

impl Probe for ScriptProbe {
    fn observe<'a>(&'a self, eyes: &'a Eyes) -> BoxFuture<'a, Result<Facts, ProbeError>> {
        Box::pin(async { self.look(eyes) })
    }

    fn quick(&self) -> Option<&dyn Look> {
        Some(self)
    }

    fn shape(&self) -> Facts {
        self.program.shape()
    }

    fn checks(&self) -> Vec<Name> {
        let asks = self.program.asks().iter();
        asks.map(|name| name.as_str().into()).collect()
    }
}

impl Look for ScriptProbe {
    fn look(&self, eyes: &Eyes) -> Result<Facts, ProbeError> {
        let mut scope = Scope::new(&eyes.ground);
        if let Some(args) = &self.args {
            let args = args.render(&eyes.engine, &scope);
            scope.bind(
                "args",
                args.map_err(|fault| ProbeError(format!("`args`: {fault}")))?,
            );
        }
        let reader = Arc::new(Reader::new(eyes));
        let answer = self.program.run(&eyes.engine, &scope, Some(reader));
        match answer {
            Ok(Value::Object(map)) => self.facts(map),
            Ok(other) => Err(ProbeError(format!(
                "the script gave {other}, which is no map"
            ))),
            Err(fault) => Err(ProbeError(format!("{}: {}", fault.place, fault.message))),
        }
    }
}

impl ScriptProbe {
    /// In the order in which they are written.
    fn facts(&self, mut map: Map<String, Value>) -> Result<Facts, ProbeError> {
        let mut facts = Facts::new();
        for name in self.program.shape().names() {
            let Some(value) = map.remove(name) else {
                return Err(ProbeError(format!("the script gave no `{name}`")));
            };
            facts.set(name.to_owned(), value);
        }
        match map.keys().next() {
            None => Ok(facts),
            Some(name) => Err(ProbeError(format!(
                "the script gave `{name}`, which its text does not name"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use serde_json::json;

    use super::{
        super::{Board, testing::Bench},
        *,
    };
    use crate::model::status::Status;

    fn rule() -> Value {
        json!({"file": "rules/scripts/s.rhai"})
    }

    /// The facts of a script.
    fn seen(bench: Bench, script: &str) -> Result<Value, String> {
        bench.with_script("s", script).look(&KIND, rule())
    }

    /// What the script gives as `x`.
    fn x(bench: Bench, script: &str) -> Result<Value, String> {
        seen(bench, script).map(|facts| facts["x"].clone())
    }

    #[test]
    fn it_looks_as_the_other_kinds_do() {
        let bench = Bench::new();
        bench.file("data/a.json", r#"{"list": [1, 2], "n": 3}"#, 2.5);
        bench.file("data/b.txt", b"one\ntwo \xFF\n", 10.0);
        bench.file(
            "logs/run.jsonl",
            "{\"ts\": 1767716990, \"n\": 1}\n{broken\n{\"ts\": 1767716999, \"n\": 2}\n",
            1.0,
        );
        bench.file("data/c.lock", "", 400.0);
        bench.file("data/d.lock", "", 10.0);
        let script = r#"
            let doc = read_json("data/a.json");
            let stale = glob("data/*.lock").filter(|f| f.age_s > 300);
            let info = file_info("data/b.txt");
            #{
                sum: doc.list.sum() + doc.n,
                text: read_text("data/b.txt").len(),
                records: read_jsonl("logs/run.jsonl").pluck("n"),
                last: read_jsonl("logs/run.jsonl", #{ last: 1 }).pluck("n"),
                recent: read_jsonl("logs/run.jsonl", #{ since: "5s", time: "ts" }).pluck("n"),
                stale: stale.pluck("path"),
                age: info.age_s,
                size: info.size,
                none: [read_text("data/none"), read_json("data/none"), read_jsonl("data/none"), exists("data/none"), glob("data/*.none"), file_info("data/none").exists],
                there: exists("data/a.json"),
            }
        "#;
        assert_eq!(
            seen(bench, script),
            Ok(json!({
                "sum": 6, "text": 10, "records": [1, 2], "last": [2], "recent": [2],
                "stale": ["data/c.lock"], "age": 10.0, "size": 10,
                "none": [null, null, [], false, [], false], "there": true
            }))
        );
    }

    #[test]
    fn args_and_vars_are_read_and_other_checks_asked() {
        struct One;
        impl Board for One {
            fn status(&self, check: &str) -> Option<(Status, String)> {
                (check == "a").then(|| (Status::Critical, "down".to_owned()))
            }
        }
        let mut bench = Bench::new();
        bench.board = Arc::new(One);
        let script = r#"#{ x: [args.limit * 2, args.name, args.list, vars.name, status_of("a"), status_of("b").status, now] }"#;
        let bench = bench.with_script("s", script);
        let args = json!({"limit": 3, "name": "is ${vars.name}", "list": "${vars.list}"});
        let rule = json!({"file": "rules/scripts/s.rhai", "args": args});
        let probe = bench.build(&KIND, rule).expect("no mistakes");
        assert_eq!(
            bench.look_with(&*probe).expect("seen")["x"],
            json!([6, "is x", ["a b", "c"], "x", {"status": "critical", "message": "down"}, "unknown", 1_767_717_000.0])
        );
        assert_eq!(probe.checks(), [Name::from("a"), Name::from("b")]);
    }

    #[test]
    fn what_it_cannot_look_at_is_an_error_at_its_place() {
        let outside = tempfile::tempdir().expect("a directory");
        std::fs::write(outside.path().join("secret"), "s").expect("a file");
        for (look, told) in [
            (
                r#"read_text("/etc/passwd")"#,
                "/etc/passwd is outside of the root",
            ),
            (r#"read_text("../secret")"#, "leads out of the root"),
            (r#"read_text("data/out")"#, "data/out leads out of the root"),
            (r#"read_json("data/out")"#, "data/out leads out of the root"),
            (
                r#"read_jsonl("data/out")"#,
                "data/out leads out of the root",
            ),
            (r#"file_info("data/out")"#, "data/out leads out of the root"),
            (r#"glob("../*")"#, "a pattern holds no `..`"),
            (r#"glob("/etc/*")"#, "outside of the root"),
            (r#"read_text("data/fifo")"#, "not a regular file"),
            (r#"read_jsonl("data/fifo")"#, "not a regular file"),
            (r#"read_text("data")"#, "not a regular file"),
            (r#"read_text("")"#, "is no path"),
            (
                r#"read_text(3)"#,
                "`read_text` takes a path as a text, not 3",
            ),
            (
                r#"read_text(())"#,
                "`read_text` takes a path as a text, not null",
            ),
            (r#"read_json("data/bad.json")"#, "data/bad.json: "),
            (
                r#"read_jsonl("data/bad.json", 3)"#,
                "`read_jsonl` takes options as a map",
            ),
            (
                r#"read_jsonl("data/bad.json", #{ lst: 3 })"#,
                "`read_jsonl` has no option `lst`",
            ),
            (r#"read_jsonl("data/bad.json", #{ last: 0 })"#, "`last: 0`"),
            (
                r#"read_jsonl("data/bad.json", #{ last: "x" })"#,
                "`last` is a number",
            ),
            (
                r#"read_jsonl("data/bad.json", #{ since: "soon" })"#,
                "`since`",
            ),
            (r#"read_text("data/huge")"#, "larger than"),
            (r#"read_json("data/huge")"#, "larger than"),
        ] {
            let bench = Bench::new();
            bench.file("data/bad.json", "{", 0.0);
            symlink(outside.path().join("secret"), bench.root().join("data/out")).expect("a link");
            let fifo = rustix::fs::FileType::Fifo;
            let path = bench.root().join("data/fifo");
            rustix::fs::mknodat(rustix::fs::CWD, &path, fifo, 0o600.into(), 0).expect("a FIFO");
            let huge = std::fs::File::create(bench.root().join("data/huge")).expect("a file");
            huge.set_len(1 << 30).expect("a sparse file");
            let error = seen(bench, &format!("let n = 1;\n#{{ x: {look} }}")).expect_err(look);
            assert!(
                error.starts_with("rules/scripts/s.rhai:2:7: "),
                "{look}: {error}"
            );
            assert!(error.contains(told), "{look}: {error}");
        }
    }

    /// A text that came out of a file is a path and nothing more: no template, no pattern, no second path.
    #[test]
    fn what_it_read_is_never_evaluated() {
        let bench = Bench::new();
        bench.file("data/name", "${vars.name}.json", 0.0);
        bench.file("data/x.json", "1", 0.0);
        let script = r#"#{ x: [exists(`data/${read_text("data/name")}`), read_json(`data/${read_text("data/name")}`)] }"#;
        assert_eq!(x(bench, script), Ok(json!([false, null])));
        let bench = Bench::new();
        bench.file("data/*.json", "1", 0.0);
        bench.file("data/x.json", "2", 0.0);
        assert_eq!(
            x(bench, r#"#{ x: read_json("data/*.json") }"#),
            Ok(json!(1))
        );
    }

    #[test]
    fn it_ends_and_its_memory_is_bounded() {
        let bench = Bench::new();
        let large = format!("[\"{}\"]", "x".repeat(7 << 20));
        bench.file("data/large.json", large, 0.0);
        let script =
            r#"let all = []; loop { all.push(read_json("data/large.json")); } #{ x: all }"#;
        let error = x(bench, script).expect_err("too much");
        assert!(error.contains("looked at more than 64 MiB"), "{error}");
        let bench = Bench::new();
        let script = r#"let n = 0; loop { if exists("data/none") { n += 1; } } #{ x: n }"#;
        let error = x(bench, script).expect_err("too much");
        assert!(error.contains("too much to calculate"), "{error}");
    }

    #[test]
    fn mistakes_are_found_at_load_in_the_script() {
        let place = |script: &str, rule: Value| {
            let bench = Bench::new().with_script("s", script);
            match bench.build(&KIND, rule) {
                Ok(_) => Vec::new(),
                Err(mistakes) => mistakes
                    .iter()
                    .map(|mistake| format!("{} {}", mistake.code, mistake.place))
                    .collect(),
            }
        };
        let with = |args: Value| json!({"file": "rules/scripts/s.rhai", "args": args});
        for (script, rule, wanted) in [
            (
                "let a = 1;\n#{ x: b }",
                rule(),
                "unknown-name rules/scripts/s.rhai:2:7",
            ),
            (
                "#{ x: args.n }",
                rule(),
                "unknown-name rules/scripts/s.rhai:1:7",
            ),
            (
                "#{ x: args.n }",
                with(json!({"m": 1})),
                "unknown-property rules/scripts/s.rhai:1:12",
            ),
            (
                "#{ x: args.m.n }",
                with(json!({"m": 1})),
                "unknown-property rules/scripts/s.rhai:1:14",
            ),
            (
                "let a = 1;\na",
                rule(),
                "script-facts rules/scripts/s.rhai:2:1",
            ),
            (
                "let a = ;",
                rule(),
                "bad-expression rules/scripts/s.rhai:1:9",
            ),
            ("", rule(), "empty-expression rules/scripts/s.rhai:1:1"),
        ] {
            assert_eq!(place(script, rule), [wanted], "{script}");
        }
        for (rule, wanted) in [
            (json!({}), "missing-key"),
            (json!({"file": "rules/scripts/t.rhai"}), "missing-script"),
            (json!({"file": "${vars.name}"}), "missing-script"),
            (
                json!({"file": "rules/scripts/s.rhai", "arg": {}}),
                "unknown-key",
            ),
            (with(json!({"n": "${lenn}"})), "unknown-name"),
        ] {
            let codes = Bench::new()
                .with_script("s", "#{ x: 1 }")
                .codes(&KIND, rule.clone());
            assert_eq!(codes, [wanted], "{rule}");
        }
        assert_eq!(
            place("#{ x: args.m.n }", with(json!({"m": "${vars.name}"}))),
            Vec::<String>::new()
        );
    }
}
