//! The strict engine: which operators and functions there are and what they refuse.
//!
//! The recipe. `Engine::new_raw` brings nothing along, so that there is no `eval`, `print`, `sleep`, file or clock, and
//! every operator and function is ours. Fast operators are off, else Rhai answers comparisons itself. Nothing is
//! optimised: even the simple optimiser folds a missing property of a constant to `()`. Interning is off, because with
//! feature `sync` it takes a write lock on the shared engine. Names are looked up through `on_var`: variables captured
//! by nested closures run into Rhai's locks.

use std::sync::Arc;

use rhai::OptimizationLevel;

use super::{budget, frame, functions, operators, parse, rewrite::Templates};

/// Longest text an expression may make, in bytes.
const LONGEST_TEXT: usize = 8 << 20;
/// Most items, nested ones included, of a list or map an expression may make.
const MOST_ITEMS: usize = 200_000;
/// How deep an expression may be nested.
const DEEPEST_EXPRESSION: usize = 64;

/// The engine of all expressions. Cheap to clone; shared by all threads.
#[derive(Clone)]
pub struct Engine(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub rhai: rhai::Engine,
    pub templates: Templates,
}

impl Engine {
    #[expect(
        clippy::new_without_default,
        reason = "costs a millisecond; make one and share it"
    )]
    pub fn new() -> Engine {
        let rhai = strict();
        let templates = Templates::new(&rhai);
        Engine(Arc::new(Inner { rhai, templates }))
    }
}

fn strict() -> rhai::Engine {
    let mut engine = rhai::Engine::new_raw();
    engine
        .set_max_strings_interned(0)
        .set_optimization_level(OptimizationLevel::None)
        .set_fast_operators(false)
        .set_fail_on_invalid_map_property(true)
        .set_max_expr_depths(DEEPEST_EXPRESSION, DEEPEST_EXPRESSION)
        .set_max_call_levels(DEEPEST_EXPRESSION)
        .set_max_string_size(LONGEST_TEXT)
        .set_max_array_size(MOST_ITEMS)
        .set_max_map_size(MOST_ITEMS)
        .set_max_modules(0);
    engine.on_progress(|_| budget::progress());
    #[expect(
        deprecated,
        reason = "not deprecated: Rhai marks it as volatile this way"
    )]
    engine.on_var(|name, _, context| frame::resolve(name, context.engine()));
    #[expect(
        deprecated,
        reason = "not deprecated: Rhai marks it as volatile this way"
    )]
    engine.on_parse_token(|token, _, _| parse::token(token));
    for word in [
        "eval",
        "import",
        "export",
        "print",
        "debug",
        "Fn",
        "is_def_var",
        "is_def_fn",
    ] {
        engine.disable_symbol(word);
    }
    operators::register(&mut engine);
    functions::register(&mut engine);
    engine
}
