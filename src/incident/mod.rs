//! Incidents without I/O: what happened goes in, what is to be told comes out.
//!
//! One cause is one incident. A check that is bad opens one, or joins that of the broken check it rests on; when half of
//! the checks turn bad together the storm is the incident. It is over when every one of its checks is OK: UNKNOWN never
//! ends one. Whom to tell, and when, is in [`telling`]; in which words, in [`words`].
//!
//! What is remembered ([`Incident`], [`Post`]) survives a restart: whatever changed is given back by [`Incidents::take`],
//! to be written together with the notices that it made.

mod hearing;
mod telling;
#[cfg(test)]
mod tests;
mod words;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use crate::model::{
    Name,
    incident::{Because, Ended, Ending, Incident, IncidentId, Listener, Member},
    moment::Moment,
    notice::{Notice, Post},
    status::Status,
};

pub use telling::REFRESH;
pub use words::preview;

/// How a notifier wants to be told.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// The statuses of incidents that it is told of.
    pub when: Vec<Status>,
    /// Told only of what still stands after this: repairs get their chance.
    pub after: Duration,
    /// At most so many in such a window; what is over it comes in one.
    pub limit: Option<(u32, Duration)>,
    /// Told again in such intervals, as long as nobody acknowledges.
    pub repeat: Option<Duration>,
    /// Also of what was over before it was told.
    pub repaired: bool,
    /// A calendar: while it is open, nothing is told but of these statuses.
    pub quiet: Option<(Name, Vec<Status>)>,
    /// Who is told when nobody acknowledges within this.
    pub escalate: Option<(Duration, Vec<Name>)>,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            when: vec![Status::Critical],
            after: Duration::from_secs(30),
            limit: None,
            repeat: None,
            repaired: false,
            quiet: None,
            escalate: None,
        }
    }
}

/// What incidents need to know of the rules and of the engine, as it is now.
pub trait View {
    /// Notifiers that are told of the incidents of this check from their opening.
    fn listeners(&self, check: &str) -> Vec<Name>;
    /// `None` if there is no such notifier (any more).
    fn policy(&self, notifier: &str) -> Option<&Policy>;
    /// Why nobody is told of this check now: a silence, or quiet hours of its own.
    fn hushed(&self, check: &str) -> Option<String>;
    /// Whether a calendar is open now, and until when if that is known.
    fn open_until(&self, calendar: &Name) -> Option<Option<Moment>>;
}

/// How a check stands.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    pub check: &'a Name,
    pub status: Status,
    pub message: &'a str,
    /// The broken check that it rests on.
    pub behind: Option<&'a Name>,
    /// It is one of those that make the storm that is on.
    pub stormed: bool,
}

/// Open incidents, and what is remembered of notifiers.
#[derive(Clone, Debug, Default)]
pub struct Incidents {
    open: BTreeMap<IncidentId, Incident>,
    /// The incident of each check that is not well.
    of: HashMap<Name, IncidentId>,
    /// That of the storm, as long as there is one.
    storm: Option<IncidentId>,
    /// Whether a storm is on.
    storming: bool,
    post: Post,
    /// What changed since it was taken last.
    changed: BTreeSet<IncidentId>,
    ended: Vec<Incident>,
    post_changed: bool,
    notices: Vec<Notice>,
    now: Moment,
}

impl Incidents {
    /// Goes on from what was remembered.
    pub fn start(open: Vec<Incident>, post: Option<Post>, storming: bool) -> Incidents {
        let mut incidents = Incidents {
            post: post.unwrap_or_default(),
            storming,
            ..Incidents::default()
        };
        for incident in open.into_iter().filter(Incident::is_open) {
            if incident.check.is_none() {
                incidents.storm = Some(incident.id);
            }
            for (name, member) in &incident.members {
                if member.status != Status::Ok {
                    incidents.of.insert(name.clone(), incident.id);
                }
            }
            let next = &mut incidents.post.next_incident;
            *next = (*next).max(incident.id);
            incidents.open.insert(incident.id, incident);
        }
        incidents
    }

    /// What is open, oldest first.
    pub fn open(&self) -> impl Iterator<Item = &Incident> {
        self.open.values()
    }

    /// Whether a storm is on.
    pub fn is_storming(&self) -> bool {
        self.storming
    }

    /// The incident that a check belongs to.
    pub fn of(&self, check: &str) -> Option<&Incident> {
        self.open.get(self.of.get(check)?)
    }

