//! Who is told: `notifiers:` says once how, and of what; `notify:` of checks and `escalate:` of remediations name them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use super::{
    super::{
        book::{Notifier, Which},
        format::{ForRule, NotifierEscalateRule, NotifierRule, QuietRule},
        names, reading,
        unit::{Notes, OwnFile, Reference, Unit},
    },
    Compiler,
    check::warn_unlisted,
};
use crate::{
    incident::Policy,
    model::{
        Name,
        node::{Node, Tree},
        span::Span,
        status::Status,
        text::{Mistake, Text},
    },
    notify::{self, Workshop},
};

/// Nothing is held back for longer than this.
const LONGEST: Duration = Duration::from_secs(7 * 86_400);
/// Nobody is told the same more often than this.
const SHORTEST_REPEAT: Duration = Duration::from_secs(60);

/// Reads the notifiers of a file.
pub fn compile(compiler: &Compiler<'_>, node: &Node, unit: &mut Unit, source: &Arc<str>) {
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
        let notifier = one(compiler, &name, body, unit, mistakes);
        unit.notifiers.push((name, Arc::new(notifier)));
    }
    warn_unlisted(node, &compiler.permission.settings.env, &mut notes);
    unit.complaints.extend(notes.complain(None, source));
}

fn one(
    compiler: &Compiler<'_>,
    name: &Text,
    body: &Node,
    unit: &mut Unit,
    mistakes: &mut Vec<Mistake>,
) -> Notifier {
    let before = mistakes.len();
    let rule: NotifierRule = reading::read(body, mistakes);
    let journal = rule.journal.as_ref().and_then(|text| {
        let path = reading::own_file(text, mistakes)?;
        unit.own_files.push(OwnFile {
            path: path.clone(),
            place: text.place(),
        });
        Some(path)
    });
    let mut channels = Vec::new();
    let mut written = rule.journal.is_some();
    for kind in notify::KINDS {
        let Some(node) = body.get(kind.name) else {
            continue;
        };
        written = true;
        if !matches!(node.tree, Tree::Map(_)) {
            if !matches!(node.tree, Tree::Null) {
                let wanted = format!("a map like `{}`", kind.example);
                mistakes.push(reading::not_a(node, &wanted));
            }
            continue;
        }
        let mut workshop = Workshop {
            engine: compiler.engine,
            known: &compiler.ground,
            permission: compiler.permission,
            mistakes,
        };
        channels.extend((kind.build)(node, &mut workshop));
    }
    if !written && mistakes.len() == before {
        mistakes.push(
            Mistake::new(
                "missing-key",
                format!("`{name}` has no channel, so nobody would be told"),
                name.place(),
            )
            .help("write `journal: logs/pages.jsonl`, or one of webhook, email, command, alertmanager"),
        );
    }
    Notifier {
        name: name.as_str().into(),
        about: rule.about.clone(),
        journal,
        channels,
        which: which(body, unit, mistakes),
        policy: policy(name, body, &rule, unit, mistakes),
    }
}

fn policy(
    name: &Text,
    body: &Node,
    rule: &NotifierRule,
    unit: &mut Unit,
    mistakes: &mut Vec<Mistake>,
) -> Policy {
    let usual = Policy::default();
    let when = rule.when.as_ref().map(|when| {
        if when.is_empty() {
            let place = body.get("when").map_or(&body.place, |it| &it.place).clone();
            let wrong = "`when` names no status, so nobody would be told";
            let wrong = Mistake::new("bad-value", wrong, place);
            mistakes.push(wrong.help("write `when: [critical]`"));
        }
        when.iter().map(|word| Status::from(*word)).collect()
    });
    let mut bounded = |key: &str, span: Option<Span>, least: Duration| {
        let Span(span) = span?;
        if span < least || span > LONGEST {
            let place = body.get(key).map_or(&body.place, |it| &it.place).clone();
            let wrong = format!("`{key}` cannot be {}", Span(span));
            let wrong = Mistake::new("bad-value", wrong, place);
            let help = format!("write something from {} to {}", Span(least), Span(LONGEST));
            mistakes.push(wrong.help(help));
            return None;
        }
        Some(span)
    };
    let after = bounded("after", rule.after, Duration::ZERO);
    let repeat = bounded("repeat", rule.repeat, SHORTEST_REPEAT);
    Policy {
        when: when.unwrap_or(usual.when),
        after: after.unwrap_or(usual.after),
        limit: rule.limit.map(|limit| (limit.count, limit.window)),
        repeat,
        repaired: rule.repaired.unwrap_or(false),
        quiet: quiet(body, unit, mistakes),
        escalate: escalate(name, body, unit, mistakes),
    }
}

