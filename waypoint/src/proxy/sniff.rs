//! What is spoken inside a tunnel, told by its first bytes.

use bytes::BytesMut;
use hbone::Drain;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::Instant;

/// RFC 9113 section 3.4.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// A client that says nothing on an undeclared port waits for the server: bytes from then on.
const SERVER_FIRST: Duration = Duration::from_secs(1);
/// A client that has begun a preface or a first line finishes it in this time.
const SLOW: Duration = Duration::from_secs(10);
/// An HTTP connection without a first byte is closed after this.
const IDLE: Duration = Duration::from_secs(3600);
/// SETTINGS frames beyond this are left to h2.
const LONGEST_SETTINGS: usize = 4096;
/// After the drain began, a fresh tunnel may be silent for this long.
const LATE: Duration = Duration::from_secs(1);
/// The longest method that is taken for HTTP/1.
const METHOD: usize = 24;

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spoken {
    /// HTTP/1.
    Http1,
    /// HTTP/2 with prior knowledge.
    Http2,
    /// Anything else, or a server that speaks first.
    Bytes,
    /// The client closed, or the drain began, before any byte.
    Nothing,
}

/// On a port that is declared HTTP: which version.
pub(crate) async fn http<S: AsyncRead + Unpin>(stream: &mut S, drain: &Drain) -> io::Result<(Spoken, BytesMut)> {
    let mut first = BytesMut::new();
    let read = tokio::select! {
        read = tokio::time::timeout(IDLE, stream.read_buf(&mut first)) => read.unwrap_or(Ok(0)),
        () = late(drain) => Ok(0),
    };
    if read? == 0 {
        return Ok((Spoken::Nothing, first));
    }
    let deadline = Instant::now() + SLOW;
    while is_partial_preface(&first) {
        let more = tokio::time::timeout_at(deadline, stream.read_buf(&mut first)).await;
        match more {
            Ok(Ok(0)) | Err(_) => break,
            Ok(read) => read?,
        };
    }
    if !first.starts_with(PREFACE) {
        return Ok((Spoken::Http1, first));
    }
    settings(stream, &mut first, deadline).await?;
    Ok((Spoken::Http2, first))
}

/// A tunnel that was opened before the client heard of the drain still gets its first request in.
async fn late(drain: &Drain) {
    drain.started().await;
    tokio::time::sleep(LATE).await;
}

/// Reads on until the client's SETTINGS are here: they belong to its preface (RFC 9113 section 3.4), and a client that
/// never sends them would hold the connection without ever opening a stream.
async fn settings<S: AsyncRead + Unpin>(stream: &mut S, first: &mut BytesMut, deadline: Instant) -> io::Result<()> {
    while !has_first_frame(first) {
        match tokio::time::timeout_at(deadline, stream.read_buf(first)).await {
            Ok(Ok(0)) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => read?,
            Err(_) => return Err(io::Error::new(io::ErrorKind::TimedOut, "HTTP/2 SETTINGS did not come")),
        };
    }
    Ok(())
}

/// True when the frame after the preface is whole, or is one that h2 will refuse by its head.
fn has_first_frame(first: &[u8]) -> bool {
    const SETTINGS: u8 = 4;
    let Some(&[high, middle, low, kind, ..]) = first.get(PREFACE.len()..) else {
        return false;
    };
    let length = u32::from_be_bytes([0, high, middle, low]) as usize;
    let whole = PREFACE.len().saturating_add(9).saturating_add(length);
    kind != SETTINGS || length > LONGEST_SETTINGS || first.len() >= whole
}

/// On an undeclared port: HTTP, or bytes.
pub(crate) async fn any<S: AsyncRead + Unpin>(stream: &mut S, drain: &Drain) -> io::Result<(Spoken, BytesMut)> {
    let mut first = BytesMut::new();
    let read = tokio::select! {
        read = tokio::time::timeout(SERVER_FIRST, stream.read_buf(&mut first)) => read,
        () = late(drain) => return Ok((Spoken::Nothing, first)),
    };
    match read {
        Err(_) => return Ok((Spoken::Bytes, first)),
        Ok(Ok(0)) => return Ok((Spoken::Nothing, first)),
        Ok(read) => read?,
    };
    let deadline = Instant::now() + SLOW;
    loop {
        if first.starts_with(PREFACE) {
            settings(stream, &mut first, deadline).await?;
            return Ok((Spoken::Http2, first));
        }
        if !is_partial_preface(&first) {
            match looks_like_http1(&first) {
                Some(true) => return Ok((Spoken::Http1, first)),
                Some(false) => return Ok((Spoken::Bytes, first)),
                None => {}
            }
        }
        match tokio::time::timeout_at(deadline, stream.read_buf(&mut first)).await {
            Ok(Ok(0)) | Err(_) => return Ok((Spoken::Bytes, first)),
            Ok(read) => read?,
        };
    }
}

fn is_partial_preface(first: &[u8]) -> bool {
    first.len() < PREFACE.len() && PREFACE.starts_with(first)
}

/// A method, a space, a target that begins with `/`, `*` or `http`. `None`: too early to tell.
fn looks_like_http1(first: &[u8]) -> Option<bool> {
    let method = first
        .iter()
        .take_while(|byte| byte.is_ascii_uppercase() || **byte == b'-')
        .count();
    if method == 0 || method > METHOD {
        return Some(false);
    }
    match first.get(method) {
        None => None,
        Some(b' ') => {
            let target = first.get(method.saturating_add(1));
            target.map(|byte| matches!(byte, b'/' | b'*' | b'h' | b'H'))
        }
        Some(_) => Some(false),
    }
}

#[cfg(test)]
mod tests;
