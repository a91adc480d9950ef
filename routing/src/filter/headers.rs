//! RequestHeaderModifier and ResponseHeaderModifier.

use http::header::HOST;
use http::{HeaderMap, HeaderName, HeaderValue};

/// `set`, `add`, `remove`, exactly as written; names and values pre-built.
#[derive(Clone, Debug, Default)]
pub struct HeaderModifier {
    /// Overwrites: one field of that name is left.
    pub set: Vec<(HeaderName, HeaderValue)>,
    /// Appends a field, which readers join to the others with `,`.
    pub add: Vec<(HeaderName, HeaderValue)>,
    /// Removes all fields of that name.
    pub remove: Vec<HeaderName>,
}

impl HeaderModifier {
    /// Applies remove, then set, then add: the order of Envoy, which shows only where one name is in two lists.
    ///
    /// `Host` is left alone: see [`HeaderModifier::host`].
    pub fn apply(&self, headers: &mut HeaderMap) {
        for name in self.remove.iter().filter(|name| **name != HOST) {
            headers.remove(name);
        }
        for (name, value) in self.set.iter().filter(|(name, _)| *name != HOST) {
            headers.insert(name.clone(), value.clone());
        }
        for (name, value) in self.add.iter().filter(|(name, _)| *name != HOST) {
            headers.append(name.clone(), value.clone());
        }
    }

    /// The Host (or `:authority`) that is to go upstream, when `set` or `add` names it. It cannot be removed, nor be
    /// there twice. Istio treats both lists alike here.
    pub fn host(&self) -> Option<&HeaderValue> {
        self.set
            .iter()
            .chain(&self.add)
            .find(|(name, _)| *name == HOST)
            .map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests;
