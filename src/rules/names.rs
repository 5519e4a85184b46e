//! Which names may be given: to checks and investigations, and to what expressions read (probes, `let`, `vars`).

use crate::{
    model::text::{Mistake, Text, meant},
    script::scope::RESERVED,
};

/// Words that Rhai keeps for itself, now or for later.
const KEYWORDS: [&str; 63] = [
    "Fn",
    "as",
    "async",
    "await",
    "break",
    "call",
    "case",
    "catch",
    "const",
    "continue",
    "curry",
    "debug",
    "default",
    "do",
    "else",
    "eval",
    "export",
    "false",
    "fn",
    "for",
    "global",
    "go",
    "goto",
    "if",
    "import",
    "in",
    "is",
    "is_def_fn",
    "is_def_var",
    "is_shared",
    "let",
    "loop",
    "match",
    "module",
    "new",
    "nil",
    "null",
    "package",
    "print",
    "private",
    "protected",
    "public",
    "return",
    "shared",
    "spawn",
    "static",
    "super",
    "switch",
    "sync",
    "this",
    "thread",
    "throw",
    "true",
    "try",
    "type_of",
    "until",
    "use",
    "var",
    "void",
    "while",
    "with",
    "yield",
    "_",
];

/// The longest name, in characters.
const LONGEST: usize = 100;

/// The name of a check, an investigation or a test: it stands in paths, addresses and command lines.
pub fn check_rule(name: &Text, mistakes: &mut Vec<Mistake>) -> bool {
    let text = name.as_str();
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let starts = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    if starts && text.chars().all(fits) && text.len() <= LONGEST {
        return true;
    }
    mistakes.push(
        Mistake::new("bad-name", format!("`{text}` is no name for a rule"), name.place())
            .help("a name has letters, digits, `_`, `-` and `.`, starts with a letter or digit, and is at most 100 long"),
    );
    false
}

/// A name that expressions read: of a probe, a `let`, a fact.
pub fn check_variable(name: &Text, what: &str, mistakes: &mut Vec<Mistake>) -> bool {
    let text = name.as_str();
    if !is_identifier(text) {
        mistakes.push(
            Mistake::new(
                "bad-name",
                format!("`{text}` is no name for {what}"),
                name.place(),
            )
            .help("a name has letters, digits and `_`, and does not start with a digit"),
        );
        return false;
    }
    let taken = if KEYWORDS.contains(&text) {
        "a word of the expression language"
    } else if RESERVED.contains(&text) {
        "a name that means something by itself in expressions"
    } else {
        return true;
    };
    mistakes.push(
        Mistake::new(
            "reserved-name",
            format!("`{text}` is {taken}"),
            name.place(),
        )
        .help("choose another name"),
    );
    false
}

/// A key that expressions read after a dot: `vars.NAME`, `kept.NAME`.
pub fn check_property(name: &Text, what: &str, mistakes: &mut Vec<Mistake>) -> bool {
    let text = name.as_str();
    if is_identifier(text) && !KEYWORDS.contains(&text) {
        return true;
    }
    mistakes.push(
        Mistake::new("bad-name", format!("`{text}` is no name for {what}"), name.place())
            .help("a name has letters, digits and `_`, does not start with a digit, and is no word of the expression language"),
    );
    false
}

fn is_identifier(text: &str) -> bool {
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    starts && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && text.len() <= LONGEST
}

/// "did you mean", or what there is.
pub fn suggest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    match meant(written, known.iter().copied()) {
        Some(word) => format!("did you mean `{word}`?"),
        None if known.is_empty() => "there are none".to_owned(),
        None if known.len() <= 12 => format!("there are: {}", known.join(", ")),
        None => format!("there are {} of them, none like it", known.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(name: &str) -> Option<&'static str> {
        let mut mistakes = Vec::new();
        check_variable(&Text::bare(name), "a value", &mut mistakes);
        mistakes.first().map(|mistake| mistake.code)
    }

    #[test]
    fn names_of_values_can_be_read_by_expressions() {
        assert_eq!(code("idle"), None);
        assert_eq!(code("_x2"), None);
        for wrong in ["", "2x", "a-b", "a b", "é"] {
            assert_eq!(code(wrong), Some("bad-name"), "{wrong}");
        }
        for taken in ["switch", "it", "now", "_", "kept"] {
            assert_eq!(code(taken), Some("reserved-name"), "{taken}");
        }
    }

    #[test]
    fn the_keywords_are_those_of_rhai() {
        let engine = rhai::Engine::new();
        for word in KEYWORDS {
            let binds = engine.compile(format!("let {word} = 1; {word}")).is_ok();
            assert!(
                !binds
                    || [
                        "call",
                        "curry",
                        "debug",
                        "eval",
                        "print",
                        "type_of",
                        "is_def_fn",
                        "is_def_var",
                        "is_shared",
                        "global",
                        "default",
                        "_"
                    ]
                    .contains(&word),
                "{word} is free"
            );
        }
        for word in ["idle", "count", "doc", "max", "exists", "valid", "run"] {
            assert!(
                engine.compile(format!("let {word} = 1; {word}")).is_ok(),
                "{word}"
            );
        }
    }

    #[test]
    fn rules_have_names_that_fit_anywhere() {
        let mut mistakes = Vec::new();
        assert!(check_rule(&Text::bare("zero_trades-2.a"), &mut mistakes));
        for wrong in ["", "a b", "../x", "-x", ".x", "a/b", &"x".repeat(101)] {
            assert!(!check_rule(&Text::bare(wrong), &mut mistakes), "{wrong}");
        }
    }
}
