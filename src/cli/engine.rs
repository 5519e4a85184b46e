//! The engine as commands use it: started here, dry, or not at all; with what can go wrong told as a [`Failure`].

use std::{collections::BTreeSet, path::Path, sync::Arc};

use serde_json::Value;

use super::{
    outcome::{Failure, SOFTWARE, UNAVAILABLE},
    site::Site,
};
use crate::{
    clock::SystemClock,
    engine::{
        answer::Answer,
        dry,
        live::{self, Live, Options, StartError},
    },
    model::{Name, moment::Moment, text::meant},
    rules::{book::Book, complaint::Complaint},
    store::LastGood,
};

fn options(site: &Site, watch: bool) -> Options {
    Options {
        root: site.root.clone(),
        rules: site.rules.clone(),
        set: site.set.clone(),
        watch,
        clock: Arc::new(SystemClock),
    }
}

/// Starts the engine. `watch`: it looks by itself; else only at what it is asked.
pub async fn start(site: &Site, watch: bool) -> Result<Live, StartError> {
    live::start(options(site, watch)).await
}

/// Without names every check.
pub async fn dry_run(site: &Site, names: &[String], at: Option<Moment>) -> Result<Answer, Failure> {
    let wanted = names.iter().map(|name| Name::from(name.as_str()));
    let answer = dry::run(options(site, false), wanted.collect(), at).await?;
    let seen: BTreeSet<&str> = answer
        .checks
        .iter()
        .map(|check| check.name.as_str())
        .collect();
    match names.iter().find(|name| !seen.contains(name.as_str())) {
        None => Ok(answer),
        Some(name) => Err(unknown(
            name,
            book(site)?.0.checks.keys().map(AsRef::as_ref),
        )),
    }
}

/// A fresh verdict with its reasons.
pub async fn explain(site: &Site, name: &str) -> Result<Value, Failure> {
    match dry::explain(options(site, false), name.into()).await? {
        Some(explanation) => Ok(explanation),
        None => Err(unknown(
            name,
            book(site)?.0.checks.keys().map(AsRef::as_ref),
        )),
    }
}

/// The rules on disk, with their warnings.
pub fn book(site: &Site) -> Result<(Arc<Book>, Vec<Complaint>), StartError> {
    dry::book(&options(site, false))
}

/// A name on the command line that means no check.
pub fn unknown<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Failure {
    let failure = Failure::usage(format!("there is no check `{name}`"));
    match meant(name, known) {
        Some(meant) => failure.help(format!("did you mean `{meant}`?")),
        None => failure.help("`homeostat status` lists them"),
    }
}

/// The last good rules of a root in a directory of their own, with the overrides they were loaded with. The directory
/// goes when it is dropped.
pub fn last_good(site: &Site) -> Result<Option<(tempfile::TempDir, Site)>, Failure> {
    let broken = |error: &dyn std::fmt::Display| Failure::new(SOFTWARE, error.to_string());
    let Some(saved) = LastGood::load(&site.own()).map_err(|error| broken(&error))? else {
        return Ok(None);
    };
    let dir = tempfile::tempdir().map_err(|error| broken(&error))?;
    for (path, bytes) in &saved.sources {
        write(dir.path(), path, bytes).map_err(|error| broken(&error))?;
    }
    let site = Site {
        rules: dir.path().to_owned(),
        foreign: true,
        set: saved.overrides.into_iter().collect(),
        ..site.clone()
    };
    Ok(Some((dir, site)))
}

/// A path out of a stored book, which stays inside `dir` whatever it says.
fn write(dir: &Path, path: &str, bytes: &[u8]) -> std::io::Result<()> {
    use std::path::Component;
    let inside = Path::new(path)
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    if !inside {
        return Err(std::io::Error::other(format!(
            "the last good book holds the path {path}"
        )));
    }
    let target = dir.join(path);
    if let Some(parent) = target.parent() {
        std::fs::create_dir_all(parent)?;
    }
    std::fs::write(target, bytes)
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Failure {
        match error {
            StartError::Rules(complaints) => Failure::rules(complaints),
            StartError::Locked { .. } => Failure::new(UNAVAILABLE, error.to_string())
                .help("it does not answer on its socket: it is starting, ending, or a `check` that will end soon"),
            StartError::Refused(why) => Failure::new(SOFTWARE, why),
        }
    }
}
