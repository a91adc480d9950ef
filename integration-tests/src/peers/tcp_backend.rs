//! Backends that are not HTTP: an echo, one that speaks first, and one that answers only after a half-close.

use super::echo::Digest;
use std::net::{Ipv4Addr, SocketAddr};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What the backend does with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Every byte comes back; the end too.
    Echo,
    /// Says [`BANNER`] before anything was asked, then echoes.
    ServerFirst,
    /// Reads to the end of input, then answers `<bytes> <digest>` and closes: works only when half-closes pass.
    CountThenAnswer,
}

/// What a server-first backend says.
pub const BANNER: &[u8] = b"220 ready when you are\r\n";

/// A running one. It stops when dropped.
pub struct TcpBackend {
    address: SocketAddr,
    open: watch::Receiver<u64>,
    accept: JoinHandle<()>,
}

impl TcpBackend {
    /// Listens on `ip:port` (0 = any).
    pub async fn start(ip: Ipv4Addr, port: u16, manner: Manner) -> Self {
        let listener = TcpListener::bind((ip, port))
            .await
            .unwrap_or_else(|e| panic!("tcp on {ip}:{port}: {e}"));
        let address = listener.local_addr().unwrap();
        let (count, open) = watch::channel(0);
        let accept = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                socket.set_nodelay(true).ok();
                let count = count.clone();
                count.send_modify(|n| *n += 1);
                connections.spawn(async move {
                    serve(socket, manner).await.ok();
                    count.send_modify(|n| *n -= 1);
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Self { address, open, accept }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until exactly this many connections are open.
    pub async fn until_open(&self, count: u64) {
        let what = format!("{count} open connections at the TCP backend");
        super::waiting::soon(&what, self.open.clone().wait_for(|n| *n == count))
            .await
            .unwrap();
    }
}

impl Drop for TcpBackend {
    fn drop(&mut self) {
        self.accept.abort();
    }
}

async fn serve(mut socket: TcpStream, manner: Manner) -> std::io::Result<()> {
    match manner {
        Manner::ServerFirst => {
            socket.write_all(BANNER).await?;
            echo(socket).await
        }
        Manner::Echo => echo(socket).await,
        Manner::CountThenAnswer => {
            let mut digest = Digest::default();
            let mut buffer = vec![0; 64 * 1024];
            loop {
                let n = socket.read(&mut buffer).await?;
                if n == 0 {
                    break;
                }
                digest.add(&buffer[..n]);
            }
            socket
                .write_all(format!("{} {}", digest.bytes(), digest.hex()).as_bytes())
                .await?;
            socket.shutdown().await
        }
    }
}

async fn echo(mut socket: TcpStream) -> std::io::Result<()> {
    let (mut read, mut write) = socket.split();
    tokio::io::copy(&mut read, &mut write).await?;
    write.shutdown().await
}
