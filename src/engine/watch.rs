//! What changes on disk while the engine runs: rule files, files that checks wait for, the kill switch.
//!
//! The kernel's notices say *that* something happened, a sweep says *what*: signatures (device, inode, size, times) of
//! all files are compared with those of the last sweep, so renames, symlink swaps and editors' saves are all the same,
//! and a notice that was lost is made up for within half a second. Rule files are read only after they have been left
//! alone for a moment (the trailing edge), and at most once a second.

use std::{
    collections::{BTreeMap, BTreeSet},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    time::Duration,
};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::oneshot;

use super::handle::ReloadAnswer;
use crate::{
    clock::Stopwatch,
    model::outline::{EventTrigger, Outline},
};

/// Without a notice, a sweep comes after so long.
const SWEEP: Duration = Duration::from_millis(500);
/// Rule files must have been left alone for so long before they are read.
const QUIET: Duration = Duration::from_millis(120);
/// At most one compile in so long.
const BETWEEN: Duration = Duration::from_secs(1);
/// A file that is never left alone is told after so long all the same.
const RESTLESS: Duration = Duration::from_secs(1);
/// A file that is written all the time sets off its checks at most once in so long.
const PER_FILE: Duration = Duration::from_millis(500);
/// More files than this below `rules/` are not swept; loading refuses them anyway.
const MOST_FILES: usize = 25_000;

/// (device, inode, size, modified, changed) of one file.
type Signature = (u64, u64, u64, i128, i128);

/// Who waits for a reload.
pub(super) type Told = Vec<oneshot::Sender<ReloadAnswer>>;

/// What was there at a sweep.
pub(super) type Signatures = BTreeMap<PathBuf, Signature>;

/// What the watcher tells.
pub(super) trait Ears: Send {
    /// The rules changed, or somebody asked: load them. Returns the outline that runs now.
    fn rules(&mut self, told: Told) -> Arc<Outline>;
    fn file(&mut self, file: &str);
    fn pause_file(&mut self, reason: Option<String>);
}

/// Asks the watcher's thread for something.
#[derive(Clone)]
pub(super) struct Watch {
    wake: Sender<Call>,
}

enum Call {
    Notice,
    Reload(oneshot::Sender<ReloadAnswer>),
    Stop,
}

impl Watch {
    /// Starts the thread. `outline` is what runs at the start. `seen` is what was on disk **before** its rules were loaded: what
    /// changed in between is found by the first sweep.
    pub(super) fn start(
        root: PathBuf,
        rules: PathBuf,
        outline: Arc<Outline>,
        seen: Signatures,
        ears: impl Ears + 'static,
    ) -> std::io::Result<Watch> {
        let (wake, calls) = channel();
        let notice = Mutex::new(wake.clone());
        let notices = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Looking is no change, and a sweep looks: it must not set off the next one.
            if event.is_ok_and(|event| event.kind.is_access()) {
                return;
            }
            let notice = notice.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = notice.send(Call::Notice); // the watcher has ended
        });
        let notices = notices
            .inspect_err(
                |error| tracing::warn!(%error, "no notices from the kernel: sweeping alone"),
            )
            .ok();
        let mut eye = Eye {
            listened: BTreeSet::new(),
            rules_seen: seen,
            files_seen: BTreeMap::new(),
            pause_seen: None,
            files: Vec::new(),
            root,
            rules,
            notices,
            ears,
        };
        eye.adopt(&outline);
        std::thread::Builder::new()
            .name("watch".to_owned())
            .spawn(move || eye.run(&calls))?;
        Ok(Watch { wake })
    }

    pub(super) fn reload(&self, told: oneshot::Sender<ReloadAnswer>) {
        let _ = self.wake.send(Call::Reload(told)); // the watcher has ended
    }

    pub(super) fn stop(&self) {
        let _ = self.wake.send(Call::Stop); // it has ended already
    }
}

/// A file that checks wait for.
struct Seen {
    signature: Option<Signature>,
    /// Since it was told last.
    told: Stopwatch,
    /// Since it was last seen to change.
    still: Stopwatch,
    /// Since the first change that is still to be told.
    untold: Option<Stopwatch>,
}

impl Seen {
    fn first(signature: Option<Signature>) -> Seen {
        Seen {
            signature,
            told: Stopwatch::new(),
            still: Stopwatch::new(),
            untold: None,
        }
    }

    fn look(&mut self, now: Option<Signature>) {
        if now != self.signature {
            // Changed and back again is a change too, even while it may not be told yet.
            self.signature = now;
            self.still = Stopwatch::new();
            self.untold.get_or_insert_with(Stopwatch::new);
        }
    }

    /// Whether it is time to tell: it has been left alone for a moment, so that nobody looks at a file between its
    /// truncation and its writing; or it is never left alone.
    fn is_due(&self) -> bool {
        let Some(untold) = &self.untold else {
            return false;
        };
        let settled = self.still.elapsed() >= QUIET || untold.elapsed() >= RESTLESS;
        settled && self.told.elapsed() >= PER_FILE
    }
}

struct Eye<E> {
    root: PathBuf,
    rules: PathBuf,
    notices: Option<RecommendedWatcher>,
    /// Directories the kernel tells about.
    listened: BTreeSet<PathBuf>,
    rules_seen: Signatures,
    /// Files that checks wait for, relative to the root.
    files: Vec<String>,
    files_seen: BTreeMap<String, Seen>,
    /// `None` until it was looked at.
    pause_seen: Option<Option<String>>,
    ears: E,
}

