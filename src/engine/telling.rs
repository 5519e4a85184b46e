//! From what happens to whom is told: the driver's side of incidents and notices.
//!
//! Everything the incidents change is written as one, and only what is durable is sent. If the disk cannot be written,
//! people hear of it all the same: then a crash could lose a notice, but silence would be worse.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::sync::oneshot;

use super::{
    answer::{CheckAnswer, NoticeAnswer},
    driver::Driver,
    handle::{News, NotifierAnswer, Tested},
    post::{Post, PostRules},
};
use crate::{
    core::{Core, Output},
    incident::{self, Incidents, Policy, Seen, View},
    journal,
    model::{
        Name,
        attempt::{End, Page, Row},
        incident::{Acknowledged, Incident, IncidentId},
        moment::Moment,
        notice::{Notice, Told},
        report::Report,
        standing::Storm,
        status::Status,
        step::Outcome,
    },
    notify::queue,
    rules::book::{Book, Notifier},
    trigger::calendar::State,
};

/// What waits for a silence, quiet hours or a limit is seen to so often.
const TEND: Duration = Duration::from_secs(1);

/// Incidents, and the way to people.
#[derive(Default)]
pub(super) struct Telling {
    pub incidents: Incidents,
    /// `None` where nobody is told: in a dry run.
    post: Option<Post>,
    tended: Option<Moment>,
    /// When receivers that forget were told last what stands.
    refreshed: Option<Moment>,
}

/// The rules and the engine as incidents see them.
struct Now<'a> {
    book: &'a Book,
    core: &'a Core,
    now: Moment,
}

impl View for Now<'_> {
    fn listeners(&self, check: &str) -> Vec<Name> {
        self.book.listeners.get(check).cloned().unwrap_or_default()
    }

    fn policy(&self, notifier: &str) -> Option<&Policy> {
        self.book.notifiers.get(notifier).map(|it| &it.policy)
    }

    fn hushed(&self, check: &str) -> Option<String> {
        if let Some(silence) = self.core.silence_of(check) {
            return Some(format!("silenced by {}", silence.by));
        }
        let quiet = self.core.quiet(check, self.now);
        quiet.map(|_| "quiet by its own calendar".to_owned())
    }

    fn open_until(&self, calendar: &Name) -> Option<Option<Moment>> {
        let calendar = self.book.outline.calendars.get(calendar)?;
        let hours = calendar.hours(self.now);
        (hours.state == State::Open).then_some(hours.until)
    }
}

impl Driver {
    /// Goes on from what was remembered. The first thing to do is to see how everything stands now.
    pub(super) fn tells(&mut self, incidents: Incidents, post: Post) {
        self.telling.incidents = incidents;
        self.telling.post = Some(post);
        let now = self.parts.clock.now();
        self.storm_changed(self.core.storm().cloned().as_ref(), now);
        self.see_all(now);
    }

    fn see_all(&mut self, now: Moment) {
        let names: Vec<Name> = self
            .core
            .standings()
            .map(|(name, _)| name.clone())
            .collect();
        for name in names {
            self.see(&name, now);
        }
    }

    /// How a check stands, for its incident. False if that is not known yet: it rests on one that nobody has looked at.
    fn see(&mut self, name: &Name, now: Moment) -> bool {
        let Some(standing) = self.core.standing(name) else {
            return true;
        };
        // What stood when its calendar closed is neither over nor told anew.
        if standing.looked.is_none() || standing.outside.is_some() {
            return standing.outside.is_some();
        }
        let status = standing.status;
        if status == Status::Ok && self.telling.incidents.of(name).is_none() {
            return true;
        }
        let behind = match status {
            Status::Ok => None,
            _ => self.core.behind(name).cloned(),
        };
        if let Some(cause) = &behind
            && (self
                .core
                .standing(cause)
                .is_none_or(|it| it.looked.is_none())
                || !self.see(cause, now))
        {
            return false;
        }
        let Some(standing) = self.core.standing(name) else {
            return true;
        };
        let storm = self.core.storm();
        let seen = Seen {
            check: name,
            status,
            message: &standing.message,
            behind: behind.as_ref(),
            stormed: storm.is_some_and(|storm| storm.checks.contains(name)),
        };
        let view = Now {
            book: &self.parts.book,
            core: &self.core,
            now,
        };
        self.telling.incidents.seen(now, seen, &view);
        true
    }

    pub(super) fn notice_report(&mut self, report: &Report) {
        self.see(&report.check, report.at);
        // What rests on it may belong to it now, or be news of its own after all.
        let moved = report
            .was
            .is_some_and(|was| report.status == Status::Critical || was == Status::Unknown);
        if moved {
            let resting: Vec<Name> = self
                .core
                .resting_on(&report.check)
                .into_iter()
                .filter(|name| {
                    let standing = self.core.standing(name);
                    standing.is_some_and(|it| it.status != Status::Ok)
                })
                .cloned()
                .collect();
            for name in resting {
                self.see(&name, report.at);
            }
        }
    }

    pub(super) fn notice_row(&mut self, row: &Row, now: Moment) {
        match row {
            // Those that turn while it is on join it with their own looks.
            Row::Storm(storm) if storm.is_some() != self.telling.incidents.is_storming() => {
                self.storm_changed(storm.as_ref(), now);
            }
            Row::Page(page) => self.page_people(page, now),
            _ => {}
        }
    }

