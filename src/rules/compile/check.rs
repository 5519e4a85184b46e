//! A check: where to look, how to judge, what to do.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::{
    super::{
        book::{Check, Probes},
        fingerprint::Fingerprint,
        format::CheckRule,
        names as naming, reading,
        unit::{Body, Notes, OwnFile, Reference, Unit, Write},
    },
    Compiler,
    defaults::Defaults,
    judging,
    known::Names,
    remediation, rule_name, trigger,
};
use crate::{
    model::{
        Name,
        node::{Node, Tree},
        outline::CheckOutline,
        status::Status,
        text::{Mistake, Text},
    },
    probe::{self, Probe, Workshop},
    threshold::Judging,
};

/// How long a look may take unless the rule says otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Compiles a check into the unit of its file.
pub fn compile(
    compiler: &Compiler<'_>,
    node: &Node,
    defaults: &Defaults,
    unit: &mut Unit,
    source: &Arc<str>,
) {
    let mut notes = Notes::default();
    let rule: CheckRule = reading::read(node, &mut notes.mistakes);
    let name = rule_name(node, rule.name.clone(), true, unit, &mut notes.mistakes);
    let rule_word = name.as_ref().map(Text::to_string);
    let mut asks = Vec::new();
    let check = parts(
        compiler, node, rule, defaults, name, &mut notes, &mut asks, unit,
    );
    unit.references.extend(asks.into_iter().map(|to| Reference {
        to,
        looks: false,
        rule: rule_word.clone(),
    }));
    warn_unlisted(node, &compiler.permission.settings.env, &mut notes);
    if let Some(check) = check
        && notes.mistakes.is_empty()
    {
        unit.checks.push(Arc::new(check));
    }
    unit.complaints
        .extend(notes.complain(rule_word.as_deref(), source));
}

#[expect(clippy::too_many_arguments, reason = "it is one function cut in two")]
fn parts(
    compiler: &Compiler<'_>,
    node: &Node,
    rule: CheckRule,
    defaults: &Defaults,
    name: Option<Text>,
    notes: &mut Notes,
    asks: &mut Vec<Text>,
    unit: &mut Unit,
) -> Option<Check> {
    let mut names = Names::new(compiler);
    let probes = probes(compiler, node, &rule, &mut names, asks, &mut notes.mistakes);
    let mistakes = &mut notes.mistakes;
    let mut judged = judging::read(node, &rule, &mut names, mistakes);
    let part = |key: &str, there: bool| node.get(key).filter(|_| there);
    judged.judging.on_error = part("on_error", rule.on_error.is_some())
        .and_then(|node| judging::on_error(node, mistakes))
        .or(defaults.on_error)
        .unwrap_or_default();
    judged.judging.on_no_data = judging::on_no_data(rule.on_no_data.or(defaults.on_no_data));
    let mut calendars = Vec::new();
    let trigger = match part("trigger", rule.trigger.is_some()) {
        Some(node) => trigger::read(node, defaults.zone, asks, &mut calendars, mistakes),
        None => defaults.trigger.clone().unwrap_or_default(),
    };
    let rule_word = name.as_ref().map(Text::to_string);
    unit.calendars_named
        .extend(calendars.into_iter().map(|it| (it, rule_word.clone())));
    let timeout = judging::timeout(node, rule.timeout, mistakes)
        .or(defaults.timeout)
        .map_or(TIMEOUT, |span| span.0);
    let needs = needs(rule.needs.clone(), defaults, name.as_ref(), asks, mistakes);
    let journal = rule
        .journal
        .as_ref()
        .map(|text| reading::own_file(text, mistakes).map(|_| text.clone()))
        .unwrap_or_else(|| defaults.journal.clone());
    for text in journal.iter().chain(&judged.publishes) {
        unit.own_files.push(OwnFile {
            path: text.to_string(),
            place: text.place(),
        });
    }
    let own = rule
        .notify
        .clone()
        .map(|names| reading::check_names(names, mistakes));
    unit.escalations.extend(
        own.iter()
            .flatten()
            .map(|to| (to.clone(), rule_word.clone())),
    );
    let notify = own.or_else(|| defaults.notify.clone());
    let remedy = part("remediation", rule.remediation.is_some()).map(|part| {
        let print = Fingerprint::new(compiler.vars).knowing(compiler.scripts);
        remediation::read(part, trigger.every, defaults, &names, print, notes)
    });
    let name = name?;
    let (remediation, outline) = match remedy {
        Some(remedy) => {
            unit.references
                .extend(remedy.asks.into_iter().map(|to| Reference {
                    to,
                    looks: true,
                    rule: Some(name.to_string()),
                }));
            unit.raises.extend(
                remedy
                    .found
                    .raises
                    .into_iter()
                    .map(|event| (event, name.to_string())),
            );
            unit.escalations.extend(
                remedy
                    .escalate
                    .into_iter()
                    .chain(remedy.found.tells)
                    .map(|to| (to, Some(name.to_string()))),
            );
            unit.bodies
                .extend(remedy.found.bodies.into_iter().map(|from| Body {
                    from,
                    rule: name.to_string(),
                }));
            refuse_self(&name, &remedy.found.asks, &mut notes.mistakes);
            unit.writes
                .extend(remedy.found.writes.into_iter().map(|(file, leaves)| Write {
                    file,
                    rule: name.to_string(),
                    leaves,
                }));
            warn_idle(&judged.judging, &remedy.outline.when, node, notes);
            (Some(remedy.remediation), Some(Arc::new(remedy.outline)))
        }
        None => (None, None),
    };
    warn(&rule, &name, notes);
    let key: Name = name.as_str().into();
    let outline = CheckOutline {
        name: key.clone(),
        fingerprint: fingerprint(compiler, node, defaults),
        trigger,
        deadline: timeout,
        patience: judged.patience,
        remediation: outline,
        needs,
    };
    Some(Check {
        name: key,
        about: rule.about,
        tags: rule
            .tags
            .or_else(|| defaults.tags.clone())
            .unwrap_or_default(),
        notify: notify
            .iter()
            .flatten()
            .map(|name| name.as_str().into())
            .collect(),
        place: name.place(),
        probes: probes?,
        judging: judged.judging,
        remediation,
        journal: journal.map(|text| text.to_string()),
        outline: Arc::new(outline),
    })
}

