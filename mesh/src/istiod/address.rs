//! An `istio.workload.Address` as an object of the mesh. What cannot be believed whole is refused whole: the last good
//! state of that address stays.

use super::proto::{self, GatewayPlace, LoadBalancing, Told};
use super::words::{Network, ip, plain, port, shown, text};
use crate::compile::{Waypoint, bind_waypoints};
use crate::kinds::Body;
use crate::kinds::discovered::{self, Discovered, Elsewhere, Serves, WORKLOAD};
use crate::kinds::service::{Distribution, Port, Service, TargetPort, protocol};
use crate::object::{Meta, Object, id_of};
use crate::recent;
use authz::Problem;
use prost::Message;
use request::{SpiffeId, Workload};
use routing::Protocol;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// What istiod leaves out of identities.
const TRUST_DOMAIN: &str = "cluster.local";
/// Ports of a Service, Services of a workload, addresses of either, other names in its certificates.
const MAX_PORTS: usize = 1024;
const MAX_SERVICES: usize = 1024;
const MAX_ADDRESSES: usize = 64;
const MAX_SANS: usize = 64;

/// What an address is.
#[derive(Debug)]
pub(super) enum Parsed {
    /// A Service, or a workload.
    Object(Arc<Object>),
    /// A host of a ServiceEntry (or of what else is no Kubernetes Service): the object itself says more of it.
    Entry(Box<str>),
}

/// Which Service (namespace, name) has an address of a network.
pub(super) type Holder<'a> = &'a dyn Fn(&Network<'_>) -> Option<Waypoint>;

/// Reads an address as it is on `network`, which is ours.
///
/// # Errors
/// In words: which field, what was expected and what was found.
pub(super) fn parse(bytes: &[u8], network: &str, holder: Holder<'_>) -> Result<Parsed, String> {
    let address = proto::Address::decode(bytes).map_err(|error| format!("not an istio.workload.Address: {error}"))?;
    match address.told {
        Some(Told::Service(service)) => self::service(&service, network, holder),
        Some(Told::Workload(workload)) => self::workload(&workload, network, holder).map(Parsed::Object),
        None => Err("expected a workload or a service, found neither".to_owned()),
    }
}

/// The network and address that waypoints are named by, where some are.
pub(super) fn waypoint_addresses(bytes: &[u8]) -> bool {
    let Ok(address) = proto::Address::decode(bytes) else {
        return false;
    };
    let by_address = |gateway: &proto::GatewayAddress| matches!(gateway.destination, Some(GatewayPlace::Address(_)));
    match address.told {
        Some(Told::Service(service)) => {
            let weighted = service.weighted_waypoints.iter();
            let weighted = weighted.filter_map(|one| one.destination.as_ref());
            service.waypoint.iter().chain(weighted).any(by_address)
        }
        Some(Told::Workload(workload)) => workload.waypoint.as_ref().is_some_and(by_address),
        None => false,
    }
}

fn object(kind: &str, meta: Meta, body: Body, problems: Vec<Problem>) -> Arc<Object> {
    Arc::new(Object {
        id: id_of(kind, &meta.namespace, &meta.name),
        kind: recent::text(kind),
        meta,
        body,
        origin: None,
        problems: problems.into(),
        regex_bytes: 0,
    })
}

fn service(told: &proto::Service, network: &str, holder: Holder<'_>) -> Result<Parsed, String> {
    let (namespace, name) = (plain("namespace", &told.namespace)?, plain("name", &told.name)?);
    let host = plain("hostname", told.hostname.trim_start_matches("*."))?.to_ascii_lowercase();
    if service_name(&host, namespace) != Some(&*name.to_ascii_lowercase()) {
        return Ok(Parsed::Entry(told.hostname.to_ascii_lowercase().into()));
    }
    let mut problems = Vec::new();
    let mut labels = BTreeMap::new();
    let weighted: Vec<_> = told
        .weighted_waypoints
        .iter()
        .filter_map(|one| one.destination.as_ref())
        .collect();
    bind(&mut labels, told.waypoint.as_ref(), &weighted, holder, &mut problems);
    let ports = most("ports", MAX_PORTS, &told.ports)?.iter().map(service_port);
    let balancing = Balancing::of(told.load_balancing.as_ref(), &mut problems);
    let service = Service {
        vips: vips(&told.addresses, network)?,
        ports: ports.collect::<Result<_, _>>()?,
        distribution: balancing.distribution,
        is_node_local: balancing.is_node_local,
        takes_unready: balancing.takes_unready,
        sans: sans(&told.subject_alt_names, &mut problems),
        host: host.into(),
        ..Service::default()
    };
    let meta = Meta {
        namespace: recent::text(namespace),
        name: Arc::from(name),
        labels,
        ..Meta::default()
    };
    let object = object("Service", meta, Body::Service(Box::new(service)), problems);
    Ok(Parsed::Object(object))
}

fn sans(told: &[String], problems: &mut Vec<Problem>) -> Vec<SpiffeId> {
    let mut sans = Vec::new();
    for text in told.iter().take(MAX_SANS) {
        match SpiffeId::parse(text) {
            Ok(id) => sans.push(id),
            Err(error) => problems.push(Problem {
                field: "subject_alt_names".to_owned(),
                message: format!("expected SPIFFE ids, found {:?}: {error}", shown(text)),
                error: false,
            }),
        }
    }
    sans
}

/// The name of a Kubernetes Service with this host.
fn service_name<'h>(host: &'h str, namespace: &str) -> Option<&'h str> {
    let (name, rest) = host.split_once('.')?;
    let rest = rest.strip_prefix(&*namespace.to_ascii_lowercase())?;
    rest.starts_with(".svc.").then_some(name)
}

