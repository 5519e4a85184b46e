//! JSON as a probe reads it: one value and nothing beside it, at most 128 deep, every key once.
//!
//! serde_json silently keeps the last of two equal keys; whoever wrote the file may have meant the first. The rest
//! (`NaN`, a byte order mark, bytes that are not UTF-8, text behind the value) it refuses by itself.

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Reads one JSON value; the error says what is wrong and where.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, String> {
    if bytes.starts_with(b"\xEF\xBB\xBF") {
        return Err("starts with a byte order mark".to_owned());
    }
    if bytes.trim_ascii().is_empty() {
        return Err("is empty".to_owned());
    }
    match serde_json::from_slice::<Strict>(bytes) {
        Ok(Strict(value)) => Ok(value),
        Err(error) => Err(error.to_string()),
    }
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Strict, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Strict;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a JSON value")
            }
            fn visit_unit<E: Error>(self) -> Result<Strict, E> {
                Ok(Strict(Value::Null))
            }
            fn visit_bool<E: Error>(self, value: bool) -> Result<Strict, E> {
                Ok(Strict(value.into()))
            }
            fn visit_i64<E: Error>(self, value: i64) -> Result<Strict, E> {
                Ok(Strict(value.into()))
            }
            fn visit_u64<E: Error>(self, value: u64) -> Result<Strict, E> {
                Ok(Strict(value.into()))
            }
            fn visit_f64<E: Error>(self, value: f64) -> Result<Strict, E> {
                Ok(Strict(value.into()))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Strict, E> {
                Ok(Strict(text.into()))
            }
            fn visit_string<E: Error>(self, text: String) -> Result<Strict, E> {
                Ok(Strict(text.into()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Strict, A::Error> {
                let mut list = Vec::new();
                while let Some(Strict(item)) = items.next_element()? {
                    list.push(item);
                }
                Ok(Strict(Value::Array(list)))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Strict, A::Error> {
                let mut map = Map::new();
                while let Some(key) = entries.next_key::<String>()? {
                    if map.contains_key(&key) {
                        return Err(A::Error::custom(format_args!("duplicate key `{key}`")));
                    }
                    let Strict(value) = entries.next_value()?;
                    map.insert(key, value);
                }
                Ok(Strict(Value::Object(map)))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_serde_json_reads() {
        let text = r#"{"b": [1, -2, 2.5, 18446744073709551615, null, true, "ü"], "a": {"b": {}}, "c": "\u0041"}"#;
        let plain: Value = serde_json::from_str(text).expect("JSON");
        let strict = parse(text.as_bytes()).expect("JSON");
        assert_eq!(strict, plain);
        assert_eq!(strict.to_string(), plain.to_string(), "the order is kept");
    }

    #[test]
    fn refuses_what_is_ambiguous_or_broken() {
        let deep = |depth| ["[", "]"].map(|c| c.repeat(depth)).concat();
        assert!(parse(deep(100).as_bytes()).is_ok());
        for (bytes, said) in [
            (
                &b"{\"a\": 1, \"b\": {\"x\": 1, \"x\": 2}}"[..],
                "duplicate key `x` at line 1",
            ),
            (b"\xEF\xBB\xBF{}", "byte order mark"),
            (b"", "is empty"),
            (b" \n", "is empty"),
            (b"{\"a\": NaN}", "expected value"),
            (b"Infinity", "expected value"),
            (b"1e999", "number out of range"),
            (b"{} x", "trailing characters"),
            (b"{}\0", "trailing characters"),
            (b"{\"a\": \"\xff\"}", "invalid unicode"),
            (b"{'a': 1}", "key must be a string"),
            (b"{\"a\": [1, 2", "EOF"),
            (deep(200).as_bytes(), "recursion limit"),
        ] {
            let error = parse(bytes).expect_err(said);
            assert!(error.contains(said), "{error} / {said}");
        }
    }
}
