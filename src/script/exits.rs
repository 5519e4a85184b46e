//! What a script gives, read off its text: the maps it ends with. So its facts are known at load, and need not be
//! declared a second time.

use rhai::{Expr as Node, Position, Stmt};
use serde_json::{Map, Value};

use super::parse::Parsed;

/// A place where a script ends.
pub(super) struct Exit<'a> {
    pub value: Option<&'a Node>,
    pub position: Position,
}

/// Every place where it ends: its last line, through `if` and `switch`, and each `return`. Functions have their own.
pub(super) fn exits(parsed: &Parsed) -> Vec<Exit<'_>> {
    let mut found = Vec::new();
    returns(&parsed.statements, &mut found);
    tail(&parsed.statements, &mut found);
    found
}

fn last(statements: &[Stmt]) -> Option<&Stmt> {
    let mut statements = statements.iter().rev();
    statements.find(|statement| !matches!(statement, Stmt::Noop(_)))
}

fn tail<'a>(statements: &'a [Stmt], found: &mut Vec<Exit<'a>>) {
    match last(statements) {
        Some(Stmt::Expr(node)) => of(node, found),
        Some(Stmt::Block(block)) => tail(block.statements(), found),
        Some(Stmt::If(parts, _)) => {
            tail(parts.body.statements(), found);
            tail(parts.branch.statements(), found);
        }
        Some(Stmt::Switch(parts, _)) => {
            for case in &parts.1.expressions {
                of(&case.rhs, found);
            }
        }
        Some(Stmt::Return(..)) | None => {} // counted already, or a mistake already
        Some(other) => found.push(Exit {
            value: None,
            position: other.position(),
        }),
    }
}

fn of<'a>(node: &'a Node, found: &mut Vec<Exit<'a>>) {
    match node {
        Node::Stmt(block) => tail(block.statements(), found),
        value => found.push(Exit {
            value: Some(value),
            position: value.start_position(),
        }),
    }
}

fn returns<'a>(statements: &'a [Stmt], found: &mut Vec<Exit<'a>>) {
    for statement in statements {
        match statement {
            // `throw` gives no value
            Stmt::Return(Some(value), flags, _) if !flags.intersects(rhai::ASTFlags::BREAK) => {
                of(value, found);
            }
            Stmt::Block(block) => returns(block.statements(), found),
            Stmt::If(parts, _) | Stmt::While(parts, _) | Stmt::Do(parts, ..) => {
                returns(parts.body.statements(), found);
                returns(parts.branch.statements(), found);
            }
            Stmt::For(parts, _) => returns(parts.2.body.statements(), found),
            Stmt::Switch(parts, _) => {
                for case in &parts.1.expressions {
                    inside(&case.rhs, found);
                }
            }
            Stmt::Expr(node) => inside(node, found),
            Stmt::Var(parts, ..) => inside(&parts.1, found),
            Stmt::Assignment(parts) => inside(&parts.1.rhs, found),
            _ => {}
        }
    }
}

/// The statements of an `if` or `switch` that stands as a value.
fn inside<'a>(node: &'a Node, found: &mut Vec<Exit<'a>>) {
    if let Node::Stmt(block) = node {
        returns(block.statements(), found);
    }
}

/// The names of a map that is written out, with a sample of each value; `null` where its kind is not known.
pub(super) fn facts(node: &Node) -> Option<Map<String, Value>> {
    match sample(node) {
        Value::Object(map) => Some(map),
        _ => None,
    }
}

fn sample(node: &Node) -> Value {
    match node {
        Node::Map(map, _) => {
            let entries = map.0.iter();
            let entries = entries.map(|(key, value)| (key.name.to_string(), sample(value)));
            Value::Object(entries.collect())
        }
        Node::Array(items, _) => {
            let samples = items.iter().map(sample);
            let one = samples.reduce(|one, other| common(&one, &other));
            Value::Array(one.into_iter().collect())
        }
        Node::BoolConstant(value, _) => (*value).into(),
        Node::IntegerConstant(value, _) => (*value).into(),
        Node::FloatConstant(value, _) => Value::from(**value),
        Node::StringConstant(value, _) => value.as_str().into(),
        Node::InterpolatedString(..) => "text".into(),
        Node::And(..) | Node::Or(..) => true.into(),
        _ => Value::Null,
    }
}

/// What can be said of a value that is like one or like the other.
pub(super) fn common(one: &Value, other: &Value) -> Value {
    match (one, other) {
        (Value::Object(one), Value::Object(other))
            if one.keys().collect::<Vec<_>>() == other.keys().collect::<Vec<_>>() =>
        {
            let both = one.iter().zip(other.values());
            Value::Object(
                both.map(|((key, one), other)| (key.clone(), common(one, other)))
                    .collect(),
            )
        }
        (Value::Array(one), Value::Array(other)) => match (one.first(), other.first()) {
            (Some(one), Some(other)) => Value::Array(vec![common(one, other)]),
            (one, other) => Value::Array(one.or(other).cloned().into_iter().collect()),
        },
        (Value::Bool(_), Value::Bool(_))
        | (Value::Number(_), Value::Number(_))
        | (Value::String(_), Value::String(_)) => one.clone(),
        _ => Value::Null,
    }
}
