//! An expression, and behind an empty line the JSON document it is about: a mistake at load, a value or a fault, the same
//! every time; and never a name that only the run found to be unknown.

use std::sync::{Arc, LazyLock};

use homeostat::{
    model::{
        facts::Facts,
        moment::Moment,
        text::{Mistake, Text},
    },
    script::{Engine, Expr, Ground, Known, Scope, Template},
};
use serde_json::{Map, Value, json};

static ENGINE: LazyLock<Engine> = LazyLock::new(Engine::new);

static GROUND: LazyLock<Ground> = LazyLock::new(|| {
    let vars: Map<String, Value> = [
        ("need".to_owned(), json!(3)),
        ("names".to_owned(), json!(["a b", "c"])),
        ("deep".to_owned(), json!({"rate": 0.25})),
    ]
    .into_iter()
    .collect();
    Ground {
        now: Moment(1_767_717_000_000),
        vars: Arc::new(vars),
        ..Ground::default()
    }
});

pub fn run(bytes: &[u8]) {
    let Ok(input) = std::str::from_utf8(bytes) else {
        return;
    };
    let (expression, document) = input.split_once("\n\n").unwrap_or((input, ""));
    let document: Value = serde_json::from_str(document).unwrap_or_default();
    let records = match &document {
        Value::Array(items) => json!(items),
        other => json!([other]),
    };
    let facts = Facts::new()
        .with("exists", true)
        .with("missing", false)
        .with("len", 3)
        .with("count", records.as_array().map_or(0, Vec::len))
        .with("age_s", 12.5)
        .with("records", records)
        .with("doc", document);
    let shape = Facts::new()
        .with("exists", true)
        .with("missing", false)
        .with("len", 1)
        .with("count", 1)
        .with("age_s", 12.5)
        .with("records", json!([null]))
        .with("doc", Value::Null);
    let known = Known::ground(&GROUND.vars)
        .with_facts(&shape)
        .with("status", Some("ok".into()))
        .with_env(["KEY"]);
    let text = Text::bare(expression);
    let scope = || {
        let mut scope = Scope::new(&GROUND).facts(&facts);
        scope.bind("status", json!("ok"));
        scope
    };
    let mut mistakes = Vec::new();
    match Expr::compile(&ENGINE, &text, &known, &mut mistakes) {
        Some(compiled) => {
            let value = told(compiled.value(&ENGINE, &scope()));
            assert_eq!(value, told(compiled.value(&ENGINE, &scope())));
            // Unless it is what the expression itself says: the fuzzer found that out.
            let unknown = "is not known at this moment";
            if let (Err(fault), false) = (&value, input.contains(unknown)) {
                assert!(!fault.contains(unknown), "{fault}");
            }
            let _ = compiled.truth(&ENGINE, &scope());
            let number = compiled.number(&ENGINE, &scope());
            assert!(!number.is_ok_and(f64::is_nan), "NaN is no number");
        }
        None => examine(&mistakes, expression),
    }
    let mut mistakes = Vec::new();
    match Template::compile(&ENGINE, &text, &known, &mut mistakes) {
        Some(template) => {
            let _ = template.render(&ENGINE, &scope());
            let _ = template.value(&ENGINE, &scope());
        }
        None => examine(&mistakes, expression),
    }
}

/// By what is shown of it. Only what took too long may be another the next time.
fn told(result: Result<Value, homeostat::script::Fault>) -> Result<Value, String> {
    result.map_err(|fault| fault.message)
}

fn examine(mistakes: &[Mistake], expression: &str) {
    assert!(!mistakes.is_empty(), "refused without a word: {expression}");
}
