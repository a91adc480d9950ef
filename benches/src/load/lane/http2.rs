//! One of the streams of an inner HTTP/2 connection, for gRPC too.

use super::Answer;
use crate::http2::{PREFIX_BYTES, WINDOW_BYTES, drain, send};
use crate::load::ask::{Ask, Good, Protocol};
use crate::wire::Wire;
use bytes::Bytes;
use h2::client::SendRequest;
use http::HeaderMap;
use std::future::poll_fn;
use std::sync::Arc;
use tokio::sync::Mutex;

/// A lane on the connection, which ends when its last lane does.
#[derive(Clone)]
pub(super) struct Http2 {
    send: SendRequest<Bytes>,
    /// Which of its lanes' connections that is.
    number: u64,
    shared: Arc<Mutex<Current>>,
    head: http::Request<()>,
    body: Bytes,
    good: Good,
    is_grpc: bool,
}

/// The newest connection of lanes that share one.
struct Current {
    number: u64,
    send: SendRequest<Bytes>,
}

impl Http2 {
    pub(super) async fn new(wire: Wire, ask: &Ask) -> Result<Self, String> {
        let send = handshake(wire).await?;
        let shared = Arc::new(Mutex::new(Current {
            number: 0,
            send: send.clone(),
        }));
        let is_grpc = ask.protocol == Protocol::Grpc;
        let prefix = if is_grpc { PREFIX_BYTES } else { 0 };
        Ok(Self {
            send,
            number: 0,
            shared,
            head: ask.http2()?,
            body: ask.body.clone(),
            good: Good {
                bytes: ask.good.bytes.map(|bytes| bytes.saturating_add(prefix)),
                ..ask.good
            },
            is_grpc,
        })
    }

    pub(super) async fn exchange(&mut self) -> Result<Answer, String> {
        let told = |error: h2::Error| error.to_string();
        poll_fn(|cx| self.send.poll_ready(cx)).await.map_err(told)?;
        let is_whole = self.body.is_empty();
        let (response, mut body) = self.send.send_request(self.head.clone(), is_whole).map_err(told)?;
        if !is_whole {
            send(&mut body, self.body.clone(), true).await.map_err(told)?;
        }
        let (head, mut answer) = response.await.map_err(told)?.into_parts();
        let length = drain(&mut answer).await.map_err(told)?;
        let trailers = answer.trailers().await.map_err(told)?;
        let grpc = self.is_grpc.then(|| {
            // An answer without trailers has it in its head.
            let found = trailers
                .as_ref()
                .and_then(grpc_status)
                .or_else(|| grpc_status(&head.headers));
            found.unwrap_or(2)
        });
        Ok(Answer::http(head.status.as_u16(), grpc, length, self.good))
    }

    /// The connection that another of its lanes has opened since, or a new one.
    pub(super) async fn reopen(&mut self, dial: impl Future<Output = Result<Wire, String>>) -> Result<(), String> {
        let mut current = self.shared.lock().await;
        if current.number == self.number {
            current.send = handshake(dial.await?).await?;
            current.number = current.number.wrapping_add(1);
        }
        (self.number, self.send) = (current.number, current.send.clone());
        Ok(())
    }
}

async fn handshake(wire: Wire) -> Result<SendRequest<Bytes>, String> {
    let mut builder = h2::client::Builder::new();
    builder
        .initial_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES.saturating_mul(4));
    let (send, connection) = builder.handshake(wire).await.map_err(|error| error.to_string())?;
    // How it ends is seen by the lanes.
    tokio::spawn(async { drop(connection.await) });
    Ok(send)
}

fn grpc_status(headers: &HeaderMap) -> Option<u16> {
    headers.get("grpc-status")?.to_str().ok()?.parse().ok()
}
