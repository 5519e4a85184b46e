//! What to do about it: one file per kind of step, one line in [`KINDS`].
//!
//! A step is a wish; [`prepare`] looks at its target and gives an effect, or says why not; [`Hands`] turn effects into
//! receipts. Only [`live`] changes anything outside the process. Doing a step twice is as good as once.

pub mod dry;
pub mod effect;
pub mod live;

use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::{Map, Value};

pub use effect::Effect;

use crate::{
    model::{
        moment::Moment,
        node::Node,
        standing::HeldBy,
        step::{Receipt, Step},
        text::Mistake,
    },
    permission::Permission,
};

#[derive(Debug, thiserror::Error)]
pub enum HandsError {
    /// Nothing was done and nothing will be: says what held it.
    #[error("{reason}")]
    Held { by: HeldBy, reason: String },
    /// It was tried and did not work.
    #[error("{0}")]
    Failed(String),
}

/// What preparing looks with.
#[derive(Clone)]
pub struct Eyes {
    pub permission: Arc<Permission>,
    pub now: Moment,
    /// The rules directory, for bodies that `restore_file` takes from `rules/defaults/`.
    pub rules: std::path::PathBuf,
}

/// Does effects. `Live` does them, `Dry` says what it would do.
pub trait Hands: Send + Sync {
    fn commit<'a>(&'a self, effect: &'a Effect) -> BoxFuture<'a, Result<Receipt, HandsError>>;
}

/// One kind of step.
pub struct Kind {
    pub name: &'static str,
    pub about: &'static str,
    /// `restore_file: { file: data/x.json, from: rules/defaults/x.json }`, for the documentation and its test.
    pub example: &'static str,
    pub schema: fn(&mut schemars::SchemaGenerator) -> schemars::Schema,
    /// Checks the arguments at load (templates not yet filled in): keys, kinds, paths and programs that are plain text.
    pub check: fn(&Node, &Permission, &mut Vec<Mistake>),
    /// Looks at the target and says what is to be done.
    pub prepare: fn(&Map<String, Value>, &Eyes) -> Result<Effect, HandsError>,
}

pub static KINDS: &[&Kind] = &[];

pub fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().copied().find(|kind| kind.name == name)
}

/// Looks at a step's target and says what is to be done about it.
pub fn prepare(step: &Step, eyes: &Eyes) -> Result<Effect, HandsError> {
    match kind(&step.kind) {
        Some(kind) => (kind.prepare)(&step.args, eyes),
        None => Err(HandsError::Failed(format!(
            "there is no step `{}`",
            step.kind
        ))),
    }
}
