//! The kinds of values an expression knows, how they are named in messages, and the way from and to JSON.

use std::fmt::Write;

use rhai::{Array, Dynamic, EvalAltResult, ImmutableString, Map, Position};
use serde_json::Value;

use super::{closure::Closure, json::Json};

/// What an operator or function gives: a value, or why there is none.
pub(super) type Outcome<T> = Result<T, Box<EvalAltResult>>;

/// A refusal in the words of a rule author. The caller's position is filled in by Rhai.
pub(super) fn refuse<T>(message: impl Into<String>) -> Outcome<T> {
    Err(Box::new(EvalAltResult::ErrorRuntime(
        Dynamic::from(message.into()),
        Position::NONE,
    )))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Nothing,
    Bool,
    Int,
    Float,
    Text,
    List,
    Map,
    Function,
    /// A range, a character: what Rhai has and rules do not.
    Foreign,
}

impl Kind {
    pub fn of(value: &Dynamic) -> Kind {
        if value.is_int() {
            Kind::Int
        } else if value.is_float() {
            Kind::Float
        } else if value.is_string() {
            Kind::Text
        } else if value.is_bool() {
            Kind::Bool
        } else if value.is_unit() {
            Kind::Nothing
        } else if value.is_array() {
            Kind::List
        } else if value.is_map() {
            Kind::Map
        } else if let Some(json) = value.read_lock::<Json>() {
            match json.value() {
                Value::Array(_) => Kind::List,
                _ => Kind::Map,
            }
        } else if value.is::<Closure>() {
            Kind::Function
        } else {
            Kind::Foreign
        }
    }

    /// What `type_of` gives.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Nothing => "()",
            Kind::Bool => "bool",
            Kind::Int => "int",
            Kind::Float => "float",
            Kind::Text => "string",
            Kind::List => "array",
            Kind::Map => "map",
            Kind::Function => "function",
            Kind::Foreign => "other",
        }
    }

    /// The kind in a sentence.
    pub fn phrase(self) -> &'static str {
        match self {
            Kind::Nothing => "nothing ()",
            Kind::Bool => "a boolean",
            Kind::Int | Kind::Float => "a number",
            Kind::Text => "a text",
            Kind::List => "a list",
            Kind::Map => "a map",
            Kind::Function => "a function",
            Kind::Foreign => "a value that rules do not know",
        }
    }
}

/// A value in a message, shortened: ``text `x` ``, `number 3`, `a list of 20`, `a map of base, canary`.
pub(super) fn describe(value: &Dynamic) -> String {
    match Kind::of(value) {
        Kind::Int => format!("number {}", value.as_int().unwrap_or_default()),
        Kind::Float => format!("number {}", real_text(value.as_float().unwrap_or(f64::NAN))),
        Kind::Bool => value.as_bool().unwrap_or_default().to_string(),
        Kind::Text => {
            let text = value.as_immutable_string_ref();
            format!(
                "text `{}`",
                shorten(text.as_deref().map_or("", |text| text))
            )
        }
        Kind::List => format!("a list of {}", length(value).unwrap_or(0)),
        Kind::Map => match keys(value) {
            keys if keys.is_empty() => "an empty map".to_owned(),
            keys => format!("a map of {}", listing(&keys)),
        },
        kind => kind.phrase().to_owned(),
    }
}