fn vips(told: &[proto::NetworkAddress], network: &str) -> Result<Vec<IpAddr>, String> {
    let mut vips = Vec::new();
    for address in most("addresses", MAX_ADDRESSES, told)? {
        let vip = ip("addresses", &address.address)?;
        let whole = if vip.is_ipv4() { 32 } else { 128 };
        // A range is no address of a Service that anybody could serve.
        let is_one = address.length.is_none_or(|length| length == whole);
        if address.network == network && is_one && !vips.contains(&vip) {
            vips.push(vip);
        }
    }
    Ok(vips)
}

/// Ports have no names there.
fn service_port(told: &proto::Port) -> Result<Port, String> {
    let number = port("ports.service_port", told.service_port)?;
    Ok(Port {
        name: Arc::default(),
        port: number,
        // 0: each workload has its own (a named port), which none has by this name.
        target: match told.target_port {
            0 => TargetPort::Name(String::new()),
            target => TargetPort::Number(port("ports.target_port", target)?),
        },
        protocol: match told.app_protocol {
            1 => Protocol::Http,
            2 => Protocol::H2c,
            3 => Protocol::Grpc,
            4 => Protocol::Tcp,
            5 => Protocol::Tls,
            // Not told, or told by a word that we do not know: the first bytes decide.
            _ => protocol(None, "", number),
        },
    })
}

/// `LoadBalancing.Scope`: region, zone and subzone; and the node.
const PLACES: [i32; 3] = [1, 2, 3];
const NODE: i32 = 4;
/// `LoadBalancing.Mode`.
const STRICT: i32 = 1;
const FAILOVER: i32 = 2;

#[derive(Default)]
struct Balancing {
    distribution: Distribution,
    is_node_local: bool,
    takes_unready: bool,
}

impl Balancing {
    fn of(told: Option<&LoadBalancing>, problems: &mut Vec<Problem>) -> Self {
        let Some(told) = told else { return Self::default() };
        let scopes = &told.routing_preference;
        let near = PLACES.iter().any(|scope| scopes.contains(scope));
        let mut balancing = Self {
            takes_unready: told.health_policy == 1,
            ..Self::default()
        };
        match told.mode {
            FAILOVER if scopes.contains(&NODE) => balancing.distribution = Distribution::SameNode,
            FAILOVER if near => balancing.distribution = Distribution::SameZone,
            STRICT if scopes.contains(&NODE) => balancing.is_node_local = true,
            STRICT => problems.push(Problem {
                field: "load_balancing".to_owned(),
                message: format!("only NODE is supported in STRICT mode, found {scopes:?}: all endpoints are used"),
                error: false,
            }),
            _ => {}
        }
        balancing
    }
}

