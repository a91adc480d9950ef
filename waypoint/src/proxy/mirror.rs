//! RequestMirror: copies of a request that nobody waits for.
//!
//! The primary never feels a mirror: frames go into a bounded queue; a mirror that cannot keep up is dropped and counted.

use super::connect::{Connector, Lane};
use super::node::Node;
use super::upstream::{RequestHead, Upstream};
use crate::http1::{Frame, Framing};
use http::{HeaderMap, HeaderValue, Method};
use routing::{Endpoint, TrafficPolicy};
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use telemetry::Metrics;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// Body bytes that wait for one mirror at most; beyond, the mirror is given up.
const QUEUE_BYTES: usize = 1024 * 1024;
/// Body bytes that wait for all mirrors of the process together.
const ALL_QUEUES_BYTES: usize = 16 * 1024 * 1024;
/// Mirrors of the process that run at once; beyond, a request is not mirrored. Envoy's limit of requests to a cluster.
const MOST_RUNNING: usize = 1024;
/// Of a mirror's answer so much is read away, to keep the connection; beyond, it is closed.
const ANSWER_BYTES: usize = 1024 * 1024;
/// A mirror that takes longer than this, answer included, is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the mirrors of this process hold together: mirrors that hang must not add up.
#[derive(Debug, Default)]
pub(crate) struct Load {
    running: AtomicUsize,
    bytes: AtomicUsize,
}

/// The places a request's body is copied to.
#[derive(Debug, Default)]
pub(crate) struct Tee {
    sinks: Vec<Sink>,
}

/// One of them. Dropped before the end of the body, it ends its mirror.
#[derive(Debug)]
struct Sink {
    /// `None` in the queue ends the body.
    frames: mpsc::UnboundedSender<Option<Frame>>,
    waiting: Arc<Waiting>,
    metrics: Arc<Metrics>,
    task: AbortHandle,
    ended: bool,
}

/// The body bytes in one queue, counted as part of the [`Load`] for as long as sink or mirror live.
#[derive(Debug)]
struct Waiting {
    bytes: AtomicUsize,
    load: Arc<Load>,
}

impl Tee {
    /// Copies a frame to every mirror that keeps up.
    pub(crate) fn frame(&mut self, frame: &Frame) {
        self.sinks.retain(|sink| sink.offer(frame));
    }

    /// The body is complete.
    pub(crate) fn end(&mut self) {
        for mut sink in self.sinks.drain(..) {
            sink.ended = true;
            // Fails only when the mirror has given up.
            let _ = sink.frames.send(None);
        }
    }

    /// Starts a mirror of a request and copies its body there.
    pub(crate) fn start(&mut self, node: &Node, lane: Lane, copy: Copy) {
        let metrics = &node.metrics;
        metrics.own.mirrors.inc();
        let Some(waiting) = Waiting::begin(&node.mirrors) else {
            metrics.own.mirrors_dropped.inc();
            return;
        };
        let waiting = Arc::new(waiting);
        let (frames, queue) = mpsc::unbounded_channel();
        let (connector, counted, taken) = (Arc::clone(&node.connector), Arc::clone(metrics), Arc::clone(&waiting));
        let task = tokio::spawn(async move {
            let sent = tokio::time::timeout(PATIENCE, copy.send(&connector, &lane, queue, &taken)).await;
            if !matches!(sent, Ok(Ok(()))) {
                counted.own.mirrors_dropped.inc();
            }
        });
        self.sinks.push(Sink {
            frames,
            waiting,
            metrics: Arc::clone(metrics),
            task: task.abort_handle(),
            ended: false,
        });
    }
}

impl Sink {
    fn offer(&self, frame: &Frame) -> bool {
        let size = match frame {
            Frame::Data(data) => data.len(),
            Frame::Trailers(_) => 0,
        };
        if self.frames.is_closed() {
            return false;
        }
        if !self.waiting.add(size) {
            self.metrics.own.mirrors_dropped.inc();
            return false;
        }
        self.frames.send(Some(frame.clone())).is_ok()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if !self.ended {
            self.task.abort();
        }
    }
}

