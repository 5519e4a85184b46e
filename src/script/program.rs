//! A script: a file of statements in the strict language, the last of which gives its value.
//!
//! | script of | sees | gives |
//! |---|---|---|
//! | a probe | `args`, `vars`, `env(…)`, `now`, and through functions that look: files, other checks | a map, the facts |
//! | a step | `args`, `vars`, `env(…)`, `now` | a list of steps |
//!
//! Neither can do anything: it has no function that acts. Operations are counted as they are for expressions, so every
//! script ends.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Component, Path},
    sync::Arc,
};

use rhai::Position;
use serde_json::{Map, Value};

use super::{
    Engine, Expr, Fault, Host, Known, Scope,
    exits::{self, Exit},
    host,
    parse::{Form, place},
    scope::RESERVED,
};
use crate::model::{
    facts::Facts,
    text::{Mistake, Place, Text, meant},
};

/// The scripts of a book, by their paths below the rules directory: `scripts/x.rhai`.
#[derive(Debug, Default)]
pub struct Scripts(BTreeMap<String, Option<Text>>);

impl Scripts {
    /// Adds a script. `file` is how complaints name it; no text: it could not be read, and that is told already.
    pub fn add(&mut self, path: impl Into<String>, file: Arc<str>, text: Option<&str>) {
        let placed = |text: &str| {
            let mut marks = Vec::with_capacity(text.len() + 1);
            let (mut line, mut column) = (1, 1);
            for character in text.chars() {
                marks.push((line, column));
                match character {
                    '\n' => (line, column) = (line + 1, 1),
                    _ => column += 1,
                }
            }
            marks.push((line, column));
            let (line, column) = (1, 1);
            Text::placed(text, Place { file, line, column }, Some(marks.into()))
        };
        self.0.insert(path.into(), text.map(placed));
    }

    /// The script that a rule names, `rules/scripts/x.rhai`: a leading `rules/` stands for the rules directory, wherever
    /// it is. `None`, with a mistake, if there is none; without one if it cannot be read.
    pub fn find(&self, file: &Text, mistakes: &mut Vec<Mistake>) -> Option<&Text> {
        if let Some(path) = below(file.as_str())
            && let Some(text) = self.0.get(&path)
        {
            return text.as_ref();
        }
        let names = || self.0.keys().map(|path| format!("rules/{path}"));
        let known: Vec<String> = names().collect();
        let help = match meant(file.as_str(), known.iter().map(String::as_str)) {
            Some(name) => format!("did you mean `{name}`?"),
            None if known.is_empty() => {
                "scripts stand below rules/scripts/ and end with .rhai".to_owned()
            }
            None => format!("there are {}", known.join(", ")),
        };
        let message = format!("there is no script `{file}`");
        mistakes.push(Mistake::new("missing-script", message, file.place()).help(help));
        None
    }

    /// The text of the script that a text of a rule names, if it does.
    pub fn named(&self, text: &str) -> Option<&str> {
        self.0.get(&below(text)?)?.as_ref().map(Text::as_str)
    }

    /// The text of each script by the name it has in complaints.
    pub fn texts(&self) -> HashMap<Arc<str>, Arc<str>> {
        let texts = self.0.values().flatten();
        texts
            .map(|text| (text.place().file, text.as_str().into()))
            .collect()
    }
}

/// The path below the rules directory.
fn below(file: &str) -> Option<String> {
    let path = Path::new(file);
    let path = path.strip_prefix("rules").unwrap_or(path);
    let plain = path
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    (plain && file.ends_with(".rhai")).then(|| path.to_str().map(str::to_owned))?
}

/// A compiled script. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Program {
    expr: Expr,
    facts: Map<String, Value>,
    asks: Arc<[Text]>,
}

