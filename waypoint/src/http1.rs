//! HTTP/1 on both sides of the loop: a strict codec over `httparse`, driven by polling.
//!
//! It exists because the proxy must see trailers, pipelined bytes and both directions of one connection at once,
//! and because a request that two readers could frame differently must be refused before anything else looks at
//! it (request smuggling). [`ServerConn`] reads requests and writes responses, [`ClientConn`] the other way round;
//! each is one struct around one stream, with no lock, no split and no task of its own: reading and writing are
//! polled independently from the task that owns it.
//!
//! It is not: a judge of Host and authority (`request::Head::parse` is), a keeper of time (the loop has the
//! deadlines), nor a pool.
//!
//! Start reading at [`ServerConn`]; what is refused is in `head` and `body`.

mod body;
mod client;
mod encode;
mod error;
mod facts;
mod head;
mod hop;
mod inbound;
mod limits;
mod lines;
mod outbound;
#[cfg(test)]
mod script;
mod server;

pub use client::ClientConn;
pub use encode::strip_trailers;
pub use error::{BodyError, HeadError};
pub use hop::strip_hop_by_hop;
pub use limits::Limits;
pub use server::ServerConn;

use bytes::Bytes;
use http::HeaderMap;

/// A piece of a message body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Body bytes, never empty. Chunk boundaries mean nothing and are not kept.
    Data(Bytes),
    /// The trailer section, never empty; nothing but the end follows.
    Trailers(HeaderMap),
}

/// How the end of a body is told (RFC 9112 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is no body, nor a header that announces one.
    None,
    /// `Content-Length`: that many bytes.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// The closing of the connection ends it; responses only.
    UntilClose,
}
