//! A thread that owns the store. Everything goes through it in order.
//!
//! What is durable is written at once, together with everything queued before it. Changes, attempts and notes are
//! written as soon as the thread gets to them, many in one transaction. Standings alone may wait: only the last one of a
//! check counts, and with thousands of looks a second most are overtaken before they need to be written, so the thread
//! waits a millisecond for each, at least [`SHORTEST`] and at most [`LONGEST`]. What a crash loses are the newest
//! standings of checks that nothing happened to.
//!
//! When the disk is full, rows stay in memory (the last of a key; of history at most [`ROWS`]) and are written with the
//! next that can be; a durable write is told at once that it failed, so nothing is done that could not be remembered.
//! Looks are dropped first, and counted.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use serde_json::Value;
use tokio::sync::oneshot;

use crate::{
    clock::Stopwatch,
    model::{
        Name,
        attempt::{AttemptId, Row},
    },
};

use super::{Durability, LookRecord, Store, StoreError};

/// Looks waiting in the queue; more are dropped.
const LOOKS: usize = 50_000;
/// Rows of history kept in memory while they cannot be written.
const ROWS: usize = 100_000;
const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(5);
/// What failed is tried again after this, or with the next durable write.
const AGAIN: Duration = Duration::from_secs(1);

type Then = Box<dyn FnOnce(Result<(), String>) + Send>;

enum Job {
    Rows(Vec<Row>),
    Durable(Vec<Row>, Then),
    Prepared(AttemptId, Vec<Value>, Then),
    Looks(Vec<LookRecord>),
    Ask(Box<dyn FnOnce(&mut Store) + Send>),
}

/// How the writer is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Health {
    /// Jobs and rows not yet written.
    pub queue: usize,
    /// Why the last write failed, until one succeeds.
    pub failing: Option<String>,
    pub dropped_looks: u64,
    /// Rows of history dropped because the store could not be written for too long.
    pub dropped_rows: u64,
}

/// Hands everything to the thread. The thread ends, after writing what is queued, when it is closed or the last clone
/// is dropped.
#[derive(Clone)]
pub struct Writer {
    alive: Arc<Alive>,
}

struct Alive {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<Result<(), StoreError>>>>,
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.shared.queue().closing = true;
        self.shared.wake.notify_all();
    }
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    looks: usize,
    /// Nothing more is taken; what is queued is still done.
    closing: bool,
    /// The thread is gone.
    closed: bool,
    health: Health,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a job, or gives it back when nothing is taken any more.
    fn push(&self, job: Job) -> Result<(), Job> {
        let mut queue = self.queue();
        if queue.closing || queue.closed {
            return Err(job);
        }
        if let Job::Looks(looks) = &job {
            if queue.looks + looks.len() > LOOKS {
                queue.health.dropped_looks += looks.len() as u64;
                return Ok(());
            }
            queue.looks += looks.len();
        }
        queue.jobs.push_back(job);
        drop(queue);
        self.wake.notify_one();
        Ok(())
    }

    /// Waits for jobs, at most so long. The flag says that these are the last.
    fn take(&self, wait: Option<Duration>) -> (VecDeque<Job>, bool) {
        let mut queue = self.queue();
        let idle = |queue: &mut Queue| queue.jobs.is_empty() && !queue.closing;
        queue = match wait {
            Some(wait) => {
                let waited = self.wake.wait_timeout_while(queue, wait, idle);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            None => {
                let waited = self.wake.wait_while(queue, idle);
                waited.unwrap_or_else(PoisonError::into_inner)
            }
        };
        queue.looks = 0;
        (std::mem::take(&mut queue.jobs), queue.closing)
    }
}

