//! A workload as istiod tells it: no kind of a manifest, but what Pod, EndpointSlice and WorkloadEntry say together.

use request::{SpiffeId, Workload};
use std::net::IpAddr;
use std::sync::Arc;

/// The kind under which such objects are held.
pub(crate) const WORKLOAD: &str = "Workload";

/// A workload and what it serves.
#[derive(Debug)]
pub(crate) struct Discovered {
    /// Who it is.
    pub(crate) workload: Arc<Workload>,
    /// Its identity, whether or not it is reached through HBONE.
    pub(crate) identity: SpiffeId,
    /// Of which Services it is an endpoint.
    pub(crate) serves: Vec<Serves>,
    /// It takes requests.
    pub(crate) is_healthy: bool,
    /// Share, at least 1.
    pub(crate) weight: u32,
    /// Its addresses are its alone: it is on our network, and not on that of its node.
    pub(crate) is_addressed: bool,
    /// The network that it is on; empty is the default one.
    pub(crate) network: Box<str>,
    /// That is not ours.
    pub(crate) elsewhere: Option<Elsewhere>,
}

/// How a workload on another network is reached.
#[derive(Debug)]
pub(crate) struct Elsewhere {
    /// Through this gateway; without one it is not reached.
    pub(crate) gateway: Option<GatewayPlace>,
    /// Our network.
    pub(crate) network: Box<str>,
}

/// Where a gateway of another network is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum GatewayPlace {
    /// The workload there.
    Address {
        /// Of this network.
        network: Box<str>,
        /// At this address.
        ip: IpAddr,
        /// Its tunnel port.
        port: u16,
    },
    /// The workloads of this Service.
    Host {
        /// Its namespace.
        namespace: Box<str>,
        /// Its host, in lower case.
        host: Box<str>,
        /// Its tunnel port.
        port: u16,
    },
}

/// One Service that a workload is an endpoint of.
#[derive(Debug)]
pub(crate) struct Serves {
    /// Namespace of the Service.
    pub(crate) namespace: Box<str>,
    /// Its name, when it is a Kubernetes Service.
    pub(crate) service: Option<Box<str>>,
    /// Its host, in lower case.
    pub(crate) host: Box<str>,
    /// Service port and the workload's own.
    pub(crate) ports: Vec<(u16, u16)>,
}

impl Discovered {
    /// Where it is dialled, when it can be.
    pub(crate) fn ip(&self) -> Option<IpAddr> {
        self.workload.ips.first().copied().filter(|_| self.elsewhere.is_none())
    }

    /// What it says of this Service.
    pub(crate) fn of(&self, namespace: &str, service: &str) -> Option<&Serves> {
        let is_it = |one: &&Serves| &*one.namespace == namespace && one.service.as_deref() == Some(service);
        self.serves.iter().find(is_it)
    }
}

impl Serves {
    /// The workload's own port behind one of the Service.
    pub(crate) fn target(&self, port: u16) -> Option<u16> {
        let found = self.ports.iter().find(|(service, _)| *service == port);
        found.map(|(_, own)| *own)
    }
}
