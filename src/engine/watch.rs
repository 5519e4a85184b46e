//! What changes on disk while the engine runs: rule files, files that checks wait for, the kill switch.
//!
//! The kernel's notices say *that* something happened, a sweep says *what*: signatures (device, inode, size, times) of
//! all files are compared with those of the last sweep, so renames, symlink swaps and editors' saves are all the same,
//! and a notice that was lost is made up for within half a second. Rule files are read only after they have been left
//! alone for a moment (the trailing edge), and at most once a second.
//!
//! Notices come for what is read as well, this module's own sweeps included; those are not news. Of the others at most one
//! waits, however busy a directory is, and those of data files do not have the rules swept.

use std::{
    collections::{BTreeMap, BTreeSet},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    time::Duration,
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode, ModifyKind},
};
use tokio::sync::oneshot;

use super::handle::ReloadAnswer;
use crate::{
    clock::Stopwatch,
    model::outline::{EventTrigger, Outline},
};

/// Without a notice, a sweep comes after so long.
const SWEEP: Duration = Duration::from_millis(500);
/// Notices gather for so long: in a busy directory they come by the thousand.
const GATHER: Duration = Duration::from_millis(50);
/// While rule files settle, the kill switch and the files that checks wait for are looked at as often.
const MEANWHILE: Duration = Duration::from_millis(100);
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
/// What was there at a sweep.
pub(super) type Seen = BTreeMap<PathBuf, Signature>;
/// Who asked for a reload.
pub(super) type Askers = Vec<oneshot::Sender<ReloadAnswer>>;

/// What the watcher tells.
pub(super) trait Ears: Send {
    /// The rules changed, or somebody asked: load them and tell all who did. Returns the outline that runs now.
    fn rules(&mut self, told: Askers) -> Arc<Outline>;
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
    /// Starts the thread. `outline` is what runs at the start, and `seen` what was on disk **before** it was loaded: what
    /// changed in between is found by the first sweep.
    pub(super) fn start(
        root: PathBuf,
        rules: PathBuf,
        outline: Arc<Outline>,
        seen: Seen,
        ears: impl Ears + 'static,
    ) -> std::io::Result<Watch> {
        let (wake, calls) = channel();
        let news = Arc::new(News::default());
        let notices = listen(rules.clone(), news.clone(), wake.clone())
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
            asked: Vec::new(),
            news,
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

/// What notices have come since the last sweep.
#[derive(Default)]
struct News {
    rules: AtomicBool,
    files: AtomicBool,
    /// What came, went or was renamed: it may look as it did at the last sweep, and was something else in between.
    came_or_went: Mutex<BTreeSet<PathBuf>>,
}

impl News {
    /// Whether nothing was waiting yet.
    fn add(&self, of_rules: bool) -> bool {
        let kind = if of_rules { &self.rules } else { &self.files };
        !kind.swap(true, Ordering::AcqRel)
    }

    /// Remembers what came or went, as far as there is room.
    fn touch(&self, paths: &[PathBuf]) {
        let mut touched = self
            .came_or_went
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for path in paths {
            if touched.len() < MOST_FILES {
                touched.insert(path.clone());
            }
        }
    }

    fn touched(&self) -> BTreeSet<PathBuf> {
        let mut touched = self
            .came_or_went
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *touched)
    }

    /// Whether there is news of the rules. To be called before a sweep, so that what comes during it is not lost.
    fn take(&self) -> bool {
        self.files.store(false, Ordering::Release);
        self.rules.swap(false, Ordering::AcqRel)
    }
}

/// Listens to the kernel; which directories is said later.
fn listen(
    rules: PathBuf,
    news: Arc<News>,
    wake: Sender<Call>,
) -> notify::Result<RecommendedWatcher> {
    let wake = Mutex::new(wake);
    notify::recommended_watcher(move |event: notify::Result<Event>| {
        let of_rules = match &event {
            Ok(event) if !is_news(event) => return,
            Ok(event) => {
                event.need_rescan() || event.paths.iter().any(|path| path.starts_with(&rules))
            }
            Err(_) => true,
        };
        if let Ok(event) = &event
            && comes_or_goes(event)
        {
            news.touch(&event.paths);
        }
        if news.add(of_rules) {
            let wake = wake.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = wake.send(Call::Notice); // the watcher has ended
        }
    })
}

/// Whether something may have changed. Somebody's reading is none, and our own sweeps would set off the next ones.
fn is_news(event: &Event) -> bool {
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => event.need_rescan(),
        _ => true,
    }
}

