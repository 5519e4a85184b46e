//! `email`: a mail by SMTP, encrypted unless the server is this machine. The mails of an incident make a thread.
//!
//! The server is resolved and judged like any other peer, and the connection goes to the address that was judged; its
//! certificate must be for the name that the rule says. A mail has the same `Message-ID` at every try, so a server that took
//! it already can tell.

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use lettre::{
    AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{Mailbox, header::ContentType},
    transport::smtp::{
        Error,
        authentication::Credentials,
        client::{Certificate, Tls, TlsParameters},
        extension::ClientId,
    },
};
use schemars::JsonSchema;
use serde::Deserialize;
use url::Host;

use super::{
    Again, Channel, Kind, Office, Parcel, Sent, Unsent, Workshop,
    filled::{self, Filled, place},
};
use crate::{
    clock,
    model::{
        node::{self, Node},
        notice::Notice,
        span::Span,
        text::{Mistake, Text},
    },
    net::Peer,
};

pub static KIND: Kind = Kind {
    name: "email",
    about: "A mail by SMTP, encrypted unless the server is this machine; the mails of an incident make a thread.",
    example: "email: { to: [ops@example.net], from: homeostat@example.net, server: 'smtp://127.0.0.1:25' }",
    build,
};

/// A mail.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Form {
    /// Addresses, with or without a name: `Ann <ann@example.net>`.
    to: Vec<Text>,
    from: Text,
    /// `smtps://host:465` for TLS from the start, `smtp://host:587` for STARTTLS, which must come about unless the server
    /// is this machine. Besides loopback only what `allow: { reach: [...] }` of homeostat.yaml allows.
    server: Text,
    user: Option<Text>,
    password: Option<Text>,
    /// `none`: in the clear, also to other machines.
    tls: Option<TlsWord>,
    /// Before the subject of every mail.
    subject: Option<Text>,
    /// After this it has failed and is tried again later. By default 30s.
    timeout: Option<Span>,
    /// A PEM file with certificates that are trusted besides those of the system.
    ca: Option<Text>,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum TlsWord {
    Required,
    None,
}

struct Mail {
    to: Vec<Filled>,
    from: Filled,
    server: Server,
    user: Option<(Filled, Filled)>,
    subject: Option<Filled>,
    timeout: Duration,
    ca: Option<Text>,
}

