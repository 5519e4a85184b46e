//! What the names of an expression mean at one look.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Map, Value};

use super::{
    Expr,
    frame::{self, Entered, LetCell, Meaning},
};
use crate::model::{facts::Facts, moment::Moment};

/// Names that mean something by themselves in expressions.
pub const RESERVED: [&str; 11] = [
    "now", "it", "r", "vars", "env", "status", "kept", "prev", "ledger", "baseline", "acted",
];

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
    pub(super) cells: Arc<[LetCell]>,
    pub(super) bound: Vec<(&'static str, Arc<Value>)>,
    late: Option<&'a Late<'a>>,
}

/// Values that are made only when an expression reads them.
type Late<'a> = dyn Fn(&str) -> Option<Value> + Sync + 'a;

impl<'a> Scope<'a> {
    pub fn new(ground: &'a Ground) -> Scope<'a> {
        Scope {
            ground,
            facts: None,
            lets: &[],
            cells: Arc::new([]),
            bound: Vec::new(),
            late: None,
        }
    }

    pub fn facts(mut self, facts: &'a Facts) -> Scope<'a> {
        self.facts = Some(facts);
        self
    }

    pub fn lets(mut self, lets: &'a [(String, Expr)]) -> Scope<'a> {
        self.lets = lets;
        self.cells = lets.iter().map(|_| LetCell::new()).collect();
        self
    }

    /// Names whose values are made only when an expression reads them. What is bound comes first.
    pub fn late(mut self, late: &'a Late<'a>) -> Scope<'a> {
        self.late = Some(late);
        self
    }

    /// Binds a name, or binds it anew. `let` values computed before keep their value.
    pub fn bind(&mut self, name: &'static str, value: impl Into<Arc<Value>>) {
        let value = value.into();
        match self.bound.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.bound.push((name, value)),
        }
    }

    /// The `let` values computed so far that did not fail.
    pub fn computed(&self) -> Map<String, Value> {
        let done = self.lets.iter().zip(self.cells.iter());
        done.filter_map(|((name, _), cell)| match cell.get() {
            Some(Ok(value)) => Some((name.clone(), Value::clone(value))),
            _ => None,
        })
        .collect()
    }

    /// The value of a name as JSON: a fact, a `let` that was computed, a bound name, `now` or `vars`. `None` if there
    /// is none, it was not computed, or it failed.
    pub fn peek(&self, name: &str) -> Option<Value> {
        self.glance(name).map(|value| Value::clone(&value))
    }

    /// As [`Scope::peek`], without a copy.
    pub fn glance(&self, name: &str) -> Option<Arc<Value>> {
        match self.meaning(name)? {
            Meaning::Value(value) => Some(value),
            Meaning::Let(_, cells, index) => cells.get(index)?.get()?.clone().ok(),
            Meaning::Ready(_) => None,
        }
    }

    fn meaning(&self, name: &str) -> Option<Meaning> {
        if let Some(value) = self.facts.and_then(|facts| facts.get(name)) {
            return Some(Meaning::Value(value.clone()));
        }
        if let Some(index) = self.lets.iter().position(|(known, _)| known == name) {
            let (_, expr) = self.lets.get(index)?;
            return Some(Meaning::Let(expr.clone(), self.cells.clone(), index));
        }
        if let Some((_, value)) = self.bound.iter().find(|(known, _)| *known == name) {
            return Some(Meaning::Value(value.clone()));
        }
        if let Some(value) = self.late.and_then(|late| late(name)) {
            return Some(Meaning::Value(Arc::new(value)));
        }
        match name {
            "now" => Some(Meaning::Value(Arc::new(self.ground.now.seconds().into()))),
            "vars" => Some(Meaning::Value(frame::vars(&self.ground.vars))),
            _ => None,
        }
    }

    /// Begins the evaluation of an expression: its names, and those of the `let` values it reads, get their meaning.
    pub(super) fn enter(&self, expr: &Expr) -> Entered {
        let entered = frame::enter(self.ground.now, &self.ground.env, expr.levels());
        self.define_names(expr);
        entered
    }

    fn define_names(&self, expr: &Expr) {
        for name in expr.keys() {
            if frame::is_defined(name) {
                continue;
            }
            if let Some(meaning) = self.meaning(name) {
                let inner = match &meaning {
                    Meaning::Let(expr, ..) => Some(expr.clone()),
                    _ => None,
                };
                frame::define(name, meaning);
                if let Some(inner) = inner {
                    self.define_names(&inner);
                }
            }
        }
    }
}
