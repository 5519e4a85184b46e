//! Whether two values are the same to the letter.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::model::facts::Facts;

pub(super) fn same_kept(
    one: &Option<Map<String, Value>>,
    other: &Option<Map<String, Value>>,
) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => identical_members(one, other),
        _ => false,
    }
}

pub(super) fn same_facts(one: &Facts, other: &Facts) -> bool {
    let (mut one, mut other) = (one.iter(), other.iter());
    loop {
        match (one.next(), other.next()) {
            (None, None) => return true,
            (Some((name, value)), Some((known, old))) => {
                if name != known || !(Arc::ptr_eq(value, old) || identical(value, old)) {
                    return false;
                }
            }
            _ => return false,
        }
    }
}

/// Equal, and with the members in the same order; `==` on maps ignores order and hashes every name.
pub(super) fn identical(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .zip(other)
                    .all(|(one, other)| identical(one, other))
        }
        (Value::Object(one), Value::Object(other)) => identical_members(one, other),
        // -0.0 equals 0.0 and is another number.
        (Value::Number(one), Value::Number(other)) => {
            one == other
                && (!one.is_f64()
                    || one.as_f64().map(f64::to_bits) == other.as_f64().map(f64::to_bits))
        }
        _ => one == other,
    }
}

pub(super) fn identical_members(one: &Map<String, Value>, other: &Map<String, Value>) -> bool {
    one.len() == other.len()
        && one
            .iter()
            .zip(other)
            .all(|((name, value), (known, old))| name == known && identical(value, old))
}
