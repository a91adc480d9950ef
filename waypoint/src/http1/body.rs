//! Message bodies: from bytes to frames, or a refusal.
//!
//! Chunked bodies are read to the letter (RFC 9112 section 7.1): hexadecimal digits, CR LF, the data, CR LF.
//! Everything else is a place where two readers could lose step.

use super::inbound::Inbound;
use super::lines::{self, Lines};
use super::{BodyError, Frame, Framing, Limits, encode};
use bytes::{Buf, Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::task::{Context, Poll, ready};
use tokio::io::AsyncRead;

/// Reads one body.
#[derive(Debug)]
pub(super) struct Decoder {
    at: At,
    extension_bytes: usize,
    /// Came out together with small data: given next.
    next: Option<Result<Step, BodyError>>,
}

/// What a decoder made of the bytes it has.
#[derive(Debug)]
pub(super) enum Step {
    /// A piece of the body.
    Frame(Frame),
    /// More bytes are needed.
    More,
    /// The body is complete; bytes that are left belong to the next message.
    End,
}

/// Where in the body.
#[derive(Clone, Copy, Debug)]
enum At {
    /// In a chunk's size, of which so many digits have come.
    Size {
        digits: u8,
        size: u64,
    },
    /// In a chunk's extensions, which are dropped.
    Extension {
        size: u64,
        quote: Quote,
    },
    /// After the CR of the size line.
    SizeLf {
        size: u64,
    },
    /// In a chunk's data.
    Data {
        left: u64,
    },
    /// After a chunk's data.
    DataCr,
    DataLf,
    Trailers(Lines),
    /// In a body of known length.
    Length {
        left: u64,
    },
    UntilClose,
    Done,
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quote {
    No,
    Inside,
    Escape,
}

/// Data below this is joined with what came before it in the buffer, up to [`JOINED`].
const SMALL: usize = 1 << 10;
const JOINED: usize = 8 << 10;

impl Decoder {
    pub(super) fn new(framing: Framing) -> Self {
        let at = match framing {
            Framing::None | Framing::Length(0) => At::Done,
            Framing::Length(left) => At::Length { left },
            Framing::Chunked => SIZE,
            Framing::UntilClose => At::UntilClose,
        };
        Self {
            at,
            extension_bytes: 0,
            next: None,
        }
    }

    /// The whole body has been given out.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.at, At::Done) && self.next.is_none()
    }

    /// Bytes that may be read without running into the next message, where that is known.
    fn wanted(&self) -> usize {
        match self.at {
            At::Length { left } => usize::try_from(left).unwrap_or(usize::MAX),
            _ => usize::MAX,
        }
    }

    /// The peer has ended its side, and there are no more bytes.
    fn end_of_input(&mut self) -> Result<(), BodyError> {
        match self.at {
            At::UntilClose | At::Done => {
                self.at = At::Done;
                Ok(())
            }
            _ => {
                self.at = At::Failed;
                Err(BodyError::Eof)
            }
        }
    }

    /// The next piece, read from `io` as needed; `None` at the end.
    pub(super) fn poll_frame<S: AsyncRead + Unpin>(
        &mut self,
        inbound: &mut Inbound,
        io: &mut S,
        cx: &mut Context<'_>,
        limits: &Limits,
    ) -> Poll<Option<Result<Frame, BodyError>>> {
        if self.is_done() {
            return Poll::Ready(None);
        }
        let result = loop {
            match self.decode(&mut inbound.buf, limits) {
                Ok(Step::Frame(frame)) => break Some(Ok(frame)),
                Ok(Step::End) => break None,
                Ok(Step::More) if inbound.eof => break self.end_of_input().err().map(Err),
                Ok(Step::More) => {}
                Err(error) => break Some(Err(error)),
            }
            if let Err(error) = ready!(inbound.poll_fill(io, cx, self.wanted())) {
                self.at = At::Failed; // there is no clean end any more
                break Some(Err(BodyError::Io(error)));
            }
        };
        if self.is_done() {
            inbound.settle();
        }
        Poll::Ready(result)
    }

    /// The next piece of what is in `buf`. After an error there are only errors.
    pub(super) fn decode(&mut self, buf: &mut BytesMut, limits: &Limits) -> Result<Step, BodyError> {
        if let Some(next) = self.next.take() {
            return next;
        }
        let data = match self.step(buf, limits) {
            Ok(Step::Frame(Frame::Data(data))) => data,
            other => return other,
        };
        // One step ahead, so that the end is known together with the last data; and a flood of tiny chunks costs the
        // next hop one write, not thousands.
        let mut joined = Vec::new();
        let mut length = data.len();
        loop {
            match self.step(buf, limits) {
                Ok(Step::Frame(Frame::Data(more))) if more.len() < SMALL && length + more.len() <= JOINED => {
                    if joined.is_empty() {
                        joined.extend_from_slice(&data);
                    }
                    joined.extend_from_slice(&more);
                    length = joined.len();
                }
                Ok(Step::More | Step::End) => break,
                other => {
                    self.next = Some(other);
                    break;
                }
            }
        }
        Ok(Step::Frame(Frame::Data(if joined.is_empty() {
            data
        } else {
            joined.into()
        })))
    }

    fn step(&mut self, buf: &mut BytesMut, limits: &Limits) -> Result<Step, BodyError> {
        let step = self.try_step(buf, limits);
        if step.is_err() {
            self.at = At::Failed;
        }
        step
    }

    fn try_step(&mut self, buf: &mut BytesMut, limits: &Limits) -> Result<Step, BodyError> {
        loop {
            match &mut self.at {
                At::Done => return Ok(Step::End),
                At::Failed => return Err(BodyError::Malformed("the body had failed before")),
                _ if buf.is_empty() => return Ok(Step::More),
                At::UntilClose => return Ok(Step::Frame(Frame::Data(buf.split().freeze()))),
                At::Length { left } => {
                    let data = split(buf, left);
                    if *left == 0 {
                        self.at = At::Done;
                    }
                    return Ok(Step::Frame(Frame::Data(data)));
                }
                At::Data { left } => {
                    let data = split(buf, left);
                    if *left == 0 {
                        self.at = At::DataCr;
                    }
                    return Ok(Step::Frame(Frame::Data(data)));
                }
                At::Trailers(lines) => {
                    let Some(end) = lines.end(buf).map_err(BodyError::Malformed)? else {
                        if buf.len() >= limits.trailer_bytes {
                            return Err(BodyError::TooLarge("trailer bytes"));
                        }
                        return Ok(Step::More);
                    };
                    let section = buf.split_to(end).freeze();
                    self.at = At::Done;
                    let trailers = parse_trailers(&section, limits)?;
                    if !trailers.is_empty() {
                        return Ok(Step::Frame(Frame::Trailers(trailers)));
                    }
                }
                _ => self.framing_bytes(buf, limits)?,
            }
        }
    }

    /// Takes the bytes between two chunks' data.
    fn framing_bytes(&mut self, buf: &mut BytesMut, limits: &Limits) -> Result<(), BodyError> {
        let mut taken = 0;
        for byte in buf.iter() {
            taken += 1;
            self.at = self.after(*byte, limits)?;
            if matches!(self.at, At::Data { .. } | At::Trailers(_)) {
                break;
            }
        }
        buf.advance(taken);
        Ok(())
    }

    fn after(&mut self, byte: u8, limits: &Limits) -> Result<At, BodyError> {
        const MOST_DIGITS: u8 = 16;
        Ok(match (self.at, byte) {
            (At::Size { digits, size }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                if digits == MOST_DIGITS {
                    return Err(BodyError::Malformed("chunk size of more than 16 digits"));
                }
                let digit = char::from(byte).to_digit(16).map_or(0, u64::from);
                At::Size {
                    digits: digits + 1,
                    size: size << 4 | digit,
                }
            }
            (At::Size { digits: 1.., size }, b'\r') => At::SizeLf { size },
            (At::Size { digits: 1.., size }, b';') => At::Extension { size, quote: Quote::No },
            (At::Size { .. }, _) => return Err(BodyError::Malformed("chunk size")),
            (At::Extension { size, quote: Quote::No }, b'\r') => At::SizeLf { size },
            (At::Extension { size, quote }, b'\t' | b' '..=b'~') => {
                self.extension_bytes += 1;
                if self.extension_bytes > limits.chunk_extension_bytes {
                    return Err(BodyError::TooLarge("chunk extensions"));
                }
                At::Extension {
                    size,
                    quote: quote.after(byte),
                }
            }
            (At::Extension { .. }, _) => return Err(BodyError::Malformed("chunk extension")),
            (At::SizeLf { size: 0 }, b'\n') => At::Trailers(Lines::default()),
            (At::SizeLf { size }, b'\n') => At::Data { left: size },
            (At::DataCr, b'\r') => At::DataLf,
            (At::DataLf, b'\n') => SIZE,
            _ => return Err(BodyError::Malformed("no CR LF after a chunk or its size")),
        })
    }
}

const SIZE: At = At::Size { digits: 0, size: 0 };

impl Quote {
    fn after(self, byte: u8) -> Self {
        match (self, byte) {
            (Quote::No, b'"') | (Quote::Escape, _) => Quote::Inside,
            (Quote::Inside, b'"') | (Quote::No, _) => Quote::No,
            (Quote::Inside, b'\\') => Quote::Escape,
            (Quote::Inside, _) => Quote::Inside,
        }
    }
}

fn split(buf: &mut BytesMut, left: &mut u64) -> Bytes {
    let length = usize::try_from(*left).unwrap_or(usize::MAX).min(buf.len());
    *left -= length as u64;
    buf.split_to(length).freeze()
}

/// `section` ends with the empty line. Fields of framing and routing are refused, others that may not be trailers
/// (RFC 9110 section 6.5.1) are dropped.
fn parse_trailers(section: &Bytes, limits: &Limits) -> Result<HeaderMap, BodyError> {
    let mut trailers = HeaderMap::new();
    if section.as_ref() == encode::CRLF {
        return Ok(trailers);
    }
    if section.len() > limits.trailer_bytes {
        return Err(BodyError::TooLarge("trailer bytes"));
    }
    let mut storage = vec![httparse::EMPTY_HEADER; limits.headers.min(Limits::MOST_HEADERS)];
    let fields = match httparse::parse_headers(section, &mut storage) {
        Ok(httparse::Status::Complete((length, fields))) if length == section.len() => fields,
        Err(httparse::Error::TooManyHeaders) => return Err(BodyError::TooLarge("trailer lines")),
        Ok(_) | Err(_) => return Err(BodyError::Malformed("trailer")),
    };
    lines::ends_are_crlf(section, fields.len() + 1).map_err(BodyError::Malformed)?;
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| BodyError::Malformed("trailer name"))?;
        if [&CONTENT_LENGTH, &TRANSFER_ENCODING, &HOST].contains(&&name) {
            return Err(BodyError::Malformed("a field of framing or routing among the trailers"));
        }
        if !encode::is_forbidden_in_trailers(&name) {
            let value = HeaderValue::from_maybe_shared(section.slice_ref(field.value))
                .map_err(|_| BodyError::Malformed("trailer value"))?;
            trailers.append(name, value);
        }
    }
    Ok(trailers)
}

#[cfg(test)]
mod tests;
