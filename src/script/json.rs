//! A JSON document inside Rhai, read lazily: handing on a document, or a part of it, costs one pointer at any size.
//!
//! Only maps and lists are [`Json`] values; everything else becomes a plain Rhai value when it is read.

use std::{fmt, marker::PhantomData, sync::Arc};

use rhai::Dynamic;
use serde_json::Value;
use yoke::Yoke;

use super::value::{Outcome, refuse};

/// A map or list somewhere inside a shared document.
#[derive(Clone)]
pub struct Json(Yoke<&'static Value, Arc<Value>>);

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value().fmt(f)
    }
}

impl Json {
    /// A document as Rhai sees it.
    pub(super) fn dynamic(document: &Arc<Value>) -> Outcome<Dynamic> {
        match plain(document) {
            Some(value) => value,
            None => Ok(Dynamic::from(Json(Yoke::attach_to_cart(
                document.clone(),
                |value| value,
            )))),
        }
    }

    pub fn value(&self) -> &Value {
        self.0.get()
    }

    pub(super) fn len(&self) -> usize {
        match self.value() {
            Value::Array(items) => items.len(),
            Value::Object(map) => map.len(),
            _ => 0,
        }
    }

    pub(super) fn keys(&self) -> Vec<String> {
        match self.value() {
            Value::Object(map) => map.keys().cloned().collect(),
            _ => Vec::new(),
        }
    }

    /// The value under a key; `None` if there is none or this is a list.
    pub(super) fn key(&self, key: &str) -> Option<Outcome<Dynamic>> {
        self.part(|value| value.as_object()?.get(key))
    }

    /// The item of a list; `None` outside it or if this is a map.
    pub(super) fn item(&self, index: usize) -> Option<Outcome<Dynamic>> {
        self.part(|value| value.as_array()?.get(index))
    }

    /// The value of a map in its order; `None` outside it or if this is a list.
    pub(super) fn nth_value(&self, index: usize) -> Option<Outcome<Dynamic>> {
        self.part(|value| value.as_object()?.values().nth(index))
    }

    /// The value under the key of one item, without making a value of the item.
    pub(super) fn field(&self, index: usize, key: &str) -> Option<Outcome<Dynamic>> {
        self.part(|value| value.as_array()?.get(index)?.as_object()?.get(key))
    }

    fn part(
        &self,
        pick: impl for<'a> Fn(&'a Value) -> Option<&'a Value>,
    ) -> Option<Outcome<Dynamic>> {
        let found = pick(self.value())?;
        if let Some(value) = plain(found) {
            return Some(value);
        }
        let part = self
            .0
            .try_map_project_cloned(|value, _: PhantomData<&()>| pick(value).ok_or(()));
        Some(Ok(Dynamic::from(Json(part.ok()?))))
    }
}

/// A value that is neither map nor list.
fn plain(value: &Value) -> Option<Outcome<Dynamic>> {
    Some(match value {
        Value::Null => Ok(Dynamic::UNIT),
        Value::Bool(value) => Ok((*value).into()),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(int), _) => Ok(Dynamic::from_int(int)),
            (None, Some(real)) if number.is_f64() => Ok(Dynamic::from_float(real)),
            _ => refuse(format!("the integer {number} is too large")),
        },
        Value::String(text) => Ok(text.as_str().into()),
        Value::Array(_) | Value::Object(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn parts_outlive_the_whole() {
        let document = Arc::new(json!({"a": [{"b": {"c": 1}}]}));
        let whole = Json::dynamic(&document).unwrap().cast::<Json>();
        let list = whole.key("a").unwrap().unwrap().cast::<Json>();
        let part = list.field(0, "b").unwrap().unwrap().cast::<Json>();
        drop((whole, list, document));
        assert_eq!(part.value(), &json!({"c": 1}));
        assert_eq!(part.key("c").unwrap().unwrap().as_int(), Ok(1));
        assert!(part.key("d").is_none());
    }

    #[test]
    fn an_integer_that_cannot_be_held_is_refused() {
        let document = Arc::new(json!({"big": u64::MAX}));
        let whole = Json::dynamic(&document).unwrap().cast::<Json>();
        assert!(whole.key("big").unwrap().is_err());
    }
}
