//! Finds the mistakes of an expression at load: all of them, each at its own character.
//!
//! Names, properties of values whose shape is known, functions and how many values they take; and what Rhai allows but
//! a rule must not do: statements, an `if` without `else`, a `switch` without `_`, bits of an integer, characters.
//! What a script may do besides stands in [`statements`].

use std::collections::BTreeSet;

use rhai::{Expr as Node, ImmutableString, Position, Stmt, StmtBlock};
use serde_json::Value;

mod calls;
mod chain;
mod statements;

use super::{
    Known, functions,
    parse::{Form, Parsed, Written, place},
};
use crate::model::text::{Mistake, Text, meant};

/// Checks that are asked about, each where it is named.
pub(super) type Asks = Vec<(String, Position)>;

/// What was found in an expression.
pub(super) struct Checked {
    /// The names it reads.
    pub names: BTreeSet<String>,
    /// How deep it is nested: what the evaluation needs of the stack.
    pub levels: usize,
    pub asks: Asks,
    pub mistakes: Vec<Mistake>,
}

/// What a function needs of the stack, in levels of nesting.
const LEVELS_OF_A_FUNCTION: usize = 4;

pub(super) fn check(parsed: &Parsed, text: &Text, known: &Known) -> Checked {
    let mut checker = Checker {
        parsed,
        text,
        known,
        locals: Vec::new(),
        names: BTreeSet::new(),
        fence: 0,
        asks: Vec::new(),
        level: 0,
        deepest: 0,
        mistakes: Vec::new(),
    };
    for (name, position) in &parsed.named {
        checker.mistake(
            "statement",
            format!("the function `{name}` cannot be defined here"),
            match parsed.form {
                Form::Expression => "give the value a name under `let:`",
                Form::Script { .. } => {
                    "write `let NAME = |x| …;` and hand it to `map`, `filter` and the like"
                }
            },
            *position,
        );
    }
    checker.body(&parsed.statements, Position::START);
    checker.mistakes.sort_by(|a, b| a.place.cmp(&b.place));
    checker.mistakes.dedup();
    Checked {
        names: checker.names,
        levels: checker.deepest,
        asks: checker.asks,
        mistakes: checker.mistakes,
    }
}

/// What a value looks like; `None` when that is not known at load.
type Shape<'a> = Option<&'a Value>;

/// A name made in the text: a parameter of a function, or what a script keeps.
struct Local<'a> {
    name: ImmutableString,
    shape: Shape<'a>,
    /// Whether a script may give it another value.
    writable: bool,
}

struct Checker<'a> {
    parsed: &'a Parsed,
    text: &'a Text,
    known: &'a Known,
    /// Those around, the innermost last.
    locals: Vec<Local<'a>>,
    /// How many of them stand outside of the function that is looked at, which has copies of them.
    fence: usize,
    asks: Asks,
    names: BTreeSet<String>,
    level: usize,
    deepest: usize,
    mistakes: Vec<Mistake>,
}

impl<'a> Checker<'a> {
    fn mistake(
        &mut self,
        code: &'static str,
        message: impl Into<String>,
        help: impl Into<String>,
        position: Position,
    ) {
        let mut mistake = Mistake::new(code, message, place(self.text, position));
        let help = help.into();
        if !help.is_empty() {
            mistake = mistake.help(help);
        }
        self.mistakes.push(mistake);
    }

