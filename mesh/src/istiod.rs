//! `--xds-address`: Services and workloads as istiod tells them, in place of Services, EndpointSlices, Pods and
//! WorkloadEntries of the config.
//!
//! It is the protocol without its sockets: what is said on a call (delta xDS of `istio.workload.Address`) and what becomes
//! of each answer. The way of an address: `proto` -> `address` (an object, or a refusal) -> `state` -> beside the objects of
//! files or of a cluster -> the same [`crate::Compiler`]. What is refused and who goes away take nothing away: the last good
//! state stays.

mod address;
mod news;
mod proto;
mod state;
mod words;

use crate::finding::{Finding, Severity};
use crate::resources::Resources;
pub(crate) use news::News;
use prost::Message;
use proto::{DeltaRequest, DeltaResponse, Node, Status, Struct, Text};
use state::State;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// What is asked for.
const ADDRESS: &str = "type.googleapis.com/istio.workload.Address";
/// Kinds that istiod tells instead.
pub(crate) const REPLACED: [&str; 4] = ["Service", "EndpointSlice", "Pod", "WorkloadEntry"];
/// Of what is wrong with an answer, this much is said to istiod.
const MAX_DETAIL_BYTES: usize = 4096;
/// gRPC's `INVALID_ARGUMENT`.
const INVALID_ARGUMENT: i32 = 3;

/// Who we are to istiod; it compares namespace and account with the token.
#[derive(Clone, Debug, Default)]
pub struct DiscoveryConfig {
    /// Where istiod is, for people to read.
    pub address: String,
    /// The network that we are on; empty is the default one.
    pub network: String,
    /// Namespace of the pod.
    pub namespace: String,
    /// Its name.
    pub pod: String,
    /// Its address.
    pub ip: Option<std::net::IpAddr>,
    /// Its service account.
    pub service_account: String,
    /// Its node.
    pub node: String,
    /// Its cluster.
    pub cluster: String,
}

/// What istiod has told. Shared by who talks to it and who compiles.
pub struct Discovery {
    config: DiscoveryConfig,
    state: Mutex<State>,
    changes: watch::Sender<u64>,
}

/// What is said to an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The message: an ACK, or a NACK.
    pub message: Vec<u8>,
    /// What is wrong with the answer; empty for an ACK.
    pub refused: Vec<String>,
}

impl Discovery {
    /// Nothing was told yet.
    pub fn new(config: DiscoveryConfig) -> Arc<Self> {
        let state = State::new(&config.network);
        Arc::new(Self {
            config,
            state: Mutex::new(state),
            changes: watch::Sender::default(),
        })
    }

    /// The first message of a call: who we are, and the versions of what we know.
    pub fn hello(&self) -> Vec<u8> {
        let request = DeltaRequest {
            node: Some(self.node()),
            type_url: ADDRESS.to_owned(),
            initial_resource_versions: self.lock().versions(),
            ..DeltaRequest::default()
        };
        request.encode_to_vec()
    }

    /// Takes an answer in. What cannot be used of it is refused, the rest is in force.
    ///
    /// # Errors
    /// It is no answer at all: the call is of no use.
    pub fn take(&self, answer: &[u8]) -> Result<Said, String> {
        let answer = DeltaResponse::decode(answer).map_err(|error| format!("not a DeltaDiscoveryResponse: {error}"))?;
        let nonce = answer.nonce.clone();
        if answer.type_url != ADDRESS {
            let found = words::shown(&answer.type_url);
            return Ok(said(nonce, vec![format!("expected {ADDRESS}, found {found:?}")]));
        }
        let mut state = self.lock();
        let taken = state.take(answer);
        drop(state);
        if taken.is_changed {
            self.changes.send_modify(|change| *change = change.wrapping_add(1));
        }
        Ok(said(nonce, taken.refused))
    }

    /// The call is over: what was told stays. The reason is told while nothing was told at all.
    pub fn lost(&self, why: &str) {
        let mut state = self.lock();
        let is_news = !state.is_whole && state.trouble.as_deref() != Some(why);
        state.trouble = Some(why.to_owned());
        drop(state);
        if is_news {
            self.changes.send_modify(|change| *change = change.wrapping_add(1));
        }
    }

    /// Services and workloads that are known.
    pub fn count(&self) -> usize {
        self.lock().count()
    }

    /// Whether istiod has told all there is, once.
    pub(crate) fn is_whole(&self) -> bool {
        self.lock().is_whole
    }

    /// Puts what was told in place of the objects that it stands for.
    pub(crate) fn merge(&self, resources: &mut Resources) {
        self.lock().merge(resources);
        resources.unread.extend(self.waiting());
    }

    /// Namespaces with something that has this waypoint; `None`: any of the namespace.
    pub(crate) fn served(&self, namespace: &str, waypoint: Option<&str>) -> BTreeSet<Arc<str>> {
        self.lock().served(namespace, waypoint)
    }

    /// Why nothing can be in force yet. It is about everything: the process is not ready before.
    pub(crate) fn waiting(&self) -> Option<Finding> {
        let state = self.lock();
        let why = state.trouble.as_deref().unwrap_or("it was not heard of yet");
        let address = &self.config.address;
        (!state.is_whole).then(|| Finding {
            severity: Severity::Error,
            object: None,
            field: None,
            place: None,
            message: format!("istiod at {address} has not told the Services and workloads: {why}"),
        })
    }

    fn node(&self) -> Node {
        let config = &self.config;
        let ip = config.ip.map_or("127.0.0.1".to_owned(), |ip| ip.to_string());
        let (pod, namespace) = (&config.pod, &config.namespace);
        let metadata = [
            ("NAME", pod),
            ("NAMESPACE", namespace),
            ("SERVICE_ACCOUNT", &config.service_account),
            ("INSTANCE_IPS", &ip),
            ("NODE_NAME", &config.node),
            ("CLUSTER_ID", &config.cluster),
            ("NETWORK", &config.network),
        ];
        let told = metadata.into_iter().filter(|(_, value)| !value.is_empty());
        let fields = told.map(|(key, value)| {
            let text = Text {
                text: Some(value.clone()),
            };
            (key.to_owned(), text)
        });
        Node {
            id: format!("waypoint~{ip}~{pod}.{namespace}~{namespace}.svc.cluster.local"),
            metadata: Some(Struct {
                fields: fields.collect::<BTreeMap<_, _>>(),
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Discovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Discovery").finish_non_exhaustive()
    }
}

fn said(nonce: String, refused: Vec<String>) -> Said {
    let mut message = refused.join("; ");
    if message.len() > MAX_DETAIL_BYTES {
        let end = (0..=MAX_DETAIL_BYTES).rev().find(|end| message.is_char_boundary(*end));
        message.truncate(end.unwrap_or(0));
    }
    let request = DeltaRequest {
        type_url: ADDRESS.to_owned(),
        response_nonce: nonce,
        error_detail: (!refused.is_empty()).then_some(Status {
            code: INVALID_ARGUMENT,
            message,
        }),
        ..DeltaRequest::default()
    };
    Said {
        message: request.encode_to_vec(),
        refused,
    }
}

#[cfg(test)]
mod tests;
