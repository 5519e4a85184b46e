//! What of a check is worth drawing: its numbers, and the lines that its threshold draws through them.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    engine::sight::Workbench,
    model::verdict::Verdict,
    rules::book::Check,
    script::{self, Expr},
    threshold::{Judging, Line},
};

/// So many names are drawn.
const MOST: usize = 12;

/// One name whose numbers are worth drawing.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub(super) struct Plot {
    /// `value`, a `let`, a fact, or a path into one: `run.count`.
    pub name: String,
    /// Not known.
    pub unit: Option<String>,
    pub lines: Vec<PlotLine>,
}

/// A number that a threshold compares it with.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub(super) struct PlotLine {
    pub at: f64,
    pub level: Level,
    /// Where it is bad; of `clear`, where it is still bad.
    pub side: Side,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    Critical,
    Warning,
    /// Once bad, it stays bad until this is passed.
    Clear,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Side {
    Above,
    Below,
}

/// What is worth drawing of a check, by its rule and what it last saw.
pub(super) fn of(bench: &Workbench, check: &Check, last: Option<&Verdict>) -> Vec<Plot> {
    let judging = &check.judging;
    let mut plots = Plots(Vec::new());
    if judging.value.is_some() {
        plots.named("value");
    }
    for (level, line) in [
        (Level::Critical, &judging.critical),
        (Level::Warning, &judging.warning),
    ] {
        match line {
            Some(Line::Above { limit, clear }) => {
                plots.band("value", level, Side::Above, *limit, *clear)
            }
            Some(Line::Below { limit, clear }) => {
                plots.band("value", level, Side::Below, *limit, *clear)
            }
            Some(Line::When(expr)) => plots.compared(bench, level, expr),
            None => {}
        }
    }
    if let Some(last) = last {
        for (name, value) in &last.lets {
            if value.is_number() {
                plots.named(name);
            }
        }
        for name in read(judging) {
            if last.facts.get(&name).is_some_and(|fact| fact.is_number()) {
                plots.named(&name);
            }
        }
        plots.0.retain(|plot| is_number(&plot.name, judging, last));
    }
    plots.0.truncate(MOST);
    plots.0
}

/// The names that the threshold reads, also through `let`.
fn read(judging: &Judging) -> BTreeSet<String> {
    let lines = [&judging.critical, &judging.warning];
    let lines = lines.into_iter().filter_map(|line| match line {
        Some(Line::When(expr)) => Some(expr),
        _ => None,
    });
    let lets = judging.lets.iter().map(|(_, expr)| expr);
    let all = lines
        .chain(&judging.value)
        .chain(&judging.enough)
        .chain(lets);
    all.flat_map(Expr::names).cloned().collect()
}

/// Whether a name may come to a number. One that was not computed last time may come to one the next.
fn is_number(name: &str, judging: &Judging, last: &Verdict) -> bool {
    if name == "value" && judging.value.is_some() {
        return true;
    }
    if judging.lets.iter().any(|(known, _)| known == name) {
        return last.lets.get(name).is_none_or(serde_json::Value::is_number);
    }
    let mut path = name.split('.');
    let fact = path.next().and_then(|first| last.facts.get(first));
    let found = fact.and_then(|fact| path.try_fold(fact.as_ref(), |value, part| value.get(part)));
    // Nothing was seen at all: then nothing is known of its kinds.
    found.map_or(last.facts.is_empty(), |value| {
        value.is_number() || value.is_null()
    })
}

struct Plots(Vec<Plot>);

impl Plots {
    fn named(&mut self, name: &str) -> &mut Plot {
        let at = self.0.iter().position(|plot| plot.name == name);
        let at = at.unwrap_or_else(|| {
            self.0.push(Plot {
                name: name.to_owned(),
                unit: None,
                lines: Vec::new(),
            });
            self.0.len() - 1
        });
        &mut self.0[at]
    }

    fn line(&mut self, name: &str, at: f64, level: Level, side: Side) {
        let line = PlotLine { at, level, side };
        let plot = self.named(name);
        if at.is_finite() && !plot.lines.contains(&line) {
            plot.lines.push(line);
        }
    }

    fn band(&mut self, name: &str, level: Level, side: Side, limit: f64, clear: f64) {
        self.line(name, limit, level, side);
        if (clear - limit).abs() > f64::EPSILON {
            self.line(name, clear, Level::Clear, side);
        }
    }

    fn compared(&mut self, bench: &Workbench, level: Level, expr: &Expr) {
        for found in script::comparisons(&bench.script, expr, &bench.book.vars) {
            let side = if found.above {
                Side::Above
            } else {
                Side::Below
            };
            self.line(&found.name, found.limit, level, side);
        }
    }
}