    /// Checks that belong to an incident.
    pub fn members(&self) -> impl Iterator<Item = &Name> {
        self.of.keys()
    }

    /// What changed since this was asked last, and what is to be told.
    pub fn take(&mut self) -> (Vec<Incident>, Option<Post>, Vec<Notice>) {
        let mut changed: Vec<Incident> = std::mem::take(&mut self.changed)
            .iter()
            .filter_map(|id| self.open.get(id).cloned())
            .collect();
        changed.append(&mut self.ended);
        let post = std::mem::take(&mut self.post_changed).then(|| self.post.clone());
        (changed, post, std::mem::take(&mut self.notices))
    }

    /// A check was looked at.
    pub fn seen(&mut self, now: Moment, seen: Seen<'_>, view: &impl View) {
        self.now = now;
        match seen.status {
            Status::Ok => self.well(seen, view),
            Status::Unknown => self.unclear(seen, view),
            Status::Warning | Status::Critical => self.bad(seen, view),
        }
    }

    fn well(&mut self, seen: Seen<'_>, view: &impl View) {
        let Some(id) = self.of.remove(seen.check) else {
            return;
        };
        let Some(incident) = self.open.get_mut(&id) else {
            return;
        };
        if let Some(member) = incident.members.get_mut(seen.check) {
            member.status = Status::Ok;
            member.message = seen.message.to_owned();
        }
        self.settle(id, Ending::Recovered, view);
    }

    /// Nobody knows how it stands. That ends nothing; and it opens something only for who wants to hear of it.
    fn unclear(&mut self, seen: Seen<'_>, view: &impl View) {
        if self.of.contains_key(seen.check) {
            return;
        }
        let wanted = view.listeners(seen.check).iter().any(|name| {
            let policy = view.policy(name);
            policy.is_some_and(|policy| policy.when.contains(&Status::Unknown))
        });
        if wanted {
            self.bad(seen, view);
        }
    }

    fn bad(&mut self, seen: Seen<'_>, view: &impl View) {
        let cause = match self.storm {
            Some(storm) if seen.stormed => Some(storm),
            _ => seen.behind.and_then(|cause| self.of.get(cause)).copied(),
        };
        let id = match (self.of.get(seen.check).copied(), cause) {
            (Some(own), Some(cause)) if own != cause && Some(own) != self.storm => {
                self.join(own, cause, seen.check, view);
                cause
            }
            (Some(own), _) => own,
            (None, Some(cause)) => cause,
            (None, None) => self.begin(Some(seen.check.clone())),
        };
        self.of.insert(seen.check.clone(), id);
        let now = self.now;
        let Some(incident) = self.open.get_mut(&id) else {
            return;
        };
        let member = Member {
            status: seen.status,
            message: seen.message.to_owned(),
        };
        let was = incident.members.get(seen.check);
        if was == Some(&member) {
            return;
        }
        if was.is_some_and(|was| was.status == member.status) {
            // Other words alone are no news: whoever asks sees them, and they are written with the next.
            if incident.check.as_ref() == Some(seen.check) {
                incident.message.clone_from(&member.message);
            }
            incident.members.insert(seen.check.clone(), member);
            return;
        }
        let joins = was.is_none_or(|was| was.status == Status::Ok) && !incident.members.is_empty();
        incident.members.insert(seen.check.clone(), member);
        if joins {
            owe(incident, now);
        }
        self.settle(id, Ending::Recovered, view);
        self.enlist(id, seen.check, view);
    }

    fn begin(&mut self, check: Option<Name>) -> IncidentId {
        self.post.next_incident += 1;
        self.post_changed = true;
        let id = self.post.next_incident;
        let incident = Incident {
            id,
            check,
            opened: self.now,
            ended: None,
            status: Status::Ok,
            peak: Status::Ok,
            message: String::new(),
            members: BTreeMap::new(),
            acknowledged: None,
            escalated: false,
            why: None,
            repair: None,
            listeners: BTreeMap::new(),
        };
        self.open.insert(id, incident);
        self.changed.insert(id);
        id
    }

    /// Those who are told of the incidents of this check, if it is as bad as they want.
    fn enlist(&mut self, id: IncidentId, check: &Name, view: &impl View) {
        let now = self.now;
        let Some(incident) = self.open.get_mut(&id) else {
            return;
        };
        for name in view.listeners(check) {
            let Some(policy) = view.policy(&name) else {
                continue;
            };
            if policy.when.contains(&incident.status) && !incident.listeners.contains_key(&name) {
                let listener = listener(now.plus(policy.after), Because::Named);
                incident.listeners.insert(name, listener);
                self.changed.insert(id);
            }
        }
    }

