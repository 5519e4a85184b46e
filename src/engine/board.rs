//! How every check stands and what was heard, for the `status` and `heartbeat` probes: a small copy that looks may read while the core goes on.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
};

use serde_json::Value;

use crate::{
    model::{Name, moment::Moment, outline::Outline, status::Status},
    probe::{Board, Heartbeat},
};

#[derive(Debug, Default)]
pub(super) struct Standings {
    checks: RwLock<HashMap<Name, (Status, String)>>,
    heartbeats: RwLock<HashMap<Name, Heartbeat>>,
}

impl Standings {
    /// With what a store remembers of heartbeats.
    pub(super) fn hearing(heard: &[(Name, Moment, Value)]) -> Standings {
        let board = Standings::default();
        for (name, at, payload) in heard {
            board.hear(name.clone(), *at, payload.clone());
        }
        board
    }

    pub(super) fn hear(&self, name: Name, at: Moment, payload: Value) {
        let mut heard = self
            .heartbeats
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        heard.insert(name, Heartbeat { at, payload });
    }

    pub(super) fn set(&self, check: &Name, status: Status, message: &str) {
        let mut all = self.checks.write().unwrap_or_else(PoisonError::into_inner);
        match all.get_mut(check) {
            Some(known) if known.0 == status && known.1 == message => {}
            Some(known) => *known = (status, message.to_owned()),
            None => {
                all.insert(check.clone(), (status, message.to_owned()));
            }
        }
    }

    /// Forgets checks that this outline does not have.
    pub(super) fn retain(&self, outline: &Outline) {
        let mut all = self.checks.write().unwrap_or_else(PoisonError::into_inner);
        all.retain(|name, _| outline.checks.contains_key(name));
    }

    pub(super) fn copy(&self) -> Standings {
        let all = self.checks.read().unwrap_or_else(PoisonError::into_inner);
        let heard = self
            .heartbeats
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        Standings {
            checks: RwLock::new(all.clone()),
            heartbeats: RwLock::new(heard.clone()),
        }
    }
}

impl Board for Standings {
    fn status(&self, check: &str) -> Option<(Status, String)> {
        let all = self.checks.read().unwrap_or_else(PoisonError::into_inner);
        all.get(check).cloned()
    }

    fn heartbeat(&self, name: &str) -> Option<Heartbeat> {
        let heard = self
            .heartbeats
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        heard.get(name).cloned()
    }
}
