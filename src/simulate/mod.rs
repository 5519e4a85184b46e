//! Rule tests: the `tests:` blocks of rule files, run in virtual time by the same core, the same looks and the same
//! hands as everything else. `docs/testing-rules.md` explains the notation, `rules/testing` reads it.
//!
//! | file | is |
//! |---|---|
//! | `case` | one test, compiled: its world, its changes, the checks it runs |
//! | `values` | the values of a test, whose `${…}` know virtual time |
//! | `world` | the files of a test, below a root in a temporary directory |
//! | `driver` | the jumping driver: performs the core's outputs and goes on to whatever is due next |
//! | `looking` | one look in that world |
//! | `act` | doing a rung in that world |
//! | `seen` | what was to be seen so far |
//! | `compare` | what was expected and was not so |
//! | `words` | how that is written |
//! | `difference` | where two JSON values differ |
//! | [`coverage`] | what no test has ever seen |
//!
//! Nothing here knows a clock or waits: time goes from one due moment to the next. Commands are never started, and
//! nothing is looked at outside the temporary root: what looks elsewhere must be given its facts.

mod act;
mod case;
mod compare;
pub mod coverage;
mod difference;
mod driver;
mod looking;
mod run;
mod seen;
mod values;
mod words;
mod world;

use std::path::Path;

pub use coverage::Coverage;
pub use run::run;

use serde::Serialize;

use crate::{
    model::text::{Mistake, Place},
    permission::Settings,
    rules::book::Book,
    script::Engine,
};

/// What every test of a book is run with.
#[derive(Clone, Copy)]
pub struct Lab<'a> {
    pub book: &'a Book,
    /// Where `rules/defaults` lies.
    pub rules: &'a Path,
    pub settings: &'a Settings,
    pub engine: &'a Engine,
}

/// What all tests came to.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Results {
    /// In the order of the book.
    pub outcomes: Vec<Outcome>,
    /// What no test has seen: `weights_file: critical is never tested`. Empty when only some of the tests were run.
    pub gaps: Vec<String>,
}

/// How one test went.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    pub name: String,
    pub place: Place,
    pub failures: Vec<Failure>,
    pub coverage: Coverage,
}

impl Outcome {
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }
}

/// One expectation that did not hold, or a mistake in the test.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Failure {
    /// Where the expectation stands.
    pub place: Place,
    /// `weights_file: expected status OK, saw WARNING`; on further lines the reasons: what was seen, by which
    /// expression, what was done.
    pub message: String,
}

impl Failure {
    fn new(place: &Place, message: impl Into<String>) -> Failure {
        Failure {
            place: place.clone(),
            message: message.into(),
        }
    }

    /// Adds a line.
    fn because(mut self, why: &str) -> Failure {
        self.message.push_str("\n  ");
        self.message.push_str(why);
        self
    }
}

impl From<Mistake> for Failure {
    fn from(mistake: Mistake) -> Failure {
        let failure = Failure::new(&mistake.place, mistake.message);
        match mistake.help {
            Some(help) => failure.because(&help),
            None => failure,
        }
    }
}