    /// The statements of an expression, a branch or a function: exactly one value.
    fn body(&mut self, statements: &'a [Stmt], at: Position) -> Shape<'a> {
        if self.parsed.form != Form::Expression {
            return self.sequence(statements, true, at);
        }
        let mut values = statements
            .iter()
            .filter(|statement| !matches!(statement, Stmt::Noop(_)));
        let Some(first) = values.next() else {
            self.mistake(
                "empty-expression",
                "there is no value here",
                "write one",
                at,
            );
            return None;
        };
        let shape = self.statement(first);
        for further in values {
            if is_value(first) && is_value(further) {
                self.mistake(
                    "statement",
                    "there is more than one value here",
                    "an expression is one value; join conditions with `&&` or `||`",
                    further.position(),
                );
            }
            self.statement(further);
        }
        shape
    }

    fn block(&mut self, block: &'a StmtBlock) -> Shape<'a> {
        self.body(block.statements(), block.position())
    }

    fn statement(&mut self, statement: &'a Stmt) -> Shape<'a> {
        match statement {
            Stmt::Expr(node) => self.node(node),
            Stmt::FnCall(call, position) => self.call(call, None, *position),
            Stmt::Block(block) => self.block(block),
            Stmt::If(parts, position) => {
                self.node(&parts.expr);
                self.block(&parts.body);
                if parts.branch.is_empty() {
                    self.mistake(
                        "if-without-else",
                        "this `if` has no value when its condition does not hold",
                        "add an `else { … }`",
                        *position,
                    );
                } else {
                    self.block(&parts.branch);
                }
                None
            }
            Stmt::Switch(parts, position) => {
                let (subject, cases) = &**parts;
                self.node(subject);
                if cases.def_case.is_none() {
                    self.mistake(
                        "switch-without-default",
                        "this `switch` has no value when no case fits",
                        "add a case `_ => …`",
                        *position,
                    );
                }
                for case in &cases.expressions {
                    self.node(&case.lhs);
                    self.node(&case.rhs);
                }
                None
            }
            Stmt::Assignment(parts) => {
                self.mistake(
                    "statement",
                    "nothing can be assigned in an expression",
                    "write `==` to compare",
                    parts.0.position(),
                );
                None
            }
            Stmt::Var(parts, ..) => {
                self.mistake(
                    "statement",
                    "a name cannot be made inside an expression",
                    "give the value a name under `let:`",
                    statement.position(),
                );
                self.node(&parts.1);
                self.local(&parts.0.name, false);
                None
            }
            other => {
                self.mistake(
                    "statement",
                    "a statement cannot stand in an expression",
                    "an expression is one value; functions of lists take the place of loops",
                    other.position(),
                );
                None
            }
        }
    }

    fn node(&mut self, node: &'a Node) -> Shape<'a> {
        self.level += 1;
        self.deepest = self.deepest.max(self.level);
        let shape = self.looked(node);
        self.level -= 1;
        shape
    }

    fn looked(&mut self, node: &'a Node) -> Shape<'a> {
        if let Some(written) = self.parsed.function(node) {
            self.function(&written, None);
            return None;
        }
        match node {
            Node::Variable(variable, _, position) => {
                if !variable.2.is_empty() {
                    self.mistake(
                        "unknown-name",
                        "there are no modules in rules",
                        "",
                        *position,
                    );
                    return None;
                }
                self.name(&variable.1, *position)
            }
            Node::FnCall(call, position) => self.call(call, None, *position),
            Node::Dot(parts, flags, _) => {
                let shape = self.node(&parts.lhs);
                self.links(shape, &parts.rhs, false, is_end(*flags))
            }
            Node::Index(parts, flags, _) => {
                let shape = self.node(&parts.lhs);
                if let Node::IntegerConstant(_, position) = &parts.lhs {
                    self.bits(*position);
                }
                self.links(shape, &parts.rhs, true, is_end(*flags))
            }
            Node::And(parts, _) | Node::Or(parts, _) => {
                for part in parts.iter() {
                    let shape = self.node(part);
                    self.must_be_truth(part, shape);
                }
                None
            }
            Node::Coalesce(parts, _) => {
                parts.iter().for_each(|part| {
                    self.node(part);
                });
                None
            }
            Node::Array(items, _) | Node::InterpolatedString(items, _) => {
                items.iter().for_each(|item| {
                    self.node(item);
                });
                None
            }
            Node::Map(map, _) => {
                map.0.iter().for_each(|(_, value)| {
                    self.node(value);
                });
                None
            }
            Node::Stmt(block) => self.block(block),
            Node::CharConstant(character, position) => {
                let help = format!("write \"{character}\" in double quotes");
                self.mistake(
                    "character",
                    "a text stands in double quotes",
                    help,
                    *position,
                );
                None
            }
            Node::FloatConstant(number, position) if !number.is_finite() => {
                self.mistake("bad-number", "this number is too large", "", *position);
                None
            }
            Node::ThisPtr(position) => {
                self.mistake("unknown-name", "there is no `this` in rules", "", *position);
                None
            }
            _ => None,
        }
    }

    fn bits(&mut self, position: Position) {
        self.mistake(
            "bit-index",
            "an integer has no items",
            "`[…]` reads an item of a list or map",
            position,
        );
    }

    fn must_be_truth(&mut self, node: &Node, shape: Shape<'a>) {
        let wrong = match (node, shape) {
            (Node::IntegerConstant(..) | Node::FloatConstant(..), _) => "a number",
            (Node::StringConstant(..), _) => "a text",
            (_, Some(Value::Number(_))) => "a number",
            (_, Some(Value::String(_))) => "a text",
            (_, Some(Value::Array(_))) => "a list",
            (_, Some(Value::Object(_))) => "a map",
            _ => return,
        };
        self.mistake(
            "not-a-condition",
            format!("a condition is needed here, and this is {wrong}"),
            "compare it with something",
            node.start_position(),
        );
    }

    fn name(&mut self, name: &ImmutableString, position: Position) -> Shape<'a> {
        if let Some(local) = self.locals.iter().rev().find(|local| local.name == *name) {
            return local.shape;
        }
        match self.known.names.get(name.as_str()) {
            Some(shape) => {
                self.names.insert(name.to_string());
                shape.as_deref()
            }
            None => {
                let help = self.suggestion(name);
                self.mistake(
                    "unknown-name",
                    format!("unknown name `{name}`"),
                    help,
                    position,
                );
                None
            }
        }
    }

    fn suggestion(&self, name: &str) -> String {
        match name {
            "None" | "none" | "undefined" | "NULL" | "Null" => {
                return "write `()` for nothing".to_owned();
            }
            "True" => return "write `true`".to_owned(),
            "False" => return "write `false`".to_owned(),
            _ => {}
        }
        let locals = self.locals.iter().map(|local| local.name.as_str());
        let names = self.known.names.keys().map(String::as_str);
        if let Some(word) = meant(name, locals.chain(names)) {
            return format!("did you mean `{word}`?");
        }
        if let Some(function) = functions::find(name).or_else(|| self.looking(name)) {
            return function.usage.to_owned();
        }
        let names: Vec<&str> = self.known.names.keys().map(String::as_str).collect();
        match names.is_empty() {
            true => String::new(),
            false => format!("known here: {}", names.join(", ")),
        }
    }

    /// A function written here; `element` is what it is given.
    fn function(&mut self, written: &Written<'a>, element: Shape<'a>) {
        let parameters = written.body.parameters.iter().skip(written.captures);
        let before = self.locals.len();
        let fence = std::mem::replace(&mut self.fence, before);
        let mut taken = 0;
        for parameter in parameters {
            self.locals.push(Local {
                name: parameter.clone(),
                shape: element,
                writable: false,
            });
            taken += 1;
        }
        if taken != 1 {
            self.mistake(
                "wrong-arguments",
                format!("this function takes {taken} values, but is given one"),
                "write `|x| …`",
                written.position,
            );
        }
        self.level += LEVELS_OF_A_FUNCTION;
        self.body(&written.body.statements, written.position);
        self.level -= LEVELS_OF_A_FUNCTION;
        self.locals.truncate(before);
        self.fence = fence;
    }
}

fn is_value(statement: &Stmt) -> bool {
    matches!(
        statement,
        Stmt::Expr(_) | Stmt::FnCall(..) | Stmt::Block(_) | Stmt::If(..) | Stmt::Switch(..)
    )
}

fn is_end(flags: rhai::ASTFlags) -> bool {
    flags.intersects(rhai::ASTFlags::BREAK)
}
