//! The functions of expressions: one table, from which they are registered, checked at load and documented.
//!
//! `x.f(y)` and `f(x, y)` are the same. Functions take any kind of value and refuse what they cannot use, so that
//! nothing is decided by which overload happens to exist.

mod aggregates;
mod lists;
mod looking;
mod maps;
mod numbers;
mod outside;
mod texts;

use std::any::TypeId;

use rhai::{Array, Dynamic, DynamicReadLock, Engine, ImmutableString};

use super::{
    budget,
    closure::{self, Closure},
    json::Json,
    value::{Kind, Outcome, describe, refuse},
};

pub(super) use maps::property;

/// One function. `least` and `most` count all values it takes, the one before the dot included.
pub struct Function {
    pub name: &'static str,
    pub least: usize,
    pub most: usize,
    /// How it is written, for messages and the documentation.
    pub usage: &'static str,
    pub about: &'static str,
    pub(super) run: Run,
}

type Run = fn(&Call<'_>, &mut [&mut Dynamic]) -> Outcome<Dynamic>;

/// Every function there is.
pub fn all() -> impl Iterator<Item = &'static Function> {
    [
        aggregates::FUNCTIONS,
        lists::FUNCTIONS,
        maps::FUNCTIONS,
        numbers::FUNCTIONS,
        texts::FUNCTIONS,
        outside::FUNCTIONS,
    ]
    .into_iter()
    .flatten()
}

pub fn find(name: &str) -> Option<&'static Function> {
    all().find(|function| function.name == name)
}

/// The functions that only the script of a probe may call.
pub fn that_look() -> impl Iterator<Item = &'static Function> {
    looking::FUNCTIONS.iter()
}

pub(super) fn looking(name: &str) -> Option<&'static Function> {
    that_look().find(|function| function.name == name)
}

pub(super) fn looks(name: &str) -> bool {
    looking(name).is_some()
}

/// Whether this is a function of lists or maps that may stand without values: what somebody may have meant who wrote
/// `doc.keys`.
pub(super) fn is_reading(name: &str) -> bool {
    let mut functions = aggregates::FUNCTIONS
        .iter()
        .chain(lists::FUNCTIONS)
        .chain(maps::FUNCTIONS);
    functions.any(|function| function.name == name && function.least == 1)
}

/// The call of a function.
pub(super) struct Call<'a> {
    pub engine: &'a Engine,
    pub function: &'static Function,
}

pub(super) fn register(engine: &mut Engine) {
    for function in all().chain(that_look()) {
        for count in function.least..=function.most {
            let any = vec![TypeId::of::<Dynamic>(); count];
            engine.register_raw_fn(function.name, any, move |context, args| {
                let engine = context.engine();
                let answer = (function.run)(&Call { engine, function }, args)?;
                budget::made(&answer)?;
                Ok(answer)
            });
        }
    }
    maps::register_access(engine);
    looking::register_statements(engine);
}

impl Call<'_> {
    pub fn misused<T>(&self, value: &Dynamic) -> Outcome<T> {
        refuse(format!(
            "`{}` cannot be used on {}: {}",
            self.function.name,
            describe(value),
            self.function.usage
        ))
    }

    pub fn text<'v>(&self, value: &'v Dynamic) -> Outcome<DynamicReadLock<'v, ImmutableString>> {
        match value.read_lock::<ImmutableString>() {
            Some(text) => Ok(text),
            None => self.misused(value),
        }
    }

    pub fn list<'v>(&self, value: &'v Dynamic) -> Outcome<List<'v>> {
        match List::of(value) {
            Some(list) => {
                budget::spend(list.len())?;
                Ok(list)
            }
            None => self.misused(value),
        }
    }

    pub fn index(&self, value: &Dynamic) -> Outcome<usize> {
        match value.as_int().map(usize::try_from) {
            Ok(Ok(index)) => Ok(index),
            _ => self.misused(value),
        }
    }

    /// What is asked of each item: the item itself, a field of it, or a function.
    pub fn pick(&self, argument: Option<&Dynamic>) -> Outcome<Pick> {
        let Some(argument) = argument else {
            return Ok(Pick::Item);
        };
        if let Some(closure) = argument.read_lock::<Closure>() {
            return Ok(Pick::Closure(closure.clone()));
        }
        match argument.as_immutable_string_ref() {
            Ok(field) => Ok(Pick::Field(field.clone())),
            Err(_) => self.misused(argument),
        }
    }

    /// What was asked of one item of a list.
    pub fn picked(&self, list: &List<'_>, index: usize, pick: &Pick) -> Outcome<Dynamic> {
        match pick {
            Pick::Item => list.item(index),
            Pick::Field(field) => list.field(index, field),
            Pick::Closure(closure) => closure.call(self.engine, list.item(index)?),
        }
    }

    /// What was asked of one item, as yes or no.
    pub fn holds(&self, list: &List<'_>, index: usize, pick: &Pick) -> Outcome<bool> {
        closure::truth(&self.picked(list, index, pick)?)
    }
}

pub(super) enum Pick {
    Item,
    Field(ImmutableString),
    Closure(Closure),
}

/// A list, wherever it lives.
pub(super) enum List<'a> {
    Array(DynamicReadLock<'a, Array>),
    Json(DynamicReadLock<'a, Json>),
}

impl List<'_> {
    pub fn of(value: &Dynamic) -> Option<List<'_>> {
        match Kind::of(value) {
            Kind::List => None
                .or_else(|| value.read_lock().map(List::Array))
                .or_else(|| value.read_lock().map(List::Json)),
            _ => None,
        }
    }

    pub fn len(&self) -> usize {
        match self {
            List::Array(array) => array.len(),
            List::Json(json) => json.len(),
        }
    }

    pub fn item(&self, index: usize) -> Outcome<Dynamic> {
        let item = match self {
            List::Array(array) => array.get(index).cloned().map(Ok),
            List::Json(json) => json.item(index),
        };
        item.unwrap_or_else(|| refuse(format!("no item {index}; there are {}", self.len())))
    }

    pub fn field(&self, index: usize, name: &ImmutableString) -> Outcome<Dynamic> {
        if let List::Json(json) = self
            && let Some(value) = json.field(index, name)
        {
            return value;
        }
        property(&self.item(index)?, name)
    }
}

/// There is no answer for an empty list.
fn of_nothing<T>(call: &Call<'_>) -> Outcome<T> {
    refuse(format!("an empty list has no `{}`", call.function.name))
}

/// A real that is neither NaN nor infinite.
fn finite(number: f64) -> Outcome<Dynamic> {
    if !number.is_finite() {
        return refuse("the result is not a finite number");
    }
    Ok(Dynamic::from_float(number))
}

/// The items of a list as a new array.
pub(super) fn items(value: &Dynamic) -> Outcome<Array> {
    match List::of(value) {
        Some(list) => {
            budget::spend(list.len())?;
            (0..list.len()).map(|index| list.item(index)).collect()
        }
        None => refuse(format!("{} is not a list", describe(value))),
    }
}

/// A table of functions, one a line: name, least and most values, usage, meaning, code.
macro_rules! table {
    ($($name:literal $least:literal..=$most:literal $usage:literal $about:literal $run:expr;)*) => {
        pub(super) static FUNCTIONS: &[$crate::script::functions::Function] = &[
            $($crate::script::functions::Function {
                name: $name, least: $least, most: $most, usage: $usage, about: $about, run: $run,
            },)*
        ];
    };
}
use table;
