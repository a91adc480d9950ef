//! Readiness and metrics over HTTP, for probes and scrapes: small answers to few who ask.

use super::StartError;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use telemetry::{ControllerMetrics, Format};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::sleep;

/// Connections at once, on each listener; others wait.
const CONNECTIONS: usize = 64;
/// A request's head comes within this time.
const HEAD: Duration = Duration::from_secs(10);
/// After an accept that failed, for want of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// What is shown.
#[derive(Clone)]
pub(super) struct Pages {
    metrics: Arc<ControllerMetrics>,
    ready: Arc<AtomicBool>,
}

impl Pages {
    pub(super) fn new(metrics: Arc<ControllerMetrics>) -> Self {
        Self {
            metrics,
            ready: Arc::default(),
        }
    }

    /// All was read once.
    pub(super) fn set_ready(&self) {
        if !self.ready.swap(true, Ordering::AcqRel) {
            // Nobody may be reading.
            let _ = std::io::Write::write_all(&mut std::io::stdout(), b"ready\n");
        }
    }

    /// Serves both pages on `address`; gives the real one.
    pub(super) async fn listen(&self, listener: &'static str, address: SocketAddr) -> Result<SocketAddr, StartError> {
        let failed = |error| StartError::Bind {
            listener,
            address,
            error,
        };
        let bound = TcpListener::bind(address).await.map_err(failed)?;
        let real = bound.local_addr().map_err(failed)?;
        tokio::spawn(self.clone().serve(bound));
        Ok(real)
    }

    async fn serve(self, listener: TcpListener) {
        let room = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
                return;
            };
            let Ok((socket, _)) = listener.accept().await else {
                sleep(PAUSE).await;
                continue;
            };
            let pages = self.clone();
            tokio::spawn(async move {
                pages.connection(socket).await;
                drop(permit);
            });
        }
    }

    async fn connection(self, socket: TcpStream) {
        let mut server = http1::Builder::new();
        server.timer(TokioTimer::new()).header_read_timeout(HEAD);
        let answer = service_fn(|request: Request<Incoming>| {
            let answer = self.answer(request.uri().path());
            async move { Ok::<_, Infallible>(answer) }
        });
        // A probe that goes away is its own business.
        let _ = server.serve_connection(TokioIo::new(socket), answer).await;
    }

    fn answer(&self, path: &str) -> Response<Full<Bytes>> {
        let (status, text) = match path {
            "/healthz/ready" if self.ready.load(Ordering::Acquire) => (StatusCode::OK, "ready\n".to_owned()),
            "/healthz/ready" => (
                StatusCode::SERVICE_UNAVAILABLE,
                "not everything was read yet\n".to_owned(),
            ),
            "/stats/prometheus" | "/metrics" => (StatusCode::OK, self.metrics.text()),
            _ => (
                StatusCode::NOT_FOUND,
                "readiness is at /healthz/ready, metrics are at /stats/prometheus\n".to_owned(),
            ),
        };
        let mut answer = Response::new(Full::from(text));
        *answer.status_mut() = status;
        let content_type = http::HeaderValue::from_static(Format::Text.content_type());
        answer.headers_mut().insert(http::header::CONTENT_TYPE, content_type);
        answer
    }
}
