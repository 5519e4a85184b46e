//! Where an expression compares a name with a number: the lines to draw through a plot of that name.
//!
//! Read off the text, not computed: `avg < 0.5 && max < 1.0` has two lines. A number is a literal, or an entry of `vars`;
//! what stands in a function (`|r| r.age > 3`) is about something else and left out.

use rhai::{AST, ASTNode, Expr as Node, Module};
use serde_json::{Map, Value};

use super::{
    Engine, Expr,
    parse::{Form, parse},
};

/// A name compared with a number.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// `avg`, or `run.count`.
    pub name: String,
    pub limit: f64,
    /// Whether it holds above the number; else below.
    pub above: bool,
}

/// The comparisons of an expression, in the order in which they stand.
pub fn comparisons(engine: &Engine, expr: &Expr, vars: &Map<String, Value>) -> Vec<Comparison> {
    let Ok(parsed) = parse(&engine.0.rhai, expr.text(), Form::Expression) else {
        return Vec::new(); // it was compiled before
    };
    let mut found = Vec::new();
    AST::new(parsed.statements, Module::new()).walk(&mut |path| {
        if let Some((ASTNode::Expr(Node::FnCall(call, _)), around)) = path.split_last()
            && let Some(above) = side(&call.name)
            && let [left, right] = &call.args[..]
        {
            let denied = around.iter().filter(|node| is_not(node)).count() % 2 == 1;
            let read = match (name(left), number(right, vars)) {
                (Some(name), Some(limit)) => Some((name, limit, above)),
                _ => name(right)
                    .zip(number(left, vars))
                    .map(|(name, limit)| (name, limit, !above)),
            };
            found.extend(read.map(|(name, limit, above)| Comparison {
                name,
                limit,
                above: above != denied,
            }));
        }
        true
    });
    found
}

/// Whether what stands left of an operator is above what stands right of it.
fn side(operator: &str) -> Option<bool> {
    match operator {
        ">" | ">=" => Some(true),
        "<" | "<=" => Some(false),
        _ => None,
    }
}

fn is_not(node: &ASTNode<'_>) -> bool {
    matches!(node, ASTNode::Expr(Node::FnCall(call, _)) if call.name == "!")
}

/// A name, or a path of properties from one.
fn name(node: &Node) -> Option<String> {
    match node {
        Node::Variable(variable, ..) => Some(variable.1.to_string()),
        Node::Dot(parts, ..) => {
            let first = name(&parts.lhs)?;
            let mut path = vec![first];
            let mut rest = &parts.rhs;
            loop {
                match rest {
                    Node::Property(property, _) => {
                        path.push(property.2.to_string());
                        break;
                    }
                    Node::Dot(parts, ..) => {
                        let Node::Property(property, _) = &parts.lhs else {
                            return None;
                        };
                        path.push(property.2.to_string());
                        rest = &parts.rhs;
                    }
                    _ => return None,
                }
            }
            Some(path.join("."))
        }
        _ => None,
    }
}

fn number(node: &Node, vars: &Map<String, Value>) -> Option<f64> {
    match node {
        Node::IntegerConstant(number, _) => Some(*number as f64),
        Node::FloatConstant(number, _) => Some(**number),
        Node::FnCall(call, _) if call.name == "-" => match &call.args[..] {
            [inner] => number(inner, vars).map(|number| -number),
            _ => None,
        },
        path => {
            let path = name(path)?;
            let mut parts = path.split('.');
            parts.next().filter(|first| *first == "vars")?;
            let first = vars.get(parts.next()?)?;
            parts
                .try_fold(first, |value, part| value.get(part))?
                .as_f64()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{model::text::Text, script::Known};

    fn read(text: &str) -> Vec<(String, f64, bool)> {
        let engine = Engine::new();
        let Value::Object(vars) = json!({"limit": 7, "deep": {"er": 1.5}}) else {
            unreachable!()
        };
        let known = ["avg", "max", "run", "list", "ok"]
            .into_iter()
            .fold(Known::ground(&vars), |known, name| known.with(name, None));
        let mut mistakes = Vec::new();
        let expr = Expr::compile(&engine, &Text::bare(text), &known, &mut mistakes);
        let expr = expr.unwrap_or_else(|| panic!("{mistakes:?}"));
        let found = comparisons(&engine, &expr, &vars);
        found
            .into_iter()
            .map(|it| (it.name, it.limit, it.above))
            .collect()
    }

    #[test]
    fn lines_are_where_a_name_meets_a_number() {
        let line = |name: &str, limit, above| (name.to_owned(), limit, above);
        assert_eq!(
            read("avg < 0.5 && (max >= 1 || -2 > run.count.deep)"),
            [
                line("avg", 0.5, false),
                line("max", 1.0, true),
                line("run.count.deep", -2.0, false)
            ]
        );
        assert_eq!(
            read("avg > vars.limit || max < vars.deep.er"),
            [line("avg", 7.0, true), line("max", 1.5, false)]
        );
        assert_eq!(read("ok && !(avg > 3)"), [line("avg", 3.0, false)]);
        assert_eq!(read("avg + max < 3"), [], "a sum is no name");
        assert_eq!(read("avg.len() < 3 || avg < max"), []);
        assert_eq!(read("list.any(|r| r.age > 3)"), [], "another name inside");
    }
}
