//! What a test lays out: files, given facts, series, what commands answer, what changes.

use std::{collections::BTreeMap, time::Duration};

use super::{
    super::world::{Body, FilePlan},
    Answers, Change, Compiler, Given, When, one_of,
};
use crate::{
    model::{
        Name,
        facts::Facts,
        node::Node,
        text::{Mistake, Place, Text},
    },
    rules::{
        book::{Check, Probes},
        testing::{BodyForm, FactsForm, FileForm, Series, key_place, spot},
    },
};

impl Compiler<'_, '_> {
    pub(super) fn change(
        &mut self,
        when: When,
        node: &Node,
        files: &BTreeMap<String, FileForm>,
        facts: &BTreeMap<String, FactsForm>,
    ) -> Change {
        let laid = spot(node, &["files"]);
        let files = files
            .iter()
            .filter_map(|(path, file)| self.file(path, file, spot(laid, &[path])))
            .collect();
        Change {
            when,
            place: node.place.clone(),
            files,
            given: self.given(spot(node, &["facts"]), facts),
            paused: None,
            event: None,
            approve: None,
            confirm: None,
        }
    }

    pub(super) fn changes(&mut self, body: &Node) -> Vec<Change> {
        let nodes = spot(body, &["then"]).items();
        let mut changes = Vec::new();
        for (form, node) in self.form.then.iter().zip(nodes) {
            let when = match (&form.at, &form.after) {
                (Some(at), _) => When::At(at.0),
                (None, Some(check)) => {
                    let Some(check) = self.check(check, spot(node, &["after"]).place.clone())
                    else {
                        continue;
                    };
                    if check.remediation.is_none() {
                        let text = format!("{} has no remediation that could act", check.name);
                        self.wrong("contradiction", text, spot(node, &["after"]).place.clone());
                    }
                    When::After {
                        check: check.name.clone(),
                        act: form.act.unwrap_or(1),
                    }
                }
                (None, None) => continue,
            };
            let approve = form
                .approve
                .as_ref()
                .and_then(|check| self.approving(check, node));
            let confirm = form
                .confirm
                .as_ref()
                .and_then(|check| self.confirming(check, node));
            let change = self.change(when, node, &form.files, &form.facts);
            changes.push(Change {
                paused: form.paused,
                event: form.event.clone(),
                approve,
                confirm,
                ..change
            });
        }
        changes
    }

    /// The check that a person has approved.
    fn approving(&mut self, check: &str, node: &Node) -> Option<Name> {
        let place = spot(node, &["approve"]).place.clone();
        let check = self.check(check, place.clone())?;
        let remediation = check.outline.remediation.as_ref();
        if !remediation.is_some_and(|it| it.approve) {
            let text = format!(
                "{} asks nobody: its remediation has no `approve`",
                check.name
            );
            self.wrong("contradiction", text, place);
        }
        Some(check.name.clone())
    }

    /// The check whose baseline a person has confirmed.
    fn confirming(&mut self, check: &str, node: &Node) -> Option<Name> {
        let place = spot(node, &["confirm"]).place.clone();
        let check = self.check(check, place.clone())?;
        if check.judging.baseline.is_none() {
            let text = format!("{} has no `baseline` to confirm", check.name);
            self.wrong("contradiction", text, place);
        }
        Some(check.name.clone())
    }

    pub(super) fn commands(&mut self, body: &Node) -> Vec<Answers> {
        let nodes = spot(body, &["commands"]).items();
        let mut commands = Vec::new();
        for (form, node) in self.form.commands.iter().zip(nodes) {
            let Some(run) = form.run.clone() else {
                continue;
            };
            let does = form.does.as_ref().map(|does| {
                self.change(When::Run, spot(node, &["does"]), &does.files, &does.facts)
            });
            commands.push(Answers {
                run,
                exit: form.exit,
                says: form.says.clone(),
                times: form.times,
                does,
            });
        }
        commands
    }

