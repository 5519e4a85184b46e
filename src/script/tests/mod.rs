//! What is strict: a table of expressions and their answers. Rhai's own answer is named where it would be healthy.

mod functions;
mod kinds;
mod limits;
mod load;

use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::model::{
    facts::Facts,
    moment::Moment,
    text::{Mistake, Text},
};

fn facts() -> Facts {
    Facts::from_json(json!({
        "exists": true,
        "age_s": 310.5,
        "n": 5,
        "name": "x",
        "nothing": null,
        "list": [3, 1, 2],
        "empty": [],
        "prev": {"let": {"avg": 1.5}},
        "doc": {"base": 2.7, "canary": 2.9, "none": null, "len": 9, "deep": {"list": [{"a": 1}, {"a": 2}]}},
        "records": [
            {"score": 1.0, "ok": true, "kind": "a", "tags": [1, 2]},
            {"score": 3.0, "ok": false, "kind": "b", "tags": [2]},
            {"score": 2.0, "ok": true, "kind": "a", "tags": []},
        ],
        "big": 9007199254740993_i64,
        "huge": u64::MAX,
    }))
    .unwrap()
}

pub(super) fn known(facts: &Facts) -> Known {
    let mut known = Known::ground(json!({"limit": 2, "who": {"a": [1]}}).as_object().unwrap());
    for name in facts.names() {
        known = known.with(name, None);
    }
    known.with_env(["TOKEN", "UNSET"])
}

fn ground() -> Ground {
    Ground {
        now: Moment::from_seconds(1_767_717_000.0),
        vars: Arc::new(
            json!({"limit": 2, "who": {"a": [1]}})
                .as_object()
                .unwrap()
                .clone(),
        ),
        env: Arc::new(Env {
            listed: [
                ("TOKEN".to_owned(), Some("t".to_owned())),
                ("UNSET".to_owned(), None),
            ]
            .into(),
        }),
    }
}

fn told(mistakes: &[Mistake]) -> String {
    let told: Vec<String> = mistakes
        .iter()
        .map(|mistake| {
            let (column, message) = (mistake.place.column, &mistake.message);
            match &mistake.help {
                Some(help) => format!("LOAD {column}: {message} ({help})"),
                None => format!("LOAD {column}: {message}"),
            }
        })
        .collect();
    told.join("; ")
}

pub(super) fn marked(text: &str) -> Text {
    let marks = (1..=text.chars().count() as u32 + 1).map(|column| (1, column));
    Text::placed(text, Default::default(), Some(marks.collect()))
}

fn answer(source: &str) -> String {
    thread_local! { static ENGINE: Engine = Engine::new(); }
    ENGINE.with(|engine| {
        let facts = facts();
        let mut mistakes = Vec::new();
        let compiled = Expr::compile(engine, &marked(source), &known(&facts), &mut mistakes);
        let Some(expr) = compiled else {
            return told(&mistakes);
        };
        let ground = ground();
        match expr.value(engine, &Scope::new(&ground).facts(&facts)) {
            Ok(value) => value.to_string(),
            Err(fault) => format!("FAULT {}: {}", fault.place.column, fault.message),
        }
    })
}

#[track_caller]
fn table(rows: &[(&str, &str)]) {
    let wrong: Vec<String> = rows
        .iter()
        .filter_map(|(source, wanted)| {
            let answer = answer(source);
            (answer != *wanted).then(|| format!("        ({source:?}, {answer:?}),"))
        })
        .collect();
    assert!(
        wrong.is_empty(),
        "{} rows differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
