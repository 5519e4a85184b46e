//! One test, compiled: its world, what changes in it, and the checks it runs. Every mistake is found before it is run.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use serde_json::Value;

use super::{
    Lab,
    values::Values,
    world::{Body, FilePlan},
};
use crate::{
    engine::look,
    model::{
        Name,
        facts::Facts,
        node::Node,
        outline::{Outline, Trigger},
        standing::HeldBy,
        text::{Mistake, Place, Text, meant},
    },
    permission::Settings,
    rules::{
        book::{Book, Check, Probes, Test},
        testing::{
            self, Argv, BodyForm, FactsForm, FileForm, START, Series, TestForm, key_place, spot,
        },
    },
    script::{Env, Expr, TemplateTree},
    threshold::{Judging, Line},
};

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
        outline(book, &form, &named, investigate.as_ref()),
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

    fn change(
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
        }
    }

    fn changes(&mut self, body: &Node) -> Vec<Change> {
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
                        self.wrong("never", text, spot(node, &["after"]).place.clone());
                    }
                    When::After {
                        check: check.name.clone(),
                        act: form.act.unwrap_or(1),
                    }
                }
                (None, None) => continue,
            };
            let change = self.change(when, node, &form.files, &form.facts);
            changes.push(Change {
                paused: form.paused,
                event: form.event.clone(),
                ..change
            });
        }
        changes
    }

    fn commands(&mut self, body: &Node) -> Vec<Answers> {
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

    fn file(&mut self, path: &str, file: &FileForm, node: &Node) -> Option<FilePlan> {
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

    fn body(&mut self, form: &BodyForm, node: &Node) -> Option<Body> {
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

    /// A file of the rules directory; a leading `rules/` stands for it.
    fn source(&mut self, from: &str, node: &Node) -> Option<Vec<u8>> {
        let found = source(self.book, from);
        if found.is_none() {
            let text = format!("there is no {from} in the rules directory");
            self.wrong("unknown-file", text, node.place.clone());
        }
        found
    }

    fn given(&mut self, node: &Node, facts: &BTreeMap<String, FactsForm>) -> Vec<(Name, Given)> {
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
    fn fact(&mut self, check: &Check, fact: &str, place: &Place) {
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
            let mistake = Mistake::new("unknown-fact", text, place.clone());
            self.mistakes.push(mistake.help(one_of(name, &known)));
        }
    }

    fn series(&mut self, body: &Node) -> BTreeMap<Name, Vec<(String, Series)>> {
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

    /// The checks and investigations to run, each once: those of `checks`, else those that are given facts, then those
    /// that something is expected of.
    fn named(&mut self, body: &Node) -> Named {
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

    fn investigation(&mut self, body: &Node) -> Option<Name> {
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
    fn lookable(&mut self, named: &Named, body: &Node, place: &Place) {
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
                let mistake = Mistake::new("needs-facts", text, at.clone());
                self.mistakes
                    .push(mistake.help(format!("give it facts: `facts: {{ {name}: {{ … }} }}`")));
            }
        }
    }

    /// Given facts must be all that the threshold reads.
    fn complete(&mut self, named: &Named, body: &Node) {
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
                self.wrong("missing-fact", text, place);
            }
        }
    }

    /// How far the values of series are apart: what the test says, or the interval of the checks that have a series.
    fn step(&mut self, named: &Named, body: &Node) -> Duration {
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

    /// Names and values of what is expected.
    fn expectations(&mut self, body: &Node) {
        let over = self.form.runs_over_time();
        for (index, expectation) in self.form.expectations().iter().enumerate() {
            let node = expectation_node(body, index, over);
            for (name, form) in &expectation.checks {
                let said = spot(node, &[name]);
                let Some(check) = self.book.checks.get(&**name).cloned() else {
                    continue; // told already
                };
                self.expected_names(&check, said);
                if let Some(Some(word)) = &form.held_by
                    && serde_json::from_value::<HeldBy>(Value::from(word.as_str())).is_err()
                {
                    let text = format!("there is no guard `{word}`");
                    self.wrong("bad-value", text, spot(said, &["held_by"]).place.clone());
                }
            }
            let files = spot(node, &["files"]);
            for path in expectation.files.keys() {
                let said = spot(files, &[path]);
                for (key, value) in said.entries() {
                    match key.key() {
                        "json" | "has" => drop(self.values.tree(value, self.mistakes)),
                        "from" => drop(
                            value
                                .text()
                                .and_then(|from| self.source(from.as_str(), value)),
                        ),
                        _ => {}
                    }
                }
            }
        }
    }

    fn expected_names(&mut self, check: &Check, said: &Node) {
        let judging = &check.judging;
        for (key, value) in spot(said, &["facts"])
            .entries()
            .iter()
            .filter(|_| said.get("facts").is_some())
        {
            self.fact(check, key.key(), &key.place);
            drop(self.values.tree(value, self.mistakes));
        }
        let lets: Vec<String> = judging.lets.iter().map(|(name, _)| name.clone()).collect();
        let kept = judging.keep.iter().map(|(name, _)| name.clone());
        let kept: Vec<String> = kept.chain(judging.keep_start.keys().cloned()).collect();
        for (part, known) in [("let", lets), ("kept", kept)] {
            let Some(map) = said.get(part) else {
                continue;
            };
            for (key, value) in map.entries() {
                if !known.iter().any(|name| name == key.key()) {
                    let what = if part == "let" {
                        "`let` value"
                    } else {
                        "kept value"
                    };
                    let text = format!("{} has no {what} `{}`", check.name, key.key());
                    let mistake = Mistake::new("unknown-name", text, key.place.clone());
                    self.mistakes.push(mistake.help(one_of(key.key(), &known)));
                }
                drop(self.values.tree(value, self.mistakes));
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

fn is_given(form: &TestForm, name: &str) -> bool {
    form.facts.contains_key(name) || form.series.contains_key(name)
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
fn outline(book: &Book, form: &TestForm, named: &Named, investigate: Option<&Name>) -> Outline {
    let mut outline = Outline {
        generation: book.generation.clone(),
        ..Outline::default()
    };
    for name in named.investigations.iter().chain(investigate) {
        if let Some(found) = book.outline.investigations.get(name) {
            outline.investigations.insert(name.clone(), found.clone());
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
            false => *trigger = Trigger::default(),
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
    for step in steps.filter(|step| step.kind == "run_checks") {
        constants(&step.args, &mut asked);
    }
    asked.extend(asked_by_probes(check));
    asked
}

/// The checks that the probes of a check ask about.
pub(super) fn asked_by_probes(check: &Check) -> Vec<Name> {
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
        TemplateTree::List(items) => items.iter().for_each(|item| constants(item, found)),
        TemplateTree::Map(entries) => entries
            .iter()
            .for_each(|(_, value)| constants(value, found)),
    }
}
