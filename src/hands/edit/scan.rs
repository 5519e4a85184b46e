//! Finding the parts of a JSON text by their places. The text has been parsed before; where it is not as a parsed one
//! must be, the answer is `None`, never a panic.

use std::ops::Range;

/// One `"key": value` in the text of an object.
pub(super) struct Member {
    pub(super) key: String,
    /// The white space before the key.
    pub(super) gap: Range<usize>,
    /// The key with its quotes.
    pub(super) name: Range<usize>,
    pub(super) value: Range<usize>,
}

/// The members of the object that starts at `start`; `None` where the text is not as a parsed one must be.
pub(super) fn members(text: &str, start: usize) -> Option<Vec<Member>> {
    let mut members = Vec::new();
    each_part(text, start, b'}', |at, gap| {
        let name = at..skip_string(text, at)?;
        let colon = skip_space(text, name.end);
        let begin = match text.as_bytes().get(colon) {
            Some(b':') => skip_space(text, colon + 1),
            _ => return None,
        };
        let value = begin..skip_value(text, begin)?;
        let end = value.end;
        members.push(Member {
            key: serde_json::from_str(text.get(name.clone())?).ok()?,
            gap,
            name,
            value,
        });
        Some(end)
    })?;
    Some(members)
}

pub(super) fn items(text: &str, start: usize) -> Option<Vec<Range<usize>>> {
    let mut items = Vec::new();
    each_part(text, start, b']', |at, _| {
        let end = skip_value(text, at)?;
        items.push(at..end);
        Some(end)
    })?;
    Some(items)
}

/// Walks the parts of an object or list. `part` is given the start of each and the gap before it, and returns its end.
fn each_part(
    text: &str,
    start: usize,
    close: u8,
    mut part: impl FnMut(usize, Range<usize>) -> Option<usize>,
) -> Option<()> {
    let mut at = start + 1;
    let mut first = true;
    loop {
        let begin = skip_space(text, at);
        let byte = *text.as_bytes().get(begin)?;
        if byte == close && first {
            return Some(());
        }
        first = false;
        let end = skip_space(text, part(begin, at..begin)?);
        match *text.as_bytes().get(end)? {
            b',' => at = end + 1,
            byte if byte == close => return Some(()),
            _ => return None,
        }
    }
}

pub(super) fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\r')
}

pub(super) fn skip_space(text: &str, at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    at + (rest.len() - rest.trim_start_matches(is_space).len())
}

/// The end of the text that starts (with its quote) at `at`.
fn skip_string(text: &str, at: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    if bytes.get(at) != Some(&b'"') {
        return None;
    }
    let mut at = at + 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// The end of the value that starts at `at`.
pub(super) fn skip_value(text: &str, at: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut depth = 0_usize;
    let mut at = at;
    loop {
        match bytes.get(at)? {
            b'"' => at = skip_string(text, at)?,
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                at += 1;
            }
            b',' | b':' | b' ' | b'\t' | b'\n' | b'\r' if depth > 0 => at += 1,
            b',' | b':' | b' ' | b'\t' | b'\n' | b'\r' => return None,
            _ => {
                let rest = text.get(at..)?;
                at += rest
                    .find(|c: char| {
                        is_space(c) || matches!(c, ',' | ':' | '}' | ']' | '{' | '[' | '"')
                    })
                    .unwrap_or(rest.len());
            }
        }
        if depth == 0 {
            return Some(at);
        }
    }
}
