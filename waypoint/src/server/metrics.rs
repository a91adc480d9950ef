//! 15020 `/stats/prometheus`: rendered by a thread of its own, sent as it is rendered.
//!
//! A scrape of thousands of label sets is hundreds of megabytes of text. It is never whole in memory, no worker renders
//! it, and a scraper that does not read holds two chunks and one thread until its time is over.

use crate::proxy::Node;
use async_trait::async_trait;
use bytes::Bytes;
use http::{StatusCode, header};
use pingora_core::apps::{HttpPersistentSettings, HttpServerApp, ReusedHttpStream};
use pingora_core::protocols::http::ServerSession;
use pingora_core::server::ShutdownWatch;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use telemetry::Format;
use tokio::sync::{Semaphore, mpsc};

/// Bytes rendered before they are sent.
const CHUNK_BYTES: usize = 64 * 1024;
/// Chunks that wait to be sent at most.
const CHUNKS: usize = 2;
/// Scrapes that are rendered at once; others wait.
const SCRAPES: usize = 2;
/// A scrape that takes longer is given up. Prometheus' own default limit is 10 s.
const LONGEST_SCRAPE: Duration = Duration::from_secs(60);
/// Idle connections of scrapers are kept so long, in seconds: longer than the usual interval of 15 or 30.
const KEEP_ALIVE_SECONDS: u64 = 65;

/// The listener's app.
pub(crate) struct Metrics {
    node: Arc<Node>,
    scrapes: Semaphore,
}

impl Metrics {
    pub(crate) fn new(node: Arc<Node>) -> Self {
        Self {
            node,
            scrapes: Semaphore::new(SCRAPES),
        }
    }

    async fn answer(&self, session: &mut ServerSession) -> pingora_core::Result<()> {
        let request = session.req_header();
        if !matches!(request.uri.path(), "/stats/prometheus" | "/metrics") {
            let text = "metrics are at /stats/prometheus\n";
            head(
                session,
                StatusCode::NOT_FOUND,
                "text/plain; charset=utf-8",
                Some(text.len()),
            )
            .await?;
            return session
                .write_response_body(Bytes::from_static(text.as_bytes()), true)
                .await;
        }
        let accept = request
            .headers
            .get(header::ACCEPT)
            .and_then(|accept| accept.to_str().ok());
        let format = Format::accepted(accept.unwrap_or_default());
        let is_head = request.method == http::Method::HEAD;
        head(session, StatusCode::OK, format.content_type(), None).await?;
        if is_head {
            return Ok(());
        }
        let _one = self.scrapes.acquire().await;
        let mut chunks = render(Arc::clone(&self.node), format);
        while let Some(chunk) = chunks.recv().await {
            session.write_response_body(chunk, false).await?;
        }
        session.write_response_body(Bytes::new(), true).await
    }
}

#[async_trait]
impl HttpServerApp for Metrics {
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        if !session.read_request().await.ok()? {
            return None;
        }
        session.set_keepalive((!*shutdown.borrow()).then_some(KEEP_ALIVE_SECONDS));
        let answered = tokio::time::timeout(LONGEST_SCRAPE, self.answer(&mut session)).await;
        if let Err(error) = answered.ok()? {
            tracing::debug!(%error, "a scrape broke off");
            return None;
        }
        let settings = HttpPersistentSettings::for_session(&session);
        let reusable = session.finish().await.ok()??;
        Some(ReusedHttpStream::from_reusable_stream(reusable, settings))
    }
}

/// Without a length the body is chunked.
async fn head(
    session: &mut ServerSession,
    status: StatusCode,
    content_type: &'static str,
    length: Option<usize>,
) -> pingora_core::Result<()> {
    let mut response = http::Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, content_type);
    response = match length {
        Some(length) => response.header(header::CONTENT_LENGTH, length),
        None => response.header(header::TRANSFER_ENCODING, "chunked"),
    };
    // Never fails: names and values are constants and a number.
    let (parts, ()) = response.body(()).unwrap_or_default().into_parts();
    session.write_response_header(Box::new(parts.into())).await
}

/// Renders on a blocking thread, which waits where the scraper is slow and ends when it has gone.
fn render(node: Arc<Node>, format: Format) -> mpsc::Receiver<Bytes> {
    let (sender, chunks) = mpsc::channel(CHUNKS);
    tokio::task::spawn_blocking(move || {
        node.metrics.own.draining.set(node.drain.is_started().into());
        let mut out = Chunked {
            text: String::with_capacity(CHUNK_BYTES + 4096),
            sender,
        };
        // An error: nobody reads any more.
        if node.metrics.encode_to(&mut out, format).is_ok() {
            let _ = out.send();
        }
    });
    chunks
}

struct Chunked {
    text: String,
    sender: mpsc::Sender<Bytes>,
}

impl Chunked {
    fn send(&mut self) -> fmt::Result {
        let chunk = Bytes::copy_from_slice(self.text.as_bytes());
        self.text.clear();
        if chunk.is_empty() {
            return Ok(());
        }
        self.sender.blocking_send(chunk).map_err(|_| fmt::Error)
    }
}

impl fmt::Write for Chunked {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.text.push_str(text);
        if self.text.len() >= CHUNK_BYTES {
            self.send()
        } else {
            Ok(())
        }
    }
}