fn workload(told: &proto::Workload, network: &str, holder: Holder<'_>) -> Result<Arc<Object>, String> {
    let mut problems = Vec::new();
    let namespace = plain("namespace", &told.namespace)?;
    let account = match told.service_account.as_str() {
        "" => "default",
        account => plain("service_account", account)?,
    };
    let trust_domain = match told.trust_domain.as_str() {
        "" => TRUST_DOMAIN,
        // A slash would make it another identity.
        domain => plain("trust_domain", domain)?,
    };
    let identity = SpiffeId::of(trust_domain, namespace, account).map_err(|error| format!("identity: {error}"))?;
    let addresses = most("addresses", MAX_ADDRESSES, &told.addresses)?;
    let addresses: Vec<IpAddr> = addresses
        .iter()
        .map(|bytes| ip("addresses", bytes))
        .collect::<Result<_, _>>()?;
    let elsewhere = elsewhere(told, network)?;
    let hbone = match told.tunnel_protocol {
        0 | 2 => false,
        1 => true,
        other => {
            return Err(format!(
                "tunnel_protocol: expected NONE, HBONE or LEGACY_ISTIO_MTLS, found {other}"
            ));
        }
    };
    // What is behind a gateway is reached by HBONE alone.
    let hbone = hbone || elsewhere.is_some();
    let known = describe(told, namespace, account)?;
    let mut labels = labels(&known);
    bind(&mut labels, told.waypoint.as_ref(), &[], holder, &mut problems);
    let discovered = Discovered {
        workload: Arc::new(Workload {
            identity: hbone.then(|| identity.clone()),
            hbone,
            ips: addresses,
            ..known
        }),
        identity,
        serves: serves(told)?,
        is_healthy: told.status == 0,
        weight: told.capacity.as_ref().map_or(1, |capacity| capacity.value).max(1),
        is_addressed: elsewhere.is_none() && told.network_mode == 0,
        network: text("network", &told.network)?.into(),
        elsewhere,
    };
    let meta = Meta {
        namespace: recent::text(namespace),
        name: Arc::from(text("uid", &told.uid)?),
        labels,
        ..Meta::default()
    };
    Ok(object(WORKLOAD, meta, Body::Workload(Box::new(discovered)), problems))
}

/// How it is reached when it is not on our network.
fn elsewhere(told: &proto::Workload, network: &str) -> Result<Option<Elsewhere>, String> {
    if told.network == network {
        return Ok(None);
    }
    let Some(gateway) = &told.network_gateway else {
        return Ok(Some(Elsewhere {
            gateway: None,
            network: network.into(),
        }));
    };
    let port = port("network_gateway.hbone_mtls_port", gateway.hbone_mtls_port)?;
    let gateway = match &gateway.destination {
        Some(GatewayPlace::Address(address)) => Some(discovered::GatewayPlace::Address {
            network: address.network.as_str().into(),
            ip: ip("network_gateway.address", &address.address)?,
            port,
        }),
        Some(GatewayPlace::Host(host)) => Some(discovered::GatewayPlace::Host {
            namespace: plain("network_gateway.namespace", &host.namespace)?.into(),
            host: plain("network_gateway.hostname", &host.hostname)?
                .to_ascii_lowercase()
                .into(),
            port,
        }),
        None => None,
    };
    Ok(Some(Elsewhere {
        gateway,
        network: network.into(),
    }))
}

/// What telemetry tells of it.
fn describe(told: &proto::Workload, namespace: &str, account: &str) -> Result<Workload, String> {
    let known = |field: &str, value: &str, otherwise: &str| {
        let value = if value.is_empty() { otherwise } else { value };
        text(field, value).map(str::to_owned)
    };
    let locality = told.locality.clone().unwrap_or_default();
    let name = known("workload_name", &told.workload_name, &told.name)?;
    let revision = known("canonical_revision", &told.canonical_revision, "latest")?;
    let canonical = known("canonical_name", &told.canonical_name, &name)?;
    let kind = match told.workload_type {
        0 => "deployment",
        1 => "cronjob",
        3 => "job",
        _ => "pod",
    };
    Ok(Workload {
        pod: known("name", &told.name, "")?,
        namespace: namespace.to_owned(),
        service_account: account.to_owned(),
        kind: kind.to_owned(),
        // Istio's ztunnel has these two for them, too: the labels themselves are not told.
        app: canonical.clone(),
        version: revision.clone(),
        canonical_name: canonical,
        canonical_revision: revision,
        cluster: known("cluster_id", &told.cluster_id, "Kubernetes")?,
        region: known("locality.region", &locality.region, "")?,
        zone: known("locality.zone", &locality.zone, "")?,
        node: known("node", &told.node, "")?,
        name,
        ..Workload::default()
    })
}

