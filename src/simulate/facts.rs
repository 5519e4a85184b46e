//! Facts that a test gives instead of a look.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    model::{facts::Facts, moment::Moment, node::Node},
    rules::{
        book::{Check, Probes},
        testing::{FactsForm, Sample, TestForm},
    },
    script::{Engine, Ground, Known, Scope, TemplateTree},
};

/// What a test gives for one check.
#[derive(Default)]
pub(super) struct Given {
    fails: Option<String>,
    facts: BTreeMap<String, TemplateTree>,
}

impl Given {
    /// Takes other facts; what is not named stays.
    pub(super) fn change(
        &mut self,
        form: &FactsForm,
        check: &Check,
        engine: &Engine,
        ground: &Ground,
    ) -> Result<(), String> {
        let facts = match form {
            FactsForm::Fails(why) => {
                self.fails = Some(why.clone());
                return Ok(());
            }
            FactsForm::Are(facts) => facts,
        };
        self.fails = None;
        let known = Known::ground(&ground.vars);
        for (name, value) in facts {
            known_fact(check, name)?;
            let mut mistakes = Vec::new();
            let node = Node::from_json(value);
            let tree = TemplateTree::compile(engine, &node, &known, &mut mistakes);
            let told = |it: crate::model::text::Mistake| it.message;
            let tree = tree.ok_or_else(|| {
                mistakes
                    .into_iter()
                    .map(told)
                    .collect::<Vec<_>>()
                    .join("; ")
            })?;
            self.facts.insert(name.clone(), tree);
        }
        Ok(())
    }

    fn look(&self, engine: &Engine, ground: &Ground) -> Result<Facts, String> {
        if let Some(why) = &self.fails {
            return Err(why.clone());
        }
        let scope = Scope::new(ground);
        let mut facts = Facts::new();
        for (name, tree) in &self.facts {
            let value = tree.render(engine, &scope).map_err(|fault| fault.message)?;
            facts.set(name.clone(), value);
        }
        Ok(facts)
    }
}

/// A fact that the probe does not give would test nothing.
pub(super) fn known_fact(check: &Check, name: &str) -> Result<(), String> {
    let known: Vec<String> = match &check.probes {
        Probes::One(probe) => probe.shape().names().map(str::to_owned).collect(),
        Probes::Many(probes) => probes.iter().map(|(name, _)| name.clone()).collect(),
    };
    if known.iter().any(|it| it == name) {
        return Ok(());
    }
    Err(format!(
        "{}: its probe gives no fact `{name}` (it gives {})",
        check.name,
        known.join(", ")
    ))
}

/// What a look of this check gives at `now`, if the test says so: given facts, with series over them.
pub(super) fn given(
    form: &TestForm,
    check: &str,
    given: Option<&Given>,
    start: Moment,
    engine: &Engine,
    ground: &Ground,
) -> Option<Result<Facts, String>> {
    let series = form.series.get(check);
    if given.is_none() && series.is_none() {
        return None;
    }
    let mut looked = match given {
        Some(given) => given.look(engine, ground),
        None => Ok(Facts::new()),
    };
    let step = form.step.map_or(60_000, |step| step.0.as_millis().max(1));
    let index = (ground.now.since(start).as_millis() / step) as usize;
    for (name, values) in series.into_iter().flatten() {
        match values.at(index) {
            Some(Sample::Is(value)) => {
                if let Ok(facts) = &mut looked {
                    facts.set(name.clone(), Value::clone(value));
                }
            }
            Some(Sample::Missing) | None => looked = Err(format!("`{name}` could not be seen")),
        }
    }
    Some(looked)
}
