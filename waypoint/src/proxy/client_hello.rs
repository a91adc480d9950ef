//! The name that a TLS client asks for (SNI), read from its ClientHello without taking part in the handshake.
//!
//! A parser of our own: it needs no key, no certificate and no state machine, and whatever the bytes are it ends in a
//! name, in no name, or in a refusal. What was read stays in the buffer and goes on to the endpoint as it came.

use bytes::BytesMut;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::Instant;

/// From the first wait to the last byte of the ClientHello.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest ClientHello, as Envoy's: post-quantum key shares make about 2 KiB, session tickets more.
const LONGEST: usize = 16 * 1024;
/// Bytes on the wire for it: what is split into tiny records has a head for each.
const LONGEST_ON_WIRE: usize = 20 * 1024;
/// RFC 8446 section 5.1: no record of plaintext is longer.
const LONGEST_RECORD: usize = 1 << 14;

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_NAME: u16 = 0;
const HOST_NAME: u8 = 0;

/// What a connection opens with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    /// A ClientHello, and the name it asks for: lower case, without a dot at its end.
    Tls(Option<String>),
    /// Not TLS: told by the very first bytes.
    Other,
}

/// Why there is no telling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoOpening(pub(crate) &'static str);

const TOO_LARGE: NoOpening = NoOpening("too large");
const SLOW: NoOpening = NoOpening("did not come in time");
const GONE: NoOpening = NoOpening("the client ended before it");

/// Reads until the ClientHello is whole. `first` is what was read already, and holds all that is read here.
pub(crate) async fn read<S: AsyncRead + Unpin>(first: &mut BytesMut, stream: &mut S) -> Result<Opening, NoOpening> {
    let deadline = Instant::now() + PATIENCE;
    let mut hello = Hello::default();
    loop {
        if let Some(opening) = hello.look(first)? {
            return Ok(opening);
        }
        match tokio::time::timeout_at(deadline, stream.read_buf(first)).await {
            Err(_) => return Err(SLOW),
            Ok(Ok(0) | Err(_)) => return Err(GONE),
            Ok(Ok(_)) => {}
        }
    }
}

/// A ClientHello as its records come in.
#[derive(Debug, Default)]
struct Hello {
    /// The handshake message so far, out of its records.
    message: Vec<u8>,
    /// Where the next record begins.
    next: usize,
}

impl Hello {
    /// Takes the records that are whole in `bytes`, which grow from call to call. `None`: more has to come.
    fn look(&mut self, bytes: &[u8]) -> Result<Option<Opening>, NoOpening> {
        loop {
            let rest = bytes.get(self.next..).unwrap_or_default();
            match rest {
                [] => break,
                // A TCP client that happens to speak otherwise is told by its first two bytes.
                [kind, ..] if *kind != HANDSHAKE && self.next == 0 => return Ok(Some(Opening::Other)),
                [_, major, ..] if *major != 3 && self.next == 0 => return Ok(Some(Opening::Other)),
                [kind, ..] if *kind != HANDSHAKE => return Err(NoOpening("no handshake record")),
                [_, major, ..] if *major != 3 => return Err(NoOpening("record version")),
                [_, _, _, high, low, after @ ..] => {
                    let length = usize::from(u16::from_be_bytes([*high, *low]));
                    if length == 0 || length > LONGEST_RECORD {
                        return Err(NoOpening("record length"));
                    }
                    let Some(payload) = after.get(..length) else { break };
                    self.message.extend_from_slice(payload);
                    self.next = self.next.saturating_add(length).saturating_add(5);
                    if let Some(body) = self.body()? {
                        return server_name(body).map(|name| Some(Opening::Tls(name)));
                    }
                }
                _ => break,
            }
        }
        if bytes.len() > LONGEST_ON_WIRE {
            return Err(TOO_LARGE);
        }
        Ok(None)
    }

