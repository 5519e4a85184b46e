//! Small values of rule files with a form of their own: `2 of 3`, `3 per 1h`, `10s..5m`, a status word. Each has its own
//! visitor, so that a complaint points at the very value.

use std::{borrow::Cow, fmt, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use crate::model::{span::Span, status::Status};

/// A status as rules write it.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum StatusWord {
    Ok,
    Warning,
    Critical,
    Unknown,
}

impl From<StatusWord> for Status {
    fn from(word: StatusWord) -> Status {
        match word {
            StatusWord::Ok => Status::Ok,
            StatusWord::Warning => Status::Warning,
            StatusWord::Critical => Status::Critical,
            StatusWord::Unknown => Status::Unknown,
        }
    }
}

/// A status that may start a remediation. UNKNOWN never does.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum BadStatus {
    Warning,
    Critical,
}

impl From<BadStatus> for Status {
    fn from(word: BadStatus) -> Status {
        match word {
            BadStatus::Warning => Status::Warning,
            BadStatus::Critical => Status::Critical,
        }
    }
}

/// A status that people may be told of.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum NoticeStatus {
    Warning,
    Critical,
    Unknown,
}

impl From<NoticeStatus> for Status {
    fn from(word: NoticeStatus) -> Status {
        match word {
            NoticeStatus::Warning => Status::Warning,
            NoticeStatus::Critical => Status::Critical,
            NoticeStatus::Unknown => Status::Unknown,
        }
    }
}

/// The patience of a threshold: `3` looks in a row, or `2 of 3`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct For {
    pub bad: u32,
    pub of: u32,
}

impl For {
    fn new(bad: u64, of: u64) -> Result<For, String> {
        if bad == 0 || bad > of || of > 100 {
            return Err(format!(
                "`{bad} of {of}` is no patience: write 3, or 2 of 3 (at most 100)"
            ));
        }
        Ok(For {
            bad: bad as u32,
            of: of as u32,
        })
    }
}

impl<'de> Deserialize<'de> for For {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<For, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = For;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of looks like 3 or 2 of 3")
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<For, E> {
                let looks = u64::try_from(number).unwrap_or(0);
                For::new(looks, looks).map_err(E::custom)
            }
            fn visit_u64<E: de::Error>(self, looks: u64) -> Result<For, E> {
                For::new(looks, looks).map_err(E::custom)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<For, E> {
                let parts = text.split_once(" of ");
                let read = parts.and_then(|(bad, of)| {
                    Some((bad.trim().parse().ok()?, of.trim().parse().ok()?))
                });
                match read {
                    Some((bad, of)) => For::new(bad, of).map_err(E::custom),
                    None => Err(E::custom(format!(
                        "`{text}` is no patience: write 3, or 2 of 3"
                    ))),
                }
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for For {
    fn schema_name() -> Cow<'static, str> {
        "Patience".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": 100},
                {"type": "string", "pattern": "^\\s*[0-9]+ of [0-9]+\\s*$"}
            ],
            "examples": [3, "2 of 3"]
        })
    }
}

/// `3 per 1h`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LimitText {
    pub count: u32,
    pub window: Duration,
}

impl LimitText {
    fn parse(text: &str) -> Result<LimitText, String> {
        let wrong = || format!("`{text}` is no limit: write 3 per 1h");
        let (count, window) = text.split_once(" per ").ok_or_else(wrong)?;
        let count: u32 = count.trim().parse().map_err(|_| wrong())?;
        let window = Span::parse(window.trim()).map_err(|_| wrong())?.0;
        if count == 0 || count > 1000 || window.is_zero() {
            return Err(format!(
                "`{text}` is no limit: write 3 per 1h, with 1 to 1000 in a window that has a length"
            ));
        }
        Ok(LimitText { count, window })
    }
}

/// `10s..5m`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    pub from: Duration,
    pub to: Duration,
}

impl Backoff {
    fn parse(text: &str) -> Result<Backoff, String> {
        let wrong = || format!("`{text}` is no backoff: write 10s..5m");
        let (from, to) = text.split_once("..").ok_or_else(wrong)?;
        let from = Span::parse(from.trim()).map_err(|_| wrong())?.0;
        let to = Span::parse(to.trim()).map_err(|_| wrong())?.0;
        if from > to {
            return Err(format!(
                "`{text}` runs backwards: write the shorter one first, as in 10s..5m"
            ));
        }
        Ok(Backoff { from, to })
    }
}

/// Reads a value from its text.
macro_rules! from_text {
    ($type:ty, $words:literal, $name:literal, $schema:tt) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$type, D::Error> {
                struct Visitor;
                impl de::Visitor<'_> for Visitor {
                    type Value = $type;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($words)
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$type, E> {
                        <$type>::parse(text).map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Visitor)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }
            fn inline_schema() -> bool {
                true
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

from_text!(LimitText, "a limit like 3 per 1h", "Limit", {
    "type": "string",
    "pattern": "^\\s*[0-9]+ per .+$",
    "examples": ["3 per 1h"]
});
from_text!(Backoff, "a backoff like 10s..5m", "Backoff", {
    "type": "string",
    "pattern": "^.+\\.\\..+$",
    "examples": ["10s..5m"]
});

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json};

    #[test]
    fn patience_is_a_number_or_so_many_of_so_many() {
        let read = |value| from_value::<For>(value).map_err(|error| error.to_string());
        assert_eq!(read(json!(3)), Ok(For { bad: 3, of: 3 }));
        assert_eq!(read(json!("2 of 3")), Ok(For { bad: 2, of: 3 }));
        for wrong in [
            json!(0),
            json!(-1),
            json!("3 of 2"),
            json!("two"),
            json!("1 of 101"),
        ] {
            assert!(read(wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn limits_have_a_count_and_a_window() {
        let read = |text: &str| {
            LimitText::parse(text)
                .ok()
                .map(|limit| (limit.count, limit.window.as_secs()))
        };
        assert_eq!(read("3 per 1h"), Some((3, 3600)));
        assert_eq!(read("0 per 1h"), None);
        assert_eq!(read("3 per 0s"), None);
        assert_eq!(read("3/h"), None);
    }

    #[test]
    fn backoff_grows() {
        assert!(Backoff::parse("10s..5m").is_ok());
        assert!(Backoff::parse("5m..10s").is_err());
        assert!(Backoff::parse("10s").is_err());
    }
}
