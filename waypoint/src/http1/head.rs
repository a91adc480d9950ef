//! Request and response heads: from bytes to `http` types, or a refusal.
//!
//! `httparse` cuts the lines; the rules here are those on which two readers could differ: line ends, body
//! framing, the target, the method's spelling. A request is held to the letter (RFC 9110, RFC 9112), a response
//! only where a lenient reading could move the end of its body.

use super::facts::{Facts, Upgrade};
use super::lines::{self, Lines};
use super::{Framing, HeadError, Limits};
use bytes::{Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, request, response,
};
use std::mem::MaybeUninit;

/// A request head and what it says about its connection.
#[derive(Debug)]
pub(super) struct RequestHead {
    pub(super) parts: request::Parts,
    pub(super) framing: Framing,
    /// The client will keep the connection.
    pub(super) keep_alive: bool,
    pub(super) expects_continue: bool,
    pub(super) wants_upgrade: bool,
}

/// A response head and what it says about its connection.
#[derive(Debug)]
pub(super) struct ResponseHead {
    pub(super) parts: response::Parts,
    pub(super) framing: Framing,
    /// The server will keep the connection, and nothing in the head makes its end doubtful.
    pub(super) keep_alive: bool,
}

/// How far a head that comes in pieces has been looked at.
#[derive(Debug, Default)]
pub(super) struct Search {
    lines: Lines,
    /// Bytes there were when `httparse` last saw them.
    tried: usize,
}

/// Takes a request head off the front of `buf`, if all of it is there.
pub(super) fn take_request(
    buf: &mut BytesMut,
    search: &mut Search,
    limits: &Limits,
) -> Result<Option<RequestHead>, HeadError> {
    take(buf, search, limits, |bytes, storage| {
        let mut parsed = httparse::Request::new(&mut []);
        let status = parsed
            .parse_with_uninit_headers(bytes, storage)
            .map_err(|error| refuse_request(error, bytes))?;
        let httparse::Status::Complete(length) = status else {
            return Ok(None);
        };
        within(bytes, length, parsed.headers.len(), limits)?;
        let (Some(method), Some(target), Some(minor)) = (parsed.method, parsed.path, parsed.version) else {
            return Err(HeadError::Malformed("incomplete request line"));
        };
        Ok(Some((
            length,
            request_head(bytes, method, target, minor, parsed.headers)?,
        )))
    })
}

/// Takes a response head off the front of `buf`, if all of it is there. `to` is the method it answers.
pub(super) fn take_response(
    buf: &mut BytesMut,
    search: &mut Search,
    limits: &Limits,
    to: &Method,
) -> Result<Option<ResponseHead>, HeadError> {
    take(buf, search, limits, |bytes, storage| {
        let mut parsed = httparse::Response::new(&mut []);
        let status = httparse::ParserConfig::default()
            .parse_response_with_uninit_headers(&mut parsed, bytes, storage)
            .map_err(refuse)?;
        let httparse::Status::Complete(length) = status else {
            return Ok(None);
        };
        within(bytes, length, parsed.headers.len(), limits)?;
        let (Some(code), Some(minor)) = (parsed.code, parsed.version) else {
            return Err(HeadError::Malformed("incomplete status line"));
        };
        Ok(Some((length, response_head(bytes, code, minor, parsed.headers, to)?)))
    })
}

type Storage<'s, 'b> = &'s mut [MaybeUninit<httparse::Header<'b>>];

