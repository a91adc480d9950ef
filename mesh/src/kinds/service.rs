//! Service: its addresses, its ports and what is spoken on them.

use super::Body;
use crate::decode::{At, Fields, Problems, describe, quoted, record};
use request::SpiffeId;
use routing::Protocol;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// A Service.
#[derive(Debug, Default)]
pub(crate) struct Service {
    /// `clusterIP` and `clusterIPs`. Empty: headless.
    pub(crate) vips: Vec<IpAddr>,
    /// `selector`.
    pub(crate) selector: BTreeMap<String, String>,
    /// TCP ports.
    pub(crate) ports: Vec<Port>,
    /// `trafficDistribution`.
    pub(crate) distribution: Distribution,
    /// `internalTrafficPolicy: Local`: only endpoints of the same node.
    pub(crate) is_node_local: bool,
    /// Endpoints that are not ready take requests, too (as istiod tells it of `publishNotReadyAddresses`).
    pub(crate) takes_unready: bool,
    /// Its host, as istiod tells it.
    pub(crate) host: Box<str>,
    /// Who its endpoints may be, as istiod tells it; none: each is who it is itself.
    pub(crate) sans: Vec<SpiffeId>,
}

/// `trafficDistribution`: which endpoints go before others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Distribution {
    /// None.
    #[default]
    Any,
    /// `PreferSameZone`, and `PreferClose`, its older name.
    SameZone,
    /// `PreferSameNode`.
    SameNode,
}

impl Distribution {
    /// By its word.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        match word {
            "PreferClose" | "PreferSameZone" => Some(Self::SameZone),
            "PreferSameNode" => Some(Self::SameNode),
            _ => None,
        }
    }
}

/// One TCP port of a Service.
#[derive(Debug)]
pub(crate) struct Port {
    /// `name`, may be empty.
    pub(crate) name: Arc<str>,
    /// `port`.
    pub(crate) port: u16,
    /// `targetPort`.
    pub(crate) target: TargetPort,
    /// What is spoken.
    pub(crate) protocol: Protocol,
}

/// `targetPort`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TargetPort {
    /// A number.
    Number(u16),
    /// A container port's name.
    Name(String),
}

/// Parses a Service.
pub(crate) fn parse(spec: &Value, at: &At<'_>, problems: &Problems) -> Body {
    let service = record(spec, at, problems, |fields| {
        fields.leave_open();
        if fields.text("type") == Some("ExternalName") {
            return Service::default();
        }
        let ports = fields.list("ports", 1024, |value, at| record(value, at, problems, port).flatten());
        Service {
            vips: vips(fields),
            selector: fields.text_map("selector"),
            ports,
            distribution: distribution(fields),
            is_node_local: is_node_local(fields),
            ..Service::default()
        }
    });
    Body::Service(Box::new(service.unwrap_or_default()))
}

fn distribution(fields: &Fields<'_>) -> Distribution {
    let Some(word) = fields.text("trafficDistribution").filter(|word| !word.is_empty()) else {
        return Distribution::Any;
    };
    Distribution::parse(word).unwrap_or_else(|| {
        let known = "PreferSameZone, PreferSameNode or PreferClose";
        let message = format!("expected {known}, found {}: no endpoint is preferred", quoted(word));
        fields.error("trafficDistribution", message);
        Distribution::Any
    })
}

fn is_node_local(fields: &Fields<'_>) -> bool {
    match fields.text("internalTrafficPolicy") {
        None | Some("Cluster") => false,
        Some("Local") => true,
        Some(other) => {
            let message = format!(
                "expected Cluster or Local, found {}: Cluster is in force",
                quoted(other)
            );
            fields.error("internalTrafficPolicy", message);
            false
        }
    }
}

fn vips(fields: &Fields<'_>) -> Vec<IpAddr> {
    let mut vips: Vec<IpAddr> = Vec::new();
    let first = fields.text("clusterIP");
    for text in first.into_iter().chain(fields.texts("clusterIPs", 2)) {
        if text.is_empty() || text == "None" {
            continue;
        }
        match text.parse::<IpAddr>() {
            Ok(ip) if vips.contains(&ip.to_canonical()) => {}
            Ok(ip) => vips.push(ip.to_canonical()),
            Err(_) => fields.error(
                "clusterIP",
                format!("expected an IP address or None, found {}", quoted(text)),
            ),
        }
    }
    vips
}

