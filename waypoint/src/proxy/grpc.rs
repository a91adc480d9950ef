//! What the proxy knows of gRPC: how to tell a request, and how to count messages.

use http::HeaderMap;
use http::header::CONTENT_TYPE;

/// `application/grpc`, with or without a suffix (`+proto`, `;..`), but not gRPC-Web (which is plain HTTP here).
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return false;
    };
    match value.as_bytes().strip_prefix(b"application/grpc") {
        Some(rest) => matches!(rest.first(), None | Some(b'+' | b';')),
        None => false,
    }
}

/// The gRPC status of a local answer that has only an HTTP status (gRPC, "HTTP to gRPC Status Code Mapping").
pub(crate) fn status_of(http: u16) -> u32 {
    match http {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502..=504 => 14,
        _ => 2,
    }
}

/// The HTTP status that says what a `grpc-status` says (Envoy's table), for outlier detection.
pub(crate) fn http_status(grpc_status: u32) -> u16 {
    match grpc_status {
        0 => 200,
        1 => 499,
        3 | 9 | 11 => 400,
        4 => 504,
        5 => 404,
        6 | 10 => 409,
        7 => 403,
        8 => 429,
        12 => 501,
        14 => 503,
        16 => 401,
        _ => 500,
    }
}

/// Counts length-prefixed messages as their bytes go by.
#[derive(Debug, Default)]
pub(crate) struct MessageCounter {
    messages: u64,
    /// Bytes of the current prefix that have been seen (0..5), and its length so far.
    prefix: u8,
    length: u32,
    /// Bytes of the current message that are still to come.
    remaining: u64,
}

impl MessageCounter {
    /// Messages whose prefix was complete.
    pub(crate) fn messages(&self) -> u64 {
        self.messages
    }

    /// Takes the next bytes of the stream.
    pub(crate) fn count(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            if self.remaining > 0 {
                let skip = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(data.len());
                self.remaining = self.remaining.saturating_sub(skip as u64);
                data = data.get(skip..).unwrap_or_default();
                continue;
            }
            let Some((byte, rest)) = data.split_first() else { return };
            data = rest;
            if self.prefix > 0 {
                self.length = self.length.wrapping_shl(8) | u32::from(*byte);
            }
            self.prefix = self.prefix.saturating_add(1);
            if self.prefix == 5 {
                self.messages = self.messages.saturating_add(1);
                self.remaining = u64::from(self.length);
                self.prefix = 0;
                self.length = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests;
