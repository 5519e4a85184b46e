//! Who is told: `notifiers:` names channels once, and `escalate:` of a remediation names them.

use std::sync::Arc;

use super::super::{
    book::Notifier,
    format::NotifierRule,
    names, reading,
    unit::{Notes, OwnFile, Unit},
};
use crate::model::{
    node::{Node, Tree},
    text::{Mistake, Text},
};

/// Channels that later versions know.
const LATER: [&str; 4] = ["email", "http", "command", "quiet"];

/// Reads the notifiers of a file.
pub fn compile(node: &Node, unit: &mut Unit, source: &Arc<str>) {
    let mut notes = Notes::default();
    let mistakes = &mut notes.mistakes;
    if !matches!(node.tree, Tree::Map(_)) {
        mistakes.push(
            reading::not_a(node, "a map from names to channels")
                .help("write `notifiers: { ops: { journal: logs/pages.jsonl } }`"),
        );
    }
    for (name, body) in node.entries() {
        let name = name.text();
        let Some(name) = name.filter(|name| names::check_rule(name, mistakes)) else {
            continue;
        };
        let notifier = one(&name, body, unit, mistakes);
        unit.notifiers.push((name, Arc::new(notifier)));
    }
    unit.complaints.extend(notes.complain(None, source));
}

fn one(name: &Text, body: &Node, unit: &mut Unit, mistakes: &mut Vec<Mistake>) -> Notifier {
    let body = &*reading::without_later(body, &LATER, mistakes);
    let rule: NotifierRule = reading::read(body, mistakes);
    let journal = rule.journal.as_ref().and_then(|text| {
        let path = reading::own_file(text, mistakes)?;
        unit.own_files.push(OwnFile {
            path: path.clone(),
            place: text.place(),
        });
        Some(path)
    });
    if rule.journal.is_none()
        && !body
            .entries()
            .iter()
            .any(|(key, _)| LATER.contains(&key.key()))
    {
        mistakes.push(
            Mistake::new(
                "missing-key",
                format!("`{name}` has no channel, so nobody would be told"),
                name.place(),
            )
            .help("write `journal: logs/pages.jsonl`"),
        );
    }
    Notifier {
        name: name.as_str().into(),
        about: rule.about,
        journal,
    }
}
