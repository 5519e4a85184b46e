//! Rule tests: the `tests:` blocks of rule files, run in virtual time by the same core, the same looks and the same
//! hands as everything else. `docs/testing-rules.md` explains the notation, `rules/testing` reads it.
//!
//! | file | is |
//! |---|---|
//! | `case` | one test, compiled: its world, its changes, the checks it runs |
//! | `values` | the values of a test, whose `${…}` know virtual time |
//! | `world` | the files of a test, below a root in a temporary directory |
//! | `driver` | the jumping driver: performs the core's outputs and goes on to whatever is due next |
//! | `act` | doing a rung in that world |
//! | `seen` | what was to be seen so far |
//! | `compare` | what was expected and was not so |
//! | [`coverage`] | what no test has ever seen |
//! | [`render`] | results as people see them |
//!
//! Nothing here knows a clock or waits: time goes from one due moment to the next. Commands are never started, and
//! nothing is looked at outside the temporary root: what looks elsewhere must be given its facts.

mod act;
mod case;
mod compare;
pub mod coverage;
mod difference;
mod driver;
pub mod render;
mod run;
mod seen;
#[cfg(test)]
mod tests;
mod values;
mod world;

pub use coverage::{Coverage, Gap, gaps};
pub use render::render;
pub use run::{examine, matching, run};

use serde::Serialize;

use crate::model::text::{Mistake, Place};

/// What came of one test.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    pub name: String,
    pub place: Place,
    pub passed: bool,
    pub failures: Vec<Failure>,
    pub coverage: Coverage,
}

/// One expectation that did not hold, or a mistake in the test.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Failure {
    /// Where the expectation stands.
    pub place: Place,
    /// What it is about: `weights_file: status at 10m`, or what is wrong with the test.
    pub what: String,
    /// Empty when the test itself is wrong.
    pub expected: Option<String>,
    pub got: Option<String>,
    /// Why it came to be so: what was seen, by which expression, what was done.
    pub because: Vec<String>,
}

impl Failure {
    /// Something that keeps a test from being run.
    fn trouble(place: &Place, what: impl Into<String>) -> Failure {
        Failure {
            place: place.clone(),
            what: what.into(),
            expected: None,
            got: None,
            because: Vec::new(),
        }
    }
}

impl From<Mistake> for Failure {
    fn from(mistake: Mistake) -> Failure {
        Failure {
            because: mistake.help.into_iter().collect(),
            ..Failure::trouble(&mistake.place, mistake.message)
        }
    }
}
