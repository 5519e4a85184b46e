//! What is to be seen: of checks, of files, of commands.

use std::{collections::BTreeMap, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};
use serde_json::{Map, Value};

use super::{
    Argv,
    either::{unknown, word_or_map},
    world::present,
};
use crate::model::{span::Span, status::Status};

/// `expect`: of one round now, or of instants over time.
#[derive(Debug)]
pub enum Expect {
    Now(Box<ExpectForm>),
    Over(Vec<ExpectForm>),
}

/// What is to be seen at one instant. The names `at`, `files` and `ran` are its own, all others are checks.
#[derive(Debug, Default)]
pub struct ExpectForm {
    /// So long after the start.
    pub at: Option<Span>,
    pub files: BTreeMap<String, FileExpect>,
    /// All commands that were run, in their order.
    pub ran: Option<Vec<Argv>>,
    pub checks: BTreeMap<String, CheckForm>,
}

/// What is to be seen of a check. A word by itself is its status.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CheckForm {
    /// The status that counts: after any repair and, over time, after patience.
    pub status: Option<StatusWord>,
    /// The status of the last look by itself.
    pub seen: Option<StatusWord>,
    /// The status that led to the repair.
    pub before: Option<BeforeForm>,
    /// The message of the status that counts.
    pub message: Option<TextForm>,
    pub decision: Option<DecisionWord>,
    /// The guard that held the remediation; null: none.
    #[serde(deserialize_with = "present")]
    pub held_by: Option<Option<String>>,
    /// Whether the repair was proven; null: nothing to prove, or not known yet.
    #[serde(deserialize_with = "present")]
    pub verified: Option<Option<bool>>,
    /// The steps of the last rung, in their order.
    pub steps: Option<Vec<StepForm>>,
    /// Every rung that acted since the start, in order.
    pub acts: Option<Vec<ActForm>>,
    /// Some of the `let` values.
    #[serde(rename = "let")]
    pub lets: Option<Map<String, Value>>,
    /// Some of the facts.
    pub facts: Option<Map<String, Value>>,
    /// Some of what `keep` keeps.
    pub kept: Option<Map<String, Value>>,
    /// What went wrong in the look; null: nothing.
    #[serde(deserialize_with = "present")]
    pub error: Option<Option<TextForm>>,
    /// Whether `enough` did not hold.
    pub no_data: Option<bool>,
    /// Whether it was not looked at, because its calendar is closed.
    pub skipped: Option<bool>,
    /// Everything people were told of since the start, in order.
    pub notes: Option<Vec<NoteWord>>,
}

/// What led to a repair.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(inline)]
pub struct BeforeMap {
    pub status: Option<StatusWord>,
    pub message: Option<TextForm>,
}

#[derive(Debug)]
pub struct BeforeForm(pub BeforeMap);

/// A text: exactly, by a part of it, or by a regular expression.
#[derive(Clone, Debug, Default)]
pub struct TextForm {
    exactly: Option<String>,
    contains: Option<String>,
    matches: Option<regex::Regex>,
}

/// A step of a rung. A word by itself is its kind.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(inline)]
pub struct StepMap {
    pub kind: Option<String>,
    /// The file, command line or check names.
    pub target: Option<TextForm>,
    pub outcome: Option<OutcomeWord>,
    pub detail: Option<TextForm>,
}

#[derive(Debug)]
pub struct StepForm(pub StepMap);

/// A rung that acted. A duration by itself is when.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(inline)]
pub struct ActMap {
    /// So long after the start.
    pub at: Option<Span>,
    /// Which rung of the ladder, from 1.
    #[schemars(range(min = 1))]
    pub rung: Option<usize>,
    pub steps: Option<Vec<StepForm>>,
    pub end: Option<EndWord>,
}

#[derive(Debug)]
pub struct ActForm(pub ActMap);

/// A file as it is to be.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a handful of them in a test")]
pub enum FileExpect {
    Absent,
    Present,
    /// The same body as at the start.
    Unchanged,
    Body(FileBody),
}

/// What is to stand in a file.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(inline)]
pub struct FileBody {
    /// Exactly this JSON document, whatever its layout.
    #[serde(deserialize_with = "present")]
    pub json: Option<Value>,
    /// A JSON document with at least these keys, at any depth.
    pub has: Option<Map<String, Value>>,
    pub text: Option<TextForm>,
    /// The body of a file of the rules directory.
    pub from: Option<String>,
    /// How many lines.
    pub lines: Option<usize>,
}

macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($variant),+ }

        impl $name {
            pub const WORDS: [&'static str; [$($word),+].len()] = [$($word),+];

            pub fn word(self) -> &'static str {
                match self { $($name::$variant => $word),+ }
            }

            fn parse(word: &str) -> Result<$name, String> {
                match word {
                    $($word => Ok($name::$variant),)+
                    other => Err(unknown(other, &$name::WORDS)),
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                struct Visitor;
                impl de::Visitor<'_> for Visitor {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        write!(f, "one of {}", $name::WORDS.join(", "))
                    }
                    fn visit_str<E: de::Error>(self, word: &str) -> Result<$name, E> {
                        $name::parse(word).map_err(E::custom)
                    }
                }
                deserializer.deserialize_any(Visitor)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn inline_schema() -> bool {
                true
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"enum": $name::WORDS})
            }
        }
    };
}

words! {
    /// A status as rules write it.
    StatusWord { Ok = "ok", Warning = "warning", Critical = "critical", Unknown = "unknown" }
}

words! {
    /// What was decided about remediation.
    DecisionWord { None = "none", Repaired = "repaired", Failed = "failed", Held = "held", Would = "would" }
}

words! {
    OutcomeWord { Done = "done", Failed = "failed", Would = "would" }
}

words! {
    /// How an attempt ended.
    EndWord {
        Verified = "verified",
        Failed = "failed",
        Superseded = "superseded",
        Open = "open",
    }
}

words! {
    /// What people are told of.
    NoteWord {
        Quarantined = "quarantined",
        Rearmed = "rearmed",
        Escalated = "escalated",
        RolledBack = "rolled_back",
        Interrupted = "interrupted",
        Proposed = "proposed",
        Approved = "approved",
        Expired = "expired",
        Withdrawn = "withdrawn",
        Held = "held",
        Confirmed = "confirmed",
    }
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

impl TextForm {
    pub fn fits(&self, text: &str) -> bool {
        self.exactly.as_ref().is_none_or(|wanted| wanted == text)
            && self
                .contains
                .as_ref()
                .is_none_or(|part| text.contains(part))
            && self
                .matches
                .as_ref()
                .is_none_or(|regex| regex.is_match(text))
    }
}

impl fmt::Display for TextForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            self.exactly.as_ref().map(|text| format!("{text:?}")),
            self.contains
                .as_ref()
                .map(|part| format!("something with {part:?}")),
            self.matches
                .as_ref()
                .map(|regex| format!("something like /{regex}/")),
        ];
        f.write_str(
            &parts
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
                .join(" and "),
        )
    }
}

/// Ways to match a text.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
struct TextMap {
    /// A part of it.
    contains: Option<String>,
    /// A regular expression.
    matches: Option<Pattern>,
}

struct Pattern(regex::Regex);

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Pattern, D::Error> {
        let text = String::deserialize(deserializer)?;
        let regex = regex::Regex::new(&text);
        regex.map(Pattern).map_err(|error| {
            let error = error.to_string(); // the text with a caret, then the reason
            let reason = error.rsplit("error: ").next().unwrap_or(&error);
            de::Error::custom(format!("`{text}` is no regular expression: {reason}"))
        })
    }
}

impl JsonSchema for Pattern {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Pattern".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "regex"})
    }
}

impl<'de> Deserialize<'de> for TextForm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<TextForm, D::Error> {
        let exactly = |text: &str| {
            Ok(TextForm {
                exactly: Some(text.to_owned()),
                ..TextForm::default()
            })
        };
        let expecting = "a text, { contains: … } or { matches: … }";
        word_or_map(deserializer, expecting, exactly, |map: TextMap| TextForm {
            exactly: None,
            contains: map.contains,
            matches: map.matches.map(|Pattern(regex)| regex),
        })
    }
}

impl JsonSchema for TextForm {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TextMatch".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let map = TextMap::json_schema(generator);
        json_schema!({"anyOf": [{"type": "string"}, map]})
    }
}

macro_rules! word_or_map {
    ($name:ident, $map:ty, $title:literal, $word:expr, $expecting:literal, $word_schema:expr) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                word_or_map(deserializer, $expecting, $word, $name)
            }
        }
        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $title.into()
            }
            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                let map = <$map as JsonSchema>::json_schema(generator);
                json_schema!({"anyOf": [$word_schema, map]})
            }
        }
    };
}

