//! WorkloadEntry, and the same shape inside a ServiceEntry's `endpoints`: something that serves and is no Pod.

use super::Body;
use crate::decode::{At, Fields, Problems, describe, quoted, record};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// Label of a workload that speaks HBONE without being a Pod.
const TUNNEL: &str = "networking.istio.io/tunnel";

/// One instance behind a ServiceEntry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Instance {
    /// `address`; absent: the ServiceEntry's own host.
    pub(crate) address: Option<Address>,
    /// `ports`: by the name of the ServiceEntry's port.
    pub(crate) ports: BTreeMap<String, u16>,
    /// `labels`.
    pub(crate) labels: BTreeMap<String, String>,
    /// `locality`, `region/zone/subzone`.
    pub(crate) locality: String,
    /// `serviceAccount`.
    pub(crate) service_account: String,
    /// `weight`; absent is 1.
    pub(crate) weight: u32,
}

/// Where an instance is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// Here.
    Ip(IpAddr),
    /// Wherever DNS says.
    Name(Arc<str>),
}

impl Instance {
    /// Reads the fields both forms share. `None`: it is nowhere.
    pub(crate) fn read(fields: &Fields<'_>) -> Option<Self> {
        if fields.text("network").is_some_and(|network| !network.is_empty()) {
            let message = "other networks are not told apart: the address is dialled directly, by no gateway";
            fields.warning("network", message);
        }
        let instance = Self {
            address: match fields.text("address").filter(|text| !text.is_empty()) {
                None => None,
                Some(text) => Some(address(fields, text)?),
            },
            ports: ports(fields),
            labels: fields.text_map("labels"),
            locality: fields.text("locality").unwrap_or_default().to_owned(),
            service_account: fields.text("serviceAccount").unwrap_or_default().to_owned(),
            weight: fields
                .integer("weight", 0..=i64::from(u32::MAX))
                .and_then(|weight| u32::try_from(weight).ok())
                .unwrap_or(1),
        };
        Some(instance)
    }

    /// It tells more of who is there than the address.
    pub(crate) fn is_described(&self) -> bool {
        !self.labels.is_empty() || !self.service_account.is_empty() || !self.locality.is_empty()
    }

    /// Speaks HBONE.
    pub(crate) fn has_tunnel(&self) -> bool {
        self.labels.get(TUNNEL).is_some_and(|tunnel| tunnel == "http")
    }
}

/// Parses a WorkloadEntry.
pub(crate) fn parse(spec: &Value, at: &At<'_>, problems: &Problems) -> Body {
    let instance = record(spec, at, problems, |fields| {
        let instance = Instance::read(fields)?;
        if instance.address.is_none() {
            fields.error("address", "`address` is missing: it must be given");
            return None;
        }
        Some(instance)
    });
    instance
        .flatten()
        .map_or(Body::Other, |instance| Body::WorkloadEntry(Box::new(instance)))
}

/// A DNS name as it may be looked up: lower case, without the last dot. `None`: it is none.
pub(crate) fn dns_name(text: &str) -> Option<Arc<str>> {
    let text = text.strip_suffix('.').unwrap_or(text);
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    let label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(plain);
    (text.len() <= 253 && text.split('.').all(label)).then(|| Arc::from(text.to_ascii_lowercase()))
}

/// Where a machine's own services are (metadata, credentials): never dialled for anybody.
pub(crate) fn is_link_local(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

fn address(fields: &Fields<'_>, text: &str) -> Option<Address> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        if is_link_local(ip) {
            fields.error("address", format!("{ip} is link-local: it is never dialled"));
            return None;
        }
        return Some(Address::Ip(ip.to_canonical()));
    }
    if text.starts_with("unix://") {
        fields.error("address", "Unix sockets are not supported: the endpoint is not used");
        return None;
    }
    let name = dns_name(text).map(Address::Name);
    if name.is_none() {
        let message = format!("expected an IP address or a DNS name, found {}", quoted(text));
        fields.error("address", message);
    }
    name
}

fn ports(fields: &Fields<'_>) -> BTreeMap<String, u16> {
    let Some(value) = fields.get("ports") else {
        return BTreeMap::new();
    };
    let Value::Object(map) = value else {
        fields.error("ports", format!("expected a mapping, found {}", describe(value)));
        return BTreeMap::new();
    };
    let ports = map.iter().filter_map(|(name, value)| {
        let port = value.as_u64().and_then(|port| u16::try_from(port).ok());
        if port.is_none_or(|port| port == 0) {
            let message = format!("{}: expected a port, found {}", quoted(name), describe(value));
            fields.error("ports", message);
            return None;
        }
        Some((name.clone(), port?))
    });
    ports.collect()
}
