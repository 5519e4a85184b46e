//! Which names an expression may read, by where it stands.
//!
//! | stands in | reads |
//! |---|---|
//! | probe | `vars`, `env(…)` |
//! | `enough` | facts |
//! | `let`, `value`, `critical`, `warning` | facts, `let`, `prev`, `kept`, `baseline` |
//! | `message`, `keep` | the same and `status` |
//! | `until`, `proves` | the same and `acted` |
//! | `publish` | the same and `ledger` |
//! | steps | facts, `let`, `baseline`, with `each` also `it` |

use serde_json::{Map, Value, json};

use super::{super::names, Compiler};
use crate::{
    model::{
        facts::Facts,
        node::Node,
        text::{Mistake, Text},
    },
    permission::Permission,
    script::{Expr, Known, Program, Template, TemplateTree},
};

/// The code of a mistake that says that there is no such name.
const UNKNOWN_NAME: &str = "unknown-name";

/// The names of one check, growing as its parts are read.
pub struct Names<'a> {
    compiler: &'a Compiler<'a>,
    /// Where each name comes from, to refuse a second one.
    taken: Vec<(String, &'static str)>,
    lets: Vec<String>,
    /// Facts only.
    pub facts: Known,
    /// Facts, `let` and what is remembered.
    pub judging: Known,
    /// Facts and `let`.
    pub steps: Known,
    /// A probe could not be built, so its facts are not known: nobody is blamed for reading one.
    pub incomplete: bool,
}

