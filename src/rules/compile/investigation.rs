//! A root-cause session: which checks it runs, and under which names its record knows them.

use std::{sync::Arc, time::Duration};

use super::{
    super::{
        book::Investigation,
        fingerprint::Fingerprint,
        format::{InvestigationRule, MemberRule},
        names, reading,
        unit::{Notes, OwnFile, Reference, Unit},
    },
    Compiler,
    defaults::Defaults,
    rule_name, trigger,
};
use crate::model::{
    node::{Node, Tree},
    outline::{InvestigationOutline, Trigger},
    text::{Mistake, Text},
};

pub fn compile(
    compiler: &Compiler<'_>,
    node: &Node,
    defaults: &Defaults,
    unit: &mut Unit,
    source: &Arc<str>,
) {
    let mut notes = Notes::default();
    let mistakes = &mut notes.mistakes;
    let rule: InvestigationRule = reading::read(node, mistakes);
    let name = rule_name(node, rule.name.clone(), false, unit, mistakes);
    let (mut asks, mut calendars) = (Vec::new(), Vec::new());
    let trigger = match node.get("trigger").filter(|_| rule.trigger.is_some()) {
        Some(node) => {
            let (zone, calendars) = (defaults.zone, &mut calendars);
            let trigger = trigger::read(node, zone, &mut asks, calendars, mistakes);
            refuse_quiet(node, mistakes);
            trigger
        }
        None => Trigger::default(),
    };
    reading::missing(node, "checks", mistakes);
    let members = node
        .get("checks")
        .filter(|_| rule.checks.is_some())
        .map(|node| members(node, mistakes))
        .unwrap_or_default();
    let journal = rule.journal.as_ref().and_then(|text| {
        let path = reading::own_file(text, mistakes)?;
        unit.own_files.push(OwnFile {
            path: path.clone(),
            place: text.place(),
        });
        Some(path)
    });
    let cause = reading::filled(rule.cause, "`cause`", mistakes);
    if rule.about.is_none() && name.is_some() {
        let place = name.as_ref().map(Text::place).unwrap_or_default();
        notes.warnings.push(
            Mistake::new("no-about", "it does not say what it is about", place)
                .help("write `about:` with a sentence"),
        );
    }
    let rule_word = name.as_ref().map(Text::to_string);
    unit.calendars_named
        .extend(calendars.into_iter().map(|it| (it, rule_word.clone())));
    let asks = asks.into_iter().map(|check| (check, false));
    let members_asked = members.iter().map(|(check, _)| (check.clone(), true));
    unit.references
        .extend(asks.chain(members_asked).map(|(to, looks)| Reference {
            to,
            looks,
            rule: rule_word.clone(),
        }));
    if let Some(name) = name
        && notes.mistakes.is_empty()
    {
        let mut print = Fingerprint::new(compiler.vars);
        print.part("investigation", node);
        print.part("timezone", &Node::from_json(&defaults.zone.name().into()));
        let key: crate::model::Name = name.as_str().into();
        let checks: Vec<_> = members
            .iter()
            .map(|(check, alias)| (check.as_str().into(), alias.clone()))
            .collect();
        let outline = InvestigationOutline {
            name: key.clone(),
            fingerprint: print.finish(),
            trigger,
            cooldown: rule.cooldown.map_or(Duration::ZERO, |span| span.0),
            checks: checks
                .iter()
                .map(|(check, _)| crate::model::Name::clone(check))
                .collect(),
        };
        let investigation = Investigation {
            cause: cause.map_or_else(|| key.to_string(), |cause| cause.to_string()),
            name: key,
            about: rule.about,
            place: name.place(),
            checks,
            journal,
        };
        unit.investigations
            .push((Arc::new(investigation), Arc::new(outline)));
    }
    unit.complaints
        .extend(notes.complain(rule_word.as_deref(), source));
}

/// What is not repaired while it is quiet is a check: an investigation has nothing to hold.
fn refuse_quiet(node: &Node, mistakes: &mut Vec<Mistake>) {
    if let Some((key, _)) = node.entries().iter().find(|(key, _)| key.key() == "quiet") {
        mistakes.push(
            Mistake::new(
                "bad-value",
                "`quiet` belongs to the trigger of a check",
                key.place.clone(),
            )
            .help("write it on the checks that the investigation runs; `during` says when it begins at all"),
        );
    }
}

/// The checks, each once, each under a name of its own.
fn members(node: &Node, mistakes: &mut Vec<Mistake>) -> Vec<(Text, String)> {
    let items = reading::items(node, mistakes);
    if items.is_empty() && matches!(node.tree, Tree::Seq(_)) {
        mistakes.push(
            Mistake::new(
                "empty",
                "an investigation without checks",
                node.place.clone(),
            )
            .help("name the checks it runs"),
        );
    }
    let mut members: Vec<(Text, String)> = Vec::new();
    for item in items {
        let Some((check, alias)) = member(item, mistakes) else {
            continue;
        };
        if !names::check_rule(&check, mistakes) || !names::check_rule(&alias, mistakes) {
            continue;
        }
        let twice = members.iter().any(|(known, _)| *known == check);
        let clash = members.iter().any(|(_, known)| *known == alias.as_str());
        if twice || clash {
            let (what, text) = if twice {
                ("check", &check)
            } else {
                ("name", &alias)
            };
            mistakes.push(
                Mistake::new(
                    "duplicate-name",
                    format!("the {what} `{text}` stands here twice"),
                    text.place(),
                )
                .help("keep one of the two, or give it another name with `as`"),
            );
            continue;
        }
        members.push((check, alias.to_string()));
    }
    members
}

fn member(node: &Node, mistakes: &mut Vec<Mistake>) -> Option<(Text, Text)> {
    if !matches!(node.tree, Tree::Map(_)) {
        let name = reading::text(node, "the name of a check", mistakes)?;
        return Some((name.clone(), name));
    }
    let rule: MemberRule = reading::read(node, mistakes);
    reading::missing(node, "check", mistakes);
    let check = rule.check?;
    let alias = rule.alias.unwrap_or_else(|| check.clone());
    Some((check, alias))
}
