//! BackendTLSPolicy: TLS towards the endpoints of a Service or ServiceEntry, as the Gateway API says it.

use super::Body;
use crate::decode::{At, Fields, Problems, quoted, record};
use routing::TlsSan;
use serde_json::Value;

/// A BackendTLSPolicy.
#[derive(Debug, Default)]
pub(crate) struct BackendTls {
    /// `targetRefs`.
    pub(crate) targets: Vec<Target>,
    /// `validation`; `None`: it cannot be in force, and nothing is sent.
    pub(crate) validation: Option<Validation>,
}

/// A target.
#[derive(Debug)]
pub(crate) struct Target {
    /// Its place in the list.
    pub(crate) index: usize,
    /// `group`.
    pub(crate) group: String,
    /// `kind`.
    pub(crate) kind: String,
    /// `name`.
    pub(crate) name: String,
    /// `sectionName`: the name of a port.
    pub(crate) section: Option<String>,
}

/// How a server is checked.
#[derive(Debug)]
pub(crate) struct Validation {
    /// `hostname`: sent as SNI, and looked for in the certificate when `sans` is empty.
    pub(crate) hostname: Box<str>,
    /// `subjectAltNames`.
    pub(crate) sans: Vec<TlsSan>,
    /// Certificate authorities.
    pub(crate) authorities: Authorities,
}

/// Certificate authorities.
#[derive(Debug)]
pub(crate) enum Authorities {
    /// `wellKnownCACertificates: System`.
    System,
    /// `caCertificateRefs`: kind and name.
    Refs(Vec<(String, String)>),
}

/// Parses a BackendTLSPolicy.
pub(crate) fn parse(spec: &Value, at: &At<'_>, problems: &Problems) -> Body {
    let policy = record(spec, at, problems, |fields| {
        if fields.get("options").is_some() {
            fields.warning("options", "no option is known: they are not heeded");
        }
        let targets = fields.list("targetRefs", 16, |value, at| {
            record(value, at, problems, |fields| target(fields, at.position())).flatten()
        });
        if targets.is_empty() {
            fields.error("targetRefs", "expected a target: nothing is bound");
        }
        let validation = fields.record("validation", |fields| validation(fields, problems));
        if fields.get("validation").is_none() {
            fields.error("validation", "`validation` is missing: nothing is sent to the targets");
        }
        BackendTls {
            targets,
            validation: validation.flatten(),
        }
    });
    Body::BackendTls(Box::new(policy.unwrap_or_default()))
}

fn target(fields: &Fields<'_>, index: usize) -> Option<Target> {
    Some(Target {
        index,
        group: fields.text("group").unwrap_or_default().to_owned(),
        kind: fields.required("kind")?.to_owned(),
        name: fields.required("name")?.to_owned(),
        section: fields
            .text("sectionName")
            .filter(|text| !text.is_empty())
            .map(str::to_owned),
    })
}

fn validation(fields: &Fields<'_>, problems: &Problems) -> Option<Validation> {
    let refs = fields.list("caCertificateRefs", 8, |value, at| {
        record(value, at, problems, reference).flatten()
    });
    let has_refs = fields
        .get("caCertificateRefs")
        .is_some_and(|list| list.as_array().is_none_or(|list| !list.is_empty()));
    let well_known = fields.text("wellKnownCACertificates");
    let sans = sans(fields, problems);
    let hostname = fields.required("hostname")?;
    if hostname.contains('*') {
        fields.error(
            "hostname",
            format!("expected a host, found {}: nothing is sent", quoted(hostname)),
        );
        return None;
    }
    let authorities = match (has_refs, well_known) {
        (true, None) => Authorities::Refs(refs),
        (false, Some("System")) => Authorities::System,
        (true, Some(_)) => {
            let message = "expected `caCertificateRefs` or `wellKnownCACertificates`, found both: nothing is sent";
            fields.error("wellKnownCACertificates", message);
            return None;
        }
        (false, Some(other)) => {
            let message = format!("expected System, found {}: nothing is sent", quoted(other));
            fields.error("wellKnownCACertificates", message);
            return None;
        }
        (false, None) => {
            let message = "`caCertificateRefs` is missing (or `wellKnownCACertificates`): nothing is sent";
            fields.error("caCertificateRefs", message);
            return None;
        }
    };
    Some(Validation {
        hostname: Box::from(hostname.to_ascii_lowercase()),
        sans: sans?,
        authorities,
    })
}

fn reference(fields: &Fields<'_>) -> Option<(String, String)> {
    let _ = fields.text("group");
    let kind = fields.required("kind")?;
    let name = fields.required("name")?;
    if !matches!(kind, "ConfigMap" | "Secret") {
        fields.error("kind", format!("expected ConfigMap or Secret, found {}", quoted(kind)));
        return None;
    }
    Some((kind.to_owned(), name.to_owned()))
}

/// `None`: one of them is not understood, and must not be left out (fewer names could mean: the hostname will do).
fn sans(fields: &Fields<'_>, problems: &Problems) -> Option<Vec<TlsSan>> {
    let written = fields
        .get("subjectAltNames")
        .map_or(Some(0), |list| list.as_array().map(Vec::len));
    let sans = fields.list("subjectAltNames", 5, |value, at| {
        record(value, at, problems, |fields| match fields.required("type")? {
            "Hostname" => {
                fields.ignore(&["uri"]);
                Some(TlsSan::Dns(Box::from(
                    fields.required("hostname")?.to_ascii_lowercase(),
                )))
            }
            "URI" => {
                fields.ignore(&["hostname"]);
                Some(TlsSan::Uri(Box::from(fields.required("uri")?)))
            }
            other => {
                fields.ignore(&["hostname", "uri"]);
                fields.error("type", format!("expected Hostname or URI, found {}", quoted(other)));
                None
            }
        })
        .flatten()
    });
    (written == Some(sans.len())).then_some(sans)
}
