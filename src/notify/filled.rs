//! Texts of a channel: compiled when rules are loaded, filled in when a notice is sent.

use std::{io::Read, time::Duration};

use super::{LONGEST, Office, TIMEOUT, Unsent, Workshop, known};
use crate::{
    model::{
        node::Node,
        notice::Notice,
        span::Span,
        text::{Mistake, Place, Text},
    },
    net::{Peer, exchange, tls::Roots},
    permission::reaching,
    script::{Template, Unfit, UrlTemplate},
};

/// A PEM file.
const MOST_PEM: u64 = 1 << 20;
/// What is sent nowhere, because a `${…}` gave `()`.
const NOT_CONFIGURED: &str = "not configured: a `${…}` gave ()";

/// A text that may read `notice`, `vars` and `env`.
#[derive(Clone, Debug)]
pub(super) struct Filled(Template);

impl Filled {
    pub(super) fn build(text: &Text, workshop: &mut Workshop<'_>) -> Option<Filled> {
        let known = known(workshop.known);
        let compiled = Template::compile(workshop.engine, text, &known, workshop.mistakes)?;
        Some(Filled(compiled))
    }

    /// The text itself, where nothing is to be filled in.
    pub(super) fn plain(&self) -> Option<&str> {
        self.0.constant()
    }

    pub(super) fn fill(&self, notice: &Notice, office: &Office) -> Result<String, Unsent> {
        let given = self.0.given(&office.engine, &office.scope(notice));
        match given {
            Ok(Some(text)) => Ok(text),
            Ok(None) => Err(Unsent::never(NOT_CONFIGURED)),
            Err(fault) => Err(Unsent::never(format!("{}: {fault}", self.0.text()))),
        }
    }
}

/// Where a request goes.
#[derive(Clone, Debug)]
pub(super) struct Address(UrlTemplate);

impl Address {
    /// One that may never be reached is a mistake already at load.
    pub(super) fn build(text: &Text, workshop: &mut Workshop<'_>) -> Option<Address> {
        let known = known(workshop.known);
        let template = Template::compile(workshop.engine, text, &known, workshop.mistakes)?;
        let url = UrlTemplate::of(template, workshop.mistakes)?;
        // A filled-in part changes neither host nor port, so the plain start tells whom it leads to.
        let start = text.as_str().split("${").next().unwrap_or_default();
        if !start.is_empty() {
            let start = url.template().constant().unwrap_or(start);
            let peer = exchange::url(start).and_then(|url| exchange::peer(&url));
            if let Some(wrong) = wrong(peer, text, workshop) {
                workshop.mistakes.push(wrong);
                return None;
            }
        }
        Some(Address(url))
    }

    pub(super) fn fill(&self, notice: &Notice, office: &Office) -> Result<url::Url, Unsent> {
        let rendered = self.0.render(&office.engine, &office.scope(notice));
        let text = match rendered {
            Ok(Ok(text)) => text,
            Ok(Err(Unfit::NotConfigured)) => return Err(Unsent::never(NOT_CONFIGURED)),
            Ok(Err(Unfit::Wrong(why))) => return Err(Unsent::never(why)),
            Err(fault) => {
                let text = self.0.template().text();
                return Err(Unsent::never(format!("{text}: {fault}")));
            }
        };
        exchange::url(&text).map_err(Unsent::never)
    }

    /// Its host, as the rule says it.
    pub(super) fn whom(&self) -> String {
        let start = self.0.template().text().as_str();
        let start = start.split("${").next().unwrap_or_default();
        let peer = exchange::url(start).and_then(|url| exchange::peer(&url));
        peer.map_or_else(
            |_| "a URL of the environment".to_owned(),
            |it| it.to_string(),
        )
    }
}

/// What is wrong with a peer that a rule names.
pub(super) fn wrong(
    peer: Result<Peer, String>,
    text: &Text,
    workshop: &Workshop<'_>,
) -> Option<Mistake> {
    match peer {
        Err(why) => Some(Mistake::new("bad-value", why, text.place())),
        Ok(peer) => {
            let may = workshop.permission.may_name_host(&peer.host, peer.port);
            may.err().map(|denied| {
                Mistake::new("not-allowed", denied.told(), text.place())
                    .help(reaching::help(&peer.host, peer.port))
            })
        }
    }
}

/// A time limit of a channel.
pub(super) fn timeout(
    span: Option<Span>,
    node: &Node,
    workshop: &mut Workshop<'_>,
) -> Option<Duration> {
    match span {
        None => Some(TIMEOUT),
        Some(Span(span)) if !span.is_zero() && span <= LONGEST => Some(span),
        Some(span) => {
            let wrong = format!("a notice cannot take {span}");
            let wrong = Mistake::new("bad-value", wrong, place(node, "timeout"));
            let longest = Span(LONGEST);
            workshop
                .mistakes
                .push(wrong.help(format!("write something up to {longest}")));
            None
        }
    }
}

/// Where the value of a key stands; the whole node if there is no such key.
pub(super) fn place(node: &Node, key: &str) -> Place {
    node.get(key).unwrap_or(node).place.clone()
}

/// A PEM file that a rule names.
pub(super) fn authority(text: Option<&Text>, workshop: &mut Workshop<'_>) -> Option<Option<Text>> {
    let Some(text) = text else {
        return Some(None);
    };
    match workshop.permission.may_look(text.as_str()) {
        Ok(()) => Some(Some(text.clone())),
        Err(denied) => {
            let wrong = Mistake::new("not-allowed", denied.told(), text.place());
            workshop.mistakes.push(wrong);
            None
        }
    }
}

/// The PEM file itself.
pub(super) fn pem(path: &Text, office: &Office) -> Result<Vec<u8>, Unsent> {
    let failed = |why: &str| Unsent::later(format!("{path} {why}"));
    let opened = office
        .permission
        .read(path.as_str())
        .map_err(|denied| Unsent::never(denied.told()))?;
    let mut opened = opened.ok_or_else(|| failed("is missing"))?;
    let mut pem = Vec::new();
    (&mut opened.file)
        .take(MOST_PEM)
        .read_to_end(&mut pem)
        .map_err(|error| failed(&format!("could not be read: {error}")))?;
    Ok(pem)
}

/// Whose certificates are trusted.
pub(super) fn roots(path: Option<&Text>, office: &Office) -> Result<Roots, Unsent> {
    let Some(path) = path else {
        return Ok(Roots::System);
    };
    let pem = pem(path, office)?;
    Roots::from_pem(&pem).map_err(|why| Unsent::never(format!("{path} {why}")))
}
