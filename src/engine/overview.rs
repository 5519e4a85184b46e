//! How everything stands, for a screen: counts, layers, and one page of rows, worst first.
//!
//! It is made in the loop, so it is made by looking: ten thousand checks are counted and sorted by reference, and only
//! the rows that were asked for are built.

use std::collections::{BTreeMap, HashMap};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    driver::{Driver, plain},
    handle::{Proposal, StandingAnswer},
    trail::LastRepair,
};
use crate::{
    model::{
        Name,
        attempt::Attempt,
        moment::Moment,
        standing::{Pause, Silence, Standing, Storm},
        status::Status,
    },
    rules::book::Check,
};

/// More rows are not built at once.
pub const MOST_ROWS: usize = 1000;

/// Which rows are wanted.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Empty: all of them.
    pub statuses: Vec<Status>,
    /// Empty: all of them.
    pub layers: Vec<String>,
    /// Found in the name, what it is about, its message or its layer, in any case.
    pub search: Option<String>,
    /// At most [`MOST_ROWS`].
    pub limit: usize,
    pub offset: usize,
}

impl Default for Wanted {
    fn default() -> Wanted {
        Wanted {
            statuses: Vec::new(),
            layers: Vec::new(),
            search: None,
            limit: 200,
            offset: 0,
        }
    }
}

/// How everything stands.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Overview {
    pub generation: String,
    /// Epoch seconds.
    pub now: f64,
    /// The worst status.
    pub overall: Status,
    /// Of all checks.
    pub counts: Counts,
    /// By name. A check's layer is its first tag, else the name of its file.
    pub layers: Vec<Layer>,
    /// How many checks fit what was asked for.
    pub total: usize,
    /// Worst first; what is silenced or waits behind another check comes last of its status.
    pub checks: Vec<Row>,
    pub paused: Option<PauseAnswer>,
    pub storm: Option<StormAnswer>,
    /// How many complaints there are about the rules on disk, when they were refused.
    pub complaints: usize,
    pub complaints_text: Option<String>,
    /// How many repairs wait for a person.
    pub proposals: usize,
    pub silences: usize,
    /// How many incidents are open.
    pub incidents: usize,
    pub missed_slots: u64,
    /// What cannot be recorded, if anything.
    pub store: Option<String>,
}

/// How many checks have each status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub struct Counts {
    pub ok: usize,
    pub warning: usize,
    pub critical: usize,
    pub unknown: usize,
}

impl Counts {
    pub fn add(&mut self, status: Status) {
        *match status {
            Status::Ok => &mut self.ok,
            Status::Warning => &mut self.warning,
            Status::Critical => &mut self.critical,
            Status::Unknown => &mut self.unknown,
        } += 1;
    }

    pub fn total(self) -> usize {
        self.ok + self.warning + self.critical + self.unknown
    }

    /// The worst status that any has.
    pub fn overall(self) -> Status {
        let found = [
            (Status::Ok, self.ok),
            (Status::Warning, self.warning),
            (Status::Critical, self.critical),
            (Status::Unknown, self.unknown),
        ];
        Status::worst(
            found
                .into_iter()
                .filter(|(_, n)| *n > 0)
                .map(|(status, _)| status),
        )
    }
}

/// Checks that belong together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Layer {
    pub name: String,
    pub total: usize,
    pub counts: Counts,
}

/// One check in one line.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Row {
    #[serde(flatten)]
    pub standing: StandingAnswer,
    pub layer: String,
    pub about: Option<String>,
    /// It is outside its calendar and not looked at.
    pub skipped: bool,
    /// One character for each of the last looks, newest last: `O W C U`, `-` for one outside its calendar.
    pub recent: String,
    /// The number of the last look: the check's `value`, else its first `let` that is a number.
    pub value: Option<f64>,
    /// The numbers of the looks in `recent`.
    pub values: Vec<Option<f64>>,
    pub last_repair: Option<LastRepair>,
    /// Epoch seconds.
    pub silenced_until: Option<f64>,
    /// Its remediation is paused, by itself.
    pub paused: bool,
    /// Its rule says how it is repaired.
    pub repairable: bool,
}

/// The kill switch. Times in epoch seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PauseAnswer {
    pub at: f64,
    pub by: String,
    pub reason: String,
    pub until: Option<f64>,
}

impl From<&Pause> for PauseAnswer {
    fn from(pause: &Pause) -> PauseAnswer {
        PauseAnswer {
            at: pause.at.seconds(),
            by: pause.by.clone(),
            reason: pause.reason.clone(),
            until: pause.until.map(Moment::seconds),
        }
    }
}

