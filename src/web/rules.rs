//! The rules themselves: which files there are, and what stands in one.
//!
//! A file is named as complaints name it: `rules/bot.yaml`. Only what makes up a rule set is shown, `*.yaml`, `*.yml` and
//! `*.rhai`; the bodies below `defaults/` are listed and not shown.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    api::{Answered, Api},
    checks::broke_off,
    endpoint::Endpoint,
    refusal::{Refusal, Wanted},
};
use crate::{
    engine::sight::Workbench,
    rules::{
        complaint::Complaint,
        fingerprint,
        load::shown,
        sources::{self, Role},
    },
};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/api/rules", list)
            .is(
                "rules",
                "The rule files on disk, and whether they are what runs.",
            )
            .answers::<RulesAnswer>(),
        Endpoint::get("/api/rules/file", show)
            .is("rule_file", "The text of one rule file or script.")
            .query::<Which>()
            .answers::<FileText>()
            .error(404, "there is no such file among the rules"),
    ]
}

/// The rules on disk.
#[derive(Serialize, JsonSchema)]
struct RulesAnswer {
    /// What runs.
    generation: String,
    /// How paths of files begin.
    directory: String,
    files: Vec<FileAnswer>,
    /// Why what is on disk was refused; empty when it runs.
    complaints: Vec<Value>,
    /// The same as people see it.
    complaints_text: Option<String>,
    /// Whether what is on disk is what runs.
    live: bool,
}

#[derive(Serialize, JsonSchema)]
struct FileAnswer {
    path: String,
    bytes: usize,
    /// Of its content, as `/api/rules/file` gives it.
    hash: String,
    /// The checks that it has in the rules that run.
    checks: Vec<String>,
    kind: FileKind,
}

#[derive(Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum FileKind {
    Rules,
    Script,
    /// A body that remediations restore.
    Default,
}

async fn list(State(api): State<Api>) -> Answered<RulesAnswer> {
    let bench = api.handle.bench().await?;
    let told = tokio::task::spawn_blocking(move || listed(&bench));
    told.await.map(Json).map_err(broke_off)
}

fn listed(bench: &Workbench) -> RulesAnswer {
    let prefix = shown(&bench.rules, &bench.permission);
    let (found, _) = sources::read(&bench.rules, &prefix);
    let mut checks: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for check in bench.book.checks.values() {
        checks
            .entry(&check.place.file)
            .or_default()
            .push(check.name.to_string());
    }
    let files = found.iter().map(|(relative, bytes)| {
        let path = sources::joined(&prefix, relative);
        FileAnswer {
            bytes: bytes.len(),
            hash: hash(bytes),
            checks: checks.get(path.as_str()).cloned().unwrap_or_default(),
            kind: match sources::role(relative) {
                Some(Role::Script) => FileKind::Script,
                Some(Role::Body) => FileKind::Default,
                Some(Role::Rules) | None => FileKind::Rules,
            },
            path,
        }
    });
    let secrets = bench.permission.secrets();
    RulesAnswer {
        generation: bench.book.generation.to_string(),
        files: files.collect(),
        complaints: machine(&bench.complaints, secrets),
        complaints_text: bench
            .complaints_text()
            .map(|text| secrets.hide(&text).into_owned()),
        live: bench.complaints.is_empty(),
        directory: prefix,
    }
}

/// Complaints for programs, without secrets.
pub(super) fn machine(
    complaints: &[Complaint],
    secrets: &crate::permission::Secrets,
) -> Vec<Value> {
    let all = complaints.iter().map(Complaint::to_json);
    all.map(|mut one| {
        secrets.hide_value(&mut one);
        one
    })
    .collect()
}

/// The hash of the content of a file.
pub(super) fn hash(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    fingerprint::hex(&Sha256::digest(bytes), 16)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Which {
    /// As `/api/rules` names it.
    path: String,
}

/// One file.
#[derive(Serialize, JsonSchema)]
struct FileText {
    path: String,
    /// A value that is listed as a secret stands here as `•••NAME•••`, and saving it so leaves it as it is.
    text: String,
    /// To say, when it is saved, which text was changed.
    hash: String,
}

async fn show(State(api): State<Api>, Wanted(which): Wanted<Which>) -> Answered<FileText> {
    let bench = api.handle.bench().await?;
    let read = tokio::task::spawn_blocking(move || {
        let named = Named::of(&bench, &which.path)?;
        let Some(bytes) = named.read(&bench)? else {
            return Err(Refusal::absent(format!(
                "there is no rule file {}",
                which.path
            )));
        };
        let text = String::from_utf8_lossy(&bytes);
        Ok(FileText {
            text: bench.permission.secrets().hide(&text).into_owned(),
            hash: hash(&bytes),
            path: which.path,
        })
    });
    read.await.map_err(broke_off)?.map(Json)
}

/// A rule file or script by its name.
pub(super) struct Named {
    /// Below the rules directory.
    pub relative: String,
}

impl Named {
    /// Reads a name; a refusal if it can be none of a rule file.
    pub(super) fn of(bench: &Workbench, path: &str) -> Result<Named, Refusal> {
        let prefix = shown(&bench.rules, &bench.permission);
        let start = format!("{}/", prefix.trim_end_matches('/'));
        let wrong = |why: &str| {
            Refusal::absent(format!("`{}` is no rule file: {why}", path.escape_debug()))
        };
        let relative = path
            .strip_prefix(&start)
            .ok_or_else(|| wrong(&format!("they stand below {start}")))?;
        let fits = |part: &str| !part.is_empty() && part != "." && part != "..";
        if !relative.split('/').all(fits) || relative.chars().any(|c| c.is_control() || c == '\\') {
            return Err(wrong("that is no plain path"));
        }
        if relative.len() > 200 {
            return Err(wrong("its path is too long"));
        }
        match sources::role(relative) {
            Some(Role::Rules | Role::Script) => Ok(Named {
                relative: relative.to_owned(),
            }),
            Some(Role::Body) => Err(wrong("it is a body that remediations restore")),
            None => Err(wrong(
                "rules are *.yaml and *.yml, scripts are scripts/*.rhai",
            )),
        }
    }

    pub(super) fn path(&self, bench: &Workbench) -> PathBuf {
        bench.rules.join(&self.relative)
    }

    /// Its content; `None` if there is no such file.
    pub(super) fn read(&self, bench: &Workbench) -> Result<Option<Arc<[u8]>>, Refusal> {
        sources::one(&self.path(bench))
            .map_err(|why| Refusal::conflict(format!("could not read {}: {why}", self.relative)))
    }
}
