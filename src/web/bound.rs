//! How many connections there may be at once: whoever opens more waits, instead of taking the descriptors that probes
//! need.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::serve::Listener;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::{OwnedSemaphorePermit, Semaphore},
};

/// At once, on each listener.
pub const CONNECTIONS: usize = 64;

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

/// A connection that makes room when it ends.
pub struct Counted<S> {
    stream: S,
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
            _room: room,
        };
        (counted, address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.inner.local_addr()
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
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