/// Quiet hours: the name of a calendar, or with what is told all the same.
fn quiet(body: &Node, unit: &mut Unit, mistakes: &mut Vec<Mistake>) -> Option<(Name, Vec<Status>)> {
    let node = body.get("quiet")?;
    let (calendar, but) = match node.tree {
        Tree::Null => return None,
        Tree::Map(_) => {
            let rule: QuietRule = reading::read(node, mistakes);
            reading::missing(node, "calendar", mistakes);
            (rule.calendar?, rule.but.unwrap_or_default())
        }
        _ => (reading::text(node, "`quiet`", mistakes)?, Vec::new()),
    };
    unit.calendars_named.push((calendar.clone(), None));
    let but = but.into_iter().map(Status::from).collect();
    Some((calendar.as_str().into(), but))
}

fn escalate(
    name: &Text,
    body: &Node,
    unit: &mut Unit,
    mistakes: &mut Vec<Mistake>,
) -> Option<(Duration, Vec<Name>)> {
    let node = body
        .get("escalate")
        .filter(|node| !matches!(node.tree, Tree::Null))?;
    let rule: NotifierEscalateRule = reading::read(node, mistakes);
    reading::missing(node, "after", mistakes);
    reading::missing(node, "to", mistakes);
    let to = reading::check_names(rule.to.unwrap_or_default(), mistakes);
    if to.is_empty() && node.get("to").is_some_and(|it| it.items().is_empty()) {
        let wrong = Mistake::new("empty", "nobody is named to be told", node.place.clone());
        mistakes.push(wrong.help("write `to: [NOTIFIER]`"));
    }
    for other in &to {
        if other == name {
            let wrong = "a notifier cannot take over from itself";
            mistakes.push(Mistake::new("self-reference", wrong, other.place()));
        }
    }
    unit.escalations
        .extend(to.iter().map(|to| (to.clone(), None)));
    let Span(after) = rule.after?;
    if after.is_zero() || after > LONGEST {
        let place = node
            .get("after")
            .map_or(&node.place, |it| &it.place)
            .clone();
        let wrong = format!("nobody can acknowledge within {}", Span(after));
        let wrong = Mistake::new("bad-value", wrong, place);
        mistakes.push(wrong.help("write `after: 15m`"));
        return None;
    }
    Some((after, to.iter().map(|to| to.as_str().into()).collect()))
}

/// The checks whose incidents it is told of, beside those that name it.
fn which(body: &Node, unit: &mut Unit, mistakes: &mut Vec<Mistake>) -> Which {
    let Some(node) = body.get("for") else {
        return Which::default();
    };
    match &node.tree {
        Tree::Null => Which::default(),
        Tree::Map(_) => {
            let rule: ForRule = reading::read(node, mistakes);
            let checks = reading::check_names(rule.checks.unwrap_or_default(), mistakes);
            unit.references.extend(checks.iter().map(|to| Reference {
                to: to.clone(),
                looks: false,
                rule: None,
            }));
            let which = Which {
                all: false,
                checks: checks.iter().map(|it| it.as_str().into()).collect(),
                tags: rule.tags.unwrap_or_default().into_iter().collect(),
                layers: rule.layers.unwrap_or_default().into_iter().collect(),
            };
            if which == Which::default()
                && !node.entries().iter().any(|(_, it)| it.items().is_empty())
            {
                return which; // its mistakes were told
            }
            if which == Which::default() {
                let wrong = Mistake::new("empty", "`for` means no check", node.place.clone());
                mistakes.push(wrong.help("write `for: all`, or `for: { tags: [NAME] }`"));
            }
            which
        }
        Tree::Str(word) if word == "all" => Which {
            all: true,
            ..Which::default()
        },
        _ => {
            let wrong = reading::not_a(node, "`all`, or a map with checks, tags or layers");
            mistakes.push(wrong.help("write `for: all`, or `for: { tags: [NAME] }`"));
            Which::default()
        }
    }
}

/// Who is told of the incidents of each check, from their opening.
pub fn listeners(units: &[Arc<Unit>]) -> BTreeMap<Name, Vec<Name>> {
    let notifiers: Vec<&Arc<Notifier>> = units
        .iter()
        .flat_map(|unit| &unit.notifiers)
        .map(|(_, notifier)| notifier)
        .collect();
    let checks = units.iter().flat_map(|unit| &unit.checks);
    checks
        .map(|check| {
            let mut names: BTreeSet<Name> = check.notify.iter().cloned().collect();
            names.extend(
                notifiers
                    .iter()
                    .filter(|notifier| notifier.which.holds(check))
                    .map(|notifier| notifier.name.clone()),
            );
            (check.name.clone(), names.into_iter().collect())
        })
        .filter(|(_, names): &(Name, Vec<Name>)| !names.is_empty())
        .collect()
}
