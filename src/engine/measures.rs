//! The numbers of the loop, for metrics: taken in one go, without a text among them, so that ten thousand checks cost
//! little more than counting them.

use super::{
    driver::Driver,
    handle::{NotifierAnswer, Proposal},
};
use crate::model::{Name, status::Status};

/// What the loop counts at one instant.
#[derive(Clone, Debug, Default)]
pub struct Measures {
    pub checks: Vec<Measure>,
    /// The longest that what was due had to wait, of the last minute, in seconds.
    pub lateness_s: f64,
    pub missed_slots: u64,
    pub attempts_open: usize,
    pub proposals: usize,
    pub silences: usize,
    /// Complaints about a rule set on disk that was refused.
    pub complaints: usize,
    pub paused: bool,
    pub storm: bool,
    /// Incidents that are open.
    pub incidents: usize,
    /// How it goes with telling people.
    pub notifiers: Vec<NotifierAnswer>,
    /// What waits to be written, by where it waits.
    pub queues: Vec<(&'static str, u64)>,
    /// What was lost because it could not be written for too long, by where.
    pub lost: Vec<(&'static str, u64)>,
}

/// One check.
#[derive(Clone, Debug)]
pub struct Measure {
    pub name: Name,
    pub status: Status,
    /// How long the last look took, in seconds.
    pub took_s: Option<f64>,
    /// Since this engine started.
    pub looks: u64,
}

impl Driver {
    pub(super) fn measures(&self) -> Measures {
        let standings = self.core.standings();
        let backlog = self.parts.records.backlog();
        Measures {
            checks: standings
                .map(|(name, standing)| {
                    let trail = self.trails.of(name);
                    Measure {
                        name: name.clone(),
                        status: standing.status,
                        took_s: trail.and_then(|it| it.took_s),
                        looks: trail.map_or(0, |it| it.looks),
                    }
                })
                .collect(),
            lateness_s: self.lateness(),
            missed_slots: self.core.missed(),
            attempts_open: self.core.attempts().count(),
            proposals: self.core.attempts().filter_map(Proposal::of).count(),
            silences: self.core.silences().count(),
            incidents: self.telling.incidents.open().count(),
            notifiers: self.notifiers(),
            complaints: self.complaints.len(),
            paused: self.core.pause().is_some(),
            storm: self.core.storm().is_some(),
            queues: backlog.queues,
            lost: backlog.lost,
        }
    }
}
