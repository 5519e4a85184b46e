//! The rules themselves: which files there are, what stands in one, trying other ones, and saving one.
//!
//! A candidate is never written anywhere: it is what is on disk with some files laid over it, in memory, tried by the same
//! dry run as every other.
//!
//! A file is named as complaints name it: `rules/bot.yaml`. Only what makes up a rule set is shown, `*.yaml`, `*.yml` and
//! `*.rhai`; the bodies below `defaults/` are listed and not shown.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{Json, extract::State, http::StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    api::{Answered, Api},
    caller::Caller,
    checks::broke_off,
    endpoint::Endpoint,
    refusal::{Refusal, Said, Wanted},
    writing,
};
use crate::{
    engine::{answer::Answer, compared::Compared, handle::ReloadAnswer, sight::Workbench},
    model::Name,
    permission::Permission,
    rules::{
        book::Book,
        complaint::{self, Complaint},
        diff::{self, Diff},
        fingerprint,
        load::{self, Loaded, shown},
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
        Endpoint::post("/api/rules/dry-run", rehearse)
            .is("rules_dry_run", "What the rules would be and do with these files laid over those on disk: the complaints, and how the checks that are named, or that change, would stand beside how they do. Nothing is written.")
            .body::<Candidate>()
            .answers::<Rehearsal>()
            .error(404, "a file can be none of a rule set, or there is no check of that name")
            .admin()
            .largest(LARGEST)
            .waits(),
        Endpoint::put("/api/rules/file", save)
            .is("save_rule_file", "Saves one rule file or script, and takes the rules over. It is refused when the file is another than the one that was read, and when the rules would be refused.")
            .body::<Edit>()
            .answers::<Saved>()
            .error(404, "it can be none of a rule set")
            .error(409, "the file is another by now, as `hash` tells; or it cannot be written")
            .error(422, "the rules would be refused; `complaints` says why")
            .largest(LARGEST)
            .waits(),
    ]
}

/// Bytes of a body with rule files.
const LARGEST: usize = 4 << 20;
/// So many rehearsals at once.
const REHEARSALS: usize = 2;
/// So many checks are tried in one rehearsal, unless they are named.
const TRIED: usize = 200;

/// Where rules are worked on: one save at a time, few rehearsals, and what was compiled for the last.
pub(super) struct Desk {
    saving: tokio::sync::Mutex<()>,
    rehearsing: tokio::sync::Semaphore,
    compiled: Mutex<Compiled>,
}

/// What files were compiled to, good for this permission alone.
#[derive(Default)]
struct Compiled {
    under: Option<Arc<Permission>>,
    cache: load::Cache,
}

impl Default for Desk {
    fn default() -> Desk {
        Desk {
            saving: tokio::sync::Mutex::new(()),
            rehearsing: tokio::sync::Semaphore::new(REHEARSALS),
            compiled: Mutex::default(),
        }
    }
}

