//! Chains: properties of values whose shape is known, items, and what is called on them.

use rhai::{Expr as Node, Position};
use serde_json::{Map, Value};

use super::{Checker, Shape, is_end};
use crate::{
    model::text::meant,
    script::{functions, value::listing},
};

impl<'a> Checker<'a> {
    /// What follows in a chain: one link, or a link and what follows it (see `rewrite`).
    pub(super) fn links(
        &mut self,
        shape: Shape<'a>,
        rest: &'a Node,
        indexed: bool,
        ends: bool,
    ) -> Shape<'a> {
        match rest {
            Node::Dot(parts, flags, _) if !ends => {
                let shape = self.link(shape, &parts.lhs, indexed);
                self.links(shape, &parts.rhs, false, is_end(*flags))
            }
            Node::Index(parts, flags, _) if !ends => {
                let shape = self.link(shape, &parts.lhs, indexed);
                self.links(shape, &parts.rhs, true, is_end(*flags))
            }
            link => self.link(shape, link, indexed),
        }
    }

    fn link(&mut self, shape: Shape<'a>, link: &'a Node, indexed: bool) -> Shape<'a> {
        if indexed {
            self.node(link);
            return match (shape, link) {
                (Some(Value::Number(_) | Value::Bool(_)), _) => {
                    self.bits(link.start_position());
                    None
                }
                (Some(Value::Object(_)), Node::StringConstant(name, position)) => {
                    self.property(shape, name, *position)
                }
                (Some(Value::Array(items)), _) => items.first(),
                _ => None,
            };
        }
        match link {
            Node::Property(property, position) => self.property(shape, &property.2, *position),
            Node::MethodCall(call, position) => self.call(call, Some(shape), *position),
            other => self.node(other),
        }
    }

    pub(super) fn property(
        &mut self,
        shape: Shape<'a>,
        name: &str,
        position: Position,
    ) -> Shape<'a> {
        let (message, help) = match shape? {
            Value::Object(map) => match map.get(name) {
                Some(Value::Null) => return None,
                Some(value) => return Some(value),
                None => (format!("no property `{name}`"), self.known_keys(name, map)?),
            },
            Value::Array(_) | Value::String(_) if name == "len" => return None,
            Value::Null => return None,
            Value::Array(_) => (
                format!("a list has no property `{name}`"),
                format!("each of its items may: `.pluck(\"{name}\")`"),
            ),
            Value::String(_) => (format!("a text has no property `{name}`"), String::new()),
            Value::Number(_) => (format!("a number has no property `{name}`"), String::new()),
            Value::Bool(_) => (format!("a boolean has no property `{name}`"), String::new()),
        };
        let help = match functions::is_reading(name) && !help.starts_with("did you") {
            true => format!("did you mean `{name}()`?"),
            false => help,
        };
        self.mistake("unknown-property", message, help, position);
        None
    }

    /// What to say about an absent name; nothing when the map is not known to be complete.
    fn known_keys(&self, name: &str, map: &Map<String, Value>) -> Option<String> {
        if map.is_empty() && !self.known.is_vars(map) {
            return None;
        }
        let keys: Vec<&str> = map.keys().map(String::as_str).collect();
        Some(match meant(name, keys.iter().copied()) {
            Some(word) => format!("did you mean `{word}`?"),
            None if keys.is_empty() => "there are none".to_owned(),
            None => format!("there are {}", listing(&keys)),
        })
    }
}
