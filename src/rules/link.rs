//! What only the whole directory can check: names that stand twice, rules that name each other, files that two of them
//! write.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    path::Path,
    sync::Arc,
};

use super::{
    book::Check,
    complaint::{Complaint, Severity},
    cycle, names,
    sources::Sources,
    unit::{Leaves, Unit, Write},
};
use crate::{
    hands::restore_file,
    model::{
        outline::EventTrigger,
        text::{Mistake, Place, Text},
    },
};

/// Checks all files together. `texts` has the text of each by its name.
pub fn check(
    units: &[Arc<Unit>],
    sources: &Sources,
    texts: &HashMap<Arc<str>, Arc<str>>,
) -> Vec<Complaint> {
    let mut linker = Linker {
        texts,
        complaints: Vec::new(),
    };
    let known = linker.names(units);
    linker.references(units, &known);
    linker.notifiers(units);
    linker.calendars(units, &known);
    linker.cycles(units);
    linker.files(units, sources);
    linker.never_looked_at(units);
    linker.unheard(units);
    linker.complaints
}

struct Linker<'a> {
    texts: &'a HashMap<Arc<str>, Arc<str>>,
    complaints: Vec<Complaint>,
}

/// Every name, and whether it is a check's.
type Known<'a> = BTreeMap<&'a str, bool>;

