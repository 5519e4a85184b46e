//! The loop with probes that hang: what is given up, what waits, and that everybody is answered.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::future::BoxFuture;

use tokio::sync::{broadcast, mpsc, oneshot};

use super::{
    answer::Answer,
    board::Standings,
    counts::Counts,
    driver::{Driver, Message, Parts},
    handle::{News, Request, StandingAnswer, StatusAnswer},
    records::Nowhere,
    testing::{self, Fake, Gate},
};
use crate::{
    clock::{self, Clock, SetClock, Stopwatch, SystemClock},
    core::Core,
    hands::{self, Effect, Hands, HandsError},
    model::{
        attempt::{End, Saved},
        moment::Moment,
        status::Status,
        step::Receipt,
        verdict::Verdict,
    },
    permission::Permission,
    probe::Tails,
    rules::book::Book,
    script::{Engine, Env},
};

const SOON: Duration = Duration::from_secs(20);
/// How long a loop that is stopped waits for its rungs here.
const FAREWELL: Duration = Duration::from_secs(1);

/// A running loop over fake probes.
struct Loop {
    sender: mpsc::UnboundedSender<Message>,
    news: broadcast::Receiver<Arc<News>>,
    permission: Arc<Permission>,
    script: Engine,
    _root: tempfile::TempDir,
}

fn rules(checks: &[&str]) -> String {
    let mut text = "checks:\n".to_owned();
    for check in checks {
        let (name, more) = check.split_once(' ').unwrap_or((check, ""));
        text.push_str(&format!(
            "  - {{ name: {name}, about: It is there., probe: {{ file: {{ file: data/it }} }}, threshold: {{ critical: missing }}, {more} }}\n"
        ));
    }
    text
}

impl Loop {
    fn start(rules: &str, fakes: Vec<(&str, Fake)>, clock: Arc<dyn Clock>) -> Loop {
        Loop::with_hands(rules, fakes, clock, Arc::new(hands::Dry))
    }

    fn with_hands(
        rules: &str,
        fakes: Vec<(&str, Fake)>,
        clock: Arc<dyn Clock>,
        hands: Arc<dyn Hands>,
    ) -> Loop {
        let root = tempfile::tempdir().expect("a temporary directory");
        let (script, permission) = (Engine::new(), Arc::new(testing::permission(root.path())));
        let book = Arc::new(testing::book(rules, &permission, &script, fakes));
        let (news, heard) = broadcast::channel(1024);
        let channel = mpsc::unbounded_channel();
        let sender = channel.0.clone();
        let mut first = Vec::new();
        let core = Core::start(
            book.outline.clone(),
            Saved::default(),
            clock.now(),
            &mut first,
        );
        let parts = Parts {
            book,
            script: script.clone(),
            permission: permission.clone(),
            rules: root.path().join("rules"),
            env: Arc::new(Env::default()),
            clock,
            hands,
            records: Arc::new(Nowhere),
            tails: Arc::new(Tails::default()),
            board: Arc::new(Standings::default()),
            ledger: Counts::default(),
            progress: Arc::default(),
            set: Arc::default(),
            pulse: Arc::default(),
            repairs: Vec::new(),
        };
        let mut driver = Driver::new(parts, core, news, channel);
        driver.farewell = FAREWELL;
        tokio::spawn(driver.run(first, Vec::new()));
        Loop {
            sender,
            news: heard,
            permission,
            script,
            _root: root,
        }
    }

    fn book(&self, rules: &str, fakes: Vec<(&str, Fake)>) -> Arc<Book> {
        Arc::new(testing::book(rules, &self.permission, &self.script, fakes))
    }

    fn reload(&self, book: Arc<Book>) {
        let message = Message::Book {
            book,
            permission: self.permission.clone(),
            hands: Arc::new(hands::Dry),
            changes: String::new(),
            warnings: Vec::new(),
            told: Vec::new(),
        };
        assert!(self.sender.send(message).is_ok());
    }

    async fn ask<T>(&self, make: impl FnOnce(oneshot::Sender<T>) -> Request) -> T {
        let (reply, answer) = oneshot::channel();
        assert!(self.sender.send(Message::Request(make(reply))).is_ok());
        within(SOON, answer).await.expect("answered")
    }

    async fn check(&self, names: &[&str]) -> Answer {
        let names = names.iter().map(|name| (*name).into()).collect();
        self.ask(|reply| Request::Check {
            names,
            fix: true,
            wait: Duration::from_secs(5),
            reply,
        })
        .await
    }

    async fn status(&self) -> StatusAnswer {
        self.ask(Request::Status).await
    }

    async fn standing(&self, name: &str) -> StandingAnswer {
        let status = self.status().await;
        let found = status.checks.into_iter().find(|it| it.name == name);
        found.expect("the check")
    }