/// Half of the checks turned bad together. Times in epoch seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StormAnswer {
    pub began: f64,
    pub until: f64,
    /// How many had turned when it began.
    pub turned: usize,
    /// Those that are not OK yet; the first hundred.
    pub checks: Vec<String>,
}

impl From<&Storm> for StormAnswer {
    fn from(storm: &Storm) -> StormAnswer {
        StormAnswer {
            began: storm.began.seconds(),
            until: storm.until.seconds(),
            turned: storm.turned,
            checks: storm
                .checks
                .iter()
                .take(100)
                .map(ToString::to_string)
                .collect(),
        }
    }
}

/// Neither repaired nor told of for a while. Times in epoch seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SilenceAnswer {
    pub id: u64,
    /// Empty: all of them.
    pub checks: Vec<String>,
    pub at: f64,
    pub until: f64,
    pub by: String,
    pub reason: String,
}

impl From<&Silence> for SilenceAnswer {
    fn from(silence: &Silence) -> SilenceAnswer {
        SilenceAnswer {
            id: silence.id,
            checks: silence.checks.iter().map(ToString::to_string).collect(),
            at: silence.at.seconds(),
            until: silence.until.seconds(),
            by: silence.by.clone(),
            reason: silence.reason.clone(),
        }
    }
}

/// What is in force until a person ends it, and what waits for one.
#[derive(Clone, Debug)]
pub struct Waiting {
    pub silences: Vec<SilenceAnswer>,
    pub proposals: Vec<Proposal>,
}

/// What a stream says now and then: that the engine lives, and how it goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Beat {
    /// Epoch seconds.
    pub now: f64,
    pub overall: Status,
    pub counts: Counts,
    pub generation: String,
    /// How late the last looks were begun, in seconds: the longest of the last minute.
    pub lateness_s: f64,
}

/// The first tag of a check, else the name of its file without its ending.
pub fn layer(check: &Check) -> &str {
    if let Some(tag) = check.tags.first() {
        return tag;
    }
    let file = check.place.file.rsplit('/').next().unwrap_or_default();
    file.rsplit_once('.').map_or(file, |(stem, _)| stem)
}