/// Whether a file came, went or was renamed.
fn comes_or_goes(event: &Event) -> bool {
    matches!(
        event.kind,
        EventKind::Create(_) | EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_))
    )
}

/// A file that checks wait for.
struct Waited {
    signature: Option<Signature>,
    /// Since it was told last.
    told: Stopwatch,
    /// Since it was last seen to change.
    still: Stopwatch,
    /// Since the first change that is still to be told.
    untold: Option<Stopwatch>,
}

impl Waited {
    fn first(signature: Option<Signature>) -> Waited {
        Waited {
            signature,
            told: Stopwatch::new(),
            still: Stopwatch::new(),
            untold: None,
        }
    }

    /// `touched`: it came or went since the last look, whatever it looks like.
    fn look(&mut self, now: Option<Signature>, touched: bool) {
        if now != self.signature || touched {
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
    news: Arc<News>,
    /// Directories the kernel tells about.
    listened: BTreeSet<PathBuf>,
    rules_seen: Seen,
    /// Files that checks wait for, relative to the root.
    files: Vec<String>,
    files_seen: BTreeMap<String, Waited>,
    /// What was told of the kill switch's file; `None` before the first time.
    pause_seen: Option<Option<String>>,
    /// Who waits for the next reload.
    asked: Askers,
    ears: E,
}

impl<E: Ears> Eye<E> {
    /// Until it is told to stop.
    fn run(&mut self, calls: &Receiver<Call>) {
        let _stopped = self.watch(calls);
    }

    fn watch(&mut self, calls: &Receiver<Call>) -> Option<()> {
        let mut compiled = None;
        let (mut swept, mut rules_swept) = (Stopwatch::new(), Stopwatch::new());
        loop {
            let untold = self.files_seen.values().any(|seen| seen.untold.is_some());
            self.hear(calls, if untold { GATHER } else { SWEEP })?;
            self.hear_all(calls, GATHER.saturating_sub(swept.elapsed()))?;
            swept = Stopwatch::new();
            let noticed = self.news.take();
            self.sweep();
            if self.asked.is_empty() && !noticed && rules_swept.elapsed() < SWEEP {
                continue;
            }
            rules_swept = Stopwatch::new();
            if self.asked.is_empty() && signatures(&self.rules) == self.rules_seen {
                continue;
            }
            self.settle(calls, compiled)?;
            self.rules_seen = signatures(&self.rules);
            let outline = self.ears.rules(std::mem::take(&mut self.asked));
            compiled = Some(Stopwatch::new());
            self.adopt(&outline);
        }
    }

    /// Waits for a call, at most so long. `None`: it is to stop.
    fn hear(&mut self, calls: &Receiver<Call>, most: Duration) -> Option<()> {
        match calls.recv_timeout(most) {
            Ok(Call::Reload(reply)) => self.asked.push(reply),
            Ok(Call::Notice) | Err(RecvTimeoutError::Timeout) => {}
            Ok(Call::Stop) | Err(RecvTimeoutError::Disconnected) => return None,
        }
        Some(())
    }

    /// Waits for so long whatever is called.
    fn hear_all(&mut self, calls: &Receiver<Call>, span: Duration) -> Option<()> {
        let waited = Stopwatch::new();
        loop {
            let left = span.saturating_sub(waited.elapsed());
            if left.is_zero() {
                return Some(());
            }
            self.hear(calls, left)?;
        }
    }

    /// What is looked at all the time: a reload that takes its time must not delay the kill switch.
    fn sweep(&mut self) {
        self.pause();
        self.sweep_files();
    }

    /// Waits for the trailing edge: until nothing has changed for a moment and the last compile is a second ago.
    fn settle(&mut self, calls: &Receiver<Call>, compiled: Option<Stopwatch>) -> Option<()> {
        let mut last = signatures(&self.rules);
        let started = Stopwatch::new();
        loop {
            let rest = compiled.map_or(Duration::ZERO, |it| BETWEEN.saturating_sub(it.elapsed()));
            let (quiet, span) = (Stopwatch::new(), QUIET.max(rest));
            while quiet.elapsed() < span {
                self.hear_all(calls, MEANWHILE.min(span.saturating_sub(quiet.elapsed())))?;
                self.sweep();
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
        let touched = self.news.touched();
        for file in &self.files {
            let path = self.root.join(file);
            let now = signature(&path);
            let Some(seen) = self.files_seen.get_mut(file) else {
                self.files_seen.insert(file.clone(), Waited::first(now));
                continue;
            };
            seen.look(now, touched.contains(&path));
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
pub(super) fn signatures(rules: &Path) -> Seen {
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Tells what it hears over a channel, and answers whoever asked.
    struct Recorder {
        told: Sender<Heard>,
    }

    #[derive(Debug, PartialEq)]
    enum Heard {
        Rules(usize),
        File(String),
        Pause(Option<String>),
    }

    impl Ears for Recorder {
        fn rules(&mut self, told: Askers) -> Arc<Outline> {
            let _ = self.told.send(Heard::Rules(told.len()));
            for asker in told {
                let _ = asker.send(ReloadAnswer {
                    live: true,
                    generation: String::new(),
                    changes: String::new(),
                    complaints_text: None,
                });
            }
            Arc::default()
        }

        fn file(&mut self, file: &str) {
            let _ = self.told.send(Heard::File(file.to_owned()));
        }

        fn pause_file(&mut self, reason: Option<String>) {
            let _ = self.told.send(Heard::Pause(reason));
        }
    }

    const SOON: Duration = Duration::from_secs(20);

    fn root() -> (tempfile::TempDir, PathBuf) {
        let root = tempfile::tempdir().expect("a temporary directory");
        let rules = root.path().join("rules");
        fs::create_dir_all(root.path().join(crate::permission::OWN)).expect("a directory");
        fs::create_dir(&rules).expect("a directory");
        fs::write(rules.join("a.yaml"), "one").expect("a file");
        (root, rules)
    }

    fn start(root: &tempfile::TempDir, rules: &Path, seen: Seen) -> (Watch, Receiver<Heard>) {
        let (told, heard) = channel();
        let watch = Watch::start(
            root.path().to_owned(),
            rules.to_owned(),
            Arc::default(),
            seen,
            Recorder { told },
        );
        (watch.expect("a thread"), heard)
    }

    #[test]
    fn what_is_only_read_is_no_news() {
        let (root, rules) = root();
        let (wake, calls) = channel();
        let news = Arc::new(News::default());
        let mut notices = listen(rules.clone(), news.clone(), wake).expect("notices");
        notices
            .watch(&rules, RecursiveMode::NonRecursive)
            .expect("a directory");
        for _ in 0..20 {
            signatures(&rules);
            fs::read(rules.join("a.yaml")).expect("a file");
        }
        // In order with what was read before: the first notice there is comes of this.
        fs::rename(rules.join("a.yaml"), root.path().join("gone.yaml")).expect("a rename");
        assert!(matches!(calls.recv_timeout(SOON), Ok(Call::Notice)));
        assert!(news.take());
        fs::read(root.path().join("gone.yaml")).expect("a file");
        signatures(&rules);
        let more = calls.recv_timeout(Duration::from_millis(200));
        assert!(more.is_err(), "what was only read was told");
    }

    #[test]
    fn what_came_and_went_between_two_sweeps_is_a_change() {
        let (root, rules) = root();
        let (wake, calls) = channel();
        let news = Arc::new(News::default());
        let mut notices = listen(rules, news.clone(), wake).expect("notices");
        notices
            .watch(root.path(), RecursiveMode::NonRecursive)
            .expect("a directory");
        let path = root.path().join("weights.json");
        fs::write(&path, "{}").expect("a file");
        fs::remove_file(&path).expect("it was there");
        assert!(matches!(calls.recv_timeout(SOON), Ok(Call::Notice)));
        let waiting = Stopwatch::new();
        let mut touched = BTreeSet::new();
        while !touched.contains(&path) {
            assert!(waiting.elapsed() < SOON, "{touched:?}");
            touched.extend(news.touched());
        }
        let mut waited = Waited::first(None);
        waited.look(None, false);
        assert!(waited.untold.is_none());
        waited.look(None, touched.contains(&path));
        assert!(waited.untold.is_some());
    }

    #[test]
    fn however_much_happens_one_notice_waits() {
        let (root, rules) = root();
        let (wake, calls) = channel();
        let news = Arc::new(News::default());
        let mut notices = listen(rules.clone(), news.clone(), wake).expect("notices");
        notices
            .watch(root.path(), RecursiveMode::NonRecursive)
            .expect("a directory");
        for number in 0..100 {
            fs::write(root.path().join(format!("{number}")), "x").expect("a file");
        }
        assert!(matches!(calls.recv_timeout(SOON), Ok(Call::Notice)));
        assert!(calls.recv_timeout(Duration::from_millis(200)).is_err());
        assert!(!news.take(), "nothing happened to the rules");
        fs::rename(&rules, root.path().join("other")).expect("a rename");
        assert!(matches!(calls.recv_timeout(SOON), Ok(Call::Notice)));
        assert!(news.take());
    }

    #[test]
    fn everybody_who_asks_for_a_reload_is_answered() {
        let (root, rules) = root();
        let (watch, _heard) = start(&root, &rules, signatures(&rules));
        let answers: Vec<_> = (0..5)
            .map(|_| {
                let (told, answer) = oneshot::channel();
                watch.reload(told);
                answer
            })
            .collect();
        for answer in answers {
            assert!(answer.blocking_recv().is_ok_and(|answer| answer.live));
        }
        watch.stop();
    }

    #[test]
    fn what_changed_while_the_engine_started_is_found() {
        let (root, rules) = root();
        let seen = signatures(&rules);
        fs::write(rules.join("b.yaml"), "two").expect("a file");
        let (watch, heard) = start(&root, &rules, seen);
        assert_eq!(
            heard.recv_timeout(SOON),
            Ok(Heard::Pause(None)),
            "told once at the start"
        );
        assert_eq!(heard.recv_timeout(SOON), Ok(Heard::Rules(0)));
        watch.stop();
    }

    #[test]
    fn the_kill_switch_is_seen_within_a_second_while_rules_are_written_all_the_time() {
        let (root, rules) = root();
        let (watch, heard) = start(&root, &rules, signatures(&rules));
        let pause = root
            .path()
            .join(crate::permission::OWN)
            .join(crate::store::PAUSE_FILE);
        let mut worst = Duration::ZERO;
        let mut number = 0;
        for round in 0..3 {
            let switched = Stopwatch::new();
            if round % 2 == 0 {
                fs::write(&pause, "stop").expect("a file");
            } else {
                fs::remove_file(&pause).expect("it was there");
            }
            loop {
                number += 1;
                fs::write(rules.join("a.yaml"), format!("{number}")).expect("a file");
                match heard.recv_timeout(Duration::from_millis(20)) {
                    Ok(Heard::Pause(_)) => break,
                    _ => assert!(switched.elapsed() < SOON, "never seen"),
                }
            }
            worst = worst.max(switched.elapsed());
        }
        assert!(worst < Duration::from_secs(1), "{worst:?}");
        watch.stop();
    }
}
