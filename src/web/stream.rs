//! `/api/stream`: what happens, as server-sent events.
//!
//! One task hears the engine and writes each event once; all clients are given the same bytes. Whoever reads too slowly is
//! let go, never waited for: with its last number it comes back and is given what it missed, as far as that is still kept.
//!
//! Events with a number (`id:`) are the news of the engine and can be given again. `beat` and `looked` have none: they
//! say how it is now, and are made only while somebody listens.

use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::stream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::broadcast::{self, error::RecvError};

use super::{
    api::Api,
    endpoint::Endpoint,
    refusal::{Refusal, Wanted},
};
use crate::{
    clock::{self, Clock},
    engine::{Handle, handle::News, news, pulse::MOST_LOOKED},
    permission::Secrets,
};

/// Streams at once.
pub const STREAMS: usize = 256;
/// A client that is so many events behind is let go.
const BEHIND: usize = 512;
/// Events that are kept for those who come back…
const KEPT: usize = 2_000;
/// …and their bytes.
const KEPT_BYTES: usize = 4 << 20;
/// Checks that were looked at are told so often.
const LOOKED: Duration = Duration::from_secs(1);
/// Every so many times of that, how the engine goes is told.
const BEAT: u64 = 5;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/api/stream", listen)
            .is("stream", "What happens from now on, as server-sent events: first `hello`, then `change acted ended held note reloaded refused paused silenced unsilenced investigated` with the object that `run --json` prints, `looked` with the names of checks that were looked at (at most one a second), and `beat` every five seconds. `Last-Event-ID`, or `since`, gives again what was missed; when that is not kept any more there is an event `missed`.")
            .query::<Since>()
            .text("text/event-stream", "Events, until either side ends it.")
            .error(503, "there are too many streams, or the engine is ending")
            .waits(),
    ]
}

/// One event as it goes over the wire.
#[derive(Debug)]
struct Event {
    /// 0 for what is not given again.
    id: u64,
    text: Bytes,
}

/// Where events come together and go out from.
pub struct Hub {
    kept: Mutex<Kept>,
    /// `None` ends all streams.
    out: broadcast::Sender<Option<Arc<Event>>>,
    streams: AtomicUsize,
    /// Clients that were let go because they were too slow.
    dropped: AtomicU64,
    ended: AtomicBool,
}

#[derive(Default)]
struct Kept {
    events: VecDeque<Arc<Event>>,
    bytes: usize,
    /// The number of the newest event.
    last: u64,
}

impl Hub {
    /// Begins to hear.
    pub(super) fn start(handle: &Handle, clock: &Arc<dyn Clock>) -> Arc<Hub> {
        let (out, _) = broadcast::channel(BEHIND);
        let first = u64::try_from(clock.now().0).unwrap_or(0);
        let hub = Arc::new(Hub {
            kept: Mutex::new(Kept {
                // Numbers grow over a restart, too: who comes back with one of an earlier process has missed something.
                last: first,
                ..Kept::default()
            }),
            out,
            streams: AtomicUsize::new(0),
            dropped: AtomicU64::new(0),
            ended: AtomicBool::new(false),
        });
        let news = handle.news();
        let ear = Ear {
            hub: hub.clone(),
            handle: handle.clone(),
            clock: clock.clone(),
            secrets: None,
        };
        tokio::spawn(ear.hear(news));
        hub
    }

    pub fn streams(&self) -> usize {
        self.streams.load(Ordering::Relaxed)
    }

    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something to remember.
    fn tell(&self, kind: &str, value: &Value) {
        let mut kept = self.kept();
        kept.last += 1;
        let event = Arc::new(Event {
            id: kept.last,
            text: wire(Some(kept.last), kind, value),
        });
        kept.bytes += event.text.len();
        kept.events.push_back(event.clone());
        while kept.events.len() > KEPT || kept.bytes > KEPT_BYTES {
            match kept.events.pop_front() {
                Some(old) => kept.bytes -= old.text.len(),
                None => break,
            }
        }
        // Under the lock, so that who subscribes sees each event either among those kept or in the channel.
        let _ = self.out.send(Some(event)); // nobody may be listening
    }

    /// Something of this moment.
    fn say(&self, kind: &str, value: &Value) {
        let text = wire(None, kind, value);
        let _ = self.out.send(Some(Arc::new(Event { id: 0, text }))); // likewise
    }

    fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
        let _ = self.out.send(None); // likewise
    }

    /// What was missed since an event, and what comes from now on. `Err`: some of it is not kept any more.
    fn subscribe(&self, since: Option<u64>) -> Subscription {
        let kept = self.kept();
        let receiver = self.out.subscribe();
        let last = kept.last;
        let Some(since) = since else {
            return Subscription {
                receiver,
                last,
                missed: false,
                again: Vec::new(),
            };
        };
        let oldest = kept.events.front().map_or(last + 1, |event| event.id);
        let newer = kept.events.iter().filter(|event| event.id > since);
        Subscription {
            receiver,
            last,
            missed: since > last || since + 1 < oldest,
            again: newer.cloned().collect(),
        }
    }
}

struct Subscription {
    receiver: broadcast::Receiver<Option<Arc<Event>>>,
    /// The number of the newest event.
    last: u64,
    missed: bool,
    again: Vec<Arc<Event>>,
}

/// Hears the engine for all streams.
struct Ear {
    hub: Arc<Hub>,
    handle: Handle,
    clock: Arc<dyn Clock>,
    secrets: Option<Arc<crate::permission::Permission>>,
}

impl Ear {
    async fn hear(mut self, mut news: broadcast::Receiver<Arc<News>>) {
        let mut ticks = 0;
        let mut tick = Box::pin(clock::sleep(LOOKED));
        loop {
            tokio::select! {
                heard = news.recv() => match heard {
                    Ok(news) => self.pass_on(&news).await,
                    Err(RecvError::Lagged(missed)) => {
                        self.hub.tell("missed", &json!({"number": missed}));
                    }
                    Err(RecvError::Closed) => break,
                },
                () = &mut tick => {
                    tick = Box::pin(clock::sleep(LOOKED));
                    ticks += 1;
                    if self.handle.is_gone() {
                        break;
                    }
                    self.pulse(ticks % BEAT == 0).await;
                }
            }
        }
        self.hub.end();
    }

    async fn pass_on(&mut self, news: &News) {
        let mut value = news::json(news, self.clock.now());
        // The excerpt of a complaint is a line of a rule file as it stands there.
        if matches!(news, News::Refused { .. } | News::Reloaded { .. })
            && let Some(secrets) = self.secrets().await
        {
            secrets.hide_value(&mut value);
        }
        self.hub.tell(news::kind(news), &value);
    }

    async fn secrets(&mut self) -> Option<&Secrets> {
        if self.secrets.is_none() {
            self.secrets = self.handle.bench().await.ok().map(|bench| bench.permission);
        }
        self.secrets
            .as_deref()
            .map(crate::permission::Permission::secrets)
    }

    /// What is told only while somebody listens.
    async fn pulse(&self, beat: bool) {
        let pulse = self.handle.pulse();
        if self.hub.streams() == 0 {
            pulse.unheard();
            return;
        }
        let checks = pulse.looked();
        if !checks.is_empty() {
            let more = checks.len() >= MOST_LOOKED;
            self.hub
                .say("looked", &json!({"checks": checks, "more": more}));
        }
        // An engine whose loop hangs has no beat, and whoever listens sees that.
        if beat && let Ok(beat) = self.handle.beat().await {
            self.hub.say("beat", &json!(beat));
        }
    }
}

/// An event as server-sent events are written. JSON has no raw line breaks, so it is one line.
fn wire(id: Option<u64>, kind: &str, value: &Value) -> Bytes {
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    format!("{id}event: {kind}\ndata: {value}\n\n").into()
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Since {
    /// The number of the last event that was seen; the header `Last-Event-ID` says the same.
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_u64))]
    since: Option<u64>,
}

/// The first event of a stream.
#[derive(Serialize)]
struct Hello {
    #[serde(flatten)]
    beat: crate::engine::overview::Beat,
    /// The number of the newest event.
    last: u64,
}

/// A place among the streams, free again when it is dropped.
struct Slot(Arc<Hub>);

