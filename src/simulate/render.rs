//! Results of tests as people see them: a line for each test that failed, each expectation with what was seen instead
//! and why, then what no test has seen, and a summary last.

use owo_colors::{OwoColorize, Style};

use super::{Failure, Gap, Outcome};

/// As text; with `color` for a terminal. Tests that passed are only counted. `gaps` is empty when only some of the tests
/// were run.
pub fn render(outcomes: &[Outcome], gaps: &[Gap], color: bool) -> String {
    let paint = Paint { color };
    let mut text = String::new();
    for outcome in outcomes.iter().filter(|outcome| !outcome.passed) {
        let head = paint.with("FAILED", Style::new().red().bold());
        let place = paint.with(
            &format!("{}:{}", outcome.place.file, outcome.place.line),
            Style::new().dimmed(),
        );
        text.push_str(&format!("{head}  {}  {place}\n", plain(&outcome.name)));
        for failure in &outcome.failures {
            self::failure(&mut text, failure, &paint);
        }
        text.push('\n');
    }
    for gap in gaps {
        let place = paint.with(
            &format!("{}:{}", gap.place.file, gap.place.line),
            Style::new().dimmed(),
        );
        let note = paint.with("note", Style::new().yellow());
        text.push_str(&format!(
            "{note}    {} {}  {place}\n",
            plain(&gap.check),
            gap.what
        ));
    }
    if !gaps.is_empty() {
        text.push('\n');
    }
    let failed = outcomes.iter().filter(|outcome| !outcome.passed).count();
    let ok = outcomes.len() - failed;
    let ok = paint.with(
        &format!("ok {ok}"),
        if ok > 0 {
            Style::new().green()
        } else {
            Style::new()
        },
    );
    let failed = match failed {
        0 => "failed 0".to_owned(),
        failed => paint.with(&format!("failed {failed}"), Style::new().red().bold()),
    };
    text.push_str(&format!("{ok}  {failed}\n"));
    text
}

fn failure(text: &mut String, failure: &Failure, paint: &Paint) {
    let place = paint.with(&failure.place.to_string(), Style::new().dimmed());
    text.push_str(&format!("  {}  {place}\n", plain(&failure.what)));
    if let (Some(expected), Some(got)) = (&failure.expected, &failure.got) {
        let expected = paint.with(&plain(expected), Style::new().green());
        let got = paint.with(&plain(got), Style::new().red());
        text.push_str(&format!("    expected  {expected}\n    got       {got}\n"));
    }
    for line in &failure.because {
        text.push_str(&format!(
            "    {}  {}\n",
            paint.with("|", Style::new().dimmed()),
            plain(line)
        ));
    }
}

/// What came from files or commands must not move the cursor.
fn plain(text: &str) -> String {
    let wrong = |c: char| c.is_control();
    match text.contains(wrong) {
        false => text.to_owned(),
        true => text
            .chars()
            .flat_map(|c| {
                let shown: String = if wrong(c) {
                    c.escape_default().collect()
                } else {
                    c.into()
                };
                shown.chars().collect::<Vec<_>>()
            })
            .collect(),
    }
}

struct Paint {
    color: bool,
}

impl Paint {
    fn with(&self, text: &str, style: Style) -> String {
        match self.color {
            true => text.style(style).to_string(),
            false => text.to_owned(),
        }
    }
}