    /// A check of one incident follows from the cause of another. If it is what the first is about, all of that goes over;
    /// else only the check.
    fn join(&mut self, from: IncidentId, to: IncidentId, check: &Name, view: &impl View) {
        let whole = self
            .open
            .get(&from)
            .is_some_and(|it| it.check.as_ref() == Some(check));
        let Some(old) = self.open.get_mut(&from) else {
            return;
        };
        self.changed.extend([from, to]);
        if !whole {
            let member = old.members.remove(check);
            if let (Some(member), Some(new)) = (member, self.open.get_mut(&to)) {
                new.members.insert(check.clone(), member);
            }
            self.of.insert(check.clone(), to);
            self.settle(from, Ending::Recovered, view);
            return;
        }
        let members: Vec<(Name, Member)> = old
            .members
            .iter()
            .map(|(name, member)| (name.clone(), member.clone()))
            .collect();
        let listeners = old.listeners.clone();
        let acknowledged = old.acknowledged.clone();
        let now = self.now;
        if let Some(new) = self.open.get_mut(&to) {
            for (name, member) in members {
                if member.status != Status::Ok {
                    self.of.insert(name.clone(), to);
                }
                new.members.entry(name).or_insert(member);
            }
            for (name, old) in listeners {
                // Who was told of the consequence hears of the cause at once.
                let due = if old.told.is_some() { now } else { old.due };
                new.listeners
                    .entry(name)
                    .or_insert_with(|| listener(due, old.because));
            }
            new.acknowledged = new.acknowledged.take().or(acknowledged);
            owe(new, now);
        }
        self.end(from, Ending::Joined(to), view);
        self.settle(to, Ending::Recovered, view);
    }

    /// How bad it is now, and whether it is over.
    fn settle(&mut self, id: IncidentId, how: Ending, view: &impl View) {
        let storming = self.storming && self.storm == Some(id);
        let Some(incident) = self.open.get_mut(&id) else {
            return;
        };
        self.changed.insert(id);
        let before = incident.status;
        let root = incident.check.as_ref();
        let active: Vec<(&Name, &Member)> = incident
            .members
            .iter()
            .filter(|(_, member)| member.status != Status::Ok)
            .collect();
        let leading = active.iter().find(|(name, _)| Some(*name) == root);
        let leading = leading.or_else(|| {
            let worst = |(_, member): &&(&Name, &Member)| member.status.badness();
            active.iter().max_by_key(worst)
        });
        let status = Status::worst(active.iter().map(|(_, member)| member.status));
        let message = leading
            .filter(|_| incident.check.is_some() || incident.message.is_empty())
            .map(|(_, member)| member.message.clone());
        let checks: Vec<Name> = active.iter().map(|(name, _)| (*name).clone()).collect();
        if let Some(message) = message {
            incident.message = message;
        }
        incident.status = status;
        if status.badness() > incident.peak.badness() {
            incident.peak = status;
        }
        if status == Status::Ok {
            if !storming {
                self.end(id, how, view);
            }
            return;
        }
        if status.badness() > before.badness() && before != Status::Ok {
            incident.acknowledged = None; // what was acknowledged was less
        }
        for check in checks {
            self.enlist(id, &check, view);
        }
    }

    fn end(&mut self, id: IncidentId, how: Ending, view: &impl View) {
        let Some(mut incident) = self.open.remove(&id) else {
            return;
        };
        self.changed.remove(&id);
        self.of.retain(|_, of| *of != id);
        if self.storm == Some(id) {
            self.storm = None;
        }
        incident.ended = Some(Ended { at: self.now, how });
        incident.status = incident.peak;
        self.tell_end(&mut incident, view);
        self.ended.push(incident);
    }
}

fn listener(due: Moment, because: Because) -> Listener {
    Listener {
        due,
        told: None,
        status: None,
        last: None,
        because,
        muted: None,
        quieted: false,
        owed: None,
        passed: false,
    }
}

/// Changes gather for so long before they are told.
const GATHER: Duration = Duration::from_secs(30);

/// Those who were told are to hear of a change, with others that come soon.
fn owe(incident: &mut Incident, now: Moment) {
    for listener in incident.listeners.values_mut() {
        if listener.told.is_some() {
            listener.owed.get_or_insert(now.plus(GATHER));
        }
    }
}
