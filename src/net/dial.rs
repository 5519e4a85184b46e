//! From a host and a port to an open connection, by way of permission.

use std::{
    fmt,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    sync::{Arc, LazyLock},
    time::Duration,
};

use tokio::{net::TcpStream, sync::Semaphore, time::timeout};
use url::Host;

use super::NetError;
use crate::{
    clock::Stopwatch,
    model::span::Span,
    permission::{Denied, Permission},
};

/// Names being resolved at a time. The system's resolver blocks a thread for as long as its servers are silent, and
/// these threads must not use up those that judge.
static RESOLVING: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(32)));
/// Looks and calls over the network at a time, so that they do not use up what a process may open.
static GOING: Semaphore = Semaphore::const_new(400);
/// Addresses of a name that are tried.
const MOST_ADDRESSES: usize = 16;

/// Whom to connect to.
#[derive(Clone, Debug, PartialEq)]
pub struct Peer {
    pub host: Host<String>,
    pub port: u16,
}

impl Peer {
    /// Reads a host: a name or an address in any notation (an IPv6 one with or without brackets).
    pub fn new(host: &str, port: u16) -> Result<Peer, String> {
        let host = match host.parse::<IpAddr>() {
            Ok(IpAddr::V4(v4)) => Host::Ipv4(v4),
            Ok(IpAddr::V6(v6)) => Host::Ipv6(v6),
            Err(_) => Host::parse(host).map_err(|_| format!("`{host}` is no host"))?,
        };
        Ok(Peer { host, port })
    }

    /// The addresses it has, every one of them allowed.
    pub async fn addresses(&self, permission: &Permission) -> Result<Vec<SocketAddr>, NetError> {
        let denied = |denied: Denied| NetError::Denied(denied.told());
        permission
            .may_name_host(&self.host, self.port)
            .map_err(denied)?;
        let found = match &self.host {
            Host::Ipv4(v4) => vec![SocketAddr::from((*v4, self.port))],
            Host::Ipv6(v6) => vec![SocketAddr::from((*v6, self.port))],
            Host::Domain(name) => resolve(name, self.port).await?,
        };
        for address in &found {
            permission
                .may_reach(&self.host, self.port, address.ip())
                .map_err(denied)?;
        }
        Ok(found)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// By the system's resolver, so that `/etc/hosts` and the like count.
async fn resolve(name: &str, port: u16) -> Result<Vec<SocketAddr>, NetError> {
    let turn = RESOLVING.clone().acquire_owned().await;
    let asked = name.to_owned();
    let found = tokio::task::spawn_blocking(move || {
        // Kept until the resolver has come back, also if nobody waits for it any more.
        let _turn = turn;
        (asked.as_str(), port)
            .to_socket_addrs()
            .map(|found| found.take(MOST_ADDRESSES).collect::<Vec<_>>())
    });
    match found.await {
        Ok(Ok(found)) if !found.is_empty() => Ok(found),
        Ok(Ok(_)) => Err(NetError::failed(format!("{name} has no address"))),
        Ok(Err(error)) => Err(NetError::failed(format!(
            "could not resolve {name}: {error}"
        ))),
        Err(error) => Err(NetError::failed(format!(
            "could not resolve {name}: {error}"
        ))),
    }
}

/// Opens a connection to the first of the addresses that takes one. Each gets its share of the time that is left, so
/// that one which swallows packets does not hide the next.
pub async fn connect(addresses: &[SocketAddr], limit: Duration) -> Result<TcpStream, NetError> {
    let watch = Stopwatch::new();
    let mut last = NetError::failed("there is no address to connect to");
    for (index, address) in addresses.iter().enumerate() {
        let left = limit.saturating_sub(watch.elapsed());
        let share = left / u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
        last = match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => NetError::failed(format!("could not connect to {address}: {error}")),
            Err(_) => NetError::failed(format!("{address} did not answer within {}", told(share))),
        };
    }
    Err(last)
}

/// The time a look over the network may take: its own limit, but so much less than the check's that its answer, that
/// there was none, comes before the look is given up.
pub fn patience(own: Option<Span>, check: Duration) -> Duration {
    let most = check.mul_f64(0.95);
    own.map_or(most, |Span(own)| own.min(most))
}

/// Does something within its time.
pub async fn within<T>(
    limit: Duration,
    whom: &Peer,
    act: impl Future<Output = Result<T, NetError>>,
) -> Result<T, NetError> {
    let watch = Stopwatch::new();
    let Ok(Ok(_turn)) = timeout(limit, GOING.acquire()).await else {
        return Err(NetError::failed(format!(
            "too much goes over the network: {whom} was not asked within {}",
            told(limit)
        )));
    };
    let left = limit.saturating_sub(watch.elapsed());
    match timeout(left, act).await {
        Ok(done) => done,
        Err(_) => Err(NetError::failed(format!(
            "no answer from {whom} within {}",
            told(limit)
        ))),
    }
}

/// A span in whole milliseconds, as people write it.
fn told(span: Duration) -> Span {
    Span(Duration::from_millis(
        u64::try_from(span.as_millis()).unwrap_or(u64::MAX),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::permission::Settings;

    fn addresses(reach: &[&str], host: &str) -> Result<Vec<SocketAddr>, NetError> {
        let root = tempfile::tempdir().expect("a temporary directory");
        let mut settings = Settings::default();
        settings.allow.reach = reach.iter().map(|entry| (*entry).to_owned()).collect();
        let permission = Permission::new(root.path(), settings).expect("a root");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let peer = Peer::new(host, 80).expect("a host");
        runtime.block_on(peer.addresses(&permission))
    }

    #[test]
    fn a_host_is_a_name_or_an_address() {
        for (host, told) in [
            ("Localhost", "localhost:80"),
            ("127.0.0.1", "127.0.0.1:80"),
            ("0x7f000001", "127.0.0.1:80"),
            ("::1", "[::1]:80"),
            ("[::1]", "[::1]:80"),
            ("my_service", "my_service:80"),
        ] {
            assert_eq!(Peer::new(host, 80).expect(host).to_string(), told);
        }
        for host in ["", "a b", "a/b", "a:1", "user@host", "a\r\nb", "fe80::1%lo"] {
            assert!(Peer::new(host, 80).is_err(), "{host}");
        }
    }

    #[test]
    fn only_allowed_addresses_come_back() {
        let found = addresses(&[], "localhost").expect("loopback");
        assert!(
            found
                .iter()
                .all(|it| it.ip().is_loopback() && it.port() == 80)
        );
        // A name that may be named because some address may be reached, but does not lead to that one.
        let denied = addresses(&["*:80"], "0.0.0.0").expect_err("special");
        assert!(!denied.was_tried(), "{denied}");
        let failed = addresses(&["*:80"], "no-such-host.invalid").expect_err("no such host");
        assert!(failed.was_tried(), "{failed}");
        assert!(
            failed
                .to_string()
                .starts_with("could not resolve no-such-host.invalid")
        );
    }

    #[test]
    fn the_limit_of_the_check_is_never_reached() {
        let second = Duration::from_secs(1);
        assert_eq!(patience(None, second), Duration::from_millis(950));
        assert_eq!(
            patience(Some(Span(second * 5)), second),
            Duration::from_millis(950)
        );
        assert_eq!(
            patience(Some(Span(second / 2)), second),
            Duration::from_millis(500)
        );
    }
}
