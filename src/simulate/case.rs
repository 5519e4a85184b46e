//! One test, compiled: its world, what changes in it, and the checks it runs. Every mistake is found before it is run.

mod asking;
mod expected;
mod laying;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use serde_json::Value;

use super::{Lab, values::Values, world::FilePlan};
use crate::{
    model::{
        Name,
        node::Node,
        outline::Outline,
        text::{Mistake, Place, meant},
    },
    permission::Settings,
    rules::{
        book::{Book, Check, Test},
        testing::{self, Argv, START, Series, TestForm, key_place, spot},
    },
    script::{Env, TemplateTree},
};

pub(super) use asking::asked_by_probes;

pub(super) struct Case<'a> {
    pub form: TestForm,
    pub body: &'a Node,
    pub values: Values<'a>,
    /// How far the values of series are apart.
    pub step: Duration,
    pub world: Change,
    pub series: BTreeMap<Name, Vec<(String, Series)>>,
    pub commands: Vec<Answers>,
    pub changes: Vec<Change>,
    /// The checks of a round, in its order.
    pub round: Vec<Name>,
    pub investigate: Option<Name>,
    pub outline: Arc<Outline>,
}

/// What a check is given instead of a look.
#[derive(Clone, Debug)]
pub(super) enum Given {
    Fails(String),
    Facts(Vec<(String, TemplateTree)>),
}

/// Files and facts laid out, at the start or later.
#[derive(Debug)]
pub(super) struct Change {
    pub when: When,
    pub place: Place,
    pub files: Vec<FilePlan>,
    pub given: Vec<(Name, Given)>,
    pub paused: Option<bool>,
    pub event: Option<String>,
    /// A person approves what this check proposes.
    pub approve: Option<Name>,
    /// A person confirms the baseline of this check.
    pub confirm: Option<Name>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum When {
    Start,
    At(Duration),
    /// The `act`th act of this check.
    After {
        check: Name,
        act: u32,
    },
    /// A command that does it.
    Run,
}

/// What a command answers.
pub(super) struct Answers {
    pub run: Argv,
    pub exit: i32,
    pub says: Option<String>,
    pub times: Option<u32>,
    pub does: Option<Change>,
}

/// Compiles a test; `None` if it has mistakes, all of which are pushed.
pub(super) fn compile<'a>(
    test: &'a Test,
    lab: Lab<'a>,
    mistakes: &mut Vec<Mistake>,
) -> Option<Case<'a>> {
    let before = mistakes.len();
    let Lab {
        book,
        settings,
        engine,
        ..
    } = lab;
    let body = &test.body;
    let form = testing::decode(body, mistakes)?;
    let start = form.at.map_or(START, |at| at.0);
    let vars = vars(&form, book, body, mistakes);
    let env = env(&form, settings, body, mistakes);
    let values = Values::new(engine, vars, env, start);
    let mut compiler = Compiler {
        book,
        form: &form,
        values: &values,
        mistakes,
    };
    let world = compiler.change(When::Start, body, &form.files, &form.facts);
    let commands = compiler.commands(body);
    let changes = compiler.changes(body);
    let series = compiler.series(body);
    let named = compiler.named(body);
    let investigate = compiler.investigation(body);
    compiler.lookable(&named, body, &test.place);
    compiler.complete(&named, body);
    compiler.expectations(body);
    let step = compiler.step(&named, body);
    let (round, outline) = (
        named.checks.clone(),
        asking::outline(book, &form, &named, investigate.as_ref()),
    );
    (mistakes.len() == before).then(|| Case {
        body,
        values,
        step,
        world,
        series,
        commands,
        changes,
        round,
        investigate,
        outline: Arc::new(outline),
        form,
    })
}

/// Checks and investigations that a test runs by name.
#[derive(Default)]
struct Named {
    checks: Vec<Name>,
    investigations: BTreeSet<Name>,
}

struct Compiler<'c, 'a> {
    book: &'c Book,
    form: &'c TestForm,
    values: &'c Values<'a>,
    mistakes: &'c mut Vec<Mistake>,
}

impl Compiler<'_, '_> {
    fn wrong(&mut self, code: &'static str, message: String, place: Place) {
        self.mistakes.push(Mistake::new(code, message, place));
    }

    /// The check of that name, or a mistake.
    fn check(&mut self, name: &str, place: Place) -> Option<Arc<Check>> {
        let found = self.book.checks.get(name).cloned();
        if found.is_none() {
            let mut mistake = Mistake::new(
                "unknown-check",
                format!("there is no check `{name}`"),
                place,
            );
            if let Some(meant) = meant(name, self.book.checks.keys().map(|name| &**name)) {
                mistake = mistake.help(format!("did you mean `{meant}`?"));
            }
            self.mistakes.push(mistake);
        }
        found
    }

    /// A file of the rules directory; a leading `rules/` stands for it.
    fn source(&mut self, from: &str, node: &Node) -> Option<Vec<u8>> {
        let found = source(self.book, from);
        if found.is_none() {
            let text = format!("there is no {from} in the rules directory");
            self.wrong("bad-value", text, node.place.clone());
        }
        found
    }
}

/// The node of the `index`th expectation.
pub(super) fn expectation_node(body: &Node, index: usize, over: bool) -> &Node {
    let node = spot(body, &["expect"]);
    match over {
        true => node.items().get(index).unwrap_or(node),
        false => node,
    }
}

/// A file of the rules directory; a leading `rules/` stands for it.
pub(super) fn source(book: &Book, from: &str) -> Option<Vec<u8>> {
    let below = from.strip_prefix("rules/").unwrap_or(from);
    book.sources.get(below).map(|body| body.to_vec())
}

fn one_of(written: &str, known: &[String]) -> String {
    match meant(written, known.iter().map(String::as_str)) {
        Some(word) => format!("did you mean `{word}`?"),
        None if known.is_empty() => "there is none".to_owned(),
        None => format!("there are {}", known.join(", ")),
    }
}

fn vars(
    form: &TestForm,
    book: &Book,
    body: &Node,
    mistakes: &mut Vec<Mistake>,
) -> serde_json::Map<String, Value> {
    let mut vars = serde_json::Map::clone(&book.vars);
    for (name, value) in &form.vars {
        if vars.insert(name.clone(), value.clone()).is_none() {
            let known: Vec<String> = book.vars.keys().cloned().collect();
            let place = key_place(spot(body, &["vars"]), name);
            let mistake = Mistake::new("unknown-name", format!("there is no `vars.{name}`"), place);
            mistakes.push(mistake.help(one_of(name, &known)));
        }
    }
    vars
}

fn env(form: &TestForm, settings: &Settings, body: &Node, mistakes: &mut Vec<Mistake>) -> Env {
    for name in form.env.keys().filter(|name| !settings.env.contains(name)) {
        let text = format!("homeostat.yaml does not list `{name}`: no rule can read it");
        let place = key_place(spot(body, &["env"]), name);
        mistakes.push(Mistake::new("unknown-name", text, place).help(one_of(name, &settings.env)));
    }
    let listed = settings.env.iter();
    Env {
        listed: listed
            .map(|name| (name.clone(), form.env.get(name).cloned()))
            .collect(),
    }
}
