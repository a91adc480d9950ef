//! What is known of a tunnel before any byte inside it: the same for every request it carries.

use crate::SpiffeId;
use std::net::IpAddr;

/// One tunnel (or one clear connection): source and destination, as policies see them.
#[derive(Clone, Debug)]
pub struct Connection {
    /// URI SAN of the client certificate of the HBONE connection.
    pub identity: Option<SpiffeId>,
    /// Peer address of the HBONE connection (`source.ip`, ipBlocks).
    pub source_ip: IpAddr,
    /// Address of the CONNECT authority (a VIP or a pod IP), when it is known.
    pub destination_ip: Option<IpAddr>,
    /// Port of the CONNECT authority: the **service** port for service traffic.
    pub destination_port: u16,
    /// SNI of a TLS ClientHello inside the tunnel (TLS pass-through only).
    pub sni: Option<String>,
}

impl Connection {
    /// The namespace of the client, by its identity: chooses consumer routes, and is `source.namespace`.
    pub fn source_namespace(&self) -> Option<&str> {
        self.identity.as_ref().map(SpiffeId::namespace)
    }
}
