//! What a probe saw: named JSON values.

use std::{borrow::Cow, sync::Arc};

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::Value;

/// Named values, in the order the probe gave them. A value is shared, never copied: a document of a megabyte costs one
/// pointer to hand on. With `probes:` (several looks) each probe's facts stand as one object under the probe's name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts(Vec<(Cow<'static, str>, Arc<Value>)>);

impl Facts {
    pub fn new() -> Facts {
        Facts::default()
    }

    /// Adds a fact; the last of two with one name wins.
    pub fn set(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Value>) {
        self.share(name, Arc::new(value.into()));
    }

    pub fn share(&mut self, name: impl Into<Cow<'static, str>>, value: Arc<Value>) {
        let name = name.into();
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }

    /// For building in one expression.
    pub fn with(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Value>) -> Facts {
        self.set(name, value);
        self
    }

    pub fn get(&self, name: &str) -> Option<&Arc<Value>> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &Arc<Value>)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value))
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_ref())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn to_json(&self) -> Value {
        Value::Object(
            self.iter()
                .map(|(name, value)| (name.to_owned(), Value::clone(value)))
                .collect(),
        )
    }

    /// The facts of a JSON object; `None` for any other value.
    pub fn from_json(value: Value) -> Option<Facts> {
        match value {
            Value::Object(map) => Some(Facts(
                map.into_iter()
                    .map(|(name, value)| (Cow::Owned(name), Arc::new(value)))
                    .collect(),
            )),
            _ => None,
        }
    }
}

impl Serialize for Facts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value.as_ref())?;
        }
        map.end()
    }
}

impl schemars::JsonSchema for Facts {
    fn schema_name() -> Cow<'static, str> {
        "Facts".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "object", "description": "What a probe saw: named values of any kind."})
    }
}

impl<'de> serde::Deserialize<'de> for Facts {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Facts, D::Error> {
        let map = serde_json::Map::deserialize(deserializer)?;
        Ok(Facts::from_json(Value::Object(map)).unwrap_or_default())
    }
}
