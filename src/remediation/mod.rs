//! What to wish for: from a rung of a ladder to steps with all their templates filled in. Pure: nothing is looked at
//! and nothing is done here; `hands` does both.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::{
    model::step::Step,
    script::{Engine, Expr, Fault, Scope, TemplateTree},
};

/// More targets than this and an `each` step is held.
pub const MOST_TARGETS: usize = 20;

/// A step of a ladder as compiled.
#[derive(Clone, Debug)]
pub struct StepPlan {
    pub kind: &'static str,
    /// Repeats the step with `it` bound to each item of this list.
    pub each: Option<Expr>,
    pub args: TemplateTree,
}

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PlanError {
    #[error("{0}")]
    Fault(#[from] Fault),
    #[error("`each` gave {0} targets, more than {MOST_TARGETS}")]
    TooMany(usize),
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
    for plan in rung {
        let Some(each) = &plan.each else {
            steps.push(plan.step(engine, scope)?);
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
            steps.push(plan.step(engine, scope)?);
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
