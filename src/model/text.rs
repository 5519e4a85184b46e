//! A text of a rule that remembers where each of its characters stood, so that a mistake inside an expression can be
//! shown at its own character, through quoting and block scalars.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, de};

/// A place in a rule file. Lines and columns count from 1, columns in characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Default)]
pub struct Place {
    pub file: Arc<str>,
    pub line: usize,
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// (line, column) of every character of a decoded scalar, and one more for its end.
pub type Marks = Arc<[(u32, u32)]>;

/// A scalar of a rule file: an expression, a template or a plain text.
#[derive(Clone, Debug, Default)]
pub struct Text {
    text: Arc<str>,
    place: Place,
    marks: Option<Marks>,
}

impl Text {
    /// A text that stands in no file (built by code or by a test).
    pub fn bare(text: impl Into<Arc<str>>) -> Text {
        Text {
            text: text.into(),
            ..Text::default()
        }
    }

    pub fn placed(text: impl Into<Arc<str>>, place: Place, marks: Option<Marks>) -> Text {
        Text {
            text: text.into(),
            place,
            marks,
        }
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Where the text starts.
    pub fn place(&self) -> Place {
        self.place_of(0)
    }

    /// Where its `index`th character stands. Without marks (a text that could not be aligned) the start of the scalar.
    pub fn place_of(&self, index: usize) -> Place {
        let mark = self
            .marks
            .as_ref()
            .and_then(|marks| marks.get(index).or_else(|| marks.last()));
        match mark {
            Some(&(line, column)) => Place {
                file: self.place.file.clone(),
                line: line as usize,
                column: column as usize,
            },
            None => self.place.clone(),
        }
    }

    /// The part of this text from character `from` to before character `to`, with its places.
    pub fn part(&self, from: usize, to: usize) -> Text {
        let text: String = self
            .text
            .chars()
            .skip(from)
            .take(to.saturating_sub(from))
            .collect();
        let marks = self.marks.as_ref().map(|marks| {
            marks
                .iter()
                .copied()
                .skip(from)
                .take(to - from + 1)
                .collect()
        });
        Text::placed(text, self.place_of(from), marks)
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Text) -> bool {
        self.text == other.text
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

/// The struct name by which [`super::node`] recognises that a [`Text`] with its places is wanted.
pub(super) const TEXT: &str = "$homeostat::Text";

impl<'de> Deserialize<'de> for Text {
    /// From a [`super::node::Node`] with all places; from any other format the text alone. A number or a boolean is
    /// taken as its text, so `critical: true` and `need: 5` need no quotes.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Text;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text::bare(text))
            }
            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Text, E> {
                Ok(Text::bare(value.to_string()))
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Text, E> {
                Ok(Text::bare(value.to_string()))
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Text, E> {
                Ok(Text::bare(value.to_string()))
            }
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Text, E> {
                Ok(Text::bare(format!("{value:?}")))
            }
            fn visit_newtype_struct<D: Deserializer<'de>>(
                self,
                inner: D,
            ) -> Result<Text, D::Error> {
                inner.deserialize_any(self)
            }
            /// (text, file, line, column, marks as one flat list): what a `Node` offers under the name [`TEXT`].
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut parts: A) -> Result<Text, A::Error> {
                let missing = || de::Error::custom("a text with its place");
                let text: String = parts.next_element()?.ok_or_else(missing)?;
                let file: String = parts.next_element()?.ok_or_else(missing)?;
                let line: u64 = parts.next_element()?.ok_or_else(missing)?;
                let column: u64 = parts.next_element()?.ok_or_else(missing)?;
                let flat: Vec<u32> = parts.next_element()?.ok_or_else(missing)?;
                let marks: Marks = flat
                    .chunks_exact(2)
                    .map(|pair| (pair[0], pair[1]))
                    .collect();
                let place = Place {
                    file: file.into(),
                    line: line as usize,
                    column: column as usize,
                };
                Ok(Text::placed(
                    text,
                    place,
                    (!marks.is_empty()).then_some(marks),
                ))
            }
        }
        deserializer.deserialize_newtype_struct(TEXT, Visitor)
    }
}

impl Serialize for Text {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl schemars::JsonSchema for Text {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Text".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": ["string", "number", "boolean"],
            "description": "A Rhai expression, or a text whose ${…} are Rhai expressions."
        })
    }
}

/// A mistake in a rule: what is wrong, where, and what to write instead.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Mistake {
    /// Short and stable, like `unknown-key`; `lint --explain CODE` tells more.
    pub code: &'static str,
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
    pub place: Place,
}

impl Mistake {
    pub fn new(code: &'static str, message: impl Into<String>, place: Place) -> Mistake {
        Mistake {
            code,
            message: message.into(),
            help: None,
            place,
        }
    }

    pub fn help(mut self, help: impl Into<String>) -> Mistake {
        self.help = Some(help.into());
        self
    }
}

/// The closest of `known` to what was written, if it is close enough to have been meant.
pub fn meant<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|word| (strsim::damerau_levenshtein(written, word), word))
        .filter(|(distance, word)| *distance <= (word.chars().count().max(3) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_understood() {
        let known = ["threshold", "trigger", "probe"];
        assert_eq!(meant("thershold", known), Some("threshold"));
        assert_eq!(meant("treshold", known), Some("threshold"));
        assert_eq!(meant("banana", known), None);
    }

    #[test]
    fn a_part_keeps_its_places() {
        let marks: Marks = (0..=5).map(|column| (3, column + 10)).collect();
        let text = Text::placed("ab${c", Place::default(), Some(marks));
        assert_eq!(text.part(4, 5).as_str(), "c");
        assert_eq!(text.part(4, 5).place_of(0).column, 14);
    }
}
