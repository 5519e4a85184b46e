//! The steps of a ladder.

use serde_json::Value;

use super::{
    super::{fingerprint::Fingerprint, names, reading, unit::Leaves},
    known::Names,
};
use crate::{
    hands::{
        self, call_http, move_file, notify, raise_event, restore_file, run_checks, run_script,
    },
    model::{
        node::{Node, Tree},
        text::{Mistake, Text},
    },
    remediation::{StepPlan, StepScript},
    script::TemplateTree,
};

/// What can be told of steps before they are planned.
#[derive(Default)]
pub struct Found {
    /// Files they write, and what they leave there.
    pub writes: Vec<(Text, Leaves)>,
    /// Checks they ask for.
    pub asks: Vec<Text>,
    /// Events they raise.
    pub raises: Vec<Text>,
    /// Notifiers they tell.
    pub tells: Vec<Text>,
    /// Files below `defaults/` that they restore from.
    pub bodies: Vec<Text>,
}

/// The rungs of a ladder. An item that is a list is one rung.
pub fn ladder(
    node: &Node,
    names: &Names<'_>,
    mistakes: &mut Vec<Mistake>,
) -> (Vec<Vec<StepPlan>>, Found) {
    let mut found = Found::default();
    let items = reading::items(node, mistakes);
    if items.is_empty() && matches!(node.tree, Tree::Seq(_)) {
        mistakes.push(
            Mistake::new("empty", "a remediation without steps", node.place.clone())
                .help("write a step, or leave `remediation` out"),
        );
    }
    let mut rungs = Vec::new();
    for item in items {
        let steps = match &item.tree {
            Tree::Seq(steps) if steps.is_empty() => {
                mistakes.push(
                    Mistake::new("empty", "a rung without steps", item.place.clone())
                        .help("write a step, or leave the rung out"),
                );
                continue;
            }
            Tree::Seq(steps) => steps.as_slice(),
            _ => std::slice::from_ref(item),
        };
        rungs.push(
            steps
                .iter()
                .filter_map(|step| self::step(step, names, &mut found, mistakes))
                .collect(),
        );
    }
    (rungs, found)
}

fn step(
    node: &Node,
    names: &Names<'_>,
    found: &mut Found,
    mistakes: &mut Vec<Mistake>,
) -> Option<StepPlan> {
    if !matches!(node.tree, Tree::Map(_)) {
        mistakes.push(reading::not_a(node, "a step like `restore_file: { … }`"));
        return None;
    }
    let mut known = names.steps.clone();
    let mut each = None;
    if let Some(list) = node.get("each") {
        let text = reading::text(list, "`each`", mistakes);
        each = text.and_then(|text| names.expr(&text, &names.steps, mistakes));
        known = known.with("it", None);
    }
    let kinds: Vec<_> = node
        .entries()
        .iter()
        .filter(|(key, _)| key.key() != "each")
        .collect();
    let [(key, body)] = kinds[..] else {
        let place = kinds.get(1).map_or(&node.place, |(key, _)| &key.place);
        mistakes.push(
            Mistake::new(
                "bad-value",
                "a step is one kind, with or without `each`",
                place.clone(),
            )
            .help("write each step as an item of its own"),
        );
        return None;
    };
    let kind = kind(key, mistakes)?;
    if matches!(body.tree, Tree::Null) {
        mistakes.push(
            Mistake::new(
                "empty",
                format!("`{}` has no settings", kind.name),
                key.place.clone(),
            )
            .help(format!("write `{}`", kind.example)),
        );
        return None;
    }
    let args = kind.args(body);
    let before = mistakes.len();
    (kind.check)(&args, names.permission(), mistakes);
    let told = mistakes.len() > before;
    let tree = names.tree(&args, &known, mistakes);
    let script = match run_script::constant_file(kind, &args) {
        Some(file) if !told => Some(script(&file, tree.as_ref(), &args, names, mistakes)?),
        _ => None,
    };
    let mut tree = tree?;
    if kind.name == call_http::KIND.name {
        tree = tree.with_url("url", mistakes)?;
    }
    if !told {
        note(kind.name, &args, names, found);
    }
    Some(StepPlan {
        kind: kind.name,
        each,
        args: tree,
        script,
    })
}

/// The script that gives steps. It reads what stands under `args`.
fn script(
    file: &Text,
    tree: Option<&TemplateTree>,
    args: &Node,
    names: &Names<'_>,
    mistakes: &mut Vec<Mistake>,
) -> Option<StepScript> {
    let args = match tree.map(TemplateTree::sample) {
        Some(Value::Object(mut args)) => args.remove("args"),
        // they have mistakes; those of the script are told all the same
        _ => args.get("args").map(|_| Value::Null),
    };
    Some(StepScript {
        program: names.step_script(file, args, mistakes)?,
        step: run_script::step,
    })
}

fn kind(key: &Node, mistakes: &mut Vec<Mistake>) -> Option<&'static hands::Kind> {
    let name = key.key();
    let kind = hands::kind(name);
    if kind.is_none() {
        let known = hands::KINDS.iter().map(|kind| kind.name);
        mistakes.push(
            Mistake::new(
                "unknown-kind",
                format!("there is no step `{name}`"),
                key.place.clone(),
            )
            .help(names::suggest(name, known)),
        );
    }
    kind
}

/// Notes the file a step writes and the checks it asks for, as far as they stand in plain text.
fn note(kind: &'static str, args: &Node, names: &Names<'_>, found: &mut Found) {
    if kind == "run_checks" {
        found.asks.extend(run_checks::constant_names(args));
    }
    if kind == "raise_event" {
        found.raises.extend(raise_event::constant_event(args));
    }
    if kind == "notify" {
        found.tells.extend(notify::constant_names(args));
    }
    if kind == "restore_file" {
        found.bodies.extend(restore_file::constant_source(args));
    }
    let file = args.get("file").and_then(Node::text);
    let Some(file) = file.filter(|file| !file.as_str().contains("${")) else {
        return;
    };
    let hash = |node: &Node| {
        let mut print = Fingerprint::new(names.vars());
        print.part("value", node);
        print.finish()
    };
    match kind {
        "remove_file" => found.writes.push((file, Leaves::Nothing)),
        "move_file" => {
            found.writes.push((file, Leaves::Nothing));
            let to = move_file::constant_target(args);
            found
                .writes
                .extend(to.map(|to| (to, Leaves::Body(hash(args)))));
        }
        "set_json" => {
            let set = args.get("set").map(Node::entries).unwrap_or_default();
            for (key, value) in set {
                let leaves = Leaves::Key(key.key().to_owned(), hash(value));
                found.writes.push((file.clone(), leaves));
            }
        }
        _ => found.writes.push((file, Leaves::Body(hash(args)))),
    }
}
