//! What is found at load, each mistake at its own character.

use serde_json::json;

use super::{
    super::{Engine, Expr, Known, Scope, expr},
    ground, marked, table, told,
};
use crate::model::{facts::Facts, text::Text};

#[test]
fn mistakes_are_found_at_load_all_at_once() {
    table(&[
        (
            "",
            "LOAD 1: the expression is empty (write what is to be evaluated, or leave the key out)",
        ),
        (
            "  ",
            "LOAD 1: the expression is empty (write what is to be evaluated, or leave the key out)",
        ),
        (
            "agee_s > 3 && exsts",
            "LOAD 1: unknown name `agee_s` (did you mean `age_s`?); LOAD 15: unknown name `exsts` (did you mean `exists`?)",
        ),
        (
            "records.mea(\"score\") > lenght",
            "LOAD 9: unknown function `mea` (did you mean `mean`?); LOAD 24: unknown name `lenght` (known here: age_s, big, doc, empty, exists, huge, list, n, name, nothing, now, prev, records, vars)",
        ),
        (
            "doc.get(\"a\")",
            "LOAD 5: `get` cannot take 1 value here (write `x.get(\"name\", default)`)",
        ),
        (
            "get(doc, \"a\")",
            "LOAD 1: `get` cannot take 2 values here (write `x.get(\"name\", default)`)",
        ),
        (
            "n()",
            "LOAD 1: unknown function `n` (`n` is a value: write it without ( ))",
        ),
        (
            "if exists { 1 }",
            "LOAD 1: this `if` has no value when its condition does not hold (add an `else { … }`)",
        ),
        (
            "switch n { 1 => true }",
            "LOAD 1: this `switch` has no value when no case fits (add a case `_ => …`)",
        ),
        (
            "let x = 1; x",
            "LOAD 1: a name cannot be made inside an expression (give the value a name under `let:`)",
        ),
        (
            "n = 5",
            "LOAD 3: nothing can be assigned in an expression (write `==` to compare)",
        ),
        (
            "n += 5",
            "LOAD 3: nothing can be assigned in an expression (write `==` to compare)",
        ),
        (
            "while true { 1 }",
            "LOAD 1: a statement cannot stand in an expression (an expression is one value; functions of lists take the place of loops)",
        ),
        (
            "for x in list { x }",
            "LOAD 1: a statement cannot stand in an expression (an expression is one value; functions of lists take the place of loops)",
        ),
        (
            "loop { 1 }",
            "LOAD 1: a statement cannot stand in an expression (an expression is one value; functions of lists take the place of loops)",
        ),
        (
            "return 1",
            "LOAD 1: a statement cannot stand in an expression (an expression is one value; functions of lists take the place of loops)",
        ),
        (
            "throw 1",
            "LOAD 1: a statement cannot stand in an expression (an expression is one value; functions of lists take the place of loops)",
        ),
        (
            "fn f() { 1 } f()",
            "LOAD 8: the function `f` cannot be defined here (give the value a name under `let:`); LOAD 14: unknown function `f` (the functions are listed in docs/rules.md)",
        ),
        (
            "exists; n",
            "LOAD 9: there is more than one value here (an expression is one value; join conditions with `&&` or `||`)",
        ),
        ("exists;", "true"),
        (
            "n > ",
            "LOAD 5: the expression ends too early (something is missing at its end)",
        ),
        (
            "n > 3)",
            "LOAD 6: `)` cannot stand here (nothing was opened that it closes)",
        ),
        ("(n > 3", "LOAD 7: a `)` is missing"),
        (
            "n > 3 and exists",
            "LOAD 7: `and` cannot stand here (write `&&`)",
        ),
        ("n is 3", "LOAD 3: `is` cannot stand here (write `==`)"),
        (
            "doc.default",
            "LOAD 5: `default` is a word of Rhai (a key with that name is read `doc[\"default\"]`)",
        ),
        (
            "doc == null",
            "LOAD 8: `null` is no value (write `()` for nothing)",
        ),
        (
            "doc == None",
            "LOAD 8: unknown name `None` (write `()` for nothing)",
        ),
        (
            "this.x",
            "LOAD 1: `this` is a word of Rhai (a key with that name is read `doc[\"this\"]`)",
        ),
        ("a::b", "LOAD 4: there are no modules in rules"),
        ("\"abc", "LOAD 1: the text does not end (a `\"` is missing)"),
        (
            "n.call(1)",
            "LOAD 3: unknown function `call` (did you mean `all`?)",
        ),
        (
            "Fn(\"x\")",
            "LOAD 1: `Fn` cannot be used in rules (an expression only looks at its names and gives a value)",
        ),
        (
            "list.curry(1)",
            "LOAD 6: unknown function `curry` (the functions are listed in docs/rules.md)",
        ),
        (
            "1..5",
            "LOAD 2: a range stands only behind `in` (write `x in 1..5`)",
        ),
        (
            "list[0..1]",
            "LOAD 7: a range stands only behind `in` (write `x in 1..5`)",
        ),
        (
            "true && 5",
            "LOAD 9: expecting a boolean expression, not a number",
        ),
        (
            "!5",
            "LOAD 2: a condition is needed here, and this is a number (compare it with something)",
        ),
        (
            "strict_property(doc, \"base\")",
            "LOAD 1: unknown function `strict_property` (the functions are listed in docs/rules.md)",
        ),
        (
            "is_shared(n)",
            "LOAD 1: unknown function `is_shared` (the functions are listed in docs/rules.md)",
        ),
        (
            "doc.debug",
            "LOAD 5: `debug` is a word of Rhai (a key with that name is read `doc[\"debug\"]`)",
        ),
        (
            "doc.print",
            "LOAD 5: `print` is a word of Rhai (a key with that name is read `doc[\"print\"]`)",
        ),
        (
            "doc.call",
            "LOAD 5: `call` is a word of Rhai (a key with that name is read `doc[\"call\"]`)",
        ),
        (
            "doc.type_of",
            "LOAD 5: `type_of` is a word of Rhai (a key with that name is read `doc[\"type_of\"]`)",
        ),
        (
            "doc.this",
            "LOAD 5: `this` is a word of Rhai (a key with that name is read `doc[\"this\"]`)",
        ),
        (
            "doc.in",
            "LOAD 5: `in` is a word of Rhai (a key with that name is read `doc[\"in\"]`)",
        ),
        (
            "doc.if > 3",
            "LOAD 5: `if` is a word of Rhai (a key with that name is read `doc[\"if\"]`)",
        ),
        (
            "doc.exit",
            "FAULT 5: no property `exit`; there are base, canary, none, len, deep",
        ),
        (
            "doc.let",
            "FAULT 5: no property `let`; there are base, canary, none, len, deep",
        ),
        (
            "doc.status",
            "FAULT 5: no property `status`; there are base, canary, none, len, deep",
        ),
        (
            "doc.fn",
            "LOAD 5: `fn` is a word of Rhai (a key with that name is read `doc[\"fn\"]`)",
        ),
        (
            "doc[\"fn\"]",
            "FAULT 5: no property `fn`; there are base, canary, none, len, deep",
        ),
        (
            "n.is_shared()",
            "LOAD 3: unknown function `is_shared` (the functions are listed in docs/rules.md)",
        ),
    ]);
}

