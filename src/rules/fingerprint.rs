//! Hashes that say whether a rule was changed: over everything it says, the defaults it takes and the `vars` it reads,
//! whatever the order of its keys and however it is laid out. A script that it names is part of what it says.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::{
    model::node::{Node, Tree},
    script::Scripts,
};

/// Collects what a rule says.
pub struct Fingerprint<'a> {
    hash: Sha256,
    vars: &'a Map<String, Value>,
    scripts: Option<&'a Scripts>,
    reads: Reads,
}

/// Which `vars` were mentioned.
#[derive(Default)]
struct Reads {
    names: Vec<String>,
    /// Used in a way that does not tell which.
    all: bool,
}

impl<'a> Fingerprint<'a> {
    pub fn new(vars: &'a Map<String, Value>) -> Fingerprint<'a> {
        Fingerprint {
            hash: Sha256::new(),
            vars,
            scripts: None,
            reads: Reads::default(),
        }
    }

    /// Also takes in the scripts that are named.
    pub fn knowing(mut self, scripts: &'a Scripts) -> Fingerprint<'a> {
        self.scripts = Some(scripts);
        self
    }

    /// Adds a part under a name.
    pub fn part(&mut self, name: &str, node: &Node) {
        self.text(name);
        self.node(node);
    }

    fn text(&mut self, text: &str) {
        self.hash.update((text.len() as u64).to_le_bytes());
        self.hash.update(text);
    }

    fn node(&mut self, node: &Node) {
        match &node.tree {
            Tree::Null => self.hash.update("~"),
            Tree::Bool(value) => self.hash.update(if *value { "+" } else { "-" }),
            Tree::Int(value) => {
                self.hash.update("i");
                self.hash.update(value.to_le_bytes());
            }
            Tree::Float(value) => {
                self.hash.update("f");
                self.hash.update(value.to_bits().to_le_bytes());
            }
            Tree::Str(text) => {
                self.hash.update("s");
                self.text(text);
                self.reads.note(text, self.vars);
                if let Some(script) = self.scripts.and_then(|scripts| scripts.named(text)) {
                    self.text(script);
                    self.reads.note(script, self.vars);
                }
            }
            Tree::Seq(items) => {
                self.hash.update("[");
                items.iter().for_each(|item| self.node(item));
                self.hash.update("]");
            }
            Tree::Map(entries) => {
                self.hash.update("{");
                let mut sorted: Vec<_> = entries.iter().collect();
                sorted.sort_by_key(|(key, _)| key.key());
                for (key, value) in sorted {
                    self.part(key.key(), value);
                }
                self.hash.update("}");
            }
        }
    }

    /// 16 hex digits.
    pub fn finish(mut self) -> String {
        self.reads.names.sort();
        self.reads.names.dedup();
        let reads = std::mem::take(&mut self.reads);
        for (name, value) in self.vars {
            if reads.all || reads.names.binary_search(name).is_ok() {
                self.text(name);
                self.text(&value.to_string());
            }
        }
        hex(&self.hash.finalize(), 16)
    }
}

impl Reads {
    fn note(&mut self, text: &str, vars: &Map<String, Value>) {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        for (at, found) in text.match_indices("vars") {
            let rest = &text[at + found.len()..];
            if text[..at].ends_with(word) || rest.starts_with(word) {
                continue;
            }
            let name = rest.strip_prefix('.').map(|rest| {
                let end = rest.find(|c| !word(c)).unwrap_or(rest.len());
                rest.split_at(end)
            });
            match name {
                Some((name, rest)) if vars.contains_key(name) && !rest.starts_with('(') => {
                    self.names.push(name.to_owned());
                }
                _ => self.all = true,
            }
        }
    }
}

/// The first `digits` hex digits of a hash.
pub fn hex(hash: &[u8], digits: usize) -> String {
    hash.iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .take(digits)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(rule: Value, vars: Value) -> String {
        let vars = vars.as_object().cloned().unwrap_or_default();
        let mut print = Fingerprint::new(&vars);
        print.part("check", &Node::from_json(&rule));
        print.finish()
    }

    #[test]
    fn the_order_of_keys_is_no_change() {
        assert_eq!(
            of(json!({"a": 1, "b": [2]}), json!({})),
            of(json!({"b": [2], "a": 1}), json!({}))
        );
        assert_ne!(
            of(json!({"a": 1}), json!({})),
            of(json!({"a": "1"}), json!({}))
        );
        assert_ne!(
            of(json!({"a": ["b", "c"]}), json!({})),
            of(json!({"a": ["bc"]}), json!({}))
        );
        assert_ne!(
            of(json!([[], "a"]), json!({})),
            of(json!([["a"]]), json!({}))
        );
    }

    #[test]
    fn only_the_vars_it_reads_count() {
        let rule = || json!({"critical": "x > vars.need"});
        let base = of(rule(), json!({"need": 1, "other": 1}));
        assert_eq!(base, of(rule(), json!({"need": 1, "other": 2})));
        assert_ne!(base, of(rule(), json!({"need": 2, "other": 1})));
        for text in ["vars.keys().len() > 1", "vars[\"need\"] > 1", "f(vars)"] {
            let rule = || json!({ "critical": text });
            assert_ne!(
                of(rule(), json!({"need": 1, "o": 1})),
                of(rule(), json!({"need": 1, "o": 2})),
                "{text}"
            );
        }
        let rule = || json!({"critical": "envvars.need > 1"});
        assert_eq!(
            of(rule(), json!({"need": 1})),
            of(rule(), json!({"need": 2}))
        );
    }
}
