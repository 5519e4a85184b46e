//! What incidents hear beside looks: storms, pages, proven repairs, what people say, and new rules.

use super::{Incidents, View, listener, words};
use crate::model::{
    Name,
    attempt::Page,
    incident::{Acknowledged, Because, Ending, Incident, IncidentId},
    moment::Moment,
    notice::{Notice, NoticeKind},
    status::Status,
};

impl Incidents {
    /// A storm began, went on or ended; `said` is what it is told as.
    pub fn storm(&mut self, now: Moment, said: Option<&str>, view: &impl View) {
        self.now = now;
        self.storming = said.is_some();
        match (said, self.storm) {
            (Some(said), None) => {
                let id = self.begin(None);
                self.storm = Some(id);
                if let Some(incident) = self.open.get_mut(&id) {
                    incident.message = said.to_owned();
                    incident.status = Status::Critical;
                    incident.peak = Status::Critical;
                }
            }
            (None, Some(id)) => {
                let left = self.open.get(&id).is_some_and(|incident| {
                    let mut all = incident.members.values();
                    all.any(|member| member.status != Status::Ok)
                });
                if !left {
                    self.end(id, Ending::Recovered, view);
                }
            }
            _ => {}
        }
    }

    /// The engine can do no more, or waits for a person: those whom the rule names are told now.
    pub fn page(&mut self, now: Moment, page: &Page, view: &impl View) {
        self.now = now;
        let id = match &page.check {
            Some(check) => self.of.get(check).copied(),
            None => self.storm,
        };
        let Some(incident) = id.and_then(|id| self.open.get_mut(&id)) else {
            for name in &page.to {
                self.note(now, name, page.check.as_deref(), &page.text, true, view);
            }
            return;
        };
        incident.why = Some(page.text.clone());
        let id = incident.id;
        self.changed.insert(id);
        for name in &page.to {
            if view.policy(name).is_none() {
                continue;
            }
            let told = incident
                .listeners
                .get(name)
                .is_some_and(|it| it.told.is_some());
            if told {
                if let Some(listener) = incident.listeners.get_mut(name) {
                    listener.owed = Some(now);
                }
            } else {
                let paged = listener(now, Because::Paged);
                incident.listeners.insert(name.clone(), paged);
            }
        }
        self.tick_one(id, &page.to, view);
    }

    /// A repair of this check was proven.
    pub fn repaired(&mut self, check: &str, what: String) {
        let id = self.of.get(check).copied();
        // The look that proved it may have ended the incident a moment ago.
        let found = match id {
            Some(id) => self.open.get_mut(&id),
            None => None,
        };
        if let Some(incident) = found {
            self.changed.insert(incident.id);
            incident.repair = Some(format!("{check}: {what}"));
        }
    }

    /// Tells one notifier something that is no incident.
    pub fn note(
        &mut self,
        now: Moment,
        to: &Name,
        about: Option<&str>,
        text: &str,
        paged: bool,
        view: &impl View,
    ) {
        self.now = now;
        if view.policy(to).is_none() {
            return;
        }
        let mut notice = self.notice(to, NoticeKind::Note);
        notice.check = about.map(Name::from);
        notice.title = words::headline(text, about);
        notice.text = text.to_owned();
        notice.paged = paged;
        self.spend(to, view);
        self.notices.push(notice);
    }

    /// A notice that only shows whether it arrives. It is not kept.
    pub fn test(&mut self, now: Moment, to: &Name) -> Notice {
        self.now = now;
        let mut notice = self.notice(to, NoticeKind::Test);
        notice.title = format!("a test notice to {to}");
        notice.text = "Nothing is wrong: somebody wanted to see whether this arrives.".to_owned();
        notice
    }

    /// A person has it in hand: named by the incident, or by a check of it.
    pub fn acknowledge(
        &mut self,
        which: Result<IncidentId, &str>,
        word: Acknowledged,
        view: &impl View,
    ) -> Result<Incident, String> {
        self.now = word.at;
        let id = match which {
            Ok(id) => id,
            Err(check) => *self
                .of
                .get(check)
                .ok_or_else(|| format!("{check} belongs to no open incident"))?,
        };
        let incident = self
            .open
            .get_mut(&id)
            .ok_or_else(|| format!("there is no open incident {id}"))?;
        incident.acknowledged = Some(word);
        self.changed.insert(id);
        let incident = incident.clone();
        self.tell_acknowledged(&incident, view);
        Ok(incident)
    }

    /// The rules were loaded anew: checks that are gone belong to nothing any more, and notifiers that are new hear of what
    /// stands.
    pub fn retain(&mut self, now: Moment, known: impl Fn(&Name) -> bool, view: &impl View) {
        self.now = now;
        let gone: Vec<(Name, IncidentId)> = self
            .of
            .iter()
            .filter(|(name, _)| !known(name))
            .map(|(name, id)| (name.clone(), *id))
            .collect();
        for (name, id) in gone {
            self.of.remove(&name);
            if let Some(incident) = self.open.get_mut(&id) {
                incident.members.remove(&name);
                self.settle(id, Ending::Removed, view);
            }
        }
        let standing: Vec<(Name, IncidentId)> = self
            .of
            .iter()
            .map(|(name, id)| (name.clone(), *id))
            .collect();
        for (name, id) in standing {
            self.enlist(id, &name, view);
        }
    }
}
