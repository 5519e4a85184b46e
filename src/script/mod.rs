//! The one Rhai engine, made strict: a rule is never healthy by accident.
//!
//! An expression is parsed by Rhai, checked against sample values ([`Known`]) so that its mistakes are found at load
//! (`check`), rewritten so that every property, index and function goes through strict code (`rewrite`), and run by
//! Rhai, every name being looked up through [`Scope`] (`frame`). Documents are handed to Rhai lazily ([`json::Json`]).
//! A script ([`Program`]) is the same with statements; what it looks with is lent to it ([`host`]), what it gives is read
//! off its text (`exits`). What the strictness means stands in `docs/rules.md`; the recipe, and why it is so, in [`engine`].

mod budget;
mod check;
mod closure;
mod compare;
mod comparisons;
pub mod engine;
mod exits;
pub mod expr;
mod frame;
pub mod functions;
pub mod host;
pub mod json;
mod operators;
mod parse;
pub mod program;
mod rewrite;
pub mod scope;
pub mod template;
#[cfg(test)]
mod tests;
mod tree;
pub mod url;
mod value;

pub use comparisons::{Comparison, comparisons};
pub use engine::Engine;
pub use expr::{Expr, Known};
pub use host::Host;
pub use program::{Program, Scripts};
pub use scope::{Env, Ground, Scope};
pub use template::Template;
pub use tree::TemplateTree;
pub use url::{Unfit, UrlTemplate};

use crate::model::text::Place;

/// An expression that could not be evaluated: an absent property, two kinds that have no order, a NaN, a limit.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// What went wrong, in the words of a rule author: `no property `bse`; there are base, canary, champion`.
    pub message: String,
    /// The character of the rule file.
    pub place: Place,
    /// The expression as written.
    pub expression: String,
}
