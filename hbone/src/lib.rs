//! HBONE: mTLS + HTTP/2 CONNECT tunnels, both ends, and the identities they rest on.
//!
//! It knows nothing of what is spoken inside a tunnel, of routing, or of config resources.
//!
//! Start reading at [`Server::serve`] (tunnels that come in) and [`Pool::dial`] (tunnels that go out).

mod certs;
mod drain;
mod error;
mod io;
mod pool;
mod server;
mod stream;
mod tls;

pub use certs::{CertSource, FileCerts, Identity};
pub use drain::{Drain, DrainGuard, Drained};
pub use error::{DialError, ServeError};
pub use pool::{Destination, Pool, PoolConfig, PoolEvents};
pub use server::{Connect, Server, ServerConfig, ServerEvents};
pub use stream::TunnelStream;
pub use tls::install_crypto_provider;
