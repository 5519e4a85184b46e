//! What a query gave: columns and rows, within bounds.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::permission::settings::Size;

/// How much of an answer is taken.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// What comes after so many rows is left out.
    pub rows: usize,
    /// More bytes are an error.
    pub size: Size,
}

#[derive(Debug)]
pub struct Table {
    pub columns: Vec<String>,
    /// Each a map of its columns.
    pub rows: Vec<Value>,
    /// There were more rows.
    pub truncated: bool,
    bounds: Bounds,
    size: u64,
}

impl Table {
    /// An empty one; an error if two columns have one name, for a row is a map.
    pub fn new(columns: Vec<String>, bounds: Bounds) -> Result<Table, String> {
        let mut known = BTreeSet::new();
        if let Some(twice) = columns.iter().find(|name| !known.insert(name.as_str())) {
            return Err(format!(
                "two columns are called `{twice}`: give one of them another name with AS"
            ));
        }
        Ok(Table {
            columns,
            rows: Vec::new(),
            truncated: false,
            bounds,
            size: 0,
        })
    }

    /// Whether there is room for another row; if there is none, what follows is left out.
    pub fn has_room(&mut self) -> bool {
        self.truncated = self.rows.len() >= self.bounds.rows;
        !self.truncated
    }

    /// Takes a row, its values in the order of the columns.
    pub fn push(&mut self, values: Vec<Value>) -> Result<(), String> {
        let names = self.columns.iter().cloned();
        let row: Map<String, Value> = names.zip(values).collect();
        self.size += row.values().map(size).sum::<u64>();
        if self.size > self.bounds.size.0 {
            return Err(too_large(self.bounds.size));
        }
        self.rows.push(Value::Object(row));
        Ok(())
    }
}

pub fn too_large(most: Size) -> String {
    format!("the rows are larger than {most} (`max_size`)")
}

/// Roughly what a value takes: texts by their bytes, everything else eight.
fn size(value: &Value) -> u64 {
    match value {
        Value::String(text) => text.len() as u64,
        Value::Array(items) => 8 + items.iter().map(size).sum::<u64>(),
        Value::Object(map) => {
            let keys = map.keys().map(|key| key.len() as u64).sum::<u64>();
            8 + keys + map.values().map(size).sum::<u64>()
        }
        _ => 8,
    }
}

/// A real as JSON. Those it cannot hold are texts, so that a comparison with them is an error.
pub fn real(value: f64) -> Value {
    match value {
        nan if nan.is_nan() => "NaN".into(),
        f64::INFINITY => "Infinity".into(),
        f64::NEG_INFINITY => "-Infinity".into(),
        finite => finite.into(),
    }
}

/// A decimal number as JSON: a number if that reads back as the same decimal, else its text.
pub fn decimal(text: String) -> Value {
    if let Ok(whole) = text.parse::<i64>() {
        return whole.into();
    }
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && plain(&number.to_string()) == plain(&text) => {
            number.into()
        }
        _ => text.into(),
    }
}

/// Without the zeros that say nothing.
fn plain(decimal: &str) -> &str {
    match decimal.contains('.') {
        true => decimal.trim_end_matches('0').trim_end_matches('.'),
        false => decimal,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn bounds(rows: usize, size: u64) -> Bounds {
        Bounds {
            rows,
            size: Size(size),
        }
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn rows_are_maps_within_bounds() {
        let mut table = Table::new(names(&["a", "b"]), bounds(2, 100)).expect("a table");
        for n in 0..2 {
            assert!(table.has_room());
            table.push(vec![n.into(), "x".into()]).expect("small");
        }
        assert!(!table.has_room() && table.truncated);
        assert_eq!(table.rows[1], json!({"a": 1, "b": "x"}));
        let error = Table::new(names(&["a", "b", "a"]), bounds(1, 1)).expect_err("twice");
        assert!(error.starts_with("two columns are called `a`"), "{error}");
        let mut small = Table::new(names(&["a"]), bounds(9, 10)).expect("a table");
        small.push(vec!["12345".into()]).expect("small");
        let error = small.push(vec!["123456".into()]).expect_err("too large");
        assert_eq!(error, "the rows are larger than 10 B (`max_size`)");
    }

    #[test]
    fn numbers_are_exact_or_texts() {
        for (text, value) in [
            ("12", json!(12)),
            ("-9223372036854775808", json!(i64::MIN)),
            ("0.1", json!(0.1)),
            ("-1.50", json!(-1.5)),
            ("100.00", json!(100.0)),
            ("1180591620717411303424", json!("1180591620717411303424")),
            ("9223372036854775809", json!("9223372036854775809")),
            ("0.1234567890123456789", json!("0.1234567890123456789")),
            ("NaN", json!("NaN")),
            ("Infinity", json!("Infinity")),
        ] {
            assert_eq!(decimal(text.to_owned()), value, "{text}");
        }
        assert_eq!(real(f64::NAN), json!("NaN"));
        assert_eq!(real(f64::INFINITY), json!("Infinity"));
        assert_eq!(real(-2.5), json!(-2.5));
    }
}
