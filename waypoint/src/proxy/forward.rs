//! Sends an admitted request to a backend of its rule, with retries, and streams the answer back.

use super::affinity::Affinity;
use super::client::Client;
use super::connect::OpenFault;
use super::early::Early;
use super::exchange::{Admitted, client_fault};
use super::ext_authz;
use super::filters;
use super::gate::Passage;
use super::grpc::http_status;
use super::mirror::{Copy, Tee};
use super::outbound::Outbound;
use super::pump::{Body, Fault, Meter, await_response, grpc_status, stream_response};
use super::reason::Reason;
use super::record::Record;
use super::session::{self, Pinned};
use super::tunnel::Tunnel;
use super::upstream::{Upstream, UpstreamFault};
use super::witness;
use crate::http1::strip_hop_by_hop;
use http::{HeaderMap, HeaderValue, Method, StatusCode, response};
use mesh::Snapshot;
use rand::Rng;
use routing::{Ask, Backend, Cluster, Endpoint, Outcome, Permit, Retry, Rule, Target};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use telemetry::{SpanId, Try};
use tokio::time::Instant;

/// Retries of a rule without a retry policy, as Istio's default: where nothing was sent, or nothing was processed.
const DEFAULT_RETRIES: u32 = 2;
/// The first wait before a retry where the rule names none (Envoy's default).
const BACKOFF: Duration = Duration::from_millis(25);
/// No back-off is longer.
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);

/// How an answer that has begun ended.
pub(crate) enum Sent {
    /// Complete.
    Whole,
    /// The endpoint granted another protocol, which follows.
    Switched(Box<Switch>),
    /// Broken off.
    Broken(Reason),
}

/// What carries another protocol on.
pub(crate) struct Switch {
    /// The answer that granted it.
    pub(crate) parts: response::Parts,
    pub(crate) upstream: Upstream,
    /// What the client still sends.
    pub(crate) body: Body,
    pub(crate) serving: Serving,
}

/// A request on its way to a backend.
pub(crate) struct Forward<'f> {
    pub(crate) tunnel: &'f Tunnel,
    pub(crate) snapshot: &'f Snapshot,
    pub(crate) rule: &'f Arc<Rule>,
    pub(crate) backend: &'f Backend,
    pub(crate) prefix: Option<&'f str>,
    /// What the matched path begins with, for cookies.
    pub(crate) literal_path: &'f str,
    /// Where the client's session leads.
    pub(crate) pinned: Option<&'f Pinned<'f>>,
    pub(crate) admitted: &'f Admitted,
    /// `Origin`, where a CORS filter asks for it.
    pub(crate) origin: Option<&'f HeaderValue>,
}

/// What one attempt came to.
enum Attempt {
    Answer(response::Parts, Upstream, Serving),
    Failed(Reason, Progress),
}

/// How far an attempt that failed had come, as far as a retry must know.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Nothing was processed: the connection was never there, or the endpoint said so.
    Unprocessed,
    /// It may have been processed.
    Unknown,
    /// The try had its time. More of the same would load a slow endpoint threefold: a policy must ask for it.
    Late,
    /// Our own doing, or the client's: no retry.
    Final,
}