impl Linker<'_> {
    fn say(&mut self, severity: Severity, mistake: Mistake, rule: Option<&str>) {
        let source = self.texts.get(&mistake.place.file).cloned();
        self.complaints.push(Complaint {
            severity,
            mistake,
            rule: rule.map(str::to_owned),
            source: source.unwrap_or_else(|| "".into()),
        });
    }

    fn names<'a>(&mut self, units: &'a [Arc<Unit>]) -> Known<'a> {
        let mut seen: HashMap<&str, &Text> = HashMap::new();
        let mut known = Known::new();
        for name in units.iter().flat_map(|unit| &unit.names) {
            let text = name.name.as_str();
            known.insert(text, name.is_check);
            if name.guessed {
                continue;
            }
            if let Some(first) = seen.insert(text, &name.name) {
                let mistake = Mistake::new(
                    "duplicate-name",
                    format!("`{text}` is the name of another rule"),
                    name.name.place(),
                )
                .help(format!("the first one stands at {}", first.place()));
                self.say(Severity::Error, mistake, Some(text));
            }
        }
        known
    }

    fn references(&mut self, units: &[Arc<Unit>], known: &Known<'_>) {
        for reference in units.iter().flat_map(|unit| &unit.references) {
            let to = reference.to.as_str();
            let mistake = match known.get(to) {
                Some(true) => continue,
                Some(false) => Mistake::new(
                    "unknown-check",
                    format!("`{to}` is an investigation, not a check"),
                    reference.to.place(),
                )
                .help("name a check"),
                None => {
                    let checks = known.iter().filter(|(_, check)| **check);
                    Mistake::new(
                        "unknown-check",
                        format!("there is no check `{to}`"),
                        reference.to.place(),
                    )
                    .help(names::suggest(to, checks.map(|(name, _)| *name)))
                }
            };
            self.say(Severity::Error, mistake, reference.rule.as_deref());
        }
    }

    fn notifiers(&mut self, units: &[Arc<Unit>]) {
        let mut known: BTreeMap<&str, &Text> = BTreeMap::new();
        for (name, _) in units.iter().flat_map(|unit| &unit.notifiers) {
            if let Some(first) = known.insert(name.as_str(), name) {
                let mistake = Mistake::new(
                    "duplicate-name",
                    format!("`{name}` is the name of another notifier"),
                    name.place(),
                )
                .help(format!("the first one stands at {}", first.place()));
                self.say(Severity::Error, mistake, None);
            }
        }
        // A file that could not be read may hold the one that is named.
        if units
            .iter()
            .any(|unit| unit.names.iter().any(|name| name.guessed))
        {
            return;
        }
        for (to, rule) in units.iter().flat_map(|unit| &unit.escalations) {
            if known.contains_key(to.as_str()) {
                continue;
            }
            let mistake = Mistake::new(
                "unknown-notifier",
                format!("there is no notifier `{to}`"),
                to.place(),
            );
            let help = match known.is_empty() {
                true => format!("write `notifiers: {{ {to}: {{ journal: logs/pages.jsonl }} }}`"),
                false => names::suggest(to.as_str(), known.keys().copied()),
            };
            self.say(Severity::Error, mistake.help(help), rule.as_deref());
        }
    }

    /// Names of calendars, and those who go by them.
    fn calendars(&mut self, units: &[Arc<Unit>], rules: &Known<'_>) {
        let mut known: BTreeMap<&str, &Text> = BTreeMap::new();
        for (name, _) in units.iter().flat_map(|unit| &unit.calendars) {
            let text = name.as_str();
            let first = known.insert(text, name);
            if first.is_none() && !rules.contains_key(text) {
                continue;
            }
            let mistake = Mistake::new(
                "duplicate-name",
                format!("`{text}` is the name of something else"),
                name.place(),
            );
            let mistake = match first {
                Some(first) => mistake.help(format!("the first one stands at {}", first.place())),
                None => mistake.help("a check or an investigation has it; choose another name"),
            };
            self.say(Severity::Error, mistake, None);
        }
        for (to, rule) in units.iter().flat_map(|unit| &unit.calendars_named) {
            if known.contains_key(to.as_str()) {
                continue;
            }
            let mistake = Mistake::new(
                "unknown-calendar",
                format!("there is no calendar `{to}`"),
                to.place(),
            )
            .help(names::suggest(to.as_str(), known.keys().copied()));
            self.say(Severity::Error, mistake, rule.as_deref());
        }
    }

    fn cycles(&mut self, units: &[Arc<Unit>]) {
        let checks: Vec<&Arc<Check>> = units.iter().flat_map(|unit| &unit.checks).collect();
        let index: HashMap<&str, usize> = checks
            .iter()
            .enumerate()
            .map(|(at, check)| (&*check.name, at))
            .collect();
        let at = |name: &str| index.get(name).copied();
        let needs = checks.iter().map(|check| {
            check
                .outline
                .needs
                .iter()
                .filter_map(|name| at(name))
                .collect()
        });
        self.cycle(
            &checks,
            &needs.collect::<Vec<_>>(),
            "needs-cycle",
            "these need each other",
        );
        let asked = checks.iter().map(|check| {
            let events = check.outline.trigger.events.iter();
            let checks = events.filter_map(|event| match event {
                EventTrigger::Check { check, .. } => at(check),
                _ => None,
            });
            checks.collect()
        });
        self.cycle(
            &checks,
            &asked.collect::<Vec<_>>(),
            "trigger-cycle",
            "these trigger each other without end",
        );
    }

    fn cycle(
        &mut self,
        checks: &[&Arc<Check>],
        edges: &[Vec<usize>],
        code: &'static str,
        what: &str,
    ) {
        let Some(cycle) = cycle::find(edges) else {
            return;
        };
        let on_it: Vec<&Arc<Check>> = cycle
            .iter()
            .chain(cycle.first())
            .filter_map(|at| checks.get(*at).copied())
            .collect();
        let path: Vec<&str> = on_it.iter().map(|check| &*check.name).collect();
        if let Some(first) = on_it.first() {
            let mistake = Mistake::new(
                code,
                format!("{what}: {}", path.join(" → ")),
                first.place.clone(),
            )
            .help("take one of them out");
            self.say(Severity::Error, mistake, Some(&first.name));
        }
    }

    fn files(&mut self, units: &[Arc<Unit>], sources: &Sources) {
        let mut own: HashMap<&str, &Place> = HashMap::new();
        for file in units.iter().flat_map(|unit| &unit.own_files) {
            own.entry(&file.path).or_insert(&file.place);
        }
        let mut by_file: BTreeMap<&str, Vec<&Write>> = BTreeMap::new();
        for write in units.iter().flat_map(|unit| &unit.writes) {
            let path = write.file.as_str().trim_start_matches("./");
            if let Some(place) = own.get(path) {
                let mistake = Mistake::new(
                    "reserved-file",
                    format!("`{path}` is written by the engine itself"),
                    write.file.place(),
                )
                .help(format!(
                    "{place} names it as a journal or published file; a step cannot write it"
                ));
                self.say(Severity::Error, mistake, Some(&write.rule));
            }
            by_file.entry(path).or_default().push(write);
        }
        for (path, writes) in by_file {
            self.conflicts(path, &writes);
        }
        for body in units.iter().flat_map(|unit| &unit.bodies) {
            let path = restore_file::source(Path::new(""), body.from.as_str());
            let there = path.to_str().is_some_and(|path| sources.contains_key(path));
            if !there && path.file_name().is_some() {
                let kept = sources
                    .keys()
                    .filter_map(|name| name.strip_prefix("defaults/"));
                let written = path
                    .strip_prefix("defaults")
                    .unwrap_or(&path)
                    .display()
                    .to_string();
                let mistake = Mistake::new(
                    "missing-body",
                    format!("`{}` is not there to restore from", body.from),
                    body.from.place(),
                )
                .help(names::suggest(&written, kept));
                self.say(Severity::Error, mistake, Some(&body.rule));
            }
        }
    }

    /// Two checks that leave different things in one file would undo each other.
    fn conflicts(&mut self, path: &str, writes: &[&Write]) {
        let disagree = |a: &Write, b: &Write| match (&a.leaves, &b.leaves) {
            (Leaves::Key(a, x), Leaves::Key(b, y)) => a == b && x != y,
            (Leaves::Key(..), Leaves::Body(_)) | (Leaves::Body(_), Leaves::Key(..)) => false,
            (a, b) => a != b,
        };
        let mut told = HashSet::new();
        for (at, second) in writes.iter().enumerate() {
            let first = writes
                .iter()
                .take(at)
                .find(|first| first.rule != second.rule && disagree(first, second));
            if let Some(first) = first
                && told.insert((&first.rule, &second.rule))
            {
                let mistake = Mistake::new(
                    "conflict",
                    format!(
                        "`{}` and `{}` leave different things in {path}",
                        first.rule, second.rule
                    ),
                    second.file.place(),
                )
                .help(format!(
                    "the other step stands at {}; they would undo each other",
                    first.file.place()
                ));
                self.say(Severity::Warning, mistake, Some(&second.rule));
            }
        }
    }

    /// Events that steps raise and no trigger names.
    fn unheard(&mut self, units: &[Arc<Unit>]) {
        let checks = units.iter().flat_map(|unit| &unit.checks);
        let checks = checks.map(|check| &check.outline.trigger);
        let investigations = units.iter().flat_map(|unit| &unit.investigations);
        let investigations = investigations.map(|(_, outline)| &outline.trigger);
        let heard: BTreeSet<&str> = checks
            .chain(investigations)
            .flat_map(|trigger| &trigger.events)
            .filter_map(|event| match event {
                EventTrigger::Event { event } => Some(event.as_str()),
                _ => None,
            })
            .collect();
        for (event, rule) in units.iter().flat_map(|unit| &unit.raises) {
            if heard.contains(event.as_str()) {
                continue;
            }
            let mistake = Mistake::new(
                "unheard-event",
                format!("no trigger waits for the event `{event}`"),
                event.place(),
            )
            .help(names::suggest(event.as_str(), heard.iter().copied()));
            self.say(Severity::Warning, mistake, Some(rule));
        }
    }

    fn never_looked_at(&mut self, units: &[Arc<Unit>]) {
        let looked: HashSet<&str> = units
            .iter()
            .flat_map(|unit| &unit.references)
            .filter(|reference| reference.looks)
            .map(|reference| reference.to.as_str())
            .collect();
        for check in units.iter().flat_map(|unit| &unit.checks) {
            let trigger = &check.outline.trigger;
            if !trigger.is_at_rest() || looked.contains(&*check.name) {
                continue;
            }
            let mistake = Mistake::new(
                "no-trigger",
                "nothing ever looks at this check while the engine runs",
                check.place.clone(),
            )
            .help("write `trigger: { every: 5m }`, here or under `defaults:`");
            self.say(Severity::Warning, mistake, Some(&check.name));
        }
    }
}
