//! Manifests -> Snapshot: reading Kubernetes objects, resolving what they reference, telling what is wrong.
//!
//! `compile` never fails: bad parts become findings, the rest is served. Nothing here touches the data path; kube
//! types stay inside.
//!
//! Start reading at [`compile`], then [`Snapshot`].

mod compile;
mod files;
mod finding;
mod scope;
mod snapshot;

pub use compile::{Compiler, Resources};
pub use files::{Files, check};
pub use finding::{Finding, Place, Severity};
pub use scope::Scope;
pub use snapshot::{ServicePort, Settings, Snapshot};
