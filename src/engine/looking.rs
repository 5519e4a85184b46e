//! Looks that have not come back: whose time is over, and who waits for them.
//!
//! A check is looked at once at a time, also when a look is given up: a changed book asks anew while the old look is still
//! on its thread, and a dead disk never lets it go. A program is killed when its look is given up; a file look cannot be,
//! so the next one waits for it, and once its time is over gets its answer at once.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::task::AbortHandle;

use super::pool::Item;
use crate::{
    clock::Stopwatch,
    core::Asked,
    model::{Name, report::Ticket},
};

/// A look with a time limit of its own keeps it; so much later it is taken to have died.
const MARGIN: Duration = Duration::from_secs(5);

pub(super) struct Looking {
    watch: Stopwatch,
    tended: Duration,
    away: HashMap<Ticket, Away>,
    /// The file look of each check that is on a thread or waits for one.
    threads: HashMap<Name, Ticket>,
    /// The look that begins when the one before comes back.
    waiting: HashMap<Name, Asked>,
}

struct Away {
    item: Arc<Item>,
    began: Duration,
    /// Given up: whatever it answers is too late.
    late: bool,
    /// For what can be ended.
    task: Option<AbortHandle>,
}

impl Away {
    fn is_over(&self, now: Duration) -> bool {
        let limit = match self.task {
            Some(_) => self.item.eyes.limit.saturating_add(MARGIN),
            None => self.item.eyes.limit,
        };
        now.saturating_sub(self.began) >= limit
    }
}

/// What is of the look before at the same check.
#[derive(Debug, PartialEq)]
pub(super) enum Before {
    Over,
    /// It may come back any time.
    Away,
    /// Its time is over.
    Stuck,
}

impl Default for Looking {
    fn default() -> Looking {
        Looking {
            watch: Stopwatch::new(),
            tended: Duration::ZERO,
            away: HashMap::new(),
            threads: HashMap::new(),
            waiting: HashMap::new(),
        }
    }
}

impl Looking {
    pub(super) fn is_idle(&self) -> bool {
        self.away.is_empty()
    }

    /// Whether the last time this was true is so long ago.
    pub(super) fn is_time(&mut self, between: Duration) -> bool {
        let now = self.watch.elapsed();
        let is = now.saturating_sub(self.tended) >= between;
        if is {
            self.tended = now;
        }
        is
    }

    /// A look has begun; `task` for one that can be ended.
    pub(super) fn began(&mut self, item: Arc<Item>, task: Option<AbortHandle>) {
        if task.is_none() {
            self.threads.insert(item.check.name.clone(), item.ticket);
        }
        let away = Away {
            began: self.watch.elapsed(),
            late: false,
            task,
            item,
        };
        self.away.insert(away.item.ticket, away);
    }

    /// An answer. Returns the look that waited for it.
    pub(super) fn came_back(&mut self, ticket: Ticket) -> Option<Asked> {
        let away = self.away.remove(&ticket)?;
        if away.task.is_some() {
            return None;
        }
        let name = &away.item.check.name;
        self.threads.remove(name);
        self.waiting.remove(name)
    }

    pub(super) fn before(&self, name: &Name) -> Before {
        let away = self
            .threads
            .get(name)
            .and_then(|ticket| self.away.get(ticket));
        match away {
            None => Before::Over,
            Some(away) if away.is_over(self.watch.elapsed()) => Before::Stuck,
            Some(_) => Before::Away,
        }
    }

    /// Begins when the look before has come back.
    pub(super) fn wait(&mut self, asked: Asked) {
        self.waiting.insert(asked.check.clone(), asked);
    }

    /// Nobody wants this answer any more.
    pub(super) fn abandon(&mut self, ticket: Ticket) {
        match self.away.get_mut(&ticket) {
            Some(Away {
                task: Some(task), ..
            }) => {
                task.abort();
                self.away.remove(&ticket);
            }
            Some(away) => away.late = true,
            None => self.waiting.retain(|_, asked| asked.ticket != ticket),
        }
    }

    /// Those whose time has just come to an end.
    pub(super) fn overdue(&mut self) -> Vec<Arc<Item>> {
        let now = self.watch.elapsed();
        let mut over = Vec::new();
        self.away.retain(|_, away| {
            if away.late || !away.is_over(now) {
                return true;
            }
            away.late = true;
            over.push(away.item.clone());
            match &away.task {
                Some(task) => {
                    task.abort();
                    false
                }
                None => true,
            }
        });
        over
    }
}

impl Drop for Looking {
    /// What can be ended ends with the engine.
    fn drop(&mut self) {
        for away in self.away.values() {
            if let Some(task) = &away.task {
                task.abort();
            }
        }
    }
}
