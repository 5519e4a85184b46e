//! `dns`: what a DNS server answers, as it answers it. To see what programs on this machine get for a name, `/etc/hosts`
//! included, use `tcp`.

use std::{net::IpAddr, sync::Arc};

use futures::future::BoxFuture;
use hickory_proto::{
    op::{Message, Query, ResponseCode},
    rr::{Name, RData, Record, RecordType},
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{
    Eyes, Kind, Probe, ProbeError, Workshop,
    path::Filled,
    remote::{self, ERROR, NOT_CONFIGURED, SENT},
};
use crate::{
    clock::Stopwatch,
    model::{
        facts::Facts,
        node::{Node, decode},
        span::Span,
        text::{Mistake, Text},
    },
    net::{NetError, Peer, dial, name},
};

pub static KIND: Kind = Kind {
    name: "dns",
    about: "what a DNS server answers",
    example: r#"probe: { dns: { name: example.net, type: MX, server: '127.0.0.1:53' } }"#,
    facts: &[
        SENT,
        (
            "code",
            "text or ()",
            "`NOERROR`, `NXDOMAIN`, `SERVFAIL`, `REFUSED` …; () without an answer",
        ),
        (
            "records",
            "list",
            "the records of the type asked for, as texts; names without a dot at the end",
        ),
        ("addresses", "list", "the same where they are addresses"),
        (
            "aliases",
            "list",
            "the names that lead from the one asked for to the one that has the records",
        ),
        (
            "ttl",
            "seconds or ()",
            "how long the records may be kept, the shortest",
        ),
        (
            "authoritative",
            "boolean",
            "the server answered for its own zone",
        ),
        ("server", "text or ()", "the address and port that answered"),
        (
            "latency_ms",
            "milliseconds or ()",
            "until the answer was there",
        ),
        ERROR,
    ],
    schema: Rule::json_schema,
    build,
};

/// A question to a DNS server.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Rule {
    /// The name, whole: no search domain is added. For `PTR` it may be an address.
    name: Text,
    /// By default A.
    #[serde(rename = "type", default)]
    of: Type,
    /// `host` or `host:port`; besides loopback only what `allow: { reach: [...] }` of homeostat.yaml allows. By default the
    /// servers this machine asks, which need no permission.
    server: Option<Text>,
    /// After this there is no answer. By default, and at the most, a little less than the time limit of the check.
    timeout: Option<Span>,
}

#[derive(Clone, Copy, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
enum Type {
    #[default]
    A,
    Aaaa,
    Caa,
    Cname,
    Mx,
    Ns,
    Ptr,
    Soa,
    Srv,
    Txt,
}

impl Type {
    fn record(self) -> RecordType {
        match self {
            Type::A => RecordType::A,
            Type::Aaaa => RecordType::AAAA,
            Type::Caa => RecordType::CAA,
            Type::Cname => RecordType::CNAME,
            Type::Mx => RecordType::MX,
            Type::Ns => RecordType::NS,
            Type::Ptr => RecordType::PTR,
            Type::Soa => RecordType::SOA,
            Type::Srv => RecordType::SRV,
            Type::Txt => RecordType::TXT,
        }
    }
}

struct DnsProbe {
    name: Filled,
    of: Type,
    server: Option<Filled>,
    timeout: Option<Span>,
}

fn build(node: &Node, workshop: &mut Workshop<'_>) -> Option<Arc<dyn Probe>> {
    let rule: Rule = decode(node, workshop.mistakes)?;
    let before = workshop.mistakes.len();
    remote::check_timeout(rule.timeout, node, workshop.mistakes);
    let name = Filled::build(&rule.name, workshop);
    let server = rule
        .server
        .as_ref()
        .and_then(|text| Filled::build(text, workshop));
    let wrong = |why: String, text: &Text| Mistake::new("bad-value", why, text.place());
    if let Some(Filled::Plain(plain)) = &name
        && let Err(why) = question(plain, rule.of)
    {
        workshop.mistakes.push(wrong(why, &rule.name));
    }
    if let (Some(text), Some(Filled::Plain(plain))) = (&rule.server, &server) {
        let told = match peer(plain) {
            Err(why) => Some(wrong(why, text)),
            Ok(peer) => workshop
                .permission
                .may_name_host(&peer.host, peer.port)
                .err()
                .map(|denied| remote::not_allowed(&denied, &peer, text)),
        };
        workshop.mistakes.extend(told);
    }
    (workshop.mistakes.len() == before).then_some(Arc::new(DnsProbe {
        name: name?,
        of: rule.of,
        server,
        timeout: rule.timeout,
    }))
}

/// `host`, `host:port`, `[v6]:port` or a bare address.
fn peer(text: &str) -> Result<Peer, String> {
    if text.parse::<IpAddr>().is_ok() {
        return Peer::new(text, 53);
    }
    match text.rsplit_once(':') {
        Some((host, port)) if !text.ends_with(']') => match port.parse() {
            Ok(port) if port > 0 => Peer::new(host, port),
            _ => Err(format!("`{text}` has no port between 1 and 65535")),
        },
        _ => Peer::new(text, 53),
    }
}

fn question(text: &str, of: Type) -> Result<Query, String> {
    let mut name = match text.parse::<IpAddr>() {
        Ok(address) if of == Type::Ptr => Name::from(address),
        Ok(_) => return Err(format!("`{text}` is an address: only PTR asks about those")),
        Err(_) => Name::from_utf8(text).map_err(|error| format!("`{text}` is no name: {error}"))?,
    };
    if text.is_empty() {
        return Err("there is no name to ask about".to_owned());
    }
    name.set_fqdn(true);
    Ok(Query::query(name, of.record()))
}

