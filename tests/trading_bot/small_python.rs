//! The small Python: what it can do, and that nothing outside it does harm.

use serde_json::{Value, json};

use crate::{
    Desk,
    bot::python::{Program, PythonError, from_json},
};

fn call(source: &str, name: &str, arguments: &[Value]) -> Result<Value, PythonError> {
    let program = Program::parse(source)?;
    let session = program.start()?;
    session.call(name, arguments.iter().map(from_json).collect())
}

/// The value of an expression of `x`.
fn of(expression: &str, x: Value) -> Result<Value, PythonError> {
    let source = format!("import math\n\ndef f(x):\n    return {expression}\n");
    call(&source, "f", &[x])
}

fn refused(expression: &str, x: Value) -> String {
    of(expression, x).expect_err(expression).to_string()
}

#[test]
fn expressions_mean_what_they_mean_in_python() {
    for (expression, x, expected) in [
        ("x + 1", json!(2), json!(3)),
        ("x / 2", json!(3), json!(1.5)),
        ("-7 // x", json!(2), json!(-4)),
        ("-7 % x", json!(3), json!(2)),
        ("2 ** x", json!(10), json!(1024)),
        ("1 + 2 * x", json!(3), json!(7)),
        ("(1 + 2) * x", json!(3), json!(9)),
        ("0.5 * x", json!(3), json!(1.5)),
        ("x + 'b'", json!("a"), json!("ab")),
        ("1 < x <= 3", json!(3), json!(true)),
        ("1 < x < 3", json!(3), json!(false)),
        ("x == 1.0", json!(1), json!(true)),
        ("x is None", json!(null), json!(true)),
        ("x is not None", json!(null), json!(false)),
        ("'a' in x", json!({"a": 1}), json!(true)),
        ("'b' not in x", json!({"a": 1}), json!(true)),
        ("2 in x", json!([1, 2]), json!(true)),
        ("x or 'else'", json!(""), json!("else")),
        ("x and 'then'", json!(0), json!(0)),
        ("not x", json!([]), json!(true)),
        ("'yes' if x else 'no'", json!(0.0), json!("no")),
        ("x['a']['b']", json!({"a": {"b": 5}}), json!(5)),
        ("x[-1]", json!([1, 2]), json!(2)),
        ("x.get('a', 7)", json!({}), json!(7)),
        ("x.get('a')", json!({"a": null}), json!(null)),
        ("max(x, 2.5)", json!(1), json!(2.5)),
        ("min(3, x, 2)", json!(1), json!(1)),
        ("abs(x)", json!(-4), json!(4)),
        ("float(x)", json!("1.5"), json!(1.5)),
        ("math.exp(x)", json!(0), json!(1.0)),
        ("dict(x)", json!({"a": 1}), json!({"a": 1})),
        (
            "{'a': [x, None, True, False]}",
            json!("t"),
            json!({"a": ["t", null, true, false]}),
        ),
        ("'it\\'s' + \"\\n\"", json!(0), json!("it's\n")),
    ] {
        assert_eq!(of(expression, x), Ok(expected), "{expression}");
    }
}

#[test]
fn functions_branches_and_items() {
    let source = r#"
"""A module."""
LIMIT = 10

class Client:
    """A class."""

    def level(self, x):
        # Nothing but branches.
        if x > LIMIT:
            return "high"
        elif x > 5:
            return "middle"
        else:
            return "low"

def f(d):
    """A function."""
    copy = dict(d)
    copy["level"] = Client.level(None, d["x"])
    copy["x"] = copy["x"] + 1
    same = copy
    same["shared"] = True
    return [d, copy]

def nothing():
    pass
"#;
    assert_eq!(
        call(source, "f", &[json!({"x": 7})]),
        Ok(json!([{"x": 7}, {"x": 8, "level": "middle", "shared": true}]))
    );
    assert_eq!(
        call(source, "Client.level", &[json!(null), json!(11)]),
        Ok(json!("high"))
    );
    assert_eq!(
        call(source, "Client.level", &[json!(null), json!(1)]),
        Ok(json!("low"))
    );
    assert_eq!(call(source, "nothing", &[]), Ok(json!(null)));
}

#[test]
fn what_python_would_raise_is_an_error_with_its_line() {
    assert_eq!(refused("x['b']", json!({})), "line 4: KeyError: 'b'");
    assert_eq!(refused("x / 0", json!(1)), "line 4: division by zero");
    assert_eq!(refused("y", json!(1)), "line 4: name 'y' is not defined");
    assert_eq!(
        refused("open(x)", json!("/etc/hostname")),
        "line 4: name 'open' is not defined"
    );
    assert_eq!(
        refused("x['a']", json!(null)),
        "line 4: 'NoneType' object is not subscriptable"
    );
    assert_eq!(
        refused("x[5]", json!([1])),
        "line 4: list index out of range"
    );
    assert_eq!(
        refused("x < 1", json!(null)),
        "line 4: '<' not supported between 'NoneType' and 'int'"
    );
    assert_eq!(
        refused("x + 1", json!("a")),
        "line 4: unsupported operand types for +: 'str' and 'int'"
    );
    assert_eq!(
        refused("math.exp(x)", json!(1e6)),
        "line 4: math range error"
    );
    assert_eq!(
        refused("float(x)", json!("much")),
        "line 4: could not convert string to float: 'much'"
    );
    assert_eq!(
        refused("f(x, x)", json!(1)),
        "line 4: f() takes 1 arguments, 2 given"
    );
    assert_eq!(
        refused("9223372036854775807 + x", json!(1)),
        "line 4: the whole number is out of range"
    );
    let missing = call("x = 1\n", "f", &[]).expect_err("there is no f");
    assert_eq!(missing.to_string(), "no function f");
}