impl Slot {
    fn take(hub: &Arc<Hub>) -> Option<Slot> {
        let took = hub
            .streams
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |now| {
                (now < STREAMS).then_some(now + 1)
            });
        took.ok().map(|_| Slot(hub.clone()))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn listen(
    State(api): State<Api>,
    headers: HeaderMap,
    Wanted(since): Wanted<Since>,
) -> Result<Response, Refusal> {
    let said = headers.get("last-event-id").and_then(|it| it.to_str().ok());
    let since = said.and_then(|it| it.trim().parse().ok()).or(since.since);
    let unavailable = |why: &str| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, why).retry_after(5);
    let slot = Slot::take(&api.hub).ok_or_else(|| unavailable("there are too many streams"))?;
    api.handle.pulse().hear();
    let beat = api.handle.beat().await?;
    let Subscription {
        receiver,
        last,
        missed,
        again,
    } = api.hub.subscribe(since);
    if api.hub.ended.load(Ordering::SeqCst) {
        return Err(unavailable("the engine is ending"));
    }
    let mut first = VecDeque::from([wire(None, "hello", &json!(Hello { beat, last }))]);
    if missed {
        first.push_back(wire(None, "missed", &json!({"since": since})));
    }
    first.extend(again.iter().map(|event| event.text.clone()));
    let state = (first, receiver, slot);
    let events = stream::unfold(state, async |(mut first, mut receiver, slot)| {
        if let Some(text) = first.pop_front() {
            return Some((Ok::<_, Infallible>(text), (first, receiver, slot)));
        }
        match receiver.recv().await {
            Ok(Some(event)) => Some((Ok(event.text.clone()), (first, receiver, slot))),
            Ok(None) | Err(RecvError::Closed) => None,
            Err(RecvError::Lagged(_)) => {
                slot.0.dropped.fetch_add(1, Ordering::Relaxed);
                None
            }
        }
    });
    let mut response = Body::from_stream(events).into_response();
    let kind = HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hub() -> Hub {
        let (out, _) = broadcast::channel(BEHIND);
        Hub {
            kept: Mutex::default(),
            out,
            streams: AtomicUsize::new(0),
            dropped: AtomicU64::new(0),
            ended: AtomicBool::new(false),
        }
    }

    fn ids(events: &[Arc<Event>]) -> Vec<u64> {
        events.iter().map(|event| event.id).collect()
    }

    #[test]
    fn who_comes_back_is_given_what_was_missed_or_told_that_it_is_gone() {
        let hub = hub();
        for n in 0..5 {
            hub.tell("note", &json!({"n": n}));
        }
        let back = hub.subscribe(Some(3));
        assert_eq!(
            (ids(&back.again), back.missed, back.last),
            (vec![4, 5], false, 5)
        );
        let fresh = hub.subscribe(None);
        assert!(fresh.again.is_empty() && !fresh.missed);
        let future = hub.subscribe(Some(77));
        assert!(future.missed, "a number of another process");
        for n in 0..KEPT {
            hub.tell("note", &json!({"n": n}));
        }
        let late = hub.subscribe(Some(2));
        assert!(late.missed && late.again.len() == KEPT);
        assert!(!hub.subscribe(Some(5)).missed, "the next one is kept");
    }

    #[test]
    fn what_is_kept_is_bounded_in_bytes_too() {
        let hub = hub();
        let long = "x".repeat(1 << 20);
        for _ in 0..9 {
            hub.tell("note", &json!({"text": long}));
        }
        let kept = hub.kept();
        assert!(kept.bytes <= KEPT_BYTES && kept.events.len() == 3);
    }

    #[tokio::test]
    async fn an_event_is_one_line_of_data_and_what_is_of_the_moment_has_no_number() {
        let hub = hub();
        let mut heard = hub.subscribe(None).receiver;
        hub.tell("change", &json!({"message": "two\nlines"}));
        hub.say("beat", &json!({"now": 1.5}));
        let mut text = String::new();
        for _ in 0..2 {
            let event = heard.recv().await.unwrap().unwrap();
            text.push_str(std::str::from_utf8(&event.text).unwrap());
        }
        insta::assert_snapshot!(text, @r#"
        id: 1
        event: change
        data: {"message":"two\nlines"}

        event: beat
        data: {"now":1.5}
        "#);
    }

    #[test]
    fn places_are_bounded_and_given_back() {
        let hub = Arc::new(hub());
        let slots: Vec<Slot> = (0..STREAMS).filter_map(|_| Slot::take(&hub)).collect();
        assert_eq!(slots.len(), STREAMS);
        assert!(Slot::take(&hub).is_none());
        drop(slots);
        assert_eq!(hub.streams(), 0);
    }
}
