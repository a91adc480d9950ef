//! The gateway of another network: what stands behind it is reached by a tunnel inside a tunnel.

use request::SpiffeId;

/// Through whom an endpoint is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkGateway {
    /// Who it must be.
    pub identity: SpiffeId,
    /// `host:port` of the Service: both tunnels ask for it, as the gateway knows no addresses of ours.
    pub authority: Box<str>,
    /// Who may end the inner tunnel.
    pub beyond: Box<[SpiffeId]>,
    /// The network that we are on; may be empty.
    pub network: Box<str>,
}