impl Desk {
    /// What is on disk with these files laid over it; `None` takes one away.
    fn load(&self, bench: &Workbench, files: &BTreeMap<String, Option<Arc<[u8]>>>) -> Loaded {
        let prefix = shown(&bench.rules, &bench.permission);
        let (mut found, unreadable) = sources::read(&bench.rules, &prefix);
        for (relative, bytes) in files {
            match bytes {
                Some(bytes) => found.insert(relative.clone(), bytes.clone()),
                None => found.remove(relative),
            };
        }
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        let same = compiled
            .under
            .as_ref()
            .is_some_and(|it| Arc::ptr_eq(it, &bench.permission));
        if !same {
            *compiled = Compiled {
                under: Some(bench.permission.clone()),
                cache: load::Cache::default(),
            };
        }
        let mut loaded = load::load_candidate(
            found,
            &prefix,
            &bench.set,
            &bench.permission,
            &bench.script,
            &mut compiled.cache,
        );
        if !unreadable.is_empty() {
            loaded.complaints.extend(unreadable);
            loaded.book = None;
        }
        loaded
    }
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

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Candidate {
    /// The text of each file by its path, as `/api/rules` names it; `null` takes it away.
    files: BTreeMap<String, Option<String>>,
    /// Which checks to try; if none are named, those that these files change, at most 200.
    names: Vec<String>,
}

/// What a candidate would be and do.
#[derive(Serialize, JsonSchema)]
struct Rehearsal {
    /// Whether it would be taken over.
    ok: bool,
    /// Warnings, too.
    complaints: Vec<Value>,
    complaints_text: Option<String>,
    /// The generation it would be.
    generation: Option<String>,
    /// The checks that it adds, changes and takes away.
    changes: Option<ChangesAnswer>,
    /// How the checks that were tried would stand, beside how they do.
    compare: Option<Compared>,
    /// What a dry run by the candidate says of them.
    answer: Option<Answer>,
}

#[derive(Serialize, JsonSchema)]
struct ChangesAnswer {
    /// `+2 ~1 -0 checks`.
    text: String,
    added: Vec<String>,
    changed: Vec<String>,
    removed: Vec<String>,
}

async fn rehearse(State(api): State<Api>, Said(candidate): Said<Candidate>) -> Answered<Rehearsal> {
    let busy = || Refusal::busy("rules are being tried already", 1);
    let _turn = api.desk.rehearsing.try_acquire().map_err(|_| busy())?;
    let bench = api.handle.bench().await?;
    let mut files = BTreeMap::new();
    for (path, text) in candidate.files {
        let named = Named::of(&bench, &path)?;
        let bytes = text.map(|text| named.revealed(&bench, text)).transpose()?;
        files.insert(named.relative, bytes);
    }
    let (desk, loading) = (api.desk.clone(), bench.clone());
    let loaded = tokio::task::spawn_blocking(move || desk.load(&loading, &files)).await;
    let loaded = loaded.map_err(broke_off)?;
    let secrets = bench.permission.secrets();
    let text = (!loaded.complaints.is_empty()).then(|| complaint::plain(&loaded.complaints));
    let mut rehearsal = Rehearsal {
        ok: loaded.book.is_some(),
        complaints: machine(&loaded.complaints, secrets),
        complaints_text: text.map(|text| secrets.hide(&text).into_owned()),
        generation: None,
        changes: None,
        compare: None,
        answer: None,
    };
    let Some(book) = loaded.book.map(Arc::new) else {
        return Ok(Json(rehearsal));
    };
    let changes = diff::diff(&bench.book.outline, &book.outline);
    let (tried, before) = tried(&candidate.names, &changes, &bench.book, &book)?;
    rehearsal.generation = Some(book.generation.to_string());
    let strings = |names: &[Name]| names.iter().map(ToString::to_string).collect();
    rehearsal.changes = Some(ChangesAnswer {
        text: changes.to_string(),
        added: strings(&changes.added),
        changed: strings(&changes.changed),
        removed: strings(&changes.removed),
    });
    let answer = match tried.is_empty() {
        true => Answer {
            generation: book.generation.to_string(),
            now: api.clock.now().seconds(),
            overall: crate::model::status::Status::Ok,
            checks: Vec::new(),
        },
        false => api.handle.rehearse(book, tried).await?,
    };
    let present = match before.is_empty() {
        true => Answer {
            generation: bench.book.generation.to_string(),
            checks: Vec::new(),
            ..answer.clone()
        },
        false => api.handle.dry_run(before).await?,
    };
    rehearsal.compare = Some(Compared::of(&present, &answer));
    rehearsal.answer = Some(answer);
    Ok(Json(rehearsal))
}

/// Which checks to try by the candidate, and which by what runs.
fn tried(
    names: &[String],
    changes: &Diff,
    present: &Book,
    candidate: &Book,
) -> Result<(Vec<Name>, Vec<Name>), Refusal> {
    let wanted: Vec<Name> = match names {
        [] => {
            let all = [&changes.changed, &changes.added, &changes.removed];
            all.into_iter().flatten().take(TRIED).cloned().collect()
        }
        names => names.iter().map(|name| Name::from(name.as_str())).collect(),
    };
    let of = |book: &Book| -> Vec<Name> {
        let known = |name: &&Name| book.checks.contains_key(*name);
        wanted.iter().filter(known).cloned().collect()
    };
    let (after, before) = (of(candidate), of(present));
    let unknown = wanted
        .iter()
        .find(|name| !after.contains(name) && !before.contains(name));
    match unknown {
        Some(name) => Err(Refusal::absent(format!("there is no check `{name}`"))),
        None => Ok((after, before)),
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Edit {
    /// As `/api/rules` names it.
    path: String,
    text: String,
    /// The hash of the file that was changed; `null` for one that is new.
    hash: Option<String>,
    /// Who saves it.
    #[schemars(length(max = 500))]
    by: Option<String>,
    /// Save it even if the rules would be refused.
    #[serde(default)]
    force: bool,
}

/// What became of a save.
#[derive(Serialize, JsonSchema)]
struct Saved {
    path: String,
    /// Of the file as it is now.
    hash: String,
    reload: ReloadAnswer,
}

async fn save(State(api): State<Api>, caller: Caller, Said(edit): Said<Edit>) -> Answered<Saved> {
    let by = caller.by(edit.by)?;
    let bench = api.handle.bench().await?;
    let named = Named::of(&bench, &edit.path)?;
    let _alone = api.desk.saving.lock().await;
    let (desk, working) = (api.desk.clone(), bench.clone());
    let (told, force) = (edit.hash, edit.force);
    let written = tokio::task::spawn_blocking(move || {
        let bytes = named.revealed(&working, edit.text)?;
        named.is_still(&working, told.as_deref())?;
        let files = BTreeMap::from([(named.relative.clone(), Some(bytes.clone()))]);
        let loaded = desk.load(&working, &files);
        if loaded.book.is_none() && !force {
            let secrets = working.permission.secrets();
            let text = complaint::plain(&loaded.complaints);
            let refusal = Refusal::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                format!(
                    "the rules would be refused: {}",
                    complaint::summary(&loaded.complaints)
                ),
            );
            return Err(refusal
                .with("complaints", machine(&loaded.complaints, secrets))
                .with("complaints_text", secrets.hide(&text).into_owned()));
        }
        let still = || named.is_still(&working, told.as_deref()).is_ok();
        writing::write(&working.rules, &named.relative, &bytes, still).map_err(|error| {
            Refusal::conflict(format!("could not save {}: {}", edit.path, error.told()))
        })?;
        Ok((edit.path, hash(&bytes)))
    });
    let (path, hash) = written.await.map_err(broke_off)??;
    api.handle.edited(format!("{by} saved {path}")).await?;
    let reload = api.handle.reload().await?;
    let text = reload.complaints_text.as_deref();
    let text = text.map(|text| bench.permission.secrets().hide(text).into_owned());
    Ok(Json(Saved {
        path,
        hash,
        reload: ReloadAnswer {
            complaints_text: text,
            ..reload
        },
    }))
}

impl Named {
    /// What is to be saved for what was said: where a secret was hidden from whoever read the file, it stands again. A
    /// mark that was not in the file is no secret, and stays as it is.
    fn revealed(&self, bench: &Workbench, text: String) -> Result<Arc<[u8]>, Refusal> {
        let secrets = bench.permission.secrets();
        let there = self.read(bench)?.unwrap_or_default();
        let there = String::from_utf8_lossy(&there);
        let text = match secrets.hide(&there) {
            Cow::Owned(hidden) => secrets.reveal_marks_of(&hidden, &text),
            Cow::Borrowed(_) => text,
        };
        Ok(text.into_bytes().into())
    }

    /// Whether the file is the one that was read.
    fn is_still(&self, bench: &Workbench, told: Option<&str>) -> Result<(), Refusal> {
        let now = self.read(bench)?.map(|bytes| hash(&bytes));
        if now.as_deref() == told {
            return Ok(());
        }
        let why = match (&now, told) {
            (Some(_), None) => "there is such a file already",
            (None, _) => "the file is not there any more",
            (Some(_), Some(_)) => "the file was changed since it was read",
        };
        Err(Refusal::conflict(why).with("hash", now))
    }
}
