//! `directResponse` of a VirtualService: an answer that needs no backend.

use bytes::Bytes;

/// HTTPDirectResponse, ready to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectResponse {
    /// `status`, from 200 to 599.
    pub status: u16,
    /// `body`, at most [`DirectResponse::MAX_BODY_BYTES`].
    pub body: Bytes,
}

impl DirectResponse {
    /// Istio's own limit.
    pub const MAX_BODY_BYTES: usize = 1024 * 1024;
}
