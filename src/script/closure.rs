//! A function written in an expression (`|r| r.score > limit`).
//!
//! Rhai's own closures turn what they capture into shared, locked variables, which fail as data races when nested.
//! Nothing in an expression can be changed, so capturing by value means the same: `rewrite` makes these out of them.

use std::{fmt, sync::Arc};

use rhai::{AST, Dynamic, Engine, ImmutableString, Scope};

use super::value::{Kind, Outcome, refuse};

#[derive(Clone)]
pub(super) struct Closure {
    code: Arc<Code>,
    /// The values of [`Code::captures`] at the time the function was made.
    captured: Arc<[Dynamic]>,
}

pub(super) struct Code {
    /// Parameters of the functions around it.
    pub captures: Vec<ImmutableString>,
    pub parameters: Vec<ImmutableString>,
    pub body: AST,
}

impl fmt::Debug for Closure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Closure")
            .field(&self.code.parameters)
            .finish()
    }
}

impl Closure {
    pub fn new(code: Code) -> Closure {
        Closure {
            code: Arc::new(code),
            captured: Arc::new([]),
        }
    }

    pub fn capturing(&self, captured: Vec<Dynamic>) -> Closure {
        Closure {
            code: self.code.clone(),
            captured: captured.into(),
        }
    }

    pub fn call(&self, engine: &Engine, argument: Dynamic) -> Outcome<Dynamic> {
        let [parameter] = &self.code.parameters[..] else {
            return refuse(format!(
                "the function takes {} values, but gets one",
                self.code.parameters.len()
            ));
        };
        let mut scope = Scope::new();
        for (name, value) in self.code.captures.iter().zip(self.captured.iter()) {
            scope.push_dynamic(name.as_str(), value.clone());
        }
        scope.push_dynamic(parameter.as_str(), argument);
        engine.eval_ast_with_scope(&mut scope, &self.code.body)
    }
}

/// The answer of a function that answers yes or no.
pub(super) fn truth(answer: &Dynamic) -> Outcome<bool> {
    match answer.as_bool() {
        Ok(answer) => Ok(answer),
        Err(_) => refuse(format!(
            "expected true or false, found {}",
            match Kind::of(answer) {
                Kind::Nothing => "nothing ()".to_owned(),
                _ => super::value::describe(answer),
            }
        )),
    }
}
