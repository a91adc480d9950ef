//! Who is who in the demo's mesh: the names that `00-mesh.yaml` and the certificates agree on.

use super::error::DemoError;
use request::SpiffeId;

pub(super) const TRUST_DOMAIN: &str = "cluster.local";
pub(super) const NAMESPACE: &str = "demo";
/// The Gateway's name, and its service account's.
pub(super) const WAYPOINT: &str = "waypoint";
pub(super) const CLIENT: &str = "curl";
pub(super) const SERVICE: &str = "reviews";
/// VIP and port of the Service: nothing listens there, the waypoint takes what is sent to it.
pub(super) const SERVICE_VIP: &str = "127.20.0.10:9080";
/// How a client in the mesh calls it.
pub(super) const SERVICE_HOST: &str = "reviews:9080";

/// The SPIFFE id of a service account in the demo's namespace.
pub(super) fn spiffe(service_account: &str) -> Result<SpiffeId, DemoError> {
    SpiffeId::of(TRUST_DOMAIN, NAMESPACE, service_account).map_err(|error| DemoError::Certificates(error.to_string()))
}
