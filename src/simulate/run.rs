//! Running the tests of a book: each by itself, several at once.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::{
    Coverage, Failure, Lab, Outcome, Results,
    case::{self, Case, When, expectation_node},
    compare, coverage,
    driver::{Done, Driver},
};
use crate::{
    model::{node::Node, span::Span, status::Status, text::Place},
    rules::{
        book::Test,
        testing::{Sample, spot},
    },
};

/// No more tests run at once.
const MOST_THREADS: usize = 8;

/// Runs the tests whose file `wanted` means, several at once, and blocks until all have ended. Must not be called on an
/// async thread.
pub fn run(lab: Lab<'_>, wanted: &(dyn Fn(&str) -> bool + Sync)) -> Results {
    let tests: Vec<&Test> = lab
        .book
        .tests
        .iter()
        .map(|test| &**test)
        .filter(|test| wanted(&test.place.file))
        .collect();
    let slots: Vec<Mutex<Option<Outcome>>> = tests.iter().map(|_| Mutex::new(None)).collect();
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads.min(MOST_THREADS).min(tests.len()) {
            scope.spawn(|| {
                let Ok(runtime) = tokio::runtime::Builder::new_current_thread().build() else {
                    return; // another thread may have one; what none has run is told below
                };
                while let Some((test, slot)) = {
                    let index = next.fetch_add(1, Ordering::SeqCst);
                    tests.get(index).zip(slots.get(index))
                } {
                    let outcome = one(test, lab, &runtime);
                    *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
                }
            });
        }
    });
    let outcomes: Vec<Outcome> = tests
        .iter()
        .zip(slots)
        .map(|(test, slot)| {
            let outcome = slot.into_inner().unwrap_or_else(PoisonError::into_inner);
            let broken = || vec![Failure::new(&test.place, "the test broke off")];
            outcome.unwrap_or_else(|| told(test, broken(), Coverage::default()))
        })
        .collect();
    let gaps = match outcomes.len() == lab.book.tests.len() {
        true => coverage::gaps(lab.book, &outcomes),
        false => Vec::new(),
    };
    Results { outcomes, gaps }
}

fn told(test: &Test, failures: Vec<Failure>, coverage: Coverage) -> Outcome {
    Outcome {
        name: test.name.clone(),
        place: test.place.clone(),
        failures,
        coverage,
    }
}

fn one(test: &Test, lab: Lab<'_>, runtime: &tokio::runtime::Runtime) -> Outcome {
    let mut mistakes = Vec::new();
    let Some(case) = case::compile(test, lab, &mut mistakes) else {
        let failures = mistakes.into_iter().map(Failure::from).collect();
        return told(test, failures, Coverage::default());
    };
    let mut driver = match Driver::new(&case, lab, runtime, &test.place) {
        Ok(driver) => driver,
        Err(failure) => return told(test, vec![*failure], Coverage::default()),
    };
    let mut failures = Vec::new();
    let ended = match case.form.runs_over_time() {
        true => over_time(&mut driver, &case, &mut failures),
        false => now(&mut driver, &case, &mut failures),
    };
    if let Err(failure) = ended {
        failures.push(*failure);
    } else {
        failures.extend(driver.never_came().map(never_came));
    }
    failures.sort_by(|a, b| a.place.cmp(&b.place));
    let expected: BTreeSet<&str> = case
        .form
        .expectations()
        .iter()
        .flat_map(|expectation| expectation.checks.keys())
        .chain(case.form.statuses.keys())
        .map(String::as_str)
        .collect();
    told(test, failures, driver.seen.covered(&expected))
}

/// A change that never came tests nothing.
fn never_came(change: &case::Change) -> Failure {
    let what = match &change.when {
        When::At(after) => format!("the test is over before {}: this never came", Span(*after)),
        When::After { check, act: 1 } => format!("no repair of {check} has acted: this never came"),
        When::After { check, act } => format!("{check} has not acted {act} times: this never came"),
        When::Start | When::Run => "this never came".to_owned(),
    };
    Failure::new(&change.place, what)
}

/// One round now, as `homeostat check` takes it.
fn now(driver: &mut Driver<'_>, case: &Case<'_>, failures: &mut Vec<Failure>) -> Done<()> {
    let round = driver.round()?;
    for form in case.form.expectations() {
        let node = expectation_node(case.body, 0, false);
        failures.extend(compare::expectation(driver, form, node, Some(&round)));
    }
    Ok(())
}

/// By their triggers, from one instant of which something is expected to the next.
fn over_time(driver: &mut Driver<'_>, case: &Case<'_>, failures: &mut Vec<Failure>) -> Done<()> {
    let step = case.step;
    let samples = case
        .form
        .statuses
        .values()
        .map(|series| series.0.len())
        .max();
    let samples = (0..samples.unwrap_or(0)).map(|index| times(step, index));
    let expected = case
        .form
        .expectations()
        .iter()
        .filter_map(|form| form.at)
        .map(|at| at.0);
    let instants: BTreeSet<Duration> = samples.chain(expected).collect();
    let mut got: Vec<Vec<Option<Status>>> = vec![Vec::new(); case.form.statuses.len()];
    for instant in instants {
        driver.run_to(case.values.start.plus(instant))?;
        for ((name, wanted), got) in case.form.statuses.iter().zip(&mut got) {
            if got.len() < wanted.0.len() && times(step, got.len()) == instant {
                let standing = driver.core.standing(name);
                got.push(
                    standing
                        .filter(|it| it.looked.is_some())
                        .map(|it| it.status),
                );
            }
        }
        for (index, form) in case.form.expectations().iter().enumerate() {
            if form.at.is_some_and(|at| at.0 == instant) {
                let node = expectation_node(case.body, index, true);
                failures.extend(compare::expectation(driver, form, node, None));
            }
        }
    }
    for ((name, wanted), got) in case.form.statuses.iter().zip(&got) {
        let wanted: Vec<Option<Status>> = wanted.0.iter().map(wanted_status).collect();
        let place = place_of_statuses(case.body, name);
        failures.extend(compare::statuses(name, &place, Span(step), &wanted, got));
    }
    Ok(())
}

fn wanted_status(sample: &Sample<Status>) -> Option<Status> {
    match sample {
        Sample::Is(status) => Some(*status),
        Sample::Missing => None,
    }
}

fn place_of_statuses(body: &Node, name: &str) -> Place {
    spot(body, &["statuses", name]).place.clone()
}

fn times(step: Duration, count: usize) -> Duration {
    step.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX))
}
