//! From what the config says of TLS to what speaks it.

use hbone::{OriginationConfig, OriginationError, Originator, Roots, San};
use routing::{TlsRoots, TlsSan, TlsSettings};

/// What speaks TLS by these settings.
///
/// # Errors
/// Certificates or key are not what they should be: nothing is sent to such an endpoint.
pub(super) fn build(settings: &TlsSettings) -> Result<Originator, OriginationError> {
    let names = settings.sans.iter().map(|san| match san {
        TlsSan::Dns(name) => San::Dns(name.to_string()),
        TlsSan::Uri(uri) => San::Uri(uri.to_string()),
    });
    let built = Originator::new(&OriginationConfig {
        roots: match &settings.roots {
            TlsRoots::System => Roots::System,
            TlsRoots::Pem(pem) => Roots::Pem(pem),
        },
        names: names.collect(),
        identity: settings.identity.as_ref().map(|own| (&*own.chain, &*own.key)),
        is_verified: settings.is_verified,
    });
    if let Err(error) = &built {
        tracing::error!(target: "waypoint::config", "TLS towards endpoints: {error}: nothing is sent to them");
    }
    built
}
