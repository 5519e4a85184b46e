//! From an expression's text to Rhai's syntax tree, and from Rhai's places and complaints to ours.
//!
//! Rhai keeps the bodies of functions (`|r| …`) apart from the expression; here they are found again by name.

use std::{cell::Cell, collections::BTreeMap};

use rhai::{
    AST, ASTNode, Expr as Node, FnPtr, ImmutableString, LexError, Module, ParseError,
    ParseErrorType, Position, ScriptFuncDef, Shared, Stmt, Token,
};

use crate::model::text::{Mistake, Place, Text};

/// Longest expression, in characters: Rhai counts lines and columns in 16 bits.
const LONGEST: usize = 20_000;
/// Longest script.
const LONGEST_SCRIPT: usize = 60_000;

/// What a text may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// One value.
    Expression,
    /// Statements, the last of which gives the value.
    Script {
        /// Whether it may call the functions that look.
        looks: bool,
    },
}

thread_local! {
    static AFTER_DOT: Cell<bool> = const { Cell::new(false) };
}

/// Lets `prev.let.NAME` be written, though `let` is a word of Rhai.
pub(super) fn token(token: Token) -> Token {
    let after_dot = AFTER_DOT.replace(matches!(token, Token::Period | Token::Elvis));
    match token {
        Token::Let if after_dot => Token::Identifier(Box::new("let".into())),
        token => token,
    }
}

/// A syntax tree and the functions written in it.
pub(super) struct Parsed {
    pub form: Form,
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

pub(super) fn parse(engine: &rhai::Engine, text: &Text, form: Form) -> Result<Parsed, Mistake> {
    let (what, longest) = match form {
        Form::Expression => ("expression", LONGEST),
        Form::Script { .. } => ("script", LONGEST_SCRIPT),
    };
    if text.as_str().trim().is_empty() {
        return Err(Mistake::new(
            "empty-expression",
            format!("the {what} is empty"),
            text.place(),
        )
        .help("write what is to be evaluated, or leave the key out"));
    }
    if text.as_str().chars().nth(longest).is_some() {
        let message = format!("the {what} is longer than {longest} characters");
        return Err(Mistake::new("expression-too-long", message, text.place()));
    }
    AFTER_DOT.set(false);
    let ast = engine
        .compile(text.as_str())
        .map_err(|error| complain(&error, text, form))?;
    let mut functions = BTreeMap::new();
    let mut named = Vec::new();
    for (_, _, name, _, definition) in ast.shared_lib().iter_script_fn_info() {
        if !name.starts_with("anon$") {
            named.push((name.to_owned(), definition.body.start_position()));
            continue;
        }
        let body = Body {
            parameters: definition.params.to_vec(),
            statements: body_of(definition),
        };
        functions.insert(name.to_owned(), body);
    }
    Ok(Parsed {
        form,
        statements: ast.statements().to_vec(),
        functions,
        named,
    })
}

/// Only a walk over a tree leads into the body of a function: make a tree of this one alone.
fn body_of(definition: &Shared<ScriptFuncDef>) -> Vec<Stmt> {
    let mut alone = Module::new();
    alone.set_script_fn(definition.clone());
    let mut body = Vec::new();
    AST::new([], alone).walk(&mut |path| {
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
fn complain(error: &ParseError, text: &Text, form: Form) -> Mistake {
    let ParseError(kind, position) = error;
    let index = match position.is_none() {
        true => text.as_str().chars().count(),
        false => character(text.as_str(), *position),
    };
    let (message, help) = explain(kind, &word_at(text.as_str(), index), form);
    let mistake = Mistake::new("bad-expression", message, text.place_of(index));
    match help.is_empty() {
        true => mistake,
        false => mistake.help(help),
    }
}

/// The word or sign that stands at a character.
fn word_at(text: &str, index: usize) -> String {
    let mut rest = text.chars().skip(index).peekable();
    let is_word = |c: &char| c.is_alphanumeric() || *c == '_';
    match rest.peek() {
        Some(first) if is_word(first) => rest.take_while(is_word).collect(),
        _ => rest.take(1).collect(),
    }
}

fn explain(kind: &ParseErrorType, found: &str, form: Form) -> (String, String) {
    let said = |message: &str, help: &str| (message.to_owned(), help.to_owned());
    match kind {
        ParseErrorType::UnexpectedEOF => said(
            match form {
                Form::Expression => "the expression ends too early",
                Form::Script { .. } => "the script ends too early",
            },
            "something is missing at its end",
        ),
        ParseErrorType::Reserved(word) => reserved(word),
        ParseErrorType::PropertyExpected if found.starts_with(char::is_alphabetic) => (
            format!("`{found}` is a word of Rhai"),
            format!("a key with that name is read `doc[\"{found}\"]`"),
        ),
        ParseErrorType::BadInput(LexError::ImproperSymbol(word, _)) => reserved(word),
        // Rhai takes what follows a whole expression for a new statement
        ParseErrorType::MissingToken(token, _) if token == ";" => (
            format!("`{found}` cannot stand here"),
            match found {
                "and" => "write `&&`",
                "or" => "write `||`",
                "is" => "write `==`",
                ")" | "]" | "}" => "nothing was opened that it closes",
                _ if form != Form::Expression => "a `;` or an operator is missing before it",
                _ => "an operator is missing before it",
            }
            .to_owned(),
        ),
        ParseErrorType::MissingToken(token, _) if token.len() == 1 => {
            said(&format!("a `{token}` is missing"), "")
        }
        ParseErrorType::BadInput(LexError::MalformedChar(_)) => said(
            "a text stands in double quotes",
            "write \"…\" instead of '…'",
        ),
        ParseErrorType::BadInput(LexError::UnterminatedString) => {
            said("the text does not end", "a `\"` is missing")
        }
        ParseErrorType::ExprTooDeep => said(
            "the expression is nested too deeply",
            "give parts of it a name under `let:`",
        ),
        other => {
            let message = other.to_string();
            let mut letters = message.chars();
            let lower = letters
                .next()
                .map(|first| first.to_lowercase().chain(letters).collect());
            (lower.unwrap_or(message), String::new())
        }
    }
}

/// A word of Rhai where a name, a value or a function should stand.
fn reserved(word: &str) -> (String, String) {
    let (message, help) = match word {
        "null" | "nil" | "void" => ("is no value", "write `()` for nothing".to_owned()),
        "is" | "===" | "!==" => ("is not an operator", "write `==` or `!=`".to_owned()),
        "print" | "debug" | "eval" | "import" | "export" | "Fn" | "is_def_var" | "is_def_fn" => (
            "cannot be used in rules",
            "an expression only looks at its names and gives a value".to_owned(),
        ),
        _ => (
            "is a word of Rhai",
            format!("a key with that name is read `doc[\"{word}\"]`"),
        ),
    };
    (format!("`{word}` {message}"), help)
}
