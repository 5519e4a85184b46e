//! What to wish for: from a rung of a ladder to steps with all their templates filled in. Pure: nothing is looked at
//! and nothing is done here; `hands` does both.

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
}

/// Plans one rung. An empty `each` gives no step: nothing to do, never "everything".
pub fn plan(
    engine: &Engine,
    rung: &[StepPlan],
    scope: &mut Scope<'_>,
) -> Result<Vec<Step>, PlanError> {
    let _ = (engine, rung, scope);
    Ok(Vec::new())
}
