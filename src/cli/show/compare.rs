//! A candidate rule set against the present one, check by check.

use super::{Style, Tone, table::table, text};
use crate::engine::{
    answer::Decided,
    compared::{Compared, Pair, Side},
};

/// What would be done about it, in words.
fn decision(side: &Side) -> String {
    match (side.decision, &side.held_by) {
        (Decided::None, _) => "no repair".to_owned(),
        (Decided::Held, Some(by)) => format!("held by {}", text::clean(by)),
        (Decided::Held, None) => "held".to_owned(),
        (Decided::Would | Decided::Repaired | Decided::Failed, _) => "would repair".to_owned(),
    }
}

/// Only what differs, and a summary.
pub fn compared(compared: &Compared, style: &Style) -> String {
    let different: Vec<&Pair> = compared.checks.iter().filter(|pair| pair.differs).collect();
    let mut shown = format!(
        "{} {} {} {}\n",
        style.strong("Present rules"),
        compared.present,
        style.strong("against candidate"),
        compared.candidate
    );
    let rows: Vec<Vec<String>> = different
        .iter()
        .flat_map(|pair| rows(pair, style))
        .collect();
    shown.push_str(&table(&rows, &[], style));
    let same = compared.checks.len() - different.len();
    shown.push_str(&match (different.len(), same) {
        (0, same) => format!("all {} decide the same\n", text::count(same, "check")),
        (some, same) => format!(
            "{} differ, {same} decide the same\n",
            text::count(some, "check")
        ),
    });
    shown
}

fn rows(pair: &Pair, style: &Style) -> Vec<Vec<String>> {
    let row = |mark: &str, name: &str, side: &Side| {
        let tone = if mark == "+" { Tone::Good } else { Tone::Bad };
        vec![
            style.paint(tone, mark),
            style.strong(name),
            style.status(side.status),
            decision(side),
            text::clean(&side.message),
        ]
    };
    let name = text::clean(&pair.name);
    let old = pair.present.as_ref().map(|side| row("-", &name, side));
    let new = pair.candidate.as_ref().map(|side| {
        let name = if pair.present.is_some() { "" } else { &name };
        row("+", name, side)
    });
    old.into_iter().chain(new).collect()
}

#[cfg(test)]
mod tests {
    use super::super::answer::samples;
    use super::*;
    use crate::model::status::Status;

    #[test]
    fn only_what_differs_is_shown() {
        let mut candidate = samples::wish();
        candidate.generation = "ffffffffffff".to_owned();
        let mut present = samples::wish();
        if let Some(check) = present.checks.first_mut() {
            check.status = Status::Warning;
            check.remediation.decision = Decided::Held;
            check.remediation.held_by = Some("cooldown".to_owned());
        }
        present
            .checks
            .push(samples::check("dropped", Status::Ok, "fine"));
        candidate
            .checks
            .push(samples::check("added", Status::Unknown, "no data"));
        let result = Compared::of(&present, &candidate);
        insta::assert_snapshot!(compared(&result, &Style::plain()), @r#"
        Present rules 0a1b2c3d4e5f against candidate ffffffffffff
        +  added             UNKNOWN   no repair         no data
        -  dropped           OK        no repair         fine
        -  entry_thresholds  WARNING   held by cooldown  Base threshold 3.5 is above 3.0
        +                    CRITICAL  would repair      Base threshold 3.5 is above 3.0
        3 checks differ, 1 decide the same
        "#);
        let same = Compared::of(&present, &present);
        insta::assert_snapshot!(compared(&same, &Style::plain()), @r#"
        Present rules 0a1b2c3d4e5f against candidate 0a1b2c3d4e5f
        all 3 checks decide the same
        "#);
    }
}
