//! What `test` says: a line for each test, what was expected and seen below those that failed, a summary last.

use std::time::Duration;

use serde::Serialize;

use super::{Style, Tone, table::indented, text, time};
use crate::model::text::Place;

/// One test of a `tests:` block, run.
#[derive(Clone, Debug, Serialize)]
pub struct Ran {
    pub name: String,
    pub place: Place,
    pub passed: bool,
    /// What was expected and what was seen instead; empty if it passed.
    pub failures: Vec<String>,
}

pub fn tests_run(all: &[Ran], gaps: &[String], took: Duration, style: &Style) -> String {
    let mut shown = String::new();
    for test in all {
        let mark = match test.passed {
            true => style.paint(Tone::Good, "ok  "),
            false => style.paint(Tone::Bad, "FAIL"),
        };
        let place = style.dim(&text::clean(&format!(
            "{}:{}",
            test.place.file, test.place.line
        )));
        shown.push_str(&format!("{mark}  {}  {place}\n", text::clean(&test.name)));
        for failure in &test.failures {
            let lines: String = failure
                .lines()
                .map(|line| text::clean(line) + "\n")
                .collect();
            shown.push_str(&indented(&lines, 6));
        }
    }
    if !gaps.is_empty() {
        shown.push_str("\nnot tested:\n");
    }
    for gap in gaps {
        shown.push_str(&format!("  {}\n", style.dim(&text::clean(gap))));
    }
    let failed = all.iter().filter(|test| !test.passed).count();
    let passed = style.paint(Tone::Good, &format!("{} passed", all.len() - failed));
    let failed = match failed {
        0 => String::new(),
        failed => format!(", {}", style.paint(Tone::Bad, &format!("{failed} failed"))),
    };
    let count = style.strong(&text::count(all.len(), "test"));
    let took = style.dim(&format!("in {}", time::span(took)));
    format!(
        "{shown}{}{count}: {passed}{failed} {took}\n",
        if all.is_empty() { "" } else { "\n" }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_was_seen() {
        let ran = |name: &str, failures: &[&str]| Ran {
            name: name.to_owned(),
            place: Place {
                file: "critical.yaml".into(),
                line: 40,
                column: 3,
            },
            passed: failures.is_empty(),
            failures: failures.iter().map(|text| (*text).to_owned()).collect(),
        };
        let all = [
            ran("a missing file is restored", &[]),
            ran("an empty one too", &["expected WARNING\nsaw      OK"]),
        ];
        let took = Duration::from_millis(340);
        insta::assert_snapshot!(tests_run(&all, &[], took, &Style::plain()), @r#"
        ok    a missing file is restored  critical.yaml:40
        FAIL  an empty one too  critical.yaml:40
              expected WARNING
              saw      OK

        2 tests: 1 passed, 1 failed in 0.3 s
        "#);
        insta::assert_snapshot!(tests_run(&[], &[], took, &Style::plain()), @r#"0 tests: 0 passed in 0.3 s"#);
    }
}
