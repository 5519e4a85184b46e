//! What kind of a statement of PostgreSQL it is, by its text alone. The server judges what it does.

use crate::model::text::{Mistake, Text};

/// What a statement begins with that gives rows and does nothing.
const READING: [&str; 6] = ["explain", "select", "show", "table", "values", "with"];

/// Finds what is wrong with a statement by its text alone.
pub fn check(query: &Text, mistakes: &mut Vec<Mistake>) {
    let word = first_word(query.as_str());
    if !READING.contains(&word.to_ascii_lowercase().as_str()) {
        let wrong = format!("a query only reads, and does not begin with `{word}`");
        mistakes.push(
            Mistake::new("bad-value", wrong, query.place())
                .help("begin it with SELECT, WITH, VALUES, TABLE, SHOW or EXPLAIN"),
        );
    }
}

/// The first word of a statement, behind comments and brackets.
fn first_word(query: &str) -> &str {
    let mut rest = query;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '(');
        if let Some(comment) = rest.strip_prefix("--") {
            rest = comment.split_once('\n').map_or("", |(_, rest)| rest);
        } else if rest.starts_with("/*") {
            rest = behind_comment(rest);
        } else {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
            return rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        }
    }
}

/// Comments nest.
fn behind_comment(text: &str) -> &str {
    let mut depth = 0_usize;
    let mut rest = text;
    loop {
        match (rest.find("/*"), rest.find("*/")) {
            (Some(open), Some(close)) if open < close => {
                depth += 1;
                rest = rest.get(open + 2..).unwrap_or_default();
            }
            (_, Some(close)) => {
                depth = depth.saturating_sub(1);
                rest = rest.get(close + 2..).unwrap_or_default();
                if depth == 0 {
                    return rest;
                }
            }
            (_, None) => return "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_known_by_its_first_word() {
        for (query, word) in [
            ("SELECT 1", "SELECT"),
            ("  ((select 1) union (select 2))", "select"),
            (
                "-- why\n/* and /* how */ */ WITH x AS (SELECT 1) TABLE x",
                "WITH",
            ),
            ("/* open", ""),
            ("-- only this", ""),
            ("SHOW server_version", "SHOW"),
            ("DO$$x$$", "DO"),
            ("", ""),
        ] {
            assert_eq!(first_word(query), word, "{query}");
        }
        for (query, allowed) in [
            ("Explain SELECT 1", true),
            ("VALUES (1)", true),
            ("COPY t TO PROGRAM 'x'", false),
            ("DO $$ BEGIN END $$", false),
            ("CALL p()", false),
            ("SET x = 1", false),
            ("NOTIFY x", false),
            ("/* SELECT */ DELETE FROM t", false),
            ("SELECTS 1", false),
        ] {
            let mut mistakes = Vec::new();
            check(&Text::bare(query), &mut mistakes);
            assert_eq!(mistakes.is_empty(), allowed, "{query}");
        }
    }
}