#[test]
fn known_shapes_are_checked_at_load() {
    let known = Known::ground(&serde_json::Map::new()).with_facts(
        &Facts::from_json(json!({
            "exists": true,
            "age_s": 12.5,
            "doc": null,
            "any": {},
            "run": {"records": [], "count": 3, "doc": null},
            "files": [{"path": "a", "age_s": 1.0, "meta": null}],
            "source": "text",
        }))
        .unwrap(),
    );
    let engine = Engine::new();
    let mistakes = |source: &str| {
        let mut mistakes = Vec::new();
        Expr::compile(&engine, &marked(source), &known, &mut mistakes);
        told(&mistakes)
    };
    for fine in [
        "doc.x.y[3].z > 1",
        "any.x > 1",
        "run.doc.x",
        "run.records.count(|c| c.get(\"orders\", 0) == 0) > run.count",
        "files.filter(|f| f.age_s > 300).pluck(\"path\")",
        "files[0].meta.x",
        "files.len > 0 && source.len > 3",
        "run.get(\"count\", 0)",
        "files.first().path",
        "run[\"count\"]",
    ] {
        assert_eq!(mistakes(fine), "", "{fine}");
    }
    let wrong = [
        "run.cuont > 3 && exist",
        "run[\"cuont\"]",
        "run.get(\"cuont\", 0)",
        "run.count.x",
        "exists.x",
        "files.path",
        "files.any(|f| f.age > 3)",
        "files.filter(|f| f.age_s > 3).map(|g| g.pth)",
        "files[0].pth",
        "files.last().pth",
        "source.foo",
        "age_s[0]",
        "exists && run.count",
        "vars.x",
        "run.count && exists || !source",
    ]
    .map(|source| format!("{source}\n    {}", mistakes(source)));
    insta::assert_snapshot!(wrong.join("\n"), @r##"
    run.cuont > 3 && exist
        LOAD 5: no property `cuont` (did you mean `count`?); LOAD 18: unknown name `exist` (did you mean `exists`?)
    run["cuont"]
        LOAD 5: no property `cuont` (did you mean `count`?)
    run.get("cuont", 0)
        LOAD 9: no property `cuont` (did you mean `count`?)
    run.count.x
        LOAD 11: a number has no property `x`
    exists.x
        LOAD 8: a boolean has no property `x`
    files.path
        LOAD 7: a list has no property `path` (each of its items may: `.pluck("path")`)
    files.any(|f| f.age > 3)
        LOAD 17: no property `age` (there are path, age_s, meta)
    files.filter(|f| f.age_s > 3).map(|g| g.pth)
        LOAD 41: no property `pth` (did you mean `path`?)
    files[0].pth
        LOAD 10: no property `pth` (did you mean `path`?)
    files.last().pth
        LOAD 14: no property `pth` (did you mean `path`?)
    source.foo
        LOAD 8: a text has no property `foo`
    age_s[0]
        LOAD 7: an integer has no items (`[…]` reads an item of a list or map)
    exists && run.count
        LOAD 11: a condition is needed here, and this is a number (compare it with something)
    vars.x
        LOAD 6: no property `x` (there are none)
    run.count && exists || !source
        LOAD 1: a condition is needed here, and this is a number (compare it with something); LOAD 25: a condition is needed here, and this is a text (compare it with something)
    "##);
}

#[test]
fn circles_among_lets_are_found() {
    let engine = Engine::new();
    let known = Known::default()
        .with("a", None)
        .with("b", None)
        .with("c", None)
        .with("x", None);
    let expr = |source| Expr::compile(&engine, &marked(source), &known, &mut Vec::new()).unwrap();
    let lets = |sources: &[(&str, &'static str)]| -> Vec<(String, Expr)> {
        let named = sources
            .iter()
            .map(|(name, source)| ((*name).to_owned(), expr(*source)));
        named.collect()
    };
    assert_eq!(
        expr::cycle(&lets(&[("a", "b + x"), ("b", "x"), ("c", "a + b")])),
        None
    );
    let circle = lets(&[("c", "x + b"), ("a", "c"), ("b", "[1].map(|x| a)")]);
    let names = expr::cycle(&circle).unwrap();
    assert_eq!(names, ["c", "b", "a", "c"]);
    assert_eq!(expr::cycle(&lets(&[("a", "a")])).unwrap(), ["a", "a"]);
    // should one get through, it ends all the same
    let facts = Facts::new().with("x", 1);
    let ground = ground();
    let scope = Scope::new(&ground).facts(&facts).lets(&circle);
    let fault = expr("a").value(&engine, &scope).unwrap_err();
    assert_eq!(
        fault.message,
        "the `let` values use each other too deeply, or in a circle"
    );
}

#[test]
fn a_mistake_on_a_later_line_stands_on_that_line() {
    let source = "exists &&\n  exsts || // a comment: ä\n\n  doc.get(\"ä\", 0) > nn";
    let mut marks = Vec::new();
    let (mut line, mut column) = (10, 5);
    for character in source.chars().chain([' ']) {
        marks.push((line, column));
        match character {
            '\n' => (line, column) = (line + 1, 5),
            _ => column += 1,
        }
    }
    let text = Text::placed(source, Default::default(), Some(marks.into()));
    let known = Known::default().with("exists", None).with("doc", None);
    let mut mistakes = Vec::new();
    Expr::compile(&Engine::new(), &text, &known, &mut mistakes);
    let places: Vec<(usize, usize)> = mistakes
        .iter()
        .map(|mistake| (mistake.place.line, mistake.place.column))
        .collect();
    assert_eq!(places, [(11, 7), (13, 25)]);
}