fn port(fields: &Fields<'_>) -> Option<Port> {
    fields.leave_open();
    if fields.text("protocol").is_some_and(|protocol| protocol != "TCP") {
        return None;
    }
    if fields.get("port").is_none() {
        fields.error("port", "`port` is missing: it must be given");
    }
    let port = fields.port("port")?;
    let name = fields.text("name").unwrap_or_default();
    let app_protocol = fields.text("appProtocol");
    let target = match fields.get("targetPort") {
        None => TargetPort::Number(port),
        Some(Value::String(name)) => match name.parse() {
            Ok(number) => TargetPort::Number(number),
            Err(_) => TargetPort::Name(name.clone()),
        },
        Some(value) => match value.as_u64().and_then(|number| u16::try_from(number).ok()) {
            Some(0) => TargetPort::Number(port),
            Some(number) => TargetPort::Number(number),
            None => {
                fields.error(
                    "targetPort",
                    format!("expected a port or its name, found {}", describe(value)),
                );
                return None;
            }
        },
    };
    Some(Port {
        name: Arc::from(name),
        port,
        target,
        protocol: protocol(app_protocol, name, port),
    })
}

/// What is spoken on a port, by Istio's rules: `appProtocol`, else the name, each up to `-`; else well-known ports of
/// protocols in which the server speaks first; else the first bytes decide.
pub(crate) fn protocol(app_protocol: Option<&str>, name: &str, port: u16) -> Protocol {
    let text = app_protocol.unwrap_or(name).to_ascii_lowercase();
    let declared = match (app_protocol, text.as_str()) {
        (Some(_), "kubernetes.io/h2c") => Some(Protocol::H2c),
        (Some(_), "kubernetes.io/ws") => Some(Protocol::Http),
        (Some(_), "kubernetes.io/wss") => Some(Protocol::Tls),
        (_, text) if text.starts_with("grpc-web") => by_word("grpc-web"),
        (_, text) => by_word(text.split('-').next().unwrap_or_default()),
    };
    declared.unwrap_or(match port {
        25 | 53 | 3306 | 27017 => Protocol::Tcp,
        _ => Protocol::Detect,
    })
}

fn by_word(word: &str) -> Option<Protocol> {
    Some(match word {
        "http" => Protocol::Http,
        "http2" | "h2c" => Protocol::H2c,
        "grpc" | "grpc-web" => Protocol::Grpc,
        "https" | "tls" => Protocol::Tls,
        "tcp" | "mongo" | "mysql" | "redis" => Protocol::Tcp,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_follow_istio() {
        for (app, name, port, want) in [
            (None, "http", 80, Protocol::Http),
            (None, "HTTP-web", 80, Protocol::Http),
            (None, "http2-x", 80, Protocol::H2c),
            (None, "grpc", 80, Protocol::Grpc),
            (None, "grpc-web-x", 80, Protocol::Grpc),
            (None, "tcp-http", 80, Protocol::Tcp),
            (None, "https", 443, Protocol::Tls),
            (None, "httpx", 80, Protocol::Detect),
            (None, "", 3306, Protocol::Tcp),
            (None, "http", 3306, Protocol::Http),
            (Some("grpc"), "http", 80, Protocol::Grpc),
            (Some("kubernetes.io/h2c"), "", 80, Protocol::H2c),
            (Some("kubernetes.io/wss"), "http", 80, Protocol::Tls),
            (Some("example.com/mine"), "http", 80, Protocol::Detect),
            (Some("example.com/mine"), "http", 3306, Protocol::Tcp),
            (Some("KUBERNETES.io/ws"), "", 80, Protocol::Http),
            (Some("http-proxy"), "tcp", 80, Protocol::Http),
            (Some("redis"), "", 6379, Protocol::Tcp),
            (None, "mongo-db", 1, Protocol::Tcp),
            (None, "kubernetes.io/h2c", 80, Protocol::Detect),
        ] {
            assert_eq!(protocol(app, name, port), want, "{app:?} {name:?} {port}");
        }
    }
}
