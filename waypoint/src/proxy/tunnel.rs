//! A tunnel that came in: whose it is, where it leads, and what is spoken in it.

use super::connect::Lane;
use super::http1_session;
use super::http2_session;
use super::node::Node;
use super::sniff::{self, Spoken};
use super::tcp;
use super::upgrade::Primed;
use crate::live::Edge;
use arc_swap::ArcSwapOption;
use hbone::{ClientCertificate, Connect, Drain, TunnelStream};
use http::{HeaderMap, HeaderValue, StatusCode};
use mesh::{ServicePort, Snapshot};
use request::{Authority, Connection, ServiceName, SpiffeId, Workload};
use routing::Protocol;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use telemetry::Plan;

/// What is known of a tunnel for as long as it lives.
#[derive(Debug)]
pub(crate) struct Tunnel {
    pub(crate) node: Arc<Node>,
    pub(crate) peer: SocketAddr,
    pub(crate) connection: Connection,
    pub(crate) source: Arc<Workload>,
    pub(crate) service: Arc<ServiceName>,
    pub(crate) lane: Lane,
    /// Starts when the client's connection to us has reached its age.
    pub(crate) leaving: Drain,
    /// Counts its requests for its client and Service.
    pub(crate) edge: Edge,
    authority: Authority,
    certificate: Arc<ClientCertificate>,
    /// The client in an `x-forwarded-client-cert`, made when one is first asked for.
    client_cert: OnceLock<Option<HeaderValue>>,
    /// The Service port of the latest snapshot a request of this tunnel used.
    port: ArcSwapOption<(u64, Arc<ServicePort>)>,
}

/// Answers a CONNECT at once and serves what follows in a task of its own.
pub(crate) fn on_connect(node: &Arc<Node>, connect: Connect) {
    let snapshot = node.snapshot.load_full();
    let port = snapshot.target(&connect.authority);
    let Some(port) = port.filter(|port| port.is_visible_to(connect.identity.namespace())) else {
        tracing::debug!(authority = connect.authority.as_str(), peer = %connect.peer, "CONNECT to what is not ours");
        node.metrics.own.connect_refusal("not_ours");
        connect.refuse(StatusCode::BAD_REQUEST);
        return;
    };
    let tunnel = Tunnel::new(node, &snapshot, &port, &connect);
    match connect.accept() {
        Ok(stream) => {
            let open = Open::begin(node);
            let protocol = spoken_on(&port, tunnel.namespace());
            let tunnel = Arc::new(tunnel);
            tokio::spawn(async move {
                serve_inner(stream, tunnel, protocol).await;
                drop(open);
            });
        }
        Err(error) => tracing::debug!(%error, "the client left before its CONNECT was answered"),
    }
}

/// Serves what is inside one tunnel until it ends. The seam of the proxy loop.
/// Its future is what an idle tunnel takes, and most carry HTTP/1.1: what the others need is boxed.
pub(crate) async fn serve_inner(mut stream: TunnelStream, tunnel: Arc<Tunnel>, protocol: Protocol) {
    let spoken = match protocol {
        Protocol::Tcp | Protocol::Tls => Ok((Spoken::Bytes, bytes::BytesMut::new())),
        Protocol::Http | Protocol::H2c | Protocol::Grpc => sniff::http(&mut stream, &tunnel.node.drain).await,
        Protocol::Detect => sniff::any(&mut stream, &tunnel.node.drain).await,
    };
    match spoken {
        Ok((Spoken::Http1, first)) => {
            let session = pin!(http1_session::serve(&tunnel, stream, first));
            tunnel.node.changes.watched(session).await;
        }
        Ok((Spoken::Http2, first)) => Box::pin(http2_session::serve(tunnel, Primed::new(first, stream))).await,
        Ok((Spoken::Bytes, first)) => Box::pin(tcp::serve(&tunnel, Primed::new(first, stream))).await,
        Ok((Spoken::Nothing, _)) => {}
        Err(error) => tracing::debug!(%error, "tunnel ended before its protocol was known"),
    }
}

