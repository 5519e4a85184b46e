//! The API on a loopback address, for browsers and scripts of this machine: what only reads, until there are tokens.
//!
//! A page of some other site can make a browser send requests here, under a name of its own that it points at
//! 127.0.0.1. So `Host` must name this machine, and nothing here changes anything.

use std::net::SocketAddr;

use axum::{
    Router,
    extract::Request,
    http::{Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use tokio::{net::TcpListener, sync::watch};

use super::{bound::Bound, refusal::Refusal, socket::serve};

#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error("`{0}` is no address: write 127.0.0.1:8484")]
    Address(String),
    /// Others could ask.
    #[error("{0} is no loopback address: the API is served to this machine only")]
    Public(SocketAddr),
    #[error("could not listen on {address}")]
    Bind {
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
}

/// A bound address.
#[derive(Debug)]
pub struct Loopback {
    listener: TcpListener,
    address: SocketAddr,
}

impl Loopback {
    /// Listens on `127.0.0.1:8484`, `[::1]:8484` or `localhost:8484`; port 0 takes a free one.
    pub async fn bind(text: &str) -> Result<Loopback, ListenError> {
        let address = address(text)?;
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| ListenError::Bind { address, source })?;
        let address = listener.local_addr().unwrap_or(address);
        Ok(Loopback { listener, address })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `ending` turns true and the answers under way are read.
    pub async fn serve(self, router: Router, ending: watch::Receiver<bool>) {
        serve(Bound::new(self.listener), guarded(router), ending).await;
    }
}

fn address(text: &str) -> Result<SocketAddr, ListenError> {
    let numeric = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => text.to_owned(),
    };
    let address: SocketAddr = numeric
        .parse()
        .map_err(|_| ListenError::Address(text.to_owned()))?;
    match address.ip().is_loopback() {
        true => Ok(address),
        false => Err(ListenError::Public(address)),
    }
}

/// Refuses what only the socket may ask, and whoever means another machine.
fn guarded(router: Router) -> Router {
    router.layer(middleware::from_fn(guard))
}

async fn guard(request: Request, next: Next) -> Response {
    let host = request
        .headers()
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .or_else(|| {
            request
                .uri()
                .authority()
                .map(|authority| authority.as_str())
        });
    if !host.is_some_and(is_here) {
        let told = "this address answers to localhost and loopback addresses only";
        return Refusal::new(StatusCode::MISDIRECTED_REQUEST, told).into_response();
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let told = "only reading is served here: use the command line, or the socket state/homeostat/api.sock";
        let mut response = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, told).into_response();
        let allow = header::HeaderValue::from_static("GET, HEAD");
        response.headers_mut().insert(header::ALLOW, allow);
        return response;
    }
    next.run(request).await
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
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// Nothing, or a colon and a number.
fn is_port(rest: &str) -> bool {
    rest.is_empty()
        || rest
            .strip_prefix(':')
            .is_some_and(|port| port.parse::<u16>().is_ok())
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

    #[test]
    fn only_loopback_is_listened_on() {
        assert!(address("127.0.0.1:8484").is_ok());
        assert!(address("localhost:0").is_ok());
        assert!(address("[::1]:8484").is_ok());
        assert!(matches!(
            address("0.0.0.0:8484"),
            Err(ListenError::Public(_))
        ));
        assert!(matches!(
            address("192.0.2.1:80"),
            Err(ListenError::Public(_))
        ));
        assert!(matches!(address("8484"), Err(ListenError::Address(_))));
    }
}
