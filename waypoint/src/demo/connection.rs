//! An application's HTTP/1.1 connection, kept alive and opened anew when the other side closed it.

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// A request that takes longer has failed.
const LIMIT: Duration = Duration::from_secs(5);

pub(super) struct Connection {
    address: SocketAddr,
    host: &'static str,
    sender: Option<SendRequest<Empty<Bytes>>>,
    opened: u64,
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// From the request's first byte to the answer's last.
    pub(super) took: Duration,
}

impl Connection {
    /// A connection to `address`, opened by the first request; `host` is its Host header.
    pub(super) fn new(address: SocketAddr, host: &'static str) -> Self {
        Self {
            address,
            host,
            sender: None,
            opened: 0,
        }
    }

    /// How many TCP connections it took so far.
    pub(super) fn opened(&self) -> u64 {
        self.opened
    }

    /// One GET.
    ///
    /// # Errors
    /// Whatever kept the answer from being whole, in words.
    pub(super) async fn get(&mut self, path: &str, headers: &[(&str, &str)]) -> Result<Reply, String> {
        let request = self.request(path, headers)?;
        let began = Instant::now();
        let reply = tokio::time::timeout(LIMIT, self.exchange(request, began)).await;
        let reply = reply.unwrap_or_else(|_| Err(format!("no answer within {} s", LIMIT.as_secs())));
        if reply.is_err() {
            self.sender = None;
        }
        reply
    }

    fn request(&self, path: &str, headers: &[(&str, &str)]) -> Result<Request<Empty<Bytes>>, String> {
        let builder = Request::get(path).header(HOST, self.host);
        let builder = headers
            .iter()
            .fold(builder, |builder, (name, value)| builder.header(*name, *value));
        builder.body(Empty::new()).map_err(|error| error.to_string())
    }

    async fn exchange(&mut self, request: Request<Empty<Bytes>>, began: Instant) -> Result<Reply, String> {
        let mut unsent = request;
        let mut reopened = false;
        let response = loop {
            let sender = self.sender().await?;
            match sender.try_send_request(unsent).await {
                Ok(response) => break response,
                Err(mut failed) => match failed.take_message() {
                    // It was closed between two requests and nothing was sent: no failure, once.
                    Some(message) if !reopened => {
                        (unsent, reopened) = (message, true);
                        self.sender = None;
                    }
                    _ => return Err(failed.into_error().to_string()),
                },
            }
        };
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
        Ok(Reply {
            status: head.status,
            headers: head.headers,
            body,
            took: began.elapsed(),
        })
    }

    async fn sender(&mut self) -> Result<&mut SendRequest<Empty<Bytes>>, String> {
        let mut kept = self.sender.take();
        if let Some(sender) = &mut kept
            && sender.ready().await.is_err()
        {
            kept = None;
        }
        let sender = match kept {
            Some(sender) => sender,
            None => self.open().await?,
        };
        Ok(self.sender.insert(sender))
    }

    async fn open(&mut self) -> Result<SendRequest<Empty<Bytes>>, String> {
        let socket = TcpStream::connect(self.address)
            .await
            .map_err(|error| format!("{}: {error}", self.address))?;
        socket.set_nodelay(true).map_err(|error| error.to_string())?;
        let (sender, connection) = handshake(TokioIo::new(socket))
            .await
            .map_err(|error| error.to_string())?;
        self.opened = self.opened.saturating_add(1);
        // Its errors come out of the sender as well.
        tokio::spawn(connection);
        Ok(sender)
    }
}

impl Reply {
    /// A header as text; empty when it is missing.
    pub(super) fn header(&self, name: impl http::header::AsHeaderName) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// The body as one line of text.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).trim().to_owned()
    }
}
