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
use crate::{clock::Stopwatch, simulate};

pub async fn test(site: &Site, files: &[PathBuf], screen: &Screen) -> Outcome {
    if let Some(file) = files.iter().find(|file| !file.is_file()) {
        return Err(Failure::usage(format!(
            "there is no file {}",
            file.display()
        )));
    }
    let watch = Stopwatch::new();
    let (all, gaps) = ran(site, files).await?;
    let took = watch.elapsed();
    let failed = all.iter().filter(|test| !test.passed).count();
    let value = json!({
        "tests": all, "passed": all.len() - failed, "failed": failed, "took_s": took.as_secs_f64(),
        "gaps": gaps,
    });
    screen.answer(&value, |style| tests_run(&all, &gaps, took, style));
    Ok(if failed == 0 { OK } else { REFUSED })
}

/// Whether a place names this file: places name files by the directory of the rules and the path below it.
fn is_of(place: &str, file: &Path) -> bool {
    let place = Path::new(place);
    file.ends_with(place) || place.ends_with(file)
}

async fn ran(site: &Site, files: &[PathBuf]) -> Result<(Vec<Ran>, Vec<String>), Failure> {
    let (book, settings, script) = engine::rehearsal(site)?;
    let (rules, files) = (site.rules.clone(), files.to_vec());
    let results = tokio::task::spawn_blocking(move || {
        let lab = simulate::Lab {
            book: &book,
            rules: &rules,
            settings: &settings,
            engine: &script,
        };
        let wanted = |place: &str| files.is_empty() || files.iter().any(|file| is_of(place, file));
        simulate::run(lab, &wanted)
    });
    let results = results
        .await
        .map_err(|error| Failure::new(SOFTWARE, format!("the tests broke off: {error}")))?;
    let ran = results.outcomes.into_iter().map(|outcome| Ran {
        passed: outcome.passed(),
        name: outcome.name,
        place: outcome.place,
        failures: outcome
            .failures
            .into_iter()
            .map(|failure| {
                format!(
                    "{}:{}: {}",
                    failure.place.file, failure.place.line, failure.message
                )
            })
            .collect(),
    });
    Ok((ran.collect(), results.gaps))
}
