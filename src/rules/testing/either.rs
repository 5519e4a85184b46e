//! Values that are written as one word, or as a map when there is more to say. A visitor of its own keeps the place of
//! every leaf, which an untagged enum would lose.

use std::{fmt, marker::PhantomData};

use serde::{Deserialize, Deserializer, de};

/// Reads a scalar by `word` or a map as an `M`. `expecting` says what may stand here.
pub fn word_or_map<'de, D, T, M>(
    deserializer: D,
    expecting: &'static str,
    word: impl FnOnce(&str) -> Result<T, String>,
    map: impl FnOnce(M) -> T,
) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    M: Deserialize<'de>,
{
    deserializer.deserialize_any(Visitor {
        expecting,
        word,
        map,
        marker: PhantomData,
    })
}

struct Visitor<T, M, W, F> {
    expecting: &'static str,
    word: W,
    map: F,
    marker: PhantomData<fn() -> (T, M)>,
}

impl<'de, T, M, W, F> de::Visitor<'de> for Visitor<T, M, W, F>
where
    M: Deserialize<'de>,
    W: FnOnce(&str) -> Result<T, String>,
    F: FnOnce(M) -> T,
{
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expecting)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        (self.word)(text).map_err(E::custom)
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        let read = M::deserialize(de::value::MapAccessDeserializer::new(map))?;
        Ok((self.map)(read))
    }
}

/// Why a word is not one of those known here.
pub fn unknown(word: &str, known: &[&str]) -> String {
    match crate::model::text::meant(word, known.iter().copied()) {
        Some(meant) => format!("`{word}` is not known here: did you mean `{meant}`?"),
        None => format!("`{word}` is not known here: one of {}", known.join(", ")),
    }
}