impl<E: Ears> Eye<E> {
    fn run(&mut self, calls: &Receiver<Call>) {
        let mut compiled = Stopwatch::new();
        let mut first = true;
        loop {
            let mut told = Told::new();
            let untold = self.files_seen.values().any(|seen| seen.untold.is_some());
            match calls.recv_timeout(if untold { QUIET / 2 } else { SWEEP }) {
                Ok(Call::Reload(reply)) => told.push(reply),
                Ok(Call::Notice) | Err(RecvTimeoutError::Timeout) => {}
                Ok(Call::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            }
            self.pause();
            self.sweep_files();
            let asked = !told.is_empty();
            if !asked && signatures(&self.rules) == self.rules_seen {
                continue;
            }
            if self.settle(calls, &compiled, first, &mut told).is_none() {
                return;
            }
            self.rules_seen = signatures(&self.rules);
            let outline = self.ears.rules(told);
            (compiled, first) = (Stopwatch::new(), false);
            self.adopt(&outline);
        }
    }

    /// Waits for the trailing edge: until nothing has changed for a moment and the last compile is a second ago. Who asks
    /// meanwhile is answered too.
    fn settle(
        &mut self,
        calls: &Receiver<Call>,
        compiled: &Stopwatch,
        first: bool,
        told: &mut Told,
    ) -> Option<()> {
        let mut last = signatures(&self.rules);
        let started = Stopwatch::new();
        loop {
            let rest = if first {
                Duration::ZERO
            } else {
                BETWEEN.saturating_sub(compiled.elapsed())
            };
            let quiet = Stopwatch::new();
            while quiet.elapsed() < QUIET.max(rest) {
                match calls.recv_timeout(QUIET.max(rest).saturating_sub(quiet.elapsed())) {
                    Ok(Call::Stop) | Err(RecvTimeoutError::Disconnected) => return None,
                    Ok(Call::Reload(reply)) => told.push(reply),
                    Ok(Call::Notice) | Err(RecvTimeoutError::Timeout) => self.pause(),
                }
            }
            let now = signatures(&self.rules);
            if now == last || started.elapsed() > BETWEEN {
                return Some(());
            }
            last = now;
        }
    }

    fn pause(&mut self) {
        let now = crate::store::pause_file(&self.root.join(crate::permission::OWN));
        if self.pause_seen.as_ref() != Some(&now) {
            self.ears.pause_file(now.clone());
            self.pause_seen = Some(now);
        }
    }

    fn sweep_files(&mut self) {
        for file in &self.files {
            let now = signature(&self.root.join(file));
            let Some(seen) = self.files_seen.get_mut(file) else {
                self.files_seen.insert(file.clone(), Seen::first(now));
                continue;
            };
            seen.look(now);
            if seen.is_due() {
                seen.untold = None;
                seen.told = Stopwatch::new();
                self.ears.file(file);
            }
        }
    }

    /// Listens to what this outline waits for.
    fn adopt(&mut self, outline: &Outline) {
        let checks = outline.checks.values().map(|check| &check.trigger);
        let investigations = outline.investigations.values().map(|it| &it.trigger);
        let files: BTreeSet<String> = checks
            .chain(investigations)
            .flat_map(|trigger| &trigger.events)
            .filter_map(|event| match event {
                EventTrigger::File { file } => Some(file.clone()),
                EventTrigger::Check { .. } | EventTrigger::Event { .. } => None,
            })
            .collect();
        self.files_seen.retain(|file, _| files.contains(file));
        self.files = files.into_iter().collect();
        self.sweep_files();
        let mut wanted: BTreeSet<PathBuf> = self
            .files
            .iter()
            .filter_map(|file| existing_parent(&self.root.join(file)))
            .collect();
        wanted.extend(existing_parent(&self.rules));
        wanted.extend(
            self.rules_seen
                .keys()
                .filter_map(|file| Some(file.parent()?.to_owned())),
        );
        wanted.insert(self.rules.clone());
        let Some(notices) = &mut self.notices else {
            return;
        };
        for gone in self.listened.difference(&wanted) {
            let _ = notices.unwatch(gone); // the directory may be gone
        }
        let new: Vec<PathBuf> = wanted.difference(&self.listened).cloned().collect();
        self.listened = wanted;
        for dir in new {
            if let Err(error) = notices.watch(&dir, RecursiveMode::NonRecursive) {
                tracing::debug!(dir = %dir.display(), %error, "no notices for this directory");
                self.listened.remove(&dir);
            }
        }
    }
}

/// The closest directory above that exists.
fn existing_parent(path: &Path) -> Option<PathBuf> {
    path.ancestors()
        .skip(1)
        .find(|dir| dir.is_dir())
        .map(Path::to_owned)
}

fn signature(path: &Path) -> Option<Signature> {
    let meta = std::fs::metadata(path).ok()?;
    let nanos = |seconds: i64, nanos: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
    Some((
        meta.dev(),
        meta.ino(),
        meta.size(),
        nanos(meta.mtime(), meta.mtime_nsec()),
        nanos(meta.ctime(), meta.ctime_nsec()),
    ))
}

/// Signatures of everything below the rules directory, directories included; links are followed, but not in circles.
pub(super) fn signatures(rules: &Path) -> Signatures {
    let mut found = BTreeMap::new();
    let mut entered = BTreeSet::new();
    let mut stack = vec![rules.to_owned()];
    while let Some(path) = stack.pop() {
        let Some(signature) = signature(&path) else {
            continue;
        };
        if found.len() >= MOST_FILES {
            break;
        }
        if path.is_dir()
            && entered.insert((signature.0, signature.1))
            && let Ok(entries) = std::fs::read_dir(&path)
        {
            stack.extend(entries.flatten().map(|entry| entry.path()));
        }
        found.insert(path, signature);
    }
    found
}
