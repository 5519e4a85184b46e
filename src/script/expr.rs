//! A compiled expression.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;

use super::{Engine, Fault, Scope};
use crate::model::{
    facts::Facts,
    text::{Mistake, Text},
};

/// The names an expression may use, with a sample of each value: what the load check is made against.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// `None`: the name exists, its kind is not known before it is looked at.
    pub(super) names: BTreeMap<String, Option<Arc<Value>>>,
}

impl Known {
    /// `now`, `vars` (with their values) and `env(…)`: what probes see.
    pub fn ground(vars: &serde_json::Map<String, Value>) -> Known {
        Known::default()
            .with("now", Some(Value::from(0.5)))
            .with("vars", Some(Value::Object(vars.clone())))
    }

    pub fn with(mut self, name: impl Into<String>, sample: Option<Value>) -> Known {
        self.names.insert(name.into(), sample.map(Arc::new));
        self
    }

    /// The facts of a shape. A `null` in a shape means: any kind.
    pub fn with_facts(mut self, shape: &Facts) -> Known {
        for (name, value) in shape.iter() {
            let sample = (!value.is_null()).then(|| value.clone());
            self.names.insert(name.to_owned(), sample);
        }
        self
    }

    pub fn contains(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }
}

/// A compiled Rhai expression that knows where it was written.
#[derive(Clone, Debug)]
pub struct Expr {
    pub(super) text: Text,
}

impl Expr {
    /// Compiles and checks an expression. `None` if it has mistakes; all of them are pushed, each at its own character.
    pub fn compile(
        engine: &Engine,
        text: &Text,
        known: &Known,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<Expr> {
        let _ = (engine, known, mistakes);
        Some(Expr { text: text.clone() })
    }

    pub fn text(&self) -> &Text {
        &self.text
    }

    /// The names it reads, sorted, each once.
    pub fn names(&self) -> &[String] {
        &[]
    }

    /// Evaluates to a boolean; any other kind is a fault.
    pub fn truth(&self, engine: &Engine, scope: &Scope<'_>) -> Result<bool, Fault> {
        let _ = (engine, scope);
        todo!()
    }

    /// Evaluates to a number that is not NaN; any other kind is a fault.
    pub fn number(&self, engine: &Engine, scope: &Scope<'_>) -> Result<f64, Fault> {
        let _ = (engine, scope);
        todo!()
    }

    /// Evaluates to any value that JSON can hold.
    pub fn value(&self, engine: &Engine, scope: &Scope<'_>) -> Result<Value, Fault> {
        let _ = (engine, scope);
        todo!()
    }
}
