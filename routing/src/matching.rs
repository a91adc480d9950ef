//! The matches of a rule, parsed: what a request must look like.

use http::{HeaderName, Method};
use regex::Regex;

/// The matches of one rule (OR over the list). Empty: everything.
#[derive(Clone, Debug)]
pub enum Matches {
    /// HTTPRoute.
    Http(Vec<HttpMatch>),
    /// GRPCRoute.
    Grpc(Vec<GrpcMatch>),
}

/// HTTPRouteMatch (AND of all that is set).
#[derive(Clone, Debug, Default)]
pub struct HttpMatch {
    /// Default: prefix `/`.
    pub path: PathMatch,
    /// `method`.
    pub method: Option<Method>,
    /// `headers`: of equal names the first counts (the builder drops the rest).
    pub headers: Vec<HeaderMatch>,
    /// `queryParams`: likewise.
    pub query: Vec<QueryMatch>,
}

/// GRPCRouteMatch.
#[derive(Clone, Debug, Default)]
pub struct GrpcMatch {
    /// `method.service`.
    pub service: Option<TextMatch>,
    /// `method.method`.
    pub method: Option<TextMatch>,
    /// `headers`.
    pub headers: Vec<HeaderMatch>,
}

/// `path` of a match.
#[derive(Clone, Debug)]
pub enum PathMatch {
    /// Exact.
    Exact(String),
    /// PathPrefix, by element; stored without a trailing slash (except `/`).
    Prefix(String),
    /// RegularExpression, anchored.
    Regex(Regex),
}

impl Default for PathMatch {
    fn default() -> Self {
        Self::Prefix("/".to_owned())
    }
}

/// Exact or regular expression (anchored).
#[derive(Clone, Debug)]
pub enum TextMatch {
    /// Exact.
    Exact(String),
    /// RegularExpression: must match the whole text.
    Regex(Regex),
}

impl TextMatch {
    /// A size-limited, anchored regular expression of at most 1,024 characters.
    ///
    /// # Errors
    /// The text of the regex crate's error, or that it is too long or compiles too large.
    pub fn regex(_pattern: &str) -> Result<Self, String> {
        todo!()
    }
}

impl PathMatch {
    /// See [`TextMatch::regex`].
    ///
    /// # Errors
    /// As there.
    pub fn regex(_pattern: &str) -> Result<Self, String> {
        todo!()
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

/// HTTPQueryParamMatch: the first parameter of that name counts, case-sensitive.
#[derive(Clone, Debug)]
pub struct QueryMatch {
    /// Name.
    pub name: String,
    /// Value.
    pub value: TextMatch,
}
