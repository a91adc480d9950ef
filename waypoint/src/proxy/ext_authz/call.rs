//! One call to an authoriser: a small request out, a small answer back.

use super::super::connect::{Connector, Lane, OpenFault};
use super::super::node::Node;
use super::super::upstream::{RequestHead, Upstream, UpstreamFault};
use crate::http1::Frame;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, response};
use rand::Rng;
use routing::{Ask, Cluster, Endpoint, TrafficPolicy};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::task::{Context, Poll};

/// Endpoints tried where nothing of a call was processed.
const ATTEMPTS: usize = 3;
/// Bytes of an answer's body at most; a longer one is a failed check.
const ANSWER_BYTES: usize = 256 * 1024;

/// A whole answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) parts: response::Parts,
    pub(super) body: Bytes,
    pub(super) trailers: HeaderMap,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallFault {
    /// Nobody is there to ask.
    NoEndpoint,
    /// No endpoint could be reached.
    Connect,
    /// The time is over.
    Timeout,
    /// The authoriser broke off, or what it said is no answer.
    Broken,
    /// It told of an error of its own.
    Error,
}

impl CallFault {
    /// Label `result` of the metric.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::NoEndpoint | Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Broken | Self::Error => "error",
        }
    }
}

/// An attempt that failed, and whether another may follow.
struct Failed {
    fault: CallFault,
    unprocessed: bool,
}

/// Makes a call. It has no limit of time of its own.
pub(super) async fn call(
    node: &Node,
    cluster: &Cluster,
    http2: bool,
    head: &RequestHead<'_>,
    body: &Bytes,
) -> Result<Answer, CallFault> {
    let mut tried: Vec<SocketAddr> = Vec::new();
    loop {
        let ask = Ask {
            random: rand::rng().random(),
            now_ms: node.clock.now_ms(),
            hash: None,
            tried: &tried,
        };
        let endpoint = cluster.choose(&ask).ok_or(CallFault::NoEndpoint)?;
        match attempt(&node.connector, endpoint, &cluster.policy, http2, head, body).await {
            Ok(answer) => return Ok(answer),
            Err(failed) if !failed.unprocessed || tried.len().saturating_add(1) >= ATTEMPTS => return Err(failed.fault),
            Err(_) => tried.push(endpoint.address),
        }
    }
}

async fn attempt(
    connector: &Connector,
    endpoint: &Endpoint,
    policy: &TrafficPolicy,
    http2: bool,
    head: &RequestHead<'_>,
    body: &Bytes,
) -> Result<Answer, Failed> {
    // Calls are the waypoint's own, whichever request they are about.
    let lane = Lane::own();
    let mut upstream = connector
        .open(endpoint, policy, http2, &lane, head)
        .await
        .map_err(open_fault)?;
    if !body.is_empty() {
        upstream.push(body.clone());
    }
    upstream.finish(None);
    let mut reading = Reading::default();
    let read = poll_fn(|cx| {
        // An authoriser may have answered before it has read all: then its answer, or the lack of one, decides.
        let _ = upstream.poll_flush(cx);
        reading.poll(cx, &mut upstream, head.method)
    });
    if let Err(fault) = read.await {
        return Err(Failed {
            fault: CallFault::Broken,
            unprocessed: fault == UpstreamFault::Refused || upstream.nothing_sent(),
        });
    }
    connector.give_back(endpoint, policy, &lane, upstream);
    let Reading { parts, body, trailers } = reading;
    let parts = parts.ok_or(Failed {
        fault: CallFault::Broken,
        unprocessed: false,
    })?;
    Ok(Answer {
        parts,
        body: body.freeze(),
        trailers,
    })
}

fn open_fault(fault: OpenFault) -> Failed {
    match fault {
        OpenFault::Connect(why) => {
            tracing::debug!(why, "no way to the authoriser");
            Failed {
                fault: CallFault::Connect,
                unprocessed: true,
            }
        }
        // Of WebSocket only.
        OpenFault::NotOffered => Failed {
            fault: CallFault::Broken,
            unprocessed: false,
        },
        OpenFault::Upstream(fault) => Failed {
            fault: CallFault::Broken,
            unprocessed: fault == UpstreamFault::Refused,
        },
    }
}

/// An answer while it comes.
#[derive(Default)]
struct Reading {
    parts: Option<response::Parts>,
    body: BytesMut,
    trailers: HeaderMap,
}

impl Reading {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        upstream: &mut Upstream,
        method: &Method,
    ) -> Poll<Result<(), UpstreamFault>> {
        while self.parts.is_none() {
            let parts = std::task::ready!(upstream.poll_response(cx, method))?;
            if parts.status.as_u16() == 101 {
                return Poll::Ready(Err(UpstreamFault::Malformed));
            }
            self.parts = (!parts.status.is_informational()).then_some(parts);
        }
        loop {
            match std::task::ready!(upstream.poll_frame(cx)) {
                Some(Ok(Frame::Data(data))) if self.body.len().saturating_add(data.len()) <= ANSWER_BYTES => {
                    self.body.extend_from_slice(&data);
                }
                Some(Ok(Frame::Data(_))) => return Poll::Ready(Err(UpstreamFault::Malformed)),
                Some(Ok(Frame::Trailers(trailers))) => self.trailers = trailers,
                Some(Err(fault)) => return Poll::Ready(Err(fault)),
                None => return Poll::Ready(Ok(())),
            }
        }
    }
}
