//! Blocking threads for the looks that only read files.
//!
//! A wake-up costs more than such a look, so due looks gather and run as a batch. Each thread takes one look at a time
//! from the common queue and says since when it has been at it: what a stuck thread had not reached is taken by others,
//! and when all are stuck, by new ones. What was answered lies in the common place too, so that no thread that gets stuck
//! takes the answers of others along.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
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
/// Threads at the most, stuck ones included. A check has at most one look here, so it takes as many stuck checks (a dead
/// mount) to keep the others waiting.
const MOST: usize = 256;
/// A thread that has been at one look for longer is stuck, until it comes back.
const STUCK: Duration = Duration::from_millis(100);
/// Answers are handed over in lots of this size, or when there is nothing left to do.
const LOT: usize = 128;
/// From so many looks on more than one thread is woken.
const MANY: usize = 8;

/// A look to be taken.
pub(super) struct Item {
    pub ticket: Ticket,
    pub check: Arc<Check>,
    pub eyes: Arc<Eyes>,
    pub purpose: Purpose,
}

pub(super) type Answers = Vec<(Ticket, Arc<Verdict>)>;

/// The threads and their queue. Dropping it lets them end.
pub(super) struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    work: Condvar,
    sink: Box<dyn Fn(Answers) + Send + Sync>,
    watch: Stopwatch,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Arc<Item>>,
    /// By thread number.
    threads: Vec<Thread>,
    /// What was answered and is not handed over yet.
    answers: Answers,
    /// Threads that wait to be woken.
    idle: usize,
    closed: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Thread {
    /// Nobody has this number.
    Gone,
    /// Between two looks.
    Free,
    /// At one look since then.
    Busy(Duration),
}

impl State {
    fn stuck(&self, now: Duration) -> usize {
        let stuck = |thread: &&Thread| matches!(thread, Thread::Busy(since) if now.saturating_sub(*since) > STUCK);
        self.threads.iter().filter(stuck).count()
    }

    fn there(&self) -> usize {
        let there = |thread: &&Thread| **thread != Thread::Gone;
        self.threads.iter().filter(there).count()
    }

    /// How many threads to start, so that what waits is not left to those that are stuck. As many as are stuck: behind
    /// those there may wait as many looks again that will be.
    fn wanted(&self, now: Duration) -> usize {
        if self.queue.is_empty() || self.idle > 0 {
            return 0;
        }
        let (stuck, there) = (self.stuck(now), self.there());
        let well = there - stuck;
        let wanted = match there {
            0 => 1,
            _ => USUAL.max(stuck),
        };
        let room = MOST.saturating_sub(there);
        wanted.saturating_sub(well).min(self.queue.len()).min(room)
    }

    /// The number of a new thread.
    fn seat(&mut self) -> usize {
        let free = self.threads.iter().position(|it| *it == Thread::Gone);
        let number = free.unwrap_or(self.threads.len());
        match self.threads.get_mut(number) {
            Some(thread) => *thread = Thread::Free,
            None => self.threads.push(Thread::Free),
        }
        number
    }

    fn note(&mut self, number: usize, thread: Thread) {
        if let Some(noted) = self.threads.get_mut(number) {
            *noted = thread;
        }
    }
}

