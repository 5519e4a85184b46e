//! From Python text to the small tree that [`super::python`] executes.
//!
//! What lies outside the subset becomes [`Unknown`](Expr::Unknown) where it stands, so that only the function that comes to
//! it fails. A syntax error condemns the whole text, as it does in Python.

use std::{collections::HashMap, sync::Arc};

use tree_sitter::{Node, Parser};

use super::python::PythonError;

/// Longest source that is read, in bytes.
const MAX_SOURCE: usize = 256 * 1024;
/// Deepest nesting of an expression or a block.
const MAX_NESTING: usize = 64;

/// A parsed source: its functions by name (methods as `Class.method`) and the statements of the module itself.
#[derive(Debug)]
pub struct Module {
    pub functions: HashMap<String, Function>,
    pub body: Vec<Line>,
}

#[derive(Debug)]
pub struct Function {
    pub parameters: Vec<String>,
    pub body: Vec<Line>,
}

/// A statement and the line it stands on, from 1.
#[derive(Debug)]
pub struct Line {
    pub number: usize,
    pub statement: Statement,
}

#[derive(Debug)]
pub enum Statement {
    Assign(String, Expr),
    /// `container[key] = value`
    AssignItem(Expr, Expr, Expr),
    /// Branches in their order, then `else`.
    If(Vec<(Expr, Vec<Line>)>, Vec<Line>),
    Return(Option<Expr>),
    Evaluate(Expr),
    ImportMath,
    Pass,
    Unknown(String),
}

#[derive(Debug)]
pub enum Expr {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Arc<str>),
    Name(String),
    List(Vec<Expr>),
    Dict(Vec<(Expr, Expr)>),
    Arithmetic(String, Box<Expr>, Box<Expr>),
    Negative(Box<Expr>),
    Not(Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    /// The first operand, then operators with theirs: `a < b <= c`.
    Compare(Box<Expr>, Vec<(String, Expr)>),
    /// Condition, value if true, value otherwise.
    Conditional(Box<Expr>, Box<Expr>, Box<Expr>),
    Item(Box<Expr>, Box<Expr>),
    Call(String, Vec<Expr>),
    /// `object.name(arguments)`
    Method(Box<Expr>, String, Vec<Expr>),
    Unknown(String),
}

/// Parses a source.
pub fn parse(text: &str) -> Result<Module, PythonError> {
    if text.len() > MAX_SOURCE {
        return Err(PythonError::TooLong);
    }
    let mut parser = Parser::new();
    let grammar = tree_sitter_python::LANGUAGE.into();
    let tree = parser
        .set_language(&grammar)
        .ok()
        .and_then(|()| parser.parse(text, None))
        .ok_or(PythonError::NoParser)?;
    let root = tree.root_node();
    if root.has_error() {
        return Err(PythonError::Syntax {
            line: first_error(root),
        });
    }
    let reader = Reader { text };
    let mut module = Module {
        functions: HashMap::new(),
        body: Vec::new(),
    };
    for node in children(root) {
        match node.kind() {
            "function_definition" => reader.function(node, "", &mut module),
            "class_definition" => reader.class(node, &mut module),
            _ => module.body.push(reader.statement(node, 0)),
        }
    }
    Ok(module)
}

struct Reader<'t> {
    text: &'t str,
}

