//! From a directory to a book: read, parse, compile, link. All mistakes of all files are told in one go; with one error
//! there is no book.
//!
//! A [`Cache`] keeps what files were compiled to. A file that did not change, under `vars` that did not change, is not
//! read a second time; what only the whole directory can check is checked anew.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::Arc,
};

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::{
    book::Book,
    compile::{self, Compiler},
    complaint::{Complaint, Severity},
    fingerprint::hex,
    link,
    parallel::parallel,
    sources::{self, Role, Sources},
    unit::{Notes, RuleName, Unit},
    vars::{self, Var},
    yaml,
};
use crate::{
    model::{
        Generation,
        node::Node,
        outline::Outline,
        text::{Mistake, Place, Text},
    },
    permission::Permission,
    script::{Engine, Scripts},
};

/// What loading gave.
pub struct Loaded {
    /// `None` if there is an error among the complaints.
    pub book: Option<Book>,
    /// Errors and warnings, sorted by place.
    pub complaints: Vec<Complaint>,
    pub sources: Arc<Sources>,
}

impl Loaded {
    pub fn errors(&self) -> impl Iterator<Item = &Complaint> {
        self.complaints
            .iter()
            .filter(|complaint| complaint.severity == Severity::Error)
    }
}

/// What files were compiled to, by their path. Good for one engine and one permission.
#[derive(Default)]
pub struct Cache {
    files: HashMap<String, Arc<Kept>>,
}

struct Kept {
    bytes: Arc<[u8]>,
    front: Front,
    /// Under which `vars` it was compiled.
    ground: String,
    unit: Arc<Unit>,
}

/// What is known of a file before it is compiled.
#[derive(Clone)]
struct Front {
    file: Arc<str>,
    text: Arc<str>,
    vars: Arc<Vec<Var>>,
    /// False when its `vars` could not be read.
    complete: bool,
}

/// Loads a rules directory. `overrides` are the values of `--set`; only what changed since the cache was used last is
/// compiled.
pub fn load(
    dir: &Path,
    overrides: &BTreeMap<String, Value>,
    permission: &Permission,
    engine: &Engine,
    cache: &mut Cache,
) -> Loaded {
    let prefix = shown(dir, permission);
    let (sources, complaints) = sources::read(dir, &prefix);
    let bench = Bench {
        overrides,
        permission,
        engine,
    };
    assemble(sources, complaints, &prefix, &bench, cache)
}

/// Loads a rule set from memory: the last good book, or a candidate. Files that have no role are left out.
pub fn load_sources(
    sources: &Sources,
    overrides: &BTreeMap<String, Value>,
    permission: &Permission,
    engine: &Engine,
) -> Loaded {
    let sources = sources
        .iter()
        .filter(|(path, _)| sources::role(path).is_some())
        .map(|(path, bytes)| (path.clone(), bytes.clone()))
        .collect();
    let bench = Bench {
        overrides,
        permission,
        engine,
    };
    assemble(sources, Vec::new(), PREFIX, &bench, &mut Cache::default())
}

/// Loads a candidate: the files of a directory with others laid over them, under the name of that directory. Only what
/// changed since the cache was used last is compiled.
pub fn load_candidate(
    sources: Sources,
    prefix: &str,
    overrides: &BTreeMap<String, Value>,
    permission: &Permission,
    engine: &Engine,
    cache: &mut Cache,
) -> Loaded {
    let bench = Bench {
        overrides,
        permission,
        engine,
    };
    assemble(sources, Vec::new(), prefix, &bench, cache)
}

/// What loading needs besides the files.
struct Bench<'a> {
    overrides: &'a BTreeMap<String, Value>,
    permission: &'a Permission,
    engine: &'a Engine,
}

/// How complaints name a rules directory that is in memory.
const PREFIX: &str = "rules";

