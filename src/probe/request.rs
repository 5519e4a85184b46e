//! The HTTP request of a rule: whom it asks, and how the rule makes itself known there. For the kinds that speak HTTP.

use std::collections::BTreeMap;

use reqwest::{
    Method,
    header::{self, HeaderMap, HeaderName},
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    Eyes, ProbeError, Workshop,
    path::Filled,
    remote::{self, NOT_CONFIGURED},
};
use crate::{
    model::{
        node::Node,
        span::Span,
        text::{Mistake, Text},
    },
    net::{
        dial,
        exchange::{self, Request},
        tls::Trust,
    },
    permission::settings::Size,
    script::{Fault, Scope, Unfit, UrlTemplate},
};

/// Bytes of an answer, unless the rule says otherwise.
pub(super) const MAX_BODY: Size = Size(1 << 20);

/// User and password, sent as a header.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BasicAuth {
    user: Text,
    password: Text,
}

pub(super) fn yes() -> bool {
    true
}

/// What a rule says of it.
pub(super) struct Form<'a> {
    pub url: &'a Text,
    pub headers: &'a BTreeMap<String, Text>,
    pub basic_auth: Option<&'a BasicAuth>,
    pub timeout: Option<Span>,
    pub ca: Option<&'a Text>,
    pub verify: bool,
}

/// A server that a rule asks.
pub(super) struct AskedServer {
    url: UrlTemplate,
    headers: Vec<(HeaderName, Filled)>,
    basic_auth: Option<(Filled, Filled)>,
    timeout: Option<Span>,
    ca: Option<Filled>,
    verify: bool,
}

impl AskedServer {
    /// Reads it; `None` if there is a mistake. `node` is the rule, for the places of mistakes.
    pub(super) fn build(
        form: Form<'_>,
        node: &Node,
        workshop: &mut Workshop<'_>,
    ) -> Option<AskedServer> {
        let before = workshop.mistakes.len();
        remote::check_timeout(form.timeout, node, workshop.mistakes);
        let url = remote::url(form.url, workshop, |start| {
            exchange::peer(&exchange::url(start)?)
        });
        let headers = headers(&form, node, workshop);
        let basic_auth = form.basic_auth.and_then(|it| {
            let user = Filled::build(&it.user, workshop);
            Some((user?, Filled::build(&it.password, workshop)?))
        });
        let ca = form.ca.and_then(|text| Filled::path(text, workshop));
        if workshop.mistakes.len() > before {
            return None;
        }
        Some(AskedServer {
            url: url?,
            headers,
            basic_auth,
            timeout: form.timeout,
            ca,
            verify: form.verify,
        })
    }

    /// Its address, where that can be told beforehand.
    pub(super) fn plain_url(&self) -> Option<&str> {
        self.url.template().constant()
    }

    /// A GET without a body, everything filled in; the inner error says why there is none.
    pub(super) fn request(&self, eyes: &Eyes) -> Result<Result<Request, String>, ProbeError> {
        let not_configured = || Ok(Err(NOT_CONFIGURED.to_owned()));
        let scope = Scope::new(&eyes.ground);
        let url = match self.url.render(&eyes.engine, &scope).map_err(fault)? {
            Ok(text) => exchange::url(&text),
            Err(Unfit::NotConfigured) => return not_configured(),
            Err(Unfit::Wrong(why)) => Err(why),
        };
        let url = match url {
            Ok(url) => url,
            Err(why) => return Ok(Err(why)),
        };
        let mut headers = HeaderMap::new();
        for (name, filled) in &self.headers {
            let Some(value) = filled.given(eyes)? else {
                return not_configured();
            };
            match exchange::header_value(name, &value) {
                Ok(value) => headers.insert(name.clone(), value),
                Err(why) => return Ok(Err(why)),
            };
        }
        if let Some((user, password)) = &self.basic_auth {
            let (Some(user), Some(password)) = (user.given(eyes)?, password.given(eyes)?) else {
                return not_configured();
            };
            headers.insert(header::AUTHORIZATION, exchange::basic(&user, &password));
        }
        Ok(Ok(Request {
            method: Method::GET,
            url,
            headers,
            body: None,
            trust: Trust {
                roots: remote::roots(self.ca.as_ref(), eyes)?,
                verify: self.verify,
                at: eyes.ground.now,
            },
            timeout: dial::patience(self.timeout, eyes.limit),
            most_body: MAX_BODY.0,
            redirects: 0,
        }))
    }
}

/// An expression that failed, with what it is.
pub(super) fn fault(fault: Fault) -> ProbeError {
    ProbeError(format!("{}: {fault}", fault.expression))
}

/// Headers of a rule; what cannot be sent is a mistake at the very header.
fn headers(rule: &Form<'_>, node: &Node, workshop: &mut Workshop<'_>) -> Vec<(HeaderName, Filled)> {
    let mut headers = Vec::new();
    for (name, text) in rule.headers {
        let place = || {
            let entries = node.get("headers").map(Node::entries).unwrap_or_default();
            let key = entries.iter().find(|(key, _)| key.key() == name);
            key.map_or(&node.place, |(key, _)| &key.place).clone()
        };
        let filled = Filled::build(text, workshop);
        let wrong = match exchange::header_name(name) {
            Ok(read) if headers.iter().any(|(known, _)| *known == read) => {
                format!("the header `{name}` stands here twice")
            }
            Ok(read) if rule.basic_auth.is_some() && read == header::AUTHORIZATION => {
                "`basic_auth` sets this header as well".to_owned()
            }
            Ok(read) => match filled.as_ref().and_then(Filled::plain) {
                Some(plain) if exchange::header_value(&read, plain).is_err() => {
                    format!("the value of the header `{name}` holds a line break or the like")
                }
                _ => {
                    headers.extend(filled.map(|filled| (read, filled)));
                    continue;
                }
            },
            Err(why) => why,
        };
        let wrong = Mistake::new("bad-value", wrong, place());
        workshop.mistakes.push(wrong);
    }
    headers
}
