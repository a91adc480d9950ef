//! HTTP/1.1 messages as far as a load and an echo must read them: where each ends, and what its status is.

mod chunked;

use bytes::{Buf, Bytes};
use chunked::Chunked;

/// Heads longer than this are refused.
const HEAD_LIMIT_BYTES: usize = 64 * 1024;
/// More header fields than this are refused.
const FIELDS_LIMIT: usize = 100;

/// Reads one message after another as they come in pieces.
#[derive(Debug)]
pub(crate) struct Messages {
    side: Side,
    /// A head that came in pieces.
    head: Vec<u8>,
    state: State,
}

/// A message whose end was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    /// 0 of a request.
    pub(crate) status: u16,
    pub(crate) body_bytes: u64,
    /// The sender closes after it.
    pub(crate) is_last: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Requests,
    /// What was asked by GET, POST, ..
    Responses,
    /// What was asked by HEAD: no answer has a body.
    ResponsesToHead,
}

#[derive(Debug)]
enum State {
    Head,
    Body(Message, Body),
}

#[derive(Debug)]
enum Body {
    /// This much is to come.
    Length(u64),
    Chunked(Chunked),
    UntilClose,
}

impl Messages {
    pub(crate) fn requests() -> Self {
        Self::new(Side::Requests)
    }

    pub(crate) fn responses(method: &str) -> Self {
        Self::new(if method == "HEAD" {
            Side::ResponsesToHead
        } else {
            Side::Responses
        })
    }

    fn new(side: Side) -> Self {
        Self {
            side,
            head: Vec::new(),
            state: State::Head,
        }
    }

    /// Takes from the front of `chunk`. Some is the end of a message, and the rest of the chunk is of the next one; None
    /// when more must come.
    pub(crate) fn take(&mut self, chunk: &mut Bytes) -> Result<Option<Message>, String> {
        while !chunk.is_empty() {
            if matches!(self.state, State::Head) {
                let Some(state) = self.take_head(chunk)? else {
                    return Ok(None);
                };
                self.state = state;
            }
            if let State::Body(message, body) = &mut self.state {
                message.body_bytes = message.body_bytes.saturating_add(body.take(chunk)?);
                if body.is_over() {
                    let ended = *message;
                    self.state = State::Head;
                    return Ok(Some(ended));
                }
            }
        }
        Ok(None)
    }

    /// The connection was closed: that ends a message without a length, and is an error within any other.
    pub(crate) fn end(&mut self) -> Result<Option<Message>, String> {
        match std::mem::replace(&mut self.state, State::Head) {
            State::Head if self.head.is_empty() => Ok(None),
            State::Body(message, Body::UntilClose) => Ok(Some(message)),
            _ => Err("closed within a message".to_owned()),
        }
    }

    /// None when the head is not whole, or was only an interim answer.
    fn take_head(&mut self, chunk: &mut Bytes) -> Result<Option<State>, String> {
        loop {
            let (parsed, used) = if self.head.is_empty() {
                (self.parse(chunk)?, chunk.len())
            } else {
                let before = self.head.len();
                self.head.extend_from_slice(chunk);
                (self.parse(&self.head)?, before)
            };
            let Some((length, state)) = parsed else {
                if self.head.is_empty() {
                    self.head.extend_from_slice(chunk);
                }
                chunk.clear();
                let is_long = self.head.len() > HEAD_LIMIT_BYTES;
                return if is_long {
                    Err("no end of the head".to_owned())
                } else {
                    Ok(None)
                };
            };
            // How much of this chunk the head took: all of it, but for what came before.
            let of_chunk = if self.head.is_empty() {
                length
            } else {
                length.saturating_sub(used)
            };
            chunk.advance(of_chunk.min(chunk.len()));
            self.head.clear();
            match state {
                Some(state) => return Ok(Some(state)),
                None if chunk.is_empty() => return Ok(None),
                None => {}
            }
        }
    }

    /// The head's length and what follows it; nothing follows an interim answer.
    fn parse(&self, bytes: &[u8]) -> Result<Option<(usize, Option<State>)>, String> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_LIMIT];
        let (parsed, status, fields) = match self.side {
            Side::Requests => {
                let mut request = httparse::Request::new(&mut fields);
                let parsed = request.parse(bytes);
                (parsed, 0, request.headers)
            }
            Side::Responses | Side::ResponsesToHead => {
                let mut response = httparse::Response::new(&mut fields);
                let parsed = response.parse(bytes);
                (parsed, response.code.unwrap_or_default(), response.headers)
            }
        };
        let httparse::Status::Complete(length) = parsed.map_err(|error| format!("not HTTP/1.1: {error}"))? else {
            return Ok(None);
        };
        if (100..200).contains(&status) && status != 101 {
            return Ok(Some((length, None)));
        }
        let is_last = field(fields, "connection").is_some_and(|value| value.eq_ignore_ascii_case(b"close"));
        let message = Message {
            status,
            body_bytes: 0,
            is_last,
        };
        Ok(Some((length, Some(State::Body(message, self.body(status, fields)?)))))
    }

    fn body(&self, status: u16, fields: &[httparse::Header<'_>]) -> Result<Body, String> {
        if self.side == Side::ResponsesToHead || matches!(status, 101 | 204 | 304) {
            return Ok(Body::Length(0));
        }
        if field(fields, "transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case(b"chunked")) {
            return Ok(Body::Chunked(Chunked::default()));
        }
        match field(fields, "content-length") {
            Some(length) => {
                let length = std::str::from_utf8(length)
                    .ok()
                    .and_then(|text| text.trim().parse().ok());
                Ok(Body::Length(length.ok_or("a content-length that is none")?))
            }
            None if self.side == Side::Requests => Ok(Body::Length(0)),
            None => Ok(Body::UntilClose),
        }
    }
}

impl Body {
    /// How much of the chunk was of the body; it may have been framing, too.
    fn take(&mut self, chunk: &mut Bytes) -> Result<u64, String> {
        let available = chunk.len() as u64;
        match self {
            Self::Length(left) => {
                let taken = available.min(*left);
                *left = left.saturating_sub(taken);
                chunk.advance(usize::try_from(taken).unwrap_or_default());
                Ok(taken)
            }
            Self::Chunked(chunked) => chunked.take(chunk),
            Self::UntilClose => {
                chunk.clear();
                Ok(available)
            }
        }
    }

    fn is_over(&self) -> bool {
        match self {
            Self::Length(left) => *left == 0,
            Self::Chunked(chunked) => chunked.is_over(),
            Self::UntilClose => false,
        }
    }
}

fn field<'h>(fields: &[httparse::Header<'h>], name: &str) -> Option<&'h [u8]> {
    let found = fields.iter().find(|field| field.name.eq_ignore_ascii_case(name));
    found.map(|field| field.value)
}

#[cfg(test)]
mod tests;
