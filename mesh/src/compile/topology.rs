//! What stands before a waypoint, and what its endpoints are told of clients: annotations of its Gateway.
//!
//! `ambient.istio.io/xfcc-include-client-identity: "true"` (of the Gateway, else of its class; Istio 1.30) replaces
//! `x-forwarded-client-cert` by the client's identity. `gatewayTopology` in `proxy.istio.io/config` says the same in the
//! words of Istio's gateways. MeshConfig's `defaultConfig.gatewayTopology` is for ingress gateways and does not count
//! here, as in Istio. `waypoint-proxy.io/tell-client-address` is ours: a list of the headers in which endpoints are told
//! the client's address, which Istio's waypoint tells in none.

use super::Report;
use crate::decode::{describe, quoted};
use crate::object::Object;
use crate::resources::Index;
use crate::snapshot::{ClientCert, Topology};
use crate::yaml;
use serde_json::Value;

const CLIENT_IDENTITY: &str = "ambient.istio.io/xfcc-include-client-identity";
const TELL_ADDRESS: &str = "waypoint-proxy.io/tell-client-address";
const PROXY_CONFIG: &str = "proxy.istio.io/config";
/// Proxies that are trusted at most.
const PROXIES: u64 = 100;

/// Reads the annotations of a Gateway of ours. What cannot be read is a finding, and the strictest is in force.
pub(super) fn read(gateway: &Object, class: &str, index: &Index<'_>, report: &mut Report) -> Topology {
    let mut topology = match gateway.meta.annotations.get(PROXY_CONFIG) {
        None => Topology::default(),
        Some(text) => proxy_config(text, gateway, report),
    };
    let class = index.get("GatewayClass", "", class);
    let own = [Some(gateway), class.map(|class| &**class)];
    let said = own
        .into_iter()
        .flatten()
        .find_map(|object| client_identity(object, report));
    if said == Some(true) {
        topology.client_cert = ClientCert::Set;
    }
    let told = own
        .into_iter()
        .flatten()
        .find_map(|object| Some((object, object.meta.annotations.get(TELL_ADDRESS)?)));
    if let Some((object, list)) = told {
        tell_address(&mut topology, list, object, report);
    }
    topology
}

fn tell_address(topology: &mut Topology, list: &str, object: &Object, report: &mut Report) {
    for word in list.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        match word.to_ascii_lowercase().as_str() {
            "x-forwarded-for" => topology.tell_forwarded_for = true,
            "forwarded" => topology.tell_forwarded = true,
            _ => {
                let message = format!(
                    "expected \"x-forwarded-for\" or \"forwarded\", found {}: it does not count",
                    quoted(word)
                );
                report.warning(object, field(TELL_ADDRESS), message);
            }
        }
    }
}

fn client_identity(object: &Object, report: &mut Report) -> Option<bool> {
    match object.meta.annotations.get(CLIENT_IDENTITY)?.as_str() {
        "true" => Some(true),
        "false" => Some(false),
        other => {
            let message = format!(
                "expected \"true\" or \"false\", found {}: it does not count",
                quoted(other)
            );
            report.warning(object, field(CLIENT_IDENTITY), message);
            None
        }
    }
}

fn proxy_config(text: &str, gateway: &Object, report: &mut Report) -> Topology {
    let mut bad = |message: String| report.error(gateway, field(PROXY_CONFIG), message);
    let documents = match yaml::documents(text) {
        Ok(documents) => documents,
        Err(error) => {
            bad(format!("line {}: {}", error.line, error.message));
            return Topology::default();
        }
    };
    let found = documents
        .first()
        .and_then(|document| document.value.get("gatewayTopology"));
    let Some(found) = found else {
        return Topology::default();
    };
    let mut topology = Topology::default();
    match found.get("numTrustedProxies") {
        None => {}
        Some(value) => match value.as_u64().filter(|proxies| *proxies <= PROXIES) {
            Some(proxies) => topology.trusted_proxies = usize::try_from(proxies).unwrap_or_default(),
            None => bad(format!(
                "gatewayTopology.numTrustedProxies: expected a number from 0 to {PROXIES}, found {}: no proxy is trusted",
                describe(value)
            )),
        },
    }
    if let Some(value) = found.get("forwardClientCertDetails") {
        match client_cert(value) {
            Some(client_cert) => topology.client_cert = client_cert,
            None => bad(format!(
                "gatewayTopology.forwardClientCertDetails: expected SANITIZE, FORWARD_ONLY, APPEND_FORWARD, SANITIZE_SET \
                 or ALWAYS_FORWARD_ONLY, found {}: SANITIZE is in force",
                describe(value)
            )),
        }
    }
    topology
}

/// Every client of a waypoint comes by mTLS: to forward only then is to forward always.
fn client_cert(value: &Value) -> Option<ClientCert> {
    Some(match value.as_str()? {
        "SANITIZE" | "UNDEFINED" => ClientCert::Remove,
        "FORWARD_ONLY" | "ALWAYS_FORWARD_ONLY" => ClientCert::Forward,
        "APPEND_FORWARD" => ClientCert::Append,
        "SANITIZE_SET" => ClientCert::Set,
        _ => return None,
    })
}

fn field(annotation: &str) -> String {
    format!("metadata.annotations[{annotation}]")
}