word_or_map!(
    BeforeForm,
    BeforeMap,
    "TestBefore",
    |word| Ok(BeforeForm(BeforeMap {
        status: Some(StatusWord::parse(word)?),
        message: None
    })),
    "a status, or a map with status and message",
    json_schema!({"enum": StatusWord::WORDS})
);

word_or_map!(
    StepForm,
    StepMap,
    "TestStep",
    |word| Ok(StepForm(StepMap {
        kind: Some(word.to_owned()),
        ..StepMap::default()
    })),
    "a kind of step, or a map with kind, target, outcome and detail",
    json_schema!({"type": "string"})
);

word_or_map!(
    ActForm,
    ActMap,
    "TestAct",
    |word| Ok(ActForm(ActMap {
        at: Some(Span::parse(word)?),
        ..ActMap::default()
    })),
    "a time since the start, or a map with at, rung, steps and end",
    json_schema!({"type": "string"})
);

const FILE_WORDS: [&str; 3] = ["absent", "present", "unchanged"];

impl<'de> Deserialize<'de> for FileExpect {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<FileExpect, D::Error> {
        let word = |word: &str| match word {
            "absent" => Ok(FileExpect::Absent),
            "present" => Ok(FileExpect::Present),
            "unchanged" => Ok(FileExpect::Unchanged),
            other => Err(unknown(other, &FILE_WORDS)),
        };
        word_or_map(
            deserializer,
            "absent, present, unchanged, or a map like { json: … }",
            word,
            FileExpect::Body,
        )
    }
}

impl JsonSchema for FileExpect {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TestFileExpected".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let body = FileBody::json_schema(generator);
        json_schema!({"anyOf": [{"enum": FILE_WORDS}, body]})
    }
}

/// Reads what is expected of a check: a word is its status.
struct CheckExpect(CheckForm);

impl<'de> Deserialize<'de> for CheckExpect {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<CheckExpect, D::Error> {
        let word = |word: &str| {
            let status = Some(StatusWord::parse(word)?);
            Ok(CheckExpect(CheckForm {
                status,
                ..CheckForm::default()
            }))
        };
        word_or_map(
            deserializer,
            "a status, or a map of what is to be seen",
            word,
            CheckExpect,
        )
    }
}

impl<'de> Deserialize<'de> for ExpectForm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ExpectForm, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = ExpectForm;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of checks and what is to be seen of them")
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<ExpectForm, A::Error> {
                let mut form = ExpectForm::default();
                while let Some(key) = map.next_key::<String>()? {
                    match &*key {
                        "at" => form.at = Some(map.next_value()?),
                        "files" => form.files = map.next_value()?,
                        "ran" => form.ran = Some(map.next_value()?),
                        _ => {
                            let CheckExpect(check) = map.next_value()?;
                            form.checks.insert(key, check);
                        }
                    }
                }
                Ok(form)
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

impl JsonSchema for ExpectForm {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TestExpected".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let at = generator.subschema_for::<Span>();
        let files = generator.subschema_for::<BTreeMap<String, FileExpect>>();
        let ran = generator.subschema_for::<Vec<Argv>>();
        let check = generator.subschema_for::<CheckForm>();
        json_schema!({
            "type": "object",
            "description": "What is to be seen, by check. `at`: so long after the start; `files`: below the root; `ran`: all commands.",
            "properties": {"at": at, "files": files, "ran": ran},
            "additionalProperties": {"anyOf": [{"enum": StatusWord::WORDS}, check]}
        })
    }
}

impl<'de> Deserialize<'de> for Expect {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Expect, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Expect;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map (of one round now) or a list of maps with `at` (over time)")
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Expect, A::Error> {
                let form = ExpectForm::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(Expect::Now(Box::new(form)))
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, items: A) -> Result<Expect, A::Error> {
                let forms = Vec::deserialize(de::value::SeqAccessDeserializer::new(items))?;
                Ok(Expect::Over(forms))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Expect {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TestExpectation".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<ExpectForm>();
        json_schema!({"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]})
    }
}

impl ExpectForm {
    pub(super) fn is_empty(&self) -> bool {
        self.checks.is_empty() && self.files.is_empty() && self.ran.is_none()
    }
}

impl FileBody {
    pub(super) fn is_empty(&self) -> bool {
        self.json.is_none()
            && self.has.is_none()
            && self.text.is_none()
            && self.from.is_none()
            && self.lines.is_none()
    }
}
