//! Compact series over time: `0 1 _ 3x5`.
//!
//! Values are parted by blanks. `VxN` stands for N times V, `A+BxN` and `A-BxN` for N numbers that begin with A, each B
//! more (or less) than the last; N counts the values, unlike Prometheus's, which counts the steps between them. A value
//! is a number, `true`, `false`, `null`, a word, a `'text with blanks'`, or `_`: the probe fails (in a series of
//! statuses: whatever it is). After its end a series stays at its last value.

use std::{fmt, marker::PhantomData};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

use super::{StatusWord, either::unknown};
use crate::model::status::Status;

/// No series is longer.
pub const LONGEST: usize = 100_000;

/// One value of a series.
#[derive(Clone, Debug, PartialEq)]
pub enum Sample<T> {
    Is(T),
    /// `_`.
    Missing,
}

/// Values of one fact.
#[derive(Clone, Debug, PartialEq)]
pub struct Series(pub Vec<Sample<Value>>);

/// Statuses of one check.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusSeries(pub Vec<Sample<Status>>);

impl Series {
    pub fn parse(text: &str) -> Result<Series, String> {
        let mut values = Vec::new();
        for token in tokens(text)? {
            let (value, count) = counted(&token)?;
            match value {
                Token {
                    text: "_",
                    quoted: false,
                } => extend(&mut values, count, |_| Sample::Missing)?,
                value => match ramp(&value) {
                    Some((from, by)) if token.ends_in_count => {
                        extend(&mut values, count, |index| Sample::Is(from.plus(by, index)))?;
                    }
                    _ => {
                        let value = value.json();
                        extend(&mut values, count, |_| Sample::Is(value.clone()))?;
                    }
                },
            }
        }
        filled(values).map(Series)
    }

    /// The value at the `index`th step.
    pub fn at(&self, index: usize) -> Option<&Sample<Value>> {
        self.0.get(index).or(self.0.last())
    }
}

impl StatusSeries {
    pub fn parse(text: &str) -> Result<StatusSeries, String> {
        let mut values = Vec::new();
        for token in tokens(text)? {
            let (value, count) = counted(&token)?;
            let sample = match value.text {
                "_" => Sample::Missing,
                word => Sample::Is(
                    Status::from_word(word).ok_or_else(|| unknown(word, &StatusWord::WORDS))?,
                ),
            };
            extend(&mut values, count, |_| sample.clone())?;
        }
        filled(values).map(StatusSeries)
    }
}

fn filled<T>(values: Vec<T>) -> Result<Vec<T>, String> {
    match values.is_empty() {
        true => Err("a series without a value".to_owned()),
        false => Ok(values),
    }
}

fn extend<T>(
    values: &mut Vec<T>,
    count: usize,
    value: impl FnMut(usize) -> T,
) -> Result<(), String> {
    if values.len().saturating_add(count) > LONGEST {
        return Err(format!("a series of more than {LONGEST} values"));
    }
    values.extend((0..count).map(value));
    Ok(())
}

/// A word of a series as written.
struct Written {
    text: String,
    quoted: bool,
    /// What stands after the closing quote.
    tail: String,
    ends_in_count: bool,
}

#[derive(Clone, Copy)]
struct Token<'a> {
    text: &'a str,
    quoted: bool,
}

impl Token<'_> {
    fn json(&self) -> Value {
        if self.quoted {
            return Value::from(self.text);
        }
        // Whatever JSON reads as a plain scalar is one; anything else is a word.
        match serde_json::from_str(self.text) {
            Ok(value @ (Value::Null | Value::Bool(_) | Value::Number(_))) => value,
            _ => Value::from(self.text),
        }
    }
}

fn tokens(text: &str) -> Result<Vec<Written>, String> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (text, quoted, after) = match rest.strip_prefix('\'') {
            Some(inside) => {
                let (text, after) = inside.split_once('\'').ok_or("an open quote")?;
                (text, true, after)
            }
            None => {
                let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
                (&rest[..end], false, &rest[end..])
            }
        };
        let end = after.find(char::is_whitespace).unwrap_or(after.len());
        found.push(Written {
            text: text.to_owned(),
            quoted,
            tail: after[..end].to_owned(),
            ends_in_count: false,
        });
        rest = after[end..].trim_start();
    }
    for token in &mut found {
        token.ends_in_count = !token.quoted && split_count(&token.text).is_some();
    }
    Ok(found)
}

fn split_count(text: &str) -> Option<(&str, usize)> {
    let (value, count) = text.rsplit_once('x')?;
    let digits = !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit());
    (digits && !value.is_empty()).then(|| (value, count.parse().unwrap_or(usize::MAX)))
}

/// A value and how often it stands.
fn counted(token: &Written) -> Result<(Token<'_>, usize), String> {
    let (text, count) = match token.quoted {
        true if token.tail.is_empty() => (token.text.as_str(), 1),
        true => match token.tail.strip_prefix('x').map(str::parse) {
            Some(Ok(count)) => (token.text.as_str(), count),
            _ => {
                return Err(format!(
                    "`{}` after a quoted text: write 'text'x3",
                    token.tail
                ));
            }
        },
        false => split_count(&token.text).unwrap_or((&token.text, 1)),
    };
    if count == 0 {
        return Err(format!("`{}` stands no time at all", token.text));
    }
    let quoted = token.quoted;
    Ok((Token { text, quoted }, count))
}

/// A number that JSON keeps apart: 1 is no 1.0.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Number {
    Whole(i64),
    Real(f64),
}

