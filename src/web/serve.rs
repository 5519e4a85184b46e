//! Serving a listener: one task a connection, each with bounds of its own.
//!
//! A connection must say what it wants within [`HEAD`], also the next time it is used; whoever reads no more is cut off
//! (`bound`). When the engine ends, answers under way get some time to be read.

use std::{net::SocketAddr, time::Duration};

use axum::{Router, extract::Request, serve::Listener};
use hyper::{body::Incoming, server::conn::http1, service::Service};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{sync::watch, task::JoinSet};

use super::door::Peer;
use crate::clock;

/// The head of a request must be whole by then.
const HEAD: Duration = Duration::from_secs(10);
/// Larger heads are refused, in bytes.
const HEAD_BYTES: usize = 64 << 10;
/// Answers under way when the engine ends get so long to be read.
const FAREWELL: Duration = Duration::from_secs(2);

/// The other side of a connection.
pub(super) trait From {
    fn peer(&self) -> Peer;
}

impl From for SocketAddr {
    fn peer(&self) -> Peer {
        Peer(Some(self.ip()))
    }
}

impl From for tokio::net::unix::SocketAddr {
    fn peer(&self) -> Peer {
        Peer(None)
    }
}

/// Serves until `ending` turns true and the answers under way are read.
pub(super) async fn serve<L>(listener: L, router: Router, ending: watch::Receiver<bool>)
where
    L: Listener,
    L::Addr: From,
{
    serve_with(listener, router, ending, HEAD).await;
}

async fn serve_with<L>(
    mut listener: L,
    router: Router,
    mut ending: watch::Receiver<bool>,
    head: Duration,
) where
    L: Listener,
    L::Addr: From,
{
    let mut open = JoinSet::new();
    let handed_on = ending.clone();
    loop {
        tokio::select! {
            (stream, address) = listener.accept() => {
                let peer = address.peer();
                open.spawn(connection(stream, peer, router.clone(), handed_on.clone(), head));
            }
            _ = ending.wait_for(|ending| *ending) => break, // without a sender it has ended too
            Some(_) = open.join_next() => {}
        }
    }
    drop(listener);
    tokio::select! {
        () = async { while open.join_next().await.is_some() {} } => {}
        () = clock::sleep(FAREWELL) => open.abort_all(),
    }
}

async fn connection<S>(
    stream: S,
    peer: Peer,
    router: Router,
    mut ending: watch::Receiver<bool>,
    head: Duration,
) where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let inner = TowerToHyperService::new(router);
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(axum::body::Body::new);
        request.extensions_mut().insert(peer);
        inner.call(request)
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(head)
        .max_buf_size(HEAD_BYTES);
    let served = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(served);
    let mut told = false;
    loop {
        tokio::select! {
            done = served.as_mut() => {
                if let Err(error) = done {
                    tracing::debug!(%error, "a connection broke off");
                }
                return;
            }
            _ = ending.wait_for(|ending| *ending), if !told => { // likewise
                told = true;
                served.as_mut().graceful_shutdown();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
    };

    use super::*;
    use crate::web::bound::Bound;

    async fn served(head: Duration) -> (SocketAddr, watch::Sender<bool>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (end, ending) = watch::channel(false);
        let router = Router::new().route("/", get(|| async { "there" }));
        tokio::spawn(serve_with(Bound::new(listener), router, ending, head));
        (address, end)
    }

    #[tokio::test]
    async fn who_says_nothing_is_cut_off_also_after_an_answer() {
        let (address, _end) = served(Duration::from_millis(50)).await;
        let mut silent = TcpStream::connect(address).await.unwrap();
        let mut slow = TcpStream::connect(address).await.unwrap();
        slow.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n")
            .await
            .unwrap();
        let mut idle = TcpStream::connect(address).await.unwrap();
        idle.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        for stream in [&mut silent, &mut slow, &mut idle] {
            let mut text = Vec::new();
            // Its end is what is waited for; a reset is one, too.
            let _ = stream.read_to_end(&mut text).await;
            assert!(!String::from_utf8_lossy(&text).contains("\r\nthere\r\n\r\n"));
        }
    }

    #[tokio::test]
    async fn when_the_engine_ends_nothing_new_is_answered() {
        let (address, end) = served(HEAD).await;
        let mut idle = TcpStream::connect(address).await.unwrap();
        idle.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        let mut bytes = [0; 1024];
        let read = idle.read(&mut bytes).await.unwrap();
        assert!(String::from_utf8_lossy(&bytes[..read]).ends_with("there"));
        end.send(true).unwrap();
        assert_eq!(idle.read(&mut bytes).await.unwrap_or(0), 0);
        let refused = async {
            loop {
                if TcpStream::connect(address).await.is_err() {
                    return;
                }
                clock::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            () = refused => {}
            () = clock::sleep(Duration::from_secs(10)) => panic!("it still listens"),
        }
    }
}
