//! One rule file as compiled: what it gives to the book, and what only the whole directory can check.

use std::sync::Arc;

use super::{
    book::{Check, Investigation, Notifier, Test},
    complaint::{Complaint, Severity},
};
use crate::model::{
    calendar::Calendar,
    outline::InvestigationOutline,
    text::{Mistake, Place, Text},
};

/// A compiled file. Stays as it is while neither the file nor `vars` change.
#[derive(Default)]
pub struct Unit {
    pub complaints: Vec<Complaint>,
    pub names: Vec<RuleName>,
    pub checks: Vec<Arc<Check>>,
    pub investigations: Vec<(Arc<Investigation>, Arc<InvestigationOutline>)>,
    pub tests: Vec<Arc<Test>>,
    pub references: Vec<Reference>,
    pub notifiers: Vec<(Text, Arc<Notifier>)>,
    /// Notifiers that a rule names, with its name.
    pub escalations: Vec<(Text, Option<String>)>,
    pub writes: Vec<Write>,
    /// Events that steps raise, with the rule.
    pub raises: Vec<(Text, String)>,
    pub own_files: Vec<OwnFile>,
    pub bodies: Vec<Body>,
    /// By their names; `None` where the calendar has mistakes, so that those who name it are not blamed.
    pub calendars: Vec<(Text, Option<Arc<Calendar>>)>,
    /// (a calendar, the rule that names it).
    pub calendars_named: Vec<(Text, Option<String>)>,
}

/// The name of a check or an investigation; also of one that has mistakes, so that those who refer to it are not
/// blamed.
#[derive(Clone, Debug)]
pub struct RuleName {
    pub name: Text,
    pub is_check: bool,
    /// Its file could not be read; this was only seen in its text.
    pub guessed: bool,
}

/// A check named somewhere.
#[derive(Clone, Debug)]
pub struct Reference {
    pub to: Text,
    /// It is looked at because of this.
    pub looks: bool,
    /// The rule that names it.
    pub rule: Option<String>,
}

/// A step that writes a file that is known at load.
#[derive(Clone, Debug)]
pub struct Write {
    pub file: Text,
    pub rule: String,
    /// What it leaves there: two writers of one file should agree.
    pub leaves: Leaves,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Leaves {
    /// Nothing: it removes the file.
    Nothing,
    /// A whole body, by the hash of what the step says of it.
    Body(String),
    /// One key of a JSON file, by the hash of its value.
    Key(String, String),
}

/// A file that the engine writes for a rule.
#[derive(Clone, Debug)]
pub struct OwnFile {
    pub path: String,
    pub place: Place,
}

/// A file below `defaults/` that a step restores from.
#[derive(Clone, Debug)]
pub struct Body {
    pub from: Text,
    pub rule: String,
}

/// What is found while a rule is read.
#[derive(Default)]
pub struct Notes {
    pub mistakes: Vec<Mistake>,
    pub warnings: Vec<Mistake>,
}

impl Notes {
    /// As complaints of a rule.
    pub fn complain(
        self,
        rule: Option<&str>,
        source: &Arc<str>,
    ) -> impl Iterator<Item = Complaint> {
        let errors = self
            .mistakes
            .into_iter()
            .map(|mistake| (Severity::Error, mistake));
        let warnings = self
            .warnings
            .into_iter()
            .map(|mistake| (Severity::Warning, mistake));
        errors
            .chain(warnings)
            .map(move |(severity, mistake)| Complaint {
                severity,
                mistake,
                rule: rule.map(str::to_owned),
                source: source.clone(),
            })
    }
}