impl Driver {
    pub(super) fn overview(&self, wanted: &Wanted, now: Moment) -> Overview {
        let mut counts = Counts::default();
        let mut layers: BTreeMap<&str, Counts> = BTreeMap::new();
        let search = wanted.search.as_deref().map(str::to_lowercase);
        let mut found: Vec<(Place, &Name, &Check)> = Vec::new();
        for (name, check) in &self.parts.book.checks {
            let Some(standing) = self.core.standing(name) else {
                continue;
            };
            let layer = layer(check);
            counts.add(standing.status);
            layers.entry(layer).or_default().add(standing.status);
            let fits = (wanted.statuses.is_empty() || wanted.statuses.contains(&standing.status))
                && (wanted.layers.is_empty() || wanted.layers.iter().any(|it| it == layer))
                && search.as_deref().is_none_or(|search| {
                    let about = check.about.as_deref().unwrap_or_default();
                    [name, layer, about, &standing.message]
                        .into_iter()
                        .any(|text| holds(text, search))
                });
            if fits {
                found.push((self.place(name, standing), name, check));
            }
        }
        found.sort_unstable_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)));
        let attempts = self.open_attempts();
        let rows = found.iter().skip(wanted.offset);
        let rows = rows.take(wanted.limit.min(MOST_ROWS));
        let checks = rows
            .filter_map(|(_, name, check)| self.row(name, check, &attempts))
            .collect();
        Overview {
            generation: self.parts.book.generation.to_string(),
            now: now.seconds(),
            overall: counts.overall(),
            counts,
            total: found.len(),
            checks,
            layers: layers
                .into_iter()
                .map(|(name, counts)| Layer {
                    name: name.to_owned(),
                    total: counts.total(),
                    counts,
                })
                .collect(),
            paused: self.core.pause().map(PauseAnswer::from),
            storm: self.core.storm().map(StormAnswer::from),
            complaints: self.complaints.len(),
            complaints_text: (!self.complaints.is_empty()).then(|| plain(&self.complaints)),
            proposals: self.core.attempts().filter_map(Proposal::of).count(),
            silences: self.core.silences().count(),
            incidents: self.telling.incidents.open().count(),
            missed_slots: self.core.missed(),
            store: self.parts.records.trouble(),
        }
    }

    /// Where a check comes: the worst first, and of those the ones nobody silenced and that wait behind nothing.
    fn place(&self, name: &Name, standing: &Standing) -> Place {
        let aside = standing.status != Status::Ok
            && (self.core.silence_of(name).is_some() || self.core.behind(name).is_some());
        Place {
            good: u8::MAX - standing.status.badness(),
            aside,
            since: standing.since,
        }
    }

    pub(super) fn open_attempts(&self) -> HashMap<&Name, &Attempt> {
        let open = self.core.attempts();
        open.map(|attempt| (&attempt.check, attempt)).collect()
    }

    /// One check in one line.
    pub(super) fn row(
        &self,
        name: &Name,
        check: &Check,
        attempts: &HashMap<&Name, &Attempt>,
    ) -> Option<Row> {
        let standing = self.core.standing(name)?;
        let trail = self.trails.of(name);
        Some(Row {
            standing: self.standing_answer(name, standing, attempts),
            layer: layer(check).to_owned(),
            about: check.about.clone(),
            skipped: standing.outside.is_some(),
            recent: trail.map(|it| it.recent()).unwrap_or_default(),
            value: trail.and_then(|it| it.value()),
            values: trail.map(|it| it.values()).unwrap_or_default(),
            last_repair: trail.and_then(|it| it.repair.clone()),
            silenced_until: self.core.silence_of(name).map(|it| it.until.seconds()),
            paused: self.is_paused(name),
            repairable: check.outline.remediation.is_some(),
        })
    }

    /// Whether the remediation of this check alone is paused.
    fn is_paused(&self, name: &Name) -> bool {
        self.core.own_pause(name).is_some()
    }

    pub(super) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for (_, standing) in self.core.standings() {
            counts.add(standing.status);
        }
        counts
    }

    pub(super) fn waits(&self) -> Waiting {
        Waiting {
            silences: self.core.silences().map(SilenceAnswer::from).collect(),
            proposals: self.core.attempts().filter_map(Proposal::of).collect(),
        }
    }

    pub(super) fn beat(&self, now: Moment) -> Beat {
        let counts = self.counts();
        Beat {
            now: now.seconds(),
            overall: counts.overall(),
            counts,
            generation: self.parts.book.generation.to_string(),
            lateness_s: self.lateness(),
        }
    }
}

/// The order of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    good: u8,
    aside: bool,
    since: Moment,
}

/// Whether a text holds what is sought, in any case. Most texts are ASCII, and those are not copied.
fn holds(text: &str, sought: &str) -> bool {
    if sought.is_empty() {
        return true;
    }
    if text.is_ascii() && sought.is_ascii() {
        let sought = sought.as_bytes();
        return text
            .as_bytes()
            .windows(sought.len())
            .any(|window| window.eq_ignore_ascii_case(sought));
    }
    text.to_lowercase().contains(sought)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_comes_first_and_what_waits_comes_last_of_its_status() {
        let place = |status: Status, aside, since| Place {
            good: u8::MAX - status.badness(),
            aside,
            since: Moment(since),
        };
        let mut places = [
            place(Status::Ok, false, 1),
            place(Status::Warning, false, 1),
            place(Status::Critical, true, 1),
            place(Status::Critical, false, 9),
            place(Status::Critical, false, 5),
            place(Status::Unknown, false, 1),
        ];
        places.sort();
        assert_eq!(
            places,
            [
                place(Status::Critical, false, 5),
                place(Status::Critical, false, 9),
                place(Status::Critical, true, 1),
                place(Status::Unknown, false, 1),
                place(Status::Warning, false, 1),
                place(Status::Ok, false, 1),
            ]
        );
    }

    #[test]
    fn what_is_sought_is_found_in_any_case() {
        assert!(holds("Weights file missing", "FILE m"));
        assert!(holds("Größe", &"GRÖSSE".to_lowercase().replace("ss", "ß")));
        assert!(!holds("ab", "abc") && holds("ab", ""));
    }

    #[test]
    fn overall_is_the_worst_of_what_there_is() {
        let mut counts = Counts::default();
        assert_eq!(counts.overall(), Status::Ok);
        counts.add(Status::Warning);
        counts.add(Status::Unknown);
        assert_eq!((counts.overall(), counts.total()), (Status::Unknown, 2));
        let text = serde_json::to_string(&counts).unwrap();
        assert_eq!(text, r#"{"OK":0,"WARNING":1,"CRITICAL":0,"UNKNOWN":1}"#);
    }
}