/// How complaints name the directory: relative to the root if it lies below.
pub fn shown(dir: &Path, permission: &Permission) -> String {
    let whole = dir.canonicalize();
    let below = whole
        .as_deref()
        .unwrap_or(dir)
        .strip_prefix(permission.root())
        .ok()
        .filter(|below| below.components().next().is_some());
    below.unwrap_or(dir).display().to_string()
}

fn assemble(
    sources: Sources,
    mut complaints: Vec<Complaint>,
    prefix: &str,
    bench: &Bench<'_>,
    cache: &mut Cache,
) -> Loaded {
    let files: Vec<(&String, &Arc<[u8]>)> = of_role(&sources, Role::Rules).collect();
    let kept: Vec<Option<Arc<Kept>>> = files
        .iter()
        .map(|(path, bytes)| {
            let kept = cache.files.get(*path)?;
            (kept.bytes == **bytes).then(|| kept.clone())
        })
        .collect();
    let jobs: Vec<_> = files.iter().zip(&kept).collect();
    let fronts = parallel(&jobs, |((path, bytes), kept)| match kept {
        Some(kept) => (kept.front.clone(), None),
        None => front(sources::joined(prefix, path), bytes),
    });
    let all_vars: Vec<&Var> = fronts
        .iter()
        .flat_map(|(front, _)| front.vars.iter())
        .collect();
    let (vars, wrong) = vars::merge(&all_vars, bench.overrides);
    complaints.extend(wrong);
    let complete = fronts.iter().all(|(front, _)| front.complete);
    let (scripts, unreadable) = scripts(&sources, prefix);
    complaints.extend(unreadable);
    let ground = ground(&vars, complete, &sources);
    let compiler = Compiler::new(bench.engine, bench.permission, &vars, &scripts, complete);
    let jobs: Vec<_> = fronts.iter().zip(&kept).collect();
    let units: Vec<Arc<Unit>> = parallel(&jobs, |((front, parsed), kept)| match kept {
        Some(kept) if kept.ground == ground => kept.unit.clone(),
        _ => Arc::new(unit(&compiler, front, parsed.as_ref())),
    });
    let texts: HashMap<Arc<str>, Arc<str>> = fronts
        .iter()
        .map(|(front, _)| (front.file.clone(), front.text.clone()))
        .collect();
    let scripts = scripts.texts();
    for unit in &units {
        complaints.extend(unit.complaints.iter().cloned().map(|mut complaint| {
            // a rule that runs a script is blamed for it, but the excerpt is the script's
            if let Some(text) = scripts.get(&complaint.mistake.place.file) {
                complaint.source = text.clone();
            }
            complaint
        }));
    }
    complaints.extend(link::check(&units, &sources, &texts));
    complaints.extend(unused_scripts(&sources, prefix, &fronts));
    if complaints
        .iter()
        .all(|complaint| complaint.severity == Severity::Warning)
        && units.iter().all(|unit| unit.checks.is_empty())
    {
        complaints.push(no_rules(prefix, files.len()));
    }
    complaints.sort_by(|a, b| {
        (&a.mistake.place, a.severity as u8).cmp(&(&b.mistake.place, b.severity as u8))
    });
    complaints.dedup_by(|a, b| a.mistake == b.mistake);
    cache.files = files
        .iter()
        .zip(fronts)
        .zip(&units)
        .map(|(((path, bytes), (front, _)), unit)| {
            let kept = Kept {
                bytes: (*bytes).clone(),
                front,
                ground: ground.clone(),
                unit: unit.clone(),
            };
            ((*path).clone(), Arc::new(kept))
        })
        .collect();
    let sources = Arc::new(sources);
    let bad = complaints
        .iter()
        .any(|complaint| complaint.severity == Severity::Error);
    let book = (!bad).then(|| {
        bind(
            &units,
            vars,
            generation(&sources, bench.overrides),
            sources.clone(),
        )
    });
    Loaded {
        book,
        complaints,
        sources,
    }
}

