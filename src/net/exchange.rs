//! One HTTP request and its answer.
//!
//! Every hop is resolved and judged anew, the connection goes to the addresses that were judged, and another origin is
//! told nothing but what anybody may know. Nothing is sent twice by itself. Answers are not asked for compressed and are
//! not unpacked, so no small answer becomes a large one.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use reqwest::{
    Client, Method, Response, StatusCode,
    dns::{Addrs, Name, Resolve, Resolving},
    header::{self, HeaderMap, HeaderName, HeaderValue},
    redirect::Policy,
    retry,
};
use url::Url;

use super::{
    NetError, Peer, dial,
    tls::{Certificate, Trust},
};
use crate::{clock::Stopwatch, permission::Permission};

/// Headers of the connection: whoever sets them could say two things at once.
const OURS: [HeaderName; 8] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::TE,
    header::TRAILER,
    header::UPGRADE,
    header::EXPECT,
    header::PROXY_AUTHORIZATION,
];
/// All that another origin is told of a rule's headers.
const HARMLESS: [HeaderName; 3] = [header::ACCEPT, header::ACCEPT_LANGUAGE, header::USER_AGENT];

/// What is to be sent.
#[derive(Clone)]
pub struct Request {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Option<Vec<u8>>,
    pub trust: Trust,
    /// For all of it, redirects included.
    pub timeout: Duration,
    /// Bytes of the answer's body; more is an error.
    pub most_body: u64,
    /// How many redirects are followed.
    pub redirects: u32,
}

impl fmt::Debug for Request {
    /// Headers and bodies hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.url)
    }
}

/// What came of it, as far as it came.
#[derive(Debug)]
pub struct Exchange {
    /// Why it is not whole.
    pub error: Option<NetError>,
    pub answer: Option<Answer>,
    pub certificate: Option<Certificate>,
    pub latency: Duration,
}

#[derive(Debug)]
pub struct Answer {
    pub code: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub address: Option<SocketAddr>,
    /// Where a redirect leads that was not followed.
    pub redirect: Option<String>,
}

/// Reads an address of the web: whole, without user and password.
pub fn url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("`{text}` is no URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("`{text}` is no http or https URL"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a URL with user and password is shown to many: use `basic_auth`".to_owned());
    }
    peer(&url)?;
    Ok(url)
}

/// Whom a URL leads to.
pub fn peer(url: &Url) -> Result<Peer, String> {
    match (url.host(), url.port_or_known_default()) {
        (Some(host), Some(port)) if port > 0 => Ok(Peer {
            host: host.to_owned(),
            port,
        }),
        _ => Err(format!("`{url}` names no host and port")),
    }
}

/// Reads the name of a header that a rule may set.
pub fn header_name(name: &str) -> Result<HeaderName, String> {
    let read = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| format!("`{name}` is no name of a header"))?;
    match OURS.contains(&read) {
        true => Err(format!("`{name}` is set by the connection itself")),
        false => Ok(read),
    }
}

/// Reads the value of a header. What is wrong is told without the value: it may be a secret.
pub fn header_value(name: &HeaderName, value: &str) -> Result<HeaderValue, String> {
    let mut read = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| {
        format!("the header `{name}` holds a line break or another control character")
    })?;
    read.set_sensitive(true);
    Ok(read)
}

pub const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
pub const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The header of a user and a password.
pub fn basic(user: &str, password: &str) -> HeaderValue {
    let encoded = BASE64_STANDARD.encode(format!("{user}:{password}"));
    let value = HeaderValue::try_from(format!("Basic {encoded}"));
    let mut value = value.unwrap_or(HeaderValue::from_static("Basic")); // base64 fits everywhere
    value.set_sensitive(true);
    value
}

/// Sends it, and reads what comes back.
pub async fn exchange(request: &Request, permission: &Permission) -> Exchange {
    let watch = Stopwatch::new();
    let mut done = Exchange {
        error: None,
        answer: None,
        certificate: None,
        latency: Duration::ZERO,
    };
    let whom = match peer(&request.url) {
        Ok(whom) => whom,
        Err(why) => {
            done.error = Some(NetError::Failed(why));
            return done;
        }
    };
    let talked = dial::within(request.timeout, &whom, hops(request, permission, &mut done)).await;
    done.error = talked.err();
    done.latency = watch.elapsed();
    done
}

