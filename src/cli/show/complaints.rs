//! Mistakes in rules, drawn by [`complaint::render`] in the style of this output.

use super::Style;
use crate::rules::complaint::{self, Complaint};

/// Columns when nothing says how many there are.
const WIDTH: usize = 100;

/// All complaints, each with its excerpt.
pub fn complaints(complaints: &[Complaint], style: &Style) -> String {
    let drawing = complaint::Style {
        unicode: true,
        colour: style.colour,
        width: match style.width {
            Style::UNBROKEN => WIDTH,
            width => width,
        },
    };
    complaint::render(complaints, drawing)
}

#[cfg(test)]
pub(crate) mod samples {
    use super::*;
    use crate::{
        model::text::{Mistake, Place},
        rules::complaint::Severity,
    };

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
            rule: Some("weights_file".to_owned()),
            source: "checks:\n  - name: weights_file\n    thershold: {}\n".into(),
        }
    }
}
