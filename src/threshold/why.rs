//! Why a verdict is what it is: the expression that decided, and the values its names had, long ones shortened.

use serde_json::{Map, Value};

use crate::{
    model::verdict::Why,
    script::{Expr, Fault, Scope},
};

/// Longest text that is shown whole, in characters.
const LONGEST_TEXT: usize = 120;
/// Largest list or map that is shown whole, in values.
const MOST_VALUES: usize = 24;

pub(super) fn why(line: &str, expr: &Expr, scope: &Scope<'_>) -> Why {
    Why {
        line: line.to_owned(),
        expression: expr.text().to_string(),
        place: expr.text().place(),
        saw: saw(expr, scope),
    }
}

/// Why something could not be decided: the expression that failed, which may be a `let` of the one that was asked.
pub(super) fn fault(line: &str, fault: &Fault, expr: Option<&Expr>, scope: &Scope<'_>) -> Why {
    Why {
        line: line.to_owned(),
        expression: fault.expression.clone(),
        place: fault.place.clone(),
        saw: expr.map(|expr| saw(expr, scope)).unwrap_or_default(),
    }
}

fn saw(expr: &Expr, scope: &Scope<'_>) -> Map<String, Value> {
    expr.names()
        .iter()
        .filter_map(|name| Some((name.clone(), shorten(&*scope.glance(name)?))))
        .collect()
}

/// An expression and what it saw, as a message: `age_s > 300 (age_s 310.5)`.
pub(super) fn sentence(why: &Why) -> String {
    let saw: Vec<String> = why
        .saw
        .iter()
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    match saw.is_empty() {
        true => why.expression.clone(),
        false => format!("{} ({})", why.expression, saw.join(", ")),
    }
}

/// A value that can be shown: the whole of it, or what it is.
pub(super) fn shorten(value: &Value) -> Value {
    match value {
        Value::String(text) => match text.char_indices().nth(LONGEST_TEXT) {
            Some((end, _)) => Value::String(format!("{}…", &text[..end])),
            None => value.clone(),
        },
        Value::Array(_) | Value::Object(_) if is_small(value, &mut MOST_VALUES.clone()) => {
            value.clone()
        }
        Value::Array(items) => format!("a list of {}", items.len()).into(),
        Value::Object(map) => format!("a map of {}", map.len()).into(),
        _ => value.clone(),
    }
}

fn is_small(value: &Value, left: &mut usize) -> bool {
    *left = left.saturating_sub(1);
    *left > 0
        && match value {
            Value::String(text) => text.len() <= LONGEST_TEXT,
            Value::Array(items) => items.iter().all(|item| is_small(item, left)),
            Value::Object(map) => map.values().all(|value| is_small(value, left)),
            _ => true,
        }
}
