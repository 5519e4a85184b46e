//! A JSON-like tree whose texts are templates.

use serde_json::Value;

use super::{Engine, Fault, Known, Scope, Template, Unfit, UrlTemplate, exits};
use crate::model::{
    node::{Node, Tree},
    text::Mistake,
};

/// A JSON-like tree whose texts are templates: the arguments of a step, the body of a request, what `publish` sets.
#[derive(Clone, Debug)]
pub enum TemplateTree {
    Value(Value),
    Text(Template),
    /// What is filled in is encoded.
    Url(UrlTemplate),
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
            TemplateTree::Url(_) => "text".into(),
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
            TemplateTree::Url(url) => match url.render(engine, scope)? {
                Ok(url) => Ok(Value::String(url)),
                Err(unfit) => Err(url.template().fault(match unfit {
                    Unfit::NotConfigured => {
                        "not configured: a `${…}` of the URL gave ()".to_owned()
                    }
                    Unfit::Wrong(why) => why,
                })),
            },
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

    /// As [`TemplateTree::render`], but `None` if a `${…}` gives `()`: a null that is meant is written as one.
    pub fn given(&self, engine: &Engine, scope: &Scope<'_>) -> Result<Option<Value>, Fault> {
        match self {
            TemplateTree::Value(value) => Ok(Some(value.clone())),
            TemplateTree::Text(template) => {
                let value = template.whole(engine, scope)?;
                match value {
                    Some(value) => Ok((!value.is_null()).then_some(value)),
                    None => Ok(template.given(engine, scope)?.map(Value::String)),
                }
            }
            TemplateTree::Url(url) => Ok(url.render(engine, scope)?.ok().map(Value::String)),
            TemplateTree::List(items) => {
                items.iter().map(|item| item.given(engine, scope)).collect()
            }
            TemplateTree::Map(entries) => entries
                .iter()
                .map(|(key, value)| Ok(value.given(engine, scope)?.map(|it| (key.clone(), it))))
                .collect(),
        }
    }

    /// Takes the text under this key of a map for a URL. `None` if it cannot be one with its templates.
    pub fn with_url(self, key: &str, mistakes: &mut Vec<Mistake>) -> Option<TemplateTree> {
        let TemplateTree::Map(mut entries) = self else {
            return Some(self);
        };
        for (name, value) in &mut entries {
            if name == key
                && let TemplateTree::Text(template) = value
            {
                *value = TemplateTree::Url(UrlTemplate::of(template.clone(), mistakes)?);
            }
        }
        Some(TemplateTree::Map(entries))
    }
}
