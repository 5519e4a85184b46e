//! A notice: what one notifier is told, once; and a delivery of it by one of its channels.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Name, incident::IncidentId, moment::Moment, status::Status};

/// Grows by one with every notice, for ever.
pub type NoticeId = u64;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    pub id: NoticeId,
    pub notifier: Name,
    pub incident: Option<IncidentId>,
    pub at: Moment,
    pub kind: NoticeKind,
    /// How it stands now.
    pub status: Status,
    /// The worst that the notifier was told before.
    pub before: Option<Status>,
    /// The root cause, where there is one.
    pub check: Option<Name>,
    /// Those that are not OK now.
    pub checks: Vec<Name>,
    /// One line.
    pub title: String,
    /// The rest, in lines.
    pub text: String,
    pub opened: Option<Moment>,
    pub closed: Option<Moment>,
    /// Not sent before this.
    pub due: Moment,
    /// A page said it already, so that journals have it.
    #[serde(default)]
    pub paged: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    Opened,
    /// It got worse than was told.
    Worse,
    /// More of its checks are bad, or its repair did not help.
    Update,
    /// A person has it in hand.
    Acknowledged,
    /// Told because others did not acknowledge.
    Escalated,
    /// It still stands.
    Repeat,
    Resolved,
    /// It belongs to another incident.
    Joined,
    /// Several in one.
    Summary,
    /// By a step of a rule, or of what is no incident.
    Note,
    /// By a person who wants to see whether it arrives.
    Test,
}

impl NoticeKind {
    pub fn word(self) -> &'static str {
        match self {
            NoticeKind::Opened => "opened",
            NoticeKind::Worse => "worse",
            NoticeKind::Update => "update",
            NoticeKind::Acknowledged => "acknowledged",
            NoticeKind::Escalated => "escalated",
            NoticeKind::Repeat => "repeat",
            NoticeKind::Resolved => "resolved",
            NoticeKind::Joined => "joined",
            NoticeKind::Summary => "summary",
            NoticeKind::Note => "note",
            NoticeKind::Test => "test",
        }
    }

    /// Whether it ends what was told of an incident.
    pub fn closes(self) -> bool {
        matches!(self, NoticeKind::Resolved | NoticeKind::Joined)
    }

    /// Whether it wants to be heard: a change of a message that stands is none of these.
    pub fn is_loud(self) -> bool {
        !matches!(
            self,
            NoticeKind::Update | NoticeKind::Acknowledged | NoticeKind::Joined
        )
    }

    /// Whether a newer one of the same incident makes it needless as long as it was not tried.
    pub fn is_overtaken(self) -> bool {
        matches!(self, NoticeKind::Update | NoticeKind::Repeat)
    }
}

/// A notice on its way through one channel of its notifier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    pub notice: Arc<Notice>,
    /// `webhook`, `email` …
    pub channel: String,
    pub state: DeliveryState,
    pub tries: u32,
    /// When it is tried next.
    pub next: Moment,
    pub ended: Option<Moment>,
    /// Why the last try failed, or why it is not sent.
    pub why: Option<String>,
    /// By what the receiver knows the message: later ones of the incident change or answer it.
    #[serde(default)]
    pub thread: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    Waiting,
    Sent,
    /// Refused for good, or tried for too long.
    Failed,
    /// A newer one says it.
    Replaced,
    /// Too many waited.
    Dropped,
}

impl DeliveryState {
    pub fn word(self) -> &'static str {
        match self {
            DeliveryState::Waiting => "waiting",
            DeliveryState::Sent => "sent",
            DeliveryState::Failed => "failed",
            DeliveryState::Replaced => "replaced",
            DeliveryState::Dropped => "dropped",
        }
    }
}

impl Delivery {
    pub fn new(notice: Arc<Notice>, channel: &str) -> Delivery {
        Delivery {
            next: notice.due,
            notice,
            channel: channel.to_owned(),
            state: DeliveryState::Waiting,
            tries: 0,
            ended: None,
            why: None,
            thread: None,
        }
    }
}

/// What the incidents and their notices changed, written as one: nobody is told of what a restart would not know.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Told {
    pub incidents: Vec<super::incident::Incident>,
    pub deliveries: Vec<Delivery>,
    /// What is remembered of each notifier, if that changed.
    pub post: Option<Post>,
}

/// What is remembered of notifiers beside incidents.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Post {
    pub next_incident: IncidentId,
    pub next_notice: NoticeId,
    pub notifiers: std::collections::BTreeMap<Name, Sent>,
}

/// What is remembered of one notifier.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sent {
    /// When it was told something, as far as its limit needs that.
    pub at: Vec<Moment>,
    /// What came and went in its quiet hours.
    pub missed: Vec<String>,
    /// More of these than are named.
    #[serde(default)]
    pub missed_more: u64,
}
