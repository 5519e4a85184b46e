//! What to write instead: the quoted form of a line that YAML would not read as meant.

use super::{MOST_DEPTH, marks::Source};
use crate::model::text::{Mistake, Place};

/// A text in single quotes.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.trim_end().replace('\'', "''"))
}

/// Whether a text holds an opening bracket or quote that it does not close (or the other way round).
pub fn is_open(text: &str) -> bool {
    let mut open = Vec::new();
    let mut quote = None;
    for c in text.chars() {
        match (quote, c) {
            (Some(mark), c) if mark == c => quote = None,
            (Some(_), _) => {}
            (None, '"' | '`') => quote = Some(c),
            (None, '(' | '[' | '{') => open.push(c),
            (None, ')' | ']' | '}') => {
                let matching = match c {
                    ')' => '(',
                    ']' => '[',
                    _ => '{',
                };
                if open.pop() != Some(matching) {
                    return true;
                }
            }
            _ => {}
        }
    }
    quote.is_some() || !open.is_empty()
}

/// The line `key: text` as `key: 'text'`, with everything after the key in quotes; `None` if there is nothing to quote.
pub fn quoted_line(source: &Source, line: usize) -> Option<String> {
    let line: String = source.line(line).iter().collect();
    let line = line.trim();
    let line = line.trim_start_matches("- ").trim_start();
    let (key, rest) = line.split_once(':')?;
    let rest = rest.trim();
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    if key.is_empty() || !key.chars().all(is_name) || rest.is_empty() {
        return None;
    }
    if rest.starts_with(['{', '[', '|', '>']) || rest.len() > 200 {
        return None;
    }
    Some(format!(
        "{key}: {}",
        apostrophe(rest).unwrap_or_else(|| quoted(rest))
    ))
}

/// `'it's broken'`: a text that was quoted already, but for the quote inside a word.
fn apostrophe(written: &str) -> Option<String> {
    let inner = written.strip_prefix('\'')?.strip_suffix('\'')?;
    let chars: Vec<char> = inner.chars().collect();
    let inside = |at: usize| {
        let before = at.checked_sub(1).and_then(|at| chars.get(at));
        before.is_some_and(|c| c.is_alphanumeric())
            && chars.get(at + 1).is_some_and(|c| c.is_alphanumeric())
    };
    let mut quotes = chars
        .iter()
        .enumerate()
        .filter(|(_, c)| **c == '\'')
        .peekable();
    quotes.peek()?;
    quotes.all(|(at, _)| inside(at)).then(|| quoted(inner))
}

/// A refusal by a parser, in words that help a rule author.
pub fn syntax(message: String, place: Place, source: &Source) -> Mistake {
    let raw = source.line(place.line);
    let blank = raw.iter().take_while(|c| matches!(c, ' ' | '\t'));
    let tab = blank.clone().any(|c| *c == '\t')
        || raw.get(place.column.saturating_sub(1)) == Some(&'\t')
        || (place.column > 1 && raw.get(place.column - 2) == Some(&'\t'));
    if tab {
        return Mistake::new("yaml-tab", "YAML allows no tab here", place).help("use spaces");
    }
    if message.contains("unknown anchor") {
        let help = quoted_line(source, place.line).map_or_else(
            || "quote the text; to share values use `vars:`".to_owned(),
            |line| format!("write `{line}`; to share values use `vars:`"),
        );
        return Mistake::new(
            "yaml-alias",
            "YAML reads a word that starts with `*` as an alias of another value",
            place,
        )
        .help(help);
    }
    if message == "recursion limit exceeded" {
        return Mistake::new(
            "yaml-too-deep",
            format!("values stand more than {MOST_DEPTH} levels deep"),
            place,
        );
    }
    if message.contains(" as u128") || message.contains(" as i128") {
        return Mistake::new("yaml-number", "this number cannot be held exactly", place)
            .help("quote it if it is meant as a text");
    }
    if message.starts_with("invalid trailing content") {
        let help = quoted_line(source, place.line).map_or_else(
            || "quote the text as a whole".to_owned(),
            |line| format!("write `{line}`"),
        );
        return Mistake::new(
            "yaml-syntax",
            "something stands after the closing quote",
            place,
        )
        .help(help);
    }
    if message.contains("unexpected end of stream") {
        return Mistake::new(
            "yaml-syntax",
            "the quote that opens here is never closed",
            place,
        )
        .help("a `'` inside single quotes is written twice");
    }
    let help = quoted_line(source, place.line).map_or_else(
        || "if this is part of a text, put the text in single quotes".to_owned(),
        |line| format!("if this is part of a text, write `{line}`"),
    );
    Mistake::new("yaml-syntax", message, place).help(help)
}
