//! What is remembered of a request while it runs, and becomes a [`telemetry::Outcome`] at its end.

use super::headers::{FORWARDED_FOR, REQUEST_ID};
use super::pump::Meter;
use super::reason::{Reason, with_delay};
use super::tunnel::Tunnel;
use crate::live::Finished;
use http::header::USER_AGENT;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use mesh::Snapshot;
use rand::Rng;
use request::{Head, ServiceName, Workload};
use routing::{Pick, RouteKind, Rule};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use telemetry::{Outcome, Plan, Rehearsal, RequestProtocol, SpanEvent, SpanId, TraceContext, TraceId, Try};

/// The running record of one request.
#[derive(Debug)]
pub(crate) struct Record {
    wall: SystemTime,
    pub(crate) start: Instant,
    /// What is told of it.
    plan: Arc<Plan>,
    /// Spans of it may go somewhere: then ours is the parent of what is upstream.
    pub(crate) is_traced: bool,
    pub(crate) trace: TraceContext,
    pub(crate) method: Method,
    pub(crate) grpc: bool,
    pub(crate) head: Option<(Arc<Head>, Version)>,
    pub(crate) route: Option<Arc<Rule>>,
    /// The rule that would have taken it, of a request that was refused before.
    pub(crate) missed: Option<Arc<Rule>>,
    /// Place in the rule of the backend that was picked.
    pub(crate) backend: Option<usize>,
    pub(crate) destination: Option<(Arc<Workload>, SocketAddr)>,
    pub(crate) tries: Vec<Try>,
    /// The status sent, once a final answer has begun.
    pub(crate) status: Option<StatusCode>,
    /// A fault held it up.
    pub(crate) delayed: bool,
    grpc_status: Option<u32>,
    flag: &'static str,
    details: String,
    policy: Option<String>,
    user_agent: Option<HeaderValue>,
    request_id: Option<HeaderValue>,
    forwarded_for: Option<HeaderValue>,
    /// Headers that the plan asks for; nearly always none.
    request_headers: Vec<(HeaderName, HeaderValue)>,
    response_headers: Vec<(HeaderName, HeaderValue)>,
    events: Vec<SpanEvent>,
    rehearsed: Vec<Rehearsal>,
}

/// Events of a request at most.
const MAX_EVENTS: usize = 16;

impl Record {
    pub(crate) fn begin(tunnel: &Tunnel, snapshot: &Snapshot, parts: &Parts) -> Self {
        let plan = tunnel.plan(snapshot);
        let spans = &tunnel.node.spans;
        let is_traced = spans.traces(&plan);
        let trace = if is_traced {
            spans.begin(&plan, &parts.headers)
        } else {
            TraceContext {
                trace: TraceId(0),
                span: SpanId(0),
                parent: None,
                sampled: false,
            }
        };
        let told = plan.tells_path() || trace.sampled;
        let keep = |name| if told { parts.headers.get(name).cloned() } else { None };
        Self {
            wall: SystemTime::now(),
            start: Instant::now(),
            request_headers: kept(plan.request_headers(), &parts.headers),
            response_headers: Vec::new(),
            events: Vec::new(),
            rehearsed: Vec::new(),
            plan,
            is_traced,
            trace,
            method: Method::GET,
            grpc: false,
            head: None,
            route: None,
            missed: None,
            backend: None,
            destination: None,
            tries: Vec::new(),
            status: None,
            delayed: false,
            grpc_status: None,
            flag: "-",
            details: String::new(),
            policy: None,
            user_agent: keep(&USER_AGENT),
            request_id: keep(&REQUEST_ID),
            forwarded_for: keep(&FORWARDED_FOR),
        }
    }

    /// When it came, in seconds of Unix time. A clock before 1970 makes every token invalid, which is the closed side.
    pub(crate) fn unix_seconds(&self) -> u64 {
        self.wall.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }

