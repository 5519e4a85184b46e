//! Whom to tell, and when.
//!
//! A notifier is told of an opening once it has stood for `after`, while nobody silences it and its own quiet hours are
//! over. What is over by then is told to nobody (what came and went in quiet hours comes as one summary at their end; with
//! `repaired` the rest does, too). Whoever heard of the opening hears of the end, whatever else is said: no limit, silence
//! or quiet hours take that away, quiet hours only delay it.

use std::{collections::BTreeMap, time::Duration};

use super::{Incidents, View, listener, words};
use crate::model::{
    Name,
    incident::{Because, Ending, Incident, IncidentId},
    moment::Moment,
    notice::{Notice, NoticeKind, Sent},
    status::Status,
};

/// Incidents that came and went in quiet hours are named up to this many.
const MOST_MISSED: usize = 50;

impl Incidents {
    /// Time has passed: tells what is due.
    pub fn tick(&mut self, now: Moment, view: &impl View) {
        let heard = self.open.values().filter(|it| !it.listeners.is_empty());
        let ids = heard.map(|it| it.id).collect();
        self.tick_these(now, ids, view);
        self.sum_up(view);
    }

    /// The same for what changed since it was taken last.
    pub fn tick_changed(&mut self, now: Moment, view: &impl View) {
        let ids = self.changed.iter().copied().collect();
        self.tick_these(now, ids, view);
    }

    fn tick_these(&mut self, now: Moment, ids: Vec<IncidentId>, view: &impl View) {
        self.now = now;
        let mut ready: BTreeMap<Name, Vec<IncidentId>> = BTreeMap::new();
        for id in ids {
            for name in self.due(id, view) {
                ready.entry(name).or_default().push(id);
            }
        }
        for (name, ids) in ready {
            self.open_for(&name, ids, false, view);
        }
    }

    /// The same for one incident, of which a page told these notifiers: they have a line of it already.
    pub(super) fn tick_one(&mut self, id: IncidentId, paged: &[Name], view: &impl View) {
        for name in self.due(id, view) {
            self.open_for(&name, vec![id], paged.contains(&name), view);
        }
        for notice in &mut self.notices {
            let of_it = notice.incident == Some(id) && notice.at == self.now;
            notice.paged |= of_it && paged.contains(&notice.notifier);
        }
    }

    /// When something is due, if nothing else happens. What waits for a silence or quiet hours to end is due all along.
    pub fn next_due(&self) -> Option<Moment> {
        let listeners = self.open.values().flat_map(|incident| {
            let acknowledged = incident.acknowledged.as_ref();
            let until = acknowledged.and_then(|it| it.until);
            let all = incident.listeners.values();
            let due = all.filter_map(move |it| match it.told {
                None => Some(it.due),
                // The driver asks often enough for the rest.
                Some(told) => it.owed.or(acknowledged.is_none().then_some(told)),
            });
            due.chain(until)
        });
        let missed = self.post.notifiers.values();
        let missed = missed.filter(|it| !it.missed.is_empty()).map(|_| self.now);
        listeners.chain(missed).min()
    }

    /// Notifiers that are to be told of this opening now. Those who were told already are told what is new.
    fn due(&mut self, id: IncidentId, view: &impl View) -> Vec<Name> {
        let now = self.now;
        let Some(mut incident) = self.open.remove(&id) else {
            return Vec::new();
        };
        let before = incident.clone();
        let over = incident
            .acknowledged
            .as_ref()
            .and_then(|it| it.until)
            .is_some_and(|until| until <= now);
        if over {
            incident.acknowledged = None;
        }
        // UNKNOWN root of a storm, or a storm whose checks are all well: there is nothing to be told anew.
        let hush = hushed(&incident, view);
        let mut ready = Vec::new();
        let names: Vec<Name> = incident.listeners.keys().cloned().collect();
        for name in names {
            if view.policy(&name).is_none() {
                continue; // gone from the rules; it may come back
            }
            let quiet = self.is_quiet(&name, incident.status, view);
            let Some(listener) = incident.listeners.get_mut(&name) else {
                continue;
            };
            if listener.told.is_none() {
                if listener.due > now {
                    continue;
                }
                let waits = match (&hush, quiet) {
                    (Some(why), _) => Some(why.clone()),
                    (None, true) => Some("quiet hours".to_owned()),
                    (None, false) => incident
                        .acknowledged
                        .as_ref()
                        .map(|it| format!("acknowledged by {}", it.by)),
                };
                listener.quieted |= quiet;
                match waits {
                    Some(why) => listener.muted = Some(why),
                    None => ready.push(name),
                }
                continue;
            }
            if hush.is_some() || quiet {
                continue; // later, if it still matters then
            }
            self.tell_told(&mut incident, &name, view);
        }
        self.pass_on(&mut incident, view);
        for (name, listener) in &incident.listeners {
            let fresh = listener.told.is_none() && listener.due <= now;
            if fresh && !before.listeners.contains_key(name) && hush.is_none() {
                if self.is_quiet(name, incident.status, view) {
                    continue;
                }
                ready.push(name.clone());
            }
        }
        if incident != before {
            self.changed.insert(id);
        }
        self.open.insert(id, incident);
        ready
    }

