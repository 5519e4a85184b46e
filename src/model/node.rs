//! A value of a rule file with the place of everything in it, and its serde `Deserializer`.
//!
//! Typed reading goes through [`decode`]: it reports **every** mistake of a value, each at the very key or leaf that is
//! wrong, by reading again without what was already reported. `rules/yaml.rs` makes nodes out of text.

#![expect(
    clippy::result_large_err,
    reason = "serde wants the error itself; reading rules is not hot"
)]

use std::{borrow::Cow, collections::BTreeSet, fmt, marker::PhantomData};

use serde::{
    Deserialize,
    de::{self, IntoDeserializer},
};
use serde_json::Value;

use super::text::{Marks, Mistake, Place, TEXT, Text, meant};

/// A value and where it stands.
#[derive(Clone, Debug)]
pub struct Node {
    pub tree: Tree,
    pub place: Place,
    /// Of a scalar: where each of its characters stands.
    pub marks: Option<Marks>,
}

#[derive(Clone, Debug)]
pub enum Tree {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(String),
    Seq(Vec<Node>),
    /// Keys are always texts; their order is the file's.
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// A node that stands in no file, for tests and for rules that come as JSON.
    pub fn from_json(value: &Value) -> Node {
        let tree = match value {
            Value::Null => Tree::Null,
            Value::Bool(value) => Tree::Bool(*value),
            Value::Number(number) => match number.as_i64() {
                Some(int) => Tree::Int(int),
                None => Tree::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(text) => Tree::Str(text.clone()),
            Value::Array(items) => Tree::Seq(items.iter().map(Node::from_json).collect()),
            Value::Object(map) => Tree::Map(
                map.iter()
                    .map(|(key, value)| {
                        (
                            Node::from_json(&Value::String(key.clone())),
                            Node::from_json(value),
                        )
                    })
                    .collect(),
            ),
        };
        Node {
            tree,
            place: Place::default(),
            marks: None,
        }
    }

    pub fn to_json(&self) -> Value {
        match &self.tree {
            Tree::Null => Value::Null,
            Tree::Bool(value) => (*value).into(),
            Tree::Int(value) => (*value).into(),
            Tree::Float(value) => (*value).into(),
            Tree::Str(text) => text.clone().into(),
            Tree::Seq(items) => Value::Array(items.iter().map(Node::to_json).collect()),
            Tree::Map(entries) => Value::Object(
                entries
                    .iter()
                    .map(|(key, value)| (key.key().to_owned(), value.to_json()))
                    .collect(),
            ),
        }
    }

    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries()
            .iter()
            .find(|(known, _)| known.key() == key)
            .map(|(_, value)| value)
    }

    /// The entries of a map; nothing for any other value.
    pub fn entries(&self) -> &[(Node, Node)] {
        match &self.tree {
            Tree::Map(entries) => entries,
            _ => &[],
        }
    }

    pub fn items(&self) -> &[Node] {
        match &self.tree {
            Tree::Seq(items) => items,
            _ => &[],
        }
    }

    /// The text of a node that is a key (or any text); empty for other values.
    pub fn key(&self) -> &str {
        match &self.tree {
            Tree::Str(text) => text,
            _ => "",
        }
    }

    /// A scalar as a [`Text`] with its places; `None` for null, lists and maps.
    pub fn text(&self) -> Option<Text> {
        let text = match &self.tree {
            Tree::Str(text) => text.clone(),
            Tree::Bool(value) => value.to_string(),
            Tree::Int(value) => value.to_string(),
            Tree::Float(value) => format!("{value:?}"),
            Tree::Null | Tree::Seq(_) | Tree::Map(_) => return None,
        };
        Some(Text::placed(text, self.place.clone(), self.marks.clone()))
    }

    /// What it is, in the words of a complaint.
    pub fn kind(&self) -> &'static str {
        match self.tree {
            Tree::Null => "nothing",
            Tree::Bool(_) => "a boolean",
            Tree::Int(_) | Tree::Float(_) => "a number",
            Tree::Str(_) => "a text",
            Tree::Seq(_) => "a list",
            Tree::Map(_) => "a map",
        }
    }

    fn drop_at(&mut self, path: &[Step]) {
        match (&mut self.tree, path) {
            (Tree::Map(entries), [Step::Key(index)]) if *index < entries.len() => {
                entries.remove(*index);
            }
            (Tree::Seq(items), [Step::Item(index)]) if *index < items.len() => {
                items.remove(*index);
            }
            (Tree::Map(entries), [Step::Key(index), rest @ ..]) => {
                if let Some((_, value)) = entries.get_mut(*index) {
                    value.drop_at(rest);
                }
            }
            (Tree::Seq(items), [Step::Item(index), rest @ ..]) => {
                if let Some(item) = items.get_mut(*index) {
                    item.drop_at(rest);
                }
            }
            _ => {}
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    Key(usize),
    Item(usize),
}

/// After so many mistakes in one value the others are not looked for.
const MOST_MISTAKES: usize = 64;

/// A part of a typed value that is read by itself: here it only says that it is there, and what its schema is.
pub struct Part<T>(PhantomData<fn() -> T>);

impl<T> fmt::Debug for Part<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Part")
    }
}

