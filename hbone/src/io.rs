//! The TLS stream as h2 should see it, and a connection task that requeues itself once.
//!
//! Both exist to make one write out of many: h2 on a vectored stream issues a `writev` for every frame head and
//! payload, and a connection task that runs the moment one stream has data writes a TLS record for each stream.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// Plaintext gathered before it is handed to TLS: two full HTTP/2 frames with their heads.
const OUT_LIMIT_BYTES: usize = 33 * 1024;

/// What a connection has received: kept beside the stream, which h2 owns.
#[derive(Debug)]
pub(crate) struct Activity {
    base: Instant,
    last_received_ms: AtomicU64,
    received_bytes: AtomicU64,
}

impl Activity {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            base: Instant::now(),
            last_received_ms: AtomicU64::new(0),
            received_bytes: AtomicU64::new(0),
        })
    }

    /// When the peer was last heard (the connection's beginning, when never).
    pub(crate) fn last_received(&self) -> Instant {
        let since = Duration::from_millis(self.last_received_ms.load(Ordering::Relaxed));
        self.base.checked_add(since).unwrap_or(self.base)
    }

    /// Plaintext bytes received so far.
    pub(crate) fn received_bytes(&self) -> u64 {
        self.received_bytes.load(Ordering::Relaxed)
    }

    fn received(&self, bytes: usize) {
        let now = u64::try_from(self.base.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_received_ms.store(now, Ordering::Relaxed);
        self.received_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// After our end of a connection, the peer may finish what it is sending for this long. Closing at once would answer it
/// with a TCP reset, which can take away what the peer has not read yet.
const LINGER: Duration = Duration::from_secs(1);

/// Gathers h2's writes, is not vectored, notes what was received, and closes gently.
///
/// h2 flushes after every frame of more than 1 KiB. While the connection's task holds the [`Cork`], such a flush does
/// nothing; what was gathered leaves when the task lets go.
pub(crate) struct Wire<S> {
    shared: Arc<Mutex<Gathered<S>>>,
}

/// The task's handle on what its connection has gathered. Only that task locks it, so nothing ever waits.
pub(crate) struct Cork<S> {
    shared: Arc<Mutex<Gathered<S>>>,
}

struct Gathered<S> {
    stream: S,
    out: Vec<u8>,
    sent: usize,
    held: bool,
    /// A flush failed while h2 was not looking.
    failed: Option<io::ErrorKind>,
    activity: Arc<Activity>,
    /// Set when our side is shut down: until when the peer's end is awaited.
    linger: Option<Pin<Box<Sleep>>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(crate) fn new(stream: S, activity: Arc<Activity>) -> Self {
        let gathered = Gathered {
            stream,
            out: Vec::new(),
            sent: 0,
            held: false,
            failed: None,
            activity,
            linger: None,
        };
        Self {
            shared: Arc::new(Mutex::new(gathered)),
        }
    }

    pub(crate) fn cork(&self) -> Cork<S> {
        Cork {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Cork<S> {
    /// Polls the connection, and then sends in one go what it had to say.
    pub(crate) fn around<T>(&self, cx: &mut Context<'_>, poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        lock(&self.shared).held = true;
        let polled = poll(cx);
        let mut gathered = lock(&self.shared);
        gathered.held = false;
        if let Poll::Ready(Err(error)) = gathered.poll_flush(cx) {
            // The connection has to be polled again to hear of it.
            gathered.failed = Some(error.kind());
            cx.waker().wake_by_ref();
        }
        polled
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Gathered<S> {
    fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        if self.out.len().saturating_add(data.len()) > OUT_LIMIT_BYTES {
            ready!(self.poll_drain(cx))?;
            if data.len() > OUT_LIMIT_BYTES {
                return Pin::new(&mut self.stream).poll_write(cx, data);
            }
        }
        self.out.extend_from_slice(data);
        Poll::Ready(Ok(data.len()))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        if self.held {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.linger.is_none() {
            ready!(self.poll_drain(cx))?;
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            self.linger = Some(Box::pin(tokio::time::sleep(LINGER)));
        }
        self.poll_peer_end(cx).map(Ok)
    }

    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.out.get(self.sent..).filter(|rest| !rest.is_empty()) {
            let n = ready!(Pin::new(&mut self.stream).poll_write(cx, rest))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent = self.sent.saturating_add(n);
        }
        self.out.clear();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }

    /// Discards what still comes, until the peer has ended too or has had its time.
    fn poll_peer_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self
            .linger
            .as_mut()
            .is_none_or(|limit| limit.as_mut().poll(cx).is_ready())
        {
            return Poll::Ready(());
        }
        let mut scratch = [0; 1024];
        loop {
            let mut buf = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf)) {
                Ok(()) if !buf.filled().is_empty() => {}
                _ => return Poll::Ready(()),
            }
        }
    }

    fn check(&self) -> io::Result<()> {
        self.failed.map_or(Ok(()), |kind| Err(kind.into()))
    }
}

fn lock<S>(shared: &Mutex<Gathered<S>>) -> MutexGuard<'_, Gathered<S>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Wire<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut gathered = lock(&self.shared);
        let before = buf.filled().len();
        ready!(Pin::new(&mut gathered.stream).poll_read(cx, buf))?;
        let received = buf.filled().len().saturating_sub(before);
        if received > 0 {
            gathered.activity.received(received);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        lock(&self.shared).poll_write(cx, data)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        lock(&self.shared).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        lock(&self.shared).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        false
    }
}

/// Lets the other ready tasks run once before a woken connection is polled, so that what several streams have to say
/// leaves in one write.
pub(crate) struct RequeueOnce<F> {
    future: F,
    requeued: bool,
}

impl<F: Future + Unpin> RequeueOnce<F> {
    pub(crate) fn new(future: F) -> Self {
        Self {
            future,
            requeued: false,
        }
    }
}

impl<F: Future + Unpin> Future for RequeueOnce<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        if !self.requeued {
            self.requeued = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.requeued = false;
        Pin::new(&mut self.future).poll(cx)
    }
}

#[cfg(test)]
mod tests;
