//! The doors: what is judged before an endpoint is asked.
//!
//! Through the owner-only socket comes the owner. On the loopback address anything on this machine may knock, a browser
//! that shows somebody else's page included. So there, in this order: `Host` must name this machine (a name that an
//! attacker points at 127.0.0.1 is another), an `Origin` must be the address itself, a token must be one that counts, and
//! nobody may ask too often. Then, at the endpoint itself and by the table that made it, the scope must be large enough;
//! only after that is a body read, within its bounds of size and time.
//!
//! A wrong token is refused more slowly the more there are, but one that counts is let in even then: a script that goes
//! on with an old token must not keep people out, and tokens are too long to be guessed ([`tokens::SHORTEST`]).
//!
//! [`tokens::SHORTEST`]: crate::permission::tokens::SHORTEST

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};

use http_body_util::BodyExt;

use super::{
    caller::{Caller, Scope},
    limits::Limit,
    refusal::Refusal,
    tokens::Keys,
};
use crate::{clock, permission::settings::Reading};

/// Requests at once by one asker…
const BURST: u32 = 400;
/// …and in a second after that.
const RATE: f64 = 100.0;
/// Wrong tokens at once from one address…
const WRONG: u32 = 10;
/// …and in a second after that: ten a minute.
const WRONG_RATE: f64 = 10.0 / 60.0;
/// A body must have come by then.
const BODY_TIME: Duration = Duration::from_secs(20);
/// So much of a body that is too large is read all the same.
const WASTE: usize = 4 << 20;
/// An answer that waits for nothing must be there by then.
const ANSWER_TIME: Duration = Duration::from_secs(30);

/// Who knocks: the address of the other side; `None` on a Unix socket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub Option<IpAddr>);

/// The door on the loopback address.
pub struct Door {
    keys: Keys,
    reading: Reading,
    asked: Limit<Asker>,
    wrong: Limit<Option<IpAddr>>,
}

/// Whose bucket a request is taken from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Asker {
    Token(Arc<str>),
    Address(Option<IpAddr>),
}

impl Door {
    pub fn new(keys: Keys, reading: Reading) -> Door {
        Door {
            keys,
            reading,
            asked: Limit::new(BURST, RATE),
            wrong: Limit::new(WRONG, WRONG_RATE),
        }
    }

    fn judge(&self, request: &Request) -> Result<Caller, Refusal> {
        let headers = request.headers();
        let host = host(request).filter(|host| is_here(host)).ok_or_else(|| {
            let told = "this address answers to localhost and loopback addresses only";
            Refusal::new(StatusCode::MISDIRECTED_REQUEST, told)
        })?;
        origin(headers, host, request.method())?;
        let peer = request.extensions().get::<Peer>().and_then(|peer| peer.0);
        let caller = self.caller(headers, peer)?;
        let asker = match &caller.name {
            Some(name) => Asker::Token(name.clone()),
            None => Asker::Address(peer),
        };
        match self.asked.take(&asker) {
            Ok(()) => Ok(caller),
            Err(again) => Err(Refusal::busy("you ask too often", again)),
        }
    }

    fn caller(&self, headers: &HeaderMap, peer: Option<IpAddr>) -> Result<Caller, Refusal> {
        let found = match bearer(headers) {
            Ok(None) => return Ok(Caller::nobody()),
            Ok(Some(token)) => self.keys.find(token),
            Err(()) => None,
        };
        match found {
            Some(caller) => Ok(caller),
            None => Err(match self.wrong.take(&peer) {
                Ok(()) => {
                    tracing::warn!(from = ?peer, "a token was refused");
                    Refusal::new(StatusCode::UNAUTHORIZED, "there is no such token")
                }
                Err(again) => Refusal::busy("too many wrong tokens", again),
            }),
        }
    }
}

/// Everything that comes in on the loopback address.
pub(super) async fn loopback(
    State(door): State<Arc<Door>>,
    mut request: Request,
    next: Next,
) -> Response {
    match door.judge(&request) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            request.extensions_mut().insert(door.reading);
            next.run(request).await
        }
        Err(refusal) => refusal.into_response(),
    }
}

/// Everything that comes in on the owner's socket.
pub(super) async fn owner(mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(Caller::owner());
    next.run(request).await
}

/// What one endpoint asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Needs {
    /// `None`: anybody may ask.
    pub scope: Option<Scope>,
    pub only_reads: bool,
    /// It may wait for something to happen.
    pub waits: bool,
    /// Bytes of its body.
    pub largest: usize,
}

/// The last door, at the endpoint itself.
pub(super) async fn gate(State(needs): State<Needs>, request: Request, next: Next) -> Response {
    match enter(needs, request, next).await {
        Ok(response) => response,
        Err(refusal) => refusal.into_response(),
    }
}

