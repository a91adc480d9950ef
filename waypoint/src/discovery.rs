//! Services and workloads from istiod: `hbone` holds the call, `mesh` knows what is said on it; here they meet.

use crate::cli::RunArgs;
use bytes::Bytes;
use hbone::{CertError, ControlPlane, ControlPlaneConfig, Conversation};
use mesh::{Discovery, DiscoveryConfig};
use std::sync::Arc;
use telemetry::Metrics;

/// Delta xDS, whatever is asked for.
const METHOD: &str = "envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
/// Largest answer: some 200,000 workloads at once.
const ANSWER_BYTES: usize = 64 << 20;

/// istiod as the source of Services and workloads.
#[derive(Debug)]
pub(crate) struct IstiodDiscovery {
    plane: ControlPlane,
    /// What it has told.
    pub(crate) told: Arc<Discovery>,
    metrics: Arc<Metrics>,
}

impl IstiodDiscovery {
    /// When `--xds-address` names one. Nothing is asked yet.
    pub(crate) fn new(args: &RunArgs, metrics: &Arc<Metrics>) -> Result<Option<Self>, CertError> {
        let Some(address) = args
            .xds_address
            .as_deref()
            .map(host_port)
            .filter(|text| !text.is_empty())
        else {
            return Ok(None);
        };
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let plane = ControlPlane::new(ControlPlaneConfig {
            address: address.to_owned(),
            root: args.xds_root.clone().unwrap_or_else(|| args.ca_root.clone()),
            token: args.xds_token.clone().unwrap_or_else(|| args.ca_token.clone()),
            cluster: args.cluster.clone(),
        })?;
        tracing::info!(
            address,
            network = args.network,
            "Services and workloads come from istiod"
        );
        let told = Discovery::new(DiscoveryConfig {
            address: address.to_owned(),
            network: args.network.clone(),
            namespace: text(&args.namespace),
            pod: text(&args.pod_name),
            ip: args.instance_ip.as_deref().and_then(|ip| ip.parse().ok()),
            service_account: args
                .service_account
                .clone()
                .or(args.gateway.clone())
                .unwrap_or_default(),
            node: text(&args.node),
            cluster: args.cluster.clone(),
        });
        Ok(Some(Self {
            plane,
            told,
            metrics: Arc::clone(metrics),
        }))
    }

    /// Follows istiod for as long as it is polled.
    pub(crate) async fn run(&self) {
        let mut talk = Talk {
            told: &self.told,
            metrics: &self.metrics,
            trouble: String::new(),
        };
        self.plane.converse(METHOD, ANSWER_BYTES, &mut talk).await;
    }
}

/// As ztunnel's `XDS_ADDRESS` is written, too.
fn host_port(address: &str) -> &str {
    let address = address.trim();
    address.strip_prefix("https://").unwrap_or(address)
}

struct Talk<'d> {
    told: &'d Discovery,
    metrics: &'d Metrics,
    /// The latest: it is told once.
    trouble: String,
}

impl Conversation for Talk<'_> {
    fn hello(&mut self) -> Vec<u8> {
        self.told.hello()
    }

    fn take(&mut self, answer: Bytes) -> Result<Vec<u8>, String> {
        let own = &self.metrics.own;
        let said = self
            .told
            .take(&answer)
            .inspect_err(|_| own.istiod_answer("unreadable"))?;
        own.istiod_answer(if said.refused.is_empty() { "ack" } else { "nack" });
        if own.istiod_connected.set(1) == 0 {
            tracing::info!(target: "waypoint::istiod", addresses = self.told.count(), "istiod tells");
        }
        self.trouble.clear();
        let count = i64::try_from(self.told.count()).unwrap_or(i64::MAX);
        own.istiod_addresses.set(count);
        if let Some(first) = said.refused.first() {
            let more = said.refused.len().saturating_sub(1);
            tracing::warn!(target: "waypoint::istiod", more, "refused, its last good state stays in force: {first}");
        }
        Ok(said.message)
    }

    fn lost(&mut self, why: &str) {
        self.metrics.own.istiod_connected.set(0);
        self.told.lost(why);
        if self.trouble != why {
            tracing::warn!(target: "waypoint::istiod", "no word of istiod, what it told last stays in force: {why}");
            why.clone_into(&mut self.trouble);
        }
    }
}
