//! A finished request as it waits in the queue: owned, bounded, and not yet in OTLP's form.

use crate::clip::clip;
use crate::otlp::Export;
use crate::plan::Plan;
use crate::{Outcome, Rehearsal, RequestProtocol, SpanEvent, TraceContext, Try};
use request::{ServiceName, SpiffeId, Workload};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Bytes kept of each text.
const MAX_TEXT_BYTES: usize = 1_024;
/// Attempts kept of a request.
const MAX_TRIES: usize = 16;
/// One for ALLOW, one for DENY.
const MAX_REHEARSALS: usize = 2;
/// Events kept of a request.
const MAX_EVENTS: usize = 16;

/// The texts of a request that are kept, by place.
#[derive(Clone, Copy, Debug)]
pub(super) enum Text {
    Method,
    Authority,
    /// Without the query, which may hold tokens.
    Path,
    UserAgent,
    RequestId,
    Route,
    Policy,
    Details,
}
const TEXTS: usize = 8;

#[derive(Debug)]
pub(super) struct Record {
    pub(super) start: SystemTime,
    pub(super) duration: Duration,
    pub(super) source: Arc<Workload>,
    pub(super) source_identity: Option<SpiffeId>,
    pub(super) source_address: SocketAddr,
    pub(super) destination: Option<Arc<Workload>>,
    pub(super) upstream_address: Option<SocketAddr>,
    pub(super) service: Arc<ServiceName>,
    pub(super) port: u16,
    pub(super) backend: Option<(Arc<ServiceName>, u16)>,
    pub(super) protocol: RequestProtocol,
    pub(super) status: u16,
    pub(super) grpc_status: Option<u32>,
    pub(super) flags: &'static str,
    pub(super) mtls: bool,
    pub(super) http_version: &'static str,
    pub(super) request_bytes: u64,
    pub(super) response_bytes: u64,
    pub(super) trace: TraceContext,
    pub(super) tries: Box<[Try]>,
    pub(super) events: Box<[SpanEvent]>,
    pub(super) rehearsed: Box<[Rehearsal]>,
    pub(super) plan: Arc<Plan>,
    /// Values of the plan's own tags, by place.
    pub(super) tags: Box<[Option<Box<str>>]>,
    /// Where it goes.
    pub(super) export: Arc<Export>,
    texts: Box<str>,
    ends: [u16; TEXTS],
}

impl Record {
    pub(super) fn of(outcome: &Outcome<'_>, export: &Arc<Export>) -> Self {
        let (texts, ends) = pack(outcome);
        Self {
            start: outcome.start,
            duration: outcome.duration,
            source: Arc::clone(outcome.source),
            source_identity: outcome.source_identity.cloned(),
            source_address: outcome.source_address,
            destination: outcome.destination.map(Arc::clone),
            upstream_address: outcome.upstream_address,
            service: Arc::clone(outcome.service),
            port: outcome.port,
            backend: outcome.backend.map(|(service, port)| (Arc::clone(service), port)),
            protocol: outcome.protocol,
            status: outcome.status,
            grpc_status: outcome.grpc_status,
            flags: outcome.flags,
            mtls: outcome.mtls,
            http_version: outcome.http_version,
            request_bytes: outcome.request_bytes,
            response_bytes: outcome.response_bytes,
            trace: outcome.trace.clone(),
            tries: outcome.tries.iter().take(MAX_TRIES).cloned().collect(),
            events: outcome.events.iter().take(MAX_EVENTS).cloned().collect(),
            rehearsed: rehearsed(outcome),
            plan: Arc::clone(outcome.plan),
            tags: tags(outcome),
            export: Arc::clone(export),
            texts,
            ends,
        }
    }

    /// Empty when there was none.
    pub(super) fn text(&self, text: Text) -> &str {
        let index = text as usize;
        let end = self.ends.get(index).copied().unwrap_or(0);
        let start = index
            .checked_sub(1)
            .and_then(|before| self.ends.get(before))
            .copied()
            .unwrap_or(0);
        self.texts.get(usize::from(start)..usize::from(end)).unwrap_or_default()
    }

    /// How many spans it becomes.
    pub(super) fn spans(&self) -> u64 {
        1 + self.tries.len() as u64
    }
}

fn tags(outcome: &Outcome<'_>) -> Box<[Option<Box<str>>]> {
    let tags = outcome.plan.tracing().tags.iter();
    tags.map(|tag| tag.of(outcome).map(|text| clip(text, MAX_TEXT_BYTES).into()))
        .collect()
}

fn rehearsed(outcome: &Outcome<'_>) -> Box<[Rehearsal]> {
    let kept = outcome.rehearsed.iter().map(|rehearsal| Rehearsal {
        policy: rehearsal
            .policy
            .as_deref()
            .map(|policy| clip(policy, MAX_TEXT_BYTES).to_owned()),
        ..rehearsal.clone()
    });
    kept.take(MAX_REHEARSALS).collect()
}

/// One allocation for all texts, in the order of [`Text`].
fn pack(outcome: &Outcome<'_>) -> (Box<str>, [u16; TEXTS]) {
    let path = outcome.path.split_once('?').map_or(outcome.path, |(path, _)| path);
    let all: [&str; TEXTS] = [
        outcome.method,
        outcome.authority,
        path,
        outcome.user_agent.unwrap_or_default(),
        outcome.request_id.unwrap_or_default(),
        outcome.route.unwrap_or_default(),
        outcome.policy.unwrap_or_default(),
        outcome.details,
    ]
    .map(|text| clip(text, MAX_TEXT_BYTES));
    let mut texts = String::with_capacity(all.iter().map(|text| text.len()).sum());
    let ends = all.map(|text| {
        texts.push_str(text);
        u16::try_from(texts.len()).unwrap_or(u16::MAX)
    });
    (texts.into(), ends)
}
