//! parentRefs: the Service ports and the Gateways that a route shapes.

use crate::compile::gateways::Gateways;
use crate::compile::services::Services;
use crate::kinds::backend_ref::ParentRef;
use crate::kinds::route::Route;
use crate::kinds::service::Port;
use crate::object::Object;
use authz::Problem;
use routing::{Protocol, RouteKind};
use std::sync::Arc;

/// It would be for every host otherwise.
const NO_HOSTNAME: &str = "none of the hostnames of this route can be one: it does not bind to the Gateway";

/// A parentRef that found its object.
#[derive(Debug)]
pub(super) enum Parent {
    /// A Service, or a ServiceEntry.
    Service {
        /// Its number.
        number: usize,
        /// The ports that are shaped.
        ports: Arc<[u16]>,
        /// Only for clients of the route's namespace (GAMMA's consumer route).
        is_consumer: bool,
    },
    /// A Gateway of ours: all Services that use it, but for those with routes of their own.
    Gateway(Arc<Object>),
}

/// Those of one route; what is wrong with the others is added to `problems`.
pub(super) fn of(
    object: &Object,
    route: &Route,
    gateways: &Gateways<'_>,
    services: &Services<'_>,
    problems: &mut Vec<Problem>,
) -> Box<[Parent]> {
    let mut tell = |field: String, message: String, error: bool| problems.push(Problem { field, message, error });
    let own = &*object.meta.namespace;
    let mut found = Vec::with_capacity(route.parents.len());
    for parent in &route.parents {
        let field = format!("spec.parentRefs[{}]", parent.index);
        let namespace = parent.namespace.as_deref().unwrap_or(own);
        match (parent.group(), parent.kind()) {
            ("" | "core", kind @ "Service") | ("networking.istio.io", kind @ "ServiceEntry") => {
                let Some((number, entry)) = services.of_kind(kind, namespace, &parent.name) else {
                    let message = format!("no {kind} {namespace}/{} is in the config", parent.name);
                    tell(format!("{field}.name"), message, false);
                    continue;
                };
                match ports_of(route.kind, parent, &entry.service.ports) {
                    Ok(ports) => found.push(Parent::Service {
                        number,
                        ports,
                        is_consumer: namespace != own,
                    }),
                    Err(why) => tell(field, why, false),
                }
            }
            ("gateway.networking.k8s.io", "Gateway") => {
                // Other gateways are someone else's.
                let Some(gateway) = gateways.ours(namespace, &parent.name) else {
                    continue;
                };
                let is_for_none = route.has_hostnames && route.hostnames.is_empty();
                let no_hostname = || is_for_none.then(|| NO_HOSTNAME.to_owned());
                match gateways.refuses_route(parent, namespace, object).or_else(no_hostname) {
                    Some(why) => tell(field, why, true),
                    None => found.push(Parent::Gateway(Arc::clone(gateway))),
                }
            }
            _ => {}
        }
    }
    if route.has_hostnames && found.iter().any(|one| matches!(one, Parent::Service { .. })) {
        let message = "hostnames are not heeded on a Service's port (GEP-1294): every host matches";
        tell("spec.hostnames".to_owned(), message.to_owned(), false);
    }
    found.into()
}

/// The ports of a Service that a route of this kind shapes by this parentRef, or why there is none.
///
/// Requests are not told in bytes: a port declared TCP or TLS has no HTTPRoute. A port declared HTTP can be carried as
/// bytes, by a TCPRoute or TLSRoute that names it, or when the Service has no other.
fn ports_of(kind: RouteKind, parent: &ParentRef, ports: &[Port]) -> Result<Arc<[u16]>, String> {
    let fits = |port: &&Port| {
        parent.port.is_none_or(|number| number == port.port)
            && parent.section.as_deref().is_none_or(|section| section == &*port.name)
    };
    let named: Vec<&Port> = ports.iter().filter(fits).collect();
    if named.is_empty() {
        return Err(no_such_port(parent));
    }
    let (wanted, otherwise): (Vec<&&Port>, Vec<&&Port>) = if kind.is_stream() {
        let is_http = |port: &&&Port| matches!(port.protocol, Protocol::Http | Protocol::H2c | Protocol::Grpc);
        named.iter().partition(|port| !is_http(port))
    } else {
        named.iter().partition(|port| !is_bytes(port))
    };
    let chosen = match (wanted.is_empty(), kind.is_stream()) {
        (false, _) => wanted,
        (true, true) => otherwise,
        (true, false) => {
            let name = &parent.name;
            return Err(format!(
                "the port of Service {name} is declared TCP or TLS (appProtocol, or its name): {kind} does not apply \
                 to bytes, and is not in force there"
            ));
        }
    };
    Ok(chosen.into_iter().map(|port| port.port).collect())
}

/// Declared not to be HTTP.
pub(super) fn is_bytes(port: &Port) -> bool {
    matches!(port.protocol, Protocol::Tcp | Protocol::Tls)
}

fn no_such_port(parent: &ParentRef) -> String {
    let (kind, name) = (parent.kind(), &parent.name);
    match (parent.port, &parent.section) {
        (Some(port), Some(section)) => format!("{kind} {name} has no port {port} named {section:?}"),
        (Some(port), None) => format!("{kind} {name} has no port {port}"),
        (None, Some(section)) => format!("{kind} {name} has no port named {section:?}"),
        (None, None) => format!("{kind} {name} has no TCP port"),
    }
}
