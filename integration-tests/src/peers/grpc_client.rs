//! gRPC calls with everything in view: single messages, the half-close, trailers both ways. And a tonic codec, for
//! tests that want a gRPC library as its users have it.

use super::echo::{EchoMessage, framed, take_message};
use super::http_client::{ClientBody, HttpClient, fed};
use super::waiting::soon;
use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use hyper::body::{Frame, Incoming};
use prost::Message;
use std::io;
use tokio::sync::mpsc;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

/// One call. Dropping it resets its stream.
pub struct GrpcCall {
    /// The answer's headers.
    pub headers: HeaderMap,
    requests: Option<mpsc::Sender<io::Result<Frame<Bytes>>>>,
    answers: Incoming,
    buffer: BytesMut,
    trailers: HeaderMap,
}

impl GrpcCall {
    /// Starts a call of `/echo.Echo/METHOD` and sends its first message: then the answer's head must come.
    pub async fn begin(client: &mut HttpClient, method: &str, first: &EchoMessage) -> Self {
        let (requests, body) = fed();
        requests.send(Ok(Frame::data(framed(first)))).await.unwrap();
        let answer = soon("the head of a gRPC answer", client.begin(grpc_request(method, body))).await;
        let answer = answer.unwrap_or_else(|e| panic!("{method}: {e:?}"));
        assert_eq!(
            answer.status(),
            StatusCode::OK,
            "gRPC answers are always 200: {answer:?}"
        );
        let (head, answers) = answer.into_parts();
        let (buffer, trailers) = (BytesMut::new(), HeaderMap::new());
        Self {
            headers: head.headers,
            requests: Some(requests),
            answers,
            buffer,
            trailers,
        }
    }

    /// Sends one more message.
    pub async fn send(&mut self, message: &EchoMessage) {
        self.requests
            .as_ref()
            .unwrap()
            .send(Ok(Frame::data(framed(message))))
            .await
            .unwrap();
    }

    /// Ends our side, with trailers.
    pub async fn finish(&mut self, trailers: HeaderMap) {
        let requests = self.requests.take().unwrap();
        if !trailers.is_empty() {
            requests.send(Ok(Frame::trailers(trailers))).await.unwrap();
        }
    }

    /// The next message, `None` at the end.
    pub async fn receive(&mut self) -> Option<EchoMessage> {
        soon("a gRPC message", async {
            loop {
                if let Some(message) = take_message(&mut self.buffer).unwrap() {
                    return Some(message);
                }
                match self
                    .answers
                    .frame()
                    .await?
                    .unwrap_or_else(|e| panic!("gRPC answer: {e:?}"))
                    .into_data()
                {
                    Ok(data) => self.buffer.extend_from_slice(&data),
                    Err(frame) => self.trailers = frame.into_trailers().unwrap(),
                }
            }
        })
        .await
    }

    /// Reads to the end; gives the messages that were left and the trailers (a trailers-only answer's are its headers).
    pub async fn rest(mut self) -> (Vec<EchoMessage>, HeaderMap) {
        let mut messages = Vec::new();
        while let Some(message) = self.receive().await {
            messages.push(message);
        }
        let trailers = if self.trailers.is_empty() {
            self.headers
        } else {
            self.trailers
        };
        (messages, trailers)
    }
}

/// A whole call with one message: messages, trailers.
pub async fn call(client: &mut HttpClient, method: &str, text: &str, count: u32) -> (Vec<EchoMessage>, HeaderMap) {
    let mut call = GrpcCall::begin(
        client,
        method,
        &EchoMessage {
            text: text.into(),
            count,
        },
    )
    .await;
    call.finish(HeaderMap::new()).await;
    call.rest().await
}

/// `grpc-status` of trailers; panics when there is none.
pub fn status(trailers: &HeaderMap) -> u32 {
    let status = trailers
        .get("grpc-status")
        .unwrap_or_else(|| panic!("no grpc-status in {trailers:?}"));
    status.to_str().unwrap().parse().unwrap()
}

fn grpc_request(method: &str, body: ClientBody) -> Request<ClientBody> {
    Request::post(format!("/echo.Echo/{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(body)
        .unwrap()
}

/// tonic's codec for the echo service's messages.
#[derive(Clone, Copy, Debug, Default)]
pub struct EchoCodec;

impl Codec for EchoCodec {
    type Encode = EchoMessage;
    type Decode = EchoMessage;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for EchoCodec {
    type Item = EchoMessage;
    type Error = Status;

    fn encode(&mut self, item: EchoMessage, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.encode(out).map_err(|e| Status::internal(e.to_string()))
    }
}

impl Decoder for EchoCodec {
    type Item = EchoMessage;
    type Error = Status;

    fn decode(&mut self, bytes: &mut DecodeBuf<'_>) -> Result<Option<EchoMessage>, Status> {
        let whole = bytes.copy_to_bytes(bytes.remaining());
        EchoMessage::decode(whole)
            .map(Some)
            .map_err(|e| Status::internal(e.to_string()))
    }
}
