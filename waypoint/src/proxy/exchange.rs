//! One request from its head to its last byte. [`Exchange::run`] reads like the design's "path of one request".

use super::client::{Client, ClientFault};
use super::consult;
use super::early::Early;
use super::ext_authz::HeaderChange;
use super::fault;
use super::filters::{self, Direct};
use super::forward::{Forward, Sent};
use super::grpc::is_grpc;
use super::headers;
use super::pump::Meter;
use super::reason::Reason;
use super::record::Record;
use super::rehearsal;
use super::rejudge::Rejudge;
use super::respond::{self, Asked};
use super::session::{self, Pinned};
use super::tunnel::Tunnel;
use super::upgrade;
use crate::http1::{Framing, strip_hop_by_hop};
use authz::{Verdict, Verified};
use http::header::HOST;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Version};
use mesh::{ClientCert, ServicePort, Snapshot};
use rand::Rng;
use request::{Connection, Head, Request};
use routing::{Backend, Filters, Match, Pick, Rule, Target};
use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use telemetry::OwnMetrics;
use tokio::time::timeout;

/// A request in the loop.
pub(crate) struct Exchange<'t> {
    tunnel: &'t Tunnel,
    snapshot: Arc<Snapshot>,
    record: Record,
    meter: Meter,
    /// `Origin`, where a CORS filter asks for it.
    origin: Option<HeaderValue>,
}

/// What the steps before forwarding leave for it.
pub(crate) struct Admitted {
    pub(crate) method: Method,
    pub(crate) head: Arc<Head>,
    /// `Host` as received: sent on as it is when it says the same as the authority.
    pub(crate) host: Option<HeaderValue>,
    pub(crate) headers: HeaderMap,
    /// The client's address, as far as trusted proxies tell it.
    pub(crate) remote_ip: IpAddr,
    pub(crate) upgrade: Option<HeaderValue>,
    /// How the body is delimited.
    pub(crate) framing: Framing,
    /// The client speaks HTTP/2.
    pub(crate) http2: bool,
    /// What has been read of the body.
    pub(crate) early: Early,
    /// What external authorisers want changed in the answer.
    pub(crate) to_client: Vec<HeaderChange>,
    pub(crate) verified: Option<Verified>,
}

/// Serves one request. Returns when the answer is out, or cannot be given.
pub(crate) async fn serve(tunnel: &Tunnel, client: &mut Client<'_>, parts: Parts) {
    let _counted = InFlight::begin(&tunnel.node.metrics.own);
    let snapshot = tunnel.node.snapshot.load_full();
    let mut exchange = Exchange {
        tunnel,
        record: Record::begin(tunnel, &snapshot, &parts),
        snapshot,
        meter: Meter::default(),
        origin: None,
    };
    exchange.record.grpc = is_grpc(&parts.headers);
    exchange.record.method = parts.method.clone();
    if let Err(reason) = exchange.run(client, parts).await {
        exchange.refuse(client, reason).await;
    }
    exchange.record.publish(tunnel, &exchange.snapshot, &exchange.meter);
}

/// Answers a request whose head could not even be read.
pub(crate) async fn refuse_unread(tunnel: &Tunnel, client: &mut Client<'_>, reason: Reason) {
    let (parts, ()) = http::Request::new(()).into_parts();
    let snapshot = tunnel.node.snapshot.load_full();
    let mut exchange = Exchange {
        tunnel,
        record: Record::begin(tunnel, &snapshot, &parts),
        snapshot,
        meter: Meter::default(),
        origin: None,
    };
    exchange.refuse(client, reason).await;
    exchange.record.publish(tunnel, &exchange.snapshot, &exchange.meter);
}