impl<'de, T> Deserialize<'de> for Part<T> {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Part<T>, D::Error> {
        de::IgnoredAny::deserialize(deserializer)?;
        Ok(Part(PhantomData))
    }
}

impl<T: schemars::JsonSchema> schemars::JsonSchema for Part<T> {
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }
    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        T::json_schema(generator)
    }
    fn inline_schema() -> bool {
        T::inline_schema()
    }
}

/// Reads a typed value. Pushes every mistake found; `None` if there was any that matters.
pub fn decode<T: for<'de> Deserialize<'de>>(node: &Node, mistakes: &mut Vec<Mistake>) -> Option<T> {
    let before = mistakes.len();
    salvage(node, mistakes).filter(|_| mistakes.len() == before)
}

/// Reads a typed value as far as it can be read: what was wrong is reported and left out, so that the rest can still be
/// checked. `None` if nothing is left to go on with.
pub fn salvage<T: for<'de> Deserialize<'de>>(
    node: &Node,
    mistakes: &mut Vec<Mistake>,
) -> Option<T> {
    let mut rest = Cow::Borrowed(node);
    let mut dropped: BTreeSet<String> = BTreeSet::new();
    for _ in 0..MOST_MISTAKES {
        match T::deserialize(Reader { node: &rest }) {
            Ok(value) => return Some(value),
            Err(error) => {
                if let Some(missing) = &error.missing
                    && (dropped.contains(missing) || dropped.contains(""))
                {
                    return None; // absent only because its broken value was reported and dropped
                }
                dropped.extend(error.meant.clone());
                if let Some(Step::Key(index)) = error.path.last() {
                    let holder = descend(&rest, &error.path[..error.path.len() - 1]);
                    if let Some((key, _)) = holder.and_then(|map| map.entries().get(*index)) {
                        dropped.insert(key.key().to_owned());
                    }
                } else {
                    dropped.insert(String::new());
                }
                let path = error.path.clone();
                mistakes.push(error.into_mistake(node));
                if path.is_empty() {
                    return None;
                }
                rest.to_mut().drop_at(&path);
            }
        }
    }
    None
}

fn descend<'a>(node: &'a Node, path: &[Step]) -> Option<&'a Node> {
    path.iter().try_fold(node, |node, step| match step {
        Step::Key(index) => node.entries().get(*index).map(|(_, value)| value),
        Step::Item(index) => node.items().get(*index),
    })
}

/// Why a node could not be read: the message, the innermost place it belongs to, and the way there.
#[derive(Debug)]
pub struct ReadError {
    code: &'static str,
    message: String,
    help: Option<String>,
    missing: Option<String>,
    /// Of an unknown key: the one that was meant, which is then not missing.
    meant: Option<String>,
    place: Option<Place>,
    /// From the innermost value outward while it travels up; turned round at the end.
    path: Vec<Step>,
}

impl ReadError {
    fn new(code: &'static str, message: String) -> ReadError {
        ReadError {
            code,
            message,
            help: None,
            missing: None,
            meant: None,
            place: None,
            path: Vec::new(),
        }
    }

    fn at(mut self, place: &Place) -> ReadError {
        self.place.get_or_insert_with(|| place.clone());
        self
    }

    fn under(mut self, step: Step) -> ReadError {
        self.path.insert(0, step);
        self
    }