/// Where to look. Its facts become names.
fn probes(
    compiler: &Compiler<'_>,
    node: &Node,
    rule: &CheckRule,
    names: &mut Names<'_>,
    asks: &mut Vec<Text>,
    mistakes: &mut Vec<Mistake>,
) -> Option<Probes> {
    let one = node.get("probe").filter(|_| rule.probe.is_some());
    let many = node.get("probes").filter(|_| rule.probes.is_some());
    match (one, many) {
        (Some(one), None) => {
            let probe = probe(compiler, one, asks, mistakes);
            match &probe {
                Some(probe) => names.with_facts(&probe.shape()),
                None => names.incomplete = true,
            }
            probe.map(Probes::One)
        }
        (None, Some(many)) => {
            let entries = reading::named(many, mistakes);
            if entries.is_empty() {
                mistakes.push(
                    Mistake::new("empty", "`probes` names no probe", many.place.clone())
                        .help("write `probes: { NAME: { KIND: { … } } }`"),
                );
                names.incomplete = true;
            }
            let mut built = Vec::new();
            for (name, node) in entries {
                let probe = probe(compiler, node, asks, mistakes);
                let shape = probe.as_ref().map(|probe| probe.shape());
                let named = names.with_probe(&name, shape.as_ref(), mistakes);
                built.push(
                    probe
                        .filter(|_| named)
                        .map(|probe| (name.to_string(), probe)),
                );
            }
            built.into_iter().collect::<Option<_>>().map(Probes::Many)
        }
        (Some(_), Some(many)) => {
            mistakes.push(
                Mistake::new(
                    "bad-value",
                    "a check has either `probe` or `probes`",
                    many.place.clone(),
                )
                .help("with `probes` the facts of each stand under its name"),
            );
            names.incomplete = true;
            None
        }
        (None, None) => {
            let broken = node.get("probe").is_some() || node.get("probes").is_some();
            if !broken {
                reading::missing(node, "probe", mistakes);
            }
            names.incomplete = true;
            None
        }
    }
}

fn probe(
    compiler: &Compiler<'_>,
    node: &Node,
    asks: &mut Vec<Text>,
    mistakes: &mut Vec<Mistake>,
) -> Option<Arc<dyn Probe>> {
    if !matches!(node.tree, Tree::Map(_)) {
        mistakes.push(reading::not_a(node, "a probe like `file: { … }`"));
        return None;
    }
    let [(key, body)] = node.entries() else {
        let place = node
            .entries()
            .get(1)
            .map_or(&node.place, |(key, _)| &key.place);
        mistakes.push(
            Mistake::new("bad-value", "a probe is one kind", place.clone())
                .help("write `probe: { KIND: { … } }`; for several use `probes`"),
        );
        return None;
    };
    let name = key.key();
    let Some(kind) = probe::kind(name) else {
        let known = probe::KINDS.iter().map(|kind| kind.name);
        mistakes.push(
            Mistake::new(
                "unknown-kind",
                format!("there is no probe `{name}`"),
                key.place.clone(),
            )
            .help(naming::suggest(name, known)),
        );
        return None;
    };
    if matches!(body.tree, Tree::Null) {
        mistakes.push(
            Mistake::new(
                "empty",
                format!("`{name}` has no settings"),
                key.place.clone(),
            )
            .help(format!("write `{}`", kind.example)),
        );
        return None;
    }
    let before = mistakes.len();
    let mut workshop = Workshop {
        engine: compiler.engine,
        known: &compiler.ground,
        permission: compiler.permission,
        scripts: compiler.scripts,
        mistakes,
    };
    let built = (kind.build)(body, &mut workshop)?;
    for check in built.checks() {
        asks.push(asked(body, &check));
    }
    (mistakes.len() == before).then_some(built)
}

