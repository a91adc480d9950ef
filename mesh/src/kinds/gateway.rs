//! Gateway and GatewayClass: of a waypoint, the listener says whose Services may use it.

use super::Body;
use super::labels::Selector;
use crate::decode::{At, Fields, Problems, quoted, record};
use serde_json::Value;

/// A Gateway.
#[derive(Debug)]
pub(crate) struct Gateway {
    /// `spec.gatewayClassName`.
    pub(crate) class: String,
    /// Its listeners.
    pub(crate) listeners: Vec<Listener>,
}

/// A listener, as far as a waypoint has one.
#[derive(Debug)]
pub(crate) struct Listener {
    /// `name`.
    pub(crate) name: String,
    /// `port`.
    pub(crate) port: Option<u16>,
    /// `allowedRoutes.kinds`; empty: all.
    pub(crate) kinds: Vec<String>,
    /// `protocol` is `HBONE`.
    pub(crate) is_hbone: bool,
    /// `allowedRoutes.namespaces`.
    pub(crate) allowed: Allowed,
}

/// Whose Services may use a waypoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Allowed {
    /// Those of its own namespace.
    #[default]
    Same,
    /// All.
    All,
    /// Those of namespaces with these labels.
    Selector(Selector),
    /// None (also for a value that is not understood).
    Nobody,
}

/// Parses a GatewayClass.
pub(crate) fn class(spec: &Value, at: &At<'_>, problems: &Problems) -> Body {
    let controller = record(spec, at, problems, |fields| {
        fields.ignore(&["description", "parametersRef"]);
        fields.required("controllerName").unwrap_or_default().to_owned()
    });
    Body::GatewayClass(controller.unwrap_or_default())
}

/// Parses a Gateway.
pub(crate) fn parse(spec: &Value, at: &At<'_>, problems: &Problems) -> Body {
    let gateway = record(spec, at, problems, |fields| {
        fields.ignore(&[
            "addresses",
            "infrastructure",
            "backendTLS",
            "allowedListeners",
            "tls",
            "defaultScope",
        ]);
        let class = fields.required("gatewayClassName").unwrap_or_default().to_owned();
        let listeners = fields.list("listeners", 64, |value, at| {
            record(value, at, problems, |fields| listener(fields, problems))
        });
        Gateway { class, listeners }
    });
    Body::Gateway(gateway.unwrap_or(Gateway {
        class: String::new(),
        listeners: Vec::new(),
    }))
}

fn listener(fields: &Fields<'_>, problems: &Problems) -> Listener {
    fields.ignore(&["hostname", "tls"]);
    let mut kinds = Vec::new();
    let protocol = fields.required("protocol").unwrap_or_default();
    let allowed = fields.record("allowedRoutes", |fields| {
        kinds = fields.list("kinds", 8, |value, at| {
            record(value, at, problems, |fields| {
                fields.ignore(&["group"]);
                fields.required("kind").unwrap_or_default().to_owned()
            })
        });
        fields.record("namespaces", |fields| namespaces(fields, problems))
    });
    Listener {
        name: fields.text("name").unwrap_or_default().to_owned(),
        port: fields.port("port"),
        kinds,
        is_hbone: protocol == "HBONE",
        allowed: allowed.flatten().unwrap_or_default(),
    }
}

fn namespaces(fields: &Fields<'_>, problems: &Problems) -> Allowed {
    let selector = fields.record("selector", |fields| Selector::read(fields, problems));
    match fields.text("from") {
        None if fields.get("from").is_some() => Allowed::Nobody,
        None | Some("Same") => Allowed::Same,
        Some("All") => Allowed::All,
        Some("None") => Allowed::Nobody,
        Some("Selector") => selector.map_or_else(
            || {
                fields.error("selector", "`selector` is missing: `from: Selector` needs one");
                Allowed::Nobody
            },
            Allowed::Selector,
        ),
        Some(other) => {
            fields.error(
                "from",
                format!("expected Same, All, Selector or None, found {}", quoted(other)),
            );
            Allowed::Nobody
        }
    }
}
