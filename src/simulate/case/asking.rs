//! Which checks a test runs, which of them it must give facts for, and which others these may ask for.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use serde_json::Value;

use super::{Compiler, Named, expectation_node, one_of};
use crate::{
    engine::look,
    model::{
        Name,
        node::Node,
        outline::Outline,
        text::{Mistake, Place},
    },
    rules::{
        book::{Book, Check, Probes},
        testing::{FactsForm, TestForm, key_place, spot},
    },
    script::{Expr, TemplateTree},
    threshold::{Judging, Line},
};

impl Compiler<'_, '_> {
    /// The checks and investigations to run, each once: those of `checks`, else those that are given facts, then those
    /// that something is expected of.
    pub(super) fn named(&mut self, body: &Node) -> Named {
        let mut named = Named::default();
        for (name, node) in self.form.checks.iter().zip(spot(body, &["checks"]).items()) {
            match self.book.investigations.get_key_value(&**name) {
                Some((name, _)) if self.form.runs_over_time() => {
                    named.investigations.insert(name.clone());
                }
                _ => named.add(self.check(name, node.place.clone())),
            }
        }
        let given = self.form.facts.keys().chain(self.form.series.keys());
        for name in given.cloned().collect::<Vec<_>>() {
            if self.form.checks.is_empty() {
                named.add(self.book.checks.get(&*name).cloned());
            }
        }
        let over = self.form.runs_over_time();
        for (index, expectation) in self.form.expectations().iter().enumerate() {
            let node = expectation_node(body, index, over);
            for name in expectation.checks.keys() {
                let check = self.check(name, key_place(node, name));
                if self.form.checks.is_empty() {
                    named.add(check);
                }
            }
        }
        for name in self.form.statuses.keys() {
            named.add(self.check(name, key_place(spot(body, &["statuses"]), name)));
        }
        named
    }

    pub(super) fn investigation(&mut self, body: &Node) -> Option<Name> {
        let name = self.form.investigate.as_deref()?;
        let known = &self.book.investigations;
        let found = known.get_key_value(name).map(|(name, _)| name.clone());
        if found.is_none() {
            let text = format!("there is no investigation `{name}`");
            let help = one_of(
                name,
                &known
                    .keys()
                    .map(|name| name.to_string())
                    .collect::<Vec<_>>(),
            );
            let mistake = Mistake::new(
                "unknown-check",
                text,
                spot(body, &["investigate"]).place.clone(),
            );
            self.mistakes.push(mistake.help(help));
        }
        found
    }

    /// A check whose probe would look outside the test must be given its facts.
    pub(super) fn lookable(&mut self, named: &Named, body: &Node, place: &Place) {
        for name in &named.checks {
            let Some(check) = self.book.checks.get(name) else {
                continue;
            };
            if !look::is_quick(check) && !is_given(self.form, name) {
                let text = format!("{name}: its probe would look outside the test");
                let at = if self.form.checks.is_empty() {
                    place
                } else {
                    &spot(body, &["checks"]).place
                };
                let mistake = Mistake::new("missing-key", text, at.clone());
                self.mistakes
                    .push(mistake.help(format!("give it facts: `facts: {{ {name}: {{ … }} }}`")));
            }
        }
    }

    /// Given facts must be all that the threshold reads.
    pub(super) fn complete(&mut self, named: &Named, body: &Node) {
        for name in &named.checks {
            let (Some(check), true) = (self.book.checks.get(name), is_given(self.form, name))
            else {
                continue;
            };
            if let Some(FactsForm::Fails(_)) = self.form.facts.get(&**name) {
                continue;
            }
            let facts = match self.form.facts.get(&**name) {
                Some(FactsForm::Are(facts)) => facts.keys().map(String::as_str).collect(),
                _ => Vec::new(),
            };
            let series = self.form.series.get(&**name);
            let series = series
                .iter()
                .flat_map(|series| series.keys().map(String::as_str));
            let given: BTreeSet<&str> = facts
                .into_iter()
                .chain(series)
                .map(|fact| fact.split('.').next().unwrap_or(fact))
                .collect();
            let missing: Vec<String> = used(check)
                .into_iter()
                .filter(|fact| !given.contains(&**fact))
                .map(|fact| format!("`{fact}`"))
                .collect();
            if !missing.is_empty() {
                let part = if self.form.facts.contains_key(&**name) {
                    "facts"
                } else {
                    "series"
                };
                let place = key_place(spot(body, &[part]), name);
                let text = format!(
                    "{name} reads {} too, which are not given",
                    missing.join(", ")
                );
                self.wrong("missing-key", text, place);
            }
        }
    }

    /// How far the values of series are apart: what the test says, or the interval of the checks that have a series.
    pub(super) fn step(&mut self, named: &Named, body: &Node) -> Duration {
        if let Some(step) = self.form.step {
            if step.0.is_zero() {
                let place = spot(body, &["step"]).place.clone();
                self.wrong("bad-value", "a step of no length".to_owned(), place);
            }
            return step.0;
        }
        let has_series = |name: &Name| {
            self.form.series.contains_key(&**name) || self.form.statuses.contains_key(&**name)
        };
        let intervals: BTreeSet<Duration> = named
            .checks
            .iter()
            .filter(|name| has_series(name))
            .filter_map(|name| self.book.checks.get(name)?.outline.trigger.every)
            .collect();
        let series = !self.form.series.is_empty() || !self.form.statuses.is_empty();
        match (intervals.first(), intervals.len()) {
            (Some(one), 1) => *one,
            _ if !series || !self.mistakes.is_empty() => Duration::from_secs(60),
            _ => {
                let key = if self.form.series.is_empty() {
                    "statuses"
                } else {
                    "series"
                };
                let text =
                    "how far are the values apart? The checks have not one interval".to_owned();
                let mistake = Mistake::new("missing-key", text, key_place(body, key));
                self.mistakes.push(mistake.help("say it: `step: 5m`"));
                Duration::from_secs(60)
            }
        }
    }
}

