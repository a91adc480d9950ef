//! JWKS, parsed, and the collection that the fetcher publishes.

use std::collections::HashMap;
use std::sync::Arc;

/// One JWKS, parsed into verification keys.
#[derive(Debug)]
pub struct KeySet {
    _private: (),
}

impl KeySet {
    /// Parses a JWKS document of at most 1 MiB.
    ///
    /// # Errors
    /// What was expected and what was found.
    pub fn parse(_json: &str) -> Result<Self, String> {
        todo!()
    }
}

/// Fetched key sets by source (a JWKS URI). Inline ones live in [`crate::Authn`]. Immutable: a new one is published
/// when a fetch succeeds; `generation` changes then, which empties token caches.
#[derive(Clone, Debug, Default)]
pub struct KeySets {
    /// By source.
    pub sets: HashMap<Arc<str>, Arc<KeySet>>,
    /// Changes with every publication.
    pub generation: u64,
}