impl Program {
    /// The script of a probe. Every place where it ends must be a map written out, with the same names: those are its
    /// facts.
    pub fn of_probe(
        engine: &Engine,
        text: &Text,
        known: &Known,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<Program> {
        let form = Form::Script { looks: true };
        let (expr, parsed, asks) = Expr::compile_as(form, engine, text, known, mistakes)?;
        let before = mistakes.len();
        let facts = facts(text, &exits::exits(&parsed), mistakes);
        let asks = asks
            .into_iter()
            .map(|(name, at)| Text::placed(name, place(text, at), None));
        (mistakes.len() == before).then(|| Program {
            expr,
            facts,
            asks: asks.collect(),
        })
    }

    /// The script of a step.
    pub fn of_step(
        engine: &Engine,
        text: &Text,
        known: &Known,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<Program> {
        let form = Form::Script { looks: false };
        let (expr, ..) = Expr::compile_as(form, engine, text, known, mistakes)?;
        Some(Program {
            expr,
            facts: Map::new(),
            asks: Arc::default(),
        })
    }

    pub fn text(&self) -> &Text {
        self.expr.text()
    }

    /// Sample facts of a probe's script, as far as its text tells.
    pub fn shape(&self) -> Facts {
        let mut facts = Facts::new();
        for (name, value) in &self.facts {
            facts.set(name.clone(), value.clone());
        }
        facts
    }

    /// The checks it asks about.
    pub fn asks(&self) -> &[Text] {
        &self.asks
    }

    /// Runs it. What it looks with is the host; without one it cannot look.
    pub fn run(
        &self,
        engine: &Engine,
        scope: &Scope<'_>,
        host: Option<Arc<dyn Host>>,
    ) -> Result<Value, Fault> {
        let _lent = host::lend(host);
        self.expr.value(engine, scope)
    }
}

/// The facts that all ends have in common, if they have the same.
fn facts(text: &Text, exits: &[Exit<'_>], mistakes: &mut Vec<Mistake>) -> Map<String, Value> {
    let mut all: Option<Map<String, Value>> = None;
    for exit in exits {
        let Some(facts) = exit.value.and_then(exits::facts) else {
            mistakes.push(unknown(text, exit.position));
            continue;
        };
        let odd = |name: &&String| {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
            !name.chars().all(plain)
                || name.starts_with(|c: char| c.is_ascii_digit())
                || RESERVED.contains(&name.as_str())
        };
        if let Some(name) = facts.keys().find(odd) {
            let message = format!("`{name}` is no name for a fact");
            mistakes.push(
                Mistake::new("script-facts", message, place(text, exit.position)).help(format!(
                    "a name has letters, digits and `_`; {} mean something by themselves",
                    RESERVED.join(", ")
                )),
            );
        }
        all = Some(match all {
            None => facts,
            Some(first) if first.keys().eq(facts.keys()) => {
                match exits::common(&Value::Object(first), &Value::Object(facts)) {
                    Value::Object(facts) => facts,
                    _ => Map::new(),
                }
            }
            Some(first) => {
                let names: Vec<&str> = first.keys().map(String::as_str).collect();
                mistakes.push(
                    Mistake::new(
                        "script-facts",
                        "here the script ends with other facts than elsewhere",
                        place(text, exit.position),
                    )
                    .help(format!("elsewhere it gives {}", names.join(", "))),
                );
                first
            }
        });
    }
    all.unwrap_or_default()
}

fn unknown(text: &Text, position: Position) -> Mistake {
    Mistake::new(
        "script-facts",
        "the script must end with a map that is written out",
        place(text, position),
    )
    .help("write the facts by name, like `#{ count: n, worst: w }`: so they are known at load")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::script::Ground;

    struct Files;

    impl Host for Files {
        fn ask(&self, function: &str, args: Vec<Value>) -> Result<Arc<Value>, String> {
            match (function, &args[..]) {
                ("read_json", [Value::String(path)]) if path == "data/x.json" => {
                    Ok(Arc::new(json!({"list": [1, 2], "n": 3, "deep": {"a": 1}})))
                }
                ("read_text", _) => Ok(Arc::new(Value::Null)),
                (_, args) => Err(format!("cannot {function} {args:?}")),
            }
        }
    }

    fn marked(source: &str) -> Text {
        let mut scripts = Scripts::default();
        scripts.add(
            "scripts/x.rhai",
            "rules/scripts/x.rhai".into(),
            Some(source),
        );
        let found = scripts.find(&Text::bare("rules/scripts/x.rhai"), &mut Vec::new());
        found.expect("it is there").clone()
    }

    fn known() -> Known {
        Known::ground(&Map::new()).with(
            "args",
            Some(json!({"limit": 2, "list": [3, 1, 2], "any": null})),
        )
    }

    fn compiled(source: &str) -> Result<Program, String> {
        let mut mistakes = Vec::new();
        let engine = Engine::new();
        Program::of_probe(&engine, &marked(source), &known(), &mut mistakes).ok_or_else(|| {
            let told = mistakes.iter().map(|mistake| {
                let help = mistake.help.as_ref().map(|help| format!(" ({help})"));
                let Mistake { place, message, .. } = mistake;
                format!(
                    "{}:{} {message}{}",
                    place.line,
                    place.column,
                    help.unwrap_or_default()
                )
            });
            told.collect::<Vec<_>>().join("\n")
        })
    }

    /// What `#{ x: … }` gives under `x`, or `FAULT …`, or what is wrong at load.
    fn ran(source: &str) -> String {
        let program = match compiled(source) {
            Ok(program) => program,
            Err(told) => return told,
        };
        let engine = Engine::new();
        let ground = Ground::default();
        let mut scope = Scope::new(&ground);
        scope.bind("args", json!({"limit": 2, "list": [3, 1, 2], "any": [1]}));
        match program.run(&engine, &scope, Some(Arc::new(Files))) {
            Ok(value) => value["x"].to_string(),
            Err(fault) => format!(
                "FAULT {}:{} {}",
                fault.place.line, fault.place.column, fault.message
            ),
        }
    }

    #[track_caller]
    fn table(rows: &[(&str, &str)]) {
        let wrong = rows.iter().filter_map(|(source, wanted)| {
            let answer = ran(source);
            (answer != *wanted).then(|| format!("({source:?}, {answer:?}),"))
        });
        let wrong: Vec<String> = wrong.collect();
        assert!(
            wrong.is_empty(),
            "{} differ:\n{}",
            wrong.len(),
            wrong.join("\n")
        );
    }

    #[test]
    fn statements_do_what_they_say() {
        table(&[
            ("#{ x: 1 }", "1"),
            ("#{ x: 1 };", "1"),
            ("let a = 1; a += args.limit; a = a * 2; #{ x: a }", "6"),
            (
                "let sum = 0; for n in args.list { sum += n; } #{ x: sum }",
                "6",
            ),
            (
                "let sum = 0; for n in 0..4 { if n == 2 { continue; } sum += n; } #{ x: sum }",
                "4",
            ),
            ("let sum = 0; for n in 1..=3 { sum += n } #{ x: sum }", "6"),
            (
                "let l = []; for (n, i) in args.list { l.push([i, n]); } #{ x: l }",
                "[[0,3],[1,1],[2,2]]",
            ),
            ("let n = 0; while n < 5 { n += 1; } #{ x: n }", "5"),
            (
                "let n = 0; loop { n += 1; if n > 3 { break; } } #{ x: n }",
                "4",
            ),
            ("let n = 0; do { n += 1; } while n < 3; #{ x: n }", "3"),
            (
                "if args.limit > 1 { return #{ x: \"early\" }; } #{ x: \"late\" }",
                "\"early\"",
            ),
            (
                "let m = #{}; m.a = 1; m[\"b\"] = 2; m.a += 5; #{ x: m }",
                "{\"a\":6,\"b\":2}",
            ),
            (
                "let m = #{ n: 0 }; for n in args.list { m.n += n; } #{ x: m.n }",
                "6",
            ),
            (
                "let l = args.list; l.push(9); l[0] = 7; #{ x: l + args.list }",
                "[7,1,2,9,3,1,2]",
            ),
            (
                "let d = read_json(\"data/x.json\"); d.n += 1; d.list.len(); #{ x: d }",
                "1:45 this value is used for nothing (give it a name with `let`, or take it out)",
            ),
            (
                "let d = read_json(\"data/x.json\"); d.n += 1; let l = d.list; l.push(d.n); #{ x: l }",
                "[1,2,4]",
            ),
            (
                "let k = 10; let l = args.list.filter(|n| n < k - 8).map(|n| { let m = n * k; m + 1 }); #{ x: l }",
                "[11]",
            ),
            (
                "let k = 1; let add = |n| n + k; k = 100; #{ x: args.list.map(add) }",
                "[4,2,3]",
            ),
            (
                "let a = if args.limit > 1 { let b = 2; b * 2 } else { 0 }; #{ x: a }",
                "4",
            ),
            ("let a = 1; { let a = 2; a += 1; } #{ x: a }", "1"),
            (
                "let t = switch args.limit { 2 => \"two\", _ => \"other\" }; #{ x: t }",
                "\"two\"",
            ),
            ("switch args.limit { 2 => #{ x: 2 }, _ => #{ x: 0 } }", "2"),
            ("const A = 2; #{ x: `a ${A}` }", "\"a 2\""),
            ("// a comment\nlet args2 = args; #{ x: args2.limit }", "2"),
            (
                "let found = (); for n in args.list { if n < 3 { found = n; break; } } #{ x: found }",
                "1",
            ),
            ("let now = 3; #{ x: now }", "3"),
            ("#{ x: read_text(\"none\") == () }", "true"),
            ("let r = 0; for n in [] { r = 1; } #{ x: r }", "0"),
        ]);
    }

    #[test]
    fn what_is_wrong_is_found_at_load_at_its_character() {
        table(&[
            (
                "let a = 1;\nlet b = lenn;\n#{ x: b }",
                "2:9 unknown name `lenn` (known here: args, now, vars)",
            ),
            (
                "#{ x: args.limt }",
                "1:12 no property `limt` (did you mean `limit`?)",
            ),
            (
                "let a = 1; a",
                "1:12 the script must end with a map that is written out (write the facts by name, like `#{ count: n, worst: w }`: so they are known at load)",
            ),
            (
                "if args.limit > 1 { return #{ y: 1 }; }\n#{ x: 1 }",
                "2:1 here the script ends with other facts than elsewhere (elsewhere it gives y)",
            ),
            (
                "if args.limit > 1 { #{ x: 1 } }",
                "1:1 this `if` has no value when its condition does not hold (add an `else { … }`)",
            ),
            (
                "let a = 1;",
                "1:1 this gives no value (the last line gives it: write one, like `#{ count: n }`)",
            ),
            (
                "args = 1; #{ x: 1 }",
                "1:1 `args` cannot be changed here (make it first: `let args = …;`)",
            ),
            (
                "const A = 1; A = 2; #{ x: 1 }",
                "1:14 cannot assign to constant A",
            ),
            (
                "for n in args.list { n = 1; } #{ x: 1 }",
                "1:22 `n` cannot be changed here (make another name: `let other = n;`)",
            ),
            (
                "let s = 0; let l = args.list.map(|n| { s += n; s }); #{ x: s }",
                "1:40 `s` cannot be changed here (a function has a copy of it; use a `for` loop instead)",
            ),
            (
                "let m = #{ a: #{} }; m.a.b = 1; #{ x: m }",
                "1:22 only an item of a list or map of the script's own can be changed, not what is inside of it (make the inner list or map first, then put it in: `all[name] = inner;`)",
            ),
            (
                "fn f(n) { f(n + 1) } #{ x: f(0) }",
                "1:9 the function `f` cannot be defined here (write `let NAME = |x| …;` and hand it to `map`, `filter` and the like)\n1:28 unknown function `f` (the functions are listed in docs/rules.md)",
            ),
            (
                "let l = []; #{ x: l.push(1) }",
                "1:21 unknown function `push` (it changes a list of the script's own, on a line of its own: `list.push(x);`)",
            ),
            (
                "try { #{ x: 1 } } catch { #{ x: 2 } }",
                "1:1 this statement cannot stand in a script (there are let, const, =, if, switch, for, while, loop, return and throw)\n1:1 this gives no value (the last line gives it: write one, like `#{ count: n }`)",
            ),
            (
                "let a = 1\nlet b = 2; #{ x: 1 }",
                "2:1 `let` cannot stand here (a `;` or an operator is missing before it)",
            ),
            (
                "let n = \"b\"; #{ x: status_of(n) }",
                "1:20 the check is not named here (write its name in quotes, so that it is known at load: `status_of(\"NAME\")`)",
            ),
            (
                "import \"a\" as b; #{ x: 1 }",
                "1:1 `import` cannot be used in rules (an expression only looks at its names and gives a value)",
            ),
            (
                "{ let inner = 1; } #{ x: inner }",
                "1:26 unknown name `inner` (known here: args, now, vars)",
            ),
            (
                "write_file(\"a\", \"b\"); #{ x: 1 }",
                "1:1 unknown function `write_file` (the functions are listed in docs/rules.md)\n1:1 this value is used for nothing (give it a name with `let`, or take it out)",
            ),
        ]);
    }

    #[test]
    fn scripts_are_as_strict_as_expressions() {
        table(&[
            (
                "let d = read_json(\"data/x.json\");\n#{ x: d.nn }",
                "FAULT 2:9 no property `nn`; there are list, n, deep",
            ),
            (
                "let n = 1; n[0] = true; #{ x: n }",
                "FAULT 1:12 number 1 has no items to change",
            ),
            (
                "let n = 1; n += \"a\"; #{ x: n }",
                "FAULT 1:14 cannot calculate number 1 + text `a`",
            ),
            (
                "let l = [1]; l[5] = 2; #{ x: l }",
                "FAULT 1:16 no item 5; there are 1",
            ),
            (
                "for n in args { } #{ x: 1 }",
                "FAULT 1:10 a map of limit, list, any is not a list",
            ),
            (
                "if args.any { } #{ x: 1 }",
                "FAULT 1:8 expected true or false, found a map or list",
            ),
            (
                "throw \"no such thing\"; #{ x: 1 }",
                "FAULT 1:1 no such thing",
            ),
            (
                "throw `${args.limit} things`; #{ x: 1 }",
                "FAULT 1:1 2 things",
            ),
            (
                "#{ x: read_json(\"data/none.json\") }",
                "FAULT 1:7 cannot read_json [String(\"data/none.json\")]",
            ),
        ]);
    }

    #[test]
    fn nothing_runs_for_ever_or_fills_the_memory() {
        for source in [
            "loop { } #{ x: 1 }",
            "let n = 0; while true { n += 1; } #{ x: n }",
            "let t = \"xxxxxxxxxxxxxxxx\"; loop { t += t; } #{ x: 1 }",
            "let l = [1]; loop { l += l; } #{ x: 1 }",
            "let l = []; loop { l.push(l); } #{ x: 1 }",
            "let m = #{}; let n = 0; loop { n += 1; m[`k${n}`] = m; } #{ x: 1 }",
            "let t = \"x\"; for n in 0..22 { t += t; } let l = []; loop { l.push(t + \"y\"); } #{ x: 1 }",
            "let t = \"x\"; for n in 0..22 { t += t; } let l = []; loop { l.push(`${t}y`); } #{ x: 1 }",
            "let t = \"x\"; for n in 0..22 { t += t; } let l = []; loop { l.push([t, t].join()); } #{ x: 1 }",
            "for a in 0..1000000000000 { } #{ x: 1 }",
            "for a in 0..1000 { for b in 0..1000 { for c in 0..1000 { } } } #{ x: 1 }",
            "loop { let d = read_json(\"data/x.json\"); } #{ x: 1 }",
        ] {
            let told = ran(source);
            assert!(
                told.contains("too much")
                    || told.contains("too large")
                    || told.contains("too slow")
                    || told.contains("the list has"),
                "{source}: {told}"
            );
        }
        let deep = format!("#{{ x: {}1{} }}", "[".repeat(100), "]".repeat(100));
        assert!(ran(&deep).contains("nested too deeply"));
        let blocks = format!(
            "{}{} #{{ x: 1 }}",
            "if true { ".repeat(100),
            "}".repeat(100)
        );
        assert!(ran(&blocks).contains("nested too deeply"));
        let long = format!("{}#{{ x: 1 }}", " ".repeat(60_000));
        assert!(ran(&long).contains("the script is longer than 60000 characters"));
    }

    /// A stack that overflows ends the whole engine.
    #[test]
    fn nothing_is_nested_so_deeply_that_the_stack_ends() {
        let many = |one: &str, count: usize| one.repeat(count);
        let sources = [
            format!("{}1{}", many("[1].map(|a|", 4000), many(")", 4000)),
            format!("{}true", many("!", 50_000)),
            format!("{}1", many("-", 50_000)),
            format!("{}1", many("- ", 25_000)),
            format!("{} {{ 1 }}", many("if false { 1 } else ", 2500)),
            format!("args{}", many(".a", 29_000)),
            format!("args{}", many("[0]", 19_000)),
            format!("args{}", many(".len()", 9_000)),
            format!("1{}", many(" ?? 1", 11_000)),
            format!("true{}", many(" && true", 7_000)),
            format!("1{}", many(" + 1", 14_000)),
            format!("1{}", many("**1", 19_000)),
            format!("1{}", many("==1", 19_000)),
            format!("1{}", many(" in []", 9_000)),
            format!("{}1{}", many("`${", 9_000), many("}`", 9_000)),
            format!("{}1{}", many("#{a:", 9_000), many("}", 9_000)),
            format!("{}1{}", many("{", 29_000), many("}", 29_000)),
            format!("{}1{}", many("switch 1 { _ => ", 2000), many("}", 2000)),
            format!("{}#{{ x: 1 }}", many("let a = 1;", 5_000)),
            format!(
                "{}1{}",
                many("let a = if true { ", 2000),
                many("} else { 1 };", 2000)
            ),
            format!("{}{}", many("while false { ", 3000), many("}", 3000)),
            format!("{}{}", many("for a in [] { ", 3000), many("}", 3000)),
            format!("{}#{{ x: 1 }}", many("/*", 25_000)),
        ];
        let engine = Engine::new();
        for source in sources {
            for source in [
                source.clone(),
                format!("#{{ x: {source} }}"),
                source.chars().take(19_990).collect(),
            ] {
                let mut mistakes = Vec::new();
                if let Some(program) = Program::of_probe(
                    &engine,
                    &Text::bare(source.as_str()),
                    &known(),
                    &mut mistakes,
                ) {
                    let ground = Ground::default();
                    let mut scope = Scope::new(&ground);
                    scope.bind("args", json!({}));
                    let _ = program.run(&engine, &scope, None);
                }
                if let Some(expr) = Expr::compile(
                    &engine,
                    &Text::bare(source.as_str()),
                    &known(),
                    &mut mistakes,
                ) {
                    let ground = Ground::default();
                    let mut scope = Scope::new(&ground);
                    scope.bind("args", json!({}));
                    let _ = expr.value(&engine, &scope);
                }
            }
        }
    }

    #[test]
    fn the_facts_are_read_off_the_text() {
        let shape = |source: &str| compiled(source).expect("no mistakes").shape().to_json();
        assert_eq!(
            shape(
                "#{ n: 1, t: `a`, list: [#{ a: 1 }, #{ a: 2.5 }], m: #{ b: args.any }, any: args.limit }"
            ),
            json!({"n": 1, "t": "a", "list": [{"a": 1}], "m": {"b": null}, "any": null})
        );
        assert_eq!(
            shape(
                "if args.limit > 1 { return #{ n: 1, s: \"a\" }; } let b = 2; #{ n: b, s: \"c\" }"
            ),
            json!({"n": null, "s": "a"})
        );
        let asks = compiled("#{ a: status_of(\"one\"), b: status_of(\"two\").status }");
        let asks = asks.expect("no mistakes").asks().to_vec();
        assert_eq!(asks, [Text::bare("one"), Text::bare("two")]);
    }

    #[test]
    fn the_script_of_a_step_looks_at_nothing() {
        let engine = Engine::new();
        let mut mistakes = Vec::new();
        let text = marked("[#{ remove_file: #{ file: read_text(\"x\") } }]");
        assert!(Program::of_step(&engine, &text, &known(), &mut mistakes).is_none());
        let help = mistakes[0].help.clone().unwrap_or_default();
        assert!(help.starts_with("the script of a step only reads what it is given"));
        mistakes.clear();
        let text = marked("let all = []; for n in args.list { all.push(#{ n: n }); } all");
        let program = Program::of_step(&engine, &text, &known(), &mut mistakes);
        let ground = Ground::default();
        let mut scope = Scope::new(&ground);
        scope.bind("args", json!({"list": [1, 2]}));
        let gave = program.expect("no mistakes").run(&engine, &scope, None);
        assert_eq!(gave, Ok(json!([{"n": 1}, {"n": 2}])));
    }

    #[test]
    fn a_script_is_found_below_the_rules_and_nowhere_else() {
        let mut scripts = Scripts::default();
        scripts.add(
            "scripts/lag.rhai",
            "r/scripts/lag.rhai".into(),
            Some("#{ a: 1 }"),
        );
        scripts.add("scripts/bad.rhai", "r/scripts/bad.rhai".into(), None);
        let find = |file: &str| {
            let mut mistakes = Vec::new();
            let found = scripts.find(&Text::bare(file), &mut mistakes).is_some();
            (found, mistakes.pop().and_then(|mistake| mistake.help))
        };
        assert_eq!(find("rules/scripts/lag.rhai"), (true, None));
        assert_eq!(find("scripts/lag.rhai"), (true, None));
        assert_eq!(
            find("rules/scripts/bad.rhai"),
            (false, None),
            "told elsewhere"
        );
        let help = Some("did you mean `rules/scripts/lag.rhai`?".to_owned());
        assert_eq!(find("rules/scripts/lagg.rhai"), (false, help));
        for file in [
            "",
            "rules/../rules/scripts/lag.rhai",
            "/etc/passwd",
            "rules/scripts/lag.rhai/",
            "rules/scripts/lag",
            "./x",
        ] {
            assert!(!find(file).0, "{file}");
            assert!(find(file).1.is_some(), "{file}");
        }
        assert_eq!(scripts.named("rules/scripts/lag.rhai"), Some("#{ a: 1 }"));
        assert_eq!(scripts.named("data/x.json"), None);
    }

    #[test]
    fn a_fact_has_a_name_that_expressions_can_read() {
        for (source, told) in [
            ("#{ \"a-b\": 1 }", "1:1 `a-b` is no name for a fact"),
            ("#{ now: 1 }", "1:1 `now` is no name for a fact"),
        ] {
            let found = compiled(source).expect_err("refused");
            assert!(found.starts_with(told), "{found}");
        }
    }

    #[test]
    fn a_panic_leaves_no_host_behind() {
        struct Panics;
        impl Host for Panics {
            fn ask(&self, _: &str, _: Vec<Value>) -> Result<Arc<Value>, String> {
                panic!("while looking")
            }
        }
        let engine = Engine::new();
        let program = compiled("#{ x: exists(\"a\") }").expect("no mistakes");
        let ground = Ground::default();
        let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            program.run(&engine, &Scope::new(&ground), Some(Arc::new(Panics)))
        }));
        assert!(unwound.is_err());
        assert!(host::ask("exists", Vec::new()).is_err());
    }
}