impl Probe for DnsProbe {
    fn observe<'a>(&'a self, eyes: &'a Eyes) -> BoxFuture<'a, Result<Facts, ProbeError>> {
        Box::pin(self.ask(eyes))
    }

    fn shape(&self) -> Facts {
        none()
            .with("code", "NOERROR")
            .with("records", vec!["192.0.2.1"])
            .with("addresses", vec!["192.0.2.1"])
            .with("aliases", vec!["www.example.net"])
            .with("ttl", 300)
            .with("latency_ms", 12.5)
    }
}

/// The facts when nothing is known.
fn none() -> Facts {
    let nothing = || Value::Array(Vec::new());
    Facts::new()
        .with("sent", true)
        .with("code", Value::Null)
        .with("records", nothing())
        .with("addresses", nothing())
        .with("aliases", nothing())
        .with("ttl", Value::Null)
        .with("authoritative", false)
        .with("server", Value::Null)
        .with("latency_ms", Value::Null)
        .with("error", Value::Null)
}

impl DnsProbe {
    async fn ask(&self, eyes: &Eyes) -> Result<Facts, ProbeError> {
        let unsent = |why: &str| Ok(remote::unsent(none(), why));
        let Some(asked) = self.name.given(eyes)? else {
            return unsent(NOT_CONFIGURED);
        };
        let question = match question(&asked, self.of) {
            Ok(question) => question,
            Err(why) => return unsent(&why),
        };
        let server = match &self.server {
            None => None,
            Some(server) => match server.given(eyes)?.map(|text| peer(&text)) {
                Some(Ok(peer)) => Some(peer),
                Some(Err(why)) => return unsent(&why),
                None => return unsent(NOT_CONFIGURED),
            },
        };
        let limit = dial::patience(self.timeout, eyes.limit);
        let watch = Stopwatch::new();
        let asking = async {
            let servers = match &server {
                Some(peer) => peer.addresses(&eyes.permission).await?,
                None => name::system_servers().await?,
            };
            let left = limit.saturating_sub(watch.elapsed());
            name::ask(&servers, &question, left).await
        };
        let reply = match tokio::time::timeout(limit, asking).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(error)) => return Ok(remote::failed(none(), &error)),
            Err(_) => {
                let whom = server.map_or("a DNS server".to_owned(), |it| it.to_string());
                let error = NetError::Failed(format!("no answer from {whom}"));
                return Ok(remote::failed(none(), &error));
            }
        };
        let facts = none()
            .with("latency_ms", remote::milliseconds(watch.elapsed()))
            .with("server", reply.server.to_string());
        Ok(told(facts, &reply.message, &question))
    }
}

/// What an answer says.
fn told(facts: Facts, message: &Message, question: &Query) -> Facts {
    let code = message.metadata.response_code;
    let (aliases, circle) = aliases(message, question);
    let last = aliases.last().unwrap_or(question.name());
    let records: Vec<&Record> = message
        .answers
        .iter()
        .filter(|it| it.record_type() == question.query_type() && it.name == *last)
        .collect();
    let addresses: Vec<String> = records
        .iter()
        .filter_map(|record| match &record.data {
            RData::A(address) => Some(address.to_string()),
            RData::AAAA(address) => Some(address.to_string()),
            _ => None,
        })
        .collect();
    let error = match code {
        ResponseCode::NoError if circle => Some("the aliases go in a circle".to_owned()),
        ResponseCode::NoError if records.is_empty() => {
            Some(format!("no {} record", question.query_type()))
        }
        ResponseCode::NoError => None,
        code => Some(name::code(code)),
    };
    let texts: Vec<String> = records.iter().map(|record| text(&record.data)).collect();
    let aliases: Vec<String> = aliases.iter().map(plain).collect();
    facts
        .with("code", name::code(code))
        .with("records", texts)
        .with("addresses", addresses)
        .with("aliases", aliases)
        .with("ttl", records.iter().map(|it| it.ttl).min())
        .with("authoritative", message.metadata.authoritative)
        .with("error", error)
}

/// The names that lead from the one asked for to the last one, and whether they go in a circle.
fn aliases(message: &Message, question: &Query) -> (Vec<Name>, bool) {
    let mut passed: Vec<Name> = Vec::new();
    if question.query_type() == RecordType::CNAME {
        return (passed, false);
    }
    loop {
        let here = passed.last().unwrap_or(question.name());
        let next = message
            .answers
            .iter()
            .find_map(|record| match &record.data {
                RData::CNAME(next) if record.name == *here => Some(next.0.clone()),
                _ => None,
            });
        match next {
            None => return (passed, false),
            Some(next) if next == *question.name() || passed.contains(&next) => {
                return (passed, true);
            }
            Some(next) => passed.push(next),
        }
    }
}

fn plain(name: &Name) -> String {
    let text = name.to_utf8();
    text.strip_suffix('.').unwrap_or(&text).to_owned()
}

/// A record as text.
fn text(data: &RData) -> String {
    match data {
        RData::TXT(txt) => txt
            .txt_data
            .iter()
            .map(|part| String::from_utf8_lossy(part))
            .collect(),
        RData::MX(mx) => format!("{} {}", mx.preference, plain(&mx.exchange)),
        RData::SRV(srv) => {
            let target = plain(&srv.target);
            format!("{} {} {} {target}", srv.priority, srv.weight, srv.port)
        }
        RData::CNAME(name) => plain(&name.0),
        RData::NS(name) => plain(&name.0),
        RData::PTR(name) => plain(&name.0),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
