//! A JSON-like tree whose texts are templates.

use serde_json::Value;

use super::{Engine, Fault, Known, Scope, Template, exits};
use crate::model::{
    node::{Node, Tree},
    text::Mistake,
};

/// A JSON-like tree whose texts are templates: the arguments of a step, the body of a request, what `publish` sets.
#[derive(Clone, Debug)]
pub enum TemplateTree {
    Value(Value),
    Text(Template),
    List(Vec<TemplateTree>),
    Map(Vec<(String, TemplateTree)>),
}

impl TemplateTree {
    /// Compiles and checks every text of a tree; keys are plain. `None` if there are mistakes, all of which are pushed.
    pub fn compile(
        engine: &Engine,
        node: &Node,
        known: &Known,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<TemplateTree> {
        let before = mistakes.len();
        let tree = match &node.tree {
            Tree::Str(text) if !text.contains("${") => TemplateTree::Value(text.as_str().into()),
            Tree::Str(_) => {
                TemplateTree::Text(Template::compile(engine, &node.text()?, known, mistakes)?)
            }
            Tree::Seq(items) => {
                let compiled: Vec<Option<TemplateTree>> = items
                    .iter()
                    .map(|item| TemplateTree::compile(engine, item, known, mistakes))
                    .collect();
                TemplateTree::List(compiled.into_iter().flatten().collect())
            }
            Tree::Map(entries) => {
                let compiled: Vec<Option<(String, TemplateTree)>> = entries
                    .iter()
                    .map(|(key, value)| {
                        let tree = TemplateTree::compile(engine, value, known, mistakes)?;
                        Some((key.key().to_owned(), tree))
                    })
                    .collect();
                TemplateTree::Map(compiled.into_iter().flatten().collect())
            }
            Tree::Null | Tree::Bool(_) | Tree::Int(_) | Tree::Float(_) => {
                TemplateTree::Value(node.to_json())
            }
        };
        (mistakes.len() == before).then_some(tree)
    }

    /// What it will look like, as far as that is known before it is filled in; `null` is of any kind.
    pub fn sample(&self) -> Value {
        match self {
            TemplateTree::Value(value) => value.clone(),
            // a text that is exactly one `${…}` keeps its value's kind
            TemplateTree::Text(template) => match (template.constant(), template.parts()) {
                (Some(text), _) => text.into(),
                (None, 1) => Value::Null,
                (None, _) => "text".into(),
            },
            TemplateTree::List(items) => {
                let samples = items.iter().map(TemplateTree::sample);
                let one = samples.reduce(|one, other| exits::common(&one, &other));
                Value::Array(one.into_iter().collect())
            }
            TemplateTree::Map(entries) => {
                let entries = entries.iter();
                let entries = entries.map(|(key, value)| (key.clone(), value.sample()));
                Value::Object(entries.collect())
            }
        }
    }

    pub fn render(&self, engine: &Engine, scope: &Scope<'_>) -> Result<Value, Fault> {
        match self {
            TemplateTree::Value(value) => Ok(value.clone()),
            TemplateTree::Text(template) => template.value(engine, scope),
            TemplateTree::List(items) => items
                .iter()
                .map(|item| item.render(engine, scope))
                .collect(),
            TemplateTree::Map(entries) => entries
                .iter()
                .map(|(key, value)| Ok((key.clone(), value.render(engine, scope)?)))
                .collect(),
        }
    }
}
