//! How many connections there may be at once: whoever opens more waits, instead of taking the descriptors that probes
//! need. And how long one may take nothing of what it is sent.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::serve::Listener;
use futures::future::BoxFuture;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::{OwnedSemaphorePermit, Semaphore},
};

use super::stream::STREAMS;
use crate::clock;

/// At once, on each listener: all streams, and as many as are asked beside them.
pub const CONNECTIONS: usize = STREAMS + 128;
/// Who takes nothing for so long is cut off.
const STALLED: Duration = Duration::from_secs(30);

/// A listener with a bound.
pub struct Bound<L> {
    inner: L,
    room: Arc<Semaphore>,
}

impl<L> Bound<L> {
    pub fn new(inner: L) -> Bound<L> {
        Bound {
            inner,
            room: Arc::new(Semaphore::new(CONNECTIONS)),
        }
    }
}

/// A connection that makes room when it ends, and ends when the other side takes nothing any more.
pub struct Counted<S> {
    stream: S,
    /// Runs while what is to be sent is not taken.
    stalled: Option<BoxFuture<'static, ()>>,
    limit: Duration,
    _room: Option<OwnedSemaphorePermit>,
}

impl<L: Listener> Listener for Bound<L> {
    type Io = Counted<L::Io>;
    type Addr = L::Addr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        // The semaphore is never closed, so there is always a permit in the end.
        let room = self.room.clone().acquire_owned().await.ok();
        let (stream, address) = self.inner.accept().await;
        let counted = Counted {
            stream,
            stalled: None,
            limit: STALLED,
            _room: room,
        };
        (counted, address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.inner.local_addr()
    }
}

impl<S> Counted<S> {
    /// What writing came to: an error when it has waited too long.
    fn watched<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let limit = self.limit;
        let timer = self
            .stalled
            .get_or_insert_with(|| Box::pin(clock::sleep(limit)));
        match timer.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watched(context, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.watched(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(context);
        self.watched(context, shut)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn who_takes_nothing_is_cut_off() {
        let (ours, theirs) = tokio::io::duplex(16);
        let mut counted = Counted {
            stream: ours,
            stalled: None,
            limit: Duration::from_millis(20),
            _room: None,
        };
        counted.write_all(&[0; 16]).await.unwrap();
        let stalled = counted.write_all(&[0; 16]).await.unwrap_err();
        assert_eq!(stalled.kind(), io::ErrorKind::TimedOut);
        drop(theirs);
    }
}