/// At most 40 characters, on one line.
fn shorten(text: &str) -> String {
    let line = text.replace(['\n', '\r', '\t'], " ");
    match line.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// A few names, the rest counted.
pub(super) fn listing<T: AsRef<str>>(names: &[T]) -> String {
    const SHOWN: usize = 8;
    let mut text = String::new();
    for name in names.iter().take(SHOWN) {
        if !text.is_empty() {
            text.push_str(", ");
        }
        text.push_str(&shorten(name.as_ref()));
    }
    if names.len() > SHOWN {
        let _ = write!(text, " and {} more", names.len() - SHOWN);
    }
    text
}

/// Keys of a map, items of a list, characters of a text.
pub(super) fn length(value: &Dynamic) -> Option<usize> {
    if let Some(array) = value.read_lock::<Array>() {
        return Some(array.len());
    }
    if let Some(map) = value.read_lock::<Map>() {
        return Some(map.len());
    }
    if let Some(json) = value.read_lock::<Json>() {
        return Some(json.len());
    }
    let text = value.as_immutable_string_ref().ok()?;
    Some(text.chars().count())
}

/// The keys of a map; none for any other value.
pub(super) fn keys(value: &Dynamic) -> Vec<String> {
    if let Some(map) = value.read_lock::<Map>() {
        return map.keys().map(|key| key.to_string()).collect();
    }
    match value.read_lock::<Json>() {
        Some(json) => json.keys(),
        None => Vec::new(),
    }
}

/// A real as rules and JSON write it: `3.0`, `0.25`, `1e300`.
pub(super) fn real_text(number: f64) -> String {
    format!("{number:?}")
}

/// A value as part of a text. `()` and functions have none; maps and lists are written as JSON.
pub(super) fn text_of(value: &Dynamic) -> Outcome<ImmutableString> {
    if let Ok(text) = value.as_immutable_string_ref() {
        return Ok(text.clone());
    }
    match Kind::of(value) {
        Kind::Int => Ok(value.as_int().unwrap_or_default().to_string().into()),
        Kind::Float => Ok(real_text(value.as_float().unwrap_or(f64::NAN)).into()),
        Kind::Bool => Ok(value.as_bool().unwrap_or_default().to_string().into()),
        Kind::List | Kind::Map => Ok(to_json(value)?.to_string().into()),
        kind => refuse(format!("{} cannot be written as text", kind.phrase())),
    }
}

/// The JSON of a value. Functions have none, nor has NaN.
pub(super) fn to_json(value: &Dynamic) -> Outcome<Value> {
    if let Some(json) = value.read_lock::<Json>() {
        return Ok(json.value().clone());
    }
    if let Some(array) = value.read_lock::<Array>() {
        return array.iter().map(to_json).collect();
    }
    if let Some(map) = value.read_lock::<Map>() {
        return map
            .iter()
            .map(|(key, value)| Ok((key.to_string(), to_json(value)?)))
            .collect();
    }
    match Kind::of(value) {
        Kind::Nothing => Ok(Value::Null),
        Kind::Bool => Ok(value.as_bool().unwrap_or_default().into()),
        Kind::Int => Ok(value.as_int().unwrap_or_default().into()),
        Kind::Float => {
            let number = value.as_float().unwrap_or(f64::NAN);
            match serde_json::Number::from_f64(number) {
                Some(number) => Ok(Value::Number(number)),
                None => refuse("the result is not a finite number"),
            }
        }
        Kind::Text => match value.as_immutable_string_ref() {
            Ok(text) => Ok(text.as_str().into()),
            Err(kind) => refuse(format!("a {kind} has no text")),
        },
        kind => refuse(format!("{} is not a value that can be kept", kind.phrase())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_what_was_there() {
        let value = |json| Json::dynamic(&std::sync::Arc::new(json)).unwrap();
        let described = [
            describe(&3.into()),
            describe(&3.0.into()),
            describe(&"x".into()),
            describe(&"a\nb".repeat(30).into()),
            describe(&Dynamic::UNIT),
            describe(&value(serde_json::json!([1, 2]))),
            describe(&value(serde_json::json!({"base": 1, "canary": 2}))),
        ];
        insta::assert_snapshot!(described.join("\n"), @r"
        number 3
        number 3.0
        text `x`
        text `a ba ba ba ba ba ba ba ba ba ba ba ba ba…`
        nothing ()
        a list of 2
        a map of base, canary
        ");
    }
}