async fn enter(needs: Needs, request: Request, next: Next) -> Result<Response, Refusal> {
    allowed(needs, &request)?;
    let request = match needs.only_reads {
        true => request,
        false => with_body(request, needs.largest).await?,
    };
    if needs.waits {
        return Ok(next.run(request).await);
    }
    tokio::select! {
        response = next.run(request) => Ok(response),
        () = clock::sleep(ANSWER_TIME) => Err(Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the engine does not answer in time",
        ).retry_after(5)),
    }
}

fn allowed(needs: Needs, request: &Request) -> Result<(), Refusal> {
    let Some(scope) = needs.scope else {
        return Ok(());
    };
    let caller = request.extensions().get::<Caller>();
    let caller = caller.cloned().unwrap_or_else(Caller::nobody);
    let open = request.extensions().get::<Reading>() == Some(&Reading::Open);
    if caller.may(scope) || needs.only_reads && scope == Scope::Read && open {
        return Ok(());
    }
    Err(match caller.scope {
        None => {
            let told = format!(
                "this needs a token of the scope `{}`: `Authorization: Bearer …` (see `homeostat token`)",
                scope.word()
            );
            Refusal::new(StatusCode::UNAUTHORIZED, told)
        }
        Some(has) => {
            let told = format!(
                "this needs a token of the scope `{}`, and yours has `{}`",
                scope.word(),
                has.word()
            );
            Refusal::new(StatusCode::FORBIDDEN, told)
        }
    })
}

/// The request with its whole body, if that is small enough and comes in time.
async fn with_body(request: Request, largest: usize) -> Result<Request, Refusal> {
    let (parts, body) = request.into_parts();
    let read = tokio::select! {
        read = whole(body, largest) => read,
        () = clock::sleep(BODY_TIME) => {
            return Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "the body did not come in time"));
        }
    };
    match read {
        Ok(Some(bytes)) => Ok(Request::from_parts(parts, Body::from(bytes))),
        Ok(None) => {
            let told = format!("a body has at most {largest} bytes here");
            Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, told))
        }
        Err(_) => Err(Refusal::bad("the body broke off")),
    }
}

/// All of a body; `None` if it is too large. Then some more of it is read and thrown away: who is still sending when the
/// connection ends sees it broken off, and never our answer.
async fn whole(mut body: Body, largest: usize) -> Result<Option<Vec<u8>>, axum::Error> {
    let mut bytes = Vec::new();
    let mut length = 0_usize;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        length = length.saturating_add(data.len());
        if length > largest.saturating_add(WASTE) {
            break;
        }
        if length <= largest {
            bytes.extend_from_slice(&data);
        }
    }
    Ok((length <= largest).then_some(bytes))
}

/// What the request names as the machine it means.
fn host(request: &Request) -> Option<&str> {
    let mut named = request.headers().get_all(header::HOST).iter();
    let first = named.next().and_then(|host| host.to_str().ok());
    if named.next().is_some() {
        return None;
    }
    first.or_else(|| request.uri().authority().map(Authority::as_str))
}

/// Refuses what a page of another origin has a browser ask.
fn origin(headers: &HeaderMap, host: &str, method: &Method) -> Result<(), Refusal> {
    let foreign = || {
        let told = "this was asked by a page of another origin";
        Refusal::new(StatusCode::FORBIDDEN, told)
    };
    for origin in headers.get_all(header::ORIGIN) {
        let origin = origin.to_str().map_err(|_| foreign())?;
        let own = origin.strip_prefix("http://").unwrap_or_default();
        if !own.eq_ignore_ascii_case(host) {
            return Err(foreign());
        }
    }
    let site = HeaderName::from_static("sec-fetch-site");
    let site = headers.get(site).map(HeaderValue::as_bytes);
    let reads = matches!(*method, Method::GET | Method::HEAD);
    match site {
        Some(b"cross-site") if !reads => Err(foreign()),
        _ => Ok(()),
    }
}

/// The token of a request; `Err`: there is something, but no token.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, ()> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let Some(first) = all.next() else {
        return Ok(None);
    };
    if all.next().is_some() {
        return Err(());
    }
    let (scheme, token) = first.to_str().map_err(drop)?.split_once(' ').ok_or(())?;
    match scheme.eq_ignore_ascii_case("bearer") {
        true => Ok(Some(token.trim())),
        false => Err(()),
    }
}

/// Whether a `Host` names this machine as itself.
fn is_here(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(inner) => match inner.split_once(']') {
            Some((name, rest)) if is_port(rest) => name,
            _ => return false,
        },
        None => match host.split_once(':') {
            Some((name, port)) if is_port(&format!(":{port}")) => name,
            Some(_) => return false,
            None => host,
        },
    };
    let name = name.trim_end_matches('.');
    name.eq_ignore_ascii_case("localhost")
        || name
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// Nothing, or a colon and a number.
fn is_port(rest: &str) -> bool {
    rest.is_empty()
        || rest
            .strip_prefix(':')
            .is_some_and(|port| port.parse::<u16>().is_ok())
}