    async fn until(&self, what: &str, name: &str, state: impl Fn(&StandingAnswer) -> bool) {
        let watch = Stopwatch::new();
        loop {
            let standing = self.standing(name).await;
            if state(&standing) {
                return;
            }
            assert!(
                watch.elapsed() < SOON,
                "waited in vain for {what}: {standing:?}"
            );
            clock::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Every change of status there was so far.
    fn changes(&mut self, name: &str) -> Vec<Status> {
        let mut all = Vec::new();
        while let Ok(news) = self.news.try_recv() {
            match &*news {
                News::Changed { check, to, .. } if &**check == name => all.push(*to),
                _ => {}
            }
        }
        all
    }
}

async fn within<T>(bound: Duration, what: impl Future<Output = T>) -> T {
    tokio::select! {
        done = what => done,
        () = clock::sleep(bound) => panic!("not within {bound:?}"),
    }
}

fn real() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_file_look_is_judged_as_failed_in_its_time_and_delays_nobody() {
    let gate = Gate::shut();
    let engine = Loop::start(
        &rules(&[
            "hangs timeout: 1s, on_error: warning, trigger: { every: 1h }",
            "quick trigger: { every: 200ms }",
        ]),
        vec![
            ("hangs", Fake::Waits(gate.clone())),
            ("quick", Fake::Waits(Gate::open())),
        ],
        real(),
    );
    let watch = Stopwatch::new();
    engine
        .until("a status", "hangs", |it| it.looked.is_some())
        .await;
    assert!(
        watch.elapsed() < Duration::from_millis(1900),
        "{:?}",
        watch.elapsed()
    );
    let standing = engine.standing("hangs").await;
    assert_eq!(standing.status, Status::Warning, "{standing:?}");
    engine.until("looks", "quick", |it| it.looks >= 15).await;
    let status = engine.status().await;
    assert!(status.missed_slots <= 2, "{} missed", status.missed_slots);
    // A round is answered too, at once: its time is over already.
    let watch = Stopwatch::new();
    let answer = engine.check(&[]).await;
    assert!(watch.elapsed() < Duration::from_secs(1));
    let of = |name: &str| answer.checks.iter().find(|it| it.name == name);
    assert!(of("quick").is_some_and(|it| it.status == Status::Ok));
    let hangs = of("hangs").expect("the check");
    assert_eq!(hangs.status, Status::Warning);
    assert!(
        hangs
            .error
            .as_deref()
            .is_some_and(|it| it.contains("not come back")),
        "{hangs:?}"
    );
    assert_eq!(gate.looks(), 1, "not begun again while it hangs");
    gate.set(false);
    let watch = Stopwatch::new();
    while engine.check(&["hangs"]).await.overall != Status::Ok {
        assert!(watch.elapsed() < SOON, "never looked at again");
    }
    assert_eq!(gate.most_at_once(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_is_answered_where_the_clock_stands() {
    let clock = Arc::new(SetClock::at(Moment(1_767_717_000_000)));
    let engine = Loop::start(
        &rules(&["hangs timeout: 1s", "quick timeout: 1s"]),
        vec![
            ("hangs", Fake::Waits(Gate::shut())),
            ("quick", Fake::Waits(Gate::open())),
        ],
        clock,
    );
    let watch = Stopwatch::new();
    let answer = engine.check(&["hangs", "quick"]).await;
    assert!(watch.elapsed() < Duration::from_secs(3));
    let statuses: Vec<Status> = answer.checks.iter().map(|it| it.status).collect();
    assert_eq!(statuses, [Status::Unknown, Status::Ok]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_during_a_look_waits_for_it_and_calls_nothing_unknown() {
    let gate = Gate::open();
    let text = |more: &str| rules(&[&format!("it trigger: {{ every: 1h }}{more}")]);
    let mut engine = Loop::start(&text(""), vec![("it", Fake::Waits(gate.clone()))], real());
    engine
        .until("the first look", "it", |it| it.status == Status::Ok)
        .await;
    gate.set(true);
    let round = engine.check(&["it"]);
    let other = async {
        let watch = Stopwatch::new();
        while gate.looks() < 2 {
            assert!(watch.elapsed() < SOON);
            clock::sleep(Duration::from_millis(5)).await;
        }
        let book = engine.book(
            &text(", message: changed"),
            vec![("it", Fake::Waits(gate.clone()))],
        );
        engine.reload(book);
        engine.status().await; // it has been taken over
        gate.set(false);
    };
    let (answer, ()) = futures::join!(round, other);
    assert_eq!(answer.overall, Status::Ok);
    assert_eq!(answer.checks[0].message, "changed", "by the new book");
    assert_eq!(gate.looks(), 3);
    assert_eq!(gate.most_at_once(), 1, "never twice at the same time");
    assert_eq!(engine.changes("it"), [Status::Ok], "never UNKNOWN");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_that_waits_for_a_stuck_one_is_given_up_in_its_own_time() {
    let gate = Gate::shut();
    let text = |more: &str| rules(&[&format!("it timeout: 1s, trigger: {{ every: 1h }}{more}")]);
    let engine = Loop::start(&text(""), vec![("it", Fake::Waits(gate.clone()))], real());
    let watch = Stopwatch::new();
    while gate.looks() < 1 {
        assert!(watch.elapsed() < SOON);
        clock::sleep(Duration::from_millis(5)).await;
    }
    for number in 0..3 {
        let book = engine.book(
            &text(&format!(", message: m{number}")),
            vec![("it", Fake::Waits(gate.clone()))],
        );
        engine.reload(book);
    }
    let watch = Stopwatch::new();
    engine
        .until("a status", "it", |it| it.looked.is_some())
        .await;
    assert!(watch.elapsed() < Duration::from_secs(5));
    assert_eq!(engine.standing("it").await.status, Status::Unknown);
    gate.set(false);
    let watch = Stopwatch::new();
    while engine.check(&["it"]).await.overall != Status::Ok {
        assert!(watch.elapsed() < SOON, "never looked at again");
    }
    assert_eq!(gate.most_at_once(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_loop_ends_while_looks_hang() {
    let engine = Loop::start(
        &rules(&["hangs trigger: { every: 1s }"]),
        vec![("hangs", Fake::Waits(Gate::shut()))],
        real(),
    );
    engine.status().await;
    let watch = Stopwatch::new();
    engine.ask(Request::Stop).await;
    assert!(watch.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn what_the_old_book_decided_is_done_by_the_old_book() {
    let text = |file: &str| {
        rules(&[&format!(
            "it trigger: {{ every: 1h }}, remediation: [ {{ write_file: {{ file: data/{file}, body: x }} }} ]"
        )])
    };
    let (gate, fake) = (Gate::shut(), |gate: &Arc<Gate>| {
        vec![("it", Fake::Waits(gate.clone()))]
    });
    let mut engine = Loop::start(&text("old"), fake(&gate), real());
    engine.status().await;
    let clean = engine.book(&text("new"), fake(&gate));
    // Both are there before the loop goes on.
    let verdict = Arc::new(Verdict::bare(Status::Critical, "bad"));
    let looked = Message::Looked(vec![(1, verdict)]);
    assert!(engine.sender.send(looked).is_ok());
    engine.reload(clean);
    let acted = async {
        loop {
            match &*engine.news.recv().await.expect("the loop lives") {
                News::Acted(attempt) => return attempt.receipts[0].target.clone(),
                _ => continue,
            }
        }
    };
    assert_eq!(within(SOON, acted).await, "data/old");
}

/// Hands that never end what they begin, or panic at it.
struct Clumsy {
    acts: AtomicU64,
    panics: bool,
}

impl Hands for Clumsy {
    fn commit<'a>(&'a self, _: &'a Effect) -> BoxFuture<'a, Result<Receipt, HandsError>> {
        self.acts.fetch_add(1, Ordering::SeqCst);
        assert!(!self.panics, "as told");
        Box::pin(std::future::pending())
    }
}

fn mended(name: &str) -> String {
    format!(
        "  - {{ name: {name}, about: It is bad., trigger: {{ every: 1h }}, probe: {{ file: {{ file: data/it }} }}, threshold: {{ critical: '!missing' }}, remediation: {{ steps: [ {{ write_file: {{ file: data/{name}, body: x }} }} ], verify: {{ within: 1s }} }} }}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_loop_begins_nothing_new_and_does_not_wait_for_ever() {
    let gate = Gate::shut();
    let clumsy = Arc::new(Clumsy {
        acts: AtomicU64::new(0),
        panics: false,
    });
    let engine = Loop::with_hands(
        &format!("checks:\n{}{}", mended("first"), mended("second")),
        vec![
            ("first", Fake::Waits(Gate::open())),
            ("second", Fake::Waits(gate.clone())),
        ],
        real(),
        clumsy.clone(),
    );
    engine
        .until("the act", "first", |_| {
            clumsy.acts.load(Ordering::SeqCst) == 1
        })
        .await;
    let watch = Stopwatch::new();
    let (reply, stopped) = oneshot::channel();
    let stop = Message::Request(Request::Stop(reply));
    assert!(engine.sender.send(stop).is_ok());
    engine.status().await; // it knows that it is stopped
    gate.set(false);
    engine
        .until("the look", "second", |it| it.held_by.is_some())
        .await;
    let held = engine.standing("second").await.held_by;
    assert_eq!(held.as_deref(), Some("pause"));
    within(SOON, stopped).await.expect("it ends");
    assert!(watch.elapsed() >= FAREWELL && watch.elapsed() < FAREWELL * 4);
    assert_eq!(clumsy.acts.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rung_that_panics_has_failed() {
    let hands = Clumsy {
        acts: AtomicU64::new(0),
        panics: true,
    };
    let mut engine = Loop::with_hands(
        &format!("checks:\n{}", mended("it")),
        vec![("it", Fake::Waits(Gate::open()))],
        real(),
        Arc::new(hands),
    );
    let ended = async {
        loop {
            match &*engine.news.recv().await.expect("the loop lives") {
                News::Ended(attempt) => return attempt.end(),
                _ => continue,
            }
        }
    };
    assert_eq!(within(SOON, ended).await, Some(End::Failed));
}
