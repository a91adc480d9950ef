//! A Service as telemetry names it: what the client addressed, and what its request was routed to.

use std::sync::Arc;

/// Names a Service in labels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ServiceName {
    /// `<name>.<namespace>.svc.<domain>`; empty for a pod that is addressed by itself.
    pub host: Arc<str>,
    /// Name; the host of a ServiceEntry.
    pub name: Arc<str>,
    /// Namespace.
    pub namespace: Arc<str>,
}
