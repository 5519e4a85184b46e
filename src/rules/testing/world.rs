//! The world of a test: files, given facts, what commands answer, and how all of it changes in time.

use std::{collections::BTreeMap, path::Path};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};
use serde_json::{Map, Value};

use super::{
    TestForm,
    either::{unknown, word_or_map},
    key_place, spot,
};
use crate::model::{
    node::Node,
    span::Span,
    text::{Mistake, Place},
};

/// No test lays out more lines than this.
pub const MOST_LINES: usize = 1_000_000;

/// A file at the start, or after a change.
#[derive(Debug)]
pub enum FileForm {
    Absent,
    /// A directory stands there: it can be neither read nor written.
    Directory,
    Body(BodyForm),
}

/// What stands in a file and how old it is.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BodyForm {
    /// A JSON document.
    #[serde(default, deserialize_with = "present")]
    pub json: Option<Value>,
    /// The text as it is.
    pub text: Option<String>,
    /// One line each: a text as it is, anything else as JSON. `i` counts them from 0.
    pub lines: Option<Vec<Value>>,
    /// More lines at the end of what is there.
    pub append: Option<Vec<Value>>,
    /// The body of a file of the rules directory, like rules/defaults/x.json.
    pub from: Option<String>,
    /// The lines so many times over.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub repeat: Option<u32>,
    /// How long ago it was written (0s). By itself: only the time of the last write changes.
    pub age: Option<Span>,
}

/// What a check is given instead of a look.
#[derive(Debug)]
pub enum FactsForm {
    /// The probe fails with this.
    Fails(String),
    Are(Map<String, Value>),
}

/// A command line.
#[derive(Clone, Debug, PartialEq)]
pub struct Argv(pub Vec<String>);

/// What a command answers.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommandForm {
    /// The command line; `*` stands for any one argument.
    #[schemars(required)]
    pub run: Option<Argv>,
    /// Its exit code (0).
    #[serde(default)]
    pub exit: i32,
    /// What it writes to its standard error.
    pub says: Option<String>,
    /// Answers only the first so many runs; after them the next entry that fits does.
    pub times: Option<u32>,
    /// What it does to the world.
    pub does: Option<DoesForm>,
}

/// What a command does to the world.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DoesForm {
    #[serde(default)]
    pub files: BTreeMap<String, FileForm>,
    #[serde(default)]
    pub facts: BTreeMap<String, FactsForm>,
}

/// Something that changes in the course of a test.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeForm {
    /// So long after the start.
    pub at: Option<Span>,
    /// As soon as a repair of this check has acted.
    pub after: Option<String>,
    /// Which act of `after` it waits for (1).
    #[schemars(range(min = 1))]
    pub act: Option<u32>,
    #[serde(default)]
    pub files: BTreeMap<String, FileForm>,
    /// Other facts; what is not named stays.
    #[serde(default)]
    pub facts: BTreeMap<String, FactsForm>,
    /// Turns the kill switch on or off.
    pub paused: Option<bool>,
    /// An event is raised.
    pub event: Option<String>,
    /// A person approves what this check proposes.
    pub approve: Option<String>,
    /// A person confirms what this check's `baseline` gives.
    pub confirm: Option<String>,
}

/// Keeps a `null` that was written apart from a key that is absent.
pub(super) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

const FILE_WORDS: [&str; 2] = ["absent", "directory"];

impl<'de> Deserialize<'de> for FileForm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<FileForm, D::Error> {
        let word = |word: &str| match word {
            "absent" => Ok(FileForm::Absent),
            "directory" => Ok(FileForm::Directory),
            other => Err(unknown(
                other,
                &["absent", "directory", "{ text: … }", "{ json: … }"],
            )),
        };
        word_or_map(
            deserializer,
            "absent, directory, or a map with a body like { text: … }",
            word,
            FileForm::Body,
        )
    }
}

impl JsonSchema for FileForm {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TestFile".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let body = generator.subschema_for::<BodyForm>();
        json_schema!({"anyOf": [{"enum": FILE_WORDS}, body]})
    }
}

impl<'de> Deserialize<'de> for FactsForm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<FactsForm, D::Error> {
        word_or_map(
            deserializer,
            "a map of facts, or a text with which the probe fails",
            |text| Ok(FactsForm::Fails(text.to_owned())),
            FactsForm::Are,
        )
    }
}

impl JsonSchema for FactsForm {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TestFacts".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["object", "string"],
            "description": "Facts by name, or a text with which the probe fails."
        })
    }
}

impl Argv {
    /// Whether this pattern means that command line.
    pub fn means(&self, argv: &[String]) -> bool {
        self.0.len() == argv.len()
            && self
                .0
                .iter()
                .zip(argv)
                .all(|(pattern, word)| pattern == "*" || pattern == word)
    }
}

impl<'de> Deserialize<'de> for Argv {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Argv, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Argv;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a command line, or a list of its words")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Argv, E> {
                let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
                match words.is_empty() {
                    true => Err(E::custom("a command line without a program")),
                    false => Ok(Argv(words)),
                }
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut items: A) -> Result<Argv, A::Error> {
                let mut words = Vec::new();
                while let Some(word) = items.next_element::<crate::model::text::Text>()? {
                    words.push(word.as_str().to_owned());
                }
                match words.is_empty() {
                    true => Err(de::Error::custom("a command line without a program")),
                    false => Ok(Argv(words)),
                }
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Argv {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "CommandLine".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A command line, or a list of its words.",
            "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": ["string", "number", "boolean"]}}]
        })
    }
}

