//! Reading parts of a rule with every mistake reported: what is empty, and whatever serde finds, leaving out what is wrong
//! so that the rest is checked too.

use serde::Deserialize;

use super::names;
use crate::{
    model::{
        node::{self, Node, Tree},
        text::{Mistake, Text},
    },
    permission,
};

/// Reads a map. Keys without a value are mistakes: an empty `critical:` must never mean that nothing is critical.
pub fn read<T: for<'de> Deserialize<'de> + Default>(node: &Node, mistakes: &mut Vec<Mistake>) -> T {
    let before = mistakes.len();
    if !matches!(node.tree, Tree::Map(_)) {
        mistakes.push(not_a(node, "a map"));
        return T::default();
    }
    let value = node::salvage(node, mistakes).unwrap_or_default();
    for (key, value) in node.entries() {
        let told = mistakes
            .iter()
            .skip(before)
            .any(|mistake| mistake.place == key.place);
        if matches!(value.tree, Tree::Null) && !told {
            mistakes.push(empty(key));
        }
    }
    value
}

/// The entries of a map of named expressions, each with a value.
pub fn named<'a>(node: &'a Node, mistakes: &mut Vec<Mistake>) -> Vec<(Text, &'a Node)> {
    if !matches!(node.tree, Tree::Map(_)) {
        mistakes.push(not_a(node, "a map"));
    }
    let mut found = Vec::new();
    for (key, value) in node.entries() {
        match value.tree {
            Tree::Null => mistakes.push(empty(key)),
            _ => found.extend(key.text().map(|name| (name, value))),
        }
    }
    found
}

/// The items of a list.
pub fn items<'a>(node: &'a Node, mistakes: &mut Vec<Mistake>) -> &'a [Node] {
    if !matches!(node.tree, Tree::Seq(_)) {
        mistakes.push(not_a(node, "a list"));
    }
    node.items()
}

/// An expression or template: a text that is not empty.
pub fn text(node: &Node, what: &str, mistakes: &mut Vec<Mistake>) -> Option<Text> {
    match node.text() {
        Some(text) if text.as_str().trim().is_empty() => {
            mistakes.push(
                Mistake::new("empty", format!("{what} is empty"), node.place.clone())
                    .help("write it, or leave the key out"),
            );
            None
        }
        Some(text) => Some(text),
        None => {
            mistakes.push(not_a(node, &format!("a text for {what}")));
            None
        }
    }
}

/// The same for a text that was read already.
pub fn filled(text: Option<Text>, what: &str, mistakes: &mut Vec<Mistake>) -> Option<Text> {
    let text = text?;
    if text.as_str().trim().is_empty() {
        mistakes.push(
            Mistake::new("empty", format!("{what} is empty"), text.place())
                .help("write it, or leave the key out"),
        );
        return None;
    }
    Some(text)
}

pub fn not_a(node: &Node, wanted: &str) -> Mistake {
    Mistake::new(
        "wrong-type",
        format!("expected {wanted}, found {}", node.kind()),
        node.place.clone(),
    )
}

fn empty(key: &Node) -> Mistake {
    Mistake::new(
        "empty",
        format!("`{}` has no value", key.key()),
        key.place.clone(),
    )
    .help("write one, or leave the key out")
}

/// A key that must be there.
pub fn missing(node: &Node, key: &str, mistakes: &mut Vec<Mistake>) {
    // A slip in the key itself was told already.
    let slip = mistakes.iter().any(|mistake| {
        mistake.code == "unknown-key"
            && mistake.help.as_deref() == Some(&*format!("did you mean `{key}`?"))
            && node
                .entries()
                .iter()
                .any(|(written, _)| written.place == mistake.place)
    });
    if node.get(key).is_none() && !slip {
        let help = match key {
            "name" => "write `name:` with a name that no other rule has",
            "probe" => "write `probe: { KIND: { … } }`: where to look",
            "threshold" => {
                "write `threshold: { critical: EXPRESSION }`: without one it would always be OK"
            }
            "steps" => "write `steps:` with a list of steps",
            "checks" => "write `checks:` with the names of checks",
            _ => "write it",
        };
        mistakes.push(
            Mistake::new(
                "missing-key",
                format!("`{key}` is missing"),
                node.place.clone(),
            )
            .help(help),
        );
    }
}

/// A file that the engine writes by itself: a journal or a published file.
pub fn own_file(text: &Text, mistakes: &mut Vec<Mistake>) -> Option<String> {
    let path = text.as_str();
    let parts: Vec<&str> = path.split('/').collect();
    let plain = parts
        .iter()
        .all(|part| !part.is_empty() && *part != "." && *part != "..");
    let below = parts
        .first()
        .is_some_and(|first| permission::WRITABLE.contains(first))
        && parts.len() > 1;
    let own = path == permission::OWN || path.starts_with(&format!("{}/", permission::OWN));
    if plain && below && !own {
        return Some(path.to_owned());
    }
    let why = match () {
        () if own => "is the engine's own",
        () if !plain => "is no plain path relative to the root",
        () => "does not lie below data, state or logs",
    };
    mistakes.push(
        Mistake::new("forbidden-path", format!("`{path}` {why}"), text.place())
            .help("write a path like logs/NAME.jsonl"),
    );
    None
}

/// A file that is only watched.
pub fn watched_file(text: &Text, mistakes: &mut Vec<Mistake>) -> Option<String> {
    let path = text.as_str();
    let plain = path
        .split('/')
        .all(|part| !part.is_empty() && part != "." && part != "..");
    if plain && !path.contains("${") {
        return Some(path.to_owned());
    }
    mistakes.push(
        Mistake::new(
            "forbidden-path",
            format!("`{path}` is no plain path relative to the root"),
            text.place(),
        )
        .help("write a path like data/NAME.json"),
    );
    None
}

/// A list of names of checks.
pub fn check_names(names: Vec<Text>, mistakes: &mut Vec<Mistake>) -> Vec<Text> {
    let mut good: Vec<Text> = Vec::new();
    for name in names {
        if !names::check_rule(&name, mistakes) {
            continue;
        }
        if good.contains(&name) {
            mistakes.push(
                Mistake::new(
                    "duplicate-name",
                    format!("`{name}` stands here twice"),
                    name.place(),
                )
                .help("keep one of the two"),
            );
            continue;
        }
        good.push(name);
    }
    good
}
