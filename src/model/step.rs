//! A step as planned (a wish), and the receipt that says what became of it.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One step of a rung with all its templates filled in: still only a wish. `hands::prepare` turns it into an effect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    pub kind: Cow<'static, str>,
    pub args: Map<String, Value>,
}

/// What became of a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    pub kind: String,
    /// The file, command or check names it was about.
    pub target: String,
    pub outcome: Outcome,
    /// What was done or would be done, or why it failed.
    pub detail: String,
    /// A file's difference, unified.
    pub diff: Option<String>,
    /// How to undo it; known to `hands` alone.
    pub undo: Option<Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Done,
    Failed,
    /// By dry hands: prepared, not done.
    Would,
}