    /// What is new to one who was told of the opening.
    fn tell_told(&mut self, incident: &mut Incident, name: &Name, view: &impl View) {
        let now = self.now;
        let Some(policy) = view.policy(name) else {
            return;
        };
        let Some(listener) = incident.listeners.get(name) else {
            return;
        };
        let known = listener.status.unwrap_or(Status::Ok);
        let last = listener.last.unwrap_or(incident.opened);
        let kind = if incident.status.badness() > known.badness() {
            NoticeKind::Worse
        } else if listener.owed.is_some_and(|owed| owed <= now) {
            NoticeKind::Update
        } else if incident.acknowledged.is_none()
            && policy.repeat.is_some_and(|every| last.plus(every) <= now)
        {
            NoticeKind::Repeat
        } else {
            return;
        };
        if self.allowance(name, view) == 0 {
            return; // when the limit lets it
        }
        let notice = self.about(incident, name, kind);
        self.spend(name, view);
        self.notices.push(notice);
        if let Some(listener) = incident.listeners.get_mut(name) {
            listener.last = Some(now);
            listener.owed = None;
            if incident.status.badness() > known.badness() {
                listener.status = Some(incident.status);
            }
        }
    }

    /// Nobody acknowledged in time: the next ones hear of it.
    fn pass_on(&mut self, incident: &mut Incident, view: &impl View) {
        let now = self.now;
        if incident.acknowledged.is_some() {
            return;
        }
        let names: Vec<Name> = incident.listeners.keys().cloned().collect();
        for name in names {
            let Some((after, to)) = view.policy(&name).and_then(|it| it.escalate.clone()) else {
                continue;
            };
            let Some(told) = incident
                .listeners
                .get_mut(&name)
                .filter(|it| !it.passed && it.told.is_some_and(|told| told.plus(after) <= now))
            else {
                continue;
            };
            told.passed = true;
            incident.escalated = true;
            for next in to {
                let next = incident
                    .listeners
                    .entry(next)
                    .or_insert_with(|| listener(now, Because::Escalated(name.clone())));
                if next.told.is_none() {
                    next.due = next.due.min(now);
                    next.because = Because::Escalated(name.clone());
                }
            }
        }
    }

    /// Tells a notifier of these openings: each by itself, or several in one where its limit wants that.
    fn open_for(&mut self, name: &Name, mut ids: Vec<IncidentId>, paged: bool, view: &impl View) {
        let now = self.now;
        let allowed = self.allowance(name, view);
        if allowed == 0 {
            for id in ids {
                if let Some(listener) = self.listener_of(id, name) {
                    listener.muted = Some("limit".to_owned());
                }
            }
            return;
        }
        let together = match ids.len() > allowed {
            true => ids.split_off(allowed - 1),
            false => Vec::new(),
        };
        for id in ids {
            let Some(incident) = self.open.get(&id).cloned() else {
                continue;
            };
            let escalated = incident
                .listeners
                .get(name)
                .is_some_and(|it| matches!(it.because, Because::Escalated(_)));
            let kind = match escalated {
                true => NoticeKind::Escalated,
                false => NoticeKind::Opened,
            };
            let mut notice = self.about(&incident, name, kind);
            notice.paged = paged;
            self.spend(name, view);
            self.notices.push(notice);
            self.told(id, name, now);
        }
        if !together.is_empty() {
            let lines: Vec<String> = together
                .iter()
                .filter_map(|id| self.open.get(id))
                .map(words::line)
                .collect();
            let mut notice = self.notice(name, NoticeKind::Summary);
            notice.title = format!("{} more incidents", lines.len());
            notice.status = Status::worst(
                together
                    .iter()
                    .filter_map(|id| Some(self.open.get(id)?.status)),
            );
            notice.text = lines.join("\n");
            self.spend(name, view);
            self.notices.push(notice);
            for id in together {
                self.told(id, name, now);
            }
        }
    }

