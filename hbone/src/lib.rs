//! HBONE: mTLS + HTTP/2 CONNECT tunnels, both ends, and the identities they rest on.
//!
//! It knows nothing of what is spoken inside a tunnel, of routing, or of config resources.
//!
//! Start reading at [`Server::serve`] (tunnels that come in) and [`Pool::dial`] (tunnels that go out).

mod backoff;
mod certs;
mod client_certificate;
mod control_plane;
mod crls;
mod drain;
mod error;
mod grpc;
mod io;
mod lifetime;
mod origination;
mod pool;
mod read_ahead;
mod recheck;
mod server;
mod slots;
mod splice;
mod stream;
#[cfg(test)]
mod testing;
mod tls;
mod trust;

pub use certs::{CertSource, FileCerts, Identity, Istiod, IstiodConfig, SharedCerts, WorkloadApi};
pub use client_certificate::ClientCertificate;
pub use control_plane::{ControlPlane, ControlPlaneConfig, Conversation};
pub use drain::{Drain, DrainGuard, Drained};
pub use error::{CertError, DialError, ServeError};
/// Why a tunnel is reset: see [`TunnelStream::reset`].
pub use h2::Reason;
pub use origination::{Alpn, OriginatedStream, OriginationConfig, OriginationError, Originator, Roots, San};
pub use pool::{Beyond, Destination, Pool, PoolConfig, PoolEvents};
pub use server::{Connect, Server, ServerConfig, ServerEvents};
pub use splice::splice;
pub use stream::TunnelStream;
pub use tls::{crypto_provider, install_crypto_provider};
