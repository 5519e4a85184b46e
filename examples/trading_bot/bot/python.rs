//! A small Python: as much of the language as the bot's sources use, executed over JSON values.
//!
//! Functions, assignments to names and items, `if`, `return`, literals, arithmetic, comparisons, `and or not`, the conditional
//! expression, `d.get`, subscripts, and calls of `max min abs float dict math.exp` and of functions of the same module.
//! Anything else, and whatever Python would raise, is a [`PythonError`]. A call is bounded in steps and in depth.

use std::{cell::RefCell, rc::Rc, sync::Arc};

use serde_json::{Map, Number, Value as Json};
use thiserror::Error;

use super::{
    python_source::{self, Expr, Function, Line, Module, Statement},
    python_values::{self as values, Value},
};

/// Most statements and expressions that one call may execute.
const MAX_STEPS: u32 = 3_000;
/// Most values of a result: shared containers would multiply otherwise.
const MAX_RESULT: u32 = 10_000;
/// Deepest evaluation, counting expressions, blocks and calls.
const MAX_DEPTH: u32 = 160;

/// Why a source or a call came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PythonError {
    #[error("the source is longer than 256 KiB")]
    TooLong,
    #[error("the Python grammar cannot be loaded")]
    NoParser,
    #[error("syntax error in line {line}")]
    Syntax { line: usize },
    #[error("no function {name}")]
    NoFunction { name: String },
    /// What Python would raise, or a construct outside the subset.
    #[error("line {line}: {what}")]
    Raised { line: usize, what: String },
}

/// A program: a parsed module, ready to be called.
#[derive(Debug)]
pub struct Program {
    module: Module,
}

impl Program {
    /// Parses a source; see [`PythonError::Syntax`].
    pub fn parse(text: &str) -> Result<Program, PythonError> {
        Ok(Program {
            module: python_source::parse(text)?,
        })
    }

    /// Executes the module's own statements and makes its functions callable.
    pub fn start(&self) -> Result<Session<'_>, PythonError> {
        let nothing = Names::default();
        let mut run = Run::new(&self.module, &nothing);
        run.module_body(&self.module.body)?;
        Ok(Session {
            module: &self.module,
            globals: run.locals,
        })
    }
}

/// A started program. Its values are shared the way Python shares them, so it stays on one thread.
pub struct Session<'p> {
    module: &'p Module,
    globals: Names<'p>,
}

impl Session<'_> {
    /// Calls a function (a method as `Class.method`) with values made by [`from_json`].
    pub fn call(&self, name: &str, arguments: Vec<Value>) -> Result<Json, PythonError> {
        let function = self
            .module
            .functions
            .get(name)
            .ok_or_else(|| PythonError::NoFunction {
                name: name.to_owned(),
            })?;
        let mut run = Run::new(self.module, &self.globals);
        let answer = run
            .call(name, function, arguments)
            .map_err(|what| PythonError::Raised {
                line: run.line,
                what,
            })?;
        to_json(&answer, 0, &mut MAX_RESULT.clone()).map_err(|what| PythonError::Raised {
            line: run.line,
            what,
        })
    }
}

/// A JSON value as Python sees it. Whole numbers beyond 64 bits become floats.
pub fn from_json(json: &Json) -> Value {
    match json {
        Json::Null => Value::None,
        Json::Bool(it) => Value::Bool(*it),
        Json::Number(it) => it
            .as_i64()
            .map_or_else(|| Value::Float(it.as_f64().unwrap_or(f64::NAN)), Value::Int),
        Json::String(it) => Value::Text(it.as_str().into()),
        Json::Array(them) => Value::List(Rc::new(them.iter().map(from_json).collect())),
        Json::Object(map) => {
            let pairs = map
                .iter()
                .map(|(key, it)| (key.as_str().into(), from_json(it)));
            Value::Dict(Rc::new(RefCell::new(values::Items::from(
                pairs.collect::<Vec<_>>(),
            ))))
        }
    }
}

