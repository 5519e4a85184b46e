//! Equality and order. Equality never fails for kinds (different kinds are unequal); order exists between numbers and
//! between texts. Integers meet reals exactly or not at all.

use std::cmp::Ordering;

use rhai::{Array, Dynamic, Map};
use serde_json::Value;

use super::{
    budget,
    json::Json,
    value::{Outcome, refuse},
};

/// A real that is a number.
pub(super) fn real(number: f64) -> Outcome<f64> {
    if number.is_nan() {
        return refuse("not a number (NaN)");
    }
    Ok(number)
}

/// The real that is exactly this integer.
pub(super) fn exact(int: i64) -> Outcome<f64> {
    let number = int as f64;
    if number as i128 != i128::from(int) {
        return refuse(format!(
            "the integer {int} is too large to be mixed with a real"
        ));
    }
    Ok(number)
}

/// The value as a real, if it is a number.
pub(super) fn number(value: &Dynamic) -> Option<Outcome<f64>> {
    if let Ok(int) = value.as_int() {
        return Some(exact(int));
    }
    value.as_float().ok().map(real)
}

/// The order of two values of one kind; `None` if these kinds have no order.
pub(super) fn order(a: &Dynamic, b: &Dynamic) -> Outcome<Option<Ordering>> {
    if let (Ok(a), Ok(b)) = (a.as_int(), b.as_int()) {
        return Ok(Some(a.cmp(&b)));
    }
    if let (Some(a), Some(b)) = (number(a), number(b)) {
        return Ok(a?.partial_cmp(&b?));
    }
    match (a.as_immutable_string_ref(), b.as_immutable_string_ref()) {
        (Ok(a), Ok(b)) => Ok(Some(a.as_str().cmp(b.as_str()))),
        _ => Ok(None),
    }
}

/// Whether two values are equal, lists and maps by their content.
pub(super) fn same(a: &Dynamic, b: &Dynamic) -> Outcome<bool> {
    if let (Ok(a), Ok(b)) = (a.as_int(), b.as_int()) {
        return Ok(a == b);
    }
    if let (Some(a), Some(b)) = (number(a), number(b)) {
        return Ok(a? == b?);
    }
    if let (Ok(a), Ok(b)) = (a.as_immutable_string_ref(), b.as_immutable_string_ref()) {
        return Ok(*a == *b);
    }
    if let (Ok(a), Ok(b)) = (a.as_bool(), b.as_bool()) {
        return Ok(a == b);
    }
    if a.is_unit() || b.is_unit() {
        return Ok(a.is_unit() && b.is_unit());
    }
    match (Whole::of(a), Whole::of(b)) {
        (Some(a), Some(b)) => same_whole(&a, &b),
        _ => Ok(false),
    }
}

/// A list or map, wherever it lives.
enum Whole<'a> {
    Array(rhai::DynamicReadLock<'a, Array>),
    Map(rhai::DynamicReadLock<'a, Map>),
    Json(rhai::DynamicReadLock<'a, Json>),
}

impl Whole<'_> {
    fn of(value: &Dynamic) -> Option<Whole<'_>> {
        None.or_else(|| value.read_lock().map(Whole::Array))
            .or_else(|| value.read_lock().map(Whole::Map))
            .or_else(|| value.read_lock().map(Whole::Json))
    }
}

fn same_whole(a: &Whole<'_>, b: &Whole<'_>) -> Outcome<bool> {
    match (a, b) {
        (Whole::Json(a), Whole::Json(b)) => same_json(a.value(), b.value()),
        (Whole::Array(a), Whole::Array(b)) => {
            budget::spend(a.len())?;
            if a.len() != b.len() {
                return Ok(false);
            }
            for (a, b) in a.iter().zip(b.iter()) {
                if !same(a, b)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (Whole::Map(a), Whole::Map(b)) => {
            budget::spend(a.len())?;
            if a.len() != b.len() {
                return Ok(false);
            }
            for (key, a) in a.iter() {
                match b.get(key) {
                    Some(b) if same(a, b)? => {}
                    _ => return Ok(false),
                }
            }
            Ok(true)
        }
        (Whole::Array(a), Whole::Json(b)) | (Whole::Json(b), Whole::Array(a)) => {
            budget::spend(a.len())?;
            if !b.value().is_array() || a.len() != b.len() {
                return Ok(false);
            }
            for (index, a) in a.iter().enumerate() {
                match b.item(index).transpose()? {
                    Some(b) if same(a, &b)? => {}
                    _ => return Ok(false),
                }
            }
            Ok(true)
        }
        (Whole::Map(a), Whole::Json(b)) | (Whole::Json(b), Whole::Map(a)) => {
            budget::spend(a.len())?;
            if !b.value().is_object() || a.len() != b.len() {
                return Ok(false);
            }
            for (key, a) in a.iter() {
                match b.key(key).transpose()? {
                    Some(b) if same(a, &b)? => {}
                    _ => return Ok(false),
                }
            }
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// As [`same`], so that `1` and `1.0` are equal at any depth.
fn same_json(a: &Value, b: &Value) -> Outcome<bool> {
    budget::spend(1)?;
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => match (x.as_i64(), y.as_i64()) {
            (Some(x), Some(y)) => Ok(x == y),
            (None, None) => Ok(x == y),
            (Some(int), None) => Ok(exact(int)? == y.as_f64().unwrap_or(f64::INFINITY)),
            (None, Some(int)) => Ok(exact(int)? == x.as_f64().unwrap_or(f64::INFINITY)),
        },
        (Value::Array(x), Value::Array(y)) => {
            if x.len() != y.len() {
                return Ok(false);
            }
            for (x, y) in x.iter().zip(y) {
                if !same_json(x, y)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (Value::Object(x), Value::Object(y)) => {
            if x.len() != y.len() {
                return Ok(false);
            }
            for (key, x) in x {
                match y.get(key) {
                    Some(y) if same_json(x, y)? => {}
                    _ => return Ok(false),
                }
            }
            Ok(true)
        }
        _ => Ok(a == b),
    }
}
