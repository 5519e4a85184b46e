//! Texts with `${ … }` in them, and whole trees of such texts.

use serde_json::Value;

use super::{Engine, Expr, Fault, Known, Scope};
use crate::model::{
    node::Node,
    text::{Mistake, Text},
};

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
        let _ = (engine, known, mistakes);
        Some(Template {
            text: text.clone(),
            pieces: Vec::new(),
        })
    }

    pub fn text(&self) -> &Text {
        &self.text
    }

    /// The text itself when it has no `${…}`.
    pub fn constant(&self) -> Option<&str> {
        match &self.pieces[..] {
            [] => Some(""),
            [Piece::Plain(text)] => Some(text),
            _ => None,
        }
    }

    /// A text; a `${…}` that gives `()` is a fault, a map or list is written as JSON.
    pub fn render(&self, engine: &Engine, scope: &Scope<'_>) -> Result<String, Fault> {
        let _ = (engine, scope);
        todo!()
    }

    /// A value: of its own kind if the template is exactly one `${…}`, else the text.
    pub fn value(&self, engine: &Engine, scope: &Scope<'_>) -> Result<Value, Fault> {
        let _ = (engine, scope);
        todo!()
    }
}

/// A JSON-like tree whose texts are templates: the arguments of a step, the body of a request, what `publish` sets.
#[derive(Clone, Debug)]
pub enum TemplateTree {
    Value(Value),
    Text(Template),
    List(Vec<TemplateTree>),
    Map(Vec<(String, TemplateTree)>),
}

impl TemplateTree {
    pub fn compile(
        engine: &Engine,
        node: &Node,
        known: &Known,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<TemplateTree> {
        let _ = (engine, known, mistakes);
        Some(TemplateTree::Value(node.to_json()))
    }

    pub fn render(&self, engine: &Engine, scope: &Scope<'_>) -> Result<Value, Fault> {
        let _ = (engine, scope);
        todo!()
    }
}