    fn listener_of(
        &mut self,
        id: IncidentId,
        name: &Name,
    ) -> Option<&mut crate::model::incident::Listener> {
        self.open.get_mut(&id)?.listeners.get_mut(name)
    }

    fn told(&mut self, id: IncidentId, name: &Name, now: Moment) {
        let status = self.open.get(&id).map(|it| it.status);
        self.changed.insert(id);
        if let Some(listener) = self.listener_of(id, name) {
            listener.told = Some(now);
            listener.last = Some(now);
            listener.status = status;
            listener.muted = None;
            listener.owed = None;
        }
    }

    /// What came and went in quiet hours, once they are over.
    fn sum_up(&mut self, view: &impl View) {
        let names: Vec<Name> = self
            .post
            .notifiers
            .iter()
            .filter(|(_, sent)| !sent.missed.is_empty())
            .map(|(name, _)| name.clone())
            .collect();
        for name in names {
            if view.policy(&name).is_none() || self.is_quiet(&name, Status::Ok, view) {
                continue;
            }
            if self.allowance(&name, view) == 0 {
                continue;
            }
            let sent = self.post.notifiers.entry(name.clone()).or_default();
            let mut lines = std::mem::take(&mut sent.missed);
            let more = std::mem::take(&mut sent.missed_more);
            let count = lines.len() as u64 + more;
            if more > 0 {
                lines.push(format!("and {more} more"));
            }
            let mut notice = self.notice(&name, NoticeKind::Summary);
            notice.title = match count {
                1 => "1 incident came and went while it was quiet".to_owned(),
                _ => format!("{count} incidents came and went while it was quiet"),
            };
            notice.text = lines.join("\n");
            self.spend(&name, view);
            self.notices.push(notice);
        }
    }

    /// Everybody who heard of the opening hears of the end.
    pub(super) fn tell_end(&mut self, incident: &mut Incident, view: &impl View) {
        let kind = match incident.ended.as_ref().map(|it| it.how) {
            Some(Ending::Joined(_)) => NoticeKind::Joined,
            _ => NoticeKind::Resolved,
        };
        let names: Vec<Name> = incident.listeners.keys().cloned().collect();
        for name in names {
            let (told, quieted) = match incident.listeners.get(&name) {
                Some(listener) => (listener.told.is_some(), listener.quieted),
                None => continue,
            };
            if told {
                let mut notice = self.about(incident, &name, kind);
                if let Some(until) = self.quiet_until(&name, incident.peak, view) {
                    notice.due = until.unwrap_or(self.now);
                }
                self.notices.push(notice);
            } else if kind == NoticeKind::Joined {
                // The other incident has it.
            } else if quieted {
                self.post_changed = true;
                let sent = self.post.notifiers.entry(name).or_default();
                match sent.missed.len() < MOST_MISSED {
                    true => sent.missed.push(words::line(incident)),
                    false => sent.missed_more += 1,
                }
            } else if view.policy(&name).is_some_and(|it| it.repaired)
                && hushed(incident, view).is_none()
                && self.allowance(&name, view) > 0
            {
                let notice = self.about(incident, &name, NoticeKind::Resolved);
                self.spend(&name, view);
                self.notices.push(notice);
            }
        }
    }

    pub(super) fn tell_acknowledged(&mut self, incident: &Incident, view: &impl View) {
        let told = incident.listeners.iter();
        let told: Vec<Name> = told
            .filter(|(_, listener)| listener.told.is_some())
            .map(|(name, _)| name.clone())
            .collect();
        for name in told {
            if view.policy(&name).is_none()
                || self.is_quiet(&name, incident.status, view)
                || self.allowance(&name, view) == 0
            {
                continue;
            }
            let notice = self.about(incident, &name, NoticeKind::Acknowledged);
            self.spend(&name, view);
            self.notices.push(notice);
        }
    }

