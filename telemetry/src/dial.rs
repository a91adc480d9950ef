//! How collectors are reached. The process gives the way: what is a Service of the mesh is reached as backends are, and
//! only `hbone` speaks TLS.

use std::fmt::Debug;
use std::future::Future;
use std::io;
use std::pin::Pin;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// Where a collector is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectorAddress {
    /// A host name or an IP address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Inside TLS.
    pub tls: bool,
    /// HTTP/2 is spoken, else HTTP/1.1.
    pub http2: bool,
}

/// A connection.
pub trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// A dial on its way.
pub type Dialling<'d> = Pin<Box<dyn Future<Output = io::Result<Box<dyn Wire>>> + Send + 'd>>;

/// Opens connections to collectors.
pub trait Dial: Debug + Send + Sync {
    /// Opens one. Its time is bounded by the caller.
    fn dial(&self, to: CollectorAddress) -> Dialling<'_>;
}

/// In clear, by the system's resolver.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClearDial;

impl Dial for ClearDial {
    fn dial(&self, to: CollectorAddress) -> Dialling<'_> {
        Box::pin(async move {
            if to.tls {
                return Err(io::Error::new(io::ErrorKind::Unsupported, "no TLS here"));
            }
            let stream = TcpStream::connect((to.host.as_str(), to.port)).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn Wire>)
        })
    }
}
