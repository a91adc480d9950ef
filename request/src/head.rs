//! The head of a request, refused or parsed.

use crate::{Authority, Connection, Mode, Path};
use http::{HeaderMap, Method};
use std::net::IpAddr;

/// The parts of a request head that had to be parsed. Owned; see [`Request`] for the view.
#[derive(Clone, Debug)]
pub struct Head {
    /// From the absolute form, `:authority` or Host, which must agree.
    pub authority: Authority,
    /// The normalised path.
    pub path: Path,
    /// The query as written, without `?`.
    pub query: Option<Box<str>>,
}

/// Why a head is refused with 400.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bad request: {0}")]
pub struct BadRequest(pub &'static str);

impl Head {
    /// Checks all that makes a request head ambiguous or hostile, and normalises the path.
    ///
    /// Works for HTTP/1.1 (`parts.uri` is the request target as written, Host among the headers) and
    /// HTTP/2 (`:authority` in `parts.uri`).
    pub fn parse(_parts: &http::request::Parts, _mode: Mode) -> Result<Self, BadRequest> {
        todo!()
    }
}

/// A whole request as routing and policy see it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The method.
    pub method: &'a Method,
    /// Authority, path, query.
    pub head: &'a Head,
    /// Headers as received, less what a client may never set.
    pub headers: &'a HeaderMap,
    /// The tunnel it came through.
    pub connection: &'a Connection,
    /// The forwarded client address (right-most X-Forwarded-For), or the peer's.
    pub remote_ip: IpAddr,
}
