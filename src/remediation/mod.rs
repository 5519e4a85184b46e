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
