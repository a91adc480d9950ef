//! References to other objects: parentRefs and backendRefs.

use crate::decode::Fields;

/// A backendRef, not yet resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BackendRef {
    /// `group`, default "".
    pub(crate) group: String,
    /// `kind`, default Service.
    pub(crate) kind: String,
    /// `namespace`; absent: the route's.
    pub(crate) namespace: Option<String>,
    /// `name`.
    pub(crate) name: String,
    /// `port`.
    pub(crate) port: Option<u16>,
}

impl BackendRef {
    /// Reads the fields of a BackendObjectReference. `None` when it names nothing.
    pub(crate) fn read(fields: &Fields<'_>) -> Option<Self> {
        let has_bad_port = fields.get("port").is_some();
        let port = fields.port("port");
        let reference = Self {
            group: fields.text("group").unwrap_or_default().to_owned(),
            kind: fields.text("kind").unwrap_or("Service").to_owned(),
            namespace: fields.text("namespace").map(str::to_owned),
            name: fields.required("name")?.to_owned(),
            port,
        };
        (port.is_some() || !has_bad_port).then_some(reference)
    }
}

/// A parentRef.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ParentRef {
    /// Its place in the list.
    pub(crate) index: usize,
    /// `group`, default `gateway.networking.k8s.io`.
    pub(crate) group: String,
    /// `kind`, default Gateway.
    pub(crate) kind: String,
    /// `namespace`; absent: the route's.
    pub(crate) namespace: Option<String>,
    /// `name`.
    pub(crate) name: String,
    /// `port`.
    pub(crate) port: Option<u16>,
    /// `sectionName`: the name of a Service's port.
    pub(crate) section: Option<String>,
}

impl ParentRef {
    /// Reads a parentRef. `None` when it names nothing, or a port that cannot be.
    pub(crate) fn read(fields: &Fields<'_>, index: usize) -> Option<Self> {
        let has_port = fields.get("port").is_some();
        let port = fields.port("port");
        let parent = Self {
            index,
            group: fields.text("group").unwrap_or(super::GATEWAY_API).to_owned(),
            kind: fields.text("kind").unwrap_or("Gateway").to_owned(),
            namespace: fields.text("namespace").map(str::to_owned),
            name: fields.required("name")?.to_owned(),
            port,
            section: fields
                .text("sectionName")
                .filter(|text| !text.is_empty())
                .map(str::to_owned),
        };
        (port.is_some() || !has_port).then_some(parent)
    }
}
