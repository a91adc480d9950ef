//! What can go wrong with a tunnel: each variant is one thing an operator can act on.

use request::SpiffeId;
use std::net::SocketAddr;

/// Why a tunnel could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// TCP connect failed or timed out (then the source's kind is `TimedOut`).
    #[error("connect to {address}: {source}")]
    Connect {
        /// Where to.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// TLS or HTTP/2 handshake failed or timed out.
    #[error("TLS with {address}: {reason}")]
    Tls {
        /// Where to.
        address: SocketAddr,
        /// Why.
        reason: String,
    },
    /// The peer has a good certificate, but is not who it should be. Nothing was sent to it.
    #[error("{address} is {found}, expected {expected}")]
    Identity {
        /// Where to.
        address: SocketAddr,
        /// Who should be there.
        expected: SpiffeId,
        /// Who is.
        found: SpiffeId,
    },
    /// The peer answered CONNECT with this status.
    #[error("CONNECT {authority}: answered {status}")]
    Refused {
        /// Target.
        authority: String,
        /// Status.
        status: u16,
    },
    /// The connection broke before CONNECT was answered, or the answer did not come in time.
    #[error("tunnel to {authority}: {reason}")]
    Broken {
        /// Target.
        authority: String,
        /// Why.
        reason: String,
    },
}

/// Why a served connection ended other than by both sides' wish.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The TLS handshake failed.
    #[error("TLS handshake: {0}")]
    Handshake(String),
    /// A handshake, the preface or a PING answer took too long.
    #[error("{0} took too long")]
    Timeout(&'static str),
    /// The client's certificate is missing, or its SPIFFE id is not acceptable.
    #[error("peer identity: {0}")]
    Peer(String),
    /// The client's certificate was revoked while the connection was open.
    #[error("the certificate of {0} was revoked")]
    Revoked(SpiffeId),
    /// HTTP/2 ended with an error.
    #[error("HTTP/2: {0}")]
    H2(#[from] h2::Error),
}

/// What is wrong with a certificate folder.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {reason}")]
pub struct CertError {
    /// File.
    pub file: String,
    /// What was expected and what was found.
    pub reason: String,
}
