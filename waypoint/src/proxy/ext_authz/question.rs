//! What an authoriser is told.

use super::super::early::Early;
use bytes::Bytes;
use http::{HeaderMap, Method};
use request::{Connection, Head, SpiffeId};
use std::net::SocketAddr;

/// One request, or one TCP connection.
#[derive(Debug)]
pub(crate) struct Question<'q> {
    pub(crate) connection: &'q Connection,
    /// The client's side of the tunnel.
    pub(crate) peer: SocketAddr,
    /// Our own identity: the client speaks to us.
    pub(crate) own: SpiffeId,
    /// `None` for TCP.
    pub(crate) told: Option<Told<'q>>,
}

/// A request, as far as it is told.
#[derive(Debug)]
pub(crate) struct Told<'q> {
    pub(crate) method: &'q Method,
    pub(crate) head: &'q Head,
    pub(crate) headers: &'q HeaderMap,
    pub(crate) http2: bool,
    /// The length of the whole body, where it is known.
    pub(crate) size: Option<u64>,
    pub(crate) early: &'q Early,
}

impl Told<'_> {
    /// Path and query.
    pub(crate) fn target(&self, prefix: &str) -> String {
        let (path, query) = (self.head.path.as_str(), self.head.query.as_deref());
        let query_bytes = query.map_or(0, |query| query.len().saturating_add(1));
        let bytes = prefix.len().saturating_add(path.len()).saturating_add(query_bytes);
        let mut target = String::with_capacity(bytes);
        target.push_str(prefix);
        target.push_str(path);
        if let Some(query) = query {
            target.push('?');
            target.push_str(query);
        }
        target
    }

    /// The beginning of the body, `most` bytes of it at most; and whether that is less than all of it.
    pub(crate) fn body(&self, most: usize) -> (Bytes, bool) {
        let held = self.early.data();
        let part = held.slice(..held.len().min(most));
        let partial = part.len() < held.len() || !self.early.is_whole();
        (part, partial)
    }
}
