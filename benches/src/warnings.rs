//! What the libraries below complain of, on standard error: a CA that does not answer, files that cannot be used.

use tracing_subscriber::EnvFilter;

/// Without `RUST_LOG`. h2 warns of what peers do at their leisure.
const DEFAULT: &str = "warn,h2=error";

/// From now on it is told.
pub(crate) fn show() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter);
    // A second time changes nothing.
    let _ = subscriber.with_writer(std::io::stderr).with_ansi(false).try_init();
}