    /// A notice that says nothing yet.
    pub(super) fn notice(&mut self, to: &Name, kind: NoticeKind) -> Notice {
        self.post.next_notice += 1;
        self.post_changed = true;
        Notice {
            id: self.post.next_notice,
            notifier: to.clone(),
            incident: None,
            at: self.now,
            kind,
            status: Status::Ok,
            before: None,
            check: None,
            checks: Vec::new(),
            title: String::new(),
            text: String::new(),
            opened: None,
            closed: None,
            due: self.now,
            paged: false,
        }
    }

    fn about(&mut self, incident: &Incident, to: &Name, kind: NoticeKind) -> Notice {
        let notice = self.notice(to, kind);
        let before = incident.listeners.get(to).and_then(|it| it.status);
        let because = incident.listeners.get(to).map(|it| &it.because);
        let over = incident.ended.is_some();
        Notice {
            incident: Some(incident.id),
            status: match over {
                true => Status::Ok,
                false => incident.status,
            },
            before,
            check: incident.check.clone(),
            checks: words::checks(incident),
            title: words::title(incident, kind),
            text: words::text(incident, kind, because, self.now),
            opened: Some(incident.opened),
            closed: incident.ended.as_ref().map(|it| it.at),
            ..notice
        }
    }

    /// Whether its quiet hours keep it from being told of something of this status.
    fn is_quiet(&self, name: &Name, status: Status, view: &impl View) -> bool {
        self.quiet_until(name, status, view).is_some()
    }

    fn quiet_until(&self, name: &Name, status: Status, view: &impl View) -> Option<Option<Moment>> {
        let (calendar, but) = view.policy(name)?.quiet.as_ref()?;
        match but.contains(&status) {
            true => None,
            false => view.open_until(calendar),
        }
    }

    /// How many more its limit allows now.
    fn allowance(&mut self, name: &Name, view: &impl View) -> usize {
        let Some((most, window)) = view.policy(name).and_then(|it| it.limit) else {
            return usize::MAX;
        };
        let edge = self.now.minus(window);
        let sent: &mut Sent = self.post.notifiers.entry(name.clone()).or_default();
        sent.at.retain(|at| *at > edge);
        (most as usize).saturating_sub(sent.at.len())
    }

    /// Counts one towards its limit.
    pub(super) fn spend(&mut self, name: &Name, view: &impl View) {
        if view.policy(name).is_some_and(|it| it.limit.is_some()) {
            let now = self.now;
            let sent = self.post.notifiers.entry(name.clone()).or_default();
            sent.at.push(now);
            self.post_changed = true;
        }
    }
}

/// Why nobody is told of an incident now: each of its checks is silenced, or quiet by its own calendar.
fn hushed(incident: &Incident, view: &impl View) -> Option<String> {
    let active = incident.members.iter();
    let active = active.filter(|(_, member)| member.status != Status::Ok);
    let mut why = None;
    for (name, _) in active {
        why = Some(view.hushed(name)?);
    }
    why
}

/// Told again to a receiver that forgets: so often.
pub const REFRESH: Duration = Duration::from_secs(60);

impl Incidents {
    /// What stands and was told to this notifier, for a receiver that forgets what is not said again.
    pub fn standing(&self, now: Moment, to: &Name) -> Vec<Notice> {
        let told = self.open.values().filter(|incident| {
            let listener = incident.listeners.get(to);
            listener.is_some_and(|it| it.told.is_some())
        });
        told.map(|incident| Notice {
            id: 0,
            notifier: to.clone(),
            incident: Some(incident.id),
            at: now,
            kind: NoticeKind::Repeat,
            status: incident.status,
            before: incident.listeners.get(to).and_then(|it| it.status),
            check: incident.check.clone(),
            checks: words::checks(incident),
            title: words::title(incident, NoticeKind::Repeat),
            text: words::text(incident, NoticeKind::Repeat, None, now),
            opened: Some(incident.opened),
            closed: None,
            due: now,
            paged: false,
        })
        .collect()
    }
}
