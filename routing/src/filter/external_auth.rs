//! Who else must allow a request, and what they are told of it: the ExternalAuth filter (GEP-1494), and Istio's
//! external authorisation providers, which are the same thing by another name.

use crate::ClusterId;
use http::{HeaderName, HeaderValue, StatusCode};
use std::sync::Arc;
use std::time::Duration;

/// An external authoriser, ready to be asked.
#[derive(Clone, Debug)]
pub struct ExternalAuth {
    /// The provider's name, or the filter's backend: in metrics and logs.
    pub name: Arc<str>,
    /// Where it is.
    pub cluster: ClusterId,
    /// `:authority` of a gRPC check. (A check over HTTP carries the one of the request.)
    pub authority: HeaderValue,
    /// How it is asked.
    pub check: AuthCheck,
}

/// How an external authoriser is asked.
#[derive(Clone, Debug)]
pub struct AuthCheck {
    /// What it speaks.
    pub protocol: AuthProtocol,
    /// A check that takes longer has failed.
    pub timeout: Duration,
    /// A check that failed allows.
    pub fail_open: bool,
    /// Otherwise it is answered with this status.
    pub status_on_error: StatusCode,
    /// Headers of the request that it sees, beside those that every check carries.
    pub request_headers: HeaderNames,
    /// Headers that every check carries, with these values whatever the client sent.
    pub fixed_headers: Vec<(HeaderName, HeaderValue)>,
    /// How much of the request's body it sees; `None`: nothing.
    pub body: Option<AuthBody>,
}

/// What an external authoriser speaks.
#[derive(Clone, Debug)]
pub enum AuthProtocol {
    /// `envoy.service.auth.v3.Authorization/Check`. What changes is in its answer.
    Grpc,
    /// The request itself, without its body unless asked for: 200 allows, anything else is the answer to the client.
    Http(HttpAuth),
}

/// What is special about checks over HTTP.
#[derive(Clone, Debug)]
pub struct HttpAuth {
    /// Goes before the request's path. Empty, or begins with `/`.
    pub path_prefix: String,
    /// Headers of an allowing answer that replace those of the request.
    pub to_upstream: HeaderNames,
    /// Headers of an allowing answer that the client gets with the backend's.
    pub to_client_on_allow: HeaderNames,
    /// Headers of a denying answer that the client gets.
    pub to_client_on_deny: HeaderNames,
}

/// How much of a request's body a check carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuthBody {
    /// At most so many bytes are held and sent.
    pub max_bytes: usize,
    /// Of a longer body the beginning is sent; otherwise the request is refused (413).
    pub partial: bool,
    /// gRPC only: as `raw_body`, for bodies that are not UTF-8.
    pub as_bytes: bool,
}

/// A set of header names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderNames {
    /// All.
    All,
    /// Those that one of these names. Empty: none.
    Only(Vec<HeaderPattern>),
}

/// Header names as Istio writes them: `name`, `prefix*`, `*suffix`, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderPattern {
    /// This one.
    Exact(HeaderName),
    /// Those that begin so.
    Prefix(Box<str>),
    /// Those that end so.
    Suffix(Box<str>),
}

impl HeaderNames {
    /// No header.
    pub const NONE: Self = Self::Only(Vec::new());

    /// Whether this name is one of them.
    pub fn contain(&self, name: &HeaderName) -> bool {
        match self {
            Self::All => true,
            Self::Only(patterns) => patterns.iter().any(|pattern| pattern.matches(name)),
        }
    }
}

impl HeaderPattern {
    /// Reads a pattern; `None` for what can name no header, `*` alone among it (Istio refuses it).
    pub fn parse(text: &str) -> Option<Self> {
        // An asterisk is a token character, so that a header name may hold one; nobody means that.
        let piece = |text: &str| {
            HeaderName::from_bytes(text.as_bytes())
                .ok()
                .filter(|_| !text.contains('*'))
        };
        if let Some(suffix) = text.strip_prefix('*') {
            return Some(Self::Suffix(piece(suffix)?.as_str().into()));
        }
        if let Some(prefix) = text.strip_suffix('*') {
            return Some(Self::Prefix(piece(prefix)?.as_str().into()));
        }
        piece(text).map(Self::Exact)
    }

    fn matches(&self, name: &HeaderName) -> bool {
        match self {
            Self::Exact(exact) => exact == name,
            Self::Prefix(prefix) => name.as_str().starts_with(&**prefix),
            Self::Suffix(suffix) => name.as_str().ends_with(&**suffix),
        }
    }
}

#[cfg(test)]
mod tests;
