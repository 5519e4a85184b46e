//! What the names of the running expression mean.
//!
//! Rhai asks for every name through `Engine::on_var`, whose callback can borrow nothing. So the evaluation under way
//! keeps its names here, one frame for each expression (a `let` used by an expression is evaluated in a frame of its
//! own on top). A frame lives exactly as long as its guard, also when a panic unwinds.

use std::{
    cell::RefCell,
    sync::{Arc, OnceLock},
};

use rhai::{Dynamic, Engine, EvalAltResult, Position};
use serde_json::{Map, Value};

use super::{
    Env, Expr, Fault, budget,
    json::Json,
    value::{Outcome, refuse},
};
use crate::model::moment::Moment;

/// Levels of nesting of an expression and the `let` values under evaluation for it: what bounds the stack.
const DEEPEST: usize = 256;

/// Parameters of functions carry this mark (see `rewrite`), so that they are never looked up here.
pub(super) const LOCAL: char = '|';

/// What a name means.
#[derive(Clone)]
pub(super) enum Meaning {
    Value(Arc<Value>),
    /// A long text, converted once.
    Ready(Dynamic),
    Let(Expr, Arc<[LetCell]>, usize),
}

/// A `let` value once it was computed.
pub(super) type LetCell = OnceLock<Result<Arc<Value>, Fault>>;

struct Slot {
    name: Arc<str>,
    meaning: Meaning,
}

struct Frame {
    start: usize,
    now: Moment,
    env: Arc<Env>,
    /// Levels of nesting up to here.
    levels: usize,
}

#[derive(Default)]
struct Stack {
    slots: Vec<Slot>,
    frames: Vec<Frame>,
}

thread_local! {
    static STACK: RefCell<Stack> = RefCell::default();
    static VARS: RefCell<Option<Vars>> = const { RefCell::new(None) };
}

/// `vars` as the book has them, and as one value.
struct Vars {
    map: Arc<Map<String, Value>>,
    value: Arc<Value>,
}

/// Leaves the frame when dropped.
pub(super) struct Entered(());

impl Drop for Entered {
    fn drop(&mut self) {
        let gone = STACK.with_borrow_mut(|stack| {
            let frame = stack.frames.pop()?;
            let slots: Vec<Slot> = match stack.frames.is_empty() {
                true => {
                    stack.slots.clear();
                    Vec::new()
                }
                false => stack.slots.drain(frame.start..).collect(),
            };
            Some((frame, slots))
        });
        drop(gone);
    }
}

/// Begins an evaluation. Its names are then given with [`define`].
pub(super) fn enter(now: Moment, env: &Arc<Env>, levels: usize) -> Entered {
    STACK.with_borrow_mut(|stack| {
        if stack.frames.is_empty() {
            budget::begin();
        }
        let start = stack.slots.len();
        let env = env.clone();
        stack.frames.push(Frame {
            start,
            now,
            env,
            levels,
        });
    });
    Entered(())
}

pub(super) fn define(name: &Arc<str>, meaning: Meaning) {
    STACK.with_borrow_mut(|stack| {
        stack.slots.push(Slot {
            name: name.clone(),
            meaning,
        });
    });
}

/// Whether the running frame has the name already.
pub(super) fn is_defined(name: &str) -> bool {
    STACK.with_borrow(|stack| stack.top().iter().any(|slot| &*slot.name == name))
}

impl Stack {
    fn top(&self) -> &[Slot] {
        let start = self.frames.last().map_or(0, |frame| frame.start);
        &self.slots[start..]
    }

    fn find(&mut self, name: &str) -> Option<&mut Slot> {
        let start = self.frames.last().map_or(0, |frame| frame.start);
        self.slots[start..]
            .iter_mut()
            .find(|slot| &*slot.name == name)
    }
}

/// What Rhai asks for every name it meets.
pub(super) fn resolve(name: &str, engine: &Engine) -> Outcome<Option<Dynamic>> {
    if name.starts_with(LOCAL) {
        return Ok(None);
    }
    let found = STACK.with_borrow_mut(|stack| stack.find(name).map(|slot| slot.meaning.clone()));
    match found {
        None => Ok(None),
        Some(Meaning::Ready(value)) => Ok(Some(value)),
        Some(Meaning::Value(value)) => {
            let ready = Json::dynamic(&value)?;
            if matches!(&*value, Value::String(text) if text.len() > 64) {
                STACK.with_borrow_mut(|stack| {
                    if let Some(slot) = stack.find(name) {
                        slot.meaning = Meaning::Ready(ready.clone());
                    }
                });
            }
            Ok(Some(ready))
        }
        Some(Meaning::Let(expr, cells, index)) => {
            let value = computed(&expr, &cells, index, engine).map_err(|fault| {
                Box::new(EvalAltResult::ErrorRuntime(
                    Dynamic::from(fault),
                    Position::NONE,
                ))
            })?;
            Json::dynamic(&value).map(Some)
        }
    }
}

/// The value of a `let`, evaluated in a frame of its own the first time.
fn computed(
    expr: &Expr,
    cells: &Arc<[LetCell]>,
    index: usize,
    engine: &Engine,
) -> Result<Arc<Value>, Fault> {
    let Some(cell) = cells.get(index) else {
        return Err(expr.fault("this `let` does not belong here"));
    };
    if let Some(done) = cell.get() {
        return done.clone();
    }
    let Some(_entered) = enter_again(expr) else {
        return Err(expr.fault("the `let` values use each other too deeply, or in a circle"));
    };
    let value = expr.run(engine).map(Arc::new);
    // a `let` that failed for want of operations may do better when another expression asks
    if value.is_ok() || !budget::is_spent() {
        let _ = cell.set(value.clone());
    }
    value
}

/// A frame on top of the running one, with its names. `None` when that is too deep.
fn enter_again(expr: &Expr) -> Option<Entered> {
    STACK.with_borrow_mut(|stack| {
        let from = stack.frames.last()?;
        let (now, env, below) = (from.now, from.env.clone(), from.start);
        let levels = from.levels + expr.levels();
        if levels > DEEPEST {
            return None;
        }
        // a `let` may read another `let`, whose names must stand in this frame too: hand on everything
        let start = stack.slots.len();
        for index in below..start {
            let Some(slot) = stack.slots.get(index) else {
                break;
            };
            let (name, meaning) = (slot.name.clone(), slot.meaning.clone());
            stack.slots.push(Slot { name, meaning });
        }
        stack.frames.push(Frame {
            start,
            now,
            env,
            levels,
        });
        Some(Entered(()))
    })
}

/// The instant of the running look.
pub(super) fn now() -> Outcome<Moment> {
    match STACK.with_borrow(|stack| stack.frames.last().map(|frame| frame.now)) {
        Some(now) => Ok(now),
        None => refuse("there is no look under way"),
    }
}

/// What `env("NAME")` gives: a text, or `()` when it is not set, or not listed.
pub(super) fn env(name: &str) -> Outcome<Option<String>> {
    STACK.with_borrow(|stack| {
        let listed = stack
            .frames
            .last()
            .and_then(|frame| frame.env.listed.get(name));
        Ok(listed.cloned().flatten())
    })
}

/// `vars` as one value; made once for each book.
pub(super) fn vars(map: &Arc<Map<String, Value>>) -> Arc<Value> {
    VARS.with_borrow_mut(|last| match last {
        Some(vars) if Arc::ptr_eq(&vars.map, map) => vars.value.clone(),
        _ => {
            let (map, value) = (map.clone(), Arc::new(Value::Object(Map::clone(map))));
            *last = Some(Vars {
                map,
                value: value.clone(),
            });
            value
        }
    })
}
