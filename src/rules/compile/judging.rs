//! `enough`, `let`, `threshold`, `message`, `keep` and `publish` of a check.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{
    super::{
        format::{CheckRule, LevelRule, MessagesRule, OnErrorRule, PublishRule, ThresholdRule},
        names, reading,
        values::StatusWord,
    },
    known::Names,
};
use crate::{
    model::{
        node::{self, Node, Tree},
        outline::Patience,
        span::Span,
        status::Status,
        text::{Mistake, Text},
    },
    script::{Expr, Known},
    threshold::{Judging, Line, Messages, OnError, OnNoData, Publish},
};

const LONGEST_LOOK: Duration = Duration::from_secs(3600);

/// How a check judges, and what else its rule says of that.
pub struct Judged {
    pub judging: Judging,
    pub patience: Patience,
    /// Files it publishes to, where that can be told.
    pub publishes: Option<Text>,
}

/// Reads all of it. `names` knows the facts.
pub fn read(
    node: &Node,
    rule: &CheckRule,
    names: &mut Names<'_>,
    mistakes: &mut Vec<Mistake>,
) -> Judged {
    let part = |key: &str| {
        node.get(key)
            .filter(|part| !matches!(part.tree, Tree::Null))
    };
    let entries = part("let")
        .filter(|_| rule.lets.is_some())
        .map(|node| reading::named(node, mistakes))
        .unwrap_or_default();
    let good = names.with_lets(&entries, mistakes);
    let kept = part("keep").filter(|_| rule.keep.is_some());
    let (keep_names, keep_start) = keep_names(kept, part("keep_start"), names, mistakes);
    if rule.baseline.is_some() {
        names.with_baseline();
    }
    let lets = lets(&entries, good, names, mistakes);
    let enough = reading::filled(rule.enough.clone(), "`enough`", mistakes)
        .and_then(|text| names.expr(&text, &names.facts.clone(), mistakes));
    let judging_known = names.judging.clone();
    let value = reading::filled(rule.value.clone(), "`value`", mistakes)
        .and_then(|text| names.expr(&text, &judging_known, mistakes));
    let mut judged = Judged {
        judging: Judging {
            enough,
            lets,
            value,
            keep_start,
            ..Judging::default()
        },
        patience: Patience::default(),
        publishes: None,
    };
    match part("threshold").filter(|_| rule.threshold.is_some()) {
        Some(threshold) => read_threshold(
            threshold,
            rule.value.is_some(),
            names,
            &mut judged,
            mistakes,
        ),
        None if part("publish").is_some() || kept.is_some() => {}
        None => reading::missing(node, "threshold", mistakes),
    }
    if let Some(value) = &rule.value
        && !uses_value(part("threshold"))
        && part("threshold").is_some()
    {
        mistakes.push(
            Mistake::new("unused-value", "nothing compares `value`", value.place())
                .help("write `critical: { above: 3.0 }`, or leave `value` out"),
        );
    }
    let known = names.judged();
    if let Some(message) = part("message").filter(|_| rule.message.is_some()) {
        judged.judging.messages = messages(message, names, &known, mistakes);
    }
    judged.judging.keep = keep_names
        .iter()
        .filter_map(|(name, node)| {
            let text = reading::text(node, &format!("`keep.{name}`"), mistakes)?;
            Some((name.to_string(), names.expr(&text, &known, mistakes)?))
        })
        .collect();
    judged.judging.baseline = reading::filled(rule.baseline.clone(), "`baseline`", mistakes)
        .and_then(|text| names.expr(&text, &known, mistakes));
    judged.judging.proves = reading::filled(rule.proves.clone(), "`proves`", mistakes)
        .and_then(|text| names.expr(&text, &names.proving(), mistakes));
    if let Some(publish) = part("publish").filter(|_| rule.publish.is_some()) {
        let (publish, file) = read_publish(publish, names, mistakes);
        judged.judging.publish = publish;
        judged.publishes = file;
    }
    judged
}

fn uses_value(threshold: Option<&Node>) -> bool {
    threshold.is_some_and(|threshold| {
        threshold
            .entries()
            .iter()
            .any(|(_, level)| matches!(level.tree, Tree::Map(_)))
    })
}

/// `good` says which of the names may be given.
fn lets(
    entries: &[(Text, &Node)],
    good: Vec<bool>,
    names: &Names<'_>,
    mistakes: &mut Vec<Mistake>,
) -> Vec<(String, Expr)> {
    let known = names.judging.clone();
    let mut lets: Vec<(String, Expr)> = Vec::new();
    let mut places = Vec::new();
    for ((name, node), good) in entries.iter().zip(good) {
        let text = reading::text(node, &format!("`let.{name}`"), mistakes);
        let expr = text.and_then(|text| names.expr(&text, &known, mistakes));
        if let Some(expr) = expr.filter(|_| good) {
            lets.push((name.to_string(), expr));
            places.push(name.place());
        }
    }
    if let Some(cycle) = let_cycle(&lets) {
        let first = cycle.first().copied().unwrap_or(0);
        let path: Vec<&str> = cycle
            .iter()
            .chain(cycle.first())
            .filter_map(|index| lets.get(*index))
            .map(|(name, _)| name.as_str())
            .collect();
        let place = places.get(first).cloned().unwrap_or_default();
        mistakes.push(
            Mistake::new(
                "let-cycle",
                format!("these need each other: {}", path.join(" → ")),
                place,
            )
            .help("a `let` may use others, but not itself through them"),
        );
    }
    lets
}

