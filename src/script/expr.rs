//! A compiled expression.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use rhai::{AST, Dynamic, EvalAltResult, Position};
use serde_json::{Map, Value};

use super::{
    Engine, Fault, Scope,
    check::{Asks, Checked, check},
    compare,
    parse::{Form, Parsed, parse, place},
    rewrite::rewrite,
    value::{describe, text_of, to_json},
};
use crate::model::{
    facts::Facts,
    text::{Mistake, Text},
};

/// The names an expression may use, with a sample of each value: what the load check is made against.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// `None`: the name exists, its kind is not known before it is looked at.
    pub(super) names: BTreeMap<String, Option<Arc<Value>>>,
    /// What `env("…")` may read; `None` when that is not known here.
    pub(super) env: Option<BTreeSet<String>>,
}

impl Known {
    /// `now`, `vars` (with their values) and `env(…)`: what probes see.
    pub fn ground(vars: &Map<String, Value>) -> Known {
        Known::default()
            .with("now", Some(Value::from(0.5)))
            .with("vars", Some(Value::Object(vars.clone())))
    }

    /// A name and a sample of its value. In a sample, an object lists all properties there are (an empty one, or
    /// `null`, is of any kind) and the first item of an array stands for all.
    pub fn with(mut self, name: impl Into<String>, sample: Option<Value>) -> Known {
        let sample = sample.filter(|value| !value.is_null());
        self.names.insert(name.into(), sample.map(Arc::new));
        self
    }

    /// The names that `env("…")` may read: another one is a mistake.
    pub fn with_env<'a>(mut self, listed: impl IntoIterator<Item = &'a str>) -> Known {
        self.env = Some(listed.into_iter().map(str::to_owned).collect());
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

    /// Whether this is the map of `vars`, which is complete even when it is empty.
    pub(super) fn is_vars(&self, map: &Map<String, Value>) -> bool {
        match self.names.get("vars") {
            Some(Some(vars)) => vars.as_object().is_some_and(|vars| std::ptr::eq(vars, map)),
            _ => false,
        }
    }
}

/// A compiled Rhai expression that knows where it was written. Cheap to clone.
#[derive(Clone)]
pub struct Expr(Arc<Compiled>);

struct Compiled {
    text: Text,
    ast: AST,
    names: Vec<String>,
    keys: Vec<Arc<str>>,
    levels: usize,
}

impl fmt::Debug for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expr").field(&self.0.text.as_str()).finish()
    }
}