/// The place of a check's name in a probe that asks about it.
fn asked(node: &Node, check: &str) -> Text {
    fn search<'n>(node: &'n Node, check: &str) -> Option<&'n Node> {
        if node.key() == check {
            return Some(node);
        }
        let values = node.entries().iter().map(|(_, value)| value);
        node.items()
            .iter()
            .chain(values)
            .find_map(|node| search(node, check))
    }
    search(node, check)
        .and_then(Node::text)
        .unwrap_or_else(|| Text::placed(check, node.place.clone(), None))
}

fn needs(
    own: Option<Vec<Text>>,
    defaults: &Defaults,
    name: Option<&Text>,
    asks: &mut Vec<Text>,
    mistakes: &mut Vec<Mistake>,
) -> Vec<Name> {
    let needs = match own {
        Some(own) => {
            let own = reading::check_names(own, mistakes);
            asks.extend(own.iter().cloned());
            own
        }
        // What all checks of a file need stands among them, and does not need itself.
        None => {
            let others = defaults.needs.iter().filter(|need| Some(*need) != name);
            others.cloned().collect()
        }
    };
    needs.iter().map(|need| need.as_str().into()).collect()
}

fn refuse_self(name: &Text, asks: &[Text], mistakes: &mut Vec<Mistake>) {
    for asked in asks.iter().filter(|asked| *asked == name) {
        mistakes.push(
            Mistake::new(
                "self-reference",
                "a check cannot run itself as its own repair",
                asked.place(),
            )
            .help("verification looks at it again anyway"),
        );
    }
}

fn warn(rule: &CheckRule, name: &Text, notes: &mut Notes) {
    if rule
        .about
        .as_ref()
        .is_none_or(|about| about.trim().is_empty())
    {
        notes.warnings.push(
            Mistake::new(
                "no-about",
                "the check does not say what it is about",
                name.place(),
            )
            .help("write `about:` with what holds when it is OK"),
        );
    }
    if rule.message.is_none() {
        notes.warnings.push(
            Mistake::new(
                "no-message",
                "the check has no message of its own",
                name.place(),
            )
            .help("write `message:` with the values that matter, like '${count} records'"),
        );
    }
}

/// Variables of the environment that `homeostat.yaml` does not list: they are `()`, whatever they are set to.
pub fn warn_unlisted(node: &Node, listed: &[String], notes: &mut Notes) {
    let mut told: BTreeSet<String> = BTreeSet::new();
    let mut open = vec![node];
    while let Some(node) = open.pop() {
        open.extend(node.items());
        open.extend(node.entries().iter().map(|(_, value)| value));
        let Tree::Str(text) = &node.tree else {
            continue;
        };
        for after in text.split("env(\"").skip(1) {
            let Some((name, _)) = after.split_once("\")") else {
                continue;
            };
            if listed.iter().any(|it| it == name) || !told.insert(name.to_owned()) {
                continue;
            }
            notes.warnings.push(
                Mistake::new(
                    "unlisted-env",
                    format!("`{name}` is not listed, so it is () here"),
                    node.place.clone(),
                )
                .help(format!("add `{name}` to `env` in homeostat.yaml")),
            );
        }
    }
}

/// A remediation that no status of the check can start.
fn warn_idle(judging: &Judging, when: &[Status], node: &Node, notes: &mut Notes) {
    let can_be = |status: Status| {
        let line = match status {
            Status::Critical => judging.critical.is_some(),
            _ => judging.warning.is_some(),
        };
        line || judging.on_error.probe == status
            || judging.on_error.rule == status
            || (judging.enough.is_some() && judging.on_no_data.0 == status)
    };
    let broken = notes
        .mistakes
        .iter()
        .any(|mistake| mistake.code != "no-about");
    if broken || when.iter().any(|status| can_be(*status)) {
        return;
    }
    let words: Vec<&str> = when.iter().map(|status| status.word()).collect();
    let place = node
        .entries()
        .iter()
        .find(|(key, _)| key.key() == "remediation")
        .map_or_else(|| node.place.clone(), |(key, _)| key.place.clone());
    notes.warnings.push(
        Mistake::new(
            "idle-remediation",
            "nothing ever starts this remediation",
            place,
        )
        .help(format!(
            "it waits for {}: give the threshold such a line, or change `when`",
            words.join(" or ")
        )),
    );
}

fn fingerprint(compiler: &Compiler<'_>, node: &Node, defaults: &Defaults) -> String {
    let mut print = Fingerprint::new(compiler.vars).knowing(compiler.scripts);
    print.part("check", node);
    if let Some(defaults) = &defaults.node {
        for (key, value) in defaults.entries() {
            let name = key.key();
            let merged = name == "remediation" && node.get(name).is_some();
            if merged || (name != "remediation" && node.get(name).is_none()) {
                print.part(name, value);
            }
        }
    }
    print.finish()
}