fn to_json(value: &Value, depth: u32, left_over: &mut u32) -> Result<Json, String> {
    if depth > MAX_DEPTH || *left_over == 0 {
        return Err("the result is too large or nested too deeply".to_owned());
    }
    *left_over -= 1;
    Ok(match value {
        Value::None => Json::Null,
        Value::Bool(it) => Json::Bool(*it),
        Value::Int(it) => Json::from(*it),
        Value::Float(it) => Number::from_f64(*it)
            .map(Json::Number)
            .ok_or("the result is no finite number")?,
        Value::Text(it) => Json::String(it.to_string()),
        Value::List(them) => Json::Array(
            them.iter()
                .map(|it| to_json(it, depth + 1, left_over))
                .collect::<Result<_, _>>()?,
        ),
        Value::Dict(items) => {
            let items = items.borrow();
            let pairs = items
                .iter()
                .map(|(key, it)| Ok((key.to_string(), to_json(it, depth + 1, left_over)?)));
            Json::Object(pairs.collect::<Result<Map<_, _>, String>>()?)
        }
        Value::Math => return Err("the result is a module".to_owned()),
    })
}

/// Names and what they stand for. A function has a handful: a search along the list is enough.
#[derive(Default)]
struct Names<'p>(Vec<(&'p str, Value)>);

impl<'p> Names<'p> {
    fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(it, _)| *it == name).map(|(_, it)| it)
    }

    fn set(&mut self, name: &'p str, value: Value) {
        match self.0.iter_mut().find(|(it, _)| *it == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }
}

/// One call under way.
struct Run<'r, 'p> {
    module: &'p Module,
    globals: &'r Names<'p>,
    locals: Names<'p>,
    /// Line of the statement being executed.
    line: usize,
    steps: u32,
    depth: u32,
}

/// What a block ended with.
enum Flow {
    On,
    Returned(Value),
}

impl<'r, 'p> Run<'r, 'p> {
    fn new(module: &'p Module, globals: &'r Names<'p>) -> Run<'r, 'p> {
        Run {
            module,
            globals,
            locals: Names::default(),
            line: 0,
            steps: 0,
            depth: 0,
        }
    }

    fn module_body(&mut self, body: &'p [Line]) -> Result<(), PythonError> {
        match self.block(body) {
            Ok(Flow::On) => Ok(()),
            Ok(Flow::Returned(_)) => Err("'return' outside function".to_owned()),
            Err(what) => Err(what),
        }
        .map_err(|what| PythonError::Raised {
            line: self.line,
            what,
        })
    }

    fn call(
        &mut self,
        name: &str,
        function: &'p Function,
        arguments: Vec<Value>,
    ) -> Result<Value, String> {
        if arguments.len() != function.parameters.len() {
            let (takes, got) = (function.parameters.len(), arguments.len());
            return Err(format!("{name}() takes {takes} arguments, {got} given"));
        }
        let names = function.parameters.iter().map(String::as_str);
        let inner = Names(names.zip(arguments).collect());
        let outer = std::mem::replace(&mut self.locals, inner);
        let line = self.line;
        let ended = self.block(&function.body)?;
        self.locals = outer;
        self.line = line;
        Ok(match ended {
            Flow::On => Value::None,
            Flow::Returned(value) => value,
        })
    }

    /// Counts a step one level deeper; the caller takes the level back.
    fn step(&mut self) -> Result<(), String> {
        self.steps += 1;
        self.depth += 1;
        if self.steps > MAX_STEPS {
            return Err(format!("more than {MAX_STEPS} steps"));
        }
        if self.depth > MAX_DEPTH {
            return Err("maximum recursion depth exceeded".to_owned());
        }
        Ok(())
    }

    fn block(&mut self, body: &'p [Line]) -> Result<Flow, String> {
        self.step()?;
        for line in body {
            self.line = line.number;
            if let Flow::Returned(value) = self.statement(&line.statement)? {
                self.depth -= 1;
                return Ok(Flow::Returned(value));
            }
        }
        self.depth -= 1;
        Ok(Flow::On)
    }

    fn statement(&mut self, statement: &'p Statement) -> Result<Flow, String> {
        match statement {
            Statement::Assign(name, value) => {
                let value = self.eval(value)?;
                self.locals.set(name, value);
            }
            Statement::AssignItem(container, key, value) => {
                let value = self.eval(value)?;
                let container = self.eval(container)?;
                let key = self.eval(key)?;
                values::set_item(&container, &key, value)?;
            }
            Statement::If(branches, otherwise) => {
                for (condition, body) in branches {
                    if self.eval(condition)?.truth() {
                        return self.block(body);
                    }
                }
                return self.block(otherwise);
            }
            Statement::Return(None) => return Ok(Flow::Returned(Value::None)),
            Statement::Return(Some(value)) => return Ok(Flow::Returned(self.eval(value)?)),
            Statement::Evaluate(value) => {
                self.eval(value)?;
            }
            Statement::ImportMath => {
                self.locals.set("math", Value::Math);
            }
            Statement::Pass => {}
            Statement::Unknown(construct) => return Err(outside(construct)),
        }
        Ok(Flow::On)
    }

