//! Blocking threads for the looks that only read files.
//!
//! A wake-up costs more than such a look, so due looks gather and run as a batch. Each thread takes one look at a time
//! from the common queue and says since when it has been at it: what a stuck thread had not reached is taken by others,
//! and when all are stuck, by a new one.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::{
    clock::Stopwatch,
    engine::look::{self, Purpose},
    model::{report::Ticket, verdict::Verdict},
    probe::Eyes,
    rules::book::Check,
};

/// Threads that are there while nothing is stuck.
const USUAL: usize = 2;
/// Threads at the most, stuck ones included.
const MOST: usize = 32;
/// A thread that has been at one look for longer is stuck.
const STUCK: Duration = Duration::from_millis(500);
/// Answers are handed over in lots of this size, or when there is nothing left to do.
const LOT: usize = 128;

/// A look to be taken on a blocking thread.
pub(super) struct Item {
    pub ticket: Ticket,
    pub check: Arc<Check>,
    pub eyes: Arc<Eyes>,
    pub purpose: Purpose,
}

pub(super) type Answers = Vec<(Ticket, Arc<Verdict>)>;
type Sink = Arc<dyn Fn(Answers) + Send + Sync>;

/// The threads and their queue. Dropping it lets them end.
pub(super) struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    work: Condvar,
    sink: Sink,
    threads: AtomicUsize,
    watch: Stopwatch,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Item>,
    /// Since when each busy thread has been at its look, by thread number.
    busy: Vec<Option<Duration>>,
    idle: usize,
    closed: bool,
}

impl Pool {
    pub(super) fn new(sink: impl Fn(Answers) + Send + Sync + 'static) -> Pool {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            work: Condvar::new(),
            sink: Arc::new(sink),
            threads: AtomicUsize::new(0),
            watch: Stopwatch::new(),
        });
        Pool { shared }
    }

    /// Queues a batch. Threads are started when they are first needed.
    pub(super) fn submit(&self, items: Vec<Item>) {
        if items.is_empty() {
            return;
        }
        let many = items.len() > 8;
        let mut state = self.shared.lock();
        state.queue.extend(items);
        let idle = state.idle;
        drop(state);
        if many {
            self.shared.work.notify_all();
        } else {
            self.shared.work.notify_one();
        }
        let threads = self.shared.threads.load(Ordering::Relaxed);
        if threads == 0 || (many && idle == 0 && threads < USUAL) {
            self.spawn();
        }
    }

    /// Called now and then: when looks wait and every thread is stuck, another thread takes over.
    pub(super) fn tend(&self) {
        let state = self.shared.lock();
        let now = self.shared.watch.elapsed();
        let waiting = !state.queue.is_empty();
        let stuck = |since: &Option<Duration>| since.is_some_and(|since| now - since > STUCK);
        let all_stuck = state.busy.iter().all(stuck);
        drop(state);
        if waiting && all_stuck && self.shared.threads.load(Ordering::Relaxed) < MOST {
            self.spawn();
        }
    }

    fn spawn(&self) {
        let shared = self.shared.clone();
        let number = {
            let mut state = shared.lock();
            state.busy.push(None);
            state.busy.len() - 1
        };
        shared.threads.fetch_add(1, Ordering::Relaxed);
        let thread = std::thread::Builder::new().name(format!("looks-{number}"));
        let started = thread.spawn({
            let shared = shared.clone();
            move || shared.work(number)
        });
        if let Err(error) = started {
            shared.threads.fetch_sub(1, Ordering::Relaxed);
            tracing::warn!(%error, "could not start a thread for looks");
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.work.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, number: usize) {
        let mut answers = Answers::new();
        while let Some(item) = self.next(number, &mut answers) {
            let verdict = look::take_quick(&item.check, &item.eyes, &item.purpose);
            answers.push((item.ticket, Arc::new(verdict)));
            if answers.len() >= LOT {
                (self.sink)(std::mem::take(&mut answers));
            }
        }
        self.threads.fetch_sub(1, Ordering::Relaxed);
    }

    /// The next look for this thread; `None` when it is to end. Hands over what was answered before it waits.
    fn next(&self, number: usize, answers: &mut Answers) -> Option<Item> {
        let mut state = self.lock();
        loop {
            if let Some(item) = state.queue.pop_front() {
                if let Some(busy) = state.busy.get_mut(number) {
                    *busy = Some(self.watch.elapsed());
                }
                return Some(item);
            }
            if let Some(busy) = state.busy.get_mut(number) {
                *busy = None;
            }
            if !answers.is_empty() {
                drop(state);
                (self.sink)(std::mem::take(answers));
                state = self.lock();
                continue;
            }
            let surplus = self.threads.load(Ordering::Relaxed) > USUAL;
            if state.closed || surplus {
                // An ended thread must not look idle, or nobody would take over from the stuck ones.
                if let Some(busy) = state.busy.get_mut(number) {
                    *busy = Some(Duration::ZERO);
                }
                return None;
            }
            state.idle += 1;
            state = self
                .work
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }
}
