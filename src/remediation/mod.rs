//! What to wish for: from a rung of a ladder to steps with all their templates filled in. Pure: nothing is looked at
//! and nothing is done here; `hands` does both. A script that gives steps is run here: it sees what it is given and
//! nothing else, so that what it gives is planned, prepared, shown and held like every other step.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::{
    model::step::Step,
    script::{Engine, Expr, Fault, Program, Scope, TemplateTree},
};

/// More targets than this and an `each` step is held, and so is a script that gives more steps.
pub const MOST_TARGETS: usize = 20;

/// A step of a ladder as compiled.
#[derive(Clone, Debug)]
pub struct StepPlan {
    pub kind: &'static str,
    /// Repeats the step with `it` bound to each item of this list.
    pub each: Option<Expr>,
    pub args: TemplateTree,
    /// A script that gives steps in the place of this one. It reads the `args` of the step's arguments.
    pub script: Option<StepScript>,
}

/// A script that gives steps.
#[derive(Clone, Debug)]
pub struct StepScript {
    pub program: Program,
    /// Makes a step of a kind and what stands under it; says what is wrong with them.
    pub step: fn(&str, Value) -> Result<Step, String>,
}

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PlanError {
    #[error("{0}")]
    Fault(#[from] Fault),
    #[error("there are {0} targets, more than {MOST_TARGETS}")]
    TooMany(usize),
    #[error("{0}")]
    Script(String),
    #[error("`each` gave {0}, not a list")]
    NoList(&'static str),
    /// The arguments of a step as a whole came out of one `${…}`.
    #[error("the arguments are {0}, not a map")]
    NoMap(&'static str),
}

/// Plans one rung. An empty `each` gives no step: nothing to do, never "everything".
pub fn plan(
    engine: &Engine,
    rung: &[StepPlan],
    scope: &mut Scope<'_>,
) -> Result<Vec<Step>, PlanError> {
    let mut steps = Vec::new();
    let mut scripted = 0;
    let mut add = |plan: &StepPlan, scope: &Scope<'_>| -> Result<(), PlanError> {
        let step = plan.step(engine, scope)?;
        match &plan.script {
            None => steps.push(step),
            Some(script) => {
                let given = script.steps(step, engine, scope)?;
                scripted += given.len();
                if scripted > MOST_TARGETS {
                    return Err(PlanError::TooMany(scripted));
                }
                steps.extend(given);
            }
        }
        Ok(())
    };
    for plan in rung {
        let Some(each) = &plan.each else {
            add(plan, scope)?;
            continue;
        };
        let targets = match each.value(engine, scope)? {
            Value::Array(targets) => targets,
            other => return Err(PlanError::NoList(kind(&other))),
        };
        if targets.len() > MOST_TARGETS {
            return Err(PlanError::TooMany(targets.len()));
        }
        for target in targets {
            scope.bind("it", target);
            add(plan, scope)?;
        }
    }
    Ok(steps)
}

impl StepPlan {
    fn step(&self, engine: &Engine, scope: &Scope<'_>) -> Result<Step, PlanError> {
        let args = match self.args.render(engine, scope)? {
            Value::Object(args) => args,
            Value::Null => Map::new(),
            other => return Err(PlanError::NoMap(kind(&other))),
        };
        Ok(Step {
            kind: Cow::Borrowed(self.kind),
            args,
        })
    }
}

impl StepScript {
    /// The steps that the script gives. All of them are looked through before any is done.
    fn steps(
        &self,
        mut step: Step,
        engine: &Engine,
        scope: &Scope<'_>,
    ) -> Result<Vec<Step>, PlanError> {
        let file = self.program.text().place().file;
        let wrong = |why: String| PlanError::Script(format!("{file}: {why}"));
        let mut inner = Scope::new(scope.ground);
        if let Some(args) = step.args.remove("args") {
            inner.bind("args", args);
        }
        let given = match self.program.run(engine, &inner, None) {
            Ok(Value::Array(given)) => given,
            Ok(other) => {
                return Err(wrong(format!(
                    "the script gave {}, not a list of steps",
                    kind(&other)
                )));
            }
            Err(fault) => {
                return Err(PlanError::Script(format!(
                    "{}: {}",
                    fault.place, fault.message
                )));
            }
        };
        if given.len() > MOST_TARGETS {
            return Err(PlanError::TooMany(given.len()));
        }
        let steps = given.into_iter().enumerate().map(|(index, value)| {
            let nth = |why: String| wrong(format!("step {}: {why}", index + 1));
            let Value::Object(map) = value else {
                return Err(nth(format!(
                    "{}, not a map like `#{{ remove_file: #{{ file: path }} }}`",
                    kind(&value)
                )));
            };
            let count = map.len();
            match map.into_iter().next() {
                Some((name, body)) if count == 1 => (self.step)(&name, body).map_err(nth),
                _ => Err(nth(format!(
                    "a step is one kind, and this has {count} names"
                ))),
            }
        });
        steps.collect()
    }
}

/// What a value is, in a message.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing ()",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        model::{facts::Facts, node::Node, text::Text},
        script::{Ground, Known},
    };

    fn planned(each: Option<&str>, args: Value, facts: Value) -> Result<Vec<Step>, PlanError> {
        let engine = Engine::new();
        let known = Known::default().with("files", None).with("it", None);
        let mut mistakes = Vec::new();
        let each = each
            .map(|each| Expr::compile(&engine, &Text::bare(each), &known, &mut mistakes).unwrap());
        let args = TemplateTree::compile(&engine, &Node::from_json(&args), &known, &mut mistakes);
        assert_eq!(mistakes, []);
        let plan_of = StepPlan {
            kind: "remove_file",
            each,
            args: args.unwrap(),
            script: None,
        };
        let facts = Facts::from_json(facts).unwrap();
        let ground = Ground::default();
        let mut scope = Scope::new(&ground).facts(&facts);
        plan(&engine, &[plan_of], &mut scope)
    }

    #[test]
    fn each_target_gets_its_step() {
        let facts = json!({"files": [
            {"path": "data/a.lock", "age_s": 301},
            {"path": "state/b.lock", "age_s": 10},
            {"path": "data/c.lock", "age_s": 900},
        ]});
        let steps = planned(
            Some("files.filter(|f| f.age_s > 300)"),
            json!({"file": "${it.path}", "why": "age ${it.age_s} s", "older_than": "300s", "n": 3, "l": ["${it.age_s}"]}),
            facts,
        )
        .unwrap();
        let args: Vec<Value> = steps
            .into_iter()
            .map(|step| Value::Object(step.args))
            .collect();
        assert_eq!(
            args,
            [
                json!({"file": "data/a.lock", "why": "age 301 s", "older_than": "300s", "n": 3, "l": [301]}),
                json!({"file": "data/c.lock", "why": "age 900 s", "older_than": "300s", "n": 3, "l": [900]}),
            ]
        );
    }

    #[test]
    fn an_empty_each_is_nothing_to_do_and_a_long_one_is_held() {
        let step = json!({"file": "${it}"});
        let many = |count: usize| json!({"files": vec!["x"; count]});
        assert_eq!(planned(Some("files"), step.clone(), many(0)), Ok(vec![]));
        assert_eq!(
            planned(Some("files"), step.clone(), many(20))
                .unwrap()
                .len(),
            20
        );
        assert_eq!(
            planned(Some("files"), step.clone(), many(21)),
            Err(PlanError::TooMany(21))
        );
        assert_eq!(
            planned(Some("files"), step.clone(), json!({"files": "x"})),
            Err(PlanError::NoList("a text"))
        );
        assert_eq!(
            planned(Some("files"), step, json!({"files": null})),
            Err(PlanError::NoList("nothing ()"))
        );
    }

    #[test]
    fn a_target_that_cannot_be_named_plans_nothing() {
        let facts = json!({"files": [{"path": "a"}, {"pth": "b"}]});
        let error = planned(Some("files"), json!({"file": "${it.path}"}), facts).unwrap_err();
        assert_eq!(error.to_string(), "no property `path`; there are pth");
        let error =
            planned(None, json!({"file": "${files}x"}), json!({"files": null})).unwrap_err();
        assert_eq!(error.to_string(), "nothing () cannot be written as text");
        let error = planned(None, json!("${files}"), json!({"files": 3})).unwrap_err();
        assert_eq!(error, PlanError::NoMap("a number"));
    }
}