impl Number {
    fn parse(text: &str) -> Option<Number> {
        let whole = text.parse().ok().map(Number::Whole);
        whole.or_else(|| {
            text.parse()
                .ok()
                .filter(|real: &f64| real.is_finite())
                .map(Number::Real)
        })
    }

    fn plus(self, by: Number, times: usize) -> Value {
        let real = |number| match number {
            Number::Whole(whole) => whole as f64,
            Number::Real(real) => real,
        };
        match (self, by) {
            (Number::Whole(from), Number::Whole(by)) => {
                let times = i64::try_from(times).unwrap_or(i64::MAX);
                Value::from(from.saturating_add(by.saturating_mul(times)))
            }
            (from, by) => Value::from(real(from) + real(by) * times as f64),
        }
    }
}

/// `A+B` or `A-B`.
fn ramp(token: &Token<'_>) -> Option<(Number, Number)> {
    if token.quoted {
        return None;
    }
    let text = token.text;
    let signs = text
        .char_indices()
        .skip(1)
        .filter(|(_, c)| matches!(c, '+' | '-'));
    signs.into_iter().find_map(|(at, _)| {
        let (from, by) = text.split_at(at);
        Some((
            Number::parse(from)?,
            Number::parse(by.strip_prefix('+').unwrap_or(by))?,
        ))
    })
}

/// Reads a series from a text, or from a number or boolean that stands alone.
struct Visitor<T>(fn(&str) -> Result<T, String>, PhantomData<T>);

impl<T> de::Visitor<'_> for Visitor<T> {
    type Value = T;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a series like 0 1 _ 3x5")
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        (self.0)(text).map_err(E::custom)
    }
    fn visit_i64<E: de::Error>(self, value: i64) -> Result<T, E> {
        self.visit_str(&value.to_string())
    }
    fn visit_u64<E: de::Error>(self, value: u64) -> Result<T, E> {
        self.visit_str(&value.to_string())
    }
    fn visit_f64<E: de::Error>(self, value: f64) -> Result<T, E> {
        self.visit_str(&value.to_string())
    }
    fn visit_bool<E: de::Error>(self, value: bool) -> Result<T, E> {
        self.visit_str(&value.to_string())
    }
}

impl<'de> Deserialize<'de> for Series {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Series, D::Error> {
        deserializer.deserialize_any(Visitor(Series::parse, PhantomData))
    }
}

impl<'de> Deserialize<'de> for StatusSeries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<StatusSeries, D::Error> {
        deserializer.deserialize_any(Visitor(StatusSeries::parse, PhantomData))
    }
}

impl JsonSchema for Series {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Series".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "number", "boolean"],
            "description": "Values over time: `0 1 _ 3x5 10+2x4`. `_`: the probe fails.",
            "examples": ["0 1 _ 3x5"]
        })
    }
}

impl JsonSchema for StatusSeries {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "StatusSeries".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "Statuses over time: `ok okx3 critical`. `_`: any.",
            "examples": ["ok okx3 critical"]
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn values(text: &str) -> Vec<Value> {
        let series = Series::parse(text).expect("a series");
        let value = |sample| match sample {
            Sample::Is(value) => value,
            Sample::Missing => json!("(missing)"),
        };
        series.0.into_iter().map(value).collect()
    }

    #[test]
    fn a_series_is_read_as_it_is_written() {
        assert_eq!(
            values("0 1 _ 3x2"),
            [json!(0), json!(1), json!("(missing)"), json!(3), json!(3)]
        );
        assert_eq!(
            values("1+2x3 0.5-0.25x2"),
            [json!(1), json!(3), json!(5), json!(0.5), json!(0.25)]
        );
        assert_eq!(values("-1-1x2 1e3"), [json!(-1), json!(-2), json!(1000.0)]);
        assert_eq!(
            values("true null idle 'x y'x2 '1'"),
            [
                json!(true),
                json!(null),
                json!("idle"),
                json!("x y"),
                json!("x y"),
                json!("1")
            ]
        );
        assert_eq!(values("5-3"), [json!("5-3")], "a ramp needs its count");
        assert_eq!(values("xx2 0x10")[..3], [json!("x"), json!("x"), json!(0)]);
    }

    #[test]
    fn a_series_stays_at_its_last_value() {
        let series = Series::parse("1 2").expect("a series");
        assert_eq!(series.at(7), Some(&Sample::Is(json!(2))));
    }

    #[test]
    fn what_is_no_series_is_told() {
        let told = |text| Series::parse(text).expect_err("no series");
        assert_eq!(told(" "), "a series without a value");
        assert_eq!(told("5x0"), "`5x0` stands no time at all");
        assert_eq!(told("'a"), "an open quote");
        assert_eq!(told("'a'b"), "`b` after a quoted text: write 'text'x3");
        assert_eq!(
            told("1x99999999999999999999"),
            "a series of more than 100000 values"
        );
        assert_eq!(
            StatusSeries::parse("ok critcal").expect_err("no status"),
            "`critcal` is not known here: did you mean `critical`?"
        );
    }

    proptest! {
        #[test]
        fn nothing_written_is_a_panic(text in "[-0-9x+_'. a]{0,20}") {
            let _ = Series::parse(&text);
            let _ = StatusSeries::parse(&text);
        }

        #[test]
        fn counts_are_counted(parts in prop::collection::vec((-9i64..9, 1usize..9), 1..8)) {
            let text: Vec<String> = parts.iter().map(|(value, count)| format!("{value}x{count}")).collect();
            let whole: usize = parts.iter().map(|(_, count)| count).sum();
            prop_assert_eq!(values(&text.join(" ")).len(), whole);
        }
    }
}
