//! A regular expression of a rule: plain, or with templates that are filled in at each look. What is filled in is part of
//! the pattern.

use std::borrow::Cow;

use regex::Regex;

use super::{Eyes, ProbeError, Workshop, path::Filled};
use crate::model::text::{Mistake, Text};

pub(super) enum Pattern {
    Plain(Regex),
    Template(Filled),
}

impl Pattern {
    pub(super) fn build(text: &Text, workshop: &mut Workshop<'_>) -> Option<Pattern> {
        let filled = Filled::build(text, workshop)?;
        let Some(plain) = filled.plain() else {
            return Some(Pattern::Template(filled));
        };
        match Regex::new(plain) {
            Ok(regex) => Some(Pattern::Plain(regex)),
            Err(error) => {
                let (what, at) = explained(&error);
                let place = text.place_of(at);
                workshop
                    .mistakes
                    .push(Mistake::new("bad-pattern", what, place));
                None
            }
        }
    }

    pub(super) fn at(&self, eyes: &Eyes) -> Result<Cow<'_, Regex>, ProbeError> {
        match self {
            Pattern::Plain(regex) => Ok(Cow::Borrowed(regex)),
            Pattern::Template(filled) => Regex::new(&filled.at(eyes)?)
                .map(Cow::Owned)
                .map_err(|error| ProbeError(explained(&error).0)),
        }
    }
}

/// What is wrong with a regular expression, and at which of its characters (if it stands on one line). The crate tells
/// the place only in its drawing, where a caret stands below the pattern, both four columns in.
fn explained(error: &regex::Error) -> (String, usize) {
    let drawn = error.to_string();
    let what = drawn
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("error: "));
    let caret = drawn
        .lines()
        .find(|line| line.trim_start().starts_with('^'));
    let column = caret.and_then(|line| line.find('^')?.checked_sub(4));
    let what = what.map_or_else(|| drawn.replace('\n', " "), str::to_owned);
    (
        format!("no regular expression: {what}"),
        column.unwrap_or(0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::text::Place;

    #[test]
    fn a_mistake_in_a_pattern_is_placed_at_its_character() {
        let marks = (0..10).map(|column| (7, 20 + column)).collect();
        let text = Text::placed("ab(cd", Place::default(), Some(marks));
        let error = Regex::new(text.as_str()).expect_err("an open group");
        let (what, at) = explained(&error);
        assert_eq!(what, "no regular expression: unclosed group");
        assert_eq!(text.place_of(at).column, 22);
    }
}
