//! Texts with `${ … }` in them.

use serde_json::Value;

use super::{Engine, Expr, Fault, Known, Scope};
use crate::model::text::{Mistake, Text};

/// A text whose `${ … }` are expressions. A text that is exactly one `${…}` keeps its value's kind. `$${` is a plain `${`.
#[derive(Clone, Debug)]
pub struct Template {
    pub(super) text: Text,
    pub(super) pieces: Vec<Piece>,
}

#[derive(Clone, Debug)]
pub(super) enum Piece {
    Plain(String),
    Expr(Expr),
}

impl Template {
    /// Compiles and checks a template; `None` if it has mistakes, all of which are pushed at their own characters.
    pub fn compile(
        engine: &Engine,
        text: &Text,
        known: &Known,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<Template> {
        let before = mistakes.len();
        let mut pieces = Vec::new();
        for part in cut(text, mistakes) {
            match part {
                Part::Plain(plain) => pieces.push(Piece::Plain(plain)),
                Part::Inner(from, to) => {
                    let inner = text.part(from, to);
                    pieces.extend(Expr::compile(engine, &inner, known, mistakes).map(Piece::Expr));
                }
            }
        }
        (mistakes.len() == before).then(|| Template {
            text: text.clone(),
            pieces,
        })
    }

    /// How many plain texts and expressions it is made of.
    pub(super) fn parts(&self) -> usize {
        self.pieces.len()
    }

    pub fn text(&self) -> &Text {
        &self.text
    }

    /// The names its expressions read, each once.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self
            .pieces
            .iter()
            .filter_map(|piece| match piece {
                Piece::Expr(expr) => Some(expr.names()),
                Piece::Plain(_) => None,
            })
            .flatten()
            .map(String::as_str)
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The text itself when it has no `${…}`.
    pub fn constant(&self) -> Option<&str> {
        match &self.pieces[..] {
            [] => Some(""),
            [Piece::Plain(text)] => Some(text),
            _ => None,
        }
    }

    /// A fault of the text as a whole.
    pub(super) fn fault(&self, message: String) -> Fault {
        Fault {
            message,
            place: self.text.place(),
            expression: self.text.to_string(),
        }
    }

    /// A text; a `${…}` that gives `()` is a fault, a map or list is written as JSON.
    pub fn render(&self, engine: &Engine, scope: &Scope<'_>) -> Result<String, Fault> {
        let mut rendered = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Plain(text) => rendered.push_str(text),
                Piece::Expr(expr) => rendered.push_str(&expr.rendered(engine, scope)?),
            }
        }
        Ok(rendered)
    }

    /// As [`Template::render`], but `None` if a `${…}` gives `()`: what is to be sent is not configured.
    pub fn given(&self, engine: &Engine, scope: &Scope<'_>) -> Result<Option<String>, Fault> {
        let mut rendered = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Plain(text) => rendered.push_str(text),
                Piece::Expr(expr) => match expr.given(engine, scope)? {
                    Some(text) => rendered.push_str(&text),
                    None => return Ok(None),
                },
            }
        }
        Ok(Some(rendered))
    }

    /// The value of a text that is exactly one `${…}`; `None` if it is not.
    pub(super) fn whole(&self, engine: &Engine, scope: &Scope<'_>) -> Result<Option<Value>, Fault> {
        match &self.pieces[..] {
            [Piece::Expr(expr)] => expr.value(engine, scope).map(Some),
            _ => Ok(None),
        }
    }

    /// A value: of its own kind if the template is exactly one `${…}`, else the text.
    pub fn value(&self, engine: &Engine, scope: &Scope<'_>) -> Result<Value, Fault> {
        match &self.pieces[..] {
            [Piece::Expr(expr)] => expr.value(engine, scope),
            _ => self.render(engine, scope).map(Value::String),
        }
    }
}

enum Part {
    Plain(String),
    /// An expression, from its first character to the one after its last.
    Inner(usize, usize),
}

fn cut(text: &Text, mistakes: &mut Vec<Mistake>) -> Vec<Part> {
    let characters: Vec<char> = text.as_str().chars().collect();
    let starts = |at: usize, what: &str| {
        let rest = characters.get(at..).unwrap_or_default();
        what.chars()
            .enumerate()
            .all(|(offset, c)| rest.get(offset) == Some(&c))
    };
    let mut parts = Vec::new();
    let mut plain = String::new();
    let mut at = 0;
    while let Some(character) = characters.get(at) {
        if starts(at, "$${") {
            plain.push_str("${");
            at += 3;
        } else if starts(at, "${") {
            let Some(end) = closing(&characters, at + 2) else {
                let mistake = Mistake::new(
                    "bad-template",
                    "this `${` is never closed",
                    text.place_of(at),
                );
                mistakes.push(mistake.help("add a `}`, or write `$${` for a plain `${`"));
                break;
            };
            if !plain.is_empty() {
                parts.push(Part::Plain(std::mem::take(&mut plain)));
            }
            parts.push(Part::Inner(at + 2, end));
            at = end + 1;
        } else {
            plain.push(*character);
            at += 1;
        }
    }
    if !plain.is_empty() {
        parts.push(Part::Plain(plain));
    }
    parts
}

