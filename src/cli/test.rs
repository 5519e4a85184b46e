//! `test`: runs the `tests:` blocks of the rules in virtual time; exit code 1 if any fails.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::{
    engine,
    outcome::{Failure, OK, Outcome, REFUSED, SOFTWARE},
    screen::Screen,
    show::tests_run::{Ran, tests_run},
    site::Site,
};
use crate::clock::Stopwatch;

pub async fn test(site: &Site, files: &[PathBuf], screen: &Screen) -> Outcome {
    let watch = Stopwatch::new();
    let mut all = ran(site).await?;
    if !files.is_empty() {
        all.retain(|test| files.iter().any(|file| is_of(&test.place.file, file)));
    }
    let took = watch.elapsed();
    let failed = all.iter().filter(|test| !test.passed).count();
    let value = json!({
        "tests": all, "passed": all.len() - failed, "failed": failed, "took_s": took.as_secs_f64(),
    });
    screen.answer(&value, |style| tests_run(&all, took, style));
    Ok(if failed == 0 { OK } else { REFUSED })
}

/// Whether a place names this file: places name files by the directory of the rules and the path below it.
fn is_of(place: &str, file: &Path) -> bool {
    let place = Path::new(place);
    file.ends_with(place) || place.ends_with(file)
}

async fn ran(site: &Site) -> Result<Vec<Ran>, Failure> {
    let (book, _) = engine::book(site)?;
    if book.tests.is_empty() {
        return Ok(Vec::new());
    }
    Err(Failure::new(SOFTWARE, "rule tests wait for `simulate`"))
}