impl Exchange<'_> {
    async fn run(&mut self, client: &mut Client<'_>, parts: Parts) -> Result<(), Reason> {
        let port = self.tunnel.port(&self.snapshot).ok_or(Reason::NoService)?;
        let mut admitted = self.admit(client, &port, parts)?;
        let matched = port
            .routes(self.tunnel.namespace())
            .find(&view(&self.tunnel.connection, &admitted));
        if let Err(reason) = self.judge(client, &port, &mut admitted).await {
            self.record.missed = matched.map(|matched| Arc::clone(matched.rule));
            return Err(reason);
        }
        let matched = matched.ok_or(Reason::NoRoute)?;
        self.record.route = Some(Arc::clone(matched.rule));
        let rule = matched.rule;
        if let Some(answer) = filters::preflight(&rule.filters, &admitted) {
            return self.answer(client, &admitted, answer).await;
        }
        self.origin = filters::origin(&rule.filters, &admitted.headers);
        self.ask_filter(&rule.filters, client, &mut admitted).await?;
        if let Some(fault) = &rule.filters.fault {
            fault::inject(fault, client, &mut self.record).await?;
        }
        if let Some(answer) = self.direct(&[&rule.filters], &admitted, matched.prefix)? {
            return self.answer(client, &admitted, answer).await;
        }
        // A session goes before weights.
        let pinned = session::find(&self.tunnel.node, &self.snapshot, rule, &admitted);
        let backend = match &pinned {
            Some(pinned) => pinned.backend,
            None => pick(rule)?,
        };
        self.record.backend = rule.backends.iter().position(|other| std::ptr::eq(other, backend));
        if let Some(answer) = filters::preflight(&backend.filters, &admitted) {
            return self.answer(client, &admitted, answer).await;
        }
        self.ask_filter(&backend.filters, client, &mut admitted).await?;
        if let Some(answer) = self.direct(&[&rule.filters, &backend.filters], &admitted, matched.prefix)? {
            return self.answer(client, &admitted, answer).await;
        }
        self.forward(client, &mut admitted, &port, matched, backend, pinned.as_ref())
            .await
    }

    /// 400: the head is parsed once; what a client may never set goes.
    fn admit(&mut self, client: &Client<'_>, port: &ServicePort, parts: Parts) -> Result<Admitted, Reason> {
        let head = Head::parse(&parts, self.snapshot.settings.path_mode).map_err(|bad| Reason::BadRequest(bad.0))?;
        let head = Arc::new(head);
        self.record.head = Some((Arc::clone(&head), parts.version));
        let upgrade = client.upgrade(&parts.headers)?;
        let topology = self.snapshot.settings.topology;
        let (headers, host) = clean(parts.headers, port, topology.client_cert, || self.tunnel.client_cert());
        Ok(Admitted {
            framing: client.request_framing(&headers),
            remote_ip: headers::remote_ip(&headers, self.tunnel.connection.source_ip, topology.trusted_proxies),
            http2: parts.version == Version::HTTP_2,
            early: Early::default(),
            to_client: Vec::new(),
            method: parts.method,
            head,
            host,
            headers,
            upgrade,
            verified: None,
        })
    }

    /// 401, 403, or what the authoriser of a CUSTOM policy says.
    async fn judge(
        &mut self,
        client: &mut Client<'_>,
        port: &Arc<ServicePort>,
        admitted: &mut Admitted,
    ) -> Result<(), Reason> {
        if port.policies.has_custom() {
            // Boxed: few requests are asked about, and every request would carry the room for it.
            Box::pin(consult::providers(self.tunnel, &self.snapshot, port, client, admitted)).await?;
        }
        let request = view(&self.tunnel.connection, admitted);
        let verified = self.authenticate(port, &request)?;
        self.authorise(port, &request, verified.as_ref())?;
        admitted.verified = verified;
        Ok(())
    }

    /// 403, or what the authoriser of an ExternalAuth filter says.
    async fn ask_filter(
        &self,
        filters: &Filters,
        client: &mut Client<'_>,
        admitted: &mut Admitted,
    ) -> Result<(), Reason> {
        if filters.external_auth.is_none() {
            return Ok(());
        }
        Box::pin(consult::filter(self.tunnel, &self.snapshot, filters, client, admitted)).await
    }

    /// 401, or 403 for another audience. A request without a token passes.
    fn authenticate(&self, port: &ServicePort, request: &Request<'_>) -> Result<Option<Verified>, Reason> {
        if port.authn.is_empty() {
            return Ok(None);
        }
        let node = &self.tunnel.node;
        let verified = port
            .authn
            .verify(request, self.record.unix_seconds(), &node.keys.load());
        if let Ok(Some(_)) = verified {
            node.metrics.own.token("ok");
        }
        verified.map_err(|error| {
            node.metrics.own.token(error.reason);
            if error.is_unknown_key() {
                node.jwks.missed(port.authn.key_sources());
            }
            Reason::Token(error)
        })
    }

    /// 403.
    fn authorise(
        &mut self,
        port: &ServicePort,
        request: &Request<'_>,
        verified: Option<&Verified>,
    ) -> Result<(), Reason> {
        if port.policies.is_empty() {
            return Ok(());
        }
        let claims = verified.map(|verified| verified.claims.as_ref());
        rehearsal::of_request(self.tunnel, &port.policies, request, claims, &mut self.record);
        let decision = port.policies.decide(request, claims);
        match decision.verdict {
            Verdict::Allow => {
                self.tunnel.node.metrics.own.verdict("allow");
                if let Some((policy, _)) = decision.by {
                    self.tunnel.node.live.passed(policy);
                }
                Ok(())
            }
            Verdict::Deny => {
                self.tunnel.node.metrics.own.verdict("deny");
                Err(Reason::denied(decision.by))
            }
        }
    }

    /// A redirect or a direct response, when the innermost of these filters asks for one.
    fn direct(
        &mut self,
        levels: &[&Filters],
        admitted: &Admitted,
        prefix: Option<&str>,
    ) -> Result<Option<Direct>, Reason> {
        let port = self.tunnel.connection.destination_port;
        if let Some(own) = levels.last().filter(|_| self.origin.is_none()) {
            self.origin = filters::origin(own, &admitted.headers);
        }
        filters::direct(levels, admitted, self.origin.as_ref(), port, prefix)
    }

    async fn answer(&mut self, client: &mut Client<'_>, admitted: &Admitted, answer: Direct) -> Result<(), Reason> {
        self.record.answered(answer.status, answer.grpc, "direct_response");
        respond::direct(client, &admitted.method, answer)
            .await
            .map_err(client_fault)
    }

    /// Filters, mirrors, endpoint, retries: all that is left.
    async fn forward(
        &mut self,
        client: &mut Client<'_>,
        admitted: &mut Admitted,
        port: &Arc<ServicePort>,
        matched: Match<'_>,
        backend: &Backend,
        pinned: Option<&Pinned<'_>>,
    ) -> Result<(), Reason> {
        // It is judged again by them for as long as it lasts.
        let headers = admitted.headers.clone();
        let early = std::mem::take(&mut admitted.early);
        let admitted = &*admitted;
        let forward = Forward {
            tunnel: self.tunnel,
            snapshot: &self.snapshot,
            rule: matched.rule,
            backend,
            prefix: matched.prefix,
            literal_path: matched.literal_path(),
            pinned,
            admitted,
            origin: self.origin.as_ref(),
        };
        self.tunnel.node.shares.picked(matched.rule, backend);
        let generation = self.snapshot.generation;
        let mut standing = Rejudge::new(self.tunnel, admitted, port, generation, self.record.unix_seconds());
        let sent = {
            let mut sending = pin!(forward.send(headers, early, client, &mut self.record, &mut self.meter));
            let standing = poll_fn(|cx| match standing.poll_denied(cx) {
                Poll::Ready(reason) => Poll::Ready(Err(reason)),
                Poll::Pending => sending.as_mut().poll(cx).map(Ok),
            });
            match matched.rule.timeouts.request {
                None => standing.await,
                Some(limit) => timeout(limit, standing).await.unwrap_or(Err(Reason::Timeout)),
            }
        };
        let sent = match sent {
            Ok(sent) => sent?,
            Err(reason) if self.record.status.is_some() => Sent::Broken(reason),
            Err(reason) => {
                if reason == Reason::Timeout {
                    forward.timed_out(&self.record);
                }
                return Err(reason);
            }
        };
        // The answer is complete, and no deadline of the rule is one of the other protocol.
        let sent = match sent {
            Sent::Switched(switch) => {
                let _counted = switch.serving;
                let denied = poll_fn(|cx| standing.poll_denied(cx));
                // Boxed: every request would carry the room for it.
                Box::pin(upgrade::carry(
                    client,
                    switch.parts,
                    switch.upstream,
                    switch.body,
                    denied,
                    &mut self.meter,
                ))
                .await
            }
            sent => sent,
        };
        if let Sent::Broken(reason) = sent {
            match reason {
                Reason::ClientGone => self.tunnel.node.metrics.own.reset("downstream"),
                Reason::Reset | Reason::BadAnswer => self.tunnel.node.metrics.own.reset("upstream"),
                Reason::Policy(_) | Reason::Token(_) | Reason::Denied(_) | Reason::AuthFailed(..) => {
                    self.count_refusal(&reason);
                }
                _ => {}
            }
            self.record.broke_off(&reason);
            client.abort();
        }
        Ok(())
    }

    fn count_refusal(&self, reason: &Reason) {
        let own = &self.tunnel.node.metrics.own;
        own.refusal(reason.refusal().label);
        if let Some(policy) = reason.policy() {
            own.denial(policy);
            self.tunnel.denied(policy, || self.record.asked());
        }
    }

    async fn refuse(&mut self, client: &mut Client<'_>, reason: Reason) {
        let own = &self.tunnel.node.metrics.own;
        if reason == Reason::ClientGone {
            own.reset("downstream");
            self.record.refused(&reason, None);
            client.abort();
            return;
        }
        self.count_refusal(&reason);
        let realm = matches!(reason, Reason::Token(_))
            .then(|| self.record.realm())
            .flatten();
        let method = self.record.method.clone();
        let route = self.record.route.clone();
        let asked = Asked {
            method: &method,
            grpc: self.record.grpc,
            realm: realm.as_deref(),
            cors: route.as_ref().and_then(|rule| rule.filters.cors.as_deref()),
            origin: self.origin.as_ref(),
        };
        match respond::refuse(client, asked, &reason).await {
            Ok(sent) => self.record.refused(&reason, Some(sent)),
            Err(_) => self.record.refused(&Reason::ClientGone, None),
        }
    }
}

