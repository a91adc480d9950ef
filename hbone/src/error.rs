//! What can go wrong with a tunnel: each variant is one thing an operator can act on.

/// Why a tunnel could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// TCP connect failed or timed out.
    #[error("connect to {address}: {source}")]
    Connect {
        /// Where to.
        address: std::net::SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// TLS handshake failed or timed out; the peer is not who it should be.
    #[error("TLS with {address}: {reason}")]
    Tls {
        /// Where to.
        address: std::net::SocketAddr,
        /// Why.
        reason: String,
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
    /// Handshake or preface took too long.
    #[error("{0} took too long")]
    Timeout(&'static str),
    /// The client's certificate is missing, or its SPIFFE id is not acceptable.
    #[error("peer identity: {0}")]
    Peer(String),
    /// HTTP/2 ended with an error.
    #[error("HTTP/2: {0}")]
    H2(#[from] h2::Error),
}

/// What is wrong with a certificate folder.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {reason}")]
pub struct CertError {
    /// File.
    pub file: String,
    /// What was expected and what was found.
    pub reason: String,
}
