//! ServiceEntry: something outside the registry (or beside it) that is served like a Service.

use super::Body;
use super::service::{self, Port, Service, TargetPort};
use super::workload_entry::{Address, Instance, dns_name, is_link_local};
use crate::decode::{At, Fields, Problems, quoted, record};
use routing::Protocol;
use serde_json::Value;
use std::net::IpAddr;
use std::sync::Arc;

/// A ServiceEntry.
#[derive(Debug, Default)]
pub(crate) struct ServiceEntry {
    /// Its addresses, ports and selector, as a Service has them. Addresses: `spec.addresses`.
    pub(crate) service: Service,
    /// `hosts`.
    pub(crate) hosts: Vec<Host>,
    /// `status.addresses`: allocated where the spec has none; for one host, or for all.
    pub(crate) allocated: Vec<(Option<Box<str>>, IpAddr)>,
    /// `resolution`.
    pub(crate) resolution: Resolution,
    /// `endpoints`.
    pub(crate) endpoints: Vec<Instance>,
    /// `subjectAltNames`.
    pub(crate) sans: Vec<Box<str>>,
    /// `exportTo`.
    pub(crate) exports: Exports,
}

/// A host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    /// This name, lower case.
    Exact(Arc<str>),
    /// Every name below: `*.example.com` is `example.com` here.
    Below(Arc<str>),
}

/// `resolution`: where its endpoints come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Resolution {
    /// To the address that the client asked for.
    #[default]
    None,
    /// The endpoints' own addresses.
    Static,
    /// All addresses of a name.
    Dns,
    /// The first address of a name.
    DnsRoundRobin,
    /// The name that each request asks for, below a wildcard.
    DynamicDns,
}

/// `exportTo`: the namespaces whose clients and routes see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Exports {
    /// All.
    #[default]
    Everywhere,
    /// These; `.` stands for its own.
    To(Vec<Box<str>>),
}

impl Host {
    /// The name, when it is one.
    pub(crate) fn exact(&self) -> Option<&Arc<str>> {
        match self {
            Self::Exact(name) => Some(name),
            Self::Below(_) => None,
        }
    }

    /// As it was written.
    pub(crate) fn text(&self) -> Arc<str> {
        match self {
            Self::Exact(name) => Arc::clone(name),
            Self::Below(suffix) => Arc::from(format!("*.{suffix}")),
        }
    }
}

impl Exports {
    /// Whether something in `namespace` sees what is in `own`.
    pub(crate) fn reach(&self, namespace: &str, own: &str) -> bool {
        match self {
            Self::Everywhere => true,
            Self::To(named) => named.iter().any(|one| match &**one {
                "." => namespace == own,
                one => namespace == one,
            }),
        }
    }
}

/// Parses a ServiceEntry.
pub(crate) fn parse(spec: &Value, at: &At<'_>, status: &Value, problems: &Problems) -> Body {
    let entry = record(spec, at, problems, |fields| read(fields, problems));
    let mut entry = entry.unwrap_or_default();
    if entry.service.vips.is_empty() {
        entry.allocated = allocated(status);
    }
    Body::ServiceEntry(Box::new(entry))
}

fn read(fields: &Fields<'_>, problems: &Problems) -> ServiceEntry {
    let location = fields.text("location").unwrap_or("MESH_EXTERNAL");
    if !matches!(location, "MESH_EXTERNAL" | "MESH_INTERNAL") {
        let message = format!("expected MESH_EXTERNAL or MESH_INTERNAL, found {}", quoted(location));
        fields.error("location", message);
    }
    let ports = fields.list("ports", 256, |value, at| record(value, at, problems, port).flatten());
    let selector = fields.record("workloadSelector", |fields| fields.text_map("labels"));
    let has_selector = selector.is_some();
    let mut entry = ServiceEntry {
        hosts: hosts(fields),
        resolution: resolution(fields),
        endpoints: fields.list("endpoints", 4096, |value, at| {
            record(value, at, problems, Instance::read).flatten()
        }),
        sans: texts(fields, "subjectAltNames", 256),
        exports: exports(fields),
        allocated: Vec::new(),
        service: Service {
            vips: addresses(fields),
            selector: selector.unwrap_or_default(),
            ports,
            ..Service::default()
        },
    };
    if has_selector && !entry.endpoints.is_empty() {
        let message = "expected `endpoints` or `workloadSelector`, found both: the endpoints count";
        fields.error("workloadSelector", message);
        entry.service.selector.clear();
    }
    check(fields, &mut entry);
    entry
}

/// What cannot go together. Istio's admission refuses the same.
fn check(fields: &Fields<'_>, entry: &mut ServiceEntry) {
    use Resolution::{Dns, DnsRoundRobin, DynamicDns, Static};
    let named = |instance: &Instance| matches!(instance.address, Some(Address::Name(_)));
    let has_wildcard = entry.hosts.iter().any(|host| matches!(host, Host::Below(_)));
    match entry.resolution {
        Resolution::None if !entry.endpoints.is_empty() => {
            fields.error("endpoints", "resolution NONE has no endpoints: they are not used");
            entry.endpoints.clear();
        }
        Resolution::None if entry.service.vips.is_empty() => {
            let message = "resolution NONE leads to the address that the client asked for, \
                           and none is listed: nothing is served";
            fields.error("addresses", message);
        }
        Static if entry.endpoints.iter().any(named) => {
            let message = "expected IP addresses (resolution STATIC), found a name: that endpoint is not used";
            fields.error("endpoints", message);
            entry.endpoints.retain(|instance| !named(instance));
        }
        Dns | DnsRoundRobin if has_wildcard && entry.endpoints.is_empty() => {
            let message = "a wildcard cannot be looked up: give endpoints, or resolution DYNAMIC_DNS";
            fields.error("hosts", message);
        }
        DynamicDns => {
            if !entry.endpoints.is_empty() {
                fields.error(
                    "endpoints",
                    "resolution DYNAMIC_DNS has no endpoints: they are not used",
                );
                entry.endpoints.clear();
            }
            if entry.hosts.iter().any(|host| matches!(host, Host::Exact(_))) {
                let message = "resolution DYNAMIC_DNS is for wildcards (*.example.com): other hosts are looked up \
                               as resolution DNS does";
                fields.warning("hosts", message);
            }
        }
        _ => {}
    }
}

