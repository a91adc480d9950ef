//! A backend that answers with exact bytes: 1xx responses, odd framing, an answer before its request has ended.

use super::raw_http::RawHttp;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A running script. It stops when dropped.
pub struct Scripted {
    address: SocketAddr,
    accept: JoinHandle<()>,
}

impl Scripted {
    /// Listens on `ip:port` (0 = any); every connection is handed to `script`.
    pub async fn start<F, Fut>(ip: Ipv4Addr, port: u16, script: F) -> Self
    where
        F: Fn(RawHttp<TcpStream>) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind((ip, port))
            .await
            .unwrap_or_else(|e| panic!("script on {ip}:{port}: {e}"));
        let address = listener.local_addr().unwrap();
        let accept = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                socket.set_nodelay(true).ok();
                connections.spawn(script(RawHttp::new(socket)));
                while connections.try_join_next().is_some() {}
            }
        });
        Self { address, accept }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.accept.abort();
    }
}