/// Whom to give mails.
#[derive(Clone, Debug, PartialEq)]
struct Server {
    peer: Peer,
    security: Security,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Security {
    Tls,
    StartTls,
    /// To this machine: encrypted if it offers that… it need not.
    Clear,
}

impl Server {
    fn read(text: &str, tls: Option<TlsWord>) -> Result<Server, String> {
        let wrong = || format!("`{text}` is no server: write smtps://host:465 or smtp://host:587");
        let url = url::Url::parse(text).map_err(|_| wrong())?;
        let implicit = match url.scheme() {
            "smtps" => true,
            "smtp" => false,
            _ => return Err(wrong()),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err("user and password stand under `user` and `password`".to_owned());
        }
        if !matches!(url.path(), "" | "/") || url.query().is_some() {
            return Err(wrong());
        }
        let host = url.host_str().ok_or_else(wrong)?;
        let port = url.port().unwrap_or(if implicit { 465 } else { 587 });
        let peer = Peer::new(host, port)?;
        let here = match &peer.host {
            Host::Domain(name) => name == "localhost",
            Host::Ipv4(v4) => v4.is_loopback(),
            Host::Ipv6(v6) => v6.is_loopback(),
        };
        let security = match (implicit, tls) {
            (true, Some(TlsWord::None)) => {
                return Err("smtps is TLS: write smtp://, or leave `tls` out".to_owned());
            }
            (true, _) => Security::Tls,
            (false, Some(TlsWord::Required)) => Security::StartTls,
            (false, Some(TlsWord::None)) => Security::Clear,
            (false, None) if here => Security::Clear,
            (false, None) => Security::StartTls,
        };
        Ok(Server { peer, security })
    }
}

fn build(node: &Node, workshop: &mut Workshop<'_>) -> Option<Arc<dyn Channel>> {
    let before = workshop.mistakes.len();
    let form: Form = node::decode(node, workshop.mistakes)?;
    let server = match Server::read(form.server.as_str(), form.tls) {
        Ok(server) => {
            let peer = Ok(server.peer.clone());
            if let Some(wrong) = filled::wrong(peer, &form.server, workshop) {
                workshop.mistakes.push(wrong);
            }
            Some(server)
        }
        Err(why) => {
            let wrong = Mistake::new("bad-value", why, form.server.place());
            workshop.mistakes.push(wrong);
            None
        }
    };
    if form.to.is_empty() {
        let wrong = Mistake::new("empty", "the mail is for nobody", place(node, "to"));
        workshop
            .mistakes
            .push(wrong.help("write `to: [ops@example.net]`"));
    }
    let mut address = |text: &Text| {
        let filled = Filled::build(text, workshop)?;
        if let Some(Err(_)) = filled.plain().map(str::parse::<Mailbox>) {
            let why = format!("`{text}` is no address of mail");
            let wrong = Mistake::new("bad-value", why, text.place());
            workshop.mistakes.push(wrong);
        }
        Some(filled)
    };
    let from = address(&form.from);
    let to: Vec<Filled> = form.to.iter().filter_map(address).collect();
    let mut optional = |text: Option<&Text>| text.map(|text| Filled::build(text, workshop));
    let user = optional(form.user.as_ref()).flatten();
    let password = optional(form.password.as_ref()).flatten();
    let subject = optional(form.subject.as_ref()).flatten();
    if form.user.is_some() != form.password.is_some() {
        let key = if form.user.is_some() {
            "user"
        } else {
            "password"
        };
        let why = "`user` and `password` go together";
        let wrong = Mistake::new("bad-value", why, place(node, key));
        workshop.mistakes.push(wrong);
    }
    let clear = server
        .as_ref()
        .is_some_and(|it| it.security == Security::Clear);
    if clear && form.tls == Some(TlsWord::None) && form.password.is_some() {
        let why = "a password is not sent in the clear";
        let wrong = Mistake::new("bad-value", why, place(node, "tls"));
        workshop.mistakes.push(wrong.help("leave `tls: none` out"));
    }
    let timeout = filled::timeout(form.timeout, node, workshop);
    let ca = filled::authority(form.ca.as_ref(), workshop);
    if workshop.mistakes.len() > before {
        return None;
    }
    Some(Arc::new(Mail {
        to,
        from: from?,
        server: server?,
        user: user.zip(password),
        subject,
        timeout: timeout?,
        ca: ca?,
    }))
}

impl Channel for Mail {
    fn kind(&self) -> &'static str {
        KIND.name
    }

    fn whom(&self) -> String {
        let to: Vec<&str> = self.to.iter().filter_map(Filled::plain).collect();
        match to.len() == self.to.len() {
            true => to.join(", "),
            false => format!("by {}", self.server.peer),
        }
    }

    fn send<'a>(&'a self, parcel: Parcel<'a>) -> BoxFuture<'a, Result<Sent, Unsent>> {
        async move {
            tokio::select! {
                done = self.deliver(parcel) => done,
                () = clock::sleep(self.timeout) => {
                    let limit = Span(self.timeout);
                    Err(Unsent::later(format!("no answer from {} within {limit}", self.server.peer)))
                }
            }
        }
        .boxed()
    }
}

impl Mail {
    async fn deliver(&self, parcel: Parcel<'_>) -> Result<Sent, Unsent> {
        let Parcel { notice, office, .. } = parcel;
        let message = self.message(notice, office)?;
        let peer = &self.server.peer;
        let addresses =
            peer.addresses(&office.permission)
                .await
                .map_err(|error| match error.was_tried() {
                    true => Unsent::later(error.to_string()),
                    false => Unsent::never(error.to_string()),
                })?;
        let mut last = Unsent::later(format!("{peer} has no address"));
        for address in addresses {
            let transport = self.transport(address.ip().to_string(), notice, office)?;
            match transport.send(message.clone()).await {
                Ok(answer) => {
                    let said = answer.message().collect::<Vec<_>>().join(" ");
                    let said = format!("{} {said}", answer.code());
                    return Ok(Sent {
                        said: office.hide(said.trim()),
                        thread: None,
                    });
                }
                Err(error) => {
                    let refused = error.status().is_some();
                    last = unsent(&error, peer);
                    if refused {
                        break; // it answered: another address is the same server
                    }
                }
            }
        }
        Err(last)
    }