/// The first cycle among `let` values, as indexes.
fn let_cycle(lets: &[(String, Expr)]) -> Option<Vec<usize>> {
    let uses: Vec<Vec<usize>> = lets
        .iter()
        .map(|(_, expr)| {
            let used = |name: &String| lets.iter().position(|(known, _)| known == name);
            expr.names().iter().filter_map(used).collect()
        })
        .collect();
    super::super::cycle::find(&uses)
}

/// The names of `keep`, each with a start.
fn keep_names<'n>(
    keep: Option<&'n Node>,
    start: Option<&Node>,
    names: &mut Names<'_>,
    mistakes: &mut Vec<Mistake>,
) -> (Vec<(Text, &'n Node)>, Map<String, Value>) {
    let entries = keep
        .map(|node| reading::named(node, mistakes))
        .unwrap_or_default();
    let entries: Vec<_> = entries
        .into_iter()
        .filter(|(name, _)| names::check_property(name, "a kept value", mistakes))
        .collect();
    let mut starts = Map::new();
    if let Some(node) = start {
        if !matches!(node.tree, Tree::Map(_)) {
            mistakes.push(reading::not_a(node, "a map"));
        }
        for (key, value) in node.entries() {
            if keep.is_some() && !entries.iter().any(|(name, _)| name.as_str() == key.key()) {
                let known = entries.iter().map(|(name, _)| name.as_str());
                mistakes.push(
                    Mistake::new(
                        "unknown-key",
                        format!("`keep` has no `{}` that could start", key.key()),
                        key.place.clone(),
                    )
                    .help(names::suggest(key.key(), known)),
                );
            }
            starts.insert(key.key().to_owned(), value.to_json());
        }
        if keep.is_none() {
            mistakes.push(
                Mistake::new(
                    "missing-key",
                    "`keep_start` without `keep`",
                    node.place.clone(),
                )
                .help("write `keep:` with an expression for each name"),
            );
        }
    }
    for (name, _) in &entries {
        if !starts.contains_key(name.as_str()) {
            mistakes.push(
                Mistake::new(
                    "missing-key",
                    format!("`keep_start` has no `{name}`"),
                    name.place(),
                )
                .help(format!(
                    "write `keep_start: {{ {name}: 0 }}`: what `kept.{name}` is at the first look"
                )),
            );
        }
    }
    if keep.is_some() {
        names.with_kept(entries.iter().map(|(name, _)| name.to_string()));
    }
    (entries, starts)
}

fn read_threshold(
    node: &Node,
    has_value: bool,
    names: &Names<'_>,
    judged: &mut Judged,
    mistakes: &mut Vec<Mistake>,
) {
    let before = mistakes.len();
    let rule: ThresholdRule = reading::read(node, mistakes);
    if let Some(patience) = rule.patience {
        judged.patience.bad = patience.bad;
        judged.patience.of = patience.of;
    }
    if let Some(recover) = rule.recover {
        judged.patience.recover = recover;
        if !(1..=100).contains(&recover)
            && let Some(node) = node.get("recover")
        {
            mistakes.push(
                Mistake::new(
                    "bad-value",
                    format!("{recover} is out of bounds"),
                    node.place.clone(),
                )
                .help("write a number of looks from 1 to 100"),
            );
        }
    }
    if rule.critical.is_none() && rule.warning.is_none() && mistakes.len() == before {
        mistakes.push(
            Mistake::new(
                "missing-key",
                "a threshold needs `critical` or `warning`",
                node.place.clone(),
            )
            .help("without one the check would always be OK"),
        );
    }
    let level = |key: &str, there: bool, mistakes: &mut Vec<Mistake>| {
        let node = node.get(key).filter(|_| there)?;
        line(node, key, has_value, names, mistakes)
    };
    judged.judging.critical = level("critical", rule.critical.is_some(), mistakes);
    judged.judging.warning = level("warning", rule.warning.is_some(), mistakes);
}

fn line(
    node: &Node,
    key: &str,
    has_value: bool,
    names: &Names<'_>,
    mistakes: &mut Vec<Mistake>,
) -> Option<Line> {
    if !matches!(node.tree, Tree::Map(_)) {
        let text = reading::text(node, &format!("`{key}`"), mistakes)?;
        return names.expr(&text, &names.judging, mistakes).map(Line::When);
    }
    let before = mistakes.len();
    let rule: LevelRule = reading::read(node, mistakes);
    if mistakes.len() > before {
        return None;
    }
    if !has_value {
        mistakes.push(
            Mistake::new(
                "missing-key",
                "`above` and `below` compare `value`, which is missing",
                node.place.clone(),
            )
            .help("write `value: EXPRESSION` beside `threshold`"),
        );
    }
    let (limit, above) = match (rule.above, rule.below) {
        (Some(limit), None) => (limit, true),
        (None, Some(limit)) => (limit, false),
        _ => {
            mistakes.push(
                Mistake::new(
                    "bad-value",
                    "a limit is either `above` or `below`",
                    node.place.clone(),
                )
                .help("write `{ above: 3.0, clear: 2.8 }`"),
            );
            return None;
        }
    };
    let clear = rule.clear.unwrap_or(limit);
    if (above && clear > limit) || (!above && clear < limit) {
        let side = if above { "above" } else { "below" };
        let place = node.get("clear").map_or(&node.place, |clear| &clear.place);
        mistakes.push(
            Mistake::new(
                "bad-value",
                format!("`clear` lies on the bad side of `{side}`"),
                place.clone(),
            )
            .help("the value must come back further than the limit, or just to it"),
        );
        return None;
    }
    Some(if above {
        Line::Above { limit, clear }
    } else {
        Line::Below { limit, clear }
    })
}

fn messages(
    node: &Node,
    names: &Names<'_>,
    known: &Known,
    mistakes: &mut Vec<Mistake>,
) -> Messages {
    if !matches!(node.tree, Tree::Map(_)) {
        let template = reading::text(node, "`message`", mistakes)
            .and_then(|text| names.template(&text, known, mistakes));
        // What failed has left no facts, so its message is not the one for all.
        return Messages {
            ok: template.clone(),
            warning: template.clone(),
            critical: template.clone(),
            unknown: template,
            no_data: None,
            error: None,
        };
    }
    let rule: MessagesRule = reading::read(node, mistakes);
    let mut one = |text: Option<Text>, key: &str| {
        let text = reading::filled(text, &format!("`message.{key}`"), mistakes)?;
        names.template(&text, known, mistakes)
    };
    Messages {
        ok: one(rule.ok, "ok"),
        warning: one(rule.warning, "warning"),
        critical: one(rule.critical, "critical"),
        unknown: one(rule.unknown, "unknown"),
        no_data: one(rule.no_data, "no_data"),
        error: one(rule.error, "error"),
    }
}

fn read_publish(
    node: &Node,
    names: &Names<'_>,
    mistakes: &mut Vec<Mistake>,
) -> (Option<Publish>, Option<Text>) {
    let rule: PublishRule = reading::read(node, mistakes);
    reading::missing(node, "file", mistakes);
    reading::missing(node, "set", mistakes);
    let known = names.published();
    let file = reading::filled(rule.file, "`publish.file`", mistakes);
    let template = file
        .as_ref()
        .and_then(|text| names.template(text, &known, mistakes));
    let constant = file.filter(|text| !text.as_str().contains("${"));
    if let Some(text) = &constant {
        reading::own_file(text, mistakes);
    }
    let mut set = Vec::new();
    if let Some(node) = node.get("set").filter(|_| rule.set.is_some()) {
        if !matches!(node.tree, Tree::Map(_)) {
            mistakes.push(reading::not_a(node, "a map"));
        }
        for (key, value) in node.entries() {
            if let Some(tree) = names.tree(value, &known, mistakes) {
                set.push((key.key().to_owned(), tree));
            }
        }
    }
    (template.map(|file| Publish { file, set }), constant)
}

/// `on_error: warning`, or `{ probe: critical, rule: warning }`.
pub fn on_error(node: &Node, mistakes: &mut Vec<Mistake>) -> Option<OnError> {
    if !matches!(node.tree, Tree::Map(_)) {
        let status: Status = node::decode::<StatusWord>(node, mistakes)?.into();
        return Some(OnError {
            probe: status,
            rule: status,
        });
    }
    let rule: OnErrorRule = reading::read(node, mistakes);
    let default = OnError::default();
    Some(OnError {
        probe: rule.probe.map_or(default.probe, Status::from),
        rule: rule.rule.map_or(default.rule, Status::from),
    })
}

pub fn on_no_data(word: Option<StatusWord>) -> OnNoData {
    word.map_or_else(OnNoData::default, |word| OnNoData(word.into()))
}

/// A deadline that makes sense.
pub fn timeout(node: &Node, span: Option<Span>, mistakes: &mut Vec<Mistake>) -> Option<Span> {
    let span = span?;
    if !span.0.is_zero() && span.0 <= LONGEST_LOOK {
        return Some(span);
    }
    let place = node.get("timeout").map_or(&node.place, |node| &node.place);
    mistakes.push(
        Mistake::new(
            "bad-value",
            format!("a timeout of {span} is out of bounds"),
            place.clone(),
        )
        .help("write something from 1ms to 1h"),
    );
    None
}
