//! Rule tests: the jumping driver. `tests:` blocks run by the same core, judge and hands as the engine, in virtual time
//! and in a temporary root, so that a day of rules takes milliseconds.
//!
//! | file | is |
//! |---|---|
//! | `stage` | the root of one test: files with ages |
//! | `facts` | facts that a test gives instead of a look |
//! | `play` | the driver: performs the core's outputs, jumps to what is due next |
//! | `acting` | doing a rung in a test: files for real, commands by what the test says |
//! | `expecting` | what was expected against what was seen |
//! | `coverage` | which levels and repairs no test has seen |

mod acting;
mod coverage;
mod expecting;
mod facts;
mod play;
mod stage;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use crate::{
    model::text::{Mistake, Place},
    permission::Settings,
    rules::{
        book::{Book, Test},
        testing,
    },
    script::Engine,
};

pub use coverage::Coverage;

/// How one test went.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub name: String,
    pub place: Place,
    pub failures: Vec<Failure>,
}

impl Outcome {
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }
}

/// Something that was not as expected.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    pub place: Place,
    /// `weights_file: expected status OK, saw WARNING (Weights file missing)`.
    pub message: String,
}

/// What all tests came to.
#[derive(Clone, Debug, Default)]
pub struct Results {
    pub outcomes: Vec<Outcome>,
    /// What no test has seen.
    pub gaps: Vec<String>,
}

/// What every test of a book is run with.
#[derive(Clone, Copy)]
pub struct Lab<'a> {
    pub book: &'a Arc<Book>,
    /// Where `rules/defaults` lies.
    pub rules: &'a Path,
    pub settings: &'a Settings,
    pub engine: &'a Engine,
}

/// Runs the tests of a book whose file `wanted` names. Takes as many threads as there are cores; must not be called on
/// an async thread.
pub fn run(lab: Lab<'_>, wanted: &(dyn Fn(&str) -> bool + Sync)) -> Results {
    let tests: Vec<&Arc<Test>> = lab
        .book
        .tests
        .iter()
        .filter(|test| wanted(&test.place.file))
        .collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = tests.len().div_ceil(threads).max(1);
    let parts: Vec<(Vec<Outcome>, Coverage)> = std::thread::scope(|scope| {
        let started: Vec<_> = tests
            .chunks(share)
            .map(|part| scope.spawn(move || run_part(lab, part)))
            .collect();
        started
            .into_iter()
            .map(|thread| thread.join().unwrap_or_default())
            .collect()
    });
    let mut results = Results::default();
    let mut coverage = Coverage::default();
    for (outcomes, seen) in parts {
        results.outcomes.extend(outcomes);
        coverage.merge(seen);
    }
    if results.outcomes.len() == lab.book.tests.len() {
        results.gaps = coverage.gaps(lab.book);
    }
    results
}

fn run_part(lab: Lab<'_>, tests: &[&Arc<Test>]) -> (Vec<Outcome>, Coverage) {
    let mut coverage = Coverage::default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let outcomes = tests
        .iter()
        .map(|test| {
            let failures = match &runtime {
                Ok(runtime) => one(lab, test, runtime, &mut coverage),
                Err(error) => vec![failure(&test.place, format!("could not begin: {error}"))],
            };
            Outcome {
                name: test.name.clone(),
                place: test.place.clone(),
                failures,
            }
        })
        .collect();
    (outcomes, coverage)
}

fn failure(place: &Place, message: String) -> Failure {
    Failure {
        place: place.clone(),
        message,
    }
}

fn one(
    lab: Lab<'_>,
    test: &Test,
    runtime: &tokio::runtime::Runtime,
    coverage: &mut Coverage,
) -> Vec<Failure> {
    let mut mistakes: Vec<Mistake> = Vec::new();
    let Some(form) = testing::decode(&test.body, &mut mistakes) else {
        return mistakes
            .into_iter()
            .map(|mistake| failure(&mistake.place, mistake.message))
            .collect();
    };
    match play::Play::begin(lab, test, &form, runtime) {
        Ok(mut play) => {
            let failures = play.run();
            coverage.merge(play.coverage());
            failures
        }
        Err(failures) => failures,
    }
}

/// Names of files and what is in them, before and after.
type Files = BTreeMap<String, Vec<u8>>;
