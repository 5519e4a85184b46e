//! `lint`: complaints about rules, all of them at once; exit code 1 if any is an error.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde_json::json;

use super::{
    engine,
    outcome::{Failure, OK, Outcome, REFUSED, SOFTWARE},
    screen::Screen,
    show::{Style, Tone, complaints, text},
    site::Site,
};
use crate::{
    engine::live::StartError,
    model::text::meant,
    rules::{
        book::Book,
        complaint::{self, Complaint, Severity},
        explain,
    },
};

/// What was found, and in what.
struct Found {
    complaints: Vec<Complaint>,
    /// `3 checks`, of rules without errors.
    holds: Option<String>,
    generation: Option<String>,
}

pub fn lint(site: &Site, files: &[PathBuf], screen: &Screen) -> Outcome {
    let found = match files {
        [] => whole(site)?,
        files => some(site, files)?,
    };
    let errors = number(&found.complaints, Severity::Error);
    let all: Vec<_> = found.complaints.iter().map(Complaint::to_json).collect();
    let value = json!({
        "generation": found.generation,
        "errors": errors,
        "warnings": number(&found.complaints, Severity::Warning),
        "complaints": all,
    });
    screen.answer(&value, |style| shown(&found, style));
    Ok(if errors > 0 { REFUSED } else { OK })
}

/// What a complaint means.
pub fn explained(code: &str, screen: &Screen) -> Outcome {
    let Some(found) = explain::explain(code) else {
        let failure = Failure::usage(format!("there is no complaint `{code}`"));
        let known = explain::all().map(|explanation| explanation.code);
        return Err(match meant(code, known) {
            Some(meant) => failure.help(format!("did you mean `{meant}`?")),
            None => failure,
        });
    };
    let value = json!({
        "code": found.code, "text": found.text, "wrong": found.bad, "right": found.good,
    });
    screen.answer(&value, |_| found.to_string());
    Ok(OK)
}

fn number(complaints: &[Complaint], severity: Severity) -> usize {
    let found = complaints.iter().filter(|one| one.severity == severity);
    found.count()
}

fn shown(found: &Found, style: &Style) -> String {
    let drawn = complaints::complaints(&found.complaints, style);
    let gap = if drawn.is_empty() { "" } else { "\n" };
    let tone = match (
        number(&found.complaints, Severity::Error),
        found.complaints.is_empty(),
    ) {
        (0, true) => Tone::Good,
        (0, false) => Tone::Warning,
        _ => Tone::Bad,
    };
    let summary = style.paint(tone, &complaint::summary(&found.complaints));
    let holds = found
        .holds
        .as_ref()
        .map(|holds| format!("  {}", style.dim(holds)))
        .unwrap_or_default();
    format!("{drawn}{gap}{summary}{holds}\n")
}

fn whole(site: &Site) -> Result<Found, Failure> {
    match engine::book(site) {
        Ok((book, complaints)) => Ok(Found {
            complaints,
            holds: Some(holds(&book)),
            generation: Some(book.generation.to_string()),
        }),
        Err(StartError::Rules(complaints)) => Ok(Found {
            complaints,
            holds: None,
            generation: None,
        }),
        Err(other) => Err(other.into()),
    }
}

fn holds(book: &Book) -> String {
    let sessions = match book.investigations.len() {
        0 => String::new(),
        number => format!(", {}", text::count(number, "investigation")),
    };
    let tests = match book.tests.len() {
        0 => String::new(),
        number => format!(", {}", text::count(number, "test")),
    };
    let checks = text::count(book.checks.len(), "check");
    format!("{checks}{sessions}{tests}, generation {}", book.generation)
}

/// Files of the rule set: what the whole set says of them. Others: a set by themselves.
fn some(site: &Site, files: &[PathBuf]) -> Result<Found, Failure> {
    let mut inside = Vec::new();
    let mut outside = Vec::new();
    let rules = site.rules.canonicalize().ok();
    for file in files {
        let path = file.canonicalize().map_err(|error| {
            Failure::usage(format!("could not find {}: {error}", file.display()))
        })?;
        match rules
            .as_ref()
            .and_then(|rules| path.strip_prefix(rules).ok())
        {
            Some(below) => inside.push(below.to_owned()),
            None => outside.push((file.clone(), path)),
        }
    }
    let mut complaints = Vec::new();
    let mut holds = None;
    if !inside.is_empty() {
        let found = whole(site)?;
        let about = |complaint: &Complaint| inside.iter().any(|path| is_about(complaint, path));
        holds = found.holds;
        complaints.extend(found.complaints.into_iter().filter(about));
    }
    let (dirs, files): (Vec<_>, Vec<_>) = outside.into_iter().partition(|(_, path)| path.is_dir());
    for (_, dir) in dirs {
        let found = whole(&with_rules(site, dir))?;
        holds = found.holds;
        complaints.extend(found.complaints);
    }
    if !files.is_empty() {
        let found = apart(site, &files)?;
        holds = found.holds;
        complaints.extend(found.complaints);
    }
    Ok(Found {
        complaints,
        holds,
        generation: None,
    })
}

fn with_rules(site: &Site, rules: PathBuf) -> Site {
    Site {
        rules,
        foreign: true,
        ..site.clone()
    }
}

/// Whether a complaint is about the file at `path` below the rules (a directory: about anything in it). Complaints name
/// files by the directory of the rules and the path below it.
fn is_about(complaint: &Complaint, path: &Path) -> bool {
    let file = Path::new(&*complaint.mistake.place.file);
    let mut parts = file.components();
    loop {
        if parts.as_path().starts_with(path) {
            return true;
        }
        if parts.next().is_none() {
            return false;
        }
    }
}

/// Loose files as a rule set of their own, in a directory made for it. Complaints name them as they were given.
fn apart(site: &Site, files: &[(PathBuf, PathBuf)]) -> Result<Found, Failure> {
    let could_not =
        |error: std::io::Error| Failure::new(SOFTWARE, format!("could not copy rules: {error}"));
    let dir = tempfile::tempdir().map_err(could_not)?;
    let mut given = BTreeMap::new();
    for (index, (said, path)) in files.iter().enumerate() {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let name = match given.contains_key(&name) {
            true => format!("{index}-{name}"),
            false => name,
        };
        fs::copy(path, dir.path().join(&name)).map_err(could_not)?;
        given.insert(name, said.display().to_string());
    }
    let mut found = whole(&with_rules(site, dir.path().to_owned()))?;
    for complaint in &mut found.complaints {
        let place = &mut complaint.mistake.place;
        let name = Path::new(&*place.file).file_name().unwrap_or_default();
        if let Some(said) = given.get(&*name.to_string_lossy()) {
            place.file = said.as_str().into();
        }
    }
    Ok(found)
}
