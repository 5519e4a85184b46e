//! How every check stands, for the `status` probe: a small copy that looks may read while the core goes on.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
};

use crate::{
    model::{Name, outline::Outline, status::Status},
    probe::Board,
};

#[derive(Debug, Default)]
pub(super) struct Standings(RwLock<HashMap<Name, (Status, String)>>);

impl Standings {
    pub(super) fn set(&self, check: &Name, status: Status, message: &str) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
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
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        all.retain(|name, _| outline.checks.contains_key(name));
    }

    pub(super) fn copy(&self) -> Standings {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Standings(RwLock::new(all.clone()))
    }
}

impl Board for Standings {
    fn status(&self, check: &str) -> Option<(Status, String)> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        all.get(check).cloned()
    }
}