impl Writer {
    /// Starts the thread.
    pub fn spawn(store: Store) -> Writer {
        let shared = Arc::new(Shared::default());
        let gone = Gone(shared.clone());
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || {
                let gone = gone;
                Work::new(store, gone.0.clone()).run()
            });
        let thread = thread
            .inspect_err(|error| tracing::error!(%error, "could not start the store's thread"))
            .ok();
        Writer {
            alive: Arc::new(Alive {
                shared,
                thread: Mutex::new(thread),
            }),
        }
    }

    /// Writes rows soon. They are never dropped for a full disk, but see [`Health::dropped_rows`].
    pub fn write(&self, rows: Vec<Row>) {
        if self.push(Job::Rows(rows)).is_err() {
            tracing::warn!("a row came after the store was closed");
        }
    }

    /// Writes rows so that they survive a loss of power, after everything queued before, and then says so. `then` runs
    /// on the store's thread: it should only pass the word on.
    pub fn durable(&self, rows: Vec<Row>, then: Then) {
        if let Err(Job::Durable(_, then)) = self.push(Job::Durable(rows, then)) {
            then(Err(StoreError::Closed.to_string()));
        }
    }

    /// [`Store::prepared`], in order, and then says so.
    pub fn prepared(&self, attempt: AttemptId, effects: Vec<Value>, then: Then) {
        if let Err(Job::Prepared(.., then)) = self.push(Job::Prepared(attempt, effects, then)) {
            then(Err(StoreError::Closed.to_string()));
        }
    }

    /// Records looks, or drops them when too many are waiting.
    pub fn looks(&self, looks: Vec<LookRecord>) {
        if let Err(Job::Looks(looks)) = self.push(Job::Looks(looks)) {
            self.alive.shared.queue().health.dropped_looks += looks.len() as u64;
        }
    }

    /// Asks the store something, after everything queued before was written.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Store) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let job = Job::Ask(Box::new(move |store| {
            // Whoever asked may have gone away.
            let _ = answer.send(question(store));
        }));
        self.push(job).map_err(|_| StoreError::Closed)?;
        answered.await.map_err(|_| StoreError::Closed)
    }

    pub fn health(&self) -> Health {
        let queue = self.alive.shared.queue();
        let mut health = queue.health.clone();
        health.queue += queue.jobs.len();
        health
    }

    /// Writes everything queued, folds the logs into their files and waits for the thread to end. Blocks: from async
    /// code call it on a blocking thread. Later writes of other clones are refused.
    pub fn close(self) -> Result<(), StoreError> {
        self.alive.shared.queue().closing = true;
        self.alive.shared.wake.notify_all();
        let thread = self.alive.thread.lock();
        let thread = thread.unwrap_or_else(PoisonError::into_inner).take();
        match thread.map(JoinHandle::join) {
            Some(Ok(closed)) => closed,
            _ => Err(StoreError::Closed),
        }
    }

    fn push(&self, job: Job) -> Result<(), Job> {
        self.alive.shared.push(job)
    }
}

/// Says that the thread is gone, however it went, and answers who is still waiting.
struct Gone(Arc<Shared>);

impl Drop for Gone {
    fn drop(&mut self) {
        let mut queue = self.0.queue();
        queue.closed = true;
        let left = std::mem::take(&mut queue.jobs);
        drop(queue);
        for job in left {
            if let Job::Durable(_, then) | Job::Prepared(_, _, then) = job {
                tell(then, Err(StoreError::Closed.to_string()));
            }
        }
    }
}

/// Calls back; a panic over there must not take the store along.
fn tell(then: Then, result: Result<(), String>) {
    if catch_unwind(AssertUnwindSafe(|| then(result))).is_err() {
        tracing::error!("a callback of the store panicked");
    }
}

/// What the thread holds.
struct Work {
    store: Store,
    shared: Arc<Shared>,
    batch: Batch,
    /// Since the oldest unwritten row, or the last failure.
    waiting: Option<Stopwatch>,
    failing: Option<String>,
    facts_failing: Option<String>,
    dropped_looks: u64,
}

/// Rows not yet written.
#[derive(Default)]
struct Batch {
    /// In their order; no standings.
    rows: VecDeque<Row>,
    standings: HashMap<Name, Row>,
    dropped: u64,
}

