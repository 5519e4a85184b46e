//! A mistake in a rule file, as people and programs see it: where it is, an excerpt with a caret, which rule, and what
//! to write instead.

use std::{fmt, sync::Arc};

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError,
    MietteSpanContents, SourceCode, SourceSpan, SpanContents, ThemeCharacters, ThemeStyles,
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::model::text::Mistake;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Error,
    Warning,
}

impl Severity {
    pub fn word(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

/// A mistake with all that is needed to show it.
#[derive(Clone, Debug, Serialize)]
pub struct Complaint {
    pub severity: Severity,
    #[serde(flatten)]
    pub mistake: Mistake,
    /// The check, investigation or test it stands in.
    pub rule: Option<String>,
    /// The whole file, for the excerpt.
    #[serde(skip)]
    pub source: Arc<str>,
}

impl fmt::Display for Complaint {
    /// One line: `rules/a.yaml:3:5: error[unknown-key] in weights_file: unknown key `thershold` (did you mean …?)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Mistake {
            code,
            message,
            help,
            place,
        } = &self.mistake;
        write!(f, "{place}: {}[{code}]", self.severity.word())?;
        if let Some(rule) = &self.rule {
            write!(f, " in {rule}")?;
        }
        write!(f, ": {message}")?;
        match help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}

impl Complaint {
    /// The same with every text made anew: what is told of a rule file must not tell its secrets.
    pub fn with_texts(self, make: &dyn Fn(&str) -> String) -> Complaint {
        Complaint {
            mistake: Mistake {
                message: make(&self.mistake.message),
                help: self.mistake.help.as_deref().map(make),
                ..self.mistake
            },
            rule: self.rule.as_deref().map(make),
            source: make(&self.source).into(),
            ..self
        }
    }

    /// For programs: flat, with the line it is about.
    pub fn to_json(&self) -> Value {
        let Mistake {
            code,
            message,
            help,
            place,
        } = &self.mistake;
        let line = line(&self.source, place.line);
        json!({
            "severity": self.severity,
            "code": code,
            "message": message,
            "help": help,
            "file": &*place.file,
            "line": place.line,
            "column": place.column,
            "rule": self.rule,
            "excerpt": line.map(|line| line.chars().take(LONGEST_LINE).collect::<String>()),
        })
    }
}

/// How complaints are drawn.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    pub unicode: bool,
    pub colour: bool,
    /// Columns of the screen.
    pub width: usize,
}

/// Longer lines are cut around the place.
const LONGEST_LINE: usize = 160;

/// Draws complaints one after the other.
pub fn render(complaints: &[Complaint], style: Style) -> String {
    let theme = GraphicalTheme {
        characters: match style.unicode {
            true => ThemeCharacters::unicode(),
            false => ThemeCharacters::ascii(),
        },
        styles: match style.colour {
            true => ThemeStyles::ansi(),
            false => ThemeStyles::none(),
        },
    };
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_width(style.width.clamp(40, 400))
        .with_links(false)
        .without_syntax_highlighting()
        .without_cause_chain();
    let mut drawn = String::new();
    for complaint in complaints {
        if !drawn.is_empty() {
            drawn.push('\n');
        }
        let shown = Shown::of(complaint);
        if handler.render_report(&mut drawn, &shown).is_err() {
            drawn.push_str(&complaint.to_string());
        }
        if !drawn.ends_with('\n') {
            drawn.push('\n');
        }
    }
    drawn
}

/// Complaints without colour, for logs and for programs that show a text.
pub fn plain(complaints: &[Complaint]) -> String {
    render(
        complaints,
        Style {
            unicode: false,
            colour: false,
            width: 100,
        },
    )
}

/// `2 errors, 1 warning`.
pub fn summary(complaints: &[Complaint]) -> String {
    let count = |severity| {
        let found = complaints
            .iter()
            .filter(|complaint| complaint.severity == severity);
        found.count()
    };
    let words = |count: usize, word: &str| match count {
        1 => format!("1 {word}"),
        count => format!("{count} {word}s"),
    };
    match (count(Severity::Error), count(Severity::Warning)) {
        (0, 0) => "no complaints".to_owned(),
        (0, warnings) => words(warnings, "warning"),
        (errors, 0) => words(errors, "error"),
        (errors, warnings) => format!("{}, {}", words(errors, "error"), words(warnings, "warning")),
    }
}

