//! What the kinds share in reading their arguments: at load, where texts may still hold `${…}`, and when a step is
//! prepared, where everything is filled in.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::HandsError;
use crate::{
    model::{
        node::{Node, Tree},
        text::{Mistake, Place, Text},
    },
    permission::Permission,
};

/// The arguments of a planned step.
pub fn read<T: DeserializeOwned>(args: &Map<String, Value>) -> Result<T, HandsError> {
    serde_json::from_value(Value::Object(args.clone()))
        .map_err(|error| HandsError::Failed(format!("its arguments cannot be used: {error}")))
}

/// The text itself if nothing in it is left to fill in.
pub fn constant(text: &Text) -> Option<&str> {
    let text = text.as_str();
    (!text.contains("${")).then_some(text)
}

/// Checks at load that a step may write this file, as far as that can be known.
pub fn check_file(file: &Text, permission: &Permission, mistakes: &mut Vec<Mistake>) {
    if let Some(path) = constant(file)
        && let Err(error) = permission.may_name(path)
    {
        mistakes.push(Mistake::new("forbidden-path", error.told(), file.place()));
    }
}

/// Checks that a value can be written as JSON: YAML knows numbers that JSON does not.
pub fn check_json(node: &Node, mistakes: &mut Vec<Mistake>) {
    match &node.tree {
        Tree::Float(number) if !number.is_finite() => mistakes.push(
            Mistake::new("bad-value", "JSON has no such number", node.place.clone())
                .help("write a finite number, null, or a text in quotes"),
        ),
        Tree::Seq(items) => items.iter().for_each(|item| check_json(item, mistakes)),
        Tree::Map(entries) => entries
            .iter()
            .for_each(|(_, value)| check_json(value, mistakes)),
        _ => {}
    }
}

/// Where the value of a key stands; the whole node if there is no such key.
pub fn place(node: &Node, key: &str) -> Place {
    node.get(key).unwrap_or(node).place.clone()
}
