//! Listeners that are bound before the server starts: a port that is taken is an error at once, port 0 is told by
//! its real number, and a new binary takes the descriptors over instead of binding.

use async_trait::async_trait;
use pingora_core::apps::ServerApp;
use pingora_core::listeners::ListenerConfig;
use pingora_core::protocols::l4::stream::L4BufferSettings;
use pingora_core::server::{ListenFds, ShutdownWatch};
use pingora_core::services::Service as PingoraService;
use pingora_core::services::listening::Service;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::IntoRawFd;
use tokio::sync::watch;

/// An address, bound or to be taken over.
#[derive(Debug)]
pub(crate) struct Bound {
    address: SocketAddr,
    listener: Option<TcpListener>,
}

impl Bound {
    /// Binds `address`.
    pub(crate) fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = socket2::Socket::new(
            socket2::Domain::for_address(address),
            socket2::Type::STREAM,
            Some(socket2::Protocol::TCP),
        )?;
        if address.is_ipv6() {
            // `[::]` serves IPv4 too, as Istio's listeners do.
            socket.set_only_v6(false)?;
        }
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(1024)?;
        let listener: TcpListener = socket.into();
        Ok(Self {
            address: listener.local_addr()?,
            listener: Some(listener),
        })
    }

    /// Takes `address` over from the process that hands its descriptors on.
    pub(crate) fn inherit(address: SocketAddr) -> Self {
        Self {
            address,
            listener: None,
        }
    }

    /// The real address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

/// A Pingora service on a [`Bound`] address. `stop` ends its listening apart from the server's own shutdown.
pub(crate) struct BoundService<A> {
    inner: Service<A>,
    bound: Bound,
    stop: watch::Receiver<bool>,
}

impl<A: ServerApp + Send + Sync + 'static> BoundService<A> {
    pub(crate) fn new(name: &str, app: A, bound: Bound, threads: usize, stop: watch::Receiver<bool>) -> Self {
        Self::buffered(name, app, bound, threads, stop, L4BufferSettings::default())
    }

    /// For an app that gathers what it reads and writes itself: Pingora's own buffers hold 64 KiB for each connection.
    pub(crate) fn unbuffered(name: &str, app: A, bound: Bound, threads: usize, stop: watch::Receiver<bool>) -> Self {
        Self::buffered(name, app, bound, threads, stop, L4BufferSettings::unbuffered())
    }

    fn buffered(
        name: &str,
        app: A,
        bound: Bound,
        threads: usize,
        stop: watch::Receiver<bool>,
        buffers: L4BufferSettings,
    ) -> Self {
        let mut inner = Service::new(name.to_owned(), app);
        inner.threads = Some(threads);
        inner.add_listener(ListenerConfig::tcp(bound.address.to_string()).l4_buffer(buffers));
        Self { inner, bound, stop }
    }
}

#[async_trait]
impl<A: ServerApp + Send + Sync + 'static> PingoraService for BoundService<A> {
    async fn start_service(&mut self, fds: Option<ListenFds>, mut shutdown: ShutdownWatch, listeners_per_fd: usize) {
        if let (Some(fds), Some(listener)) = (&fds, self.bound.listener.take()) {
            let mut fds = fds.lock();
            let name = self.bound.address.to_string();
            if fds.get(&name).is_none() {
                fds.add(name, listener.into_raw_fd());
            }
        }
        let (end, ended) = watch::channel(false);
        let mut stop = self.stop.clone();
        tokio::spawn(async move {
            let stopped = async { stop.wait_for(|stop| *stop).await.is_ok() };
            let shut_down = async { shutdown.wait_for(|stop| *stop).await.is_ok() };
            // A closed channel means that nobody can say stop any more: the other one decides.
            let heard = tokio::select! {
                heard = stopped => heard,
                heard = shut_down => heard,
            };
            if !heard {
                std::future::pending::<()>().await;
            }
            // Fails only when the service has ended.
            let _ = end.send(true);
        });
        self.inner.start_service(fds, ended, listeners_per_fd).await;
    }

    fn name(&self) -> &str {
        PingoraService::name(&self.inner)
    }

    fn threads(&self) -> Option<usize> {
        PingoraService::threads(&self.inner)
    }

    fn listen_addresses(&self) -> Option<Vec<String>> {
        Some(vec![self.bound.address.to_string()])
    }
}