async fn hops(
    request: &Request,
    permission: &Permission,
    done: &mut Exchange,
) -> Result<(), NetError> {
    let mut hop = request.clone();
    loop {
        let response = send(&hop, permission, done).await?;
        let code = response.status();
        let location = response
            .headers()
            .get(header::LOCATION)
            .filter(|_| code.is_redirection())
            .map(|to| String::from_utf8_lossy(to.as_bytes()).into_owned());
        let answer = done.answer.insert(Answer {
            code: code.as_u16(),
            headers: response.headers().clone(),
            body: Vec::new(),
            address: response.remote_addr(),
            redirect: location.clone(),
        });
        match location {
            Some(to) if hop.redirects > 0 => hop = hop.redirected(&to, code)?,
            Some(to) if request.redirects > 0 => {
                let most = request.redirects;
                return Err(NetError::failed(format!(
                    "more than {most} redirects, the next to {to}"
                )));
            }
            _ => return body(response, request.most_body, &mut answer.body).await,
        }
    }
}

async fn send(
    hop: &Request,
    permission: &Permission,
    done: &mut Exchange,
) -> Result<Response, NetError> {
    let peer = peer(&hop.url).map_err(NetError::Failed)?;
    let addresses = peer.addresses(permission).await?;
    let handshake = hop.trust.handshake(&["h2", "http/1.1"]).await?;
    let client = Client::builder()
        .tls_backend_preconfigured(handshake.config)
        .dns_resolver(Arc::new(Judged(addresses)))
        .redirect(Policy::none())
        .retry(retry::never())
        .no_proxy()
        .referer(false)
        .pool_max_idle_per_host(0)
        .user_agent(concat!("homeostat/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| NetError::failed(format!("could not prepare a request: {error}")))?;
    let mut request = client
        .request(hop.method.clone(), hop.url.clone())
        .headers(hop.headers.clone());
    if let Some(body) = &hop.body {
        request = request.body(body.clone());
    }
    let sent = request.send().await;
    done.certificate = handshake.witness.certificate();
    sent.map_err(|error| {
        let distrusted = done.certificate.as_ref().filter(|_| hop.trust.verify);
        NetError::Failed(match distrusted.and_then(|it| it.wrong.as_deref()) {
            Some(wrong) => format!("the certificate of {peer} is not trusted: {wrong}"),
            None => failure(&peer, error),
        })
    })
}

/// Reads a body as far as it may go.
async fn body(mut response: Response, most: u64, body: &mut Vec<u8>) -> Result<(), NetError> {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    loop {
        let chunk = response.chunk().await.map_err(|error| {
            NetError::Failed(format!("the answer broke off: {}", deepest(&error)))
        })?;
        let Some(chunk) = chunk else { return Ok(()) };
        let room = most - body.len();
        body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
        if chunk.len() > room {
            return Err(NetError::failed(format!(
                "the answer is larger than {most} bytes (`max_body`)"
            )));
        }
    }
}

impl Request {
    /// The next hop.
    fn redirected(&self, to: &str, code: StatusCode) -> Result<Request, NetError> {
        let wrong = |why: String| NetError::Failed(format!("was redirected: {why}"));
        let target = self
            .url
            .join(to)
            .map_err(|error| wrong(format!("`{to}` is no URL: {error}")))?;
        let target = url(target.as_str()).map_err(wrong)?;
        let mut next = Request {
            redirects: self.redirects - 1,
            ..self.clone()
        };
        let keeps = matches!(
            code,
            StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT
        );
        if !keeps && self.method != Method::HEAD {
            next.method = Method::GET;
            next.body = None;
            for name in [header::CONTENT_TYPE, header::CONTENT_ENCODING] {
                next.headers.remove(name);
            }
        }
        if target.origin() != self.url.origin() {
            if next.body.is_some() {
                let told = target.host_str().unwrap_or_default();
                return Err(wrong(format!("to {told}, which is not told the body")));
            }
            next.headers = HARMLESS
                .iter()
                .filter_map(|name| Some((name.clone(), self.headers.get(name)?.clone())))
                .collect();
        }
        next.url = target;
        Ok(next)
    }
}

/// Answers with the addresses that were judged, whatever is asked.
struct Judged(Vec<SocketAddr>);

impl Resolve for Judged {
    fn resolve(&self, _: Name) -> Resolving {
        let addresses: Addrs = Box::new(self.0.clone().into_iter());
        Box::pin(async { Ok(addresses) })
    }
}

/// What went wrong, without the URL: it may hold a secret.
fn failure(peer: &Peer, error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(inner) = cause {
        if let Some(io) = inner.downcast_ref::<std::io::Error>()
            && io
                .get_ref()
                .is_some_and(|inner| inner.is::<rustls::Error>())
        {
            return super::tls::unsecured(io);
        }
        cause = inner.source();
    }
    let deepest = deepest(&error);
    match error.is_connect() {
        true => format!("could not connect to {peer}: {deepest}"),
        false => format!("no answer from {peer}: {deepest}"),
    }
}

/// The cause of all causes.
fn deepest(error: &(dyn std::error::Error + 'static)) -> String {
    let mut last = error;
    while let Some(inner) = last.source() {
        last = inner;
    }
    last.to_string()
}
