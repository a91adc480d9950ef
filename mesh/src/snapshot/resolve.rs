//! Clusters whose endpoints are not in the config but in DNS. The snapshot only names them: who resolves names, and
//! when, is no concern of it.

use crate::compile::ClusterTls;
use request::Workload;
use routing::{Cluster, Tls};
use std::sync::Arc;

/// Where the endpoints of a cluster come from.
#[derive(Debug)]
pub enum Resolve {
    /// From these names, known beforehand.
    Names(Named),
    /// From the name that each request or connection asks for.
    Below(Wildcard),
}

/// A cluster with endpoints at names.
#[derive(Debug)]
pub struct Named {
    /// The cluster, with those endpoints that need no DNS.
    pub cluster: Arc<Cluster>,
    /// The others.
    pub names: Vec<Name>,
    /// Only the first address of an answer is used (resolution DNS_ROUND_ROBIN).
    pub first_only: bool,
}

/// An endpoint at a name.
#[derive(Clone, Debug)]
pub struct Name {
    /// Lower case, without the last dot.
    pub name: Arc<str>,
    /// The endpoint's port.
    pub port: u16,
    /// What is known of whoever serves there.
    pub workload: Arc<Workload>,
    /// What is spoken there, as [`routing::Endpoint`] has it.
    pub tls: Option<Arc<Tls>>,
}

/// A cluster for every name below a wildcard.
#[derive(Debug)]
pub struct Wildcard {
    /// The cluster, without endpoints.
    pub cluster: Arc<Cluster>,
    /// `example.com` for `*.example.com`.
    pub suffix: Arc<str>,
    /// The endpoint's port, whatever the name.
    pub port: u16,
    /// TLS with whatever host.
    pub(crate) tls: Option<ClusterTls>,
}

impl Wildcard {
    /// Whether a host (lower case, without port) is below.
    pub fn admits(&self, host: &str) -> bool {
        host.strip_suffix(&*self.suffix)
            .and_then(|rest| rest.strip_suffix('.'))
            .is_some_and(|label| !label.is_empty())
    }

    /// The endpoint at a name below.
    pub fn name(&self, host: &Arc<str>) -> Name {
        Name {
            name: Arc::clone(host),
            port: self.port,
            workload: Arc::default(),
            tls: self.tls.as_ref().map(|tls| tls.with(host)),
        }
    }
}
