//! One gRPC call with its answers, on h2 itself: all that the sources of certificates need of gRPC is five bytes before
//! each message, and the status.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use h2::RecvStream;
use http::header::{CONTENT_TYPE, TE};
use http::{HeaderMap, Method, Request, StatusCode, Version};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Largest answer, as gRPC's libraries have it.
const ANSWER_BYTES: usize = 4 << 20;
const WINDOW_BYTES: u32 = 1 << 20;
const HEADER_LIST_LIMIT_BYTES: u32 = 16 << 10;
/// Compressed flag and length, before every message.
const PREFIX_BYTES: usize = 5;
/// Of a status message, this much is repeated.
const MESSAGE_CHARS: usize = 200;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("connect: {0}")]
    Connect(String),
    #[error("request: {0}")]
    Request(String),
    #[error("no answer within {0:?}")]
    Silent(Duration),
    #[error("HTTP/2: {0}")]
    Http2(String),
    #[error("expected status 200, found {0}")]
    Http(StatusCode),
    #[error("gRPC status {0}: {1}")]
    Grpc(String, String),
    #[error("expected messages of at most 4 MiB, found one of {0} bytes")]
    TooLarge(usize),
    #[error("a compressed answer, which was not asked for")]
    Compressed,
    #[error("expected one answer, found more")]
    Several,
    #[error("the stream ended")]
    Ended,
}

impl From<h2::Error> for Fault {
    fn from(error: h2::Error) -> Self {
        Self::Http2(error.to_string())
    }
}

/// The head of a call of the method at `url`.
pub(super) fn call(url: &str) -> http::request::Builder {
    Request::builder()
        .method(Method::POST)
        .version(Version::HTTP_2)
        .uri(url)
        .header(CONTENT_TYPE, "application/grpc")
        .header(TE, "trailers")
}

/// What comes of `future` within `limit`.
pub(super) async fn within<T>(limit: Duration, future: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    timeout(limit, future).await.unwrap_or(Err(Fault::Silent(limit)))
}

/// The answers, one after the other. The connection ends when this is dropped.
#[derive(Debug)]
pub(super) struct Answers {
    answers: RecvStream,
    buffer: BytesMut,
    connection: JoinHandle<()>,
}

impl Drop for Answers {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Answers {
    /// Sends this call with its one message on a connection of its own.
    pub(super) async fn open<S>(stream: S, call: http::request::Builder, message: &[u8]) -> Result<Self, Fault>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let call = call.body(()).map_err(|error| Fault::Request(error.to_string()))?;
        let message = framed(message)?;
        let (send, connection) = h2::client::Builder::new()
            .initial_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .max_header_list_size(HEADER_LIST_LIMIT_BYTES)
            .enable_push(false)
            .handshake::<_, Bytes>(stream)
            .await?;
        let connection = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "the connection to the source of our certificates broke");
            }
        });
        let ended = Ended(Some(connection));
        let (answer, mut body) = send.ready().await?.send_request(call, false)?;
        body.send_data(message, true)?;
        let (head, answers) = answer.await?.into_parts();
        if head.status != StatusCode::OK {
            return Err(Fault::Http(head.status));
        }
        if let Some(fault) = status(&head.headers) {
            return Err(fault);
        }
        Ok(Self {
            answers,
            buffer: BytesMut::new(),
            connection: ended.keep().ok_or(Fault::Ended)?,
        })
    }

    pub(super) async fn next(&mut self) -> Result<Bytes, Fault> {
        loop {
            if let Some(answer) = self.whole()? {
                return Ok(answer);
            }
            let Some(piece) = self.answers.data().await else {
                let trailers = self.answers.trailers().await?;
                return Err(trailers.as_ref().and_then(status).unwrap_or(Fault::Ended));
            };
            let piece = piece?;
            self.answers.flow_control().release_capacity(piece.len())?;
            self.buffer.extend_from_slice(&piece);
        }
    }

    /// The answer of a call that has one: it counts only when the call ends well.
    pub(super) async fn only(mut self) -> Result<Bytes, Fault> {
        let answer = self.next().await?;
        match self.next().await {
            Err(Fault::Ended) => Ok(answer),
            Err(fault) => Err(fault),
            Ok(_) => Err(Fault::Several),
        }
    }

    /// The next answer, if it has come whole.
    fn whole(&mut self) -> Result<Option<Bytes>, Fault> {
        let Some((prefix, rest)) = self.buffer.split_first_chunk::<PREFIX_BYTES>() else {
            return Ok(None);
        };
        let [compressed, length @ ..] = *prefix;
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if compressed != 0 {
            return Err(Fault::Compressed);
        }
        if length > ANSWER_BYTES {
            return Err(Fault::TooLarge(length));
        }
        if rest.len() < length {
            return Ok(None);
        }
        self.buffer.advance(PREFIX_BYTES);
        Ok(Some(self.buffer.split_to(length).freeze()))
    }
}

/// Ends the connection of a call that did not come about.
struct Ended(Option<JoinHandle<()>>);

impl Ended {
    fn keep(mut self) -> Option<JoinHandle<()>> {
        self.0.take()
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        if let Some(connection) = &self.0 {
            connection.abort();
        }
    }
}

/// A message with its prefix.
fn framed(message: &[u8]) -> Result<Bytes, Fault> {
    let length = u32::try_from(message.len()).map_err(|_| Fault::TooLarge(message.len()))?;
    let mut bytes = BytesMut::with_capacity(PREFIX_BYTES.saturating_add(message.len()));
    bytes.put_u8(0);
    bytes.put_u32(length);
    bytes.put_slice(message);
    Ok(bytes.freeze())
}

/// A status that is not OK.
fn status(headers: &HeaderMap) -> Option<Fault> {
    let text = |name: &str| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let status = text("grpc-status").filter(|status| status != "0")?;
    let clean = |text: &str| text.escape_debug().take(MESSAGE_CHARS).collect();
    let message = text("grpc-message").unwrap_or_default();
    Some(Fault::Grpc(clean(&status), clean(&message)))
}