    fn into_mistake(self, whole: &Node) -> Mistake {
        Mistake {
            code: self.code,
            message: self.message,
            help: self.help,
            place: self.place.unwrap_or_else(|| whole.place.clone()),
        }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ReadError {}

/// What serde expects, without the names of Rust.
fn plain_words(expected: &str) -> String {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" | "i8" | "i16" | "i32" | "i64" => "a whole number",
        "f32" | "f64" => "a number",
        "a string" | "string" | "identifier" => "a text",
        "a boolean" | "bool" => "true or false",
        "a sequence" => "a list",
        struct_ if struct_.starts_with("struct ") => "a map",
        other => other,
    }
    .to_owned()
}

impl de::Error for ReadError {
    /// What to write instead stands after a colon, and is the help.
    fn custom<T: fmt::Display>(message: T) -> ReadError {
        let message = message.to_string();
        let help = [": write ", ": did you mean ", ": one of "]
            .iter()
            .find_map(|word| message.find(word));
        match help {
            Some(at) => {
                let mut error = ReadError::new("bad-value", message[..at].to_owned());
                error.help = Some(message[at + 2..].to_owned());
                error
            }
            None => ReadError::new("bad-value", message),
        }
    }
    fn invalid_type(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> ReadError {
        let found = match found {
            de::Unexpected::Unit | de::Unexpected::Option => "nothing".to_owned(),
            de::Unexpected::Map => "a map".to_owned(),
            de::Unexpected::Seq => "a list".to_owned(),
            de::Unexpected::Str(text) => format!("the text `{text}`"),
            de::Unexpected::Bool(value) => format!("`{value}`"),
            de::Unexpected::Signed(value) => format!("the number {value}"),
            de::Unexpected::Unsigned(value) => format!("the number {value}"),
            de::Unexpected::Float(value) => format!("the number {value}"),
            other => other.to_string(),
        };
        let expected = plain_words(&expected.to_string());
        ReadError::new("wrong-type", format!("expected {expected}, found {found}"))
    }
    fn invalid_value(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> ReadError {
        let expected = plain_words(&expected.to_string());
        ReadError::new("bad-value", format!("expected {expected}, found {found}"))
    }
    fn unknown_field(field: &str, expected: &'static [&'static str]) -> ReadError {
        let mut error = ReadError::new("unknown-key", format!("unknown key `{field}`"));
        error.meant = meant(field, expected.iter().copied()).map(str::to_owned);
        error.help = Some(match &error.meant {
            Some(word) => format!("did you mean `{word}`?"),
            None => format!("known here: {}", expected.join(", ")),
        });
        error
    }
    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> ReadError {
        let mut error = ReadError::new("bad-value", format!("`{variant}` is not known here"));
        error.help = Some(match meant(variant, expected.iter().copied()) {
            Some(word) => format!("did you mean `{word}`?"),
            None => format!("one of: {}", expected.join(", ")),
        });
        error
    }
    fn missing_field(field: &'static str) -> ReadError {
        let mut error = ReadError::new("missing-key", format!("`{field}` is missing"));
        error.missing = Some(field.to_owned());
        error
    }
    fn duplicate_field(field: &'static str) -> ReadError {
        ReadError::new("duplicate-key", format!("`{field}` stands here twice"))
    }
}

struct Reader<'a> {
    node: &'a Node,
}

impl<'a> Reader<'a> {
    fn located<T>(&self, result: Result<T, ReadError>) -> Result<T, ReadError> {
        result.map_err(|error| error.at(&self.node.place))
    }

    fn scalar<'de, V: de::Visitor<'de>>(&self, visitor: V) -> Result<V::Value, ReadError> {
        let result = match &self.node.tree {
            Tree::Null => visitor.visit_unit(),
            Tree::Bool(value) => visitor.visit_bool(*value),
            Tree::Int(value) => visitor.visit_i64(*value),
            Tree::Float(value) => visitor.visit_f64(*value),
            Tree::Str(text) => visitor.visit_str(text),
            Tree::Seq(items) => visitor.visit_seq(Items { items, next: 0 }),
            Tree::Map(entries) => visitor.visit_map(Entries { entries, next: 0 }),
        };
        self.located(result)
    }
}

impl<'de> de::Deserializer<'de> for Reader<'_> {
    type Error = ReadError;

    fn deserialize_any<V: de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.scalar(visitor)
    }

    fn deserialize_option<V: de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.node.tree {
            Tree::Null => self.located(visitor.visit_none()),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: de::Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        if name != TEXT {
            return visitor.visit_newtype_struct(self);
        }
        if let Tree::Seq(_) = self.node.tree {
            // `Text` reads its parts as a list, so a list in the file must not reach it.
            let wrong = de::Error::invalid_type(de::Unexpected::Seq, &visitor);
            return self.located(Err(wrong));
        }
        match self.node.text() {
            Some(text) => self.located(visitor.visit_seq(TextParts {
                text: &text,
                node: self.node,
                next: 0,
            })),
            None => {
                let message = format!("expected a text, found {}", self.node.kind());
                Err(ReadError::new("wrong-type", message).at(&self.node.place))
            }
        }
    }

    fn deserialize_enum<V: de::Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        match &self.node.tree {
            Tree::Str(text) => {
                let text: &str = text;
                self.located(visitor.visit_enum(text.into_deserializer()))
            }
            _ => {
                let access = de::value::MapAccessDeserializer::new(Entries {
                    entries: self.node.entries(),
                    next: 0,
                });
                self.located(visitor.visit_enum(access))
            }
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map struct identifier
    }

    fn deserialize_ignored_any<V: de::Visitor<'de>>(
        self,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        visitor.visit_unit()
    }
}