/// A line of a text, from 1, without its break.
fn line(source: &str, number: usize) -> Option<&str> {
    let line = source.split_inclusive('\n').nth(number.checked_sub(1)?)?;
    Some(line.trim_end_matches(['\n', '\r']))
}

/// A complaint as miette draws it.
#[derive(Debug)]
struct Shown<'a> {
    complaint: &'a Complaint,
    excerpt: Option<Excerpt>,
    label: Option<String>,
}

impl<'a> Shown<'a> {
    fn of(complaint: &'a Complaint) -> Shown<'a> {
        Shown {
            complaint,
            excerpt: Excerpt::of(complaint),
            label: complaint.rule.as_ref().map(|rule| format!("in {rule}")),
        }
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mistake = &self.complaint.mistake;
        let told = mistake.message.contains(&*mistake.place.file);
        if self.excerpt.is_none() && !told && !mistake.place.file.is_empty() {
            write!(f, "{}: ", mistake.place.file)?;
        }
        f.write_str(&mistake.message)
    }
}

impl std::error::Error for Shown<'_> {}

impl Diagnostic for Shown<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.complaint.mistake.code))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.complaint.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let help = self.complaint.mistake.help.as_ref()?;
        Some(Box::new(help))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.excerpt
            .as_ref()
            .map(|excerpt| excerpt as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let excerpt = self.excerpt.as_ref()?;
        let span = LabeledSpan::new_with_span(self.label.clone(), excerpt.span);
        Some(Box::new(std::iter::once(span)))
    }
}

/// The line a complaint is about and its neighbours, cut to a width that can be read.
#[derive(Debug)]
struct Excerpt {
    file: String,
    text: String,
    /// The number of its first line, from 0.
    first: usize,
    /// The place, from 0.
    line: usize,
    column: usize,
    span: SourceSpan,
}

impl Excerpt {
    fn of(complaint: &Complaint) -> Option<Excerpt> {
        let place = &complaint.mistake.place;
        let here = line(&complaint.source, place.line)?;
        let column = place.column.saturating_sub(1);
        // All lines are cut at the same column, so that they stay below each other.
        let cut = column.saturating_sub(LONGEST_LINE / 2);
        let cut = if here.chars().count() <= LONGEST_LINE {
            0
        } else {
            cut
        };
        let first = place.line.saturating_sub(1).max(1);
        let mut text = String::new();
        let mut span = SourceSpan::from((0, 0));
        for number in first..=place.line + 1 {
            let Some(line) = line(&complaint.source, number) else {
                break;
            };
            let shown: String = line.chars().skip(cut).take(LONGEST_LINE).collect();
            if number == place.line {
                let before: usize = shown.chars().take(column - cut).map(char::len_utf8).sum();
                let word = word(shown.get(before..).unwrap_or_default());
                span = SourceSpan::from((text.len() + before, word));
            }
            text.push_str(&shown);
            text.push('\n');
        }
        Some(Excerpt {
            file: place.file.to_string(),
            text,
            first: first - 1,
            line: place.line - 1,
            column,
            span,
        })
    }
}

/// The length in bytes of what a place points at: a word, or one character.
fn word(rest: &str) -> usize {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
    match end {
        0 => rest.chars().next().map_or(0, char::len_utf8),
        end => end,
    }
}

