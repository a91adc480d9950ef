//! What every request of this process shares.

use super::changes::Changes;
use super::clock::Clock;
use super::connect::Connector;
use super::early::EarlyLoad;
use super::mirror::Load;
use super::session::Sealer;
use super::shares::Shares;
use crate::dns::Dns;
use crate::http1::Limits;
use crate::jwks::Jwks;
use crate::live::Live;
use arc_swap::ArcSwap;
use authz::KeySets;
use hbone::{CertSource, Drain};
use mesh::Snapshot;
use request::SpiffeId;
use std::fmt;
use std::sync::Arc;
use telemetry::{AccessLog, Metrics, MetricsPush, Spans};

/// The process's state on the data path. Shared by `Arc`, never locked by a request.
#[derive(Debug)]
pub(crate) struct Node {
    /// The published config.
    pub(crate) snapshot: Arc<ArcSwap<Snapshot>>,
    /// Its generation, told after it was published.
    pub(crate) changes: Changes,
    /// What health is kept by.
    pub(crate) clock: Clock,
    /// Fetched JWKS.
    pub(crate) keys: ArcSwap<KeySets>,
    /// Ways to endpoints.
    pub(crate) connector: Arc<Connector>,
    /// Endpoints that are looked up.
    pub(crate) dns: Dns,
    /// Wishes for key sets.
    pub(crate) jwks: Jwks,
    /// Counts what each backend of a rule gets.
    pub(crate) shares: Shares,
    /// What is shown of requests while the process runs.
    pub(crate) live: Live,
    /// Metrics.
    pub(crate) metrics: Arc<Metrics>,
    /// Spans. Whether they go anywhere, the plan of a request says.
    pub(crate) spans: Arc<Spans>,
    /// Access log, likewise.
    pub(crate) access_log: AccessLog,
    /// Pushes metrics, where that is wanted.
    pub(crate) push: Option<MetricsPush>,
    /// The drain everything in flight takes part in.
    pub(crate) drain: Drain,
    /// What mirrors hold.
    pub(crate) mirrors: Arc<Load>,
    /// Bytes of bodies that were read before their requests had anywhere to go.
    pub(crate) early: EarlyLoad,
    /// Who we are.
    pub(crate) own: OwnIdentity,
    /// Makes and opens session tokens.
    pub(crate) sealer: Sealer,
    /// Bounds of HTTP/1 connections, both sides.
    pub(crate) limits: Limits,
}

/// Our identity, as our certificate has it now.
pub(crate) struct OwnIdentity(pub(crate) Arc<dyn CertSource>);

impl OwnIdentity {
    pub(crate) fn id(&self) -> SpiffeId {
        self.0.current().id.clone()
    }
}

impl fmt::Debug for OwnIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OwnIdentity").field(&self.id()).finish()
    }
}