impl Pool {
    pub(super) fn new(sink: impl Fn(Answers) + Send + Sync + 'static) -> Pool {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            work: Condvar::new(),
            sink: Box::new(sink),
            watch: Stopwatch::new(),
        });
        Pool { shared }
    }

    /// Queues a batch. Threads are started when they are first needed.
    pub(super) fn submit(&self, items: Vec<Arc<Item>>) {
        if items.is_empty() {
            return;
        }
        let many = items.len() > MANY;
        let mut state = self.shared.lock();
        state.queue.extend(items);
        if many {
            self.shared.work.notify_all();
        } else {
            self.shared.work.notify_one();
        }
        self.man(state);
    }

    /// Called now and then: sees to what stuck threads hold up.
    pub(super) fn tend(&self) {
        let mut state = self.shared.lock();
        let answers = std::mem::take(&mut state.answers);
        if !state.queue.is_empty() {
            // The one that was woken for it may have been stuck on the first look.
            self.shared.work.notify_one();
        }
        self.man(state);
        if !answers.is_empty() {
            (self.shared.sink)(answers);
        }
    }

    /// Starts the threads that are wanted.
    fn man(&self, mut state: MutexGuard<'_, State>) {
        let wanted = state.wanted(self.shared.watch.elapsed());
        let seats: Vec<usize> = (0..wanted).map(|_| state.seat()).collect();
        drop(state);
        for number in seats {
            let shared = self.shared.clone();
            let thread = std::thread::Builder::new().name(format!("looks-{number}"));
            if let Err(error) = thread.spawn(move || shared.work(number)) {
                self.shared.lock().note(number, Thread::Gone);
                tracing::warn!(%error, "could not start a thread for looks");
            }
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
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, number: usize) {
        let mut answer = None;
        while let Some(item) = self.next(number, answer.take()) {
            answer = Some((item.ticket, Arc::new(take(&item))));
        }
    }

    /// Takes the answer to the last look and gives the next one to this thread; `None` when it is to end.
    fn next(&self, number: usize, answer: Option<(Ticket, Arc<Verdict>)>) -> Option<Arc<Item>> {
        let mut state = self.lock();
        state.note(number, Thread::Free);
        state.answers.extend(answer);
        loop {
            let done = state.queue.is_empty() && !state.answers.is_empty();
            if done || state.answers.len() >= LOT {
                let answers = std::mem::take(&mut state.answers);
                drop(state);
                (self.sink)(answers);
                state = self.lock();
                continue;
            }
            let now = self.watch.elapsed();
            if state.closed {
                state.queue.clear();
            }
            if let Some(item) = state.queue.pop_front() {
                state.note(number, Thread::Busy(now));
                return Some(item);
            }
            let surplus = state.there() - state.stuck(now) > USUAL;
            if state.closed || surplus {
                state.note(number, Thread::Gone);
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

/// A look that panics is answered too: without an answer its check would never be looked at again.
fn take(item: &Item) -> Verdict {
    let look = || look::take_quick(&item.check, &item.eyes, &item.purpose);
    catch_unwind(AssertUnwindSafe(look)).unwrap_or_else(|_| {
        tracing::error!(check = %item.check.name, "a look panicked");
        Verdict::unknown("the look ended early")
    })
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeMap,
        sync::{
            atomic::{AtomicU64, Ordering},
            mpsc::{Receiver, RecvTimeoutError, channel},
        },
    };

    use super::*;
    use crate::{
        engine::testing::{self, Fake, Gate},
        model::status::Status,
        probe::{NoBoard, Tails},
        script::{Engine, Ground},
    };

    const SOON: Duration = Duration::from_secs(20);

    struct Bench {
        pool: Pool,
        answers: Receiver<Answers>,
        root: tempfile::TempDir,
        next: AtomicU64,
    }

    impl Bench {
        fn new() -> Bench {
            let (sink, answers) = channel();
            Bench {
                pool: Pool::new(move |lot| {
                    let _ = sink.send(lot); // a thread that comes back late
                }),
                answers,
                root: tempfile::tempdir().expect("a temporary directory"),
                next: AtomicU64::new(1),
            }
        }

        fn ticket(&self) -> Ticket {
            self.next.fetch_add(1, Ordering::Relaxed)
        }

        fn item(&self, fake: Fake) -> Arc<Item> {
            let rules = "checks: [{ name: it, about: It is there., trigger: { every: 1s }, probe: { file: { file: data/it } }, threshold: { critical: missing } }]";
            let (engine, permission) = (Engine::new(), testing::permission(self.root.path()));
            let mut book = testing::book(rules, &permission, &engine, vec![("it", fake)]);
            Arc::new(Item {
                ticket: self.ticket(),
                check: book.checks.remove("it").expect("the check"),
                eyes: Arc::new(Eyes {
                    engine,
                    permission: Arc::new(permission),
                    ground: Ground::default(),
                    tails: Arc::new(Tails::default()),
                    board: Arc::new(NoBoard),
                    limit: Duration::from_secs(10),
                }),
                purpose: Purpose::default(),
            })
        }

        /// The same look many times; judging is not what is tested here.
        fn quick(&self, many: usize) -> Vec<Arc<Item>> {
            let one = self.item(Fake::Waits(Gate::open()));
            (0..many)
                .map(|_| {
                    Arc::new(Item {
                        ticket: self.ticket(),
                        check: one.check.clone(),
                        eyes: one.eyes.clone(),
                        purpose: Purpose::default(),
                    })
                })
                .collect()
        }

        fn hanging(&self) -> (Arc<Item>, Arc<Gate>) {
            let gate = Gate::shut();
            (self.item(Fake::Waits(gate.clone())), gate)
        }

        fn all_hanging(&self, many: usize) -> (Vec<Arc<Item>>, Vec<Arc<Gate>>) {
            (0..many).map(|_| self.hanging()).unzip()
        }

        /// Tends and collects until so many have answered. Says for how long that took.
        fn collect(&self, many: usize) -> (BTreeMap<Ticket, Status>, Duration) {
            let watch = Stopwatch::new();
            let mut all = BTreeMap::new();
            while all.len() < many {
                match self.answers.recv_timeout(Duration::from_millis(10)) {
                    Ok(lot) => all.extend(lot.into_iter().map(|(ticket, it)| (ticket, it.status))),
                    Err(RecvTimeoutError::Timeout) => self.pool.tend(),
                    Err(RecvTimeoutError::Disconnected) => panic!("the pool is gone"),
                }
                assert!(
                    watch.elapsed() < SOON,
                    "{} of {many} have answered",
                    all.len()
                );
            }
            (all, watch.elapsed())
        }

        fn becomes(&self, what: &str, state: impl Fn(&State) -> bool) {
            let watch = Stopwatch::new();
            while !state(&self.pool.shared.lock()) {
                assert!(watch.elapsed() < SOON, "waited in vain: {what}");
                std::thread::yield_now();
            }
        }
    }

    #[test]
    fn a_batch_is_handed_over_in_lots_and_all_of_it() {
        let bench = Bench::new();
        bench.pool.submit(bench.quick(3 * LOT + 7));
        let mut lots = Vec::new();
        while lots.iter().sum::<usize>() < 3 * LOT + 7 {
            let lot = bench.answers.recv_timeout(SOON).expect("without tending");
            assert!(lot.iter().all(|(_, it)| it.status == Status::Ok));
            lots.push(lot.len());
        }
        assert!(
            lots.len() <= 5,
            "{lots:?}: a wake-up costs more than a look"
        );
        // One look alone is handed over at once as well.
        bench.pool.submit(bench.quick(1));
        assert_eq!(bench.answers.recv_timeout(SOON).map(|lot| lot.len()), Ok(1));
    }

    #[test]
    fn what_a_stuck_thread_did_and_what_it_had_not_reached_is_not_held_up() {
        let bench = Bench::new();
        let (stuck, gate) = bench.hanging();
        let ticket = stuck.ticket;
        let mut items = bench.quick(50);
        items.insert(25, stuck);
        bench.pool.submit(items);
        let (answered, took) = bench.collect(50);
        assert!(!answered.contains_key(&ticket));
        assert!(took < Duration::from_secs(2), "{took:?}");
        gate.set(false);
        let (late, _) = bench.collect(1);
        assert!(late.contains_key(&ticket));
    }

    #[test]
    fn a_thread_that_nobody_woke_is_woken_for_what_a_stuck_one_left() {
        let bench = Bench::new();
        let (first, gate) = bench.hanging();
        bench.pool.submit(vec![first]);
        bench.becomes("one is at it", |state| state.there() == 1);
        bench.pool.submit(bench.quick(1));
        bench.collect(1);
        gate.set(false);
        bench.collect(1);
        bench.becomes("two wait", |state| state.idle == USUAL);
        let (stuck, _gate) = bench.hanging();
        let mut few = vec![stuck];
        few.extend(bench.quick(3));
        bench.pool.submit(few);
        bench.collect(3);
    }

    #[test]
    fn the_usual_threads_being_stuck_delays_nobody_for_long() {
        let bench = Bench::new();
        let (stuck, gates) = bench.all_hanging(40);
        bench.pool.submit(stuck);
        bench.pool.submit(bench.quick(1));
        let (_, first) = bench.collect(1);
        assert!(first < Duration::from_secs(3), "{first:?}");
        // From now on somebody is there.
        let mut worst = Duration::ZERO;
        for _ in 0..10 {
            bench.pool.submit(bench.quick(1));
            worst = worst.max(bench.collect(1).1);
        }
        assert!(worst < Duration::from_millis(500), "{worst:?}");
        assert!(bench.pool.shared.lock().there() <= MOST);
        gates.iter().for_each(|gate| gate.set(false));
        bench.collect(40);
        bench.becomes("the surplus has ended", |state| state.there() == USUAL);
    }

    #[test]
    fn threads_end_when_the_pool_is_dropped_and_numbers_are_used_again() {
        let bench = Bench::new();
        for _ in 0..20 {
            let (stuck, gates) = bench.all_hanging(6);
            bench.pool.submit(stuck);
            bench.pool.submit(bench.quick(1));
            bench.collect(1);
            gates.iter().for_each(|gate| gate.set(false));
            bench.collect(6);
            bench.becomes("the surplus has ended", |state| state.there() <= USUAL);
        }
        let shared = bench.pool.shared.clone();
        assert!(shared.lock().threads.len() < 40, "numbers only grow");
        drop(bench.pool);
        let watch = Stopwatch::new();
        while shared.lock().there() > 0 {
            assert!(watch.elapsed() < SOON, "threads are left");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_look_that_panics_is_unknown_and_costs_no_thread() {
        let bench = Bench::new();
        let mut items = vec![bench.item(Fake::Panics)];
        items.extend(bench.quick(1));
        bench.pool.submit(items);
        let (answered, _) = bench.collect(2);
        let statuses: Vec<Status> = answered.into_values().collect();
        assert_eq!(statuses, [Status::Unknown, Status::Ok]);
    }
}