/// How often which code was answered. Shared by both doors.
#[derive(Debug, Default)]
pub struct Codes(Mutex<BTreeMap<u16, u64>>);

impl Codes {
    fn count(&self, code: StatusCode) {
        let mut codes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *codes.entry(code.as_u16()).or_default() += 1;
    }

    pub fn all(&self) -> BTreeMap<u16, u64> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Counts answers, and says what every answer says of itself: nobody keeps it, guesses its kind, or puts it into a page of
/// theirs. A page says by itself what it may load.
pub(super) async fn told(
    State(codes): State<Arc<Codes>>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = next.run(request).await;
    codes.count(response.status());
    let headers = response.headers_mut();
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
    ] {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_here() {
        for here in [
            "localhost",
            "localhost:8484",
            "LOCALHOST",
            "127.0.0.1:1",
            "127.9.9.9",
            "[::1]",
            "[::1]:8484",
            "localhost.",
        ] {
            assert!(is_here(here), "{here}");
        }
        for other in [
            "",
            "example.com",
            "localhost.example.com",
            "127.0.0.1.example.com",
            "10.0.0.1",
            "[::2]:1",
            "localhost:x",
            "[::1",
            "[::1]x",
            "0.0.0.0",
            "localhost:99999",
            "::1x",
        ] {
            assert!(!is_here(other), "{other}");
        }
    }

    fn request(headers: &[(&str, &str)]) -> Request {
        let mut request = Request::builder().method("POST").uri("/api/check");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Body::empty()).unwrap()
    }

    fn code(door: &Door, headers: &[(&str, &str)]) -> Result<Caller, StatusCode> {
        let judged = door.judge(&request(headers));
        judged.map_err(|refusal| refusal.into_response().status())
    }

    #[test]
    fn whoever_means_another_machine_or_comes_from_another_page_is_refused() {
        let door = Door::new(Keys::default(), Reading::Open);
        let host = ("host", "127.0.0.1:8484");
        assert_eq!(code(&door, &[host]), Ok(Caller::nobody()));
        assert_eq!(
            code(&door, &[host, ("origin", "http://127.0.0.1:8484")]),
            Ok(Caller::nobody())
        );
        for (headers, refused) in [
            (&[("host", "example.com")][..], 421),
            (&[], 421),
            (&[host, ("host", "localhost")], 421),
            (&[host, ("origin", "http://localhost:8484")], 403),
            (&[host, ("origin", "http://127.0.0.1:8485")], 403),
            (&[host, ("origin", "https://127.0.0.1:8484")], 403),
            (&[host, ("origin", "null")], 403),
            (
                &[
                    host,
                    ("origin", "http://127.0.0.1:8484"),
                    ("origin", "http://x"),
                ],
                403,
            ),
            (&[host, ("sec-fetch-site", "cross-site")], 403),
            (&[host, ("authorization", "Bearer x")], 401),
            (&[host, ("authorization", "Basic eDp5")], 401),
            (&[host, ("authorization", "Bearer")], 401),
            (
                &[
                    host,
                    ("authorization", "Bearer a"),
                    ("authorization", "Bearer b"),
                ],
                401,
            ),
        ] {
            let refused = StatusCode::from_u16(refused).unwrap();
            assert_eq!(code(&door, headers), Err(refused), "{headers:?}");
        }
    }

    #[test]
    fn wrong_tokens_are_refused_more_slowly_and_right_ones_let_in_all_the_same() {
        let root = tempfile::tempdir().unwrap();
        let token =
            super::super::tokens::owner_token(&root.path().join(crate::permission::OWN)).unwrap();
        let (keys, wrong) = Keys::load(root.path(), &Default::default(), |_| None);
        assert!(wrong.is_empty());
        let door = Door::new(keys, Reading::Open);
        let host = ("host", "localhost");
        for _ in 0..WRONG {
            let refused = code(&door, &[host, ("authorization", "Bearer no-token-of-mine")]);
            assert_eq!(refused, Err(StatusCode::UNAUTHORIZED));
        }
        let refused = code(&door, &[host, ("authorization", "Bearer no-token-of-mine")]);
        assert_eq!(refused, Err(StatusCode::TOO_MANY_REQUESTS));
        let right = format!("bearer {token}");
        let found = code(&door, &[host, ("authorization", &right)]).unwrap();
        assert_eq!(found.scope, Some(Scope::Admin));
    }

    #[test]
    fn who_asks_too_often_waits() {
        let door = Door::new(Keys::default(), Reading::Open);
        let host = ("host", "localhost");
        let many = (0..=BURST * 2).map(|_| code(&door, &[host]));
        assert!(
            many.into_iter()
                .any(|it| it == Err(StatusCode::TOO_MANY_REQUESTS))
        );
    }
}
