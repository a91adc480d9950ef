//! The application: answers every request with the same bytes, HTTP/1.1 or HTTP/2 (gRPC too) by what comes; or gives back
//! the bytes that came.

use crate::http1::Messages;
use crate::http2::{WINDOW_BYTES, drain, send};
use crate::load::{body, message};
use crate::wire::Wire;
use bytes::{Bytes, BytesMut};
use h2::server::SendResponse;
use http::{HeaderMap, HeaderValue, Request, Response};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The first bytes of HTTP/2.
const PREFACE: &[u8] = b"PRI ";

/// The application.
#[derive(Clone)]
pub(crate) struct Echo {
    http1: Bytes,
    body: Bytes,
    answered: Arc<AtomicU64>,
}

impl Echo {
    /// Its answers have bodies of this length.
    pub(crate) fn new(body_bytes: usize) -> Self {
        let body = body(body_bytes);
        let mut http1 = BytesMut::from(
            format!(
                "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nserver: echo\r\ndate: Thu, 01 Jan 2026 00:00:00 GMT\r\n\
                 content-length: {body_bytes}\r\n\r\n"
            )
            .as_bytes(),
        );
        http1.extend_from_slice(&body);
        Self {
            http1: http1.freeze(),
            body,
            answered: Arc::default(),
        }
    }

    /// Requests answered so far.
    pub(crate) fn answered(&self) -> u64 {
        self.answered.load(Relaxed)
    }

    /// Serves HTTP until either side ends.
    pub(crate) async fn serve_http(self, mut wire: Wire) {
        let mut first = BytesMut::new();
        while first.len() < PREFACE.len() {
            let Ok(Some(chunk)) = wire.receive().await else { return };
            first.extend_from_slice(&chunk);
        }
        let is_http2 = first.starts_with(PREFACE);
        wire.put_back(first.freeze());
        if is_http2 {
            self.serve_http2(wire).await;
        } else {
            self.serve_http1(wire).await;
        }
    }

    /// Gives back what comes, until either side ends.
    pub(crate) async fn serve_bytes(self, mut wire: Wire) {
        while let Ok(Some(chunk)) = wire.receive().await {
            self.answered.fetch_add(1, Relaxed);
            if wire.send(chunk).await.is_err() {
                return;
            }
        }
    }

    async fn serve_http1(self, mut wire: Wire) {
        let mut messages = Messages::requests();
        while let Ok(Some(mut chunk)) = wire.receive().await {
            loop {
                match messages.take(&mut chunk) {
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(why) => {
                        eprintln!("destination: {why}");
                        return;
                    }
                }
                self.answered.fetch_add(1, Relaxed);
                if wire.send(self.http1.clone()).await.is_err() {
                    return;
                }
            }
        }
    }

    async fn serve_http2(self, wire: Wire) {
        let mut builder = h2::server::Builder::new();
        builder
            .initial_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES.saturating_mul(4));
        let Ok(mut connection) = builder.handshake(wire).await else {
            return;
        };
        while let Some(Ok((request, respond))) = connection.accept().await {
            let echo = self.clone();
            // A stream that was reset needs no answer.
            tokio::spawn(async move { drop(echo.answer(request, respond).await) });
        }
    }

    async fn answer(
        &self,
        request: Request<h2::RecvStream>,
        mut respond: SendResponse<Bytes>,
    ) -> Result<(), h2::Error> {
        let (head, mut body) = request.into_parts();
        drain(&mut body).await?;
        self.answered.fetch_add(1, Relaxed);
        let kind = head.headers.get("content-type");
        let is_grpc = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
        let mut response = Response::new(());
        let kind = if is_grpc { "application/grpc" } else { "text/plain" };
        response
            .headers_mut()
            .insert("content-type", HeaderValue::from_static(kind));
        if is_grpc {
            let mut stream = respond.send_response(response, false)?;
            send(&mut stream, message(&self.body), false).await?;
            let status = (
                http::HeaderName::from_static("grpc-status"),
                HeaderValue::from_static("0"),
            );
            return stream.send_trailers(HeaderMap::from_iter([status]));
        }
        let mut stream = respond.send_response(response, self.body.is_empty())?;
        send(&mut stream, self.body.clone(), true).await
    }
}
