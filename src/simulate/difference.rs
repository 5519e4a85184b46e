//! Where two JSON values differ. Numbers are equal as numbers (1 is 1.0), reals up to their last digits.

use serde_json::{Map, Value};

use super::words::cut;

/// The first place where `got` is not as `wanted`, as (path, wanted, got).
pub(super) type Difference = Option<(String, String, String)>;

/// Both must be the same.
pub(super) fn exact(wanted: &Value, got: &Value) -> Difference {
    differ(wanted, got, true, "")
}

/// `got` may have more keys, at any depth.
pub(super) fn at_least(wanted: &Map<String, Value>, got: &Value) -> Difference {
    differ(&Value::Object(wanted.clone()), got, false, "")
}

fn differ(wanted: &Value, got: &Value, exact: bool, path: &str) -> Difference {
    let different = || Some((path.to_owned(), shown(wanted), shown(got)));
    match (wanted, got) {
        (Value::Object(wanted), Value::Object(got)) => {
            let missing = wanted.iter().find_map(|(key, value)| {
                let path = format!("{path}.{key}");
                match got.get(key) {
                    Some(got) => differ(value, got, exact, &path),
                    None => Some((path, shown(value), "nothing".to_owned())),
                }
            });
            let surplus = || {
                got.iter()
                    .find(|(key, _)| exact && !wanted.contains_key(*key))
            };
            missing.or_else(|| {
                surplus().map(|(key, value)| {
                    (format!("{path}.{key}"), "nothing".to_owned(), shown(value))
                })
            })
        }
        (Value::Array(wanted), Value::Array(got)) if wanted.len() == got.len() => wanted
            .iter()
            .zip(got)
            .enumerate()
            .find_map(|(at, (wanted, got))| differ(wanted, got, exact, &format!("{path}[{at}]"))),
        (Value::Number(one), Value::Number(other)) => match near(one, other) {
            true => None,
            false => different(),
        },
        _ if wanted == got => None,
        _ => different(),
    }
}

fn near(one: &serde_json::Number, other: &serde_json::Number) -> bool {
    if one == other {
        return true;
    }
    if (one.is_i64() || one.is_u64()) && (other.is_i64() || other.is_u64()) {
        return false;
    }
    match (one.as_f64(), other.as_f64()) {
        // Whole numbers written as reals, like epoch seconds, are no nearer to each other for being large.
        (Some(one), Some(other)) if one.fract() == 0.0 && other.fract() == 0.0 => {
            one.total_cmp(&other).is_eq()
        }
        (Some(one), Some(other)) => {
            (one - other).abs() <= 1e-9 * one.abs().max(other.abs()).max(1.0)
        }
        _ => false,
    }
}

/// A value in one line that is not too long.
pub(super) fn shown(value: &Value) -> String {
    cut(&value.to_string(), 200)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_difference_is_named() {
        let found = exact(&json!({"a": [1, {"b": 2}]}), &json!({"a": [1.0, {"b": 3}]}));
        let named = |path: &str, wanted: &str, got: &str| {
            Some((path.to_owned(), wanted.to_owned(), got.to_owned()))
        };
        assert_eq!(found, named(".a[1].b", "2", "3"));
        assert_eq!(
            exact(&json!({}), &json!({"x": 1})),
            named(".x", "nothing", "1")
        );
        assert_eq!(
            exact(&json!([1]), &json!([1, 2])),
            named("", "[1]", "[1,2]")
        );
        assert_eq!(exact(&json!(0.3), &json!(0.1 + 0.2)), None);
        assert_eq!(exact(&json!(1), &json!("1")), named("", "1", "\"1\""));
        let big = 9_007_199_254_740_993_i64;
        assert!(
            exact(&json!(big), &json!(big - 1)).is_some(),
            "whole numbers are compared as such"
        );
        assert!(exact(&json!(1_767_715_800), &json!(1_767_715_801.0)).is_some());
        assert_eq!(exact(&json!(1_767_715_800), &json!(1_767_715_800.0)), None);
    }

    #[test]
    fn at_least_lets_others_be() {
        let Value::Object(wanted) = json!({"a": {"b": 1}}) else {
            panic!("an object")
        };
        assert_eq!(
            at_least(&wanted, &json!({"a": {"b": 1, "c": 2}, "d": 3})),
            None
        );
        assert!(at_least(&wanted, &json!({"a": {"c": 2}})).is_some());
        assert!(at_least(&wanted, &json!(null)).is_some());
    }
}
