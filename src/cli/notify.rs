//! `notify`: who is told by which channels and how that goes; with `--test`, whether a notice arrives.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    engine,
    outcome::{Failure, OK, Outcome, REFUSED},
    past,
    reach::{self, Reach},
    screen::Screen,
    show::{Style, Tone, table::table, text},
    site::Site,
};
use crate::{
    clock::{Clock, SystemClock},
    engine::handle::{NotifierAnswer, Tested},
    model::{Name, moment::Moment, notice::DeliveryState},
    web::{
        client::Client,
        incidents::{NoticeAnswer, NoticesAnswer},
    },
};

/// Notices that are listed.
const RECENT: usize = 20;
/// How long the channels of one notifier may take together.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(180);

pub async fn notify(site: &Site, test: Option<&str>, screen: &Screen) -> Outcome {
    match test {
        Some(name) => try_one(site, name, screen).await,
        None => list(site, screen).await,
    }
}

#[derive(Deserialize)]
struct Answer {
    channels: Vec<Tested>,
}

async fn try_one(site: &Site, name: &str, screen: &Screen) -> Outcome {
    let tested: Vec<Tested> = match reach::reach(site, screen).await? {
        Reach::Running(client) => {
            let body = json!({"notifier": name});
            let answer: Answer = client.post("/api/notify/test", &body, PATIENCE).await?;
            answer.channels
        }
        Reach::Here(live) => {
            let tested = live.handle.test_notifier(Name::from(name)).await;
            reach::end(*live).await?;
            tested?.map_err(|known| {
                let known = known.iter().map(|name| &**name);
                let meant = crate::model::text::meant(name, known)
                    .map(|meant| format!(": did you mean `{meant}`?"))
                    .unwrap_or_default();
                Failure::usage(format!(
                    "there is no notifier `{}`{meant}",
                    text::clean(name)
                ))
            })?
        }
    };
    let arrived = tested.iter().all(|it| it.arrived);
    let value = json!({"notifier": name, "arrived": arrived, "channels": tested});
    screen.answer(&value, |style| {
        let rows: Vec<Vec<String>> = tested.iter().map(|it| row_of_test(it, style)).collect();
        table(&rows, &[], style)
    });
    Ok(if arrived { OK } else { REFUSED })
}

fn row_of_test(tested: &Tested, style: &Style) -> Vec<String> {
    let word = match tested.arrived {
        true => style.paint(Tone::Good, "arrived"),
        false => style.paint(Tone::Bad, "failed"),
    };
    vec![
        word,
        style.strong(&tested.channel),
        text::clean(&tested.whom),
        text::clean(&tested.said),
    ]
}

async fn list(site: &Site, screen: &Screen) -> Outcome {
    let answer: NoticesAnswer = match Client::find(&site.root).await {
        Some(client) => client.get(&format!("/api/notices?limit={RECENT}")).await?,
        None => remembered(site)?,
    };
    let value: Value = json!(answer);
    let now = SystemClock.now();
    screen.answer(&value, |style| shown(&answer, now, style));
    Ok(OK)
}

/// What the rules on disk and the last engine say: nobody is told by asking.
fn remembered(site: &Site) -> Result<NoticesAnswer, Failure> {
    let (book, _) = engine::book(site)?;
    let store = past::snapshot(site)?;
    let (waiting, recent) = match &store {
        None => (Vec::new(), Vec::new()),
        Some(store) => {
            let saved = store.load().map_err(past::unreadable)?;
            let recent = store.deliveries(RECENT).map_err(past::unreadable)?;
            (saved.deliveries, recent)
        }
    };
    let notifiers = book.notifiers.values().map(|notifier| {
        let own = waiting
            .iter()
            .filter(|it| it.state == DeliveryState::Waiting && it.notice.notifier == notifier.name);
        let journal = notifier.journal.iter().map(|_| "journal".to_owned());
        let others = notifier.channels.iter().map(|it| it.kind().to_owned());
        NotifierAnswer {
            name: notifier.name.to_string(),
            about: notifier.about.clone(),
            channels: journal.chain(others).collect(),
            waiting: own.count() as u64,
            ..NotifierAnswer::default()
        }
    });
    Ok(NoticesAnswer {
        notifiers: notifiers.collect(),
        recent: recent.iter().map(NoticeAnswer::of).collect(),
    })
}

/// Notifiers with their queues, then what was told last.
fn shown(answer: &NoticesAnswer, now: Moment, style: &Style) -> String {
    if answer.notifiers.is_empty() {
        return "nobody is told: the rules have no `notifiers:`\n".to_owned();
    }
    let rows: Vec<Vec<String>> = answer
        .notifiers
        .iter()
        .map(|it| row_of_notifier(it, now, style))
        .collect();
    let mut shown = table(&rows, &[], style);
    if !answer.recent.is_empty() {
        shown.push_str(&format!("\n{}\n", style.strong("Told last")));
        let rows: Vec<Vec<String>> = answer
            .recent
            .iter()
            .map(|it| row_of_notice(it, now, style))
            .collect();
        shown.push_str(&table(&rows, &[], style));
    }
    shown
}

fn row_of_notifier(it: &NotifierAnswer, now: Moment, style: &Style) -> Vec<String> {
    let mut said = Vec::new();
    if it.waiting > 0 {
        let next = it.next.map(|next| {
            let next = style.zone.relative(Moment::from_seconds(next), now);
            format!(", the next try {next}")
        });
        said.push(format!(
            "{} waiting{}",
            it.waiting,
            next.unwrap_or_default()
        ));
    }
    if it.sent > 0 {
        said.push(format!("{} sent", it.sent));
    }
    for (count, word) in [
        (it.failed, "failed"),
        (it.dropped, "dropped"),
        (it.muted, "muted"),
    ] {
        if count > 0 {
            said.push(style.paint(Tone::Warning, &format!("{count} {word}")));
        }
    }
    if it.quiet {
        said.push(style.dim("quiet hours"));
    }
    if let Some(error) = &it.last_error {
        said.push(style.paint(Tone::Bad, &text::clean(error)));
    }
    vec![
        style.strong(&text::clean(&it.name)),
        text::clean(&it.channels.join(", ")),
        said.join("; "),
    ]
}

fn row_of_notice(it: &NoticeAnswer, now: Moment, style: &Style) -> Vec<String> {
    let tone = match it.state.as_str() {
        "sent" => Tone::Good,
        "failed" | "dropped" => Tone::Bad,
        _ => Tone::Warning,
    };
    let why = it
        .why
        .as_deref()
        .map(|why| format!(" ({})", text::clean(why)));
    vec![
        style.dim(&style.zone.relative(Moment::from_seconds(it.at), now)),
        style.paint(tone, &it.state),
        format!("{} by {}", text::clean(&it.notifier), it.channel),
        format!("{}{}", text::clean(&it.title), why.unwrap_or_default()),
    ]
}