fn no_rules(prefix: &str, files: usize) -> Complaint {
    let message = match files {
        0 => "there are no rule files here",
        _ => "there is no check in any rule file",
    };
    let mut complaint = sources::about_file(prefix.to_owned(), "no-rules", message.to_owned());
    complaint.mistake = complaint.mistake.help(
        "write checks into a file like rules/critical.yaml, or name the directory with --rules",
    );
    complaint
}

/// What a file was parsed to; files that hold no `vars` are parsed only when they are compiled, so that not all trees
/// stand in memory at once.
type Parsed = Option<Result<Node, Vec<Mistake>>>;

fn front(file: String, bytes: &Arc<[u8]>) -> (Front, Parsed) {
    let file: Arc<str> = file.into();
    let front = |text: Arc<str>, vars, complete| Front {
        file: file.clone(),
        text,
        vars: Arc::new(vars),
        complete,
    };
    let text: Arc<str> = match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(error) => {
            let text: Arc<str> = String::from_utf8_lossy(bytes).into();
            let mistake = not_utf8(&file, bytes, error.valid_up_to());
            return (front(text, Vec::new(), false), Some(Err(vec![mistake])));
        }
    };
    if !vars::may_hold(&text) {
        return (front(text, Vec::new(), true), None);
    }
    let parsed = yaml::parse(&file, &text);
    let (vars, complete) = match &parsed {
        Ok(node) => (vars::read(node, &text), true),
        Err(_) => (Vec::new(), false),
    };
    (front(text, vars, complete), Some(parsed))
}

fn not_utf8(file: &Arc<str>, bytes: &[u8], at: usize) -> Mistake {
    let before = String::from_utf8_lossy(bytes.get(..at).unwrap_or(&[]));
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    let place = Place {
        file: file.clone(),
        line,
        column,
    };
    Mistake::new("not-utf8", "here stands a byte that is not UTF-8", place)
        .help("save the file as UTF-8")
}

fn unit(
    compiler: &Compiler<'_>,
    front: &Front,
    parsed: Option<&Result<Node, Vec<Mistake>>>,
) -> Unit {
    let fresh;
    let parsed = match parsed {
        Some(parsed) => parsed,
        None => {
            fresh = yaml::parse(&front.file, &front.text);
            &fresh
        }
    };
    match parsed {
        Ok(node) => compiler.file(node, &front.text),
        Err(mistakes) => refused(mistakes, front),
    }
}

/// A file that could not be parsed. The names that stand in its text are kept, so that rules that refer to them are not
/// blamed.
fn refused(mistakes: &[Mistake], front: &Front) -> Unit {
    let notes = Notes {
        mistakes: mistakes.to_vec(),
        warnings: Vec::new(),
    };
    let names = front.text.match_indices("name:").filter_map(|(at, key)| {
        let rest = front
            .text
            .get(at + key.len()..)?
            .trim_start_matches([' ', '\'', '"']);
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        let end = rest.find(|c| !fits(c)).unwrap_or(rest.len());
        (end > 0).then(|| RuleName {
            name: Text::bare(&rest[..end]),
            is_check: true,
            guessed: true,
        })
    });
    Unit {
        names: names.collect(),
        complaints: notes.complain(None, &front.text).collect(),
        ..Unit::default()
    }
}

/// The scripts of the directory, and what cannot be read of them.
fn scripts(sources: &Sources, prefix: &str) -> (Scripts, Vec<Complaint>) {
    let mut scripts = Scripts::default();
    let mut complaints = Vec::new();
    for (path, bytes) in of_role(sources, Role::Script) {
        let file: Arc<str> = sources::joined(prefix, path).into();
        let text = std::str::from_utf8(bytes);
        if let Err(error) = text {
            let notes = Notes {
                mistakes: vec![not_utf8(&file, bytes, error.valid_up_to())],
                warnings: Vec::new(),
            };
            let text = String::from_utf8_lossy(bytes).into();
            complaints.extend(notes.complain(None, &text));
        }
        scripts.add(path.clone(), file, text.ok());
    }
    (scripts, complaints)
}

