//! EndpointSlice: the ready addresses behind a Service.

use super::Body;
use crate::decode::{At, Fields, Problems, quoted, record};
use serde_json::Value;
use std::net::IpAddr;

/// An EndpointSlice; the Service is named by label `kubernetes.io/service-name`.
#[derive(Debug, Default)]
pub(crate) struct EndpointSlice {
    /// Port name (may be empty) and number.
    pub(crate) ports: Vec<(String, u16)>,
    /// Ready addresses.
    pub(crate) ready: Vec<IpAddr>,
}

/// Parses an EndpointSlice.
pub(crate) fn parse(value: &Value, problems: &Problems) -> Body {
    let root = At::Root;
    let slice = record(value, &root, problems, |fields| {
        fields.leave_open();
        let address_type = fields.text("addressType").unwrap_or("IPv4");
        if address_type != "IPv4" && address_type != "IPv6" {
            fields.warning(
                "addressType",
                format!("expected IPv4 or IPv6, found {}: skipped", quoted(address_type)),
            );
            return EndpointSlice::default();
        }
        let ports = fields.list("ports", 100, |value, at| record(value, at, problems, port).flatten());
        let ready = fields.list("endpoints", 1000, |value, at| record(value, at, problems, addresses));
        EndpointSlice {
            ports,
            ready: ready.into_iter().flatten().collect(),
        }
    });
    Body::EndpointSlice(slice.unwrap_or_default())
}

fn port(fields: &Fields<'_>) -> Option<(String, u16)> {
    fields.leave_open();
    if fields.text("protocol").is_some_and(|protocol| protocol != "TCP") {
        return None;
    }
    Some((fields.text("name").unwrap_or_default().to_owned(), fields.port("port")?))
}

/// The addresses of one endpoint when it is ready; readiness that is not told counts as ready (Kubernetes' rule).
fn addresses(fields: &Fields<'_>) -> Vec<IpAddr> {
    fields.leave_open();
    let ready = fields.record("conditions", |fields| {
        fields.leave_open();
        fields.boolean("ready")
    });
    let addresses = fields.texts("addresses", 100);
    if ready.flatten() == Some(false) {
        return Vec::new();
    }
    let parsed = addresses.into_iter().filter_map(|text| match text.parse::<IpAddr>() {
        Ok(ip) => Some(ip.to_canonical()),
        Err(_) => {
            fields.error("addresses", format!("expected IP addresses, found {}", quoted(text)));
            None
        }
    });
    parsed.collect()
}
