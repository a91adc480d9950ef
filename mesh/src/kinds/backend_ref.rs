//! References to other objects: parentRefs and backendRefs.

use crate::decode::Fields;
use crate::recent::{self, GroupKind};
use std::sync::Arc;

/// A backendRef, not yet resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BackendRef {
    /// `group`, default "", and `kind`, default Service.
    group_kind: Arc<GroupKind>,
    /// `namespace`; absent: the route's.
    pub(crate) namespace: Option<Arc<str>>,
    /// `name`.
    pub(crate) name: Arc<str>,
    /// `port`.
    pub(crate) port: Option<u16>,
}

impl BackendRef {
    /// Reads the fields of a BackendObjectReference. `None` when it names nothing.
    pub(crate) fn read(fields: &Fields<'_>) -> Option<Self> {
        let has_bad_port = fields.get("port").is_some();
        let port = fields.port("port");
        let reference = Self {
            group_kind: recent::group_kind(
                fields.text("group").unwrap_or_default(),
                fields.text("kind").unwrap_or("Service"),
            ),
            namespace: fields.text("namespace").map(recent::text),
            name: recent::text(fields.required("name")?),
            port,
        };
        (port.is_some() || !has_bad_port).then_some(reference)
    }

    /// `group`.
    pub(crate) fn group(&self) -> &str {
        &self.group_kind.group
    }

    /// `kind`.
    pub(crate) fn kind(&self) -> &str {
        &self.group_kind.kind
    }
}

/// A parentRef.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ParentRef {
    /// Its place in the list.
    pub(crate) index: u32,
    /// `group`, default `gateway.networking.k8s.io`, and `kind`, default Gateway.
    group_kind: Arc<GroupKind>,
    /// `namespace`; absent: the route's.
    pub(crate) namespace: Option<Arc<str>>,
    /// `name`.
    pub(crate) name: Arc<str>,
    /// `port`.
    pub(crate) port: Option<u16>,
    /// `sectionName`: the name of a Service's port.
    pub(crate) section: Option<Arc<str>>,
}

impl ParentRef {
    /// Reads a parentRef. `None` when it names nothing, or a port that cannot be.
    pub(crate) fn read(fields: &Fields<'_>, index: u32) -> Option<Self> {
        let has_port = fields.get("port").is_some();
        let port = fields.port("port");
        let parent = Self {
            index,
            group_kind: recent::group_kind(
                fields.text("group").unwrap_or(super::GATEWAY_API),
                fields.text("kind").unwrap_or("Gateway"),
            ),
            namespace: fields.text("namespace").map(recent::text),
            name: recent::text(fields.required("name")?),
            port,
            section: fields
                .text("sectionName")
                .filter(|text| !text.is_empty())
                .map(recent::text),
        };
        (port.is_some() || !has_port).then_some(parent)
    }

    /// `group`.
    pub(crate) fn group(&self) -> &str {
        &self.group_kind.group
    }

    /// `kind`.
    pub(crate) fn kind(&self) -> &str {
        &self.group_kind.kind
    }
}
