//! The small HTTP pages beside the data path: admin, readiness. (Metrics are streamed: see `metrics`.)

mod api;
mod guard;
mod tap;

use crate::explain;
use crate::logging::Logging;
use crate::proxy::Node;
use async_trait::async_trait;
use bytes::Bytes;
use http::{Response, StatusCode, header};
use pingora_core::apps::http_app::ServeHttp;
use pingora_core::apps::{HttpPersistentSettings, HttpServerApp, ReusedHttpStream};
use pingora_core::protocols::http::ServerSession;
use pingora_core::server::ShutdownWatch;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

/// Idle connections are kept so long.
const KEEP_ALIVE_SECONDS: u64 = 60;
/// A question comes in this time.
const BODY_TIME: Duration = Duration::from_secs(5);

/// 127.0.0.1:15000.
pub(crate) struct Admin {
    pub(crate) node: Arc<Node>,
    pub(crate) logging: Logging,
    /// By name.
    pub(crate) listeners: [(&'static str, SocketAddr); 4],
}

/// 15021 `/healthz/ready`.
pub(crate) struct Readiness {
    pub(crate) node: Arc<Node>,
    /// True once the first config is in force.
    pub(crate) ready: Arc<AtomicBool>,
}

#[async_trait]
impl HttpServerApp for Admin {
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        if !session.read_request().await.ok()? {
            return None;
        }
        session.set_keepalive((!*shutdown.borrow()).then_some(KEEP_ALIVE_SECONDS));
        let answered = match guard::refusal(&session.req_header().headers) {
            Some(why) => write(&mut session, page(StatusCode::FORBIDDEN, TEXT, format!("{why}\n"))).await,
            None if session.req_header().uri.path() == "/tap" => tap::stream(&self.node, &mut session, shutdown).await,
            None => {
                let response = self.response(&mut session).await;
                write(&mut session, response).await
            }
        };
        answered.ok()?;
        let settings = HttpPersistentSettings::for_session(&session);
        let reusable = session.finish().await.ok()??;
        Some(ReusedHttpStream::from_reusable_stream(reusable, settings))
    }
}

/// Sends a whole answer.
async fn write(session: &mut ServerSession, response: Response<Vec<u8>>) -> pingora_core::Result<()> {
    let (parts, body) = response.into_parts();
    session.write_response_header(Box::new(parts.into())).await?;
    session.write_response_body(Bytes::from(body), true).await
}

impl Admin {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let request = session.req_header();
        let post = request.method == http::Method::POST;
        match request.uri.path() {
            "/" if wants_html(&request.headers) => html(),
            "/" => page(StatusCode::OK, TEXT, HELP),
            "/config_dump" => {
                let dump = self.node.snapshot.load().dump(self.node.clock.now_ms());
                page(StatusCode::OK, JSON, format!("{dump:#}\n"))
            }
            "/api/config" => page(StatusCode::OK, JSON, format!("{}\n", api::config(self))),
            "/api/traces" => page(StatusCode::OK, JSON, format!("{}\n", self.node.live.traces())),
            "/api/stats" => page(StatusCode::OK, JSON, format!("{}\n", self.node.live.stats(&self.node))),
            "/explain" => self.explain(session).await,
            "/logging" => self.set_logging(request.uri.query().unwrap_or_default(), post),
            "/stats/prometheus" => page(
                StatusCode::OK,
                telemetry::Format::Text.content_type(),
                metrics(&self.node),
            ),
            _ => page(StatusCode::NOT_FOUND, TEXT, format!("no such page\n\n{HELP}")),
        }
    }
}

const HELP: &str = "waypoint admin (open it in a browser for the page)\n\n\
    GET  /config_dump           the config in force, as JSON\n\
    GET  /api/config            the same with findings, our certificate and listeners\n\
    GET  /api/stats             requests by rule, backend, client and Service; denials by policy\n\
    GET  /api/traces            the last requests that were traced or failed, with their tries\n\
    GET  /tap?FILTERS           finished requests as they come, a line of JSON each: service, route, status, flag,\n\
    \x20                             method, source, path, minMs, sample, limit\n\
    POST /explain               what would become of a request, and why: {\"request\": \"GET http://reviews:9080/x\",\n\
    \x20                             \"from\": \"namespace/serviceAccount\", \"headers\": [[\"name\", \"value\"]]}\n\
    GET  /logging               the log filter in force\n\
    POST /logging?level=FILTER  sets it: debug, or waypoint::proxy=debug,hbone=info\n\
    GET  /stats/prometheus      metrics (also on the metrics port)\n";

