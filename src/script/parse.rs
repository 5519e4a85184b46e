//! From an expression's text to Rhai's syntax tree, and from Rhai's places and complaints to ours.
//!
//! Rhai keeps the bodies of functions (`|r| …`) apart from the expression; here they are found again by name.

use std::collections::BTreeMap;

use rhai::{
    AST, ASTNode, Expr as Node, FnPtr, ImmutableString, LexError, ParseError, ParseErrorType,
    Position, Stmt,
};

use crate::model::text::{Mistake, Place, Text};

/// Longest expression, in characters: Rhai counts lines and columns in 16 bits.
const LONGEST: usize = 20_000;

/// A syntax tree and the functions written in it.
pub(super) struct Parsed {
    pub statements: Vec<Stmt>,
    pub functions: BTreeMap<String, Body>,
    /// Functions with a name (`fn f() {}`), which expressions may not define.
    pub named: Vec<(String, Position)>,
}

/// A function written in an expression.
pub(super) struct Body {
    /// What it captures first, then what it takes.
    pub parameters: Vec<ImmutableString>,
    pub statements: Vec<Stmt>,
}

/// A function where it stands: which one, and how many of its parameters are captured.
pub(super) struct Written<'a> {
    pub body: &'a Body,
    pub captures: usize,
    pub position: Position,
}

pub(super) fn parse(engine: &rhai::Engine, text: &Text) -> Result<Parsed, Mistake> {
    if text.as_str().trim().is_empty() {
        return Err(
            Mistake::new("empty-expression", "the expression is empty", text.place())
                .help("write what is to be evaluated, or leave the key out"),
        );
    }
    if text.as_str().chars().nth(LONGEST).is_some() {
        let message = format!("the expression is longer than {LONGEST} characters");
        return Err(Mistake::new("expression-too-long", message, text.place()));
    }
    let ast = engine
        .compile(text.as_str())
        .map_err(|error| complain(&error, text))?;
    let mut functions = BTreeMap::new();
    let mut named = Vec::new();
    for (_, _, name, _, definition) in ast.shared_lib().iter_script_fn_info() {
        if !name.starts_with("anon$") {
            named.push((name.to_owned(), definition.body.start_position()));
            continue;
        }
        let body = Body {
            parameters: definition.params.to_vec(),
            statements: body_of(&ast, name),
        };
        functions.insert(name.to_owned(), body);
    }
    Ok(Parsed {
        statements: ast.statements().to_vec(),
        functions,
        named,
    })
}

fn body_of(ast: &AST, function: &str) -> Vec<Stmt> {
    let only = ast.clone_functions_only_filtered(|_, _, _, name, _| name == function);
    let mut body = Vec::new();
    only.walk(&mut |path| {
        if let [ASTNode::Stmt(statement)] = path {
            body.push((*statement).clone());
        }
        true
    });
    body
}

impl Parsed {
    /// The function that a node is, if it is one. Rhai writes one that captures as a block of `share` and `curry`.
    pub fn function(&self, node: &Node) -> Option<Written<'_>> {
        match node {
            Node::DynamicConstant(value, position) => {
                let pointer = value.read_lock::<FnPtr>()?;
                Some(Written {
                    body: self.functions.get(pointer.fn_name())?,
                    captures: 0,
                    position: *position,
                })
            }
            Node::Stmt(block) => match block.statements() {
                [Stmt::Share(_), Stmt::Expr(curry)] => match &**curry {
                    Node::FnCall(call, _) => Some(Written {
                        captures: call.args.len().saturating_sub(1),
                        ..self.function(call.args.first()?)?
                    }),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        }
    }
}

/// The place of a position of Rhai inside the text.
pub(super) fn place(text: &Text, position: Position) -> Place {
    text.place_of(character(text.as_str(), position))
}

/// Lines and columns count from 1, in characters.
fn character(text: &str, position: Position) -> usize {
    let Some(line) = position.line() else {
        return 0;
    };
    let before: usize = text
        .split_inclusive('\n')
        .take(line.saturating_sub(1))
        .map(|line| line.chars().count())
        .sum();
    before + position.position().unwrap_or(1).saturating_sub(1)
}

/// A mistake that Rhai found, in our words where ours help more.
fn complain(error: &ParseError, text: &Text) -> Mistake {
    let ParseError(kind, position) = error;
    let at = match position.is_none() {
        true => text.place_of(text.as_str().chars().count()),
        false => place(text, *position),
    };
    let (message, help) = explain(kind);
    Mistake {
        code: "bad-expression",
        message,
        help,
        place: at,
    }
}

fn explain(kind: &ParseErrorType) -> (String, Option<String>) {
    let said = |message: &str, help: &str| (message.to_owned(), Some(help.to_owned()));
    match kind {
        ParseErrorType::UnexpectedEOF => said(
            "the expression ends too early",
            "something is missing at its end",
        ),
        ParseErrorType::Reserved(word) => match word.as_str() {
            "null" | "nil" | "void" => {
                said(&format!("`{word}` is no value"), "write `()` for nothing")
            }
            "is" | "===" | "!==" => said(
                &format!("`{word}` is not an operator"),
                "write `==` or `!=`",
            ),
            "print" | "debug" | "eval" | "import" | "export" | "Fn" | "is_def_var"
            | "is_def_fn" => said(
                &format!("`{word}` cannot be used in rules"),
                "expressions only look at their names and give a value",
            ),
            _ => said(
                &format!("`{word}` is a word of Rhai"),
                &format!("a key with that name is read `doc[\"{word}\"]`"),
            ),
        },
        ParseErrorType::BadInput(LexError::UnexpectedInput(input)) => match input.as_str() {
            "and" => said("`and` is not an operator", "write `&&`"),
            "or" => said("`or` is not an operator", "write `||`"),
            _ => (format!("unexpected `{input}`"), None),
        },
        ParseErrorType::BadInput(LexError::MalformedChar(_)) => said(
            "a text stands in double quotes",
            "write \"…\" instead of '…'",
        ),
        ParseErrorType::BadInput(LexError::UnterminatedString) => {
            said("the text does not end", "a `\"` is missing")
        }
        ParseErrorType::ExprTooDeep => (
            "the expression is nested too deeply".to_owned(),
            Some("give parts of it a name under `let:`".to_owned()),
        ),
        other => {
            let message = other.to_string();
            let mut letters = message.chars();
            let lower = letters
                .next()
                .map(|first| first.to_lowercase().chain(letters).collect());
            (lower.unwrap_or(message), None)
        }
    }
}
