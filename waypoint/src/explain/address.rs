//! From the host in a URL to what a client's node tunnel asks for: names are looked up as the cluster's DNS would.

use mesh::{ServicePort, Snapshot};
use request::Authority;
use std::sync::Arc;

/// Services told of in a refusal.
const MOST_NAMES: usize = 8;

/// What CONNECT asks for, and how the host came to it.
pub(crate) struct Connect {
    pub(crate) authority: Authority,
    pub(crate) note: Option<String>,
}

/// `target` has a port. A short name is one of the client's namespace, else the only Service of that name.
///
/// # Errors
/// Why there is none, in words.
pub(crate) fn connect(snapshot: &Snapshot, target: &Authority, client_namespace: &str) -> Result<Connect, String> {
    let port = target.port().unwrap_or_default();
    if target.ip().is_some() {
        return Ok(Connect {
            authority: target.clone(),
            note: None,
        });
    }
    let (service, note) = service(snapshot, target, port, client_namespace)?;
    let note = |more: Option<String>| match (note, more) {
        (Some(one), Some(other)) => Some(format!("{one}; {other}")),
        (one, other) => one.or(other),
    };
    match snapshot.addresses(&service).first() {
        Some(ip) => Ok(Connect {
            authority: Authority::parse(&std::net::SocketAddr::new(*ip, port).to_string()).map_err(|bad| bad.0)?,
            note: note(None),
        }),
        None if target.host().contains('.') => Ok(Connect {
            authority: target.clone(),
            note: note(None),
        }),
        None => Ok(Connect {
            authority: Authority::parse(&format!("{}:{port}", service.host)).map_err(|bad| bad.0)?,
            note: note(Some(format!(
                "{} has no address of its own: clients connect to its pods by theirs",
                service.host
            ))),
        }),
    }
}

type Found = (Arc<ServicePort>, Option<String>);

fn service(snapshot: &Snapshot, target: &Authority, port: u16, client_namespace: &str) -> Result<Found, String> {
    if let Some(found) = snapshot.target(target) {
        return Ok((found, None));
    }
    let host = target.host();
    let own = Authority::parse(&format!("{host}.{client_namespace}:{port}"));
    if let Some(found) = own
        .ok()
        .filter(|_| !host.contains('.'))
        .and_then(|own| snapshot.target(&own))
    {
        return Ok((found, None));
    }
    let named = |service: &&Arc<ServicePort>| {
        let in_namespace = format!("{}.{}", service.name, service.namespace);
        let short = [host, host.strip_suffix(".svc.cluster.local").unwrap_or(host)];
        *service.name == *host || short.contains(&in_namespace.as_str()) || *service.host == *host
    };
    let candidates: Vec<&Arc<ServicePort>> = snapshot.service_ports().iter().filter(named).collect();
    let mut on_port = candidates.iter().filter(|service| service.port == port);
    match (on_port.next(), on_port.next()) {
        (Some(only), None) => {
            let note = format!(
                "{host} is taken for {}: the client's namespace {client_namespace} has no such Service",
                only.host
            );
            Ok((Arc::clone(only), Some(note)))
        }
        (Some(_), Some(_)) => Err(format!("several Services are named {host}: write {host}.NAMESPACE")),
        (None, _) if candidates.is_empty() => Err(format!("no Service {host} uses this waypoint; {}", known(snapshot))),
        (None, _) => {
            let ports: Vec<String> = candidates.iter().map(|service| service.port.to_string()).collect();
            Err(format!("{host} has no port {port}; it has {}", ports.join(", ")))
        }
    }
}

fn known(snapshot: &Snapshot) -> String {
    let mut hosts: Vec<&str> = snapshot.service_ports().iter().map(|service| &*service.host).collect();
    hosts.dedup();
    let told = hosts.get(..hosts.len().min(MOST_NAMES)).unwrap_or_default().join(", ");
    match hosts.len() {
        0 => "none does".to_owned(),
        count if count > MOST_NAMES => format!("{told} and {} more do", count - MOST_NAMES),
        _ => format!("those that do: {told}"),
    }
}
