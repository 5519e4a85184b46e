//! The names and values of what a test expects.

use serde_json::Value;

use super::{Compiler, expectation_node, one_of};
use crate::{
    model::{node::Node, standing::HeldBy, text::Mistake},
    rules::{book::Check, testing::spot},
};

impl Compiler<'_, '_> {
    /// Names and values of what is expected.
    pub(super) fn expectations(&mut self, body: &Node) {
        let over = self.form.runs_over_time();
        for (index, expectation) in self.form.expectations().iter().enumerate() {
            let node = expectation_node(body, index, over);
            for (name, form) in &expectation.checks {
                let said = spot(node, &[name]);
                let Some(check) = self.book.checks.get(&**name).cloned() else {
                    continue; // told already
                };
                self.expected_names(&check, said);
                if let Some(Some(word)) = &form.held_by
                    && serde_json::from_value::<HeldBy>(Value::from(word.as_str())).is_err()
                {
                    let text = format!("there is no guard `{word}`");
                    self.wrong("bad-value", text, spot(said, &["held_by"]).place.clone());
                }
            }
            let files = spot(node, &["files"]);
            for path in expectation.files.keys() {
                let said = spot(files, &[path]);
                for (key, value) in said.entries() {
                    match key.key() {
                        "json" | "has" => drop(self.values.tree(value, self.mistakes)),
                        "from" => drop(
                            value
                                .text()
                                .and_then(|from| self.source(from.as_str(), value)),
                        ),
                        _ => {}
                    }
                }
            }
        }
    }

    pub(super) fn expected_names(&mut self, check: &Check, said: &Node) {
        let judging = &check.judging;
        for (key, value) in spot(said, &["facts"])
            .entries()
            .iter()
            .filter(|_| said.get("facts").is_some())
        {
            self.fact(check, key.key(), &key.place);
            drop(self.values.tree(value, self.mistakes));
        }
        let lets: Vec<String> = judging.lets.iter().map(|(name, _)| name.clone()).collect();
        let kept = judging.keep.iter().map(|(name, _)| name.clone());
        let kept: Vec<String> = kept.chain(judging.keep_start.keys().cloned()).collect();
        for (part, known) in [("let", lets), ("kept", kept)] {
            let Some(map) = said.get(part) else {
                continue;
            };
            for (key, value) in map.entries() {
                if !known.iter().any(|name| name == key.key()) {
                    let what = if part == "let" {
                        "`let` value"
                    } else {
                        "kept value"
                    };
                    let text = format!("{} has no {what} `{}`", check.name, key.key());
                    let mistake = Mistake::new("unknown-name", text, key.place.clone());
                    self.mistakes.push(mistake.help(one_of(key.key(), &known)));
                }
                drop(self.values.tree(value, self.mistakes));
            }
        }
    }
}