impl<'t> Reader<'t> {
    fn of(&self, node: Node<'_>) -> &'t str {
        self.text.get(node.byte_range()).unwrap_or_default()
    }

    fn class(&self, node: Node<'_>, module: &mut Module) {
        let prefix = format!("{}.", self.field_text(node, "name"));
        let body = node.child_by_field_name("body").map_or(vec![], children);
        for member in body {
            match member.kind() {
                "function_definition" => self.function(member, &prefix, module),
                _ if is_docstring(member) => {}
                _ => module.body.push(unknown(member)),
            }
        }
    }

    fn function(&self, node: Node<'_>, prefix: &str, module: &mut Module) {
        let listed = node
            .child_by_field_name("parameters")
            .map_or(vec![], children);
        let plain = listed.iter().all(|it| it.kind() == "identifier");
        let body = node.child_by_field_name("body");
        let function = Function {
            parameters: listed.iter().map(|it| self.of(*it).to_owned()).collect(),
            body: if plain {
                body.map_or(vec![], |block| self.block(block, 0))
            } else {
                vec![unknown(listed.first().copied().unwrap_or(node))]
            },
        };
        let name = format!("{prefix}{}", self.field_text(node, "name"));
        module.functions.insert(name, function);
    }

    fn block(&self, node: Node<'_>, depth: usize) -> Vec<Line> {
        children(node)
            .into_iter()
            .map(|child| self.statement(child, depth + 1))
            .collect()
    }

    fn statement(&self, node: Node<'_>, depth: usize) -> Line {
        let statement = if depth > MAX_NESTING {
            None
        } else {
            match node.kind() {
                "expression_statement" => self.simple(node, depth),
                "if_statement" => self.conditions(node, depth),
                "return_statement" => Some(Statement::Return(
                    children(node).first().map(|it| self.expr(*it, depth)),
                )),
                "import_statement" if self.of(node) == "import math" => Some(Statement::ImportMath),
                "pass_statement" => Some(Statement::Pass),
                _ => None,
            }
        };
        statement.map_or_else(
            || unknown(node),
            |statement| Line {
                number: line(node),
                statement,
            },
        )
    }

    fn simple(&self, node: Node<'_>, depth: usize) -> Option<Statement> {
        let inner = children(node);
        let [only] = inner.as_slice() else {
            return None;
        };
        if only.kind() != "assignment" {
            return Some(Statement::Evaluate(self.expr(*only, depth)));
        }
        if only.child_by_field_name("type").is_some() {
            return None;
        }
        let target = only.child_by_field_name("left")?;
        let value = self.expr(only.child_by_field_name("right")?, depth);
        match target.kind() {
            "identifier" => Some(Statement::Assign(self.of(target).to_owned(), value)),
            "subscript" => {
                let (container, key) = self.subscript(target, depth)?;
                Some(Statement::AssignItem(container, key, value))
            }
            _ => None,
        }
    }

    fn conditions(&self, node: Node<'_>, depth: usize) -> Option<Statement> {
        let branch = |it: Node<'_>| {
            let condition = self.expr(it.child_by_field_name("condition")?, depth);
            let body = self.block(it.child_by_field_name("consequence")?, depth);
            Some((condition, body))
        };
        let mut branches = vec![branch(node)?];
        let mut otherwise = Vec::new();
        for clause in children(node) {
            match clause.kind() {
                "elif_clause" => branches.push(branch(clause)?),
                "else_clause" => {
                    otherwise = self.block(clause.child_by_field_name("body")?, depth);
                }
                _ => {}
            }
        }
        Some(Statement::If(branches, otherwise))
    }

    fn expr(&self, node: Node<'_>, depth: usize) -> Expr {
        let read = if depth > MAX_NESTING {
            None
        } else {
            self.known(node, depth + 1)
        };
        read.unwrap_or_else(|| Expr::Unknown(construct(node)))
    }

