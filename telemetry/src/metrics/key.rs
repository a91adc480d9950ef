//! What decides the labels of a request, in a form that is found again without building a text.
//!
//! Workloads and services are compared by address: an owned [`Key`] holds their `Arc`s, so an address in the
//! cache cannot have been given to another workload. Identities come with each connection and are compared by text.

use crate::plan::MetricsPlan;
use crate::{Outcome, RequestProtocol, TcpOutcome};
use request::{ServiceName, SpiffeId, Workload};
use std::sync::Arc;

/// `request_protocol`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http,
    Grpc,
    Tcp,
}

impl Protocol {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Grpc => "grpc",
            Self::Tcp => "tcp",
        }
    }
}

/// A borrowed key: building one is free.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyRef<'a> {
    pub(crate) source: &'a Arc<Workload>,
    pub(crate) identity: Option<&'a SpiffeId>,
    pub(crate) destination: Option<&'a Arc<Workload>>,
    /// The Service of the backend.
    pub(crate) service: Option<&'a Arc<ServiceName>>,
    pub(crate) protocol: Protocol,
    pub(crate) status: u16,
    pub(crate) grpc_status: Option<u32>,
    pub(crate) flags: &'static str,
    pub(crate) mtls: bool,
    pub(crate) plan: &'a Arc<MetricsPlan>,
    /// Of labels that differ from request to request; few have any.
    pub(crate) values: &'a [Box<str>],
}

/// The owned key of a cache entry.
#[derive(Debug)]
pub(crate) struct Key {
    source: Arc<Workload>,
    identity: Option<SpiffeId>,
    destination: Option<Arc<Workload>>,
    service: Option<Arc<ServiceName>>,
    protocol: Protocol,
    status: u16,
    grpc_status: Option<u32>,
    flags: &'static str,
    mtls: bool,
    plan: Arc<MetricsPlan>,
    values: Vec<Box<str>>,
}

impl<'a> KeyRef<'a> {
    pub(crate) fn of(outcome: &Outcome<'a>, values: &'a [Box<str>]) -> Self {
        Self {
            source: outcome.source,
            identity: outcome.source_identity,
            destination: outcome.destination,
            service: outcome.backend.map(|(service, _)| service),
            protocol: match outcome.protocol {
                RequestProtocol::Http => Protocol::Http,
                RequestProtocol::Grpc => Protocol::Grpc,
            },
            status: outcome.status,
            grpc_status: outcome.grpc_status,
            flags: outcome.flags,
            mtls: outcome.mtls,
            plan: outcome.plan.metrics(),
            values,
        }
    }

    pub(crate) fn of_tcp(outcome: &TcpOutcome<'a>, values: &'a [Box<str>]) -> Self {
        Self {
            source: outcome.source,
            identity: outcome.source_identity,
            destination: outcome.destination,
            service: outcome.backend.map(|(service, _)| service),
            protocol: Protocol::Tcp,
            status: 0,
            grpc_status: None,
            flags: outcome.flags,
            mtls: outcome.mtls,
            plan: outcome.plan.metrics(),
            values,
        }
    }

    pub(crate) fn keep(&self) -> Key {
        Key {
            source: Arc::clone(self.source),
            identity: self.identity.cloned(),
            destination: self.destination.map(Arc::clone),
            service: self.service.map(Arc::clone),
            protocol: self.protocol,
            status: self.status,
            grpc_status: self.grpc_status,
            flags: self.flags,
            mtls: self.mtls,
            plan: Arc::clone(self.plan),
            values: self.values.to_vec(),
        }
    }

    /// Good enough for a cache whose entries are compared in full. Not keyed: nobody outside chooses addresses.
    pub(crate) fn hash(&self) -> u64 {
        let mut hash = Arc::as_ptr(self.source).addr() as u64;
        hash = mix(hash, address(self.destination));
        hash = mix(hash, address(self.service));
        let small = u64::from(self.status) | (self.protocol as u64) << 16 | u64::from(self.mtls) << 24;
        hash = mix(
            hash,
            small | u64::from(self.grpc_status.map_or(u32::MAX, |status| status)) << 32,
        );
        hash = mix(hash, Arc::as_ptr(self.plan).addr() as u64);
        hash = mix_text(hash, self.flags);
        hash = self.values.iter().fold(hash, |hash, value| mix_text(hash, value));
        hash = mix_text(hash, self.identity.map_or("", SpiffeId::as_str));
        hash ^ (hash >> 29)
    }

    pub(crate) fn matches(&self, key: &Key) -> bool {
        Arc::ptr_eq(self.source, &key.source)
            && same(self.service, key.service.as_ref())
            && same(self.destination, key.destination.as_ref())
            && self.status == key.status
            && self.grpc_status == key.grpc_status
            && self.protocol == key.protocol
            && self.mtls == key.mtls
            && self.flags == key.flags
            && Arc::ptr_eq(self.plan, &key.plan)
            && self.values == key.values
            && same_identity(self.identity, key.identity.as_ref())
    }
}

fn address<T>(known: Option<&Arc<T>>) -> u64 {
    known.map_or(0, |known| Arc::as_ptr(known).addr() as u64)
}

fn same<T>(one: Option<&Arc<T>>, other: Option<&Arc<T>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (None, None) => true,
        _ => false,
    }
}

fn same_identity(one: Option<&SpiffeId>, other: Option<&SpiffeId>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.as_str() == other.as_str(),
        (None, None) => true,
        _ => false,
    }
}

fn mix(hash: u64, value: u64) -> u64 {
    (hash.rotate_left(26) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn mix_text(mut hash: u64, text: &str) -> u64 {
    let (words, rest) = text.as_bytes().as_chunks::<8>();
    for word in words {
        hash = mix(hash, u64::from_le_bytes(*word));
    }
    let last = rest
        .iter()
        .fold(text.len() as u64, |last, byte| last << 8 | u64::from(*byte));
    mix(hash, last)
}
