//! Texts from outside, made fit for a terminal; and small words.

use serde_json::Value;

/// One line without control characters: what a log or a file holds must not move the cursor or change colours.
pub fn clean(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.trim_end().chars() {
        match c {
            '\n' => line.push_str(" ⏎ "),
            '\r' => {}
            '\t' => line.push(' '),
            c if hidden(c) => line.extend(c.escape_unicode()),
            c => line.push(c),
        }
    }
    line
}

/// Control characters, and those that turn the direction of writing around.
fn hidden(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// [`clean`], at most `most` characters long.
pub fn short(text: &str, most: usize) -> String {
    let line = clean(text);
    if line.chars().count() <= most {
        return line;
    }
    let head: String = line.chars().take(most.saturating_sub(1)).collect();
    format!("{head}…")
}

/// A JSON value in one line of at most `most` characters.
pub fn value(value: &Value, most: usize) -> String {
    let inner = match value {
        Value::Array(items) if items.len() > 3 => Some(("[", "]", items.len(), "items")),
        Value::Object(map) if map.len() > 3 => Some(("{", "}", map.len(), "keys")),
        _ => None,
    };
    let text = value.to_string();
    match inner {
        Some((open, close, count, what)) if text.chars().count() > most => {
            format!("{open}… {count} {what}{close}")
        }
        _ => short(&text, most),
    }
}

/// `1 repair`, `2 repairs`.
pub fn count(number: usize, word: &str) -> String {
    match number {
        1 => format!("1 {word}"),
        _ => format!("{number} {word}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn nothing_from_outside_steers_the_terminal() {
        assert_eq!(clean("a\u{1b}[31mb\nc\td\u{7}"), r"a\u{1b}[31mb ⏎ c d\u{7}");
        assert_eq!(clean("x\u{202e}y"), r"x\u{202e}y");
        assert_eq!(clean("fine\r\n"), "fine");
    }

    #[test]
    fn long_values_say_how_long() {
        assert_eq!(value(&json!([1, 2, 3, 4, 5]), 5), "[… 5 items]");
        assert_eq!(value(&json!({"a": 1}), 40), r#"{"a":1}"#);
        assert_eq!(value(&json!("abcdefgh"), 5), "\"abc…");
    }

    proptest! {
        #[test]
        fn a_clean_text_is_one_line(text in any::<String>(), most in 1usize..40) {
            prop_assert!(!clean(&text).chars().any(char::is_control));
            prop_assert!(short(&text, most).chars().count() <= most);
        }
    }
}
