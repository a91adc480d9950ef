//! Pod: addresses, ports, identity and readiness of a workload.

use super::Body;
use crate::decode::{At, Fields, Problems, quoted, record};
use serde_json::Value;
use std::net::IpAddr;

/// A Pod.
#[derive(Debug, Default)]
pub(crate) struct Pod {
    /// `status.podIP` and `podIPs`.
    pub(crate) ips: Vec<IpAddr>,
    /// `spec.serviceAccountName`.
    pub(crate) service_account: String,
    /// `spec.nodeName`.
    pub(crate) node: String,
    /// Names (may be empty) and numbers of TCP container ports.
    pub(crate) ports: Vec<(String, u16)>,
    /// Condition `Ready`; true when no conditions are told.
    pub(crate) ready: bool,
    /// Has an address of its own and has not ended.
    pub(crate) is_live: bool,
}

/// Parses a Pod.
pub(crate) fn parse(spec: &Value, status: &Value, problems: &Problems) -> Body {
    let root = At::Root;
    let mut pod = Pod {
        service_account: "default".to_owned(),
        ready: true,
        is_live: true,
        ..Pod::default()
    };
    record(spec, &root.field("spec"), problems, |fields| {
        fields.leave_open();
        if let Some(account) = fields.text("serviceAccountName").filter(|text| !text.is_empty()) {
            pod.service_account = account.to_owned();
        }
        pod.node = fields.text("nodeName").unwrap_or_default().to_owned();
        pod.is_live = fields.boolean("hostNetwork") != Some(true);
        let ports = fields.list("containers", 1024, |value, at| {
            record(value, at, problems, |fields| container_ports(fields, problems))
        });
        pod.ports = ports.into_iter().flatten().collect();
    });
    record(status, &root.field("status"), problems, |fields| {
        fields.leave_open();
        if matches!(fields.text("phase"), Some("Succeeded" | "Failed")) {
            pod.is_live = false;
        }
        let ready = fields.list("conditions", 64, |value, _| {
            let text = |name: &str| value.get(name).and_then(Value::as_str);
            (text("type") == Some("Ready")).then(|| text("status") == Some("True"))
        });
        pod.ready = ready.first().copied().unwrap_or(true);
        pod.ips = ips(fields, problems);
    });
    Body::Pod(Box::new(pod))
}

fn container_ports(fields: &Fields<'_>, problems: &Problems) -> Vec<(String, u16)> {
    fields.leave_open();
    fields.list("ports", 1024, |value, at| {
        record(value, at, problems, |fields| {
            fields.leave_open();
            if fields.text("protocol").is_some_and(|protocol| protocol != "TCP") {
                return None;
            }
            let name = fields.text("name").unwrap_or_default().to_owned();
            Some((name, fields.port("containerPort")?))
        })
        .flatten()
    })
}

fn ips(fields: &Fields<'_>, problems: &Problems) -> Vec<IpAddr> {
    let first = fields.text("podIP").map(str::to_owned);
    let more = fields.list("podIPs", 8, |value, at| {
        record(value, at, problems, |fields| fields.text("ip").map(str::to_owned)).flatten()
    });
    let mut ips: Vec<IpAddr> = Vec::new();
    for text in first.into_iter().chain(more).filter(|text| !text.is_empty()) {
        match text.parse::<IpAddr>() {
            Ok(ip) if ips.contains(&ip.to_canonical()) => {}
            Ok(ip) => ips.push(ip.to_canonical()),
            Err(_) => fields.error("podIP", format!("expected an IP address, found {}", quoted(&text))),
        }
    }
    ips
}