fn hosts(fields: &Fields<'_>) -> Vec<Host> {
    let hosts: Vec<Host> = fields
        .texts("hosts", 256)
        .into_iter()
        .filter_map(|text| {
            let host = match text.strip_prefix("*.") {
                Some(suffix) => dns_name(suffix).map(Host::Below),
                None => dns_name(text).map(Host::Exact),
            };
            if host.is_none() {
                let message = format!(
                    "expected a host such as api.example.com or *.example.com, found {}",
                    quoted(text)
                );
                fields.error("hosts", message);
            }
            host
        })
        .collect();
    if hosts.is_empty() {
        fields.error("hosts", "expected a host: nothing is served");
    }
    hosts
}

fn addresses(fields: &Fields<'_>) -> Vec<IpAddr> {
    let mut addresses: Vec<IpAddr> = Vec::new();
    for text in fields.texts("addresses", 256) {
        match text.parse::<IpAddr>() {
            Ok(ip) if addresses.contains(&ip.to_canonical()) => {}
            Ok(ip) if is_link_local(ip) => fields.error("addresses", format!("{ip} is link-local: it is not served")),
            Ok(ip) => addresses.push(ip.to_canonical()),
            Err(_) if text.contains('/') => {
                let message = format!(
                    "address blocks are not supported, found {}: it is not served",
                    quoted(text)
                );
                fields.error("addresses", message);
            }
            Err(_) => fields.error("addresses", format!("expected an IP address, found {}", quoted(text))),
        }
    }
    addresses
}

fn allocated(status: &Value) -> Vec<(Option<Box<str>>, IpAddr)> {
    let list = status.get("addresses").and_then(Value::as_array);
    let read = |value: &Value| {
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        let ip = text("value")?.parse::<IpAddr>().ok()?.to_canonical();
        let host = text("host").filter(|host| !host.is_empty());
        Some((host.map(|host| host.to_ascii_lowercase().into_boxed_str()), ip))
    };
    list.into_iter().flatten().filter_map(read).take(512).collect()
}

fn resolution(fields: &Fields<'_>) -> Resolution {
    match fields.text("resolution").unwrap_or("NONE") {
        "NONE" => Resolution::None,
        "STATIC" => Resolution::Static,
        "DNS" => Resolution::Dns,
        "DNS_ROUND_ROBIN" => Resolution::DnsRoundRobin,
        "DYNAMIC_DNS" => Resolution::DynamicDns,
        other => {
            let known = "NONE, STATIC, DNS, DNS_ROUND_ROBIN or DYNAMIC_DNS";
            let message = format!("expected {known}, found {}: it has no endpoints", quoted(other));
            fields.error("resolution", message);
            Resolution::Static
        }
    }
}

fn exports(fields: &Fields<'_>) -> Exports {
    let named = texts(fields, "exportTo", 256);
    if named.is_empty() || named.iter().any(|one| &**one == "*") {
        return Exports::Everywhere;
    }
    Exports::To(named)
}

fn texts(fields: &Fields<'_>, name: &'static str, most: usize) -> Vec<Box<str>> {
    fields.texts(name, most).into_iter().map(Box::from).collect()
}

fn port(fields: &Fields<'_>) -> Option<Port> {
    let name = fields.required("name")?;
    if fields.get("number").is_none() {
        fields.error("number", "`number` is missing: it must be given");
    }
    let port = fields.port("number")?;
    let word = fields.text("protocol").unwrap_or_default();
    let protocol = protocol(fields, word, name, port)?;
    let target = match fields.get("targetPort") {
        None => port,
        Some(_) => fields.port("targetPort")?,
    };
    Some(Port {
        name: Arc::from(name),
        port,
        target: TargetPort::Number(target),
        protocol,
    })
}

/// What is spoken on it; `None`: nothing a waypoint carries.
fn protocol(fields: &Fields<'_>, word: &str, name: &str, port: u16) -> Option<Protocol> {
    Some(match word.to_ascii_uppercase().as_str() {
        "HTTP" | "HTTP_PROXY" => Protocol::Http,
        "HTTP2" => Protocol::H2c,
        "GRPC" | "GRPC-WEB" => Protocol::Grpc,
        "HTTPS" | "TLS" => Protocol::Tls,
        "TCP" | "MONGO" | "MYSQL" | "REDIS" => Protocol::Tcp,
        "UDP" => {
            fields.warning("protocol", "UDP does not pass a waypoint: the port is not served");
            return None;
        }
        "" => service::protocol(None, name, port),
        _ => {
            let known = "HTTP, HTTP2, GRPC, HTTPS, TLS or TCP";
            let message = format!("expected {known}, found {}: the first bytes decide", quoted(word));
            fields.warning("protocol", message);
            service::protocol(None, name, port)
        }
    })
}
