//! A gRPC service without generated code: unary, server-stream, bidirectional, and trailers both ways.
//!
//! | method | does |
//! | --- | --- |
//! | `/echo.Echo/Unary` | one message in, the same out, prefixed with the backend's version |
//! | `/echo.Echo/ServerStream` | one message in, `count` out, numbered |
//! | `/echo.Echo/Bidi` | each message comes back as it arrives |
//! | `/echo.Echo/Fail` | no message, status `count` with the text as `grpc-message` (trailers only) |
//!
//! Answers end with `grpc-status`, and with `echo-<name>` for every trailer `<name>` of the request.

use super::answers::fed_body;
use super::{EchoBody, Shared};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Frame, Incoming};
use prost::Message;
use std::io;
use tokio::sync::mpsc;

/// The service's only message.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct EchoMessage {
    /// Any text.
    #[prost(string, tag = "1")]
    pub text: String,
    /// How many answers (ServerStream), which status (Fail), which answer this is (the answers).
    #[prost(uint32, tag = "2")]
    pub count: u32,
}

pub(super) async fn answer(request: Request<Incoming>, shared: &Shared) -> io::Result<Response<EchoBody>> {
    let method = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
    if !matches!(method.as_str(), "Unary" | "ServerStream" | "Bidi" | "Fail") {
        return Ok(trailers_only(12, "no such method"));
    }
    let mut messages = Messages {
        body: request.into_body(),
        buffer: BytesMut::new(),
        trailers: HeaderMap::new(),
    };
    if method == "Fail" {
        let asked = messages.next().await?.unwrap_or_default();
        return Ok(trailers_only(asked.count, &asked.text));
    }
    let (send, body) = fed_body();
    let version = shared.version.clone();
    tokio::spawn(async move {
        if let Err(e) = converse(&method, &version, &mut messages, &send).await {
            send.send(Err(e)).await.ok();
        }
    });
    let mut response = Response::new(body);
    response
        .headers_mut()
        .insert("content-type", HeaderValue::from_static("application/grpc"));
    response.headers_mut().insert(
        "x-backend",
        HeaderValue::try_from(&shared.version).map_err(io::Error::other)?,
    );
    Ok(response)
}

type Answers = mpsc::Sender<io::Result<Frame<Bytes>>>;

async fn converse(method: &str, version: &str, messages: &mut Messages, answers: &Answers) -> io::Result<()> {
    while let Some(message) = messages.next().await? {
        let times = if method == "ServerStream" { message.count } else { 1 };
        for count in 1..=times {
            let answer = EchoMessage {
                text: format!("{version}: {}", message.text),
                count,
            };
            if answers.send(Ok(Frame::data(framed(&answer)))).await.is_err() {
                return Ok(());
            }
        }
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    for (name, value) in &messages.trailers {
        let name = HeaderName::try_from(format!("echo-{name}")).map_err(io::Error::other)?;
        trailers.append(name, value.clone());
    }
    answers.send(Ok(Frame::trailers(trailers))).await.ok();
    Ok(())
}

fn trailers_only(status: u32, message: &str) -> Response<EchoBody> {
    let mut response = Response::new(Empty::new().map_err(|e| match e {}).boxed_unsync());
    let headers = response.headers_mut();
    headers.insert("content-type", HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-status", HeaderValue::from(status));
    headers.insert(
        "grpc-message",
        HeaderValue::try_from(message).unwrap_or(HeaderValue::from_static("?")),
    );
    response
}

/// The five-byte prefix and the message.
pub fn framed(message: &EchoMessage) -> Bytes {
    let mut out = BytesMut::with_capacity(5 + message.encoded_len());
    out.put_u8(0);
    out.put_u32(message.encoded_len() as u32);
    message.encode(&mut out).unwrap();
    out.freeze()
}

struct Messages {
    body: Incoming,
    buffer: BytesMut,
    trailers: HeaderMap,
}

impl Messages {
    async fn next(&mut self) -> io::Result<Option<EchoMessage>> {
        loop {
            if let Some(message) = take_message(&mut self.buffer)? {
                return Ok(Some(message));
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(frame) => match frame.map_err(io::Error::other)?.into_data() {
                    Ok(data) => self.buffer.extend_from_slice(&data),
                    Err(frame) => self.trailers = frame.into_trailers().unwrap_or_default(),
                },
            }
        }
    }
}

/// The next whole message of the buffer, if there is one.
pub fn take_message(buffer: &mut BytesMut) -> io::Result<Option<EchoMessage>> {
    if buffer.len() < 5 {
        return Ok(None);
    }
    let length = u32::from_be_bytes([buffer[1], buffer[2], buffer[3], buffer[4]]) as usize;
    if buffer.len() < 5 + length {
        return Ok(None);
    }
    buffer.advance(5);
    EchoMessage::decode(buffer.split_to(length))
        .map(Some)
        .map_err(io::Error::other)
}