impl Work {
    fn new(store: Store, shared: Arc<Shared>) -> Work {
        Work {
            store,
            shared,
            batch: Batch::default(),
            waiting: None,
            failing: None,
            facts_failing: None,
            dropped_looks: 0,
        }
    }

    fn run(mut self) -> Result<(), StoreError> {
        loop {
            let (jobs, last) = self.shared.take(self.patience());
            let idle = jobs.is_empty();
            for job in jobs {
                self.job(job);
            }
            self.settle(last);
            if idle {
                // Nothing came for a while: buffered looks need not wait for more.
                self.record(Store::flush_looks);
            }
            self.report();
            if last && idle {
                break;
            }
        }
        if !self.batch.is_empty() {
            tracing::error!(
                rows = self.batch.len(),
                "rows could not be written and are lost"
            );
        }
        self.store.close()
    }

    fn job(&mut self, job: Job) {
        match job {
            Job::Rows(rows) => {
                self.batch.add(rows);
                self.waiting.get_or_insert_with(Stopwatch::new);
            }
            Job::Looks(looks) => {
                let lost = looks.len() as u64;
                if !self.record(|store| store.looks(&looks)) {
                    self.dropped_looks += lost;
                }
            }
            Job::Durable(rows, then) => {
                let done = self.flush(&rows, Durability::Durable);
                tell(then, done.map_err(|error| error.chain()));
            }
            Job::Prepared(attempt, effects, then) => {
                let done = self
                    .flush(&[], Durability::Lazy)
                    .and_then(|()| self.store.prepared(attempt, &effects));
                self.note(&done);
                tell(then, done.map_err(|error| error.chain()));
            }
            Job::Ask(question) => {
                self.settle(true);
                let store = &mut self.store;
                if catch_unwind(AssertUnwindSafe(|| question(store))).is_err() {
                    tracing::error!("a question to the store panicked");
                }
            }
        }
    }

    /// How long the thread may sleep.
    fn patience(&self) -> Option<Duration> {
        let left = |waiting: &Stopwatch| self.due().saturating_sub(waiting.elapsed());
        let batch = self.waiting.as_ref().map(left);
        let looks = (self.store.buffered_looks() > 0).then_some(LONGEST);
        batch.into_iter().chain(looks).min()
    }

    /// How long standings may wait.
    fn due(&self) -> Duration {
        match &self.failing {
            Some(_) => AGAIN,
            None => {
                Duration::from_millis(self.batch.standings.len() as u64).clamp(SHORTEST, LONGEST)
            }
        }
    }

    /// Writes what is due; with `all`, what is there. What just failed is not tried again at once.
    fn settle(&mut self, all: bool) {
        let Some(waited) = self.waiting.as_ref().map(Stopwatch::elapsed) else {
            return;
        };
        if self.failing.is_some() && waited < AGAIN && !self.shared.queue().closing {
            return;
        }
        // A failure is told by `health`.
        let _ = if all || waited >= self.due() {
            self.flush(&[], Durability::Lazy)
        } else {
            self.flush_urgent()
        };
    }

    /// Writes the whole batch and then `more`, all or none.
    fn flush(&mut self, more: &[Row], durability: Durability) -> Result<(), StoreError> {
        if self.batch.is_empty() && more.is_empty() {
            self.waiting = None;
            return Ok(());
        }
        let rows = self.batch.rows.iter().chain(self.batch.standings.values());
        let done = self.store.write_rows(rows.chain(more), durability);
        self.note(&done);
        match done {
            Ok(()) => {
                self.batch.clear();
                self.waiting = None;
            }
            Err(_) => self.waiting = Some(Stopwatch::new()),
        }
        done
    }

    /// Writes what happened, with the standings of the checks it happened to; the other standings go on waiting.
    fn flush_urgent(&mut self) -> Result<(), StoreError> {
        let urgent = self.batch.urgent();
        if urgent.is_empty() {
            return Ok(());
        }
        let done = self.store.write_rows(urgent.iter(), Durability::Lazy);
        self.note(&done);
        match done {
            Ok(()) if self.batch.is_empty() => self.waiting = None,
            Ok(()) => {}
            Err(_) => {
                self.batch.add_first(urgent);
                self.waiting = Some(Stopwatch::new());
            }
        }
        done
    }

