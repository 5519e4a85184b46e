//! What a text may be like to be parsed at all. The parser itself knows no bounds: each of its parts costs some hundred
//! bytes, and its record of the open levels of indentation is of a fixed size, beyond which it ends the whole process.

use std::collections::BTreeSet;

/// Words and signs of a file. At most some 400 bytes each are needed while it is parsed: 200 MB.
const MOST_PARTS: usize = 500_000;
/// Widths of indentation. The parser keeps a level for a width greater than that before, two bytes each, beside up to 257
/// bytes for open texts, in 1024; Python itself gives up at 100 levels.
const MOST_WIDTHS: usize = 300;

/// Why a text cannot be parsed within bounds.
pub(super) fn fault(text: &str) -> Option<String> {
    if parts(text) > MOST_PARTS {
        return Some(format!("has more than {MOST_PARTS} words and signs"));
    }
    if widths(text) > MOST_WIDTHS {
        return Some(format!("is indented by more than {MOST_WIDTHS} widths"));
    }
    None
}

/// Words and signs, those of comments and texts too: never fewer than the parser's tokens. A number may end within a
/// word: `1L2` are two.
fn parts(text: &str) -> usize {
    let mut count = 0;
    let (mut in_word, mut in_number) = (false, false);
    for c in text.chars() {
        let word = c.is_alphanumeric() || c == '_';
        let starts = !(c.is_whitespace() || word && in_word);
        if starts {
            in_number = c.is_ascii_digit();
        }
        let ends_number = word && in_number && matches!(c, 'l' | 'L' | 'j' | 'J');
        count += usize::from(starts) + usize::from(ends_number);
        in_word = word;
    }
    count
}

/// In how many ways lines begin, those within brackets, comments and texts too: never fewer than the levels that the
/// parser may have open, as each is wider than the one before. Widths are counted as the parser does: a tab is 8, a
/// carriage return and a form feed begin anew, and a line that is continued by `\` goes on; 16 bits. (A NUL ends what it
/// takes for a comment: texts with one do not come here.)
fn widths(text: &str) -> usize {
    let mut seen = BTreeSet::new();
    let (mut width, mut leading) = (0_u16, true);
    let mut bytes = text.bytes().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\n' | b'\r' | 0x0C => (width, leading) = (0, true),
            _ if !leading => {}
            b' ' => width = width.wrapping_add(1),
            b'\t' => width = width.wrapping_add(8),
            b'\\' if matches!(bytes.peek(), Some(b'\n' | b'\r')) => {
                let carriage = bytes.next() == Some(b'\r');
                if carriage && bytes.peek() == Some(&b'\n') {
                    bytes.next();
                }
            }
            _ => {
                seen.insert(width);
                leading = false;
            }
        }
    }
    seen.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_signs_are_counted() {
        for (text, count) in [
            ("", 0),
            (" \n\t", 0),
            ("x = max(a_1, 'é')\n", 10),
            ("((((", 4),
            ("abc def", 2),
            ("é→é→", 4),
            ("1L1L1L", 4),
        ] {
            assert_eq!(parts(text), count, "{text:?}");
        }
        assert!(fault(&"(".repeat(MOST_PARTS)).is_none());
        let told = fault(&"(".repeat(MOST_PARTS + 1));
        assert_eq!(
            told.as_deref(),
            Some("has more than 500000 words and signs")
        );
    }

    #[test]
    fn widths_are_those_of_the_parser() {
        for (text, count) in [
            ("", 0),
            ("a\n b\n  c\n b\na\n", 3),
            ("a\n\tb\n        c\n", 2),
            ("a  \\\n  b\n", 2),
            ("a\n \\\n  b\n", 2),
            ("a\n \\\r\n  b\n", 2),
            ("   \x0Ca\nb\n", 1),
            ("\n\n   \n", 0),
        ] {
            assert_eq!(widths(text), count, "{text:?}");
        }
    }
}