/// Where the `}` stands that closes an expression: not one inside a text, a comment or an inner `{ }`.
fn closing(characters: &[char], from: usize) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = from;
    while let Some(character) = characters.get(at) {
        let next = characters.get(at + 1);
        match (character, next) {
            ('{', _) => depth += 1,
            ('}', _) if depth == 0 => return Some(at),
            ('}', _) => depth -= 1,
            ('"', _) => at = text_end(characters, at + 1, '"')?,
            ('\'', _) => at = text_end(characters, at + 1, '\'')?,
            ('`', _) => at = backtick_end(characters, at + 1)?,
            ('/', Some('/')) => {
                while characters.get(at).is_some_and(|c| *c != '\n') {
                    at += 1;
                }
            }
            ('/', Some('*')) => at = comment_end(characters, at + 2)?,
            _ => {}
        }
        at += 1;
    }
    None
}

fn text_end(characters: &[char], from: usize, quote: char) -> Option<usize> {
    let mut at = from;
    loop {
        match characters.get(at)? {
            '\\' => at += 1,
            character if *character == quote => return Some(at),
            _ => {}
        }
        at += 1;
    }
}

fn backtick_end(characters: &[char], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        match (characters.get(at)?, characters.get(at + 1)) {
            ('`', _) => return Some(at),
            ('$', Some('{')) => at = closing(characters, at + 2)?,
            _ => {}
        }
        at += 1;
    }
}

fn comment_end(characters: &[char], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        match (characters.get(at)?, characters.get(at + 1)) {
            ('*', Some('/')) => return Some(at + 1),
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{model::facts::Facts, script::Ground};

    fn compiled(source: &str) -> Result<Template, String> {
        let engine = Engine::new();
        let known = Known::default()
            .with("n", None)
            .with("doc", None)
            .with("nothing", None);
        let marks = (1..=source.chars().count() as u32 + 1).map(|column| (1, column));
        let text = Text::placed(source, Default::default(), Some(marks.collect()));
        let mut mistakes = Vec::new();
        Template::compile(&engine, &text, &known, &mut mistakes).ok_or_else(|| {
            let told = mistakes
                .iter()
                .map(|it| format!("{}: {}", it.place.column, it.message));
            told.collect::<Vec<_>>().join("; ")
        })
    }

    fn value(source: &str) -> Value {
        let template = match compiled(source) {
            Ok(template) => template,
            Err(mistakes) => return mistakes.into(),
        };
        let facts =
            Facts::from_json(json!({"n": 5, "doc": {"a": [1], "b}": "x"}, "nothing": null}));
        let (ground, facts) = (Ground::default(), facts.unwrap());
        match template.value(&Engine::new(), &Scope::new(&ground).facts(&facts)) {
            Ok(value) => value,
            Err(fault) => format!("FAULT {}: {fault}", fault.place.column).into(),
        }
    }

    #[test]
    fn texts_and_values() {
        for (source, wanted) in [
            ("", json!("")),
            ("plain", json!("plain")),
            ("${n}", json!(5)),
            (" ${n}", json!(" 5")),
            ("${n}${n}", json!("55")),
            ("${doc.a}", json!([1])),
            ("x ${doc.a} y", json!("x [1] y")),
            ("${nothing}", json!(null)),
            (
                "a ${nothing}",
                json!("FAULT 5: nothing () cannot be written as text"),
            ),
            ("${doc[\"b}\"]}!", json!("x!")),
            ("${#{a: 1}.a}", json!(1)),
            ("${if n > 3 { \"{\" } else { \"}\" }}", json!("{")),
            ("${`a${n}}`}", json!("a5}")),
            ("${n /* } */ + 1}", json!(6)),
            ("$${n} costs $5 {n} $", json!("${n} costs $5 {n} $")),
            ("$$${n}", json!("$${n}")),
            ("${n", json!("1: this `${` is never closed")),
            ("ab ${\"x}", json!("4: this `${` is never closed")),
            ("${}", json!("3: the expression is empty")),
            (
                "ä ${m} ${n +}",
                json!("5: unknown name `m`; 13: the expression ends too early"),
            ),
        ] {
            assert_eq!(value(source), wanted, "{source}");
        }
    }

    #[test]
    fn nothing_given_is_no_fault_where_it_means_not_configured() {
        let given = |source: &str| {
            let facts = Facts::from_json(json!({"n": 5, "doc": {"a": [1]}, "nothing": null}));
            let (ground, facts) = (Ground::default(), facts.unwrap());
            let template = compiled(source).unwrap();
            let scope = Scope::new(&ground).facts(&facts);
            template.given(&Engine::new(), &scope)
        };
        assert_eq!(given("a ${n}${doc.a}"), Ok(Some("a 5[1]".to_owned())));
        assert_eq!(given("a ${nothing}"), Ok(None));
        assert!(given("a ${doc.b}").is_err());
    }

    #[test]
    fn a_constant_is_known_at_load() {
        assert_eq!(compiled("a$${b}").unwrap().constant(), Some("a${b}"));
        assert_eq!(compiled("").unwrap().constant(), Some(""));
        assert_eq!(compiled("a${n}").unwrap().constant(), None);
        assert_eq!(
            compiled("${n} ${doc.a} ${n}").unwrap().names(),
            ["doc", "n"]
        );
    }
}