impl Named {
    fn add(&mut self, check: Option<Arc<Check>>) {
        if let Some(check) = check
            && !self.checks.contains(&check.name)
        {
            self.checks.push(check.name.clone());
        }
    }
}

fn is_given(form: &TestForm, name: &str) -> bool {
    form.facts.contains_key(name) || form.series.contains_key(name)
}

/// The facts that the threshold of a check reads.
fn used(check: &Check) -> BTreeSet<String> {
    let facts: BTreeSet<String> = match &check.probes {
        Probes::One(probe) => probe.shape().names().map(str::to_owned).collect(),
        Probes::Many(probes) => probes.iter().map(|(name, _)| name.clone()).collect(),
    };
    let names = expressions(&check.judging).flat_map(|expr| expr.names().to_vec());
    names.filter(|name| facts.contains(name)).collect()
}

fn expressions(judging: &Judging) -> impl Iterator<Item = &Expr> {
    let lines = [&judging.critical, &judging.warning].into_iter().flatten();
    let lines = lines.filter_map(|line| match line {
        Line::When(expr) => Some(expr),
        Line::Above { .. } | Line::Below { .. } => None,
    });
    let named = judging
        .lets
        .iter()
        .chain(&judging.keep)
        .map(|(_, expr)| expr);
    judging
        .enough
        .iter()
        .chain(&judging.value)
        .chain(lines)
        .chain(named)
}

/// The checks that are run, with their triggers, and those that these may ask for, which are looked at only when asked.
/// Nothing is spread: slots lie on the plain grid of their interval.
pub(super) fn outline(
    book: &Book,
    form: &TestForm,
    named: &Named,
    investigate: Option<&Name>,
) -> Outline {
    let mut outline = Outline {
        generation: book.generation.clone(),
        calendars: book.outline.calendars.clone(),
        ..Outline::default()
    };
    for name in named.investigations.iter().chain(investigate) {
        if let Some(found) = book.outline.investigations.get(name) {
            let mut own = found.clone();
            Arc::make_mut(&mut own).trigger.splay = false;
            outline.investigations.insert(name.clone(), own);
        }
    }
    let members = outline
        .investigations
        .values()
        .flat_map(|it| it.checks.clone());
    let mut open: Vec<Name> = named.checks.iter().cloned().chain(members).collect();
    while let Some(name) = open.pop() {
        let Some(check) = book.checks.get(&name) else {
            continue;
        };
        if outline.checks.contains_key(&name) {
            continue;
        }
        let mut own = check.outline.clone();
        let trigger = &mut Arc::make_mut(&mut own).trigger;
        match named.checks.contains(&name) {
            true => trigger.splay = false,
            false => *trigger = trigger.at_rest(),
        }
        outline.checks.insert(name, own);
        open.extend(asked_by(check));
    }
    match form.runs_over_time() {
        true => outline,
        false => outline.at_rest(),
    }
}

/// The checks that a check may ask for: to verify its repair, in a step, or by its probe.
fn asked_by(check: &Check) -> Vec<Name> {
    let mut asked = Vec::new();
    if let Some(remediation) = &check.outline.remediation {
        asked.extend(remediation.verify.checks.iter().cloned());
    }
    let steps = check
        .remediation
        .iter()
        .flat_map(|it| it.ladder.iter().flatten());
    // A script can only ask for checks that it is given or names itself; those that it names are not known here.
    for step in steps.filter(|step| matches!(step.kind, "run_checks" | "run_script")) {
        constants(&step.args, &mut asked);
    }
    asked.extend(asked_by_probes(check));
    asked
}

/// The checks that the probes of a check ask about.
pub(in super::super) fn asked_by_probes(check: &Check) -> Vec<Name> {
    match &check.probes {
        Probes::One(probe) => probe.checks(),
        Probes::Many(probes) => probes
            .iter()
            .flat_map(|(_, probe)| probe.checks())
            .collect(),
    }
}

/// All texts of a step that have nothing to fill in.
fn constants(tree: &TemplateTree, found: &mut Vec<Name>) {
    match tree {
        TemplateTree::Value(Value::String(text)) => found.push(text.as_str().into()),
        TemplateTree::Value(Value::Array(items)) => {
            found.extend(items.iter().filter_map(Value::as_str).map(Name::from));
        }
        TemplateTree::Value(_) => {}
        TemplateTree::Text(text) => found.extend(text.constant().map(Name::from)),
        TemplateTree::Url(_) => {}
        TemplateTree::List(items) => items.iter().for_each(|item| constants(item, found)),
        TemplateTree::Map(entries) => entries
            .iter()
            .for_each(|(_, value)| constants(value, found)),
    }
}