impl SourceCode for Excerpt {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let inner = self.text.as_str().read_span(span, before, after)?;
        let (line, column) = match (before, after) {
            // Only the place itself is asked for: the excerpt may be cut, the place is not.
            (0, 0) => (self.line, self.column),
            _ => (self.first + inner.line(), inner.column()),
        };
        Ok(Box::new(MietteSpanContents::new_named(
            self.file.clone(),
            inner.data(),
            *inner.span(),
            line,
            column,
            inner.line_count(),
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::text::Place;

    fn complaint(source: &str, line: usize, column: usize) -> Complaint {
        let place = Place {
            file: "rules/extra.yaml".into(),
            line,
            column,
        };
        Complaint {
            severity: Severity::Error,
            mistake: Mistake::new("unknown-key", "unknown key `thershold`", place)
                .help("did you mean `threshold`?"),
            rule: Some("weights_file".to_owned()),
            source: source.into(),
        }
    }

    const PLAIN: Style = Style {
        unicode: true,
        colour: false,
        width: 80,
    };

    #[test]
    fn shows_the_place_and_what_to_write() {
        let source = "checks:\n  - name: weights_file\n    thershold: { critical: missing }\n    message: x\n";
        let mut warning = complaint(source, 2, 11);
        warning.severity = Severity::Warning;
        warning.mistake = Mistake::new(
            "no-about",
            "the check does not say what it is about",
            warning.mistake.place,
        );
        let drawn = render(&[complaint(source, 3, 5), warning], PLAIN);
        insta::assert_snapshot!(drawn, @r#"
        unknown-key

          × unknown key `thershold`
           ╭─[rules/extra.yaml:3:5]
         2 │   - name: weights_file
         3 │     thershold: { critical: missing }
           ·     ────┬────
           ·         ╰── in weights_file
         4 │     message: x
           ╰────
          help: did you mean `threshold`?

        no-about

          ⚠ the check does not say what it is about
           ╭─[rules/extra.yaml:2:11]
         1 │ checks:
         2 │   - name: weights_file
           ·           ──────┬─────
           ·                 ╰── in weights_file
         3 │     thershold: { critical: missing }
           ╰────
        "#);
        let ascii = Style {
            unicode: false,
            ..PLAIN
        };
        insta::assert_snapshot!(render(&[complaint(source, 3, 5)], ascii), @r#"
        unknown-key

          x unknown key `thershold`
           ,-[rules/extra.yaml:3:5]
         2 |   - name: weights_file
         3 |     thershold: { critical: missing }
           :     ^^^^|^^^^
           :         `-- in weights_file
         4 |     message: x
           `----
          help: did you mean `threshold`?
        "#);
    }

    #[test]
    fn one_line_says_it_all() {
        insta::assert_snapshot!(complaint("", 3, 5), @r#"rules/extra.yaml:3:5: error[unknown-key] in weights_file: unknown key `thershold` (did you mean `threshold`?)"#);
        assert_eq!(
            summary(&[complaint("", 1, 1), complaint("", 2, 1)]),
            "2 errors"
        );
        assert_eq!(summary(&[]), "no complaints");
    }

    #[test]
    fn a_long_line_is_cut_and_a_far_place_is_no_panic() {
        let source = format!("a: {}@{}\nnext", "x".repeat(5000), "y".repeat(5000));
        let drawn = render(&[complaint(&source, 1, 5004)], PLAIN);
        assert!(drawn.contains("extra.yaml:1:5004"), "{drawn}");
        assert!(drawn.len() < 2500, "{}", drawn.len());
        for (line, column) in [(0, 0), (1, 0), (1, 20_000), (2, 5), (2, 6), (3, 1), (9, 9)] {
            render(&[complaint(&source, line, column)], PLAIN);
            complaint(&source, line, column).to_json();
        }
        render(&[complaint("é: 𝄞\r\nü", 1, 4), complaint("", 1, 1)], PLAIN);
    }

    #[test]
    fn programs_get_it_flat() {
        insta::assert_json_snapshot!(complaint("a\nb\n  thershold: 1\n", 3, 3).to_json(), @r#"
        {
          "severity": "error",
          "code": "unknown-key",
          "message": "unknown key `thershold`",
          "help": "did you mean `threshold`?",
          "file": "rules/extra.yaml",
          "line": 3,
          "column": 3,
          "rule": "weights_file",
          "excerpt": "  thershold: 1"
        }
        "#);
    }
}