    fn storm_changed(&mut self, storm: Option<&Storm>, now: Moment) {
        let said = storm.map(|storm| {
            format!(
                "{} of {} checks turned bad together: all repairs wait",
                storm.turned,
                self.parts.book.checks.len()
            )
        });
        let view = Now {
            book: &self.parts.book,
            core: &self.core,
            now,
        };
        self.telling.incidents.storm(now, said.as_deref(), &view);
        for name in storm.into_iter().flat_map(|storm| &storm.checks) {
            self.see(name, now);
        }
    }

    fn page_people(&mut self, page: &Page, now: Moment) {
        if let Some(check) = &page.check {
            self.see(check, now);
        }
        let view = Now {
            book: &self.parts.book,
            core: &self.core,
            now,
        };
        self.telling.incidents.page(now, page, &view);
    }

    /// Proven repairs, before the looks that proved them end their incidents.
    pub(super) fn hear_of_repairs(&mut self, outputs: &[Output]) {
        for output in outputs {
            let Output::Ended { attempt, .. } = output else {
                continue;
            };
            if attempt.end() != Some(End::Verified) {
                continue;
            }
            let done = attempt.receipts.iter();
            let done: Vec<String> = done
                .filter(|receipt| receipt.outcome == Outcome::Done)
                .map(|receipt| format!("{} {}", receipt.kind, receipt.target))
                .collect();
            let what = format!("{} (proven, attempt {})", done.join(", "), attempt.id);
            self.telling.incidents.repaired(&attempt.check, what);
        }
    }

    /// Checks or notifiers may be gone, or new.
    pub(super) fn incidents_reloaded(&mut self, now: Moment) {
        let view = Now {
            book: &self.parts.book,
            core: &self.core,
            now,
        };
        let known = |name: &Name| self.parts.book.checks.contains_key(name);
        self.telling.incidents.retain(now, known, &view);
        if let Some(post) = &self.telling.post {
            post.rules(self.post_rules());
        }
        self.see_all(now);
    }

    fn post_rules(&self) -> PostRules {
        PostRules {
            book: self.parts.book.clone(),
            permission: self.parts.permission.clone(),
            script: self.parts.script.clone(),
            env: self.parts.env.clone(),
        }
    }

    /// Now and then: what is due, and what receivers forget.
    pub(super) fn tend_incidents(&mut self, now: Moment) {
        if self.telling.post.is_none() {
            return;
        }
        let idle = self
            .telling
            .tended
            .is_none_or(|last| now.since(last) >= TEND || now < last);
        if idle {
            self.telling.tended = Some(now);
            if self
                .telling
                .incidents
                .next_due()
                .is_some_and(|due| due <= now)
            {
                let view = Now {
                    book: &self.parts.book,
                    core: &self.core,
                    now,
                };
                self.telling.incidents.tick(now, &view);
                self.write_told(now);
                self.flush();
            }
            self.refresh(now);
        }
    }

    fn refresh(&mut self, now: Moment) {
        let fresh = self
            .telling
            .refreshed
            .is_some_and(|last| last <= now && now.since(last) < incident::REFRESH);
        if fresh {
            return;
        }
        self.telling.refreshed = Some(now);
        let Some(post) = &self.telling.post else {
            return;
        };
        for notifier in self.parts.book.notifiers.values() {
            for channel in notifier.channels.iter().filter(|it| it.forgets()) {
                for notice in self.telling.incidents.standing(now, &notifier.name) {
                    post.refresh(notice, channel.kind());
                }
            }
        }
    }

    /// What just happened is told, as far as it is due at once.
    pub(super) fn tell_people(&mut self, now: Moment) {
        let view = Now {
            book: &self.parts.book,
            core: &self.core,
            now,
        };
        self.telling.incidents.tick_changed(now, &view);
        self.write_told(now);
    }

    /// Writes what changed, and sends what is to be told once it is written.
    fn write_told(&mut self, _now: Moment) {
        let (incidents, post, notices) = self.telling.incidents.take();
        if incidents.is_empty() && notices.is_empty() && post.is_none() {
            return;
        }
        for incident in &incidents {
            self.tell(News::Incident(Arc::new(incident.clone())));
        }
        let mut deliveries = Vec::new();
        for notice in notices {
            let notice = Arc::new(notice);
            let Some(notifier) = self.parts.book.notifiers.get(&notice.notifier) else {
                continue; // the rules lost it a moment ago
            };
            tracing::info!(
                notifier = %notice.notifier, kind = notice.kind.word(), incident = notice.incident, title = notice.title,
                "somebody is told"
            );
            self.write_notice(notifier, &notice);
            let channels = notifier.channels.iter().map(|channel| channel.kind());
            deliveries.extend(queue::deliveries(&notice, channels));
        }
        let row = Row::Told(Box::new(Told {
            incidents,
            deliveries: deliveries.clone(),
            post,
        }));
        if deliveries.is_empty() {
            self.rows.push(row);
            return;
        }
        self.flush();
        let (office, records) = (self.telling.post.clone(), self.parts.records.clone());
        let again = row.clone();
        let then = Box::new(move |written: Result<(), String>| {
            if let Err(error) = written {
                tracing::error!(%error, "what is told cannot be written; it is told all the same");
                records.write(vec![again]);
            }
            if let Some(office) = office {
                office.add(deliveries);
            }
        });
        self.parts.records.durable(row, then);
    }

    /// A line in the journal of a notifier, unless a page wrote it.
    fn write_notice(&self, notifier: &Notifier, notice: &Notice) {
        if let Some(journal) = notifier.journal.as_deref().filter(|_| !notice.paged) {
            let line = journal::records::notice_line(notice, &self.parts.book.generation);
            self.parts.records.journal(journal, line);
        }
    }

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
            if !wanted && !(paged.contains(name) && check.status.is_bad()) {
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
                    let after = crate::model::span::Span(policy.after);
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
