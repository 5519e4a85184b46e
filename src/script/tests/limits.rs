//! Limits hold, and nothing is left behind.

use std::sync::Arc;

use serde_json::json;

use super::{
    super::{Engine, Expr, Scope, budget, frame},
    ground, known, marked, told,
};
use crate::model::{facts::Facts, moment::Moment};

/// Evaluates with other facts than the table's.
fn asked(source: &str, facts: serde_json::Value) -> Result<serde_json::Value, String> {
    let engine = Engine::new();
    let facts = Facts::from_json(facts).unwrap();
    let mut mistakes = Vec::new();
    let expr = Expr::compile(&engine, &marked(source), &known(&facts), &mut mistakes)
        .ok_or_else(|| told(&mistakes))?;
    let ground = ground();
    let scope = Scope::new(&ground).facts(&facts);
    expr.value(&engine, &scope)
        .map_err(|fault| fault.to_string())
}

#[test]
fn nothing_runs_for_ever_or_fills_the_memory() {
    let list: Vec<i64> = (0..1000).collect();
    let refused = |source: &str, facts| asked(source, facts).unwrap_err();
    let slow = refused(
        "list.map(|a| list.map(|b| list.map(|c| a + b + c).sum()).sum()).sum()",
        json!({"list": list}),
    );
    assert!(slow.starts_with("too "), "{slow}");
    let quadratic = refused(
        "list.map(|a| list.unique().len()).sum()",
        json!({"list": list}),
    );
    assert!(quadratic.starts_with("too "), "{quadratic}");
    let text = "x".repeat(1 << 20);
    let double = format!("text{}", " + text".repeat(20));
    assert_eq!(
        refused(&double, json!({"text": text})),
        "the result is too large"
    );
    assert_eq!(
        refused("text.replace(\"x\", text)", json!({"text": text})),
        "too much to calculate: the limit of 500000 operations is passed"
    );
    let many = format!("[0].map(|x| list{})", " + list".repeat(50));
    let longer: Vec<i64> = (0..5000).collect();
    let many = refused(&many, json!({"list": longer}));
    assert!(
        many.starts_with("the result is too large") || many.starts_with("too "),
        "{many}"
    );
    let deep = format!("{}1{}", "(".repeat(200), ")".repeat(200));
    assert!(refused(&deep, json!({})).contains("the expression is nested too deeply"));
    let long = format!("1{}", " + 1".repeat(6000));
    assert!(refused(&long, json!({})).contains("longer than"));
    let chain = format!("1{}", " + 1".repeat(4000));
    let chain = asked(&chain, json!({}));
    assert!(chain == Ok(json!(4001)) || chain.unwrap_err().contains("nested too deeply"));
    assert!(refused("parse_json(text)", json!({"text": "[".repeat(500)})).contains("not JSON"));
}

#[test]
fn operations_are_counted_the_same_every_time() {
    let engine = Engine::new();
    let list: Vec<i64> = (0..5000).collect();
    let facts = Facts::new().with("list", list);
    let compile = |source: &str| {
        Expr::compile(&engine, &marked(source), &known(&facts), &mut Vec::new()).unwrap()
    };
    let ground = ground();
    let spent = |expr: &Expr| {
        let scope = Scope::new(&ground).facts(&facts);
        let entered = scope.enter(expr);
        let value = expr.run(&engine.0.rhai);
        drop(entered);
        (value, budget::spent())
    };
    let expr = compile("list.filter(|x| x % 2 == 0).map(|x| x * 2).sum()");
    let (value, first) = spent(&expr);
    assert_eq!(value, Ok(json!(12_495_000)));
    assert!(first > 20_000 && first < 150_000, "{first}");
    assert_eq!(spent(&expr).1, first);
}

#[test]
fn a_panic_leaves_no_names_behind() {
    let ground = ground();
    let facts = Facts::new().with("n", 1);
    let engine = Engine::new();
    let expr = Expr::compile(&engine, &marked("n"), &known(&facts), &mut Vec::new()).unwrap();
    let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let scope = Scope::new(&ground).facts(&facts);
        let _entered = scope.enter(&expr);
        panic!("while evaluating");
    }));
    assert!(unwound.is_err());
    assert!(!frame::is_defined("n"));
}

#[test]
fn scripts_calculate_strictly_too() {
    let engine = Engine::new();
    let run = |source: &str| {
        let _entered = frame::enter(Moment::default(), &Arc::default(), 0);
        engine.0.rhai.eval::<rhai::Dynamic>(source)
    };
    for refused in [
        "let x = 1; x += \"a\"; x",
        "let x = \"a\"; x += 1; x",
        "let x = 1; x += 9223372036854775807; x",
        "let x = 1; x -= true; x",
        "let x = 1.0; x /= 0; x",
        "let x = (); x *= 2; x",
        "let x = #{}; x.a",
        "if 1 < \"a\" { 1 } else { 2 }",
        "let x = \"a\"; x -= \"a\"; x",
        "sleep(1)",
        "print(1)",
        "eval(\"1\")",
        "timestamp()",
        "loop { }",
        "fn f(x) { f(x + 1) } f(0)",
    ] {
        assert!(run(refused).is_err(), "{refused}");
    }
    let half = run("let x = 1; x /= 2; x").unwrap();
    assert_eq!(half.as_float(), Ok(0.5));
}
