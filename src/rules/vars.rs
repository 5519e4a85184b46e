//! `vars:` of all files as one map, with `--set` applied.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Map, Value};

use super::{
    complaint::{Complaint, Severity},
    names,
};
use crate::model::{
    node::{Node, Tree},
    text::{Mistake, Place, Text},
};

/// One entry, and the text of its file for the excerpt.
#[derive(Clone, Debug)]
pub struct Var {
    pub name: Text,
    pub value: Value,
    pub null: bool,
    pub source: Arc<str>,
}

/// Whether a file may define `vars` at all: most do not, and need not be parsed to know it.
pub fn may_hold(text: &str) -> bool {
    text.match_indices("vars").any(|(at, word)| {
        let rest = text.get(at + word.len()..).unwrap_or_default();
        rest.trim_start_matches(['"', '\'', ' ', '\t'])
            .starts_with(':')
    }) || text.contains("\\x")
        || text.contains("\\u")
        || text.contains("\\U")
}

/// The entries of a file. That `vars` is a map is checked where the file is compiled.
pub fn read(node: &Node, source: &str) -> Vec<Var> {
    let Some(vars) = node.get("vars") else {
        return Vec::new();
    };
    let source: Arc<str> = source.into();
    let entry = |(key, value): &(Node, Node)| {
        Some(Var {
            name: key.text()?,
            value: value.to_json(),
            null: matches!(value.tree, Tree::Null),
            source: source.clone(),
        })
    };
    vars.entries().iter().filter_map(entry).collect()
}

/// All of them. A name that stands twice, that no expression could read, that has no value, or that `--set` names but
/// no file has, is an error.
pub fn merge(
    vars: &[&Var],
    overrides: &BTreeMap<String, Value>,
) -> (Map<String, Value>, Vec<Complaint>) {
    let mut merged = Map::new();
    let mut first: BTreeMap<&str, Place> = BTreeMap::new();
    let mut complaints = Vec::new();
    let mut say = |mistake: Mistake, source: Arc<str>| {
        complaints.push(Complaint {
            severity: Severity::Error,
            mistake,
            rule: None,
            source,
        });
    };
    for var in vars {
        let name = var.name.as_str();
        let mut mistakes = Vec::new();
        names::check_property(&var.name, "a value", &mut mistakes);
        if var.null {
            mistakes.push(
                Mistake::new("empty", format!("`{name}` has no value"), var.name.place())
                    .help("write one, or leave the name out"),
            );
        }
        if let Some(place) = first.get(name) {
            mistakes.push(
                Mistake::new(
                    "duplicate-name",
                    format!("`vars` has another `{name}`"),
                    var.name.place(),
                )
                .help(format!("the first one stands at {place}")),
            );
        }
        for mistake in mistakes {
            say(mistake, var.source.clone());
        }
        first.entry(name).or_insert_with(|| var.name.place());
        merged.entry(name).or_insert_with(|| var.value.clone());
    }
    for (name, value) in overrides {
        if merged.contains_key(name) {
            merged.insert(name.clone(), value.clone());
            continue;
        }
        let place = Place {
            file: "--set".into(),
            line: 1,
            column: 1,
        };
        let mistake = Mistake::new(
            "unknown-var",
            format!("no file has `{name}` under `vars`"),
            place,
        )
        .help(names::suggest(name, first.keys().copied()));
        say(mistake, format!("{name}={value}").into());
    }
    (merged, complaints)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_files_need_not_be_parsed_for_their_vars() {
        for holds in [
            "vars:\n  a: 1\n",
            "a: 1\n\"vars\" : {}\n",
            "{'vars': {a: 1}}",
            "\"v\\x61rs\": {}",
        ] {
            assert!(may_hold(holds), "{holds}");
        }
        for free in [
            "checks: []\n",
            "critical: vars.need > 3\n",
            "critical: \"vars\"\n",
        ] {
            assert!(!may_hold(free), "{free}");
        }
    }
}
