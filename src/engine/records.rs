//! Where a driver writes: for real, or nowhere.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use serde_json::{Map, Value};

use super::failpoint::{self, Boundary, pass};
use crate::{
    journal::{self, JournalError, Journals},
    model::{
        attempt::{AttemptId, Row},
        moment::Moment,
        step::Receipt,
        verdict::Publication,
    },
    store::{LookRecord, Store, StoreError, Writer},
};

/// What waits to be written, and what was given up, by where.
#[derive(Clone, Debug, Default)]
pub(super) struct Backlog {
    pub queues: Vec<(&'static str, u64)>,
    pub lost: Vec<(&'static str, u64)>,
}

/// What a driver remembers by. A dry run remembers nothing.
pub(super) trait Records: Send + Sync {
    fn write(&self, rows: Vec<Row>);
    /// Calls back with whether the row is on disk.
    fn durable(&self, row: Row, then: Box<dyn FnOnce(Result<(), String>) + Send>);
    fn looks(&self, looks: Vec<LookRecord>);
    /// Keeps before-images durable before the act.
    fn prepared(&self, attempt: AttemptId, images: Vec<Value>)
    -> BoxFuture<'_, Result<(), String>>;
    /// What an attempt did, ended ones included.
    fn receipts(&self, attempt: AttemptId) -> BoxFuture<'_, Result<Vec<Receipt>, String>>;
    /// Notes that a person undid it.
    fn undone(
        &self,
        attempt: AttemptId,
        at: Moment,
        by: String,
    ) -> BoxFuture<'_, Result<(), String>>;
    fn journal(&self, file: &str, line: Value);
    fn publish(&self, publication: Publication);
    /// What cannot be written at present, for people.
    fn trouble(&self) -> Option<String>;
    fn backlog(&self) -> Backlog;
}

/// Writes nothing.
pub(super) struct Nowhere;

impl Records for Nowhere {
    fn write(&self, _: Vec<Row>) {}
    fn durable(&self, _: Row, then: Box<dyn FnOnce(Result<(), String>) + Send>) {
        then(Ok(()));
    }
    fn looks(&self, _: Vec<LookRecord>) {}
    fn prepared(&self, _: AttemptId, _: Vec<Value>) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async { Ok(()) })
    }
    fn receipts(&self, _: AttemptId) -> BoxFuture<'_, Result<Vec<Receipt>, String>> {
        Box::pin(async { Ok(Vec::new()) })
    }
    fn undone(&self, _: AttemptId, _: Moment, _: String) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async { Ok(()) })
    }
    fn journal(&self, _: &str, _: Value) {}
    fn publish(&self, _: Publication) {}
    fn trouble(&self) -> Option<String> {
        None
    }
    fn backlog(&self) -> Backlog {
        Backlog::default()
    }
}

/// The store and the journals.
pub(super) struct Kept {
    pub writer: Writer,
    pub scribe: Scribe,
}

impl Records for Kept {
    fn write(&self, rows: Vec<Row>) {
        pass(Boundary::BeforeRows);
        self.writer.write(rows);
        self.written();
    }

    fn durable(&self, row: Row, then: Box<dyn FnOnce(Result<(), String>) + Send>) {
        pass(Boundary::BeforeIntent);
        let then = Box::new(move |written| {
            pass(Boundary::AfterIntent);
            then(written);
        });
        self.writer.durable(vec![row], then);
    }

    fn looks(&self, looks: Vec<LookRecord>) {
        self.writer.looks(looks);
    }

    fn prepared(
        &self,
        attempt: AttemptId,
        images: Vec<Value>,
    ) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            let (tell, told) = tokio::sync::oneshot::channel();
            pass(Boundary::BeforeImage);
            let then = Box::new(move |result| {
                pass(Boundary::AfterImage);
                let _ = tell.send(result); // nobody waits any more
            });
            self.writer.prepared(attempt, images, then);
            told.await
                .unwrap_or_else(|_| Err("the store has ended".to_owned()))
        })
    }

    fn receipts(&self, attempt: AttemptId) -> BoxFuture<'_, Result<Vec<Receipt>, String>> {
        Box::pin(async move {
            let found = self
                .writer
                .ask(move |store| receipts_of(store, attempt))
                .await;
            match found {
                Ok(Ok(Some(receipts))) => Ok(receipts),
                Ok(Ok(None)) => Err(format!("there is no attempt {attempt}")),
                Ok(Err(error)) | Err(error) => Err(error.chain()),
            }
        })
    }

    fn undone(
        &self,
        attempt: AttemptId,
        at: Moment,
        by: String,
    ) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            match self
                .writer
                .ask(move |store| store.undone(attempt, at, &by))
                .await
            {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) | Err(error) => Err(error.chain()),
            }
        })
    }

    fn journal(&self, file: &str, line: Value) {
        self.scribe.send(Note::Line(file.to_owned(), line));
    }

    fn publish(&self, publication: Publication) {
        self.scribe
            .send(Note::Publish(publication.file, publication.set));
    }

    fn trouble(&self) -> Option<String> {
        let store = self.writer.health().failing;
        let store = store.map(|why| format!("cannot be written: {why}"));
        let told: Vec<String> = store.into_iter().chain(self.scribe.trouble()).collect();
        (!told.is_empty()).then(|| told.join("; "))
    }

    fn backlog(&self) -> Backlog {
        let store = self.writer.health();
        let (waiting, lost) = self.scribe.backlog();
        Backlog {
            queues: vec![("store", store.queue as u64), ("journal", waiting)],
            lost: vec![
                ("store", store.dropped_rows),
                ("looks", store.dropped_looks),
                ("journal", lost),
            ],
        }
    }
}

