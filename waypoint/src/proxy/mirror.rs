//! RequestMirror: copies of a request that nobody waits for.
//!
//! The primary never feels a mirror: frames go into a bounded queue; a mirror that cannot keep up is dropped and counted.

use super::connect::{Connector, Lane};
use super::upstream::{RequestHead, Upstream};
use crate::http1::{Frame, Framing};
use http::{HeaderMap, HeaderValue, Method};
use routing::Endpoint;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use telemetry::Metrics;
use tokio::sync::mpsc;

/// Body bytes that wait for one mirror at most; beyond, the mirror is given up.
const QUEUE_BYTES: usize = 1024 * 1024;
/// A mirror that takes longer than this, answer included, is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// The places a request's body is copied to.
#[derive(Debug, Default)]
pub(crate) struct Tee {
    sinks: Vec<Sink>,
}

#[derive(Debug)]
struct Sink {
    /// `None` in the queue ends the body.
    frames: mpsc::UnboundedSender<Option<Frame>>,
    waiting: Arc<AtomicUsize>,
    metrics: Arc<Metrics>,
}

impl Tee {
    /// Copies a frame to every mirror that keeps up.
    pub(crate) fn frame(&mut self, frame: &Frame) {
        self.sinks.retain(|sink| sink.offer(frame));
    }

    /// The body is complete.
    pub(crate) fn end(&mut self) {
        for sink in self.sinks.drain(..) {
            // Fails only when the mirror has given up.
            let _ = sink.frames.send(None);
        }
    }

    /// Starts a mirror of a request and copies its body there.
    pub(crate) fn start(&mut self, connector: &Arc<Connector>, metrics: &Arc<Metrics>, lane: Lane, copy: Copy) {
        let (frames, queue) = mpsc::unbounded_channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        self.sinks.push(Sink {
            frames,
            waiting: Arc::clone(&waiting),
            metrics: Arc::clone(metrics),
        });
        let (connector, metrics) = (Arc::clone(connector), Arc::clone(metrics));
        tokio::spawn(async move {
            let sent = tokio::time::timeout(PATIENCE, copy.send(&connector, &lane, queue, &waiting)).await;
            if !matches!(sent, Ok(Ok(()))) {
                metrics.own.mirrors_dropped.inc();
            }
        });
    }
}

impl Sink {
    fn offer(&self, frame: &Frame) -> bool {
        let size = match frame {
            Frame::Data(data) => data.len(),
            Frame::Trailers(_) => 0,
        };
        if self.waiting.fetch_add(size, Ordering::Relaxed).saturating_add(size) > QUEUE_BYTES {
            self.metrics.own.mirrors_dropped.inc();
            return false;
        }
        self.frames.send(Some(frame.clone())).is_ok()
    }
}

/// The head of a mirrored request, its own copy.
#[derive(Debug)]
pub(crate) struct Copy {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) http2: bool,
    pub(crate) method: Method,
    pub(crate) target: String,
    pub(crate) host: HeaderValue,
    pub(crate) headers: HeaderMap,
    pub(crate) framing: Framing,
}

impl Copy {
    async fn send(
        self,
        connector: &Connector,
        lane: &Lane,
        mut queue: mpsc::UnboundedReceiver<Option<Frame>>,
        waiting: &AtomicUsize,
    ) -> Result<(), ()> {
        let head = RequestHead {
            method: &self.method,
            target: &self.target,
            host: &self.host,
            headers: &self.headers,
            framing: self.framing,
            upgrade: None,
        };
        let mut upstream = connector
            .open(&self.endpoint, self.http2, lane, &head)
            .await
            .map_err(|_| ())?;
        let mut sent = false;
        let mut answered = false;
        poll_fn(|cx| {
            if !sent {
                sent = pump(cx, &mut queue, &mut upstream, waiting)?;
            }
            let _ = upstream.poll_flush(cx).map_err(|_| ())?;
            discard(cx, &mut upstream, &self.method, &mut answered)
        })
        .await?;
        connector.give_back(&self.endpoint, lane, upstream);
        Ok(())
    }
}

/// Moves queued frames upstream; true at the end of the body.
fn pump(
    cx: &mut Context<'_>,
    queue: &mut mpsc::UnboundedReceiver<Option<Frame>>,
    upstream: &mut Upstream,
    waiting: &AtomicUsize,
) -> Result<bool, ()> {
    loop {
        match upstream.poll_ready(cx) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) => return Err(()),
            Poll::Pending => return Ok(false),
        }
        match queue.poll_recv(cx) {
            Poll::Ready(Some(Some(Frame::Data(data)))) => {
                waiting.fetch_sub(data.len(), Ordering::Relaxed);
                upstream.push(data);
            }
            Poll::Ready(Some(Some(Frame::Trailers(trailers)))) => {
                upstream.finish(Some(trailers));
                return Ok(true);
            }
            Poll::Ready(Some(None)) => {
                upstream.finish(None);
                return Ok(true);
            }
            // The request broke off: so does its copy.
            Poll::Ready(None) => return Err(()),
            Poll::Pending => return Ok(false),
        }
    }
}

/// Reads and drops the answer.
fn discard(
    cx: &mut Context<'_>,
    upstream: &mut Upstream,
    method: &Method,
    answered: &mut bool,
) -> Poll<Result<(), ()>> {
    while !*answered {
        match upstream.poll_response(cx, method) {
            Poll::Ready(Ok(parts)) => *answered = !parts.status.is_informational(),
            Poll::Ready(Err(_)) => return Poll::Ready(Err(())),
            Poll::Pending => return Poll::Pending,
        }
    }
    loop {
        match upstream.poll_frame(cx) {
            Poll::Ready(Some(Ok(_))) => {}
            Poll::Ready(Some(Err(_))) => return Poll::Ready(Err(())),
            Poll::Ready(None) => return Poll::Ready(Ok(())),
            Poll::Pending => return Poll::Pending,
        }
    }
}
