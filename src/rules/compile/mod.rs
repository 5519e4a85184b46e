//! From the tree of a file to what goes into the book: each check by itself, so that a mistake in one hides none in
//! another.

mod calendar;
mod check;
mod defaults;
mod investigation;
mod judging;
mod known;
pub(super) mod notifier;
mod remediation;
mod steps;
mod trigger;

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{
    book::Test,
    format::RuleFile,
    reading, testing,
    unit::{Notes, RuleName, Unit},
};
use crate::{
    model::{
        node::{Node, Tree},
        text::{Mistake, Text},
    },
    permission::Permission,
    script::{Engine, Known, Scripts},
};
use defaults::Defaults;

/// What compiling needs besides the file: the same for all files of a directory.
pub struct Compiler<'a> {
    pub engine: &'a Engine,
    pub permission: &'a Permission,
    pub vars: &'a Map<String, Value>,
    pub scripts: &'a Scripts,
    /// Names that every expression may read.
    pub ground: Known,
}

impl<'a> Compiler<'a> {
    /// `complete` says whether all `vars` of the directory are known: when a file could not be read they are not, and
    /// nobody is blamed for reading one.
    pub fn new(
        engine: &'a Engine,
        permission: &'a Permission,
        vars: &'a Map<String, Value>,
        scripts: &'a Scripts,
        complete: bool,
    ) -> Compiler<'a> {
        let listed = permission.settings.env.iter().map(String::as_str);
        let ground = Known::ground(vars).with_env(listed);
        Compiler {
            engine,
            permission,
            vars,
            scripts,
            ground: if complete {
                ground
            } else {
                ground.with("vars", None)
            },
        }
    }

    /// Compiles a file. Its mistakes are in the unit.
    pub fn file(&self, node: &Node, source: &Arc<str>) -> Unit {
        let mut unit = Unit::default();
        if matches!(node.tree, Tree::Null) {
            return unit;
        }
        let mut notes = Notes::default();
        let _: RuleFile = reading::read(node, &mut notes.mistakes);
        let defaults = Defaults::read(node.get("defaults"), &mut notes, &mut unit);
        let told = defaults.escalate.iter().chain(&defaults.notify);
        let told = told.flatten().cloned();
        unit.escalations.extend(told.map(|to| (to, None)));
        let mut list = |key: &str| match node.get(key) {
            Some(node) if !matches!(node.tree, Tree::Null) => {
                reading::items(node, &mut notes.mistakes)
            }
            _ => &[],
        };
        let (checks, investigations, tests) =
            (list("checks"), list("investigations"), list("tests"));
        if let Some(node) = node.get("calendars") {
            calendar::compile_all(node, defaults.zone, &mut unit, &mut notes);
        }
        unit.complaints.extend(notes.complain(None, source));
        if let Some(node) = node
            .get("notifiers")
            .filter(|node| !matches!(node.tree, Tree::Null))
        {
            notifier::compile(self, node, &mut unit, source);
        }
        for node in checks {
            check::compile(self, node, &defaults, &mut unit, source);
        }
        for node in investigations {
            investigation::compile(self, node, &defaults, &mut unit, source);
        }
        for node in tests {
            test(node, &mut unit, source);
        }
        unit
    }
}

fn test(node: &Node, unit: &mut Unit, source: &Arc<str>) {
    let mut notes = Notes::default();
    // Its facts, files and values may be null, so it is not read like the parts of a rule.
    match node.tree {
        Tree::Map(_) => drop(testing::decode(node, &mut notes.mistakes)),
        _ => notes.mistakes.push(reading::not_a(node, "a test")),
    }
    reading::missing(node, "name", &mut notes.mistakes);
    let name = node.get("name").and_then(Node::text);
    let name = reading::filled(name, "the name", &mut notes.mistakes);
    if let Some(name) = &name {
        unit.tests.push(Arc::new(Test {
            name: name.to_string(),
            place: name.place(),
            body: node.clone(),
        }));
    }
    let rule = name.map(|name| name.to_string());
    unit.complaints
        .extend(notes.complain(rule.as_deref(), source));
}

/// The name of a rule, if it has a good one. It is noted in the unit, so that others may refer to it.
fn rule_name(
    node: &Node,
    name: Option<Text>,
    is_check: bool,
    unit: &mut Unit,
    mistakes: &mut Vec<Mistake>,
) -> Option<Text> {
    reading::missing(node, "name", mistakes);
    let name = name.filter(|name| super::names::check_rule(name, mistakes))?;
    unit.names.push(RuleName {
        name: name.clone(),
        is_check,
        guessed: false,
    });
    Some(name)
}
