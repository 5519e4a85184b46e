//! A candidate rule set against the present one, check by check.

use serde::Serialize;

use super::{Style, Tone, table::table, text};
use crate::{
    engine::answer::{Answer, CheckAnswer, Decided},
    model::status::Status,
};

/// What `dry-run --rules NEW` adds to the object it prints.
#[derive(Clone, Debug, Serialize)]
pub struct Compared {
    /// Generation of the present rules.
    pub present: String,
    /// Generation of the candidate.
    pub candidate: String,
    pub checks: Vec<Pair>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Pair {
    pub name: String,
    /// `null`: the candidate adds it.
    pub present: Option<Side>,
    /// `null`: the candidate drops it.
    pub candidate: Option<Side>,
    /// Whether anything of the two differs.
    pub differs: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Side {
    pub status: Status,
    pub message: String,
    pub decision: Decided,
    pub held_by: Option<String>,
}

impl Compared {
    pub fn of(present: &Answer, candidate: &Answer) -> Compared {
        let find = |answer: &Answer, name: &str| {
            let found = answer.checks.iter().find(|check| check.name == name);
            found.map(Side::of)
        };
        let mut names: Vec<&String> = candidate
            .checks
            .iter()
            .chain(&present.checks)
            .map(|check| &check.name)
            .collect();
        names.sort();
        names.dedup();
        let checks = names.into_iter().map(|name| {
            let (present, candidate) = (find(present, name), find(candidate, name));
            Pair {
                name: name.clone(),
                differs: present != candidate,
                present,
                candidate,
            }
        });
        Compared {
            present: present.generation.clone(),
            candidate: candidate.generation.clone(),
            checks: checks.collect(),
        }
    }
}

impl Side {
    fn of(check: &CheckAnswer) -> Side {
        Side {
            status: check.status,
            message: check.message.clone(),
            decision: check.remediation.decision,
            held_by: check.remediation.held_by.clone(),
        }
    }

    fn decision(&self) -> String {
        match (self.decision, &self.held_by) {
            (Decided::None, _) => "no repair".to_owned(),
            (Decided::Held, Some(by)) => format!("held by {}", text::clean(by)),
            (Decided::Held, None) => "held".to_owned(),
            (Decided::Would | Decided::Repaired | Decided::Failed, _) => "would repair".to_owned(),
        }
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
            side.decision(),
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