    pub(super) fn file(&mut self, path: &str, file: &FileForm, node: &Node) -> Option<FilePlan> {
        let (body, age) = match file {
            FileForm::Absent => (Body::Absent, Duration::ZERO),
            FileForm::Directory => (Body::Directory, Duration::ZERO),
            FileForm::Body(form) => (self.body(form, node)?, form.age.unwrap_or_default().0),
        };
        Some(FilePlan {
            path: path.to_owned(),
            body,
            age,
        })
    }

    pub(super) fn body(&mut self, form: &BodyForm, node: &Node) -> Option<Body> {
        let repeat = form.repeat.unwrap_or(1) as usize;
        let mut lines = |key: &str, append| {
            let items = spot(node, &[key]).items().iter();
            let lines: Option<Vec<_>> = items
                .map(|item| self.values.tree(item, self.mistakes))
                .collect();
            Some(Body::Lines {
                lines: lines?,
                repeat,
                append,
            })
        };
        if form.lines.is_some() {
            return lines("lines", false);
        }
        if form.append.is_some() {
            return lines("append", true);
        }
        if form.json.is_some() {
            return self
                .values
                .tree(spot(node, &["json"]), self.mistakes)
                .map(Body::Json);
        }
        if let Some(text) = &form.text {
            let text = spot(node, &["text"])
                .text()
                .unwrap_or_else(|| Text::bare(text.as_str()));
            return self.values.text(&text, self.mistakes).map(Body::Text);
        }
        if let Some(from) = &form.from {
            return self.source(from, spot(node, &["from"])).map(Body::Bytes);
        }
        Some(Body::Touch)
    }

    pub(super) fn given(
        &mut self,
        node: &Node,
        facts: &BTreeMap<String, FactsForm>,
    ) -> Vec<(Name, Given)> {
        let mut given = Vec::new();
        for (name, form) in facts {
            let Some(check) = self.check(name, key_place(node, name)) else {
                continue;
            };
            let said = spot(node, &[name]);
            let what = match form {
                FactsForm::Fails(error) => Given::Fails(error.clone()),
                FactsForm::Are(_) => {
                    let mut trees = Vec::new();
                    for (key, value) in said.entries() {
                        self.fact(&check, key.key(), &key.place);
                        let tree = self.values.tree(value, self.mistakes);
                        trees.extend(tree.map(|tree| (key.key().to_owned(), tree)));
                    }
                    Given::Facts(trees)
                }
            };
            given.push((check.name.clone(), what));
        }
        given
    }

    /// A fact must be one that the probe has.
    pub(super) fn fact(&mut self, check: &Check, fact: &str, place: &Place) {
        let (first, rest) = match fact.split_once('.') {
            Some((first, rest)) => (first, Some(rest)),
            None => (fact, None),
        };
        let unknown = |known: Facts, name: &str| {
            let known: Vec<String> = known.names().map(str::to_owned).collect();
            (!known.is_empty() && !known.iter().any(|it| it == name)).then_some(known)
        };
        let (known, name) = match &check.probes {
            Probes::One(probe) => (unknown(probe.shape(), first), first),
            Probes::Many(probes) => match (probes.iter().find(|(name, _)| name == first), rest) {
                (Some((_, probe)), Some(rest)) => (unknown(probe.shape(), rest), rest),
                (Some(_), None) => (None, first),
                (None, _) => (
                    Some(probes.iter().map(|(name, _)| name.clone()).collect()),
                    first,
                ),
            },
        };
        if let Some(known) = known {
            let text = format!("the probe of {} has no fact `{name}`", check.name);
            let mistake = Mistake::new("unknown-name", text, place.clone());
            self.mistakes.push(mistake.help(one_of(name, &known)));
        }
    }

    pub(super) fn series(&mut self, body: &Node) -> BTreeMap<Name, Vec<(String, Series)>> {
        let node = spot(body, &["series"]);
        let mut series = BTreeMap::new();
        for (name, facts) in &self.form.series {
            let Some(check) = self.check(name, key_place(node, name)) else {
                continue;
            };
            let said = spot(node, &[name]);
            for fact in facts.keys() {
                self.fact(&check, fact, &key_place(said, fact));
            }
            let all = facts
                .iter()
                .map(|(fact, series)| (fact.clone(), series.clone()));
            series.insert(check.name.clone(), all.collect());
        }
        series
    }
}