/// Counts a request for as long as it is served, even if its task is dropped or panics.
struct InFlight<'m>(&'m OwnMetrics);

impl<'m> InFlight<'m> {
    fn begin(metrics: &'m OwnMetrics) -> Self {
        metrics.in_flight.inc();
        Self(metrics)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.dec();
    }
}

/// The headers as routes, policies and backends see them, and Host: what a client may never set is gone, and what was for
/// us alone.
pub(crate) fn clean<'c>(
    mut headers: HeaderMap,
    port: &ServicePort,
    rule: ClientCert,
    client: impl FnOnce() -> Option<&'c HeaderValue>,
) -> (HeaderMap, Option<HeaderValue>) {
    let host = headers.remove(HOST);
    strip_hop_by_hop(&mut headers);
    let sent = headers::sent_client_cert(&headers, rule);
    headers::strip_untrusted(&mut headers);
    headers::tell_client(&mut headers, sent, rule, client);
    headers::join_cookies(&mut headers);
    for name in port.authn.owned_headers() {
        headers.remove(name);
    }
    (headers, host)
}

/// The request as routes and policies see it.
pub(crate) fn view<'r>(connection: &'r Connection, admitted: &'r Admitted) -> Request<'r> {
    Request {
        method: &admitted.method,
        head: &admitted.head,
        headers: &admitted.headers,
        connection,
        remote_ip: admitted.remote_ip,
    }
}

/// A backend by weight; 500 when there is none, or its reference is invalid, whatever its filters say.
fn pick(rule: &Rule) -> Result<&Backend, Reason> {
    match rule.pick(rand::rng().random()) {
        Pick::Backend(backend) if !matches!(backend.target, Target::Invalid) => Ok(backend),
        _ => Err(Reason::NoBackend),
    }
}

/// A client's fault as the reason it is recorded under.
pub(crate) fn client_fault(fault: ClientFault) -> Reason {
    match fault {
        ClientFault::Gone => Reason::ClientGone,
        ClientFault::Malformed(why) => Reason::BadRequest(why),
        ClientFault::TooLarge => Reason::HeadersTooLarge,
    }
}
