//! The matches of a rule, parsed: what a request must look like. Texts and patterns are shared by the parsed object and the
//! tables that are made of it.

mod istio;
mod regexes;

pub use istio::IstioMatch;
pub use regexes::RegexRoom;
pub(crate) use regexes::{source, within_limits};

use crate::SniPattern;
use http::{HeaderName, Method};
use regex::bytes::Regex;
use regexes::anchored;
use std::sync::Arc;

/// The matches of one rule (OR over the list). Empty: everything.
#[derive(Clone, Debug)]
pub enum Matches {
    /// HTTPRoute, and `http` of a VirtualService.
    Http(Vec<HttpMatch>),
    /// GRPCRoute.
    Grpc(Vec<GrpcMatch>),
    /// TLSRoute: its `hostnames`.
    Tls(Vec<SniPattern>),
    /// TCPRoute.
    Tcp,
}

/// HTTPRouteMatch (AND of all that is set).
#[derive(Clone, Debug, Default)]
pub struct HttpMatch {
    /// Default: prefix `/`.
    pub path: PathMatch,
    /// `method`.
    pub method: Option<Method>,
    /// `headers`: of equal names the first counts ([`crate::Table::build`] drops the rest).
    pub headers: Vec<HeaderMatch>,
    /// `queryParams`: likewise.
    pub query: Vec<QueryMatch>,
    /// What only a VirtualService asks for.
    pub istio: Option<Box<IstioMatch>>,
}

/// GRPCRouteMatch: the path is `/<service>/<method>`.
#[derive(Clone, Debug, Default)]
pub struct GrpcMatch {
    /// `method.service`.
    pub service: Option<TextMatch>,
    /// `method.method`.
    pub method: Option<TextMatch>,
    /// `headers`.
    pub headers: Vec<HeaderMatch>,
}

/// `path` of a match, `uri` of a VirtualService's. Case-sensitive but where the variant says otherwise.
#[derive(Clone, Debug)]
pub enum PathMatch {
    /// Exact.
    Exact(Arc<str>),
    /// PathPrefix, by element; a trailing slash makes no difference.
    Prefix(Arc<str>),
    /// Istio's `prefix`, by character: `/a` begins `/abc`.
    Start(Arc<str>),
    /// Istio's `exact` with `ignoreUriCase`. ASCII, as Envoy compares.
    ExactIgnoreCase(Arc<str>),
    /// Istio's `prefix` with `ignoreUriCase`.
    StartIgnoreCase(Arc<str>),
    /// RegularExpression, anchored; see [`PathMatch::regex`].
    Regex(Arc<Regex>),
}

impl Default for PathMatch {
    fn default() -> Self {
        Self::Prefix("/".into())
    }
}

/// What a text must be.
#[derive(Clone, Debug)]
pub enum TextMatch {
    /// Anything, as long as it is there (Istio).
    Any,
    /// Exact.
    Exact(Arc<str>),
    /// How it begins (Istio).
    Start(Arc<str>),
    /// RegularExpression: must match the whole text; see [`TextMatch::regex`].
    Regex(Arc<Regex>),
}

impl TextMatch {
    /// A size-limited, anchored regular expression of at most 1,024 characters.
    ///
    /// Classes such as `\w` and `(?i)` know ASCII only, as in RE2, which is what Istio's users write for.
    ///
    /// # Errors
    /// The text of the regex crate's error, or that it is too long or compiles too large (1 MiB).
    pub fn regex(pattern: &str) -> Result<Self, String> {
        Self::regex_in(pattern, &RegexRoom::default())
    }

    /// The same, in the room of its object.
    ///
    /// # Errors
    /// As there, or that there is no room left.
    pub fn regex_in(pattern: &str, room: &RegexRoom) -> Result<Self, String> {
        anchored(pattern, room).map(|regex| Self::Regex(Arc::new(regex)))
    }

    /// Whether the whole text matches.
    pub fn matches(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(wanted) => **wanted == *text,
            Self::Start(start) => text.starts_with(&**start),
            Self::Regex(regex) => regex.is_match(text.as_bytes()),
        }
    }
}

impl PathMatch {
    /// See [`TextMatch::regex`].
    ///
    /// # Errors
    /// As there.
    pub fn regex(pattern: &str) -> Result<Self, String> {
        Self::regex_in(pattern, &RegexRoom::default())
    }

    /// See [`TextMatch::regex_in`].
    ///
    /// # Errors
    /// As there.
    pub fn regex_in(pattern: &str, room: &RegexRoom) -> Result<Self, String> {
        anchored(pattern, room).map(|regex| Self::Regex(Arc::new(regex)))
    }
}

/// HTTPHeaderMatch. Repeated headers are joined by `,` before matching, cookies by `; `.
#[derive(Clone, Debug)]
pub struct HeaderMatch {
    /// Name.
    pub name: HeaderName,
    /// Value.
    pub value: TextMatch,
}

/// HTTPQueryParamMatch: the first parameter of that name counts, case-sensitive, compared as written (not decoded).
#[derive(Clone, Debug)]
pub struct QueryMatch {
    /// Name.
    pub name: String,
    /// Value.
    pub value: TextMatch,
}

#[cfg(test)]
mod tests;