impl Forward<'_> {
    /// Sends it. `Err` is a refusal still to be answered.
    pub(crate) async fn send(
        &self,
        headers: HeaderMap,
        early: Early,
        client: &mut Client<'_>,
        record: &mut Record,
        meter: &mut Meter,
    ) -> Result<Sent, Reason> {
        let backend = self.backend;
        let host = self.admitted.head.authority.host();
        let dns = &self.tunnel.node.dns;
        let cluster = dns.endpoints(self.snapshot, &backend.target, Some(host)).await?;
        let cluster: &Arc<Cluster> = &cluster;
        let affinity = Affinity::of(cluster, self.admitted, &headers);
        let mut outbound = Outbound::build(self, headers, backend, client, record)?;
        // What follows a wish over HTTP/2 is no body that a mirror could read.
        let tee = if client.is_extended_connect() {
            Tee::default()
        } else {
            self.mirrors(&outbound, backend, record)
        };
        let mut body = Body::new(true, early, tee, record.grpc);
        if outbound.upgrade_http1(outbound.http2(cluster.protocol)) {
            body.leave();
        }
        let retries = self.rule.retry.as_ref().map_or(DEFAULT_RETRIES, |retry| retry.attempts);
        let budget = self.snapshot.retry_budget(&backend.target);
        if let Some(budget) = budget {
            budget.request(self.now());
        }
        let mut tried: Vec<SocketAddr> = Vec::new();
        let mut _retrying = Permit::default();
        loop {
            let left = retries.saturating_sub(u32::try_from(tried.len()).unwrap_or(u32::MAX));
            let endpoint = self.endpoint(cluster, affinity.hash, &tried)?;
            record.destination = Some((Arc::clone(&endpoint.workload), endpoint.address));
            let until = self.end_of_try();
            let attempt = self
                .attempt(
                    client,
                    cluster,
                    endpoint,
                    until,
                    &mut outbound,
                    &mut body,
                    record,
                    meter,
                )
                .await;
            let again = left > 0 && self.may_retry(&attempt, &mut body);
            // The one before is over.
            _retrying = Permit::default();
            let permit = if again { self.retry_permit(cluster) } else { None };
            let again = permit.is_some();
            match attempt {
                Attempt::Answer(mut parts, upstream, serving) if !again => {
                    body.release();
                    affinity.mark(&mut parts.headers);
                    return self
                        .answer(client, cluster, parts, upstream, serving, until, body, record, meter)
                        .await;
                }
                Attempt::Failed(reason, _) if !again => return Err(reason),
                _ => {}
            }
            _retrying = permit.unwrap_or_default();
            if budget.is_some_and(|budget| !budget.retry(self.now())) {
                self.tunnel.node.metrics.own.limit("retry_budget");
                return Err(Reason::RetryBudget);
            }
            self.tunnel.node.metrics.own.retries.inc();
            self.back_off(tried.len(), cluster.endpoints.len()).await;
            tried.push(endpoint.address);
        }
    }

    /// `None`: as many retries as the cluster admits are on their way.
    fn retry_permit(&self, cluster: &Cluster) -> Option<Permit> {
        let usage = &cluster.state.usage;
        let permit = usage
            .retries
            .enter(cluster.policy.limits.most_retries(usage.requests.now()));
        if permit.is_none() {
            self.tunnel.node.metrics.own.overflow("retries");
        }
        permit
    }

    /// A place among the requests, and HTTP/1.1 connections, that the cluster admits.
    async fn enter(&self, cluster: &Cluster, endpoint: &Arc<Endpoint>, http2: bool) -> Result<Serving, Reason> {
        let node = &self.tunnel.node;
        let limits = &cluster.policy.limits;
        let request = cluster.state.usage.requests.enter(limits.most_requests());
        let entered = match request {
            None => Err(Reason::Overflow("requests")),
            Some(request) if http2 => Ok((request, Passage::default())),
            Some(request) => node
                .connector
                .gates
                .pass(cluster)
                .await
                .map(|passage| (request, passage)),
        };
        match entered {
            Ok((request, passage)) => Ok(Serving::begin(endpoint, request, passage)),
            Err(reason) => {
                if let Reason::Overflow(limit) = reason {
                    node.metrics.own.overflow(limit);
                }
                Err(reason)
            }
        }
    }

    fn ask<'a>(&self, hash: Option<u64>, tried: &'a [SocketAddr]) -> Ask<'a> {
        Ask {
            random: rand::rng().random(),
            now_ms: self.tunnel.node.clock.now_ms(),
            hash,
            tried,
        }
    }

    /// The session's endpoint, unless it has failed or gone; else one by the policy.
    fn endpoint<'c>(
        &self,
        cluster: &'c Cluster,
        hash: Option<u64>,
        tried: &[SocketAddr],
    ) -> Result<&'c Arc<Endpoint>, Reason> {
        let pinned = self.pinned.filter(|_| tried.is_empty());
        pinned
            .and_then(|pinned| cluster.usable_at(pinned.address(), self.tunnel.node.clock.now_ms()))
            .or_else(|| cluster.choose(&self.ask(hash, tried)))
            .ok_or(Reason::NoEndpoint)
    }

    /// What retry budgets are kept by.
    fn now(&self) -> Duration {
        Duration::from_millis(self.tunnel.node.clock.now_ms())
    }

    /// Tells the client where its session is.
    fn keep_session(&self, endpoint: SocketAddr, headers: &mut HeaderMap) {
        if self.rule.sessions.is_none() {
            return;
        }
        let sealer = &self.tunnel.node.sealer;
        session::keep(
            sealer,
            self.rule,
            self.backend,
            self.pinned,
            endpoint,
            self.literal_path,
            headers,
        );
    }

    /// When a try that begins now has had its time, the body of its answer included.
    fn end_of_try(&self) -> Option<Instant> {
        Instant::now().checked_add(self.rule.timeouts.backend_request?)
    }

    /// One try at one endpoint, up to the head of its answer.
    #[allow(clippy::too_many_arguments)] // each is a distinct part of one request's state
    async fn attempt(
        &self,
        client: &mut Client<'_>,
        cluster: &Cluster,
        endpoint: &Arc<Endpoint>,
        until: Option<Instant>,
        outbound: &mut Outbound,
        body: &mut Body,
        record: &mut Record,
        meter: &mut Meter,
    ) -> Attempt {
        let began = record.start.elapsed();
        let span = self.begin_try(outbound, record);
        let trying = self.try_endpoint(client, cluster, endpoint, outbound, body, meter);
        let attempt = match until {
            None => trying.await,
            Some(until) => match tokio::time::timeout_at(until, trying).await {
                Ok(attempt) => attempt,
                Err(_) => Attempt::Failed(Reason::Timeout, Progress::Late),
            },
        };
        self.witness(cluster, endpoint, &attempt, record.grpc);
        let (status, error) = match &attempt {
            Attempt::Answer(parts, ..) => (Some(parts.status.as_u16()), None),
            Attempt::Failed(reason, _) => (None, Some(reason.refusal().label)),
        };
        if record.trace.sampled || error.is_some() {
            let took = record.start.elapsed().saturating_sub(began);
            record.tries.push(Try {
                address: endpoint.address,
                began,
                took,
                status,
                error,
                span,
            });
        }
        attempt
    }

    /// Tells the cluster what became of an attempt. What the client broke off, and what an endpoint that is leaving had
    /// not looked at, are no faults of it.
    fn witness(&self, cluster: &Cluster, endpoint: &Endpoint, attempt: &Attempt, grpc: bool) {
        let outcome = match attempt {
            Attempt::Answer(parts, ..) => witness::of_answer(grpc, parts, grpc_status(&parts.headers)),
            Attempt::Failed(Reason::Reset, Progress::Unprocessed) => None,
            Attempt::Failed(reason, _) => witness::of_failure(reason),
        };
        if let Some(outcome) = outcome {
            witness::report(&self.tunnel.node, cluster, endpoint, outcome);
        }
    }

    /// The whole request had its time before its answer began.
    pub(crate) fn timed_out(&self, record: &Record) {
        let host = self.admitted.head.authority.host();
        let dns = &self.tunnel.node.dns;
        let cluster = dns.endpoints_now(self.snapshot, &self.backend.target, Some(host));
        let Some((cluster, (_, address))) = cluster.zip(record.destination.as_ref()) else {
            return;
        };
        let endpoint = cluster.endpoints.iter().find(|endpoint| endpoint.address == *address);
        if let Some(endpoint) = endpoint {
            witness::report(&self.tunnel.node, &cluster, endpoint, Outcome::TimedOut);
        }
    }

    fn begin_try(&self, outbound: &mut Outbound, record: &Record) -> SpanId {
        if !record.is_traced {
            return SpanId(0);
        }
        let span = SpanId(rand::rng().random::<u64>().max(1));
        self.tunnel
            .node
            .spans
            .propagate(&record.trace, span, &mut outbound.headers);
        span
    }

    async fn try_endpoint(
        &self,
        client: &mut Client<'_>,
        cluster: &Cluster,
        endpoint: &Arc<Endpoint>,
        outbound: &Outbound,
        body: &mut Body,
        meter: &mut Meter,
    ) -> Attempt {
        let node = &self.tunnel.node;
        let http2 = outbound.http2(cluster.protocol);
        let serving = match self.enter(cluster, endpoint, http2).await {
            Ok(serving) => serving,
            Err(reason) => return Attempt::Failed(reason, Progress::Final),
        };
        let head = outbound.head();
        let opened = node
            .connector
            .open(endpoint, &cluster.policy, http2, &self.tunnel.lane, &head)
            .await;
        let mut upstream = match opened {
            Ok(upstream) => upstream,
            Err(OpenFault::Connect(why)) => {
                tracing::debug!(endpoint = %endpoint.address, why, "no way to the endpoint");
                return Attempt::Failed(Reason::Connect, Progress::Unprocessed);
            }
            Err(OpenFault::NotOffered) => return Attempt::Failed(Reason::Protocol, Progress::Final),
            Err(OpenFault::Upstream(fault)) => return upstream_fault(fault),
        };
        if client.expects_continue() && http2 {
            client.informational(StatusCode::CONTINUE, HeaderMap::new());
            // A client that has gone is seen by the pump.
            let _ = std::future::poll_fn(|cx| client.poll_flush(cx)).await;
        }
        match await_response(client, &mut upstream, body, &outbound.method, meter).await {
            Ok(parts) => Attempt::Answer(parts, upstream, serving),
            Err(Fault::Client(fault)) => Attempt::Failed(client_fault(fault), Progress::Final),
            Err(Fault::Upstream(UpstreamFault::Reset)) if upstream.nothing_sent() => {
                upstream_fault(UpstreamFault::Refused)
            }
            Err(Fault::Upstream(fault)) => upstream_fault(fault),
        }
    }

    /// Whether this attempt may be followed by another, as far as the request allows it.
    fn may_retry(&self, attempt: &Attempt, body: &mut Body) -> bool {
        let policy = self.rule.retry.as_ref();
        let wanted = match attempt {
            Attempt::Answer(parts, ..) => {
                policy.is_some_and(|retry| retry.wants(parts.status.as_u16(), grpc_status(&parts.headers)))
            }
            Attempt::Failed(_, Progress::Final) => false,
            Attempt::Failed(_, Progress::Unprocessed) => policy.is_none_or(|retry| retry.on.unprocessed),
            Attempt::Failed(_, Progress::Late) => policy.is_some_and(|retry| retry.on.timeout),
            Attempt::Failed(_, Progress::Unknown) => {
                policy.map_or_else(|| is_idempotent(&self.admitted.method), |retry| retry.on.reset)
            }
        };
        wanted && body.rewind()
    }

    /// Waits before the next attempt. Another endpoint may be tried at once where no policy asks for a pause.
    async fn back_off(&self, failed: usize, endpoints: usize) {
        let least = self.rule.retry.as_deref().and_then(|retry: &Retry| retry.backoff);
        if least.is_none() && failed.saturating_add(1) < endpoints {
            return;
        }
        let base = least.unwrap_or(BACKOFF);
        let factor = 1_u32
            .checked_shl(u32::try_from(failed).unwrap_or(16))
            .unwrap_or(1 << 16);
        let jitter = rand::rng().random_range(1.0..1.25);
        let wait = base
            .saturating_mul(factor)
            .min(LONGEST_BACKOFF.max(base))
            .mul_f64(jitter);
        tokio::time::sleep(wait).await;
    }

    /// Starts the mirrors of the rule and the backend.
    fn mirrors(&self, outbound: &Outbound, backend: &Backend, record: &mut Record) -> Tee {
        let mut tee = Tee::default();
        for mirror in self.rule.filters.mirrors.iter().chain(&backend.filters.mirrors) {
            let host = self.admitted.head.authority.host();
            let cluster = mirror.cluster;
            let dns = &self.tunnel.node.dns;
            let Some(cluster) =
                cluster.and_then(|id| dns.endpoints_now(self.snapshot, &Target::Cluster(id), Some(host)))
            else {
                continue;
            };
            if !mirror.samples(rand::rng().random()) {
                continue;
            }
            let Some(endpoint) = cluster.choose(&self.ask(None, &[])) else {
                continue;
            };
            record.event("mirror", || {
                ("server.address", format!("{}:{}", cluster.service.host, cluster.port))
            });
            let copy = Copy {
                http2: outbound.http2(cluster.protocol),
                endpoint: Arc::clone(endpoint),
                policy: Arc::clone(&cluster.policy),
                method: outbound.method.clone(),
                target: outbound.target.clone(),
                host: outbound.host.clone(),
                headers: outbound.headers.clone(),
                framing: outbound.framing,
            };
            tee.start(&self.tunnel.node, self.tunnel.lane.clone(), copy);
        }
        tee
    }

    /// Streams the answer of the attempt that counts.
    #[allow(clippy::too_many_arguments)] // each is a distinct part of one request's state
    async fn answer(
        &self,
        client: &mut Client<'_>,
        cluster: &Cluster,
        mut parts: response::Parts,
        mut upstream: Upstream,
        serving: Serving,
        until: Option<Instant>,
        mut body: Body,
        record: &mut Record,
        meter: &mut Meter,
    ) -> Result<Sent, Reason> {
        let is_granted = client.is_extended_connect() && parts.status.is_success();
        if is_granted && matches!(upstream, Upstream::H1(_)) {
            // The endpoint took it for a plain GET; to the client a 2xx would say that it may begin.
            return Err(Reason::Protocol);
        }
        meter.grpc_status = grpc_status(&parts.headers);
        record.answered(parts.status, meter.grpc_status, "via_upstream");
        let is_untold = witness::of_answer(record.grpc, &parts, meter.grpc_status).is_none();
        if parts.status == StatusCode::SWITCHING_PROTOCOLS || is_granted {
            self.keep_session(serving.endpoint().address, &mut parts.headers);
            return Ok(Sent::Switched(Box::new(Switch {
                parts,
                upstream,
                body,
                serving,
            })));
        }
        strip_hop_by_hop(&mut parts.headers);
        for level in [&self.backend.filters, &self.rule.filters] {
            filters::on_response(level, self.origin, &mut parts.headers);
        }
        self.keep_session(serving.endpoint().address, &mut parts.headers);
        ext_authz::apply(&self.admitted.to_client, &mut parts.headers);
        record.answer_headers(&parts.headers);
        let framing = upstream.response_framing();
        let method = &self.admitted.method;
        if client
            .start_response(method, parts.status, parts.headers, framing)
            .is_err()
        {
            return Ok(Sent::Broken(Reason::ClientGone));
        }
        let streaming = stream_response(client, &mut upstream, &mut body, meter);
        let streamed = match until {
            None => streaming.await,
            Some(until) => match tokio::time::timeout_at(until, streaming).await {
                Ok(streamed) => streamed,
                Err(_) => return Ok(Sent::Broken(Reason::Timeout)),
            },
        };
        match streamed {
            Ok(()) => {
                if let Some(status) = meter.grpc_status.filter(|_| is_untold) {
                    let outcome = Outcome::Answered(http_status(status));
                    witness::report(&self.tunnel.node, cluster, serving.endpoint(), outcome);
                }
                self.tunnel
                    .node
                    .connector
                    .give_back(serving.endpoint(), &cluster.policy, &self.tunnel.lane, upstream);
                Ok(Sent::Whole)
            }
            Err(Fault::Client(fault)) => Ok(Sent::Broken(client_fault(fault))),
            Err(Fault::Upstream(UpstreamFault::Malformed)) => Ok(Sent::Broken(Reason::BadAnswer)),
            Err(Fault::Upstream(_)) => Ok(Sent::Broken(Reason::Reset)),
        }
    }
}

fn upstream_fault(fault: UpstreamFault) -> Attempt {
    match fault {
        UpstreamFault::Refused => Attempt::Failed(Reason::Reset, Progress::Unprocessed),
        UpstreamFault::Reset => Attempt::Failed(Reason::Reset, Progress::Unknown),
        UpstreamFault::Malformed => Attempt::Failed(Reason::BadAnswer, Progress::Final),
    }
}

/// RFC 9110 section 9.2.2.
fn is_idempotent(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE
    )
}

/// Counts a request, or a TCP connection, at its endpoint, for least-request, until it is dropped.
pub(crate) struct Serving {
    counted: Counted,
    _request: Permit,
    _passage: Passage,
}

struct Counted(Arc<Endpoint>);

impl Serving {
    /// Within what the cluster admits, which `request` and `passage` hold.
    pub(crate) fn begin(endpoint: &Arc<Endpoint>, request: Permit, passage: Passage) -> Self {
        endpoint.in_flight.fetch_add(1, Ordering::Relaxed);
        Self {
            counted: Counted(Arc::clone(endpoint)),
            _request: request,
            _passage: passage,
        }
    }

    fn endpoint(&self) -> &Arc<Endpoint> {
        &self.counted.0
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
