//! Text that YAML takes away without a word: what follows ` #` on the line of an expression or a message, and what a
//! comma inside `[ ]` or `{ }` tears off.
//!
//! A comment after an expression is welcome when it is set off by two blanks or more, and the expression is whole
//! without it. After a message, where a `#` is as likely meant as text, there is none.

use std::sync::Arc;

use super::{
    advice,
    events::{Raw, Shape},
    marks::Source,
};
use crate::model::text::Mistake;

/// Keys whose value is an expression, wherever they stand.
const EXPRESSIONS: [&str; 7] = [
    "critical", "warning", "enough", "value", "until", "where", "each",
];
/// Keys below which every value is an expression.
const EXPRESSION_MAPS: [&str; 2] = ["let", "keep"];
/// Parts of a file that hold rules.
const RULES: [&str; 3] = ["checks", "defaults", "investigations"];

pub fn find(root: &Raw<'_>, source: &Source, file: &Arc<str>, mistakes: &mut Vec<Mistake>) {
    let Shape::Map(parts) = &root.shape else {
        return;
    };
    let mut finder = Finder {
        source,
        file,
        mistakes,
    };
    for (key, value) in parts {
        if key.text().is_some_and(|key| RULES.contains(&key)) {
            finder.walk(value, "", Holds::Text);
        }
    }
}

/// What a scalar is, as far as its keys tell.
#[derive(Clone, Copy, PartialEq)]
enum Holds {
    Expression,
    Message,
    Text,
}

struct Finder<'a> {
    source: &'a Source,
    file: &'a Arc<str>,
    mistakes: &'a mut Vec<Mistake>,
}

impl Finder<'_> {
    fn walk(&mut self, value: &Raw<'_>, key: &str, holds: Holds) {
        match &value.shape {
            Shape::Scalar { text, .. } => {
                if value.is_plain() {
                    self.comment(value, text, key, holds);
                }
            }
            Shape::Seq(items) => {
                if self.is(value, '[') {
                    self.torn_items(items);
                }
                for item in items {
                    self.walk(item, key, Holds::Text);
                }
            }
            Shape::Map(entries) => {
                let flow = self.is(value, '{');
                for (name, value) in entries {
                    if flow
                        && value.is_plain()
                        && value.text().is_some_and(advice::is_open)
                        && !self.already(value)
                    {
                        self.torn(value, value);
                    }
                    let name = name.text().unwrap_or_default();
                    let below = match (holds, key, name) {
                        (_, "message", _) | (_, _, "message") => Holds::Message,
                        (_, key, _) if EXPRESSION_MAPS.contains(&key) => Holds::Expression,
                        (_, _, name) if EXPRESSIONS.contains(&name) => Holds::Expression,
                        _ => Holds::Text,
                    };
                    self.walk(value, name, below);
                }
            }
        }
    }

    fn is(&self, value: &Raw<'_>, open: char) -> bool {
        self.source.chars.get(value.start.index()) == Some(&open)
    }

    /// The rest of a torn value was reported as a key without a value.
    fn already(&self, value: &Raw<'_>) -> bool {
        self.mistakes
            .iter()
            .any(|mistake| mistake.code == "yaml-split" && mistake.place.line == value.start.line())
    }

    /// What a comma tore apart is told once, as a whole: from an open bracket to the one that closes it.
    fn torn_items(&mut self, items: &[Raw<'_>]) {
        let open = |item: &Raw<'_>| item.is_plain() && item.text().is_some_and(advice::is_open);
        let mut rest = items;
        while let Some(at) = rest.iter().position(open) {
            let Some((first, after)) = rest[at..].split_first() else {
                return;
            };
            let end = after.iter().position(open);
            let last = end.and_then(|end| after.get(end)).unwrap_or(first);
            self.torn(first, last);
            rest = &after[end.map_or(0, |end| end + 1)..];
        }
    }

    fn torn(&mut self, first: &Raw<'_>, last: &Raw<'_>) {
        let text = first.text().unwrap_or_default();
        let span = first.start.index()..last.end.index();
        let whole: String = self.source.chars.get(span).unwrap_or(&[]).iter().collect();
        self.mistakes.push(
            Mistake::new(
                "yaml-split",
                format!("`{text}` is only a part of what was written: inside [ ] and {{ }} a comma ends a value"),
                first.place(self.file),
            )
            .help(format!("put the whole text in quotes: {}", advice::quoted(&whole))),
        );
    }

    fn comment(&mut self, value: &Raw<'_>, text: &str, key: &str, holds: Holds) {
        let holds = match holds {
            Holds::Text if text.contains("${") => Holds::Message,
            Holds::Text => return,
            holds => holds,
        };
        let Some((gap, at)) = self.hash_after(value) else {
            return;
        };
        if holds == Holds::Expression && gap >= 2 && !advice::is_open(text) {
            return;
        }
        let whole = self.written(value.start.index(), at);
        let written = if key.is_empty() {
            advice::quoted(&whole)
        } else {
            format!("{key}: {}", advice::quoted(&whole))
        };
        let comments = match holds {
            Holds::Expression => "a comment needs two blanks before its `#`",
            _ => "a comment belongs on a line of its own",
        };
        self.mistakes.push(
            Mistake::new(
                "yaml-comment",
                "YAML drops the text from ` #` on",
                self.source.place(self.file, at),
            )
            .help(format!("write `{written}`; {comments}")),
        );
    }

    /// What was written from a character on, the comment at `at` included.
    fn written(&self, from: usize, at: usize) -> String {
        let (line, column) = self.source.position(at);
        let comment = self
            .source
            .line(line as usize)
            .get(column as usize - 1..)
            .unwrap_or(&[]);
        let before = self.source.chars.get(from..at).unwrap_or(&[]);
        before.iter().chain(comment).collect()
    }

    /// How many blanks stand between a scalar and a `#` on its line, and where the `#` is.
    fn hash_after(&self, value: &Raw<'_>) -> Option<(usize, usize)> {
        let from = value.end.index();
        let rest = self.source.chars.get(from..)?;
        let gap = rest.iter().take_while(|c| matches!(c, ' ' | '\t')).count();
        (rest.get(gap) == Some(&'#')).then_some((gap, from + gap))
    }
}
