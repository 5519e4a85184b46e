//! Mistakes in rules: the place, an excerpt with a caret, what to write instead; all of them, errors first.

use std::fmt::Write;

use super::{Style, Tone, text};
use crate::rules::complaint::{Complaint, Severity};

/// All complaints, in the order of their places, errors first.
pub fn complaints(complaints: &[Complaint], style: &Style) -> String {
    let mut ordered: Vec<&Complaint> = complaints.iter().collect();
    ordered.sort_by_key(|complaint| {
        (
            complaint.severity == Severity::Warning,
            &complaint.mistake.place,
        )
    });
    let shown: Vec<String> = ordered.iter().map(|one| complaint(one, style)).collect();
    shown.join("\n")
}

/// `2 errors, 1 warning`.
pub fn counted(complaints: &[Complaint], style: &Style) -> String {
    let of = |severity| {
        let found = complaints.iter().filter(|one| one.severity == severity);
        found.count()
    };
    let parts: Vec<String> = [
        (of(Severity::Error), "error", Tone::Bad),
        (of(Severity::Warning), "warning", Tone::Warning),
    ]
    .into_iter()
    .filter(|(number, _, _)| *number > 0)
    .map(|(number, word, tone)| style.paint(tone, &text::count(number, word)))
    .collect();
    match parts.is_empty() {
        true => style.paint(Tone::Good, "no complaints"),
        false => parts.join(", "),
    }
}

fn complaint(complaint: &Complaint, style: &Style) -> String {
    let (word, tone) = match complaint.severity {
        Severity::Error => ("error", Tone::Bad),
        Severity::Warning => ("warning", Tone::Warning),
    };
    let mistake = &complaint.mistake;
    let head = style.paint(tone, &format!("{word}[{}]", mistake.code));
    let mut shown = format!("{head}: {}\n", style.strong(&text::clean(&mistake.message)));
    let rule = complaint
        .rule
        .as_ref()
        .map(|rule| format!("  in {}", text::clean(rule)))
        .unwrap_or_default();
    let place = style.paint(Tone::Place, &text::clean(&mistake.place.to_string()));
    let _ = writeln!(shown, "  {place}{rule}");
    shown.push_str(&excerpt(complaint, style).unwrap_or_default());
    if let Some(help) = &mistake.help {
        let _ = writeln!(
            shown,
            "  {} {}",
            style.paint(Tone::Good, "help:"),
            text::clean(help)
        );
    }
    shown
}

fn excerpt(complaint: &Complaint, style: &Style) -> Option<String> {
    let place = &complaint.mistake.place;
    let line = complaint.source.lines().nth(place.line.checked_sub(1)?)?;
    let before: String = line.chars().take(place.column.saturating_sub(1)).collect();
    // As `clean` shows it, so that the caret stands below its character.
    let indent =
        textwrap::core::display_width(&text::clean(&format!("{before}|"))).saturating_sub(1);
    let number = style.dim(&format!("{:>5} |", place.line));
    let blank = style.dim("      |");
    let caret = style.paint(Tone::Bad, "^");
    let line = text::clean(line);
    Some(format!(
        "{number} {line}\n{blank} {}{caret}\n",
        " ".repeat(indent)
    ))
}

#[cfg(test)]
pub(crate) mod samples {
    use super::*;
    use crate::model::text::{Mistake, Place};

    pub fn complaint(severity: Severity, line: usize, column: usize) -> Complaint {
        let place = Place {
            file: "critical.yaml".into(),
            line,
            column,
        };
        Complaint {
            severity,
            mistake: Mistake::new("unknown-key", "there is no key `thershold`", place)
                .help("write `threshold`"),
            rule: Some("check weights_file".to_owned()),
            source: "checks:\n  - name: weights_file\n\t thershold: {}\n".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_come_first_and_the_caret_stands_below_its_character() {
        let all = [
            samples::complaint(Severity::Warning, 2, 11),
            samples::complaint(Severity::Error, 3, 3),
            samples::complaint(Severity::Error, 0, 0),
        ];
        insta::assert_snapshot!(complaints(&all, &Style::plain()), @r#"
        error[unknown-key]: there is no key `thershold`
          critical.yaml:0:0  in check weights_file
          help: write `threshold`

        error[unknown-key]: there is no key `thershold`
          critical.yaml:3:3  in check weights_file
            3 |   thershold: {}
              |   ^
          help: write `threshold`

        warning[unknown-key]: there is no key `thershold`
          critical.yaml:2:11  in check weights_file
            2 |   - name: weights_file
              |           ^
          help: write `threshold`
        "#);
        insta::assert_snapshot!(counted(&all, &Style::plain()), @r#"2 errors, 1 warning"#);
        insta::assert_snapshot!(counted(&[], &Style::plain()), @r#"no complaints"#);
    }
}