impl Expr {
    /// Compiles and checks an expression. `None` if it has mistakes; all of them are pushed, each at its own character.
    pub fn compile(
        engine: &Engine,
        text: &Text,
        known: &Known,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<Expr> {
        Expr::compile_as(Form::Expression, engine, text, known, mistakes).map(|(expr, ..)| expr)
    }

    /// Also gives the tree as written, and the checks it asks about.
    pub(super) fn compile_as(
        form: Form,
        engine: &Engine,
        text: &Text,
        known: &Known,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<(Expr, Parsed, Asks)> {
        let parsed = match parse(&engine.0.rhai, text, form) {
            Ok(parsed) => parsed,
            Err(mistake) => {
                mistakes.push(mistake);
                return None;
            }
        };
        let Checked {
            names,
            levels,
            asks,
            mistakes: found,
        } = check(&parsed, text, known);
        if !found.is_empty() {
            mistakes.extend(found);
            return None;
        }
        let expr = Expr(Arc::new(Compiled {
            text: text.clone(),
            ast: rewrite(&engine.0.templates, &parsed),
            keys: names.iter().map(|name| Arc::from(name.as_str())).collect(),
            names: names.into_iter().collect(),
            levels,
        }));
        Some((expr, parsed, asks))
    }

    pub fn text(&self) -> &Text {
        &self.0.text
    }

    /// The names it reads, sorted, each once.
    pub fn names(&self) -> &[String] {
        &self.0.names
    }

    pub(super) fn keys(&self) -> &[Arc<str>] {
        &self.0.keys
    }

    /// How deep it is nested.
    pub(super) fn levels(&self) -> usize {
        self.0.levels
    }

    /// Evaluates to a boolean; any other kind is a fault.
    pub fn truth(&self, engine: &Engine, scope: &Scope<'_>) -> Result<bool, Fault> {
        let value = self.evaluate(engine, scope)?;
        match value.as_bool() {
            Ok(truth) => Ok(truth),
            Err(_) => Err(self.fault(format!(
                "expected true or false, found {}",
                describe(&value)
            ))),
        }
    }

    /// Evaluates to a number that is not NaN; any other kind is a fault.
    pub fn number(&self, engine: &Engine, scope: &Scope<'_>) -> Result<f64, Fault> {
        let value = self.evaluate(engine, scope)?;
        match compare::number(&value) {
            Some(number) => number.map_err(|error| self.translate(*error)),
            None => Err(self.fault(format!("expected a number, found {}", describe(&value)))),
        }
    }

    /// Evaluates to any value that JSON can hold.
    pub fn value(&self, engine: &Engine, scope: &Scope<'_>) -> Result<Value, Fault> {
        let value = self.evaluate(engine, scope)?;
        to_json(&value).map_err(|error| self.translate(*error))
    }

    /// Evaluates to a text, or to anything that can be written as one; `()` is a fault.
    pub(super) fn rendered(&self, engine: &Engine, scope: &Scope<'_>) -> Result<String, Fault> {
        let value = self.evaluate(engine, scope)?;
        let text = text_of(&value).map_err(|error| self.translate(*error))?;
        Ok(text.to_string())
    }

    /// As [`Expr::rendered`], but `None` for `()`.
    pub(super) fn given(
        &self,
        engine: &Engine,
        scope: &Scope<'_>,
    ) -> Result<Option<String>, Fault> {
        let value = self.evaluate(engine, scope)?;
        if value.is_unit() {
            return Ok(None);
        }
        let text = text_of(&value).map_err(|error| self.translate(*error))?;
        Ok(Some(text.to_string()))
    }

    fn evaluate(&self, engine: &Engine, scope: &Scope<'_>) -> Result<Dynamic, Fault> {
        let _entered = scope.enter(self);
        self.ask(&engine.0.rhai)
    }

    /// Evaluates inside a frame that was entered before.
    pub(super) fn run(&self, engine: &rhai::Engine) -> Result<Value, Fault> {
        let value = self.ask(engine)?;
        to_json(&value).map_err(|error| self.translate(*error))
    }

    fn ask(&self, engine: &rhai::Engine) -> Result<Dynamic, Fault> {
        engine
            .eval_ast_with_scope(&mut rhai::Scope::new(), &self.0.ast)
            .map_err(|error| self.translate(*error))
    }

    /// A fault of the expression as a whole.
    pub(super) fn fault(&self, message: impl Into<String>) -> Fault {
        self.fault_at(message, Position::NONE)
    }

    fn fault_at(&self, message: impl Into<String>, position: Position) -> Fault {
        Fault {
            message: message.into(),
            place: match position.is_none() {
                true => self.0.text.place(),
                false => place(&self.0.text, position),
            },
            expression: self.0.text.as_str().to_owned(),
        }
    }

    /// What Rhai says, in our words.
    fn translate(&self, error: EvalAltResult) -> Fault {
        let position = error.position();
        let message = match error {
            EvalAltResult::ErrorRuntime(token, _) | EvalAltResult::ErrorTerminated(token, _) => {
                match token.try_cast_result::<Fault>() {
                    Ok(fault) => return fault,
                    // what a script throws may be any value
                    Err(token) => match text_of(&token) {
                        Ok(text) => text.to_string(),
                        Err(_) => token.to_string(),
                    },
                }
            }
            EvalAltResult::ErrorInFunctionCall(_, _, inner, _) => return self.translate(*inner),
            EvalAltResult::ErrorMismatchDataType(wanted, found, _) => {
                format!("expected {}, found {}", phrase(&wanted), phrase(&found))
            }
            EvalAltResult::ErrorDataTooLarge(..) => "the result is too large".to_owned(),
            EvalAltResult::ErrorArrayBounds(length, index, _) => {
                format!("no item {index}; there are {length}")
            }
            EvalAltResult::ErrorStackOverflow(_) => "functions are nested too deeply".to_owned(),
            EvalAltResult::ErrorVariableNotFound(name, _) => {
                format!("`{name}` is not known at this moment")
            }
            other => {
                let mut other = other;
                other.clear_position();
                other.to_string()
            }
        };
        self.fault_at(message, position)
    }
}

/// Rhai's word for a kind, in a sentence.
fn phrase(kind: &str) -> &str {
    match kind {
        "bool" => "true or false",
        "i64" | "f64" => "a number",
        "string" => "a text",
        "()" => "nothing ()",
        "array" => "a list",
        "map" => "a map",
        kind if kind.ends_with("::Json") => "a map or list",
        kind if kind.ends_with("::Closure") => "a function",
        kind => kind,
    }
}

/// The first circle among `let` values that read each other, as the names on the way round; `None` if there is none.
pub fn cycle(lets: &[(String, Expr)]) -> Option<Vec<String>> {
    fn visit<'a>(
        name: &'a str,
        lets: &'a [(String, Expr)],
        path: &mut Vec<&'a str>,
        done: &mut BTreeSet<&'a str>,
    ) -> Option<Vec<String>> {
        if let Some(start) = path.iter().position(|known| *known == name) {
            let round = path.iter().skip(start).chain([&name]);
            return Some(round.map(|name| (*name).to_owned()).collect());
        }
        let (_, expr) = lets.iter().find(|(known, _)| known == name)?;
        if !done.insert(name) {
            return None;
        }
        path.push(name);
        let found = expr
            .names()
            .iter()
            .find_map(|inner| visit(inner, lets, path, done));
        path.pop();
        found
    }
    let mut done = BTreeSet::new();
    lets.iter()
        .find_map(|(name, _)| visit(name, lets, &mut Vec::new(), &mut done))
}
