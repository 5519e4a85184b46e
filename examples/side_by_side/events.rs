//! What the bot and the engine say, in the order in which they say it.

use std::{
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    time::Duration,
};

use serde_json::Value;

use crate::bot::CycleReport;

pub enum Event {
    /// A cycle of the bot.
    Cycle(CycleReport),
    /// A line of `homeostat run --json`.
    News(Value),
    /// The engine says no more.
    Ended,
    /// Somebody pressed Enter.
    Enter,
    /// Somebody wants an end.
    Interrupted,
}

/// Where events are said.
#[derive(Clone)]
pub struct Events(Sender<Event>);

impl Events {
    pub fn new() -> (Events, Heard) {
        let (sender, receiver) = channel();
        (Events(sender), Heard(receiver))
    }

    pub fn send(&self, event: Event) {
        let _ = self.0.send(event); // nobody listens any more at the end
    }
}

/// Where they are heard.
pub struct Heard(Receiver<Event>);

impl Heard {
    /// The next event; `None` when none came in that time.
    pub fn next(&self, within: Duration) -> Option<Event> {
        match self.0.recv_timeout(within) {
            Ok(event) => Some(event),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Event::Interrupted),
        }
    }
}
