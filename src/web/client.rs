//! Asking a running engine over its socket.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::socket::{self, SOCKET};
use crate::{clock, permission::OWN};

/// A longer answer is refused.
const ANSWER: usize = 256 << 20;
/// For questions that are answered from memory.
pub const QUICK: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("could not reach the running engine: {0}")]
    Unreached(String),
    #[error("the running engine gave no answer within {}", humantime::format_duration(*.0))]
    Silent(Duration),
    #[error("{error}")]
    Refused { status: u16, error: String },
    #[error("could not read the answer of the running engine: {0}")]
    Garbled(String),
}

/// The socket of a running engine.
#[derive(Clone, Debug)]
pub struct Client {
    path: PathBuf,
}

impl Client {
    /// The engine that runs on `root`, if its socket answers.
    pub async fn find(root: &Path) -> Option<Client> {
        let path = root.join(OWN).join(SOCKET);
        if !path.exists() {
            return None; // a dry run connects to nothing that is not there
        }
        match socket::connect(&path).await {
            Ok(_) => Some(Client { path }),
            Err(error) if is_nobody(&error) => None,
            Err(error) => {
                tracing::warn!(%error, path = %path.display(), "could not reach the socket");
                None
            }
        }
    }

    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.ask(Method::GET, path, None, QUICK).await
    }

    /// `limit`: how long the answer may take.
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &Value,
        limit: Duration,
    ) -> Result<T, ClientError> {
        self.ask(Method::POST, path, Some(body), limit).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        limit: Duration,
    ) -> Result<T, ClientError> {
        let (status, bytes) = tokio::select! {
            answer = self.exchange(method, path, body) => answer?,
            () = clock::sleep(limit) => return Err(ClientError::Silent(limit)),
        };
        if !(200..300).contains(&status) {
            return Err(refused(status, &bytes));
        }
        serde_json::from_slice(&bytes).map_err(|error| ClientError::Garbled(error.to_string()))
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(u16, Bytes), ClientError> {
        let unreached = |error: &dyn std::fmt::Display| ClientError::Unreached(error.to_string());
        let stream = socket::connect(&self.path)
            .await
            .map_err(|error| unreached(&error))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| unreached(&error))?;
        let connection = tokio::spawn(connection);
        let text = body.map(Value::to_string).unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(text)))
            .map_err(|error| unreached(&error))?;
        let response = sender.send_request(request).await;
        let response = response.map_err(|error| unreached(&error))?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), ANSWER).collect().await;
        connection.abort();
        let body = body.map_err(|error| ClientError::Garbled(error.to_string()))?;
        Ok((status, body.to_bytes()))
    }
}

fn is_nobody(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::NotADirectory
    )
}

fn refused(status: u16, bytes: &[u8]) -> ClientError {
    let said: Option<Value> = serde_json::from_slice(bytes).ok();
    let error = said
        .as_ref()
        .and_then(|said| said.get("error"))
        .and_then(Value::as_str)
        .map_or_else(
            || format!("the running engine answered {status}"),
            ToOwned::to_owned,
        );
    ClientError::Refused { status, error }
}

const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// A text as one part of a path or query.
pub fn encoded(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nobody_answers_where_no_engine_runs() {
        let root = tempfile::tempdir().unwrap();
        assert!(Client::find(root.path()).await.is_none());
        let own = root.path().join(OWN);
        std::fs::create_dir_all(&own).unwrap();
        let left_behind = std::os::unix::net::UnixListener::bind(own.join(SOCKET)).unwrap();
        drop(left_behind);
        assert!(
            Client::find(root.path()).await.is_none(),
            "a socket nobody listens on"
        );
    }

    #[test]
    fn a_name_stays_one_segment() {
        assert_eq!(encoded("a/b c?ä"), "a%2Fb%20c%3F%C3%A4");
        assert_eq!(encoded("weights_file"), "weights_file");
    }
}
