//! YAML, made safe: from the text of a file to a positioned tree, or to the mistakes that keep it from being one.
//!
//! Two parsers read every file. saphyr-parser gives events with positions, from which [`events`] builds a tree,
//! [`lost`] looks for text that YAML took away, and [`marks`] finds where each character of a scalar stands. serde_yaml
//! then says what kind a plain scalar is. If either refuses, or they disagree about anything, the file is refused: a
//! rule must never mean something else than what its author reads. This is the only place that knows serde_yaml.

mod advice;
mod events;
mod lost;
mod marks;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, sync::Arc};

use saphyr_parser::ScalarStyle;
use serde_yaml::Value as Yaml;

use crate::model::{
    node::{Node, Tree},
    text::{Mistake, Place},
};
use events::{Raw, Shape};
use marks::Source;

/// No rule file is larger.
pub const MOST_BYTES: usize = 1 << 20;
/// No value stands deeper.
pub const MOST_DEPTH: usize = 64;

/// Reads a file. All mistakes that can be told from its text are reported in one go.
pub fn parse(file: &Arc<str>, text: &str) -> Result<Node, Vec<Mistake>> {
    let start = Place {
        file: file.clone(),
        line: 1,
        column: 1,
    };
    if text.len() > MOST_BYTES {
        return Err(vec![Mistake::new(
            "yaml-too-large",
            format!("the file has {} bytes, more than {MOST_BYTES}", text.len()),
            start,
        )
        .help("split it into several files: all files below the rules directory make one rule set")]);
    }
    // The parsers disagree about a block scalar in a last line without an end; this is none of the author's business.
    let whole = match text.ends_with('\n') {
        true => Cow::Borrowed(text),
        false => Cow::Owned(format!("{text}\n")),
    };
    let text = &*whole;
    let source = Source::new(text);
    let refused = characters(&source, file);
    if !refused.is_empty() {
        return Err(refused);
    }
    let mut mistakes = Vec::new();
    let raw = events::read(file, text, &source, &mut mistakes);
    if let Some(raw) = &raw {
        lost::find(raw, &source, file, &mut mistakes);
    }
    if !mistakes.is_empty() {
        mistakes.sort_by(|a, b| a.place.cmp(&b.place));
        return Err(mistakes);
    }
    let yaml: Yaml = match serde_yaml::from_str(text) {
        Ok(yaml) => yaml,
        Err(error) => return Err(vec![second_refusal(&error, &source, file)]),
    };
    let Some(raw) = raw else {
        return match yaml {
            Yaml::Null => Ok(Node {
                tree: Tree::Null,
                place: start,
                marks: None,
            }),
            _ => Err(vec![disagreement(start, &source)]),
        };
    };
    let mut mistakes = Vec::new();
    let node = typed(raw, &yaml, &source, file, &mut mistakes);
    match node {
        Some(node) if mistakes.is_empty() => Ok(node),
        _ => Err(mistakes),
    }
}

