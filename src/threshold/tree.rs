//! The lines of a threshold as trees for people: each expression with its value, below it the names it reads, down
//! through `let` to the facts.
//!
//! A tree is grown afterwards from the facts of a look, so it has no values where the look knew something that is gone
//! by now (`prev`, `kept`, `ledger`).

use serde::Serialize;
use serde_json::Value;

use super::{Judging, Line, why::shorten};
use crate::{
    model::{facts::Facts, standing::Prior},
    script::{Engine, Expr, Ground, Scope},
};

/// Deeper `let` is not followed.
const DEEPEST: usize = 8;

/// One expression or name.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Branch {
    /// `enough`, `critical`, `warning`; at the roots only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<&'static str>,
    /// The name whose value it is; below the roots.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Absent for facts: they are what was seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expression: Option<String>,
    /// Long ones shortened; absent where it cannot be told any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Branch>,
}

/// Every line of a threshold, in the order in which they are tried.
///
/// `recalled` is what was remembered when it was judged ([`Verdict::recalled`](crate::model::verdict::Verdict::recalled)).
pub fn trees(
    engine: &Engine,
    judging: &Judging,
    facts: &Facts,
    recalled: Option<&Prior>,
    ground: &Ground,
) -> Vec<Branch> {
    let late = |name: &str| super::recall(judging, recalled?, name);
    let scope = Scope::new(ground)
        .facts(facts)
        .lets(&judging.lets)
        .late(&late);
    let grower = Grower {
        engine,
        judging,
        scope: &scope,
    };
    let enough = judging
        .enough
        .as_ref()
        .map(|expr| grower.root("enough", expr));
    let lines = [
        ("critical", judging.critical.as_ref()),
        ("warning", judging.warning.as_ref()),
    ];
    let lines = lines
        .into_iter()
        .filter_map(|(name, line)| grower.line(name, line?));
    enough.into_iter().chain(lines).collect()
}

struct Grower<'a, 'b> {
    engine: &'a Engine,
    judging: &'a Judging,
    scope: &'a Scope<'b>,
}

impl Grower<'_, '_> {
    fn line(&self, name: &'static str, line: &Line) -> Option<Branch> {
        let value = self.judging.value.as_ref();
        let (word, limit, clear) = match line {
            Line::When(expr) => return Some(self.root(name, expr)),
            Line::Above { limit, clear } => ("above", limit, clear),
            Line::Below { limit, clear } => ("below", limit, clear),
        };
        let mut below = self.expression(value?, 0);
        below.name = Some("value".to_owned());
        Some(Branch {
            line: Some(name),
            expression: Some(format!("{word} {limit}, clear {clear}")),
            parts: vec![below],
            ..Branch::default()
        })
    }

    fn root(&self, line: &'static str, expr: &Expr) -> Branch {
        Branch {
            line: Some(line),
            ..self.expression(expr, 0)
        }
    }

    fn expression(&self, expr: &Expr, depth: usize) -> Branch {
        let told = self
            .is_told(expr, 0)
            .then(|| expr.value(self.engine, self.scope));
        let (value, error) = match told {
            Some(Ok(value)) => (Some(shorten(&value)), None),
            Some(Err(fault)) => (None, Some(fault.message)),
            None => (None, None),
        };
        Branch {
            expression: Some(expr.text().to_string()),
            value,
            error,
            parts: self.parts(expr, depth),
            ..Branch::default()
        }
    }

    fn parts(&self, expr: &Expr, depth: usize) -> Vec<Branch> {
        if depth >= DEEPEST {
            return Vec::new();
        }
        let parts = expr.names().iter().map(|name| match self.found(name) {
            Some(inner) => Branch {
                name: Some(name.clone()),
                ..self.expression(inner, depth + 1)
            },
            None => Branch {
                name: Some(name.clone()),
                value: self.scope.glance(name).map(|value| shorten(&value)),
                ..Branch::default()
            },
        });
        // `vars` is as long as it likes and says nothing here; what was read of it stands in the expression.
        parts
            .filter(|part| part.name.as_deref() != Some("vars"))
            .collect()
    }

    fn found(&self, name: &str) -> Option<&Expr> {
        let lets = self.judging.lets.iter();
        let mut found = lets
            .filter(|(known, _)| known == name)
            .map(|(_, expr)| expr);
        found.next()
    }

    /// Whether everything it reads can still be known.
    fn is_told(&self, expr: &Expr, depth: usize) -> bool {
        depth < DEEPEST
            && expr.names().iter().all(|name| match self.found(name) {
                Some(inner) => self.is_told(inner, depth + 1),
                None => !matches!(name.as_str(), "prev" | "kept" | "ledger"),
            })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::{
        model::{moment::Moment, text::Text},
        script::{Env, Known},
    };

    fn expr(engine: &Engine, known: &Known, text: &str) -> Expr {
        let mut mistakes = Vec::new();
        let expr = Expr::compile(engine, &Text::bare(text), known, &mut mistakes);
        expr.unwrap_or_else(|| panic!("{mistakes:?}"))
    }

    #[test]
    fn a_line_goes_down_to_the_facts_it_rests_on() {
        let engine = Engine::new();
        let facts = Facts::from_json(json!({"scores": [0.25, 0.75], "count": 2})).unwrap();
        let vars = Arc::new(serde_json::Map::new());
        let known = Known::ground(&vars)
            .with_facts(&facts)
            .with("avg", Some(json!(0.5)))
            .with("kept", None);
        let judging = Judging {
            enough: Some(expr(&engine, &known, "count >= 2")),
            lets: vec![("avg".to_owned(), expr(&engine, &known, "scores.mean()"))],
            value: Some(expr(&engine, &known, "avg")),
            critical: Some(Line::Above {
                limit: 0.9,
                clear: 0.8,
            }),
            warning: Some(Line::When(expr(
                &engine,
                &known,
                "avg < 0.6 && kept.pct > 1",
            ))),
            ..Judging::default()
        };
        let ground = Ground {
            now: Moment(0),
            vars,
            env: Arc::new(Env::default()),
        };
        let grown = trees(&engine, &judging, &facts, None, &ground);
        insta::assert_json_snapshot!(grown, @r#"
        [
          {
            "line": "enough",
            "expression": "count >= 2",
            "value": true,
            "parts": [
              {
                "name": "count",
                "value": 2
              }
            ]
          },
          {
            "line": "critical",
            "expression": "above 0.9, clear 0.8",
            "parts": [
              {
                "name": "value",
                "expression": "avg",
                "value": 0.5,
                "parts": [
                  {
                    "name": "avg",
                    "expression": "scores.mean()",
                    "value": 0.5,
                    "parts": [
                      {
                        "name": "scores",
                        "value": [
                          0.25,
                          0.75
                        ]
                      }
                    ]
                  }
                ]
              }
            ]
          },
          {
            "line": "warning",
            "expression": "avg < 0.6 && kept.pct > 1",
            "parts": [
              {
                "name": "avg",
                "expression": "scores.mean()",
                "value": 0.5,
                "parts": [
                  {
                    "name": "scores",
                    "value": [
                      0.25,
                      0.75
                    ]
                  }
                ]
              },
              {
                "name": "kept"
              }
            ]
          }
        ]
        "#);
    }
}
