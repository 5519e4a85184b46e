//! What is asked of incidents and notifiers, one by one: an acknowledgement, a step that tells, a test, how it goes, and
//! whom the rules would have told.

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::oneshot;

use super::{
    answer::{CheckAnswer, NoticeAnswer},
    driver::Driver,
    handle::{NotifierAnswer, Tested},
    post::Post,
    telling::Now,
};
use crate::{
    incident::{self, View},
    model::{
        Name,
        incident::{Acknowledged, Incident, IncidentId},
        moment::Moment,
        span::Span,
    },
    rules::book::Notifier,
};

impl Driver {
    /// What is open, newest first.
    pub(super) fn open_incidents(&self) -> Vec<Incident> {
        let mut open: Vec<Incident> = self.telling.incidents.open().cloned().collect();
        open.reverse();
        open
    }

    pub(super) fn acknowledge(
        &mut self,
        which: Result<IncidentId, Name>,
        word: Acknowledged,
    ) -> Result<Incident, String> {
        let now = word.at;
        let view = Now {
            book: &self.parts.book,
            core: &self.core,
            now,
        };
        let which = match &which {
            Ok(id) => Ok(*id),
            Err(name) => Err(&**name),
        };
        let incident = self.telling.incidents.acknowledge(which, word, &view)?;
        self.write_told(now);
        self.flush();
        Ok(incident)
    }

    pub(super) fn tell_notifiers(
        &mut self,
        to: &[Name],
        text: &str,
        now: Moment,
    ) -> Result<(), String> {
        let known = &self.parts.book.notifiers;
        if let Some(name) = to.iter().find(|name| !known.contains_key(*name)) {
            return Err(format!("there is no notifier `{name}`"));
        }
        let text = self.parts.permission.secrets().hide(text).into_owned();
        let view = Now {
            book: &self.parts.book,
            core: &self.core,
            now,
        };
        for name in to {
            let incidents = &mut self.telling.incidents;
            incidents.note(now, name, None, &text, false, &view);
        }
        self.write_told(now);
        self.flush();
        Ok(())
    }

    pub(super) fn test_notifier(
        &mut self,
        name: &Name,
        now: Moment,
        reply: oneshot::Sender<Result<Vec<Tested>, Vec<Name>>>,
    ) {
        let Some(notifier) = self.parts.book.notifiers.get(name).cloned() else {
            let known = self.parts.book.notifiers.keys().cloned().collect();
            let _ = reply.send(Err(known)); // the asker may have gone
            return;
        };
        let notice = self.telling.incidents.test(now, name);
        let mut tested = Vec::new();
        if let Some(journal) = &notifier.journal {
            self.write_notice(&notifier, &notice);
            tested.push(Tested {
                channel: "journal".to_owned(),
                whom: journal.clone(),
                arrived: true,
                said: "handed over to be written".to_owned(),
            });
        }
        let rules = self.post_rules();
        tokio::spawn(async move {
            for channel in &notifier.channels {
                let sent = rules.send(channel.as_ref(), &notice, None, now).await;
                let arrived = sent.is_ok();
                let said = match sent {
                    Ok(sent) => sent.said,
                    Err(unsent) => unsent.why,
                };
                tested.push(Tested {
                    channel: channel.kind().to_owned(),
                    whom: channel.whom(),
                    arrived,
                    said,
                });
            }
            let _ = reply.send(Ok(tested)); // the asker may have gone
        });
    }

    pub(super) fn notifiers(&self) -> Vec<NotifierAnswer> {
        let counts = self.telling.post.as_ref().map(Post::counts);
        let counts = counts.unwrap_or_default();
        let mut muted: BTreeMap<&Name, u64> = BTreeMap::new();
        for incident in self.telling.incidents.open() {
            for (name, listener) in &incident.listeners {
                if listener.told.is_none() && listener.muted.is_some() {
                    *muted.entry(name).or_default() += 1;
                }
            }
        }
        let view = Now {
            book: &self.parts.book,
            core: &self.core,
            now: self.parts.clock.now(),
        };
        let one = |notifier: &Arc<Notifier>| {
            let mut answer = NotifierAnswer {
                name: notifier.name.to_string(),
                about: notifier.about.clone(),
                channels: channels(notifier)
                    .map(|(kind, _)| kind.to_owned())
                    .collect(),
                muted: muted.get(&notifier.name).copied().unwrap_or(0),
                quiet: notifier
                    .policy
                    .quiet
                    .as_ref()
                    .is_some_and(|(calendar, _)| view.open_until(calendar).is_some()),
                ..NotifierAnswer::default()
            };
            let own = counts
                .iter()
                .filter(|((name, _), _)| *name == notifier.name);
            for (_, lane) in own {
                answer.waiting += lane.waiting;
                answer.sent += lane.sent;
                answer.failed += lane.failed;
                answer.dropped += lane.dropped;
                answer.last_error = lane.last_error.clone().or(answer.last_error);
                let next = lane.next.map(Moment::seconds);
                answer.next = match (answer.next, next) {
                    (Some(one), Some(other)) => Some(one.min(other)),
                    (one, other) => one.or(other),
                };
            }
            answer
        };
        self.parts.book.notifiers.values().map(one).collect()
    }

    /// Whom the rules want told of a check that stands so.
    pub(super) fn foretell(&self, check: &CheckAnswer, now: Moment) -> Vec<NoticeAnswer> {
        let Some(rule) = self.parts.book.checks.get(check.name.as_str()) else {
            return Vec::new();
        };
        let view = Now {
            book: &self.parts.book,
            core: &self.core,
            now,
        };
        let (title, message) = incident::preview(&rule.name, check.status, &check.message, now);
        let text = format!("{title}\n{message}");
        let named = view.listeners(&rule.name);
        let paged = rule.outline.remediation.as_ref();
        let paged = paged.map_or(&[][..], |it| &it.escalate);
        let mut notices = Vec::new();
        for name in named
            .iter()
            .chain(paged.iter().filter(|it| !named.contains(it)))
        {
            let Some(notifier) = self.parts.book.notifiers.get(name) else {
                continue;
            };
            let policy = &notifier.policy;
            let wanted = policy.when.contains(&check.status) && named.contains(name);
            let may_be_paged = paged.contains(name) && check.status.is_bad();
            if !wanted && !may_be_paged {
                continue;
            }
            let when = match &check.behind {
                Some(cause) => format!("with the incident of {cause}"),
                None if !wanted => "if its repair does not help".to_owned(),
                None if view.hushed(&rule.name).is_some() => {
                    "once it is no longer silenced".to_owned()
                }
                None if policy.quiet.as_ref().is_some_and(|(calendar, but)| {
                    !but.contains(&check.status) && view.open_until(calendar).is_some()
                }) =>
                {
                    "after its quiet hours, if it still stands".to_owned()
                }
                None if policy.after.is_zero() => "at once".to_owned(),
                None => {
                    let after = Span(policy.after);
                    format!("after {after}, if it still stands")
                }
            };
            for (channel, whom) in channels(notifier) {
                notices.push(NoticeAnswer {
                    notifier: name.to_string(),
                    channel: channel.to_owned(),
                    whom,
                    when: when.clone(),
                    text: text.clone(),
                });
            }
        }
        notices
    }
}

/// The channels of a notifier with whom they tell, its journal included.
fn channels(notifier: &Notifier) -> impl Iterator<Item = (&'static str, String)> {
    let journal = notifier.journal.iter();
    let journal = journal.map(|journal| ("journal", journal.clone()));
    let others = notifier.channels.iter();
    journal.chain(others.map(|channel| (channel.kind(), channel.whom())))
}
