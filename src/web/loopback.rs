//! The API on a loopback address, for browsers and scripts of this machine. Who may do what there is judged at the
//! `door`.

use std::{
    io::{self, Write},
    net::SocketAddr,
    path::Path,
};

use axum::Router;
use tokio::{net::TcpListener, sync::watch};

use super::{bound::Bound, serve::serve};

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
        serve(Bound::new(self.listener), router, ending).await;
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

/// Where the address of a running engine stands, below its own directory.
pub const ADDRESS: &str = "address";

/// Writes down where the API is served, for whoever looks for it: `http://127.0.0.1:8484`.
pub fn tell_address(own: &Path, address: &str) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(own)?;
    writeln!(file, "{address}")?;
    file.persist(own.join(ADDRESS))
        .map(drop)
        .map_err(|error| error.error)
}

/// Nothing is served any more.
pub fn forget_address(own: &Path) {
    if let Err(error) = std::fs::remove_file(own.join(ADDRESS))
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(%error, "could not remove the address");
    }
}

/// What an engine wrote down, if that is an address of this machine. It may have ended since.
pub fn address_of(own: &Path) -> Option<String> {
    let text = std::fs::read_to_string(own.join(ADDRESS)).ok()?;
    let text = text.trim();
    address(text.strip_prefix("http://")?).ok()?;
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_told_while_it_is_served() {
        let own = tempfile::tempdir().unwrap();
        assert_eq!(address_of(own.path()), None);
        tell_address(own.path(), "http://127.0.0.1:8484").unwrap();
        let told = address_of(own.path());
        assert_eq!(told.as_deref(), Some("http://127.0.0.1:8484"));
        std::fs::write(own.path().join(ADDRESS), "http://192.0.2.1:80\n").unwrap();
        assert_eq!(address_of(own.path()), None, "no address of this machine");
        forget_address(own.path());
        forget_address(own.path());
        assert_eq!(address_of(own.path()), None);
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
