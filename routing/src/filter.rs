//! What a rule does to a request and a response, as data that is ready to apply.

use crate::ClusterId;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};

/// The filters of a rule or a backendRef, in the form they are applied in.
#[derive(Clone, Debug, Default)]
pub struct Filters {
    /// RequestHeaderModifier.
    pub request_headers: Option<HeaderModifier>,
    /// ResponseHeaderModifier.
    pub response_headers: Option<HeaderModifier>,
    /// RequestRedirect: answered by the proxy.
    pub redirect: Option<Redirect>,
    /// URLRewrite.
    pub rewrite: Option<Rewrite>,
    /// RequestMirror, each.
    pub mirrors: Vec<Mirror>,
}

/// `set`, `add`, `remove`, exactly as written; names and values pre-built.
#[derive(Clone, Debug, Default)]
pub struct HeaderModifier {
    /// Overwrites.
    pub set: Vec<(HeaderName, HeaderValue)>,
    /// Appends.
    pub add: Vec<(HeaderName, HeaderValue)>,
    /// Removes.
    pub remove: Vec<HeaderName>,
}

impl HeaderModifier {
    /// Applies set, then add, then remove.
    pub fn apply(&self, _headers: &mut HeaderMap) {
        todo!()
    }
}

/// RequestRedirect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// `scheme`.
    pub scheme: Option<String>,
    /// `hostname`.
    pub hostname: Option<String>,
    /// `port`.
    pub port: Option<u16>,
    /// `path`.
    pub path: Option<PathRewrite>,
    /// `statusCode`, default 302.
    pub status: u16,
}

impl Redirect {
    /// The `Location` for a request: default ports are omitted, `replacePrefixMatch` never gives "" or "//",
    /// the query stays.
    ///
    /// `matched_prefix` is the PathPrefix of the match that chose the rule; `service_port` the port the client
    /// spoke to; `scheme` the request's scheme (`http`).
    pub fn location(
        &self,
        _head: &request::Head,
        _scheme: &str,
        _service_port: u16,
        _matched_prefix: Option<&str>,
    ) -> String {
        todo!()
    }
}

/// URLRewrite.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rewrite {
    /// `hostname`: the Host / `:authority` sent upstream.
    pub hostname: Option<HostRewrite>,
    /// `path`.
    pub path: Option<PathRewrite>,
}

impl Rewrite {
    /// The path and query to send upstream, as the `:path` text.
    pub fn path_and_query(&self, _head: &request::Head, _matched_prefix: Option<&str>) -> Option<String> {
        todo!()
    }
}

/// A rewritten Host, pre-built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostRewrite(pub HeaderValue);

/// `path` of a redirect or rewrite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathRewrite {
    /// ReplaceFullPath.
    Full(String),
    /// ReplacePrefixMatch.
    Prefix(String),
}

/// RequestMirror.
#[derive(Clone, Debug)]
pub struct Mirror {
    /// Where copies go. `None`: the reference is invalid and nothing is sent.
    pub cluster: Option<ClusterId>,
    /// `percent` or `fraction`: copies of `numerator` in `denominator` requests. Default 1 of 1.
    pub numerator: u32,
    /// See `numerator`; never 0.
    pub denominator: u32,
}

impl Mirror {
    /// Whether the request with this random number is mirrored.
    pub fn samples(&self, _random: u64) -> bool {
        todo!()
    }
}

// CORS, externalAuth and session persistence will stand beside these.
const _: Option<(Method, Uri)> = None;