impl Kept {
    /// Passes a boundary on the store's thread when what was handed over is written.
    fn written(&self) {
        if failpoint::is_armed() {
            // The question is put when the future is first polled; nobody waits for the answer.
            let asked = self.writer.ask(|_| pass(Boundary::AfterRows));
            let _ = asked.now_or_never();
        }
    }
}

/// What an attempt did. Of one that was interrupted nobody has receipts; then what it had prepared counts, and undoing
/// finds out by looking whether it was done.
fn receipts_of(store: &Store, attempt: AttemptId) -> Result<Option<Vec<Receipt>>, StoreError> {
    let Some(found) = store.attempt(attempt)? else {
        return Ok(None);
    };
    if !found.receipts.is_empty() {
        return Ok(Some(found.receipts));
    }
    let prepared = store.prepared_of(attempt)?;
    let promised = prepared
        .into_iter()
        .filter_map(|it| serde_json::from_value(it).ok());
    Ok(Some(promised.collect()))
}

enum Note {
    Line(String, Value),
    Publish(String, Map<String, Value>),
    Flush(SyncSender<()>),
}

/// A thread that writes journals, so that a slow disk delays no look. Its queue is bounded; what does not fit is told.
#[derive(Clone)]
pub(super) struct Scribe {
    notes: SyncSender<Note>,
    shared: Arc<Mutex<Shared>>,
    /// Notes in the queue.
    queued: Arc<AtomicU64>,
}

#[derive(Default)]
struct Shared {
    /// Lines that did not fit into the queue.
    lost: u64,
    /// How the journals were when something was written last.
    health: journal::Health,
    /// Files whose last publication failed. The next look publishes again.
    unpublished: BTreeSet<String>,
}

/// Lines that could not be written are tried again after this, also when no further one comes.
const AGAIN: Duration = Duration::from_secs(1);

impl Scribe {
    pub(super) fn start(journals: Journals) -> std::io::Result<Scribe> {
        let (notes, queue) = sync_channel(65_536);
        let shared = Arc::<Mutex<Shared>>::default();
        let queued = Arc::<AtomicU64>::default();
        let (told, left) = (shared.clone(), queued.clone());
        std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || write_all(journals, &queue, &left, &told))?;
        Ok(Scribe {
            notes,
            shared,
            queued,
        })
    }

    /// Which journals cannot be written, and how many lines wait for that.
    fn trouble(&self) -> Option<String> {
        let shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let health = &shared.health;
        let mut told = Vec::new();
        if !health.failing.is_empty() {
            let files = health.failing.join(", ");
            told.push(format!(
                "{} lines wait until {files} can be written",
                health.waiting
            ));
        }
        if health.dropped > 0 {
            told.push(format!("{} lines were dropped", health.dropped));
        }
        told.extend(
            shared
                .unpublished
                .iter()
                .map(|file| format!("{file} cannot be written")),
        );
        (!told.is_empty()).then(|| told.join("; "))
    }

    /// How many lines wait, in the queue or because they could not be written; and how many were lost.
    fn backlog(&self) -> (u64, u64) {
        let shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let queued = self.queued.load(Ordering::Relaxed);
        let lost = shared.lost + shared.health.dropped;
        (queued + shared.health.waiting as u64, lost)
    }

    fn send(&self, note: Note) {
        // Counted before it can be taken out, so that the number never goes below none.
        self.queued.fetch_add(1, Ordering::Relaxed);
        let sent = self.notes.try_send(note);
        if sent.is_err() {
            self.queued.fetch_sub(1, Ordering::Relaxed);
        }
        if let Err(TrySendError::Full(_)) = sent {
            let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
            shared.lost += 1;
            if shared.lost.is_power_of_two() {
                tracing::error!(
                    lost = shared.lost,
                    "the journal cannot keep up: lines were lost"
                );
            }
        }
    }

    /// Waits until everything sent so far is written. Blocks.
    pub(super) fn flush(&self) {
        let (done, wait) = sync_channel(1);
        self.queued.fetch_add(1, Ordering::Relaxed);
        if self.notes.send(Note::Flush(done)).is_ok() {
            let _ = wait.recv(); // the thread may have ended
        }
    }
}

/// Until nobody can send any more. What waits is tried again at the end, too.
fn write_all(
    mut journals: Journals,
    queue: &Receiver<Note>,
    queued: &AtomicU64,
    shared: &Mutex<Shared>,
) {
    let mut failing = false;
    loop {
        let note = match failing {
            true => queue.recv_timeout(AGAIN),
            false => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        if note.is_ok() {
            queued.fetch_sub(1, Ordering::Relaxed);
        }
        let mut flushed = None;
        match note {
            Ok(Note::Line(file, line)) => {
                pass(Boundary::BeforeLine);
                let done = journals.append(&file, &line);
                pass(Boundary::AfterLine);
                if let Err(error) = done {
                    tell(&error); // once per spell of failing
                    failing = true;
                }
            }
            Ok(Note::Publish(file, set)) => {
                let done = journals.publish(&file, &set);
                let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
                match done {
                    Ok(()) => drop(shared.unpublished.remove(&file)),
                    Err(error) if shared.unpublished.insert(file) => tell(&error),
                    Err(_) => {}
                }
            }
            Ok(Note::Flush(done)) => {
                journals.retry();
                flushed = Some(done);
            }
            Err(RecvTimeoutError::Timeout) => journals.retry(),
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if failing {
            let health = journals.health();
            failing = health.waiting > 0;
            if !failing {
                tracing::info!("the journals can be written again");
            }
            let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
            shared.health = health;
        }
        if let Some(flushed) = flushed {
            let _ = flushed.send(()); // nobody waits any more
        }
    }
}

fn tell(error: &JournalError) {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    tracing::error!(%error, cause, "could not write a record");
}