impl<'a> Names<'a> {
    pub fn new(compiler: &'a Compiler<'a>) -> Names<'a> {
        let ground = compiler.ground.clone();
        Names {
            compiler,
            taken: Vec::new(),
            lets: Vec::new(),
            facts: ground.clone(),
            judging: ground.clone(),
            steps: ground,
            incomplete: false,
        }
    }

    pub fn permission(&self) -> &Permission {
        self.compiler.permission
    }

    pub fn vars(&self) -> &Map<String, Value> {
        self.compiler.vars
    }

    pub fn with_facts(&mut self, shape: &Facts) {
        self.facts = self.facts.clone().with_facts(shape);
        self.taken.extend(
            shape
                .names()
                .map(|name| (name.to_owned(), "a fact of the probe")),
        );
    }

    /// The facts of one of several probes, under its name. False if the name cannot be given.
    pub fn with_probe(
        &mut self,
        name: &Text,
        shape: Option<&Facts>,
        mistakes: &mut Vec<Mistake>,
    ) -> bool {
        if !self.take(name, "a probe", mistakes) {
            return false;
        }
        self.facts = self
            .facts
            .clone()
            .with(name.as_str(), shape.map(Facts::to_json));
        true
    }

    /// All `let` names at once: they may use each other whatever their order.
    pub fn with_lets(&mut self, lets: &[(Text, &Node)], mistakes: &mut Vec<Mistake>) -> Vec<bool> {
        let good: Vec<bool> = lets
            .iter()
            .map(|(name, _)| self.take(name, "a `let`", mistakes))
            .collect();
        let mut known = self.facts.clone();
        for (name, _) in lets {
            known = known.with(name.as_str(), None);
            self.lets.push(name.to_string());
        }
        self.steps = known.clone();
        let lets: Map<String, Value> = self
            .lets
            .iter()
            .map(|name| (name.clone(), Value::Null))
            .collect();
        self.judging = known.with("prev", Some(json!({"status": null, "let": lets})));
        good
    }

    /// `kept`, for a check with `keep`.
    pub fn with_kept(&mut self, names: impl IntoIterator<Item = String>) {
        let kept: Map<String, Value> = names.into_iter().map(|name| (name, Value::Null)).collect();
        self.judging = self.judging.clone().with("kept", Some(Value::Object(kept)));
    }

    /// `baseline`, for a check that has one. What a person confirmed is not known at load: every property may be read.
    pub fn with_baseline(&mut self) {
        self.judging = self.judging.clone().with("baseline", None);
        self.steps = self.steps.clone().with("baseline", None);
    }

    /// Also `status`.
    pub fn judged(&self) -> Known {
        self.judging.clone().with("status", Some(json!("ok")))
    }

    /// Also `acted`.
    pub fn proving(&self) -> Known {
        self.judged().with("acted", Some(json!(0.0)))
    }

    /// Also `ledger`.
    pub fn published(&self) -> Known {
        let mut ledger = json!({"attempts": 0, "verified": 0, "failed": 0, "held": 0});
        ledger["all"] = ledger.clone();
        self.judged().with("ledger", Some(ledger))
    }

    fn take(&mut self, name: &Text, what: &'static str, mistakes: &mut Vec<Mistake>) -> bool {
        if !names::check_variable(name, &format!("{what} value"), mistakes) {
            return false;
        }
        let text = name.as_str();
        if let Some((_, other)) = self.taken.iter().find(|(taken, _)| taken == text) {
            mistakes.push(
                Mistake::new(
                    "duplicate-name",
                    format!("`{text}` is already the name of {other}"),
                    name.place(),
                )
                .help("choose another name"),
            );
            return false;
        }
        self.taken.push((text.to_owned(), what));
        true
    }

    pub fn expr(&self, text: &Text, known: &Known, mistakes: &mut Vec<Mistake>) -> Option<Expr> {
        let from = mistakes.len();
        let expr = Expr::compile(self.compiler.engine, text, known, mistakes);
        self.sift(from, known, mistakes);
        expr
    }

    pub fn template(
        &self,
        text: &Text,
        known: &Known,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<Template> {
        let from = mistakes.len();
        let template = Template::compile(self.compiler.engine, text, known, mistakes);
        self.sift(from, known, mistakes);
        template
    }

    pub fn tree(
        &self,
        node: &Node,
        known: &Known,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<TemplateTree> {
        let from = mistakes.len();
        let tree = TemplateTree::compile(self.compiler.engine, node, known, mistakes);
        self.sift(from, known, mistakes);
        tree
    }

    /// The script of a step, which sees `args` and what every expression sees.
    pub fn step_script(
        &self,
        file: &Text,
        args: Option<Value>,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<Program> {
        let mut known = self.compiler.ground.clone();
        if let Some(args) = args {
            known = known.with("args", Some(args));
        }
        let text = self.compiler.scripts.find(file, mistakes)?;
        Program::of_step(self.compiler.engine, text, &known, mistakes)
    }

    /// Leaves out mistakes that only follow from others, and explains those about names that exist elsewhere.
    fn sift(&self, from: usize, known: &Known, mistakes: &mut Vec<Mistake>) {
        let found = mistakes.split_off(from.min(mistakes.len()));
        for mut mistake in found {
            if mistake.code == UNKNOWN_NAME {
                if self.incomplete {
                    continue;
                }
                if let Some(why) = self.elsewhere(&mistake, known) {
                    mistake.help = Some(why);
                }
            }
            mistakes.push(mistake);
        }
    }

    fn elsewhere(&self, mistake: &Mistake, known: &Known) -> Option<String> {
        let name = mistake.message.split('`').nth(1)?;
        if self.lets.iter().any(|known| known == name) && !known.contains(name) {
            return Some(format!(
                "`{name}` is a `let`, and `enough` is asked before those: it reads facts only"
            ));
        }
        let why = match name {
            "status" => "`status` exists in message, keep, publish and until",
            "it" => "`it` exists in the arguments of a step with `each`",
            "r" => "`r` exists in `where`",
            "kept" => {
                "`kept` exists in a check with `keep`, after the look is judged to have enough"
            }
            "prev" => "`prev` exists from `let` on",
            "baseline" => "`baseline` exists in a check with a `baseline`, from `let` on",
            "acted" => "`acted` exists in `proves` and `until`",
            "ledger" => "`ledger` exists in publish",
            _ => return None,
        };
        Some(why.to_owned())
    }
}
