//! `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`: who a workload is.

use std::sync::Arc;

/// A SPIFFE id of Istio's form. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SpiffeId {
    text: Arc<str>,
    // byte offsets into `text`
    trust_domain_end: u32,
    namespace_start: u32,
    namespace_end: u32,
    account_start: u32,
}

/// Why a text is no SPIFFE id of Istio's form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bad SPIFFE id: {0}")]
pub struct BadSpiffeId(pub &'static str);

impl SpiffeId {
    /// Parses the whole URI, scheme included.
    pub fn parse(_text: &str) -> Result<Self, BadSpiffeId> {
        todo!()
    }
    /// Builds the id of a workload from its parts.
    pub fn of(_trust_domain: &str, _namespace: &str, _service_account: &str) -> Result<Self, BadSpiffeId> {
        todo!()
    }
    /// The URI, with `spiffe://`.
    pub fn as_str(&self) -> &str {
        &self.text
    }
    /// The id as Istio's policies write it: without `spiffe://`.
    pub fn principal(&self) -> &str {
        todo!()
    }
    /// The trust domain.
    pub fn trust_domain(&self) -> &str {
        todo!()
    }
    /// The namespace.
    pub fn namespace(&self) -> &str {
        todo!()
    }
    /// The service account.
    pub fn service_account(&self) -> &str {
        todo!()
    }
}