impl Waiting {
    /// `None` when too many run.
    fn begin(load: &Arc<Load>) -> Option<Self> {
        if load.running.fetch_add(1, Ordering::Relaxed) >= MOST_RUNNING {
            load.running.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Self {
            bytes: AtomicUsize::new(0),
            load: Arc::clone(load),
        })
    }

    /// False when that is too much.
    fn add(&self, size: usize) -> bool {
        let own = self.bytes.fetch_add(size, Ordering::Relaxed).saturating_add(size);
        let all = self.load.bytes.fetch_add(size, Ordering::Relaxed).saturating_add(size);
        own <= QUEUE_BYTES && all <= ALL_QUEUES_BYTES
    }

    fn take(&self, size: usize) {
        self.bytes.fetch_sub(size, Ordering::Relaxed);
        self.load.bytes.fetch_sub(size, Ordering::Relaxed);
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.load.bytes.fetch_sub(*self.bytes.get_mut(), Ordering::Relaxed);
        self.load.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The head of a mirrored request, its own copy.
#[derive(Debug)]
pub(crate) struct Copy {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) policy: Arc<TrafficPolicy>,
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
        waiting: &Waiting,
    ) -> Result<(), ()> {
        let head = RequestHead {
            method: &self.method,
            target: &self.target,
            host: &self.host,
            headers: &self.headers,
            framing: self.framing,
            upgrade: None,
            extended: false,
        };
        let mut upstream = connector
            .open(&self.endpoint, &self.policy, self.http2, lane, &head)
            .await
            .map_err(|_| ())?;
        let mut sent = false;
        let mut answer = Answer::default();
        poll_fn(|cx| {
            if !sent {
                sent = pump(cx, &mut queue, &mut upstream, waiting)?;
            }
            let _ = upstream.poll_flush(cx).map_err(|_| ())?;
            discard(cx, &mut upstream, &self.method, &mut answer)
        })
        .await?;
        connector.give_back(&self.endpoint, &self.policy, lane, upstream);
        Ok(())
    }
}

/// Moves queued frames upstream; true at the end of the body.
fn pump(
    cx: &mut Context<'_>,
    queue: &mut mpsc::UnboundedReceiver<Option<Frame>>,
    upstream: &mut Upstream,
    waiting: &Waiting,
) -> Result<bool, ()> {
    loop {
        match upstream.poll_ready(cx) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) => return Err(()),
            Poll::Pending => return Ok(false),
        }
        match queue.poll_recv(cx) {
            Poll::Ready(Some(Some(Frame::Data(data)))) => {
                waiting.take(data.len());
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
            // The request broke off: so does its copy, which is being aborted.
            Poll::Ready(None) => return Err(()),
            Poll::Pending => return Ok(false),
        }
    }
}

/// How much of the answer was read.
#[derive(Debug, Default)]
struct Answer {
    begun: bool,
    bytes: usize,
}

/// Reads and drops the answer, within bounds: a connection that is given back unfinished is closed.
fn discard(
    cx: &mut Context<'_>,
    upstream: &mut Upstream,
    method: &Method,
    answer: &mut Answer,
) -> Poll<Result<(), ()>> {
    while !answer.begun {
        match upstream.poll_response(cx, method) {
            Poll::Ready(Ok(parts)) => answer.begun = !parts.status.is_informational(),
            Poll::Ready(Err(_)) => return Poll::Ready(Err(())),
            Poll::Pending => return Poll::Pending,
        }
    }
    while answer.bytes < ANSWER_BYTES {
        match upstream.poll_frame(cx) {
            Poll::Ready(Some(Ok(Frame::Data(data)))) => answer.bytes = answer.bytes.saturating_add(data.len()),
            Poll::Ready(Some(Ok(Frame::Trailers(_)))) => {}
            Poll::Ready(Some(Err(_))) => return Poll::Ready(Err(())),
            Poll::Ready(None) => return Poll::Ready(Ok(())),
            Poll::Pending => return Poll::Pending,
        }
    }
    Poll::Ready(Ok(()))
}