/// What subsets select by: the labels that its canonical name and revision come from.
fn labels(known: &Workload) -> BTreeMap<String, String> {
    let name = ["app", "app.kubernetes.io/name", "service.istio.io/canonical-name"];
    let revision = [
        "version",
        "app.kubernetes.io/version",
        "service.istio.io/canonical-revision",
    ];
    let named = name.into_iter().map(|label| (label.to_owned(), known.app.clone()));
    let revised = revision
        .into_iter()
        .map(|label| (label.to_owned(), known.version.clone()));
    named.chain(revised).collect()
}

fn serves(told: &proto::Workload) -> Result<Vec<Serves>, String> {
    if told.services.len() > MAX_SERVICES {
        let found = told.services.len();
        return Err(format!("services: expected at most {MAX_SERVICES}, found {found}"));
    }
    let mut serves = Vec::with_capacity(told.services.len());
    for (key, list) in &told.services {
        let (namespace, host) = key.split_once('/').ok_or_else(|| {
            format!(
                "services: expected namespace/hostname, found {:.200}",
                key.escape_debug()
            )
        })?;
        let host = plain("services", host.trim_start_matches("*."))?.to_ascii_lowercase();
        let ports = most("services.ports", MAX_PORTS, &list.ports)?.iter();
        // Without a port of its own the workload does not serve that one.
        let ports = ports.filter(|told| told.target_port != 0).map(|told| {
            let service = port("services.ports.service_port", told.service_port)?;
            Ok((service, port("services.ports.target_port", told.target_port)?))
        });
        serves.push(Serves {
            namespace: plain("services", namespace)?.into(),
            service: service_name(&host, namespace).map(Into::into),
            host: host.into(),
            ports: ports.collect::<Result<_, String>>()?,
        });
    }
    serves.sort_by(|one, other| (&one.namespace, &one.host).cmp(&(&other.namespace, &other.host)));
    Ok(serves)
}

/// Which waypoints it has, as labels would say it.
fn bind(
    labels: &mut BTreeMap<String, String>,
    first: Option<&proto::GatewayAddress>,
    weighted: &[&proto::GatewayAddress],
    holder: Holder<'_>,
    problems: &mut Vec<Problem>,
) {
    let mut found: Vec<Waypoint> = Vec::new();
    for gateway in first.into_iter().chain(weighted.iter().copied()) {
        match named(gateway, holder) {
            Ok(waypoint) if found.contains(&waypoint) => {}
            Ok(waypoint) => found.push(waypoint),
            Err(message) => problems.push(Problem {
                field: "waypoint".to_owned(),
                message,
                error: false,
            }),
        }
    }
    if found.len() > 2 {
        problems.push(Problem {
            field: "weighted_waypoints".to_owned(),
            message: "expected two waypoints at most: those after the second are not looked at".to_owned(),
            error: false,
        });
    }
    bind_waypoints(labels, found.first(), found.get(1));
}

fn named(gateway: &proto::GatewayAddress, holder: Holder<'_>) -> Result<Waypoint, String> {
    match &gateway.destination {
        Some(GatewayPlace::Host(host)) => {
            let name = service_name(&host.hostname, &host.namespace);
            let name = name.and_then(|name| plain("waypoint", name).ok());
            let name = name.ok_or_else(|| {
                let found = host.hostname.escape_debug();
                format!("expected the host of a Service, found {found:.200}: not taken for ours")
            })?;
            Ok((host.namespace.clone(), name.to_owned()))
        }
        Some(GatewayPlace::Address(address)) => {
            let ip = ip("waypoint", &address.address)?;
            let unknown = || format!("no Service at {ip} was told: not taken for ours");
            let network = &address.network;
            holder(&Network { network, ip }).ok_or_else(unknown)
        }
        None => Err("expected a host or an address, found neither: not taken for ours".to_owned()),
    }
}

fn most<'t, T>(field: &str, most: usize, told: &'t [T]) -> Result<&'t [T], String> {
    if told.len() > most {
        return Err(format!("{field}: expected at most {most}, found {}", told.len()));
    }
    Ok(told)
}

#[cfg(test)]
mod tests;