/// What is spoken on a port: TLSRoutes and TCPRoutes make bytes of it, whatever it is declared.
pub(crate) fn spoken_on(port: &ServicePort, namespace: &str) -> Protocol {
    match port.routes(namespace).streams() {
        Some(_) => Protocol::Tcp,
        None => port.protocol,
    }
}

impl Tunnel {
    fn new(node: &Arc<Node>, snapshot: &Snapshot, port: &Arc<ServicePort>, connect: &Connect) -> Self {
        let source = source_workload(snapshot, connect);
        let service = Arc::new(ServiceName {
            host: Arc::clone(&port.host),
            name: Arc::clone(&port.name),
            namespace: Arc::clone(&port.namespace),
        });
        let mut hasher = DefaultHasher::new();
        source.hash(&mut hasher);
        Self {
            node: Arc::clone(node),
            peer: connect.peer,
            connection: connection(port, &connect.authority, &connect.identity, connect.peer.ip()),
            lane: Lane {
                source: hasher.finish(),
                baggage: baggage(&source),
            },
            leaving: connect.leaving.clone(),
            edge: node.live.edges.of(&source, &service, port.port),
            source,
            service,
            authority: connect.authority.clone(),
            certificate: Arc::clone(&connect.certificate),
            client_cert: OnceLock::new(),
            port: ArcSwapOption::new(Some(Arc::new((snapshot.generation, Arc::clone(port))))),
        }
    }

    /// The Service port as `snapshot` has it; `None` when it is not ours any more.
    pub(crate) fn port(&self, snapshot: &Snapshot) -> Option<Arc<ServicePort>> {
        if let Some(known) = self.port.load().as_ref()
            && known.0 == snapshot.generation
        {
            return Some(Arc::clone(&known.1));
        }
        let port = snapshot.target(&self.authority)?;
        if !port.is_visible_to(self.namespace()) {
            return None;
        }
        let destination = (port.judged_at.or_else(|| self.authority.ip()), port.port);
        // A pod's endpoint that belongs to another Service port now: policies would be asked about the old one.
        if destination != (self.connection.destination_ip, self.connection.destination_port) {
            return None;
        }
        self.port
            .store(Some(Arc::new((snapshot.generation, Arc::clone(&port)))));
        Some(port)
    }

    /// What is told of its requests.
    pub(crate) fn plan(&self, snapshot: &Snapshot) -> Arc<Plan> {
        let port = self.port(snapshot);
        Arc::clone(
            port.as_ref()
                .map_or(&snapshot.settings.telemetry, |port| &port.telemetry),
        )
    }

    /// The address that the client asked for, where it asked for one.
    pub(crate) fn local_address(&self) -> Option<SocketAddr> {
        let ip = self.connection.destination_ip?;
        Some(SocketAddr::new(ip, self.connection.destination_port))
    }

    /// A policy has denied something in it.
    pub(crate) fn denied(&self, policy: &str, what: impl FnOnce() -> String) {
        let client = self.connection.identity.as_ref();
        let client = client.map(|id| format!("{}/{}", id.namespace(), id.service_account()));
        self.node
            .live
            .denied(policy, client.as_deref().unwrap_or("unknown"), what);
    }

    /// The host that CONNECT asked for.
    pub(crate) fn asked_host(&self) -> &str {
        self.authority.host()
    }

    /// The client as an element of `x-forwarded-client-cert`, in Envoy's form: by whom it was seen, the SHA-256 of its
    /// certificate, its subject where it has one (Istio's have none), and its identity.
    pub(crate) fn client_cert(&self) -> Option<&HeaderValue> {
        let made = self.client_cert.get_or_init(|| {
            let client = self.connection.identity.as_ref()?;
            let (by, hash) = (self.node.own.id(), self.certificate.fingerprint());
            let subject = match self.certificate.subject().as_str() {
                "" => String::new(),
                subject => format!("Subject=\"{subject}\";"),
            };
            let text = format!("By={};Hash={hash};{subject}URI={}", by.as_str(), client.as_str());
            HeaderValue::try_from(text).ok()
        });
        made.as_ref()
    }

