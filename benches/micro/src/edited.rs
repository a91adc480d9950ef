//! A request's headers, and a filter that edits them.

use http::{HeaderMap, HeaderName, HeaderValue};
use routing::HeaderModifier;

/// Headers as a browser behind a gateway sends them, and a RequestHeaderModifier of each kind.
#[derive(Debug)]
pub struct Edited {
    headers: HeaderMap,
    modifier: HeaderModifier,
}

impl Edited {
    /// Twelve headers; two are set (one is there already), one is added, one removed.
    pub fn new() -> Self {
        let header = |name, value| (HeaderName::from_static(name), HeaderValue::from_static(value));
        let headers = [
            ("host", "reviews.bookinfo:9080"),
            (
                "user-agent",
                "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0",
            ),
            (
                "accept",
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            ),
            ("accept-language", "en-US,en;q=0.5"),
            ("accept-encoding", "gzip, deflate, br"),
            ("cookie", "session=8f14e45fceea467fa0e61a2b3c4d5e6f; theme=dark"),
            ("x-request-id", "6f0d3b1c-1111-2222-3333-444455556666"),
            ("x-forwarded-for", "10.1.2.3"),
            ("x-forwarded-proto", "https"),
            ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            ("x-debug", "1"),
            ("x-version", "v1"),
        ];
        Self {
            headers: headers.into_iter().map(|(name, value)| header(name, value)).collect(),
            modifier: HeaderModifier {
                set: vec![header("x-version", "v2"), header("x-route", "reviews")],
                add: vec![header("x-forwarded-for", "10.9.8.7")],
                remove: vec![HeaderName::from_static("x-debug")],
            },
        }
    }

    /// The headers before.
    pub fn headers(&self) -> HeaderMap {
        self.headers.clone()
    }

    /// Edits them; how many there are then.
    pub fn edit(&self, headers: &mut HeaderMap) -> usize {
        self.modifier.apply(headers);
        headers.len()
    }
}

impl Default for Edited {
    fn default() -> Self {
        Self::new()
    }
}
