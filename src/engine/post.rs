//! The post: a task that brings notices to their receivers, by what [`crate::notify::queue`] says. It delays nothing else,
//! and what it could not deliver before it ends is delivered after the next start.

use std::{
    collections::BTreeMap,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::FutureExt;
use tokio::sync::{mpsc, oneshot};

use super::{live::Ground as Base, records::Records};
use crate::{
    clock::{self, Clock, Stopwatch},
    model::{
        attempt::Row,
        moment::Moment,
        notice::{Delivery, DeliveryState, Notice, NoticeId},
    },
    notify::{
        Again, Channel, Office, Parcel, Sent, Unsent,
        queue::{Counts, LaneKey, Queue},
    },
    permission::Permission,
    rules::book::Book,
    script::{self, Env, Ground},
};

/// How long an engine that ends goes on delivering what is due.
const FAREWELL: Duration = Duration::from_secs(5);
/// It looks so often whether something is due, at least: the clock may have been set.
const LONGEST: Duration = Duration::from_secs(1);
const SHORTEST: Duration = Duration::from_millis(10);

/// By which rules notices are sent.
#[derive(Clone)]
pub(super) struct PostRules {
    pub book: Arc<Book>,
    pub permission: Arc<Permission>,
    pub script: script::Engine,
    pub env: Arc<Env>,
}

impl PostRules {
    pub(super) fn new(book: &Arc<Book>, permission: &Arc<Permission>, base: &Base) -> PostRules {
        PostRules {
            book: book.clone(),
            permission: permission.clone(),
            script: base.script.clone(),
            env: base.env.clone(),
        }
    }

    /// Sends one notice by one channel. What is told of how it went holds no secret.
    pub(super) async fn send(
        &self,
        channel: &dyn Channel,
        notice: &Notice,
        thread: Option<&str>,
        now: Moment,
    ) -> Result<Sent, Unsent> {
        let office = Office {
            engine: self.script.clone(),
            permission: self.permission.clone(),
            ground: Ground {
                now,
                vars: self.book.vars.clone(),
                env: self.env.clone(),
            },
        };
        let parcel = Parcel {
            notice,
            thread,
            office: &office,
        };
        let sending = AssertUnwindSafe(channel.send(parcel)).catch_unwind();
        let sent = sending.await.unwrap_or_else(|_| {
            tracing::error!(channel = channel.kind(), "sending a notice broke off");
            Err(Unsent {
                why: "it broke off in the middle".to_owned(),
                again: Again::Later,
            })
        });
        match sent {
            Ok(sent) => Ok(Sent {
                said: office.hide(&sent.said),
                ..sent
            }),
            Err(unsent) => Err(Unsent {
                why: office.hide(&unsent.why),
                ..unsent
            }),
        }
    }

    async fn deliver(
        &self,
        key: &LaneKey,
        delivery: &Delivery,
        thread: Option<&str>,
        now: Moment,
    ) -> Result<Sent, Unsent> {
        let notifier = self.book.notifiers.get(&key.0);
        let channel = notifier.and_then(|notifier| {
            let mut channels = notifier.channels.iter();
            channels.find(|channel| channel.kind() == key.1)
        });
        match channel {
            Some(channel) => {
                self.send(channel.as_ref(), &delivery.notice, thread, now)
                    .await
            }
            // Whoever edits rules may have taken it away for a moment.
            None => Err(Unsent {
                why: format!("the rules have no {} of {} (any more)", key.1, key.0),
                again: Again::Later,
            }),
        }
    }
}

enum Mail {
    Add(Vec<Delivery>),
    Rules(PostRules),
    /// What stands, for a receiver that forgets: sent once, if nothing else waits.
    Refresh(Box<Notice>, &'static str),
    Done(LaneKey, NoticeId, Result<Sent, Unsent>),
    Refreshed(LaneKey),
    Stop(oneshot::Sender<()>),
}

/// The way to the task.
#[derive(Clone)]
pub(super) struct Post {
    mail: mpsc::UnboundedSender<Mail>,
    counts: Arc<Mutex<BTreeMap<LaneKey, Counts>>>,
}

impl Post {
    pub(super) fn start(
        kept: Vec<Delivery>,
        records: Arc<dyn Records>,
        clock: Arc<dyn Clock>,
        rules: PostRules,
    ) -> Post {
        let (mail, letters) = mpsc::unbounded_channel();
        let counts = Arc::default();
        let office = Running {
            queue: Queue::start(kept, clock.now()),
            rules,
            records,
            clock,
            mail: mail.clone(),
            counts: Arc::clone(&counts),
            stopping: None,
        };
        tokio::spawn(office.run(letters));
        Post { mail, counts }
    }

    pub(super) fn add(&self, deliveries: Vec<Delivery>) {
        let _ = self.mail.send(Mail::Add(deliveries)); // it has ended: they are in the store
    }

    pub(super) fn rules(&self, rules: PostRules) {
        let _ = self.mail.send(Mail::Rules(rules)); // it has ended
    }

    pub(super) fn refresh(&self, notice: Notice, channel: &'static str) {
        let _ = self.mail.send(Mail::Refresh(Box::new(notice), channel)); // it has ended
    }

    pub(super) fn counts(&self) -> BTreeMap<LaneKey, Counts> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.clone()
    }

    /// Delivers what is due, for a short while, and ends.
    pub(super) async fn stop(&self) {
        let (tell, told) = oneshot::channel();
        if self.mail.send(Mail::Stop(tell)).is_ok() {
            let _ = told.await; // it ends either way
        }
    }
}

struct Running {
    queue: Queue,
    rules: PostRules,
    records: Arc<dyn Records>,
    clock: Arc<dyn Clock>,
    mail: mpsc::UnboundedSender<Mail>,
    counts: Arc<Mutex<BTreeMap<LaneKey, Counts>>>,
    stopping: Option<(Stopwatch, Vec<oneshot::Sender<()>>)>,
}

impl Running {
    async fn run(mut self, mut letters: mpsc::UnboundedReceiver<Mail>) {
        loop {
            let now = self.clock.now();
            while let Some(next) = self.queue.next(now) {
                let (rules, mail) = (self.rules.clone(), self.mail.clone());
                tokio::spawn(async move {
                    let sent = rules
                        .deliver(&next.lane, &next.delivery, next.thread.as_deref(), now)
                        .await;
                    let done = Mail::Done(next.lane, next.delivery.notice.id, sent);
                    let _ = mail.send(done); // it has ended
                });
            }
            self.publish();
            let over = self
                .stopping
                .as_ref()
                .is_some_and(|(watch, _)| watch.elapsed() >= FAREWELL || !self.queue.is_busy(now));
            if over {
                break;
            }
            let due = self.queue.due().map_or(LONGEST, |due| due.since(now));
            let wait = due.clamp(SHORTEST, LONGEST);
            tokio::select! {
                letter = letters.recv() => match letter {
                    Some(letter) => self.take(letter),
                    None => return,
                },
                () = clock::sleep(wait) => {}
            }
        }
        for told in self.stopping.into_iter().flat_map(|(_, told)| told) {
            let _ = told.send(()); // whoever waited may have gone
        }
    }

    fn take(&mut self, letter: Mail) {
        let now = self.clock.now();
        match letter {
            Mail::Add(deliveries) => {
                for delivery in deliveries {
                    let needless = self.queue.add(delivery, now);
                    self.keep(needless);
                }
            }
            Mail::Rules(rules) => self.rules = rules,
            Mail::Refresh(notice, channel) => self.refresh(*notice, channel, now),
            Mail::Refreshed(lane) => self.queue.give_back(&lane),
            Mail::Done(lane, id, sent) => {
                match &sent {
                    Ok(sent) => {
                        tracing::debug!(notifier = %lane.0, channel = lane.1, notice = id, said = sent.said, "told");
                    }
                    Err(unsent) => {
                        tracing::warn!(
                            notifier = %lane.0, channel = lane.1, notice = id, why = unsent.why,
                            "a notice did not arrive"
                        );
                    }
                }
                let kept = self.queue.done(&lane, id, sent, now);
                self.keep(kept);
            }
            Mail::Stop(told) => {
                let stopping = self.stopping.get_or_insert((Stopwatch::new(), Vec::new()));
                stopping.1.push(told);
            }
        }
    }

    fn keep(&self, changed: impl IntoIterator<Item = Delivery>) {
        let rows: Vec<Row> = changed
            .into_iter()
            .inspect(|delivery| {
                if delivery.state == DeliveryState::Failed {
                    tracing::error!(
                        notifier = %delivery.notice.notifier, channel = delivery.channel, notice = delivery.notice.id,
                        why = delivery.why, "a notice is given up"
                    );
                }
            })
            .map(|delivery| Row::Delivery(Box::new(delivery)))
            .collect();
        if !rows.is_empty() {
            self.records.write(rows);
        }
    }

    fn refresh(&mut self, notice: Notice, channel: &'static str, now: Moment) {
        let lane = (notice.notifier.clone(), channel.to_owned());
        if !self.queue.borrow(&lane) {
            return; // what waits there says more
        }
        let (rules, mail) = (self.rules.clone(), self.mail.clone());
        tokio::spawn(async move {
            let delivery = Delivery::new(Arc::new(notice), channel);
            if let Err(unsent) = rules.deliver(&lane, &delivery, None, now).await {
                tracing::debug!(notifier = %lane.0, channel, why = unsent.why, "what stands was not told again");
            }
            let _ = mail.send(Mail::Refreshed(lane)); // it has ended
        });
    }

    fn publish(&self) {
        let counts = self.queue.counts();
        let counts = counts.map(|(key, counts)| (key.clone(), counts)).collect();
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner) = counts;
    }
}
