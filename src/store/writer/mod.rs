//! A thread that owns the store. Everything goes through it in order.
//!
//! What is durable is written at once, together with everything queued before it. Changes, attempts and notes are
//! written as soon as the thread gets to them, many in one transaction. Standings alone may wait: only the last one of a
//! check counts, and with thousands of looks a second most are overtaken before they need to be written, so the thread
//! waits a millisecond for each, at least `SHORTEST` and at most `LONGEST` (see `work`). What a crash loses are the newest
//! standings of checks that nothing happened to.
//!
//! When the disk is full, rows stay in memory (the last of a key; of history at most `ROWS`, see `batch`) and are written with the
//! next that can be; a durable write is told at once that it failed, so nothing is done that could not be remembered.
//! Looks are dropped first, and counted.

mod batch;
mod work;

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use serde_json::Value;
use tokio::sync::oneshot;

use crate::model::attempt::{AttemptId, Row};

use self::work::Work;
use super::{LookRecord, Store, StoreError};

/// Looks waiting in the queue; more are dropped.
const LOOKS: usize = 50_000;

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

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::{
        batch::{Batch, ROWS},
        *,
    };
    use crate::{
        clock::Stopwatch,
        model::{Name, moment::Moment, status::Status},
        store::{
            HistoryEntry, HistoryQuery,
            sample::{NOON, attempt, budget, change, look, minutes, standing},
        },
    };

    fn writer() -> (tempfile::TempDir, Writer) {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(dir.path(), NOON).unwrap();
        (dir, Writer::spawn(store))
    }

    fn ask<T: Send + 'static>(
        writer: &Writer,
        question: impl FnOnce(&mut Store) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(writer.ask(question))
    }

    fn durable(writer: &Writer, rows: Vec<Row>) -> Result<(), String> {
        let (tell, told) = mpsc::channel();
        writer.durable(rows, Box::new(move |done| tell.send(done).unwrap()));
        told.recv_timeout(Duration::from_secs(20)).unwrap()
    }

    fn standing_at(check: &str, minute: u64) -> Row {
        Row::Standing {
            check: check.into(),
            standing: standing(Status::Ok, NOON.plus(minutes(minute))),
        }
    }

    fn change_at(minute: u64) -> Row {
        change(
            "a",
            NOON.plus(minutes(minute)),
            Status::Ok,
            Status::Critical,
        )
    }

    fn intent(id: u64) -> Row {
        Row::Intent {
            attempt: attempt(id, "a", NOON),
            budget: budget(&[Moment(id as i64)]),
        }
    }

    fn minutes_of(store: &Store) -> Vec<u64> {
        let query = HistoryQuery {
            limit: 10_000,
            ..HistoryQuery::default()
        };
        let entries = store.history(&query).unwrap().into_iter().rev();
        entries
            .filter(|entry| matches!(entry, HistoryEntry::Change { .. }))
            .map(|entry| entry.at().since(NOON).as_secs() / 60)
            .collect()
    }

    #[test]
    fn questions_see_everything_that_was_written_before() {
        let (_dir, writer) = writer();
        for minute in 0..500 {
            writer.write(vec![standing_at("a", minute), change_at(minute)]);
            if minute % 50 == 0 {
                let (seen, saved) =
                    ask(&writer, |store| (minutes_of(store), store.load().unwrap())).unwrap();
                assert_eq!(seen, (0..=minute).collect::<Vec<_>>());
                assert_eq!(saved.standings[0].1.since, NOON.plus(minutes(minute)));
            }
        }
    }

    #[test]
    fn a_durable_write_comes_after_what_was_queued_before_it() {
        let (dir, writer) = writer();
        for id in 1..50 {
            let lazy = Row::Attempt {
                attempt: attempt(id, "a", NOON),
                budget: budget(&[]),
            };
            writer.write(vec![standing_at("a", id), lazy]);
            durable(&writer, vec![intent(id)]).unwrap();
            // What another process would find now.
            let seen = crate::store::snapshot(dir.path()).unwrap().unwrap();
            let saved = seen.load().unwrap();
            assert_eq!(saved.next_attempt, id + 1);
            assert_eq!(saved.budgets[0].1, budget(&[Moment(id as i64)]));
            assert_eq!(saved.standings[0].1.since, NOON.plus(minutes(id)));
        }
        let (tell, told) = mpsc::channel();
        let effects = vec![serde_json::json!({"before": "image"})];
        writer.prepared(
            49,
            effects.clone(),
            Box::new(move |done| tell.send(done).unwrap()),
        );
        told.recv_timeout(Duration::from_secs(20)).unwrap().unwrap();
        let seen = crate::store::snapshot(dir.path()).unwrap().unwrap();
        assert_eq!(seen.prepared_of(49).unwrap(), effects);
    }

    #[test]
    fn everything_is_written_before_it_closes_and_nothing_after() {
        let (dir, writer) = writer();
        let other = writer.clone();
        for minute in 0..200 {
            writer.write(vec![
                standing_at(&format!("check_{minute}"), minute),
                change_at(minute),
            ]);
            writer.looks(vec![look(
                "a",
                NOON.plus(minutes(minute)),
                Default::default(),
            )]);
        }
        writer.close().unwrap();
        let mut left: Vec<_> = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["facts.db", "history.db"]);
        assert!(
            durable(&other, vec![intent(1)])
                .unwrap_err()
                .contains("closed")
        );
        assert!(ask(&other, |_| ()).is_err());
        other.write(vec![change_at(900)]);
        other.looks(vec![look("a", NOON, Default::default())]);
        assert_eq!(other.health().dropped_looks, 1);
        let (store, _) = Store::open(dir.path(), NOON).unwrap();
        assert_eq!(store.load().unwrap().standings.len(), 200);
        assert_eq!(minutes_of(&store).len(), 200);
        let looks = store
            .replay_looks(Moment(0), NOON.plus(minutes(900)))
            .unwrap();
        assert_eq!(looks.count(), 200);
    }

    #[test]
    fn dropping_the_last_clone_writes_what_is_queued() {
        let (dir, writer) = writer();
        writer.write((0..100).map(change_at).collect());
        let shared = writer.alive.shared.clone();
        drop(writer);
        // The thread says when it is gone.
        let stopwatch = Stopwatch::new();
        while !shared.queue().closed {
            assert!(stopwatch.elapsed() < Duration::from_secs(20));
            std::thread::yield_now();
        }
        let (store, _) = Store::open(dir.path(), NOON).unwrap();
        assert_eq!(minutes_of(&store).len(), 100);
    }

    fn limit(store: &mut Store, pages: Option<i64>) {
        let count = |store: &Store| -> i64 {
            store
                .conn
                .pragma_query_value(None, "page_count", |row| row.get(0))
                .unwrap()
        };
        let pages = pages.unwrap_or_else(|| count(store));
        let done = store
            .conn
            .pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()));
        done.unwrap();
    }

    #[test]
    fn a_full_disk_is_told_at_once_and_rows_wait_for_it_to_end() {
        let (_dir, writer) = writer();
        durable(&writer, vec![intent(1)]).unwrap();
        ask(&writer, |store| limit(store, None)).unwrap();
        for minute in 0..2000 {
            writer.write(vec![standing_at("a", minute), change_at(minute)]);
        }
        let error = durable(&writer, vec![intent(2)]).unwrap_err();
        assert!(error.contains("full"), "{error}");
        // Said after the callback; the next question comes after that.
        ask(&writer, |_| ()).unwrap();
        let health = writer.health();
        assert!(health.failing.unwrap().contains("full"));
        assert_eq!(health.dropped_rows, 0);
        // The disk has room again: the next durable write takes along what waited.
        ask(&writer, |store| limit(store, Some(1 << 20))).unwrap();
        durable(&writer, vec![intent(3)]).unwrap();
        let (seen, saved) =
            ask(&writer, |store| (minutes_of(store), store.load().unwrap())).unwrap();
        assert_eq!(seen, (0..2000).collect::<Vec<_>>());
        assert_eq!(saved.standings[0].1.since, NOON.plus(minutes(1999)));
        let ids: Vec<_> = saved.attempts.iter().map(|attempt| attempt.id).collect();
        assert_eq!(ids, [1, 3], "what failed was not done later");
        ask(&writer, |_| ()).unwrap();
        assert_eq!(writer.health(), Health::default());
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut batch = Batch::default();
        let later = |id: u64, minute: u64| Row::Attempt {
            attempt: attempt(id, "a", NOON.plus(minutes(minute))),
            budget: budget(&[Moment(minute as i64)]),
        };
        let rested = |minute: i64| Row::Budget {
            check: "b".into(),
            budget: budget(&[Moment(minute)]),
        };
        batch.add(vec![later(1, 0), rested(0), Row::Pause(None)]);
        batch.add(vec![later(1, 1), rested(1), later(2, 2)]);
        batch.add((0..ROWS as u64).map(change_at).collect());
        assert!(batch.rows.len() <= ROWS / 2 + 4);
        assert_eq!(batch.dropped, ROWS as u64 / 2);
        let kept: Vec<_> = batch.rows.iter().take(4).cloned().collect();
        assert_eq!(
            kept,
            [Row::Pause(None), later(1, 1), rested(1), later(2, 2)]
        );
        assert_eq!(batch.rows.back(), Some(&change_at(ROWS as u64 - 1)));
        for minute in 0..100 {
            batch.add(vec![standing_at("a", minute), standing_at("b", minute)]);
        }
        assert_eq!(batch.standings.len(), 2);
        // What happened goes with the standings of its checks.
        batch.add(vec![standing_at("quiet", 0)]);
        let urgent = batch.urgent();
        let mut with = urgent[urgent.len() - 2..].to_vec();
        with.sort_by_key(|row| format!("{row:?}"));
        assert_eq!(with, [standing_at("a", 99), standing_at("b", 99)]);
        assert_eq!(batch.standings.len(), 1);
        batch.add(vec![standing_at("a", 100)]);
        batch.add_first(urgent);
        assert_eq!(
            batch.standings[&Name::from("a")],
            standing_at("a", 100),
            "the newer counts"
        );
        assert_eq!(batch.rows.front(), Some(&Row::Pause(None)));
    }

    #[test]
    fn too_many_looks_are_dropped_and_counted() {
        let (_dir, writer) = writer();
        // The thread is kept busy, so that they pile up.
        let (go, wait) = mpsc::channel::<()>();
        let (begun, busy) = mpsc::channel();
        let waiting = writer.clone();
        let asking = std::thread::spawn(move || {
            ask(&waiting, move |_| {
                begun.send(()).unwrap();
                wait.recv().unwrap();
            })
        });
        busy.recv().unwrap();
        for second in 0..(LOOKS as i64 + 10) {
            writer.looks(vec![look("a", Moment(NOON.0 + second), Default::default())]);
        }
        assert_eq!(writer.health().dropped_looks, 10);
        go.send(()).unwrap();
        asking.join().unwrap().unwrap();
        let seen = ask(&writer, |store| {
            store
                .replay_looks(Moment(0), Moment(i64::MAX))
                .unwrap()
                .count()
        });
        assert_eq!(seen.unwrap(), LOOKS);
    }

    #[test]
    fn a_panic_of_somebody_else_is_not_the_end() {
        let (_dir, writer) = writer();
        let asked = ask(&writer, |_| -> () { panic!("asked badly") });
        assert!(asked.is_err());
        writer.durable(vec![intent(1)], Box::new(|_| panic!("told badly")));
        durable(&writer, vec![intent(2)]).unwrap();
        writer.close().unwrap();
    }
}
