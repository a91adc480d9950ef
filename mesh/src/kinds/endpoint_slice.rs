//! EndpointSlice: the addresses behind a Service, how they are and where.

use super::Body;
use crate::decode::{At, Fields, Problems, quoted, record};
use serde_json::Value;
use std::net::IpAddr;

/// An EndpointSlice; the Service is named by label `kubernetes.io/service-name`.
#[derive(Debug, Default)]
pub(crate) struct EndpointSlice {
    /// Port name (may be empty) and number.
    pub(crate) ports: Vec<(String, u16)>,
    /// Its endpoints.
    pub(crate) endpoints: Vec<SliceEndpoint>,
}

/// One endpoint.
#[derive(Debug)]
pub(crate) struct SliceEndpoint {
    /// Its addresses, which are interchangeable.
    pub(crate) addresses: Vec<IpAddr>,
    /// Whether it takes requests.
    pub(crate) state: State,
    /// `nodeName`; may be empty.
    pub(crate) node: String,
    /// `zone`, else the one of `hints` when that is one; may be empty.
    pub(crate) zone: String,
}

/// `conditions`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// `ready`, or readiness is not told (Kubernetes' rule).
    Ready,
    /// Not ready, and `serving` and `terminating`: the last resort, as for kube-proxy.
    Draining,
    /// Neither.
    Unready,
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
        let endpoints = fields.list("endpoints", 1000, |value, at| {
            record(value, at, problems, |fields| endpoint(fields, problems))
        });
        EndpointSlice { ports, endpoints }
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

fn endpoint(fields: &Fields<'_>, problems: &Problems) -> SliceEndpoint {
    fields.leave_open();
    let state = fields.record("conditions", state).unwrap_or(State::Ready);
    let text = |name: &'static str| fields.text(name).unwrap_or_default().to_owned();
    let zone = text("zone");
    SliceEndpoint {
        // What is not used may say what it likes.
        addresses: if state == State::Unready {
            Vec::new()
        } else {
            addresses(fields)
        },
        state,
        node: text("nodeName"),
        zone: if zone.is_empty() {
            hinted_zone(fields, problems).unwrap_or_default()
        } else {
            zone
        },
    }
}

fn state(fields: &Fields<'_>) -> State {
    fields.leave_open();
    let is = |name| fields.boolean(name);
    match (is("ready"), is("serving"), is("terminating")) {
        (None | Some(true), ..) => State::Ready,
        (Some(false), Some(true), Some(true)) => State::Draining,
        _ => State::Unready,
    }
}

/// `hints` name the zones an endpoint is for: one hint is where it is, for all we can know.
fn hinted_zone(fields: &Fields<'_>, problems: &Problems) -> Option<String> {
    let zones = fields.record("hints", |fields| {
        fields.leave_open();
        fields.list("forZones", 8, |value, at| {
            record(value, at, problems, |fields| fields.text("name").map(str::to_owned)).flatten()
        })
    });
    zones?.pop().filter(|zone| !zone.is_empty())
}

fn addresses(fields: &Fields<'_>) -> Vec<IpAddr> {
    let addresses = fields.texts("addresses", 100);
    let parsed = addresses.into_iter().filter_map(|text| match text.parse::<IpAddr>() {
        Ok(ip) => Some(ip.to_canonical()),
        Err(_) => {
            fields.error("addresses", format!("expected IP addresses, found {}", quoted(text)));
            None
        }
    });
    parsed.collect()
}