    fn known(&self, node: Node<'_>, depth: usize) -> Option<Expr> {
        let boxed = |name: &str| Some(Box::new(self.expr(node.child_by_field_name(name)?, depth)));
        let all = |of: Node<'_>| -> Vec<Expr> {
            children(of)
                .into_iter()
                .map(|it| self.expr(it, depth))
                .collect()
        };
        let operator = || self.field_text(node, "operator");
        Some(match node.kind() {
            "none" => Expr::None,
            "true" => Expr::Bool(true),
            "false" => Expr::Bool(false),
            "integer" => Expr::Int(self.of(node).replace('_', "").parse().ok()?),
            "float" => Expr::Float(self.of(node).replace('_', "").parse().ok()?),
            "string" => Expr::Text(self.string(node)?.into()),
            "identifier" => Expr::Name(self.of(node).to_owned()),
            "list" => Expr::List(all(node)),
            "dictionary" => Expr::Dict(self.pairs(node, depth)?),
            "parenthesized_expression" => self.expr(*children(node).first()?, depth),
            "binary_operator"
                if matches!(operator(), "+" | "-" | "*" | "/" | "//" | "%" | "**") =>
            {
                Expr::Arithmetic(operator().to_owned(), boxed("left")?, boxed("right")?)
            }
            "unary_operator" if operator() == "-" => Expr::Negative(boxed("argument")?),
            "not_operator" => Expr::Not(boxed("argument")?),
            "boolean_operator" if operator() == "and" => Expr::And(boxed("left")?, boxed("right")?),
            "boolean_operator" => Expr::Or(boxed("left")?, boxed("right")?),
            "comparison_operator" => self.comparison(node, depth)?,
            "conditional_expression" => {
                let parts = children(node);
                let [value, condition, otherwise] = parts.as_slice() else {
                    return None;
                };
                let read = |it: &Node<'_>| Box::new(self.expr(*it, depth));
                Expr::Conditional(read(condition), read(value), read(otherwise))
            }
            "subscript" => {
                let (container, key) = self.subscript(node, depth)?;
                Expr::Item(Box::new(container), Box::new(key))
            }
            "call" => {
                let function = node.child_by_field_name("function")?;
                let arguments = node.child_by_field_name("arguments")?;
                if arguments.kind() != "argument_list" {
                    return None;
                }
                let arguments = all(arguments);
                match function.kind() {
                    "identifier" => Expr::Call(self.of(function).to_owned(), arguments),
                    "attribute" => {
                        let object = function.child_by_field_name("object")?;
                        let name = self.field_text(function, "attribute").to_owned();
                        Expr::Method(Box::new(self.expr(object, depth)), name, arguments)
                    }
                    _ => return None,
                }
            }
            _ => return None,
        })
    }

    fn subscript(&self, node: Node<'_>, depth: usize) -> Option<(Expr, Expr)> {
        let parts = children(node);
        let [container, key] = parts.as_slice() else {
            return None;
        };
        Some((self.expr(*container, depth), self.expr(*key, depth)))
    }

    fn pairs(&self, node: Node<'_>, depth: usize) -> Option<Vec<(Expr, Expr)>> {
        children(node)
            .into_iter()
            .map(|pair| {
                let key = self.expr(pair.child_by_field_name("key")?, depth);
                let value = self.expr(pair.child_by_field_name("value")?, depth);
                Some((key, value))
            })
            .collect()
    }

    fn comparison(&self, node: Node<'_>, depth: usize) -> Option<Expr> {
        let mut cursor = node.walk();
        let operators: Vec<String> = node
            .children_by_field_name("operators", &mut cursor)
            .map(|it| self.of(it).split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        let mut operands = children(node)
            .into_iter()
            .filter(|it| !matches!(it.kind(), "not in" | "is not"))
            .map(|it| self.expr(it, depth));
        let first = Box::new(operands.next()?);
        let rest: Vec<Expr> = operands.collect();
        if rest.len() != operators.len() {
            return None;
        }
        Some(Expr::Compare(
            first,
            operators.into_iter().zip(rest).collect(),
        ))
    }

    /// A plain string; prefixes (`f`, `r`, `b`) and all but the simplest escapes lie outside the subset.
    fn string(&self, node: Node<'_>) -> Option<String> {
        let mut text = String::new();
        for part in children(node) {
            match part.kind() {
                "string_start" if matches!(self.of(part), "\"" | "'" | "\"\"\"" | "'''") => {}
                "string_content" => unescape(self.of(part), &mut text)?,
                "string_end" => {}
                _ => return None,
            }
        }
        Some(text)
    }

    fn field_text(&self, node: Node<'_>, field: &str) -> &'t str {
        node.child_by_field_name(field).map_or("", |it| self.of(it))
    }
}

fn unescape(raw: &str, into: &mut String) -> Option<()> {
    let mut letters = raw.chars();
    while let Some(letter) = letters.next() {
        into.push(match letter {
            '\\' => match letters.next()? {
                'n' => '\n',
                't' => '\t',
                same @ ('\\' | '"' | '\'') => same,
                _ => return None,
            },
            plain => plain,
        });
    }
    Some(())
}

/// Named children without comments.
fn children<'n>(node: Node<'n>) -> Vec<Node<'n>> {
    let mut cursor = node.walk();
    node.named_children(&mut cursor)
        .filter(|it| it.kind() != "comment")
        .collect()
}

fn is_docstring(node: Node<'_>) -> bool {
    matches!(children(node).as_slice(), [only] if only.kind() == "string")
        || node.kind() == "pass_statement"
}

fn line(node: Node<'_>) -> usize {
    node.start_position().row + 1
}

fn construct(node: Node<'_>) -> String {
    node.kind().replace('_', " ")
}

fn unknown(node: Node<'_>) -> Line {
    Line {
        number: line(node),
        statement: Statement::Unknown(construct(node)),
    }
}

/// The line of the first error below a node that has one, without recursion.
fn first_error(root: Node<'_>) -> usize {
    let mut node = root;
    loop {
        if node.is_error() || node.is_missing() {
            return line(node);
        }
        let mut cursor = node.walk();
        let worse = node.children(&mut cursor).find(Node::has_error);
        match worse {
            Some(child) => node = child,
            None => return line(node),
        }
    }
}
