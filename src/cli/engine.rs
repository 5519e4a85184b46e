//! The engine as commands use it: started here, dry, or not at all; with what can go wrong told as a [`Failure`].

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

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
    permission::Settings,
    rules::{book::Book, complaint::Complaint},
    script,
};

fn options(site: &Site, watch: bool) -> Options {
    Options {
        root: site.root.clone(),
        rules: site.rules.clone(),
        set: site.set.clone(),
        watch,
        env: BTreeMap::new(),
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

/// What rule tests are run with.
pub fn rehearsal(site: &Site) -> Result<(Arc<Book>, Settings, script::Engine), StartError> {
    dry::rehearsal(&options(site, false))
}

/// A name on the command line that means no check.
pub fn unknown<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Failure {
    let failure = Failure::usage(format!("there is no check `{name}`"));
    match meant(name, known) {
        Some(meant) => failure.help(format!("did you mean `{meant}`?")),
        None => failure.help("`homeostat status` lists them"),
    }
}

/// By the last good rules of a root; `None` if it has none.
pub async fn dry_run_last_good(site: &Site, at: Option<Moment>) -> Result<Option<Answer>, Failure> {
    Ok(dry::run_last_good(options(site, false), Vec::new(), at).await?)
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
