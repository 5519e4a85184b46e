//! One cause is told once: what a check shows while one that it needs is broken is no news of its own.
//!
//! A change of status behind a CRITICAL check (or one nobody has looked at yet) is told with `behind`, which screens
//! leave out. When that check is well again, whatever is still otherwise than it was last told is told after all.

use std::collections::BTreeMap;

use super::{driver::Driver, handle::News};
use crate::model::{Name, report::Report, status::Status};

/// The status that each masked check was last told to have.
#[derive(Debug, Default)]
pub(super) struct Masks(BTreeMap<Name, Status>);

impl Driver {
    /// Tells that a status changed, now or when what masks it is gone.
    pub(super) fn tell_change(&mut self, report: &Report) {
        let name = &report.check;
        let Some(from) = report.was else {
            self.unmask(name); // the first look at a check may change what is behind it, though its status stood
            return;
        };
        let behind = self.core.behind(name).cloned();
        let from = match &behind {
            Some(_) => {
                self.masks.0.entry(name.clone()).or_insert(from);
                from
            }
            None => self.masks.0.remove(name).unwrap_or(from),
        };
        let holds = match report.status {
            Status::Critical => self.core.resting_on(name).len(),
            _ => 0,
        };
        self.tell(News::Changed {
            check: name.clone(),
            from,
            to: report.status,
            message: report.verdict.message.clone(),
            behind,
            holds,
        });
        self.unmask(name);
    }

    /// Tells what rested on this check and waits behind nothing any more.
    fn unmask(&mut self, cause: &Name) {
        if self.masks.0.is_empty() {
            return;
        }
        let resting = self.core.resting_on(cause);
        let masked = |name: &&&Name| self.masks.0.contains_key(**name);
        let masked: Vec<Name> = resting.iter().filter(masked).copied().cloned().collect();
        self.uncover(masked);
    }

    /// The same after a reload, which may have taken away the cause, or what rested on it.
    pub(super) fn unmask_all(&mut self) {
        let masked = self.masks.0.keys().cloned().collect();
        self.uncover(masked);
    }

    fn uncover(&mut self, masked: Vec<Name>) {
        for name in masked {
            let Some(told) = self.masks.0.remove(&name) else {
                continue;
            };
            let Some(standing) = self.core.standing(&name) else {
                continue; // it was removed
            };
            if self.core.behind(&name).is_some() {
                self.masks.0.insert(name, told);
            } else if standing.status != told {
                let (to, message) = (standing.status, standing.message.clone());
                self.tell(News::Changed {
                    check: name,
                    from: told,
                    to,
                    message,
                    behind: None,
                    holds: 0,
                });
            }
        }
    }
}
