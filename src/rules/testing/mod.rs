//! The notation of rule tests: what an entry of a `tests:` block may say. `docs/testing-rules.md` explains it to rule
//! authors; `simulate` runs it.
//!
//! A test lays out a world (files, given facts, what commands answer), lets virtual time pass in it, and says what is to
//! be seen. With one map under `expect` there is one round, as `homeostat check` takes it; with a list, or with
//! `statuses`, the checks run by their triggers. The types here are the JSON Schema as well.

mod check;
mod either;
mod expect;
mod series;
mod world;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};
use serde_json::{Map, Value};

pub use expect::{
    ActForm, BeforeForm, CheckForm, DecisionWord, EndWord, Expect, ExpectForm, FileBody,
    FileExpect, NoteWord, StatusWord, StepForm, TextForm,
};
pub use series::{Sample, Series, StatusSeries};
pub use world::{Argv, BodyForm, ChangeForm, CommandForm, DoesForm, FactsForm, FileForm};

use crate::model::{
    moment::Moment,
    node::{self, Node},
    span::Span,
    text::{Mistake, Place, Text},
};

/// When a test begins that does not say when: a Monday, in the morning of New York.
pub const START: Moment = Moment(1_767_625_200_000);

/// A test of the rules, in virtual time.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TestForm {
    /// What is tested, in a few words.
    #[schemars(required)]
    pub name: Option<Text>,
    /// The instant at which it begins (2026-01-05T15:00:00Z).
    pub at: Option<At>,
    /// Other values for `vars:` of the rules.
    #[serde(default)]
    pub vars: Map<String, Value>,
    /// What `env("…")` reads. A name that is not given here is not set.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Files below the root at the start. What is not given is not there.
    #[serde(default)]
    pub files: BTreeMap<String, FileForm>,
    /// Facts by check, instead of looking. `${…}` in them is computed at every look.
    #[serde(default)]
    pub facts: BTreeMap<String, FactsForm>,
    /// Facts over time: by check and fact, one value for each `step`.
    #[serde(default)]
    pub series: BTreeMap<String, BTreeMap<String, Series>>,
    /// How far the values of `series` and `statuses` are apart (the interval of the check).
    pub step: Option<Span>,
    /// Checks and investigations to run (those that are given facts or that something is expected of).
    #[serde(default)]
    pub checks: Vec<String>,
    /// Begins this investigation now, instead of a round of `checks`.
    pub investigate: Option<String>,
    /// What commands answer. A command that none of these means succeeds.
    #[serde(default)]
    pub commands: Vec<CommandForm>,
    /// A dry run: everything is decided and prepared, nothing is done.
    #[serde(default)]
    pub dry: bool,
    /// The kill switch is on from the start.
    #[serde(default)]
    pub paused: bool,
    /// What changes in the course of the test.
    #[serde(default)]
    pub then: Vec<ChangeForm>,
    /// The statuses that count, by check, one for each `step`.
    #[serde(default)]
    pub statuses: BTreeMap<String, StatusSeries>,
    /// What is to be seen: after one round now, or a list of it over time.
    pub expect: Option<Expect>,
}

impl TestForm {
    /// Whether the checks run by their triggers, rather than in one round now.
    pub fn runs_over_time(&self) -> bool {
        !self.statuses.is_empty() || matches!(self.expect, Some(Expect::Over(_)))
    }

    /// Everything that is expected, in the order of time.
    pub fn expectations(&self) -> &[ExpectForm] {
        match &self.expect {
            Some(Expect::Now(expectation)) => std::slice::from_ref(&**expectation),
            Some(Expect::Over(expectations)) => expectations,
            None => &[],
        }
    }
}

/// Reads a test. Every mistake is pushed, each at its own place; `None` if there was one.
pub fn decode(body: &Node, mistakes: &mut Vec<Mistake>) -> Option<TestForm> {
    let form: TestForm = node::decode(body, mistakes)?;
    let before = mistakes.len();
    check::check(&form, body, mistakes);
    world::check(&form, body, mistakes);
    (mistakes.len() == before).then_some(form)
}

/// The schema of one entry of `tests:`.
pub fn schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    generator.subschema_for::<TestForm>()
}

/// An instant: ISO 8601 with a zone, or epoch seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct At(pub Moment);

impl<'de> Deserialize<'de> for At {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<At, D::Error> {
        struct Visitor;
        const FORM: &str = "an instant like 2026-01-06T16:30:00Z, or epoch seconds";
        impl de::Visitor<'_> for Visitor {
            type Value = At;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(FORM)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<At, E> {
                let at = Moment::parse(text).filter(|at| at.0 >= 0).map(At);
                at.ok_or_else(|| E::custom(format!("`{text}` is no instant: write {FORM}")))
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<At, E> {
                self.visit_str(&number.to_string())
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<At, E> {
                self.visit_str(&number.to_string())
            }
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<At, E> {
                self.visit_str(&number.to_string())
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for At {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Instant".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": ["string", "number"],
            "description": "ISO 8601 with a zone, or epoch seconds.",
            "examples": ["2026-01-06T16:30:00Z"]
        })
    }
}

/// The node below these keys, or the innermost one that is there: where a mistake about it is shown.
pub fn spot<'a>(node: &'a Node, path: &[&str]) -> &'a Node {
    let mut at = node;
    for key in path {
        match at.get(key) {
            Some(next) => at = next,
            None => break,
        }
    }
    at
}

/// Where the key of an entry stands, or the map itself if there is none.
pub fn key_place(node: &Node, key: &str) -> Place {
    let entry = node.entries().iter().find(|(known, _)| known.key() == key);
    entry.map_or(&node.place, |(key, _)| &key.place).clone()
}

#[cfg(test)]
mod tests;