struct Items<'a> {
    items: &'a [Node],
    next: usize,
}

impl<'de> de::SeqAccess<'de> for Items<'_> {
    type Error = ReadError;
    fn next_element_seed<T: de::DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, ReadError> {
        let Some(node) = self.items.get(self.next) else {
            return Ok(None);
        };
        let step = Step::Item(self.next);
        self.next += 1;
        seed.deserialize(Reader { node })
            .map(Some)
            .map_err(|error| error.at(&node.place).under(step))
    }
}

struct Entries<'a> {
    entries: &'a [(Node, Node)],
    next: usize,
}

impl<'de> de::MapAccess<'de> for Entries<'_> {
    type Error = ReadError;
    fn next_key_seed<K: de::DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, ReadError> {
        let Some((key, _)) = self.entries.get(self.next) else {
            return Ok(None);
        };
        seed.deserialize(Reader { node: key })
            .map(Some)
            .map_err(|error| error.at(&key.place).under(Step::Key(self.next)))
    }
    fn next_value_seed<V: de::DeserializeSeed<'de>>(
        &mut self,
        seed: V,
    ) -> Result<V::Value, ReadError> {
        let index = self.next;
        self.next += 1;
        match self.entries.get(index) {
            Some((_, value)) => seed
                .deserialize(Reader { node: value })
                .map_err(|error| error.at(&value.place).under(Step::Key(index))),
            None => Err(de::Error::custom("a value is missing")),
        }
    }
}

/// Text, file, line, column and marks: what [`Text`] asks a node for.
struct TextParts<'a> {
    text: &'a Text,
    node: &'a Node,
    next: usize,
}

impl<'de> de::SeqAccess<'de> for TextParts<'_> {
    type Error = ReadError;
    fn next_element_seed<T: de::DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, ReadError> {
        self.next += 1;
        let place = &self.node.place;
        match self.next {
            1 => seed.deserialize(self.text.as_str().into_deserializer()),
            2 => seed.deserialize((&*place.file).into_deserializer()),
            3 => seed.deserialize((place.line as u64).into_deserializer()),
            4 => seed.deserialize((place.column as u64).into_deserializer()),
            5 => {
                let flat: Vec<u32> = self
                    .node
                    .marks
                    .iter()
                    .flat_map(|marks| marks.iter().flat_map(|&(line, column)| [line, column]))
                    .collect();
                seed.deserialize(flat.into_deserializer())
            }
            _ => return Ok(None),
        }
        .map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        every: super::super::span::Span,
        #[serde(default)]
        when: Vec<Text>,
        #[serde(default)]
        count: Option<u32>,
    }

    fn mistakes(value: Value) -> Vec<(String, &'static str)> {
        let mut found = Vec::new();
        let read: Option<Sample> = decode(&Node::from_json(&value), &mut found);
        assert_eq!(read.is_some(), found.is_empty());
        found
            .into_iter()
            .map(|mistake| (mistake.message, mistake.code))
            .collect()
    }

    #[test]
    fn reads_what_is_right() {
        let mut found = Vec::new();
        let node = Node::from_json(&json!({"every": "5m", "when": ["a > 1", true, 3], "count": 2}));
        let sample: Sample = decode(&node, &mut found).expect("all is right");
        assert_eq!(sample.every.to_string(), "5m");
        assert_eq!(sample.when[1].as_str(), "true");
        assert_eq!(sample.count, Some(2));
    }

    #[test]
    fn reports_every_mistake_in_one_go() {
        let found = mistakes(json!({"evry": "5m", "every": "soon", "cont": 1, "when": [{}, "ok"]}));
        let codes: Vec<_> = found.iter().map(|(_, code)| *code).collect();
        assert_eq!(
            codes,
            ["unknown-key", "bad-value", "unknown-key", "wrong-type"],
            "{found:?}"
        );
    }

    #[test]
    fn what_is_right_can_be_salvaged() {
        let mut found = Vec::new();
        let node = Node::from_json(&json!({"every": "5m", "count": "x", "when": [["a"], "b"]}));
        let sample: Sample = salvage(&node, &mut found).expect("every is there");
        assert_eq!((sample.count, sample.when[0].as_str()), (None, "b"));
        let found: Vec<_> = found.iter().map(|mistake| &*mistake.message).collect();
        assert_eq!(
            found,
            [
                "expected a whole number, found the text `x`",
                "expected a text, found a list"
            ]
        );
    }

    #[test]
    fn a_missing_key_is_told_once() {
        assert_eq!(
            mistakes(json!({"count": 1})),
            [("`every` is missing".to_owned(), "missing-key")]
        );
    }
}