    fn note(&mut self, done: &Result<(), StoreError>) {
        let failing = done.as_ref().err().map(StoreError::chain);
        match (&self.failing, &failing) {
            (None, Some(error)) => tracing::error!(error, "the store cannot be written"),
            (Some(_), None) => tracing::info!("the store can be written again"),
            _ => {}
        }
        self.failing = failing;
    }

    fn record(&mut self, work: impl FnOnce(&mut Store) -> Result<(), StoreError>) -> bool {
        let failing = work(&mut self.store).err().map(|error| error.chain());
        if let (None, Some(error)) = (&self.facts_failing, &failing) {
            tracing::warn!(error, "facts of looks cannot be recorded");
        }
        let recorded = failing.is_none();
        self.facts_failing = failing;
        recorded
    }

    fn report(&mut self) {
        let lost = std::mem::take(&mut self.dropped_looks);
        let mut queue = self.shared.queue();
        queue.health.queue = self.batch.len();
        queue.health.dropped_rows = self.batch.dropped;
        queue.health.dropped_looks += lost;
        queue.health.failing = self.failing.clone().or_else(|| self.facts_failing.clone());
    }
}

impl Batch {
    fn len(&self) -> usize {
        self.rows.len() + self.standings.len()
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn clear(&mut self) {
        self.rows.clear();
        self.standings.clear();
    }

    fn add(&mut self, rows: Vec<Row>) {
        for row in rows {
            match &row {
                Row::Standing { check, .. } => drop(self.standings.insert(check.clone(), row)),
                _ => self.rows.push_back(row),
            }
        }
        if self.rows.len() > ROWS {
            self.shrink();
        }
    }

    /// Puts back what was taken by [`Batch::urgent`].
    fn add_first(&mut self, rows: Vec<Row>) {
        for row in rows.into_iter().rev() {
            match &row {
                Row::Standing { check, .. } => drop(self.standings.insert(check.clone(), row)),
                _ => self.rows.push_front(row),
            }
        }
    }

    /// Takes the rows, and the standings of their checks.
    fn urgent(&mut self) -> Vec<Row> {
        let mut rows: Vec<Row> = self.rows.drain(..).collect();
        let standings: Vec<Row> = rows
            .iter()
            .filter_map(|row| self.standings.remove(check_of(row)?))
            .collect();
        rows.extend(standings);
        rows
    }

    /// Keeps the last row of each attempt, the last pause and the newer half of the history.
    fn shrink(&mut self) {
        let mut attempts = HashSet::new();
        let mut paused = false;
        let mut history = 0;
        let before = self.rows.len();
        let mut kept: VecDeque<Row> = VecDeque::with_capacity(ROWS);
        for row in self.rows.drain(..).rev() {
            let keep = match &row {
                Row::Intent { attempt, .. } | Row::Attempt { attempt, .. } => {
                    attempts.insert(attempt.id)
                }
                Row::Pause(_) => !std::mem::replace(&mut paused, true),
                _ => {
                    history += 1;
                    history <= ROWS / 2
                }
            };
            if keep {
                kept.push_front(row);
            }
        }
        self.dropped += history.saturating_sub(ROWS / 2) as u64;
        self.rows = kept;
        tracing::warn!(
            rows = before - self.rows.len(),
            "too many rows wait for the store; older ones were dropped"
        );
    }
}

fn check_of(row: &Row) -> Option<&Name> {
    match row {
        Row::Standing { check, .. }
        | Row::Budget { check, .. }
        | Row::Change { check, .. }
        | Row::Held { check, .. }
        | Row::Note { check, .. } => Some(check),
        Row::Intent { attempt, .. } | Row::Attempt { attempt, .. } => Some(&attempt.check),
        Row::Pause(_) => None,
    }
}
