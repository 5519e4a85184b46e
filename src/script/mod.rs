//! The one Rhai engine, made strict: a rule is never healthy by accident.
//!
//! An expression is compiled twice: once strictly against sample values ([`Known`]) to find its mistakes at load, once
//! for running, where every name is looked up through [`Scope`]. Documents are handed to Rhai lazily ([`json::Json`]).
//! What the strictness means stands in `docs/rules.md`; the recipe, and why it is so, in [`engine`].

pub mod engine;
pub mod expr;
pub mod json;
pub mod scope;
pub mod template;

pub use engine::Engine;
pub use expr::{Expr, Known};
pub use scope::{Env, Ground, Scope};
pub use template::{Template, TemplateTree};

use crate::model::text::Place;

/// An expression that could not be evaluated: an absent property, two kinds that have no order, a NaN, a limit.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// What went wrong, in the words of a rule author: `no property `bse` (there are base, canary, champion)`.
    pub message: String,
    /// The character of the rule file.
    pub place: Place,
    /// The expression as written.
    pub expression: String,
}
