//! One gRPC call with its answers, on h2 itself: all that the sources of certificates and the control plane need of gRPC
//! is five bytes before each message, and the status.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use h2::client::Connection;
use h2::{Ping, PingPong, RecvStream, SendStream};
use http::header::{CONTENT_TYPE, TE};
use http::{HeaderMap, Method, Request, StatusCode, Version};
use std::future::poll_fn;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// Largest answer of a call with one message, as gRPC's libraries have it.
const ANSWER_BYTES: usize = 4 << 20;
const WINDOW_BYTES: u32 = 1 << 20;
const HEADER_LIST_LIMIT_BYTES: u32 = 16 << 10;
/// Compressed flag and length, before every message.
const PREFIX_BYTES: usize = 5;
/// A connection that says nothing for so long is asked for a sign, and has so long to give it.
const PING: Duration = Duration::from_secs(30);
const PONG: Duration = Duration::from_secs(20);
/// Of a status message, this much is repeated.
const MESSAGE_CHARS: usize = 200;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
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
    #[error("expected messages of at most {limit} bytes, found one of {found}")]
    TooLarge { limit: usize, found: usize },
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
pub(crate) fn call(url: &str) -> http::request::Builder {
    Request::builder()
        .method(Method::POST)
        .version(Version::HTTP_2)
        .uri(url)
        .header(CONTENT_TYPE, "application/grpc")
        .header(TE, "trailers")
}

/// What comes of `future` within `limit`.
pub(crate) async fn within<T>(limit: Duration, future: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    timeout(limit, future).await.unwrap_or(Err(Fault::Silent(limit)))
}

/// The answers, one after the other. The connection ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Answers {
    answers: RecvStream,
    buffer: BytesMut,
    /// Largest answer.
    limit: usize,
    connection: JoinHandle<()>,
}

impl Drop for Answers {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// A call of many messages and many answers.
#[derive(Debug)]
pub(crate) struct Exchange {
    messages: SendStream<Bytes>,
    answers: Answers,
}

impl Exchange {
    /// Begins this call with its first message on a connection of its own. Answers have `limit` bytes at most.
    pub(crate) async fn open<S>(
        stream: S,
        call: http::request::Builder,
        message: &[u8],
        limit: usize,
    ) -> Result<Self, Fault>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (messages, answers) = begin(stream, call, message, false, limit).await?;
        Ok(Self { messages, answers })
    }

    pub(crate) async fn next(&mut self) -> Result<Bytes, Fault> {
        self.answers.next().await
    }

    /// Sends one more message, as the server takes it.
    pub(crate) async fn send(&mut self, message: &[u8]) -> Result<(), Fault> {
        let mut message = framed(message)?;
        while message.has_remaining() {
            self.messages.reserve_capacity(message.len());
            let room = poll_fn(|cx| self.messages.poll_capacity(cx))
                .await
                .ok_or(Fault::Ended)??;
            // Room is told of even where it was taken meanwhile.
            if room > 0 {
                let piece = message.split_to(room.min(message.len()));
                self.messages.send_data(piece, false)?;
            }
        }
        Ok(())
    }
}

/// Opens a connection and a call on it, and waits for the head of its answer.
async fn begin<S>(
    stream: S,
    call: http::request::Builder,
    message: &[u8],
    is_only: bool,
    limit: usize,
) -> Result<(SendStream<Bytes>, Answers), Fault>
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
    let ended = Ended(Some(tokio::spawn(keep(connection))));
    let (answer, mut body) = send.ready().await?.send_request(call, false)?;
    body.send_data(message, is_only)?;
    let (head, answers) = answer.await?.into_parts();
    if head.status != StatusCode::OK {
        return Err(Fault::Http(head.status));
    }
    if let Some(fault) = status(&head.headers) {
        return Err(fault);
    }
    let answers = Answers {
        answers,
        buffer: BytesMut::new(),
        limit,
        connection: ended.keep().ok_or(Fault::Ended)?,
    };
    Ok((body, answers))
}

/// Drives a connection until it ends, or gives no sign of life.
async fn keep<S>(mut connection: Connection<S, Bytes>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let silence = silence(connection.ping_pong());
    tokio::select! {
        ended = connection => {
            if let Err(error) = ended {
                tracing::debug!(%error, "the connection of a gRPC call broke");
            }
        }
        () = silence => tracing::debug!("the connection of a gRPC call gave no sign of life"),
    }
}

/// Returns when a PING was not answered.
async fn silence(ping: Option<PingPong>) {
    let Some(mut ping) = ping else {
        return std::future::pending().await;
    };
    loop {
        sleep(PING).await;
        if !matches!(timeout(PONG, ping.ping(Ping::opaque())).await, Ok(Ok(_))) {
            return;
        }
    }
}

impl Answers {
    /// Sends this call with its one message on a connection of its own.
    pub(crate) async fn open<S>(stream: S, call: http::request::Builder, message: &[u8]) -> Result<Self, Fault>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        Ok(begin(stream, call, message, true, ANSWER_BYTES).await?.1)
    }

    pub(crate) async fn next(&mut self) -> Result<Bytes, Fault> {
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
    pub(crate) async fn only(mut self) -> Result<Bytes, Fault> {
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
        if length > self.limit {
            let limit = self.limit;
            return Err(Fault::TooLarge { limit, found: length });
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
    let length = u32::try_from(message.len()).map_err(|_| Fault::TooLarge {
        limit: ANSWER_BYTES,
        found: message.len(),
    })?;
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
