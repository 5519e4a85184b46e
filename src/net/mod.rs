//! Going over the network, for the probes that look there and the step that calls: one way for all of them.
//!
//! The way: a [`Peer`] is resolved, each of its addresses is judged by [`crate::permission::reaching`], and the connection
//! is opened to an address that was judged, never to a name. Nothing is read from the environment (no proxies), nothing
//! is kept between two looks (no connection pool, no sessions), so each look sees the peer afresh.
//!
//! | file | is |
//! |---|---|
//! | [`dial`] | resolving, permission, a connection |
//! | [`name`] | one question to a DNS server |
//! | [`tls`] | whom to trust, the handshake, what a certificate says |
//! | [`exchange`] | one HTTP request and its answer, redirects and limits included |

pub mod dial;
pub mod exchange;
pub mod name;
#[cfg(test)]
pub mod testing;
pub mod tls;

pub use dial::Peer;

/// Why nothing came back. The text is what people read in a fact or a receipt.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NetError {
    /// Nothing was sent: `homeostat.yaml` does not allow it.
    #[error("{0}")]
    Denied(String),
    /// It was tried.
    #[error("{0}")]
    Failed(String),
}

impl NetError {
    fn failed(text: impl Into<String>) -> NetError {
        NetError::Failed(text.into())
    }

    pub fn was_tried(&self) -> bool {
        matches!(self, NetError::Failed(_))
    }
}