    /// Something happened, which the span will tell.
    pub(crate) fn event(&mut self, name: &'static str, detail: impl FnOnce() -> (&'static str, String)) {
        if self.trace.sampled && self.events.len() < MAX_EVENTS {
            self.events.push(SpanEvent {
                at: self.start.elapsed(),
                name,
                detail: Some(detail()),
            });
        }
    }

    /// Policies in dry run have said something, which the span will tell.
    pub(crate) fn rehearsed(&mut self, said: impl FnOnce() -> Rehearsal) {
        if self.trace.sampled {
            self.rehearsed.push(said());
        }
    }

    /// The answer's headers, as the client gets them.
    pub(crate) fn answer_headers(&mut self, headers: &HeaderMap) {
        self.response_headers = kept(self.plan.response_headers(), headers);
    }

    /// A final answer has begun.
    pub(crate) fn answered(&mut self, status: StatusCode, grpc_status: Option<u32>, details: &str) {
        self.status = Some(status);
        self.grpc_status = grpc_status;
        details.clone_into(&mut self.details);
    }

    /// The waypoint answered itself (`sent`), or could not.
    pub(crate) fn refused(&mut self, reason: &Reason, sent: Option<(StatusCode, Option<u32>)>) {
        let refusal = reason.refusal();
        self.flag = refusal.flag;
        self.details = reason.details();
        self.policy = reason.policy().map(str::to_owned);
        // Envoy logs 0 for a client that left before any answer.
        self.status = sent.map(|(status, _)| status);
        self.grpc_status = sent.and_then(|(_, grpc)| grpc);
    }

    /// An answer had begun and could not be completed.
    pub(crate) fn broke_off(&mut self, reason: &Reason) {
        self.flag = reason.refusal().flag;
        self.details = reason
            .details()
            .replace("before_response_started", "after_response_started");
    }

    /// `GET host/path`, without the query.
    pub(crate) fn asked(&self) -> String {
        match &self.head {
            Some((head, _)) => format!("{} {}{}", self.method, head.authority.as_str(), head.path.as_str()),
            None => self.method.to_string(),
        }
    }

    /// `http://host/path`, for the realm of a 401.
    pub(crate) fn realm(&self) -> Option<String> {
        let (head, _) = self.head.as_ref()?;
        Some(format!("http://{}{}", head.authority.as_str(), head.path.as_str()))
    }

    /// Hands the finished request to metrics, spans and the access log.
    pub(crate) fn publish(&self, tunnel: &Tunnel, snapshot: &Snapshot, meter: &Meter) {
        let node = &tunnel.node;
        let path = self.told_path();
        let route = self.told_route(&tunnel.service);
        let text =
            |value: &Option<HeaderValue>| value.as_ref().and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (user_agent, request_id, forwarded_for) = (
            text(&self.user_agent),
            text(&self.request_id),
            text(&self.forwarded_for),
        );
        let outcome = Outcome {
            start: self.wall,
            duration: self.start.elapsed(),
            source: &tunnel.source,
            source_identity: tunnel.connection.identity.as_ref(),
            source_address: tunnel.peer,
            destination: self.destination.as_ref().map(|(workload, _)| workload),
            upstream_address: self.destination.as_ref().map(|(_, address)| *address),
            service: &tunnel.service,
            port: tunnel.connection.destination_port,
            backend: self.backend(snapshot),
            protocol: if self.grpc {
                RequestProtocol::Grpc
            } else {
                RequestProtocol::Http
            },
            status: self.status.map_or(0, |status| status.as_u16()),
            grpc_status: if self.grpc {
                meter.grpc_status.or(self.grpc_status)
            } else {
                None
            },
            flags: if self.delayed { with_delay(self.flag) } else { self.flag },
            details: &self.details,
            mtls: tunnel.connection.identity.is_some(),
            method: self.method.as_str(),
            authority: self.head.as_ref().map_or("", |(head, _)| head.authority.as_str()),
            path: path.as_deref().unwrap_or("/"),
            http_version: match self.head.as_ref().map(|(_, version)| *version) {
                Some(Version::HTTP_2) => "HTTP/2",
                Some(Version::HTTP_10) => "HTTP/1.0",
                _ => "HTTP/1.1",
            },
            user_agent: user_agent.as_deref(),
            request_id: request_id.as_deref(),
            forwarded_for: forwarded_for.as_deref(),
            request_bytes: meter.request_bytes,
            response_bytes: meter.response_bytes,
            request_messages: meter.request_messages.messages(),
            response_messages: meter.response_messages.messages(),
            route: route.as_deref(),
            policy: self.policy.as_deref(),
            rehearsed: &self.rehearsed,
            trace: &self.trace,
            tries: &self.tries,
            events: &self.events,
            plan: &self.plan,
            request_headers: &self.request_headers,
            response_headers: &self.response_headers,
            local_address: tunnel.local_address(),
        };
        node.metrics.observe(&outcome);
        let finished = Finished {
            outcome: &outcome,
            rule: self.route.as_ref(),
            backend: self.backend,
            head: self.head.as_ref().map(|(head, _)| &**head),
        };
        node.live.seen(&tunnel.edge, &finished);
        if self.trace.sampled {
            node.spans.record(&outcome);
        }
        if self.plan.logs() {
            node.access_log.write(&outcome);
        }
    }

    /// The Service port of the backend. Envoy chooses it with the route, before any filter may refuse the request, and
    /// Istio's metrics tell the choice even where nothing was sent.
    fn backend<'a>(&'a self, snapshot: &'a Snapshot) -> Option<(&'a Arc<ServiceName>, u16)> {
        let rule = self.route.as_ref().or(self.missed.as_ref())?;
        let backend = match self.backend {
            Some(place) => rule.backends.get(place)?,
            None if rule.filters.answers() => return None,
            None => match rule.pick(rand::rng().random()) {
                Pick::Backend(backend) => backend,
                Pick::Nothing => return None,
            },
        };
        snapshot.service_of(&backend.target)
    }

    /// Path and query, when a span or a log line will tell them.
    fn told_path(&self) -> Option<String> {
        let is_told = self.plan.tells_path() || self.trace.sampled;
        let (head, _) = self.head.as_ref().filter(|_| is_told)?;
        let path = head.path.as_str();
        Some(match &head.query {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        })
    }

    /// `ns/name/` and the rule's name, or `rule-N`; `None` for the implicit route of a Service, which telemetry names
    /// by the Service. A pod that is addressed by itself is named as such.
    fn told_route(&self, service: &ServiceName) -> Option<String> {
        let is_told = self.plan.tells_route() || self.trace.sampled;
        let rule = self.route.as_ref().filter(|_| is_told)?;
        let (namespace, name) = (&rule.route.namespace, &rule.route.name);
        if rule.route.kind == RouteKind::Implicit {
            return service.host.is_empty().then(|| format!("pod {namespace}/{name}"));
        }
        Some(route_name(rule))
    }
}

/// The headers of these names, where there are any.
fn kept(names: &[HeaderName], headers: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
    let found = names
        .iter()
        .filter_map(|name| Some((name.clone(), headers.get(name)?.clone())));
    found.collect()
}

/// `ns/name/` and the rule's name, or `rule-N`.
pub(crate) fn route_name(rule: &Rule) -> String {
    let (namespace, name) = (&rule.route.namespace, &rule.route.name);
    match &rule.name {
        Some(rule) => format!("{namespace}/{name}/{rule}"),
        None => format!("{namespace}/{name}/rule-{}", rule.index),
    }
}