/// Characters that have no business in a rule file, or that the two parsers read differently.
fn characters(source: &Source, file: &Arc<str>) -> Vec<Mistake> {
    let mut found = Vec::new();
    let wrong = |c: char| {
        matches!(c, '\u{feff}' | '\u{85}' | '\u{2028}' | '\u{2029}')
            || (c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
    };
    for (index, c) in source.chars.iter().enumerate() {
        if !wrong(*c) {
            continue;
        }
        let place = source.place(file, index);
        found.push(if *c == '\u{feff}' && index == 0 {
            Mistake::new(
                "yaml-character",
                "the file starts with a byte order mark",
                place,
            )
            .help("save it as UTF-8 without a byte order mark")
        } else {
            Mistake::new(
                "yaml-character",
                format!(
                    "the character U+{:04X} may not stand in a rule file",
                    u32::from(*c)
                ),
                place,
            )
            .help(format!(
                "inside double quotes it can be written as \"\\u{:04x}\"",
                u32::from(*c)
            ))
        });
        if found.len() == 20 {
            break;
        }
    }
    found
}

/// What serde_yaml refused although the first parser did not.
fn second_refusal(error: &serde_yaml::Error, source: &Source, file: &Arc<str>) -> Mistake {
    let (line, column) = error
        .location()
        .map_or((1, 1), |at| (at.line().max(1), at.column().max(1)));
    let place = Place {
        file: file.clone(),
        line,
        column,
    };
    let message = error.to_string();
    let message = match message.split_once(" at line ") {
        Some((what, _)) => what.to_owned(),
        None => message,
    };
    advice::syntax(message, place, source)
}

fn disagreement(place: Place, source: &Source) -> Mistake {
    let help = advice::quoted_line(source, place.line).map_or_else(
        || "put the text in single quotes".to_owned(),
        |line| format!("write `{line}`"),
    );
    Mistake::new(
        "yaml-ambiguous",
        "YAML parsers disagree about what this means",
        place,
    )
    .help(help)
}

/// Joins what both parsers say: places and texts of the first, kinds of the second.
fn typed(
    raw: Raw<'_>,
    yaml: &Yaml,
    source: &Source,
    file: &Arc<str>,
    mistakes: &mut Vec<Mistake>,
) -> Option<Node> {
    let place = raw.place(file);
    let mut node = Node {
        tree: Tree::Null,
        place,
        marks: None,
    };
    match (raw.shape, yaml) {
        (Shape::Scalar { text, style }, yaml) => {
            node.marks = marks::of(source, &raw.start, style, &text);
            node.tree = match scalar(&text, style, yaml) {
                Ok(tree) => tree,
                Err(Some(wrong)) => {
                    mistakes.push(Mistake::new("yaml-number", wrong, node.place));
                    return None;
                }
                Err(None) => {
                    mistakes.push(disagreement(node.place, source));
                    return None;
                }
            };
        }
        (Shape::Seq(items), Yaml::Sequence(values)) if items.len() == values.len() => {
            let items: Vec<_> = items
                .into_iter()
                .zip(values)
                .map(|(item, value)| typed(item, value, source, file, mistakes))
                .collect();
            node.tree = Tree::Seq(items.into_iter().collect::<Option<_>>()?);
        }
        (Shape::Map(entries), Yaml::Mapping(values)) if entries.len() == values.len() => {
            let mut read = Vec::with_capacity(entries.len());
            for ((key, value), (yaml_key, yaml_value)) in entries.into_iter().zip(values) {
                let key = typed(key, yaml_key, source, file, mistakes);
                let value = typed(value, yaml_value, source, file, mistakes);
                if let (Some(key), Some(value)) = (key, value) {
                    if !matches!(key.tree, Tree::Str(_)) {
                        mistakes.push(key_kind(&key));
                    }
                    read.push((key, value));
                }
            }
            node.tree = Tree::Map(read);
        }
        _ => {
            mistakes.push(disagreement(node.place, source));
            return None;
        }
    }
    Some(node)
}

fn key_kind(key: &Node) -> Mistake {
    let written = key
        .text()
        .map_or_else(|| "~".to_owned(), |text| text.to_string());
    Mistake::new(
        "yaml-key",
        format!(
            "a key must be a text, and YAML reads this one as {}",
            key.kind()
        ),
        key.place.clone(),
    )
    .help(format!("write `'{written}':`"))
}

/// The value of a scalar; `Err(None)` when the parsers disagree, `Err(Some(why))` when it cannot be held.
fn scalar(text: &str, style: ScalarStyle, yaml: &Yaml) -> Result<Tree, Option<String>> {
    let plain = style == ScalarStyle::Plain;
    match yaml {
        Yaml::String(value) if value == text => Ok(Tree::Str(value.clone())),
        Yaml::Null if plain => Ok(Tree::Null),
        Yaml::Bool(value) if plain => Ok(Tree::Bool(*value)),
        Yaml::Number(number) if plain => match (number.as_i64(), number.as_f64()) {
            (Some(int), _) => Ok(Tree::Int(int)),
            (None, Some(float)) if float.is_finite() && !number.is_u64() => Ok(Tree::Float(float)),
            _ => Err(Some(format!("the number {text} cannot be held exactly"))),
        },
        _ => Err(None),
    }
}
