//! What the store's thread does.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use crate::{clock::Stopwatch, model::attempt::Row};

use super::{
    super::{Durability, LookRecord, Store, StoreError, looks::BLOCK_SPAN},
    Job, Shared,
    batch::Batch,
    tell,
};

/// What the thread holds.
pub struct Work {
    store: Store,
    shared: Arc<Shared>,
    batch: Batch,
    /// Since the oldest unwritten row, or the last failure.
    waiting: Option<Stopwatch>,
    /// Since the oldest buffered look.
    recording: Option<Stopwatch>,
    failing: Option<String>,
    facts_failing: Option<String>,
    dropped_looks: u64,
}

impl Work {
    pub fn new(store: Store, shared: Arc<Shared>) -> Work {
        Work {
            store,
            shared,
            batch: Batch::default(),
            waiting: None,
            recording: None,
            failing: None,
            facts_failing: None,
            dropped_looks: 0,
        }
    }

    pub fn run(mut self) -> Result<(), StoreError> {
        loop {
            let (jobs, last) = self.shared.take(self.patience());
            let idle = jobs.is_empty();
            for job in jobs {
                self.job(job);
            }
            self.settle(last);
            let recorded = self.recording.as_ref().map(Stopwatch::elapsed);
            if recorded.is_some_and(|age| last || age >= BLOCK_SPAN) {
                self.record(&[]);
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
            Job::Looks(looks) => self.record(&looks),
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
        let left = |recording: &Stopwatch| BLOCK_SPAN.saturating_sub(recording.elapsed());
        let looks = self.recording.as_ref().map(left);
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
        let rows = self.batch.rows.iter().chain(self.batch.standings());
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

    /// Buffers looks; without any, writes those that are buffered.
    fn record(&mut self, looks: &[LookRecord]) {
        let before = self.store.buffered_looks();
        let done = match looks {
            [] => self.store.flush_looks(),
            _ => self.store.looks(looks),
        };
        let buffered = self.store.buffered_looks();
        let all = before + looks.len();
        if buffered == 0 {
            self.recording = None;
        } else if buffered < all || self.recording.is_none() {
            // A block was written, or none was begun: the oldest is new.
            self.recording = Some(Stopwatch::new());
        }
        let failing = done.err().map(|error| error.chain());
        if failing.is_some() {
            // Those of the block that could not be written.
            self.dropped_looks += all.saturating_sub(buffered) as u64;
        }
        if let (None, Some(error)) = (&self.facts_failing, &failing) {
            tracing::warn!(error, "facts of looks cannot be recorded");
        }
        self.facts_failing = failing;
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

const SHORTEST: Duration = Duration::from_millis(50);

const LONGEST: Duration = Duration::from_secs(10);

/// What failed is tried again after this, or with the next durable write.
const AGAIN: Duration = Duration::from_secs(1);