impl Admin {
    async fn explain(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        if session.req_header().method != http::Method::POST {
            return page(
                StatusCode::METHOD_NOT_ALLOWED,
                TEXT,
                "use POST with a question as JSON\n",
            );
        }
        let body = match body(session, explain::question::MOST_BYTES).await {
            Ok(body) => body,
            Err(status) => return page(status, TEXT, "the question could not be read\n"),
        };
        match explain::answer(&self.node, &body) {
            Ok(text) => page(StatusCode::OK, JSON, text + "\n"),
            Err(why) => page(StatusCode::BAD_REQUEST, TEXT, format!("{why}\n")),
        }
    }

    fn set_logging(&self, query: &str, post: bool) -> Response<Vec<u8>> {
        let level = query.split('&').find_map(|pair| pair.strip_prefix("level="));
        match (level, post) {
            (None, _) => page(StatusCode::OK, TEXT, format!("{}\n", self.logging.current())),
            (Some(_), false) => page(StatusCode::METHOD_NOT_ALLOWED, TEXT, "use POST to set the filter\n"),
            (Some(level), true) => match self.logging.set(&level.replace("%2C", ",").replace("%3D", "=")) {
                Ok(()) => page(StatusCode::OK, TEXT, format!("{}\n", self.logging.current())),
                Err(why) => page(StatusCode::BAD_REQUEST, TEXT, format!("not a log filter: {why}\n")),
            },
        }
    }
}

#[async_trait]
impl ServeHttp for Readiness {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        if session.req_header().uri.path() != "/healthz/ready" {
            return page(StatusCode::NOT_FOUND, TEXT, "readiness is at /healthz/ready\n");
        }
        if self.node.drain.is_started() {
            return page(StatusCode::SERVICE_UNAVAILABLE, TEXT, "draining\n");
        }
        if !self.ready.load(Ordering::Acquire) {
            return page(
                StatusCode::SERVICE_UNAVAILABLE,
                TEXT,
                "waiting for the first config and key sets\n",
            );
        }
        page(StatusCode::OK, TEXT, "ready\n")
    }
}

/// A browser asks, not curl.
fn wants_html(headers: &http::HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

/// The page for browsers: one file, which loads nothing but the answers of this very port.
fn html() -> Response<Vec<u8>> {
    const PAGE: &str = include_str!("admin/page.html");
    const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; \
        connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    let mut response = page(StatusCode::OK, "text/html; charset=utf-8", PAGE);
    let policy = http::HeaderValue::from_static(POLICY);
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}

/// The body of a request, if it is not longer than `most` bytes and comes within a few seconds.
async fn body(session: &mut ServerSession, most: usize) -> Result<Vec<u8>, StatusCode> {
    let reading = async {
        let mut held = Vec::new();
        while let Some(piece) = session.read_request_body().await.map_err(|_| StatusCode::BAD_REQUEST)? {
            if held.len().saturating_add(piece.len()) > most {
                return Err(StatusCode::PAYLOAD_TOO_LARGE);
            }
            held.extend_from_slice(&piece);
        }
        Ok(held)
    };
    tokio::time::timeout(BODY_TIME, reading)
        .await
        .unwrap_or(Err(StatusCode::REQUEST_TIMEOUT))
}

fn metrics(node: &Node) -> String {
    node.metrics.own.draining.set(node.drain.is_started().into());
    node.metrics.encode()
}

fn page(status: StatusCode, content_type: &'static str, body: impl Into<String>) -> Response<Vec<u8>> {
    let body = body.into().into_bytes();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let length = http::HeaderValue::from(response.body().len());
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    response.headers_mut().insert(header::CONTENT_LENGTH, length);
    response
}
