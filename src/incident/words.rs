//! The words of notices: a title of one line, and what more there is to say.

use std::time::Duration;

use crate::model::{
    Name,
    incident::{Because, Ending, Incident},
    moment::Moment,
    notice::NoticeKind,
    status::Status,
};

/// Checks are named up to this many.
const MOST_NAMED: usize = 20;
/// Characters of a title.
const TITLE: usize = 200;
/// Characters of a line of the text.
const LINE: usize = 2000;

/// `CRITICAL weights_file: Weights file is corrupted`.
pub fn title(incident: &Incident, kind: NoticeKind) -> String {
    let name = incident.title();
    let head = match kind {
        NoticeKind::Resolved => format!("OK {name}"),
        NoticeKind::Joined => format!("{} {name} follows from another incident", incident.peak),
        NoticeKind::Acknowledged => format!("{} {name} is acknowledged", incident.status),
        NoticeKind::Escalated => format!("{} {name}, not acknowledged", incident.status),
        NoticeKind::Worse => format!("{} {name} got worse", incident.status),
        NoticeKind::Repeat => format!("{} {name} still", incident.status),
        _ => format!("{} {name}", incident.status),
    };
    cut(&one_line(&head), TITLE)
}

/// What more there is to say.
pub fn text(
    incident: &Incident,
    kind: NoticeKind,
    because: Option<&Because>,
    now: Moment,
) -> String {
    let mut lines = Vec::new();
    let stood = |until: Moment| span(until.since(incident.opened));
    let ended = incident.ended.as_ref();
    if let (NoticeKind::Acknowledged, Some(word)) = (kind, &incident.acknowledged) {
        let reason = match word.reason.is_empty() {
            true => String::new(),
            false => format!(": {}", word.reason),
        };
        let until = word
            .until
            .map(|until| format!(" (until {})", until.iso()))
            .unwrap_or_default();
        lines.push(format!("acknowledged by {}{reason}{until}", word.by));
    }
    match ended.map(|it| it.how) {
        Some(Ending::Recovered) => {
            let last = incident.check.as_ref();
            let last = last.and_then(|check| incident.members.get(check));
            let last = last.map_or("", |member| member.message.as_str());
            lines.push(match last {
                "" => "all is well again".to_owned(),
                last => last.to_owned(),
            });
        }
        Some(Ending::Joined(other)) => lines.push(format!("it is a part of incident {other} now")),
        Some(Ending::Removed) => lines.push("its check is gone from the rules".to_owned()),
        None => lines.push(incident.message.clone()),
    }
    if let Some(why) = incident.why.as_ref().filter(|_| ended.is_none()) {
        // A page repeats the message of its check.
        let bare = why.strip_prefix(&format!("{}: ", incident.message));
        let bare = bare.unwrap_or(why);
        if bare != incident.message {
            lines.push(bare.to_owned());
        }
    }
    let all = checks(incident);
    let others: Vec<&str> = all
        .iter()
        .filter(|name| Some(*name) != incident.check.as_ref())
        .map(|name| &**name)
        .collect();
    let named = others.iter().take(MOST_NAMED).copied();
    let named: Vec<&str> = named.collect();
    if !named.is_empty() {
        let more = match others.len() - named.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        lines.push(format!("with it: {}{more}", named.join(", ")));
    }
    if let Some(Because::Escalated(from)) = because.filter(|_| kind == NoticeKind::Escalated) {
        lines.push(format!("{from} did not acknowledge it"));
    }
    match ended {
        Some(ended) => {
            if let Some(repair) = &incident.repair {
                lines.push(format!("repaired: {repair}"));
            }
            lines.push(format!(
                "it was {} for {}, since {}",
                incident.peak,
                stood(ended.at),
                incident.opened.iso()
            ));
        }
        None if now.since(incident.opened) < Duration::from_secs(1) => {
            lines.push(format!("since {}", incident.opened.iso()));
        }
        None => lines.push(format!("since {} ({})", incident.opened.iso(), stood(now))),
    }
    lines.push(format!("incident {}", incident.id));
    let lines: Vec<String> = lines.iter().map(|line| cut(line, LINE)).collect();
    lines.join("\n")
}

/// One line of a summary.
pub fn line(incident: &Incident) -> String {
    let over = match &incident.ended {
        Some(ended) => format!(", over after {}", span(ended.at.since(incident.opened))),
        None => String::new(),
    };
    let said = format!(
        "{} {}: {} (since {}{over})",
        incident.peak,
        incident.title(),
        incident.message,
        incident.opened.iso()
    );
    cut(&one_line(&said), 300)
}

/// The checks of an incident that are not OK, the root cause first; of an ended one, all.
pub fn checks(incident: &Incident) -> Vec<Name> {
    let over = incident.ended.is_some();
    let all = incident.members.iter();
    let mut names: Vec<Name> = all
        .filter(|(_, member)| over || member.status != Status::Ok)
        .map(|(name, _)| name.clone())
        .collect();
    names.sort_by_key(|name| Some(name) != incident.check.as_ref());
    names
}

/// The first line of a text, with what it is about.
pub fn headline(text: &str, about: Option<&str>) -> String {
    let first = text.lines().next().unwrap_or_default();
    let said = match about {
        Some(about) => format!("{about}: {first}"),
        None => first.to_owned(),
    };
    cut(&one_line(&said), TITLE)
}

/// What would be told of a check that stands so, before there is an incident.
pub fn preview(check: &Name, status: Status, message: &str, now: Moment) -> (String, String) {
    let member = crate::model::incident::Member {
        status,
        message: message.to_owned(),
    };
    let incident = Incident {
        id: 0,
        check: Some(check.clone()),
        opened: now,
        ended: None,
        status,
        peak: status,
        message: message.to_owned(),
        members: [(check.clone(), member)].into(),
        acknowledged: None,
        escalated: false,
        why: None,
        repair: None,
        listeners: Default::default(),
    };
    (title(&incident, NoticeKind::Opened), cut(message, LINE))
}

/// In whole seconds.
fn span(length: Duration) -> String {
    humantime::format_duration(Duration::from_secs(length.as_secs())).to_string()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}