    /// The client's namespace, from its certificate.
    pub(crate) fn namespace(&self) -> &str {
        self.connection
            .identity
            .as_ref()
            .map_or("", |identity| identity.namespace())
    }
}

/// What policies and routes know of a tunnel that asks for `authority`.
pub(crate) fn connection(
    port: &ServicePort,
    authority: &Authority,
    identity: &SpiffeId,
    source_ip: IpAddr,
) -> Connection {
    Connection {
        identity: Some(identity.clone()),
        source_ip,
        destination_ip: port.judged_at.or_else(|| authority.ip()),
        destination_port: port.port,
        sni: None,
    }
}

/// The client's workload: known by address if its identity agrees, else by identity, else what the certificate tells.
fn source_workload(snapshot: &Snapshot, connect: &Connect) -> Arc<Workload> {
    let by_address = snapshot
        .workload(connect.peer.ip())
        .filter(|workload| workload.identity.as_ref() == Some(&connect.identity));
    if let Some(workload) = by_address.or_else(|| snapshot.workload_by_identity(&connect.identity)) {
        return Arc::clone(workload);
    }
    let told = |key| baggage_value(&connect.headers, key).unwrap_or_default();
    let (kind, name) = ["deployment", "statefulset", "job", "cronjob", "pod"]
        .iter()
        .find_map(|kind| Some((*kind, baggage_value(&connect.headers, &format!("k8s.{kind}.name"))?)))
        .unwrap_or_default();
    Arc::new(Workload {
        kind: kind.to_owned(),
        canonical_name: Some(told("service.name"))
            .filter(|told| !told.is_empty())
            .unwrap_or_else(|| name.clone()),
        canonical_revision: told("service.version"),
        name,
        namespace: connect.identity.namespace().to_owned(),
        service_account: connect.identity.service_account().to_owned(),
        cluster: told("k8s.cluster.name"),
        region: told("cloud.region"),
        zone: told("cloud.availability_zone"),
        identity: Some(connect.identity.clone()),
        ..Workload::default()
    })
}

/// A value of ztunnel's `baggage`. It labels telemetry and nothing else.
fn baggage_value(headers: &HeaderMap, key: &str) -> Option<String> {
    let text = headers
        .get("baggage")?
        .to_str()
        .ok()
        .filter(|text| text.len() <= 4096)?;
    text.split(',').find_map(|member| {
        let (name, value) = member.trim().split_once('=')?;
        (name == key && value.len() <= 253).then(|| value.to_owned())
    })
}

/// The source as `baggage` tells it to the destination's tunnel.
fn baggage(source: &Workload) -> Option<HeaderValue> {
    let kind = if source.kind.is_empty() { "pod" } else { &source.kind };
    let workload = format!("k8s.{kind}.name");
    let members = [
        ("k8s.cluster.name", &source.cluster),
        ("k8s.namespace.name", &source.namespace),
        (workload.as_str(), &source.name),
        ("service.name", &source.canonical_name),
        ("service.version", &source.canonical_revision),
        ("cloud.region", &source.region),
        ("cloud.availability_zone", &source.zone),
    ];
    let told: Vec<String> = members
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    HeaderValue::try_from(told.join(","))
        .ok()
        .filter(|value| !value.is_empty())
}

/// Counts an open tunnel.
struct Open(Arc<Node>);

impl Open {
    fn begin(node: &Arc<Node>) -> Self {
        node.metrics.own.tunnels.inc();
        Self(Arc::clone(node))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.metrics.own.tunnels.dec();
    }
}