    /// The message without its head, once it is whole.
    fn body(&self) -> Result<Option<&[u8]>, NoOpening> {
        match self.message.as_slice() {
            [kind, ..] if *kind != CLIENT_HELLO => Err(NoOpening("no ClientHello")),
            [_, high, middle, low, body @ ..] => {
                let length = u32::from_be_bytes([0, *high, *middle, *low]) as usize;
                match body.len() {
                    _ if length > LONGEST => Err(TOO_LARGE),
                    // Nothing can follow before the server has answered.
                    have if have > length => Err(NoOpening("more than a ClientHello")),
                    have if have == length => Ok(Some(body)),
                    _ => Ok(None),
                }
            }
            _ => Ok(None),
        }
    }
}

/// RFC 8446 section 4.1.2; RFC 5246 section 7.4.1.2 has the same form.
fn server_name(body: &[u8]) -> Result<Option<String>, NoOpening> {
    let mut hello = Bytes(body);
    hello.take(2 + 32)?; // legacy_version, random
    if hello.vector8()?.0.len() > 32 {
        return Err(NoOpening("session id"));
    }
    let suites = hello.vector16()?.0.len();
    if suites == 0 || suites % 2 != 0 {
        return Err(NoOpening("cipher suites"));
    }
    if hello.vector8()?.0.is_empty() {
        return Err(NoOpening("compression methods"));
    }
    if hello.0.is_empty() {
        return Ok(None);
    }
    let mut extensions = hello.vector16()?;
    if !hello.0.is_empty() {
        return Err(NoOpening("bytes after the extensions"));
    }
    let mut found = None;
    while !extensions.0.is_empty() {
        let kind = extensions.number16()?;
        let data = extensions.vector16()?;
        // Twice: which of them the endpoint believes, nobody knows here.
        if kind == SERVER_NAME && found.replace(host_name(data)?).is_some() {
            return Err(NoOpening("two server names"));
        }
    }
    Ok(found)
}

/// RFC 6066 section 3: a list, in which each type stands once, and there is one type.
fn host_name(mut extension: Bytes<'_>) -> Result<String, NoOpening> {
    let mut list = extension.vector16()?;
    let kind = list.number8()?;
    let name = list.vector16()?.0;
    if kind != HOST_NAME || !list.0.is_empty() || !extension.0.is_empty() {
        return Err(NoOpening("server name list"));
    }
    let name = name.strip_suffix(b".").unwrap_or(name);
    let is_label = |label: &[u8]| {
        let is_known = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        !label.is_empty() && label.iter().all(is_known)
    };
    match std::str::from_utf8(name) {
        Ok(text) if name.len() <= 253 && name.split(|byte| *byte == b'.').all(is_label) => {
            Ok(text.to_ascii_lowercase())
        }
        _ => Err(NoOpening("server name")),
    }
}

/// What is left to parse. Every step takes from its front or refuses.
#[derive(Clone, Copy)]
struct Bytes<'b>(&'b [u8]);

impl<'b> Bytes<'b> {
    fn take(&mut self, count: usize) -> Result<&'b [u8], NoOpening> {
        let short = NoOpening("a part is longer than the whole");
        let (taken, rest) = self.0.split_at_checked(count).ok_or(short)?;
        self.0 = rest;
        Ok(taken)
    }

    fn number8(&mut self) -> Result<u8, NoOpening> {
        Ok(self.take(1)?.first().copied().unwrap_or_default())
    }

    fn number16(&mut self) -> Result<u16, NoOpening> {
        Ok(u16::from_be_bytes([self.number8()?, self.number8()?]))
    }

    fn vector8(&mut self) -> Result<Self, NoOpening> {
        let length = self.number8()?;
        self.take(length.into()).map(Self)
    }

    fn vector16(&mut self) -> Result<Self, NoOpening> {
        let length = self.number16()?;
        self.take(length.into()).map(Self)
    }
}

#[cfg(test)]
mod tests;