/// Parses when it may succeed: at first, when the bytes have doubled (so that nonsense is noticed early and the work
/// stays linear), and when the empty line has come.
fn take<T>(
    buf: &mut BytesMut,
    search: &mut Search,
    limits: &Limits,
    parse: impl for<'s, 'b> FnOnce(&'b Bytes, Storage<'s, 'b>) -> Result<Option<(usize, T)>, HeadError>,
) -> Result<Option<T>, HeadError> {
    let first = search.tried == 0;
    let ended = !first && search.lines.end(buf).map_err(HeadError::Malformed)?.is_some();
    if matches!(buf.first(), Some(b'\r' | b'\n')) {
        return Err(HeadError::Malformed("empty line before the head"));
    }
    if first || ended || buf.len() >= search.tried.saturating_mul(2) {
        search.tried = buf.len();
        let mut storage = [const { MaybeUninit::uninit() }; Limits::MOST_HEADERS];
        let most = limits.headers.min(storage.len());
        let bytes = buf.split().freeze();
        if let Some((length, head)) = parse(&bytes, storage.get_mut(..most).unwrap_or_default())? {
            // What follows is copied, so that the head's fields do not pin it, nor it them.
            *buf = bytes.get(length..).map(BytesMut::from).unwrap_or_default();
            *search = Search::default();
            return Ok(Some(head));
        }
        *buf = bytes
            .try_into_mut()
            .unwrap_or_else(|shared| BytesMut::from(&shared[..]));
    }
    if first {
        search.lines.end(buf).map_err(HeadError::Malformed)?;
    }
    if buf.len() >= limits.head_bytes {
        return Err(if search.lines.in_first() {
            HeadError::UriTooLong
        } else {
            HeadError::TooLarge("bytes")
        });
    }
    Ok(None)
}

fn refuse(error: httparse::Error) -> HeadError {
    match error {
        httparse::Error::Version => HeadError::Version,
        httparse::Error::TooManyHeaders => HeadError::TooLarge("header lines"),
        httparse::Error::HeaderName => HeadError::Malformed("header name"),
        httparse::Error::HeaderValue => HeadError::Malformed("header value"),
        httparse::Error::NewLine => HeadError::Malformed("line end"),
        httparse::Error::Status => HeadError::Malformed("status line"),
        httparse::Error::Token => HeadError::Malformed("request line"),
    }
}

/// What stands where the version should is an unknown version only if it looks like one.
fn refuse_request(error: httparse::Error, bytes: &[u8]) -> HeadError {
    let line = bytes.split(|b| *b == b'\r' || *b == b'\n').next().unwrap_or_default();
    let mut words = line.split(|b| *b == b' ').skip(2);
    let version = words.next().is_some_and(|word| word.starts_with(b"HTTP/")) && words.next().is_none();
    match refuse(error) {
        HeadError::Version if !version => HeadError::Malformed("request line"),
        refusal => refusal,
    }
}

fn within(bytes: &[u8], length: usize, fields: usize, limits: &Limits) -> Result<(), HeadError> {
    if length > limits.head_bytes {
        return Err(HeadError::TooLarge("bytes"));
    }
    let head = bytes.get(..length).unwrap_or_default();
    lines::ends_are_crlf(head, fields + 2).map_err(HeadError::Malformed)
}

fn request_head(
    bytes: &Bytes,
    method: &str,
    target: &str,
    minor: u8,
    fields: &[httparse::Header<'_>],
) -> Result<RequestHead, HeadError> {
    let method = parse_method(method)?;
    let uri = parse_target(bytes, target, &method)?;
    let mut facts = Facts::default();
    let headers = collect(bytes, fields, |name, value| facts.note_request(name, value))?;
    let new = minor == 1;
    let framing = match (facts.length, facts.chunked) {
        (Some(_), true) => return Err(HeadError::Malformed("both Content-Length and Transfer-Encoding")),
        (None, true) if !new => return Err(HeadError::Malformed("Transfer-Encoding in HTTP/1.0")),
        (None, true) => Framing::Chunked,
        (Some(length), false) => Framing::Length(length),
        (None, false) => Framing::None,
    };
    let has_body = !matches!(framing, Framing::None | Framing::Length(0));
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.method = method;
    parts.uri = uri;
    parts.version = if new { Version::HTTP_11 } else { Version::HTTP_10 };
    parts.headers = headers;
    Ok(RequestHead {
        parts,
        framing,
        keep_alive: facts.keep_alive(new),
        expects_continue: new && has_body && facts.expects_continue,
        wants_upgrade: new && !has_body && facts.upgrade_option && facts.upgrade == Upgrade::Possible,
    })
}

fn response_head(
    bytes: &Bytes,
    code: u16,
    minor: u8,
    fields: &[httparse::Header<'_>],
    to: &Method,
) -> Result<ResponseHead, HeadError> {
    let status = StatusCode::from_u16(code).map_err(|_| HeadError::Malformed("status code"))?;
    let mut facts = Facts::default();
    let mut headers = collect(bytes, fields, |name, value| facts.note_response(name, value))?;
    let new = minor == 1;
    if facts.chunked && (facts.length.is_some() || !new) {
        return Err(HeadError::Malformed(
            "Transfer-Encoding with Content-Length, or in HTTP/1.0",
        ));
    }
    if facts.length_lines > 1 || facts.length_is_list {
        // Said more than once, always the same: say it once (RFC 9112 section 6.3).
        if let Some(length) = facts.length {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
    }
    let never_has_body = status.is_informational() || status == StatusCode::NO_CONTENT;
    let framing = match facts.length {
        _ if never_has_body || status == StatusCode::NOT_MODIFIED || *to == Method::HEAD => Framing::None,
        _ if *to == Method::CONNECT && status.is_success() => Framing::None,
        Some(length) => Framing::Length(length),
        None if facts.chunked => Framing::Chunked,
        None => Framing::UntilClose,
    };
    let announces_body = facts.chunked || facts.length.is_some_and(|length| length > 0);
    let (mut parts, ()) = Response::new(()).into_parts();
    parts.status = status;
    parts.version = if new { Version::HTTP_11 } else { Version::HTTP_10 };
    parts.headers = headers;
    Ok(ResponseHead {
        parts,
        framing,
        keep_alive: facts.keep_alive(new) && framing != Framing::UntilClose && !(never_has_body && announces_body),
    })
}

/// Methods are case-sensitive (RFC 9110 section 9.1), but not every reader knows: a known one in other letters
/// would pass a policy on `GET` and be a `GET` further on.
fn parse_method(method: &str) -> Result<Method, HeadError> {
    const LONGEST: usize = 32;
    const KNOWN: [Method; 9] = [
        Method::GET,
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::HEAD,
        Method::OPTIONS,
        Method::PATCH,
        Method::TRACE,
        Method::CONNECT,
    ];
    if method.len() > LONGEST {
        return Err(HeadError::NotImplemented("method of more than 32 bytes"));
    }
    let parsed = Method::from_bytes(method.as_bytes()).map_err(|_| HeadError::Malformed("method"))?;
    if method.bytes().any(|b| b.is_ascii_lowercase()) && KNOWN.iter().any(|k| k.as_str().eq_ignore_ascii_case(method)) {
        return Err(HeadError::Malformed("method not in upper case"));
    }
    Ok(parsed)
}

/// The target as written, if `http::Uri` says the same as the bytes do.
fn parse_target(bytes: &Bytes, target: &str, method: &Method) -> Result<Uri, HeadError> {
    if !target.is_ascii() {
        return Err(HeadError::Malformed("target is not ASCII"));
    }
    // A fragment is not part of a request; like Istio's waypoint, we drop it before anything looks at the target.
    let target = target.split_once('#').map_or(target, |(target, _)| target);
    let uri = Uri::from_maybe_shared(bytes.slice_ref(target.as_bytes())).map_err(|_| HeadError::Malformed("target"))?;
    let same = if target.starts_with('/') || target == "*" {
        uri.path_and_query().is_some_and(|path| path.as_str() == target)
    } else if uri.scheme().is_none() {
        *method == Method::CONNECT
    } else {
        // Absolute form: the scheme is taken in any case, and an empty path is "/".
        let said = uri.to_string();
        said.eq_ignore_ascii_case(target) || said.strip_suffix('/').is_some_and(|s| s.eq_ignore_ascii_case(target))
    };
    if same {
        Ok(uri)
    } else {
        Err(HeadError::Malformed("target form"))
    }
}

fn collect(
    bytes: &Bytes,
    fields: &[httparse::Header<'_>],
    mut note: impl FnMut(&HeaderName, &HeaderValue) -> Result<(), HeadError>,
) -> Result<HeaderMap, HeadError> {
    let mut headers = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| HeadError::Malformed("header name"))?;
        let value = HeaderValue::from_maybe_shared(bytes.slice_ref(field.value))
            .map_err(|_| HeadError::Malformed("header value"))?;
        note(&name, &value)?;
        headers.append(name, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests;