/// What serde cannot see: bodies that contradict themselves, paths that lead out, changes without a time.
pub(super) fn check(form: &TestForm, body: &Node, mistakes: &mut Vec<Mistake>) {
    let mut lines = 0;
    check_files(
        &form.files,
        spot(body, &["files"]),
        false,
        &mut lines,
        mistakes,
    );
    for (index, command) in form.commands.iter().enumerate() {
        let Some(node) = spot(body, &["commands"]).items().get(index) else {
            continue;
        };
        if command.run.is_none() {
            let mistake = Mistake::new("missing-key", "`run` is missing", node.place.clone());
            mistakes.push(mistake.help("say which command answers so: `run: /usr/bin/reset *`"));
        }
        if let Some(does) = &command.does {
            let files = spot(node, &["does", "files"]);
            check_files(&does.files, files, true, &mut lines, mistakes);
        }
    }
    for (index, change) in form.then.iter().enumerate() {
        if let Some(node) = spot(body, &["then"]).items().get(index) {
            check_change(change, node, mistakes);
            check_files(
                &change.files,
                spot(node, &["files"]),
                true,
                &mut lines,
                mistakes,
            );
        }
    }
    if lines > MOST_LINES {
        let text = format!("a test may lay out at most {MOST_LINES} lines, and this has {lines}");
        mistakes.push(Mistake::new("too-large", text, body.place.clone()));
    }
    for (check, series) in &form.series {
        let node = spot(body, &["series", check]);
        let facts = match form.facts.get(check) {
            Some(FactsForm::Are(facts)) => facts,
            _ => continue,
        };
        for fact in series.keys().filter(|fact| facts.contains_key(*fact)) {
            let text = format!("`{fact}` is given under `facts` as well");
            mistakes.push(Mistake::new("given-twice", text, key_place(node, fact)));
        }
    }
}

fn check_change(change: &ChangeForm, node: &Node, mistakes: &mut Vec<Mistake>) {
    let mut wrong = |code, text: &str, place: Place, help: &str| {
        mistakes.push(Mistake::new(code, text, place).help(help));
    };
    match (&change.at, &change.after) {
        (Some(_), Some(_)) => wrong(
            "contradiction",
            "`at` and `after` in one change",
            key_place(node, "after"),
            "write two changes",
        ),
        (None, None) => wrong(
            "missing-key",
            "`at` is missing",
            node.place.clone(),
            "say when it changes: `at: 10m`, or `after: CHECK` for after its repair",
        ),
        _ => {}
    }
    if change.act.is_some() && change.after.is_none() || change.act == Some(0) {
        let help = "`act` counts the acts of `after` from 1";
        wrong(
            "contradiction",
            "`act` means nothing here",
            key_place(node, "act"),
            help,
        );
    }
    let nothing = change.files.is_empty()
        && change.facts.is_empty()
        && change.paused.is_none()
        && change.event.is_none()
        && change.approve.is_none()
        && change.confirm.is_none();
    if nothing {
        let help = "write `files`, `facts`, `paused`, `event`, `approve` or `confirm`";
        wrong(
            "missing-key",
            "a change that changes nothing",
            node.place.clone(),
            help,
        );
    }
}

fn check_files(
    files: &BTreeMap<String, FileForm>,
    node: &Node,
    there: bool,
    lines: &mut usize,
    mistakes: &mut Vec<Mistake>,
) {
    for (path, file) in files {
        check_path(path, key_place(node, path), mistakes);
        if let FileForm::Body(body) = file {
            check_body(body, spot(node, &[path]), there, mistakes);
            let own = body
                .lines
                .as_ref()
                .or(body.append.as_ref())
                .map_or(0, Vec::len);
            *lines += own.saturating_mul(body.repeat.unwrap_or(1) as usize);
        }
    }
}

/// `there`: the file may be there already, so that it can be touched or appended to.
fn check_body(body: &BodyForm, node: &Node, there: bool, mistakes: &mut Vec<Mistake>) {
    let bodies: Vec<&str> = [
        ("json", body.json.is_some()),
        ("text", body.text.is_some()),
        ("lines", body.lines.is_some()),
        ("append", body.append.is_some()),
        ("from", body.from.is_some()),
    ]
    .into_iter()
    .filter_map(|(key, given)| given.then_some(key))
    .collect();
    let mut wrong = |text: &str, key: &str, help: &str| {
        let place = key_place(node, key);
        mistakes.push(Mistake::new("contradiction", text, place).help(help));
    };
    if let [_, second, ..] = bodies[..] {
        wrong("a file has one body", second, "leave one of them out");
    }
    if bodies.is_empty() && !(there && body.age.is_some()) {
        wrong(
            "a file without a body",
            "",
            "write `json`, `text`, `lines` or `from`",
        );
    }
    if body.append.is_some() && !there {
        wrong(
            "there is nothing to append to at the start",
            "append",
            "write `lines`",
        );
    }
    if body.repeat.is_some() && body.lines.is_none() && body.append.is_none() {
        wrong("only lines can be repeated", "repeat", "write `lines`");
    }
    if body.repeat == Some(0) {
        wrong("lines repeated no time", "repeat", "write at least 1");
    }
}

pub(super) fn check_path(path: &str, place: Place, mistakes: &mut Vec<Mistake>) {
    use std::path::Component;
    let plain = |part| matches!(part, Component::Normal(_));
    let inside =
        !path.is_empty() && !path.contains('\0') && Path::new(path).components().all(plain);
    if !inside {
        let text = format!("`{path}` is no path below the root");
        mistakes.push(Mistake::new("bad-value", text, place).help("write data/x.json"));
    }
}
