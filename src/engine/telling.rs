//! From what happens to whom is told: the driver's side of incidents and notices.
//!
//! Everything the incidents change is written as one, and only what is durable is sent. If the disk cannot be written,
//! people hear of it all the same: then a crash could lose a notice, but silence would be worse.

use std::{sync::Arc, time::Duration};

use super::{
    driver::Driver,
    handle::News,
    post::{Post, PostRules},
};
use crate::{
    core::{Core, Output},
    incident::{self, Incidents, Policy, Seen, View},
    journal,
    model::{
        Name,
        attempt::{End, Page, Row},
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
    pub post: Option<Post>,
    tended: Option<Moment>,
    /// When receivers that forget were told last what stands.
    refreshed: Option<Moment>,
}

/// The rules and the engine as incidents see them.
pub(super) struct Now<'a> {
    pub book: &'a Book,
    pub core: &'a Core,
    pub now: Moment,
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

    pub(super) fn post_rules(&self) -> PostRules {
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
    pub(super) fn write_told(&mut self, _now: Moment) {
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
    pub(super) fn write_notice(&self, notifier: &Notifier, notice: &Notice) {
        if let Some(journal) = notifier.journal.as_deref().filter(|_| !notice.paged) {
            let line = journal::records::notice_line(notice, &self.parts.book.generation);
            self.parts.records.journal(journal, line);
        }
    }
}
