//! A request as routing and policy see it: a view of what was received and parsed.

use crate::{Connection, Head};
use http::header::{CONTENT_TYPE, COOKIE, GetAll, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use std::borrow::Cow;
use std::net::IpAddr;

/// A whole request as routing and policy see it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The method.
    pub method: &'a Method,
    /// Authority, path, query.
    pub head: &'a Head,
    /// Headers as received, less what a client may never set.
    pub headers: &'a HeaderMap,
    /// The tunnel it came through.
    pub connection: &'a Connection,
    /// The forwarded client address (right-most X-Forwarded-For), or the peer's.
    pub remote_ip: IpAddr,
}

impl<'a> Request<'a> {
    /// The value of a header as routes and policies compare it: repeated fields joined by `,` (Envoy; RFC 9110
    /// section 5.3), crumbs of Cookie by `; ` (RFC 9113 section 8.2.3). `Host` is the parsed authority, however
    /// it was sent. Bytes that are not UTF-8 become U+FFFD, so that a value that is there is never taken for a
    /// missing one.
    ///
    /// Allocates only for repeated fields and for values that are not UTF-8.
    pub fn header_joined(&self, name: &HeaderName) -> Option<Cow<'a, str>> {
        if *name == HOST {
            return Some(Cow::Borrowed(self.head.authority.as_str()));
        }
        let all = self.headers.get_all(name);
        let mut values = all.iter();
        let first = values.next()?;
        if values.next().is_none() {
            return Some(String::from_utf8_lossy(first.as_bytes()));
        }
        Some(Cow::Owned(join(&all, separator(name))))
    }

    /// True when [`Request::header_joined`] is exactly `wanted`; never allocates.
    pub fn header_is(&self, name: &HeaderName, wanted: &str) -> bool {
        if *name == HOST {
            return self.head.authority.as_str() == wanted;
        }
        let mut rest = wanted.as_bytes();
        let mut found = false;
        for value in self.headers.get_all(name) {
            if found {
                match rest.strip_prefix(separator(name).as_bytes()) {
                    Some(after) => rest = after,
                    None => return false,
                }
            }
            match rest.strip_prefix(value.as_bytes()) {
                Some(after) => rest = after,
                None => return false,
            }
            found = true;
        }
        found && rest.is_empty()
    }

    /// The first value of a query parameter, neither decoded nor trimmed (Envoy's `query_parameters` matcher does not
    /// decode either). A parameter without `=` has the value "".
    pub fn query_parameter(&self, name: &str) -> Option<&'a str> {
        self.head.query.as_deref()?.split('&').find_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (key == name).then_some(value)
        })
    }

    /// True when the content type is `application/grpc` or `application/grpc+...`: such a request is refused in
    /// gRPC's way. gRPC-Web is not gRPC.
    pub fn is_grpc(&self) -> bool {
        const GRPC: &[u8] = b"application/grpc";
        let Some(value) = self.headers.get(CONTENT_TYPE) else {
            return false;
        };
        match value.as_bytes().split_at_checked(GRPC.len()) {
            Some((start, rest)) => start.eq_ignore_ascii_case(GRPC) && matches!(rest, [] | [b'+' | b';' | b' ', ..]),
            None => false,
        }
    }
}

fn separator(name: &HeaderName) -> &'static str {
    if *name == COOKIE { "; " } else { "," }
}

fn join(values: &GetAll<'_, HeaderValue>, separator: &str) -> String {
    let mut text = String::new();
    for (i, value) in values.iter().enumerate() {
        if i > 0 {
            text.push_str(separator);
        }
        text.push_str(&String::from_utf8_lossy(value.as_bytes()));
    }
    text
}

#[cfg(test)]
mod tests;
