//! What the fields of one head say about the body that follows and about the connection.
//!
//! Here is decided which spellings of Content-Length, Transfer-Encoding, Connection, Upgrade and Expect are taken at
//! their word, and which are refused because another reader may see something else in them.

use super::HeadError;
use super::hop::options;
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderName, HeaderValue};

/// What the fields of one head say about framing and connection.
#[derive(Default)]
pub(super) struct Facts {
    pub(super) length: Option<u64>,
    pub(super) length_lines: usize,
    pub(super) length_is_list: bool,
    pub(super) chunked: bool,
    close: bool,
    keep: bool,
    connection_options: usize,
    pub(super) upgrade_option: bool,
    pub(super) upgrade: Upgrade,
    pub(super) expects_continue: bool,
}

#[derive(Default, PartialEq, Eq)]
pub(super) enum Upgrade {
    #[default]
    No,
    /// To one protocol that may be passed on blindly.
    Possible,
    /// Several, or one that carries HTTP requests of its own.
    Never,
}

impl Facts {
    pub(super) fn note_request(&mut self, name: &HeaderName, value: &HeaderValue) -> Result<(), HeadError> {
        // Lengths first: few names have one of these.
        match name.as_str().len() {
            6 if *name == EXPECT => {
                if !value.as_bytes().eq_ignore_ascii_case(b"100-continue") {
                    return Err(HeadError::Malformed("unknown expectation"));
                }
                self.expects_continue = true;
            }
            7 if *name == UPGRADE => self.note_upgrade(value),
            10 if *name == CONNECTION => self.note_connection(value, true)?,
            14 if *name == CONTENT_LENGTH => {
                if self.length.is_some() {
                    return Err(HeadError::Malformed("more than one Content-Length"));
                }
                self.length = Some(strict_length(value.as_bytes()).ok_or(BAD_LENGTH)?);
            }
            17 if *name == TRANSFER_ENCODING => self.note_coding(value)?,
            // Gateways that turn names into environment variables take these for the real ones.
            14 | 17 if ["content_length", "transfer_encoding"].contains(&name.as_str()) => {
                return Err(HeadError::Malformed("framing field spelt with an underscore"));
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn note_response(&mut self, name: &HeaderName, value: &HeaderValue) -> Result<(), HeadError> {
        match name.as_str().len() {
            10 if *name == CONNECTION => self.note_connection(value, false)?,
            14 if *name == CONTENT_LENGTH => {
                self.length_lines += 1;
                for one in value.as_bytes().split(|b| *b == b',') {
                    let length = decimal(one.trim_ascii()).ok_or(BAD_LENGTH)?;
                    if self.length.is_some_and(|before| before != length) {
                        return Err(HeadError::Malformed("two different Content-Lengths"));
                    }
                    self.length = Some(length);
                }
                self.length_is_list |= strict_length(value.as_bytes()).is_none();
            }
            17 if *name == TRANSFER_ENCODING => self.note_coding(value)?,
            _ => {}
        }
        Ok(())
    }

    fn note_coding(&mut self, value: &HeaderValue) -> Result<(), HeadError> {
        let value = value.as_bytes();
        if value.eq_ignore_ascii_case(b"chunked") {
            if self.chunked {
                return Err(HeadError::Malformed("chunked twice"));
            }
            self.chunked = true;
            return Ok(());
        }
        if value.windows(7).any(|w| w.eq_ignore_ascii_case(b"chunked")) || self.chunked {
            return Err(HeadError::Malformed("Transfer-Encoding is not exactly `chunked`"));
        }
        Err(HeadError::NotImplemented("transfer coding other than chunked"))
    }

    fn note_connection(&mut self, value: &HeaderValue, request: bool) -> Result<(), HeadError> {
        const MOST_OPTIONS: usize = 100;
        for option in options(value) {
            self.connection_options += 1;
            if self.connection_options > MOST_OPTIONS {
                return Err(HeadError::TooLarge("Connection options"));
            }
            match option.len() {
                5 => self.close |= option.eq_ignore_ascii_case(b"close"),
                7 => self.upgrade_option |= option.eq_ignore_ascii_case(b"upgrade"),
                10 => self.keep |= option.eq_ignore_ascii_case(b"keep-alive"),
                4 | 14 | 17 if request => {
                    let framing = [&b"host"[..], b"content-length", b"transfer-encoding"];
                    if framing.iter().any(|name| option.eq_ignore_ascii_case(name)) {
                        return Err(HeadError::Malformed("Connection names a field of routing or framing"));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn note_upgrade(&mut self, value: &HeaderValue) {
        let mut protocols = options(value);
        let one = protocols.next().is_some_and(may_be_opaque) && protocols.next().is_none();
        self.upgrade = if one && self.upgrade == Upgrade::No {
            Upgrade::Possible
        } else {
            Upgrade::Never
        };
    }

    pub(super) fn keep_alive(&self, new: bool) -> bool {
        !self.close && (new || self.keep)
    }
}

/// After `h2c`, `HTTP/..` or `TLS/..` the client would send requests that nobody judges.
fn may_be_opaque(protocol: &[u8]) -> bool {
    let name = protocol.split(|b| *b == b'/').next().unwrap_or_default();
    !["h2c", "h2", "http", "tls"]
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

const BAD_LENGTH: HeadError = HeadError::Malformed("Content-Length is not a plain decimal number");

/// Digits only, no leading zero, fits 64 bits.
fn strict_length(value: &[u8]) -> Option<u64> {
    if value.len() > 1 && value.first() == Some(&b'0') {
        None
    } else {
        decimal(value)
    }
}

fn decimal(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}