    fn eval(&mut self, expr: &'p Expr) -> Result<Value, String> {
        self.step()?;
        let value = match expr {
            Expr::None => Value::None,
            Expr::Bool(it) => Value::Bool(*it),
            Expr::Int(it) => Value::Int(*it),
            Expr::Float(it) => Value::Float(*it),
            Expr::Text(it) => Value::Text(Arc::clone(it)),
            Expr::Name(name) => self.name(name)?,
            Expr::List(them) => Value::List(Rc::new(self.all(them)?)),
            Expr::Dict(pairs) => self.dict(pairs)?,
            Expr::Arithmetic(operator, left, right) => {
                let (left, right) = (self.eval(left)?, self.eval(right)?);
                values::arithmetic(operator, &left, &right)?
            }
            Expr::Negative(inner) => {
                let inner = self.eval(inner)?;
                values::arithmetic("-", &Value::Int(0), &inner)?
            }
            Expr::Not(inner) => Value::Bool(!self.eval(inner)?.truth()),
            Expr::And(left, right) => match self.eval(left)? {
                left if left.truth() => self.eval(right)?,
                left => left,
            },
            Expr::Or(left, right) => match self.eval(left)? {
                left if left.truth() => left,
                _ => self.eval(right)?,
            },
            Expr::Compare(first, rest) => self.compare(first, rest)?,
            Expr::Conditional(condition, value, otherwise) => {
                let holds = self.eval(condition)?.truth();
                self.eval(if holds { value } else { otherwise })?
            }
            Expr::Item(container, key) => {
                let (container, key) = (self.eval(container)?, self.eval(key)?);
                values::item(&container, &key)?
            }
            Expr::Call(name, arguments) => {
                let arguments = self.all(arguments)?;
                self.function(name, arguments)?
            }
            Expr::Method(object, name, arguments) => self.method(object, name, arguments)?,
            Expr::Unknown(construct) => return Err(outside(construct)),
        };
        self.depth -= 1;
        Ok(value)
    }

    fn name(&self, name: &str) -> Result<Value, String> {
        self.locals
            .get(name)
            .or_else(|| self.globals.get(name))
            .cloned()
            .ok_or_else(|| format!("name '{name}' is not defined"))
    }

    fn all(&mut self, them: &'p [Expr]) -> Result<Vec<Value>, String> {
        them.iter().map(|it| self.eval(it)).collect()
    }

    fn dict(&mut self, pairs: &'p [(Expr, Expr)]) -> Result<Value, String> {
        let mut items = values::Items::default();
        for (key, value) in pairs {
            let key = self.eval(key)?;
            let value = self.eval(value)?;
            items.insert(values::key(&key)?, value);
        }
        Ok(Value::Dict(Rc::new(RefCell::new(items))))
    }

    fn compare(&mut self, first: &'p Expr, rest: &'p [(String, Expr)]) -> Result<Value, String> {
        let mut left = self.eval(first)?;
        for (operator, right) in rest {
            let right = self.eval(right)?;
            if !values::compare(operator, &left, &right)? {
                return Ok(Value::Bool(false));
            }
            left = right;
        }
        Ok(Value::Bool(true))
    }

    fn function(&mut self, name: &str, arguments: Vec<Value>) -> Result<Value, String> {
        match self.module.functions.get(name) {
            Some(function) => self.call(name, function, arguments),
            None => values::builtin(name, &arguments),
        }
    }

    fn method(
        &mut self,
        object: &'p Expr,
        name: &str,
        arguments: &'p [Expr],
    ) -> Result<Value, String> {
        if let Expr::Name(class) = object {
            let qualified = format!("{class}.{name}");
            if let Some(function) = self.module.functions.get(&qualified) {
                let arguments = self.all(arguments)?;
                return self.call(&qualified, function, arguments);
            }
        }
        let object = self.eval(object)?;
        let arguments = self.all(arguments)?;
        values::method(&object, name, &arguments)
    }
}

fn outside(construct: &str) -> String {
    format!("{construct} is outside the subset")
}
