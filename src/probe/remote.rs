//! What the kinds that look over the network share: whom they ask, and the facts every one of them has.
//!
//! They never fail because of the other side: what went wrong is the fact `error`. `sent` says whether anything was
//! tried; it is false when a template gave `()`, so that something is not configured, or when it is not allowed.

use std::time::Duration;

use serde_json::Value;

use super::{
    Eyes, ProbeError, Workshop,
    path::{Filled, whole},
};
use crate::{
    model::{
        facts::Facts,
        node::Node,
        span::Span,
        text::{Mistake, Place, Text},
    },
    net::{NetError, Peer, tls::Roots},
    permission::{Denied, reaching, settings::Size},
    script::{Template, UrlTemplate},
};

/// What `error` says when a template gave `()`.
pub(super) const NOT_CONFIGURED: &str = "not configured";

/// The facts that all of them have, for the documentation.
pub(super) const SENT: (&str, &str, &str) = (
    "sent",
    "boolean",
    "whether anything was tried; false when it is not configured or not allowed",
);
pub(super) const ERROR: (&str, &str, &str) = (
    "error",
    "text or ()",
    "what went wrong; `not configured` when a template gave ()",
);

/// A host and a port of a rule.
pub(super) struct Whom {
    host: Filled,
    port: Filled,
}

impl Whom {
    /// Reads them; a host that may never be reached is a mistake already at load.
    pub(super) fn build(
        host: &Text,
        port: Option<&Text>,
        usual: u16,
        workshop: &mut Workshop<'_>,
    ) -> Option<Whom> {
        let whom = Whom {
            host: Filled::build(host, workshop)?,
            port: match port {
                Some(port) => Filled::build(port, workshop)?,
                None => Filled::Plain(usual.to_string()),
            },
        };
        let wrong = match (whom.host.plain(), whom.port.plain()) {
            (Some(host_text), Some(port_text)) => match read(host_text, port_text) {
                Ok(peer) => workshop
                    .permission
                    .may_name_host(&peer.host, peer.port)
                    .err()
                    .map(|denied| not_allowed(&denied, &peer, host)),
                Err(why) => Some(Mistake::new("bad-value", why, host.place())),
            },
            (None, Some(port_text)) => port_of(port_text)
                .err()
                .map(|why| Mistake::new("bad-value", why, port.unwrap_or(host).place())),
            (Some(host_text), None) => Peer::new(host_text, 1)
                .err()
                .map(|why| Mistake::new("bad-value", why, host.place())),
            (None, None) => None,
        };
        match wrong {
            Some(wrong) => {
                workshop.mistakes.push(wrong);
                None
            }
            None => Some(whom),
        }
    }

    /// With all templates filled in: `None` if one gives `()`, the inner error if there is no such host or port.
    pub(super) fn at(&self, eyes: &Eyes) -> Result<Option<Result<Peer, String>>, ProbeError> {
        let (Some(host), Some(port)) = (self.host.given(eyes)?, self.port.given(eyes)?) else {
            return Ok(None);
        };
        Ok(Some(read(&host, &port)))
    }
}

fn read(host: &str, port: &str) -> Result<Peer, String> {
    Peer::new(host, port_of(port)?)
}

fn port_of(text: &str) -> Result<u16, String> {
    match text.trim().parse::<u16>() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(format!("`{text}` is no port: 1 to 65535")),
    }
}

/// A URL; one that may never be asked is a mistake already at load. `peer` says whom a whole one, or the beginning of one
/// up to its first `${…}`, leads to.
pub(super) fn url(
    text: &Text,
    workshop: &mut Workshop<'_>,
    peer: impl Fn(&str) -> Result<Peer, String>,
) -> Option<UrlTemplate> {
    let template = Template::compile(workshop.engine, text, workshop.known, workshop.mistakes)?;
    let url = UrlTemplate::of(template, workshop.mistakes)?;
    // A filled-in part changes neither host nor port, so the plain start tells whom it leads to.
    let start = text.as_str().split("${").next().unwrap_or_default();
    if !start.is_empty() {
        let start = url.template().constant().unwrap_or(start);
        let wrong = match peer(start) {
            Err(why) => Some(Mistake::new("bad-value", why, text.place())),
            Ok(peer) => {
                let may = workshop.permission.may_name_host(&peer.host, peer.port);
                may.err().map(|denied| not_allowed(&denied, &peer, text))
            }
        };
        if let Some(wrong) = wrong {
            workshop.mistakes.push(wrong);
            return None;
        }
    }
    Some(url)
}

/// A host that may not be reached.
pub(super) fn not_allowed(denied: &Denied, peer: &Peer, text: &Text) -> Mistake {
    super::path::not_allowed(denied, text).help(reaching::help(&peer.host, peer.port))
}

/// A time limit of a rule: nothing leaves no time to look.
pub(super) fn check_timeout(timeout: Option<Span>, node: &Node, mistakes: &mut Vec<Mistake>) {
    if timeout.is_some_and(|Span(timeout)| timeout.is_zero()) {
        let wrong = "a `timeout` of nothing leaves no time to look";
        mistakes.push(Mistake::new("bad-value", wrong, place(node, "timeout")));
    }
}

/// Where the value of a key stands; the whole node if there is no such key.
pub(super) fn place(node: &Node, key: &str) -> Place {
    node.get(key).unwrap_or(node).place.clone()
}

/// Facts that say that nothing was sent, and why; everything else is as in `none`.
pub(super) fn unsent(none: Facts, why: impl Into<String>) -> Facts {
    none.with("sent", false).with("error", why.into())
}

/// Facts of a failure; everything else is as in `facts`.
pub(super) fn failed(facts: Facts, error: &NetError) -> Facts {
    facts
        .with("sent", error.was_tried())
        .with("error", error.to_string())
}

pub(super) fn milliseconds(span: Duration) -> Value {
    Value::from(span.as_secs_f64() * 1000.0)
}

/// Whose certificates are trusted: those of the file, or of the system.
pub(super) fn roots(ca: Option<&Filled>, eyes: &Eyes) -> Result<Roots, ProbeError> {
    let Some(ca) = ca else {
        return Ok(Roots::System);
    };
    let path = ca.at(eyes)?;
    let Some(mut opened) = eyes.permission.read(&path)? else {
        return Err(ProbeError(format!("{path} is missing")));
    };
    let pem = whole(&path, &mut opened, Size(1 << 20))?;
    Roots::from_pem(&pem).map_err(|why| ProbeError(format!("{path} {why}")))
}
