//! The values of a test. Every text in them may hold `${…}` over `now`, `elapsed` (seconds since the start of the test),
//! `i` (the number of a line), `vars` and `env(…)`; they are computed when they are used, so they follow virtual time.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::{
    model::{
        moment::Moment,
        node::Node,
        text::{Mistake, Text},
    },
    script::{Engine, Env, Fault, Ground, Known, Scope, Template, TemplateTree},
};

/// What values are compiled and computed with.
pub(super) struct Values<'a> {
    pub engine: &'a Engine,
    pub vars: Arc<Map<String, Value>>,
    pub env: Arc<Env>,
    pub start: Moment,
    known: Known,
}

impl<'a> Values<'a> {
    pub fn new(
        engine: &'a Engine,
        vars: Map<String, Value>,
        env: Env,
        start: Moment,
    ) -> Values<'a> {
        let known = Known::ground(&vars)
            .with_env(env.listed.keys().map(String::as_str))
            .with("elapsed", Some(Value::from(0.5)))
            .with("i", Some(Value::from(0)));
        Values {
            engine,
            vars: Arc::new(vars),
            env: Arc::new(env),
            start,
            known,
        }
    }

    /// What rules see at this instant.
    pub fn ground(&self, now: Moment) -> Ground {
        Ground {
            now,
            vars: self.vars.clone(),
            env: self.env.clone(),
        }
    }

    pub fn tree(&self, node: &Node, mistakes: &mut Vec<Mistake>) -> Option<TemplateTree> {
        TemplateTree::compile(self.engine, node, &self.known, mistakes)
    }

    pub fn text(&self, text: &Text, mistakes: &mut Vec<Mistake>) -> Option<Template> {
        Template::compile(self.engine, text, &self.known, mistakes)
    }

    pub fn render(&self, tree: &TemplateTree, now: Moment, i: usize) -> Result<Value, Fault> {
        let ground = self.ground(now);
        tree.render(self.engine, &self.scope(&ground, i))
    }

    pub fn render_text(&self, text: &Template, now: Moment) -> Result<String, Fault> {
        let ground = self.ground(now);
        text.render(self.engine, &self.scope(&ground, 0))
    }

    fn scope<'g>(&self, ground: &'g Ground, i: usize) -> Scope<'g> {
        let mut scope = Scope::new(ground);
        scope.bind(
            "elapsed",
            Value::from(ground.now.since(self.start).as_secs_f64()),
        );
        scope.bind("i", Value::from(i));
        scope
    }
}
