//! The lines of a rule file that are about one check, and the place in them that decided.

use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    model::{text::Place, verdict::Verdict},
    permission::Secrets,
    rules::book::{Book, Check},
};

/// So many lines of one check are shown.
const MOST_LINES: usize = 400;

/// Where a check is written, and what stands there.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub(super) struct RuleText {
    /// As complaints name it: `rules/bot.yaml`.
    pub file: String,
    /// Where its name stands.
    pub line: usize,
    /// The lines that are about it, as they were when the rules were taken over.
    pub text: String,
    /// The number of the first of them.
    pub first_line: usize,
    /// The expression that decided the last look; `null` when none did.
    pub deciding: Option<Deciding>,
}

/// A part of a line. Columns count characters from 1; `end_column` is the one behind the last.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub(super) struct Deciding {
    pub line: usize,
    pub column: usize,
    pub end_column: usize,
    pub text: String,
}

pub(super) fn rule(
    book: &Book,
    check: &Check,
    last: Option<&Verdict>,
    secrets: &Secrets,
) -> RuleText {
    let place = &check.place;
    let whole = source(book, &place.file).unwrap_or_default();
    let (first, text) = lines_of(&whole, place);
    let why = last.and_then(|last| last.why.as_ref());
    let deciding = why
        .filter(|why| why.place.file == place.file)
        .map(|why| deciding(&whole, &why.place, &why.expression));
    RuleText {
        file: place.file.to_string(),
        line: place.line,
        text: secrets.hide(&text).into_owned(),
        first_line: first,
        deciding: deciding.map(|it| Deciding {
            text: secrets.hide(&it.text).into_owned(),
            ..it
        }),
    }
}

/// The text of a rule file by the name under which it is complained about.
fn source(book: &Book, file: &str) -> Option<String> {
    let found = book.sources.iter().filter(|(path, _)| {
        let rest = file.strip_suffix(path.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
    });
    let (_, bytes) = found.max_by_key(|(path, _)| path.len())?;
    Some(String::from_utf8_lossy(bytes).into_owned())
}

/// The item of a list in which a place stands: from its dash to the next line that is not indented deeper.
fn lines_of(text: &str, place: &Place) -> (usize, String) {
    let lines: Vec<&str> = text.lines().collect();
    let named = place
        .line
        .saturating_sub(1)
        .min(lines.len().saturating_sub(1));
    let column = place.column.saturating_sub(1);
    let dash = (0..=named).rev().take(MOST_LINES).find(|&at| {
        let line = lines.get(at).copied().unwrap_or_default();
        let item = line.trim_start();
        (item.starts_with("- ") || item == "-") && indent(line) < column
    });
    let first = dash.unwrap_or(named);
    let depth = lines.get(first).map_or(0, |line| indent(line));
    let mut last = first;
    for (at, line) in lines
        .iter()
        .enumerate()
        .skip(first + 1)
        .take(MOST_LINES - 1)
    {
        let (blank, comment) = (line.trim().is_empty(), line.trim_start().starts_with('#'));
        if !blank && indent(line) <= depth && !(comment && indent(line) > depth) {
            break;
        }
        if !blank && !comment {
            last = at;
        }
    }
    let own = lines.get(first..=last).unwrap_or_default();
    (first + 1, own.join("\n"))
}

fn indent(line: &str) -> usize {
    line.chars().take_while(|c| *c == ' ').count()
}

/// What an expression takes of the line on which it begins.
fn deciding(text: &str, place: &Place, expression: &str) -> Deciding {
    let line = text
        .lines()
        .nth(place.line.saturating_sub(1))
        .unwrap_or_default();
    let rest: String = line.chars().skip(place.column.saturating_sub(1)).collect();
    let first = expression.lines().next().unwrap_or_default().trim_end();
    // Quoting may have changed how it is written; then all of the line is meant.
    let own = match rest.starts_with(first) && !first.is_empty() {
        true => first.to_owned(),
        false => rest.trim_end().to_owned(),
    };
    Deciding {
        line: place.line,
        column: place.column,
        end_column: place.column + own.chars().count(),
        text: own,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "checks:
  - name: one
    threshold: { critical: 'a > 1' }

  # about two
  - about: Second.
    name: two
    threshold:
      critical: |-
        a > 1 &&
        b > 2
    # its end

  - { name: three }
tests: []
";

    fn place(line: usize, column: usize) -> Place {
        Place {
            file: "rules/a.yaml".into(),
            line,
            column,
        }
    }

    #[test]
    fn a_check_is_its_item_of_the_list() {
        let (first, text) = lines_of(TEXT, &place(2, 11));
        assert_eq!(first, 2);
        assert_eq!(text, "  - name: one\n    threshold: { critical: 'a > 1' }");
        let (first, text) = lines_of(TEXT, &place(7, 11));
        assert_eq!(first, 6);
        assert!(
            text.starts_with("  - about: Second.") && text.ends_with("        b > 2"),
            "{text}"
        );
        let (first, text) = lines_of(TEXT, &place(14, 13));
        assert_eq!((first, text.as_str()), (14, "  - { name: three }"));
        assert_eq!(lines_of("", &place(9, 9)), (1, String::new()));
    }

    #[test]
    fn what_decided_is_marked_on_its_line() {
        let found = deciding(TEXT, &place(3, 29), "a > 1");
        assert_eq!((found.line, found.column, found.end_column), (3, 29, 34));
        let found = deciding(TEXT, &place(10, 9), "a > 1 &&\nb > 2");
        assert_eq!((found.text.as_str(), found.end_column), ("a > 1 &&", 17));
        let other = deciding(TEXT, &place(3, 29), "something else");
        assert_eq!(other.text, "a > 1' }");
    }
}
