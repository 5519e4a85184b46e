//! What serde cannot see of expectations: instants that go backwards, expectations of nothing, contradictions.

use super::{
    TestForm,
    expect::{Expect, ExpectForm, FileExpect},
    key_place, spot,
    world::check_path,
};
use crate::model::{
    node::{Node, Tree},
    span::Span,
    text::Mistake,
};

/// The longest a test may last.
const LONGEST: std::time::Duration = std::time::Duration::from_secs(366 * 86_400);

/// What serde cannot see: instants that go backwards, expectations of nothing.
pub(super) fn check(form: &TestForm, body: &Node, mistakes: &mut Vec<Mistake>) {
    let node = spot(body, &["expect"]);
    let over = matches!(form.expect, Some(Expect::Over(_)));
    if form.expectations().iter().all(ExpectForm::is_empty) && form.statuses.is_empty() {
        let mistake = Mistake::new(
            "missing-key",
            "a test that expects nothing",
            node.place.clone(),
        );
        mistakes.push(mistake.help("say what is to be seen: `expect: { CHECK: ok }`"));
    }
    if matches!(form.expect, Some(Expect::Now(_))) && !form.statuses.is_empty() {
        let text = "`statuses` run over time, and this `expect` is of one round now";
        let mistake = Mistake::new("contradiction", text, key_place(body, "statuses"));
        mistakes.push(mistake.help("write `expect` as a list: `- { at: 10m, CHECK: ok }`"));
    }
    if form.investigate.is_some() && (form.runs_over_time() || !form.checks.is_empty()) {
        let text = "`investigate` begins a round of its own: it goes with neither `checks` nor expectations over time";
        mistakes.push(Mistake::new(
            "contradiction",
            text,
            key_place(body, "investigate"),
        ));
    }
    check_texts(node, mistakes);
    let mut last = Span::default();
    for (index, expectation) in form.expectations().iter().enumerate() {
        let at = if over {
            node.items().get(index).unwrap_or(node)
        } else {
            node
        };
        check_instant(expectation, at, over, &mut last, mistakes);
        for (path, file) in &expectation.files {
            let files = spot(at, &["files"]);
            check_path(path, key_place(files, path), mistakes);
            let empty = matches!(file, FileExpect::Body(body) if body.is_empty());
            if empty {
                let mistake = Mistake::new(
                    "missing-key",
                    "nothing is expected of it",
                    key_place(files, path),
                );
                mistakes.push(mistake.help("write absent, present, unchanged, or { json: … }"));
            }
        }
        for name in expectation.checks.keys() {
            let said = spot(at, &[name]);
            if matches!(said.tree, Tree::Map(_)) && said.entries().is_empty() {
                let mistake = Mistake::new(
                    "missing-key",
                    "nothing is expected of it",
                    key_place(at, name),
                );
                mistakes
                    .push(mistake.help(
                        "write ok, warning, critical, unknown, or { status: …, message: … }",
                    ));
            }
        }
    }
}

/// A text that says nothing would fit everything.
fn check_texts(node: &Node, mistakes: &mut Vec<Mistake>) {
    const TEXTS: [&str; 5] = ["message", "error", "text", "target", "detail"];
    for item in node.items() {
        check_texts(item, mistakes);
    }
    for (key, value) in node.entries() {
        let empty = matches!(&value.tree, Tree::Map(entries) if entries.is_empty());
        if empty && TEXTS.contains(&key.key()) {
            let mistake = Mistake::new(
                "missing-key",
                "nothing is expected of it",
                key.place.clone(),
            );
            mistakes.push(mistake.help("write a text, { contains: … } or { matches: … }"));
        }
        check_texts(value, mistakes);
    }
}

fn check_instant(
    expectation: &ExpectForm,
    node: &Node,
    over: bool,
    last: &mut Span,
    mistakes: &mut Vec<Mistake>,
) {
    let mut wrong = |code, text: String, key: &str, help: &str| {
        mistakes.push(Mistake::new(code, text, key_place(node, key)).help(help));
    };
    match expectation.at {
        None if over => {
            wrong(
                "missing-key",
                "`at` is missing".to_owned(),
                "",
                "say when: `at: 10m` since the start",
            );
        }
        Some(_) if !over => {
            let help = "write a list: `- { at: 10m, CHECK: ok }`";
            wrong(
                "contradiction",
                "`at` in one round now".to_owned(),
                "at",
                help,
            );
        }
        Some(at) if at < *last => {
            wrong(
                "bad-value",
                format!("{at} is before {last}"),
                "at",
                "time goes forward",
            );
        }
        Some(at) if at.0 > LONGEST => {
            wrong(
                "bad-value",
                format!("{at} is more than a year"),
                "at",
                "a test lasts at most 366 days",
            );
        }
        Some(at) => *last = at,
        None => {}
    }
}