/// Scripts that no rule file mentions: nobody reads them, so nobody finds their mistakes.
fn unused_scripts(sources: &Sources, prefix: &str, fronts: &[(Front, Parsed)]) -> Vec<Complaint> {
    let unused = of_role(sources, Role::Script)
        .filter(|(path, _)| !fronts.iter().any(|(front, _)| front.text.contains(*path)));
    let complaints = unused.map(|(path, _)| {
        let message = "no rule runs this script".to_owned();
        let file = sources::joined(prefix, path);
        let mut complaint = sources::about_file(file, "unused-script", message);
        complaint.severity = Severity::Warning;
        complaint.mistake = complaint.mistake.help(format!(
            "write `script: {{ file: rules/{path} }}`, or take it away"
        ));
        complaint
    });
    complaints.collect()
}

fn of_role(sources: &Sources, role: Role) -> impl Iterator<Item = (&String, &Arc<[u8]>)> {
    sources
        .iter()
        .filter(move |(path, _)| sources::role(path) == Some(role))
}

/// What units depend on besides their file.
fn ground(vars: &Map<String, Value>, complete: bool, sources: &Sources) -> String {
    let vars = serde_json::to_string(vars).unwrap_or_default();
    let mut hash = Sha256::new();
    hash.update(format!("{complete} {vars}"));
    for (path, bytes) in of_role(sources, Role::Script) {
        hash.update(path);
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    }
    hex(&hash.finalize(), 32)
}

fn generation(sources: &Sources, overrides: &BTreeMap<String, Value>) -> Generation {
    let mut hash = Sha256::new();
    for (path, bytes) in sources {
        hash.update((path.len() as u64).to_le_bytes());
        hash.update(path);
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    }
    for (name, value) in overrides {
        hash.update(format!("--set {name}={value}\n"));
    }
    hex(&hash.finalize(), 12).into()
}

fn bind(
    units: &[Arc<Unit>],
    vars: Map<String, Value>,
    generation: Generation,
    sources: Arc<Sources>,
) -> Book {
    let checks: BTreeMap<_, _> = units
        .iter()
        .flat_map(|unit| &unit.checks)
        .map(|check| (check.name.clone(), check.clone()))
        .collect();
    let investigations = || units.iter().flat_map(|unit| &unit.investigations);
    let outline = Outline {
        generation: generation.clone(),
        checks: checks
            .iter()
            .map(|(name, check)| (name.clone(), check.outline.clone()))
            .collect(),
        investigations: investigations()
            .map(|(investigation, outline)| (investigation.name.clone(), outline.clone()))
            .collect(),
        calendars: units
            .iter()
            .flat_map(|unit| &unit.calendars)
            .filter_map(|(_, calendar)| calendar.as_ref())
            .map(|calendar| (calendar.name.clone(), calendar.clone()))
            .collect(),
    };
    let own_files = units.iter().flat_map(|unit| &unit.own_files);
    let mut reserved: Vec<String> = own_files.map(|file| file.path.clone()).collect();
    reserved.sort();
    reserved.dedup();
    Book {
        generation,
        outline: Arc::new(outline),
        checks,
        investigations: investigations()
            .map(|(investigation, _)| (investigation.name.clone(), investigation.clone()))
            .collect(),
        notifiers: units
            .iter()
            .flat_map(|unit| &unit.notifiers)
            .map(|(_, notifier)| (notifier.name.clone(), notifier.clone()))
            .collect(),
        listeners: compile::notifier::listeners(units),
        vars: Arc::new(vars),
        calendars: units
            .iter()
            .flat_map(|unit| &unit.calendars)
            .map(|(name, _)| (name.as_str().into(), name.place()))
            .collect(),
        tests: units
            .iter()
            .flat_map(|unit| unit.tests.iter().cloned())
            .collect(),
        sources,
        reserved,
    }
}