#[test]
fn a_construct_outside_the_subset_fails_only_where_it_stands() {
    let source = "def f(x):\n    for y in x:\n        pass\n\ndef g(x):\n    return x\n";
    assert_eq!(call(source, "g", &[json!(1)]), Ok(json!(1)));
    let refusal = call(source, "f", &[json!([])]).expect_err("no loops");
    assert_eq!(
        refusal.to_string(),
        "line 2: for statement is outside the subset"
    );
    for expression in [
        "[y for y in x]",
        "lambda: x",
        "f'{x}'",
        "x.pop()",
        "x[0:1]",
        "f(x=1)",
        "await x",
        "b'x'",
    ] {
        refused(expression, json!([1]));
    }
    for source in [
        "import os\n",
        "from math import exp\n",
        "def f(x=1):\n    return x\n",
        "f = g = 1\n",
    ] {
        call(
            &format!("{source}\n\ndef z():\n    return f(1)\n"),
            "z",
            &[],
        )
        .expect_err(source);
    }
}

#[test]
fn a_syntax_error_condemns_the_whole_source() {
    let source = "def g(x):\n    return x\n\ndef f(x:\n    return x\n";
    let error = call(source, "g", &[json!(1)]).expect_err("a syntax error");
    assert!(
        matches!(error, PythonError::Syntax { line: 3..=5 }),
        "{error}"
    );
    assert_eq!(
        Program::parse(&"x = 1\n".repeat(100_000)).err(),
        Some(PythonError::TooLong)
    );
}

#[test]
fn no_source_runs_without_end() {
    let recursion = "def f(x):\n    return f(x)\n";
    let error = call(recursion, "f", &[json!(1)]).expect_err("no end");
    assert_eq!(
        error.to_string(),
        "line 2: maximum recursion depth exceeded"
    );
    let branching = "def f(x):\n    return x if x < 1 else f(x - 1) + f(x - 1)\n";
    let error = call(branching, "f", &[json!(20)]).expect_err("two to the twentieth calls");
    assert_eq!(error.to_string(), "line 2: more than 3000 steps");
}

#[test]
fn no_source_grows_without_end() {
    let growing = format!("def f(x):\n{}    return x\n", "    x = x + x\n".repeat(12));
    let error = call(&growing, "f", &[json!("abc")])
        .expect_err("four thousand and ninety-six times three letters");
    assert!(error.to_string().contains("grows too long"), "{error}");
    let sharing = "    x = {'a': x, 'b': x}\n".repeat(14);
    let error = call(
        &format!("def f(x):\n{sharing}    return x\n"),
        "f",
        &[json!(1)],
    )
    .expect_err("two to the fourteenth values");
    assert!(error.to_string().contains("too large"), "{error}");
    let comparing = format!(
        "def f(x):\n    y = 1\n    x = 1\n{sharing}{}    return x == y\n",
        sharing.replace('x', "y")
    );
    call(&comparing, "f", &[json!(1)]).expect_err("as many comparisons");
    let circle = "def f(x):\n    x['x'] = x\n    return x\n";
    call(circle, "f", &[json!({})]).expect_err("a circle has no end");
    let nested = format!(
        "def f(x):\n    return {}x{}\n",
        "(".repeat(5000),
        ")".repeat(5000)
    );
    call(&nested, "f", &[json!(1)]).expect_err("nested too deeply");
    let deep = "    x = {'a': x}\n".repeat(700);
    call(
        &format!("def f(x):\n{deep}    return 1\n"),
        "f",
        &[json!(1)],
    )
    .expect("deep, and let go of");
}

#[test]
fn the_bot_survives_whatever_becomes_of_its_sources() {
    for (file, text, told) in [
        (
            "data/bot/uw_enrichment_v2.py",
            "def enrich_signal(symbol, cache:\n",
            "syntax error",
        ),
        (
            "data/bot/uw_enrichment_v2.py",
            "def enrich(symbol):\n    return {}\n",
            "no function enrich_signal",
        ),
        (
            "data/bot/uw_enrichment_v2.py",
            "def enrich_signal(symbol, cache, regime):\n    return cache[symbol][\"gone\"]\n",
            "line 2: KeyError: 'gone'",
        ),
        (
            "data/bot/main.py",
            "def f():\n    return f()\n",
            "no function compute_freshness",
        ),
        (
            "data/bot/main.py",
            "def compute_freshness(data, now, scoring):\n    return \"fresh\"\n",
            "the freshness is no number",
        ),
    ] {
        let mut desk = Desk::new();
        assert!(desk.cycle().orders > 0);
        desk.write(file, text);
        let report = desk.cycle();
        assert_eq!((report.scored, report.orders), (0, 0), "{text}");
        assert!(
            report.errors.iter().any(|it| it.contains(told)),
            "{told}: {:?}",
            report.errors
        );
        let run = desk.lines("logs/run.jsonl");
        let errors = &run[run.len() - 1]["metrics"]["errors"];
        assert_eq!(errors, &json!(report.errors.len()), "{text}");
        let (perfect, _) = crate::signals();
        let answer = desk.mock(&perfect);
        assert_eq!(
            (answer.score, answer.enter, answer.decision),
            (0.0, false, "skipped")
        );
        assert!(answer.reason.contains(told), "{}", answer.reason);

        std::fs::remove_file(desk.root().join(file)).expect("it is there");
        assert_eq!(desk.cycle().orders, 0);
        desk.mends("all");
        let report = desk.cycle();
        assert!(
            report.orders > 0 && report.errors.is_empty(),
            "{:?}",
            report.errors
        );
    }
}
