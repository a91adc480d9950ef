//! Why the demo could not be shown to its end. What it showed and found wrong is in `checks.rs`.

use std::io;

#[derive(Debug, thiserror::Error)]
pub(super) enum DemoError {
    /// An operation of the system.
    #[error("{doing}: {source}")]
    Io { doing: String, source: io::Error },
    /// Making or reading a certificate.
    #[error("certificates: {0}")]
    Certificates(String),
    /// The manifests built into the binary are not what the demo expects: a fault of the build, not of the user.
    #[error("the demo's manifests: {0}")]
    Manifests(String),
    /// The child process.
    #[error("the waypoint: {0}")]
    Waypoint(String),
    /// One request of the tour that must be answered was not.
    #[error("GET {path}: {why}")]
    Request { path: String, why: String },
    /// Ctrl-C, SIGTERM or SIGHUP.
    #[error("interrupted")]
    Interrupted,
}

/// Says what was being done when an operation failed.
pub(super) fn doing(what: impl Into<String>) -> impl FnOnce(io::Error) -> DemoError {
    let doing = what.into();
    move |source| DemoError::Io { doing, source }
}
