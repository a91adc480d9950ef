//! Manifests -> Snapshot: reading Kubernetes objects, resolving what they reference, telling what is wrong.
//!
//! `compile` never fails: bad parts become findings, the rest is served. Nothing here touches the data path; kube
//! types stay inside.
//!
//! Start reading at [`Compiler::compile`], then [`Snapshot`]. The way of a manifest: `yaml` (text to JSON, with places)
//! -> `object` (JSON to one parsed object, by `kinds/*`) -> `resources` (all of them) -> `compile/*` -> `snapshot`.

mod cluster;
mod compile;
mod decode;
mod files;
mod finding;
mod istiod;
mod kinds;
mod object;
mod recent;
mod resources;
mod scope;
mod snapshot;
mod status;
mod yaml;

pub use cluster::{CallError, Cluster, ClusterClient, ClusterConfig, ClusterError, ClusterEvents, Observer};
pub use compile::Compiler;
pub use files::{Files, check};
pub use finding::{Finding, Place, Severity};
pub use istiod::{Discovery, DiscoveryConfig, Said};
pub use resources::Resources;
pub use scope::Scope;
pub use snapshot::{ClientCert, Name, Named, Resolve, ServicePort, Settings, Snapshot, Topology, Wildcard};
pub use status::{Condition, ObjectStatus, ParentStatus, statuses};
pub use yaml::one_document;
