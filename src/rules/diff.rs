//! What a reload changes: `+2 ~1 -0 checks`.

use std::{collections::BTreeMap, fmt};

use crate::model::{
    Name,
    outline::{Outline, Trigger},
};

/// Names of checks and investigations, sorted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Diff {
    pub added: Vec<Name>,
    pub changed: Vec<Name>,
    pub removed: Vec<Name>,
    /// The same for investigations.
    pub investigations: Changes,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    pub added: Vec<Name>,
    pub changed: Vec<Name>,
    pub removed: Vec<Name>,
}

impl Changes {
    fn of<T>(
        old: &BTreeMap<Name, T>,
        new: &BTreeMap<Name, T>,
        same: impl Fn(&T, &T) -> bool,
    ) -> Changes {
        let mut changes = Changes::default();
        for (name, rule) in new {
            match old.get(name) {
                None => changes.added.push(name.clone()),
                Some(before) if !same(before, rule) => changes.changed.push(name.clone()),
                Some(_) => {}
            }
        }
        let gone = old.keys().filter(|name| !new.contains_key(*name));
        changes.removed.extend(gone.cloned());
        changes
    }

    fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }
}

/// Compares two generations by the fingerprints of their rules and the calendars these go by.
pub fn diff(old: &Outline, new: &Outline) -> Diff {
    let hours = |outline: &Outline, trigger: &Trigger| {
        let named = [&trigger.during, &trigger.quiet].map(Option::as_ref);
        named.map(|name| name.and_then(|name| outline.calendars.get(name).cloned()))
    };
    let checks = Changes::of(&old.checks, &new.checks, |a, b| {
        a.fingerprint == b.fingerprint && hours(old, &a.trigger) == hours(new, &b.trigger)
    });
    let investigations = Changes::of(&old.investigations, &new.investigations, |a, b| {
        a.fingerprint == b.fingerprint && hours(old, &a.trigger) == hours(new, &b.trigger)
    });
    Diff {
        added: checks.added,
        changed: checks.changed,
        removed: checks.removed,
        investigations,
    }
}

impl Diff {
    pub fn is_empty(&self) -> bool {
        self.added.is_empty()
            && self.changed.is_empty()
            && self.removed.is_empty()
            && self.investigations.is_empty()
    }
}

impl fmt::Display for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (added, changed, removed) = (self.added.len(), self.changed.len(), self.removed.len());
        write!(f, "+{added} ~{changed} -{removed} checks")?;
        let others = &self.investigations;
        if others.is_empty() {
            return Ok(());
        }
        let (added, changed, removed) = (
            others.added.len(),
            others.changed.len(),
            others.removed.len(),
        );
        write!(f, ", +{added} ~{changed} -{removed} investigations")
    }
}
