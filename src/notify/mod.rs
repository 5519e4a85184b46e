//! How people are told: one file a channel, and the queue of what is on its way.
//!
//! A channel takes one notice and brings it to its receiver, or says why not and whether to try again. It is built from
//! a rule file and filled in when it is used, so that a secret stands nowhere but in the request. What may be reached and
//! run is what `homeostat.yaml` allows, as for everything else. When to try, how often and in which order is [`queue`]'s
//! business; whom to tell at all is that of [`crate::incident`].

mod alertmanager;
mod command;
mod email;
mod filled;
mod http;
pub mod queue;
#[cfg(test)]
mod testing;
mod webhook;

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use serde_json::{Value, json};

pub use alertmanager::Form as AlertmanagerForm;
pub use command::Form as CommandForm;
pub use email::Form as EmailForm;
pub use webhook::Form as WebhookForm;

use crate::{
    model::{
        moment::Moment,
        node::Node,
        notice::{Notice, NoticeKind},
        status::Status,
        text::Mistake,
    },
    permission::Permission,
    script::{Engine, Ground, Known, Scope},
};

/// One kind of channel.
pub struct Kind {
    /// Its key in a notifier.
    pub name: &'static str,
    pub about: &'static str,
    /// For the documentation and its test.
    pub example: &'static str,
    /// Reads it; `None` if there is a mistake.
    pub build: fn(&Node, &mut Workshop<'_>) -> Option<Arc<dyn Channel>>,
}

pub static KINDS: &[&Kind] = &[
    &webhook::KIND,
    &email::KIND,
    &command::KIND,
    &alertmanager::KIND,
];

pub fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().copied().find(|kind| kind.name == name)
}

/// What building a channel needs.
pub struct Workshop<'a> {
    pub engine: &'a Engine,
    /// `vars` and `env`.
    pub known: &'a Known,
    pub permission: &'a Permission,
    pub mistakes: &'a mut Vec<Mistake>,
}

/// A way to a receiver.
pub trait Channel: Send + Sync {
    fn kind(&self) -> &'static str;
    /// Whom it tells, as far as everybody may know.
    fn whom(&self) -> String;
    fn send<'a>(&'a self, parcel: Parcel<'a>) -> BoxFuture<'a, Result<Sent, Unsent>>;
    /// The receiver forgets what is not said again.
    fn forgets(&self) -> bool {
        false
    }
}

/// A notice that is to be sent now.
#[derive(Clone, Copy)]
pub struct Parcel<'a> {
    pub notice: &'a Notice,
    /// By what the receiver knows the message of the opening.
    pub thread: Option<&'a str>,
    pub office: &'a Office,
}

/// What sending needs of the engine.
#[derive(Clone)]
pub struct Office {
    pub engine: Engine,
    pub permission: Arc<Permission>,
    pub ground: Ground,
}

/// It arrived.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sent {
    /// What the receiver said.
    pub said: String,
    /// By what the receiver knows this message.
    pub thread: Option<String>,
}

/// It did not arrive.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{why}")]
pub struct Unsent {
    pub why: String,
    pub again: Again,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Again {
    Later,
    /// Not before so long.
    After(Duration),
    /// It would be refused again.
    Never,
}

impl Unsent {
    fn later(why: impl Into<String>) -> Unsent {
        Unsent {
            why: why.into(),
            again: Again::Later,
        }
    }

    fn never(why: impl Into<String>) -> Unsent {
        Unsent {
            why: why.into(),
            again: Again::Never,
        }
    }
}

/// The same for every try of a notice: who heard it already knows it by this.
pub fn key(notice: &Notice) -> String {
    format!("homeostat-{}-{}", notice.id, notice.at.0)
}

/// A notice as templates see it (`notice.title`), and as receivers of JSON get it.
pub fn value(notice: &Notice) -> Value {
    json!({
        "id": notice.id,
        "key": key(notice),
        "kind": notice.kind.word(),
        "notifier": notice.notifier,
        "incident": notice.incident,
        "check": notice.check,
        "checks": notice.checks,
        "status": notice.status,
        "before": notice.before,
        "title": notice.title,
        "text": notice.text,
        "at": notice.at.seconds(),
        "time": notice.at.iso(),
        "opened": notice.opened.map(Moment::seconds),
        "closed": notice.closed.map(Moment::seconds),
    })
}

/// The names that templates of a channel may read.
fn known(ground: &Known) -> Known {
    let mut sample = value(&sample());
    if let Value::Object(map) = &mut sample {
        // Of any kind: they may be null.
        for name in ["incident", "check", "before", "opened", "closed"] {
            map.insert(name.to_owned(), Value::Null);
        }
    }
    ground.clone().with("notice", Some(sample))
}

fn sample() -> Notice {
    Notice {
        id: 1,
        notifier: "ops".into(),
        incident: Some(1),
        at: Moment(0),
        kind: NoticeKind::Opened,
        status: Status::Critical,
        before: None,
        check: Some("check".into()),
        checks: vec!["check".into()],
        title: "CRITICAL check".to_owned(),
        text: "it is bad".to_owned(),
        opened: Some(Moment(0)),
        closed: None,
        due: Moment(0),
        paged: false,
    }
}

impl Office {
    fn scope<'a>(&'a self, notice: &Notice) -> Scope<'a> {
        let mut scope = Scope::new(&self.ground);
        scope.bind("notice", value(notice));
        scope
    }

    /// A text without secrets.
    pub fn hide(&self, text: &str) -> String {
        self.permission.secrets().hide(text).into_owned()
    }
}

/// How long a channel may take for one notice, unless its rule says otherwise.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The longest a rule may say.
const LONGEST: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_own_name_and_an_example_of_it() {
        for kind in KINDS {
            let namesakes = KINDS.iter().filter(|other| other.name == kind.name);
            assert_eq!(namesakes.count(), 1);
            assert!(kind.example.starts_with(&format!("{}: {{", kind.name)));
            assert!(kind.about.ends_with('.'));
        }
    }

    #[test]
    fn a_notice_is_known_by_the_same_key_at_every_try() {
        let notice = testing::notice(NoticeKind::Opened);
        assert_eq!(key(&notice), "homeostat-17-1767717000000");
        insta::assert_snapshot!(format!("{:#}", value(&notice)), @r#"
        {
          "id": 17,
          "key": "homeostat-17-1767717000000",
          "kind": "opened",
          "notifier": "ops",
          "incident": 4,
          "check": "weights_file",
          "checks": [
            "weights_file",
            "zero_trades"
          ],
          "status": "CRITICAL",
          "before": null,
          "title": "CRITICAL weights_file: <b> & ü",
          "text": "Weights file is corrupted\nincident 4",
          "at": 1767717000.0,
          "time": "2026-01-06T16:30:00.000Z",
          "opened": 1767716940.0,
          "closed": null
        }
        "#);
    }
}
