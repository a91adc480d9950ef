//! What can be wrong with a message, in the words the loop needs to answer it.

use std::io;

/// Why a head could not be had. The connection is of no further use: answer if there is something to answer, then close.
#[derive(Debug, thiserror::Error)]
pub enum HeadError {
    /// Not HTTP/1, or ambiguous: answer 400 (502 when it came from upstream).
    #[error("malformed head: {0}")]
    Malformed(&'static str),
    /// More bytes or more fields than the limits allow: answer 431.
    #[error("head too large: {0}")]
    TooLarge(&'static str),
    /// The request line alone is over the limit: answer 414.
    #[error("request target too long")]
    UriTooLong,
    /// Neither HTTP/1.0 nor HTTP/1.1: answer 505.
    #[error("unsupported protocol version")]
    Version,
    /// A transfer coding or method form that is not served: answer 501.
    #[error("not implemented: {0}")]
    NotImplemented(&'static str),
    /// The peer closed inside a head, or (upstream) before one.
    #[error("connection closed before the head was complete")]
    Eof,
    /// The transport failed.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Why a body could not be read to its end. Never to be passed on as a clean end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// Broken chunking or trailers: answer 400 if no response has begun.
    #[error("malformed body: {0}")]
    Malformed(&'static str),
    /// Trailers or chunk extensions over the limits: 431.
    #[error("body framing too large: {0}")]
    TooLarge(&'static str),
    /// The peer closed before the body was complete.
    #[error("connection closed before the body was complete")]
    Eof,
    /// The transport failed.
    #[error("{0}")]
    Io(#[from] io::Error),
}