    fn transport(
        &self,
        address: String,
        notice: &Notice,
        office: &Office,
    ) -> Result<AsyncSmtpTransport<Tokio1Executor>, Unsent> {
        let parameters = || -> Result<TlsParameters, Unsent> {
            let host = self.server.peer.host.to_string();
            let host = host.trim_matches(['[', ']']).to_owned();
            let mut builder = TlsParameters::builder(host);
            if let Some(path) = &self.ca {
                let pem = filled::pem(path, office)?;
                let found = Certificate::from_pem(&pem)
                    .map_err(|error| Unsent::never(format!("{path}: {error}")))?;
                builder = builder.add_root_certificate(found);
            }
            builder
                .build_rustls()
                .map_err(|error| Unsent::later(format!("could not prepare TLS: {error}")))
        };
        let tls = match self.server.security {
            Security::Tls => Tls::Wrapper(parameters()?),
            Security::StartTls => Tls::Required(parameters()?),
            Security::Clear => Tls::None,
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(address)
            .port(self.server.peer.port)
            .tls(tls)
            .timeout(Some(self.timeout))
            .hello_name(ClientId::Domain("localhost".to_owned()));
        if let Some((user, password)) = &self.user {
            let user = user.fill(notice, office)?;
            let password = password.fill(notice, office)?;
            builder = builder.credentials(Credentials::new(user, password));
        }
        Ok(builder.build())
    }

    fn message(&self, notice: &Notice, office: &Office) -> Result<Message, Unsent> {
        let mailbox = |filled: &Filled| -> Result<Mailbox, Unsent> {
            let text = filled.fill(notice, office)?;
            text.trim()
                .parse()
                .map_err(|_| Unsent::never("an address of mail cannot be read"))
        };
        let from = mailbox(&self.from)?;
        let domain = from.email.domain().to_owned();
        let id = |word: String| format!("<{word}@{domain}>");
        let own = id(super::key(notice));
        let mut subject = notice.title.clone();
        if let Some(prefix) = &self.subject {
            let prefix = prefix.fill(notice, office)?;
            subject = format!("{prefix} {subject}");
        }
        let mut builder = Message::builder()
            .from(from)
            .message_id(Some(own))
            .date(std::time::UNIX_EPOCH + since_epoch(notice))
            .subject(subject.split_whitespace().collect::<Vec<_>>().join(" "));
        for to in &self.to {
            builder = builder.to(mailbox(to)?);
        }
        if let (Some(incident), Some(opened)) = (notice.incident, notice.opened) {
            // All mails of an incident name one that need not exist: that makes them a thread everywhere.
            let thread = id(format!("homeostat-incident-{incident}-{}", opened.0));
            builder = builder.references(thread.clone());
            builder = builder.in_reply_to(thread);
        }
        builder
            .header(ContentType::TEXT_PLAIN)
            .body(notice.text.clone() + "\n")
            .map_err(|error| Unsent::never(format!("could not write the mail: {error}")))
    }
}

fn since_epoch(notice: &Notice) -> Duration {
    Duration::from_millis(u64::try_from(notice.at.0).unwrap_or(0))
}

/// What a failure means: a permanent answer of the server would be the same again.
fn unsent(error: &Error, peer: &Peer) -> Unsent {
    let mut why = format!("{peer}: {error}");
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !why.contains(&inner_text) {
            why.push_str(": ");
            why.push_str(&inner_text);
        }
        cause = inner.source();
    }
    Unsent {
        why,
        again: match error.is_permanent() {
            true => Again::Never,
            false => Again::Later,
        },
    }
}
