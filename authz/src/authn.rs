//! Tokens: where they are looked for, how they are verified, what they leave behind.

use crate::{KeySets, PolicyId, Problem, RequestAuthenticationSpec};
use http::{HeaderMap, HeaderName, HeaderValue};
use request::Request;
use std::sync::Arc;

/// All RequestAuthentications that bind to one Service, compiled.
#[derive(Debug, Default)]
pub struct Authn {
    _private: (),
}

/// The claims of a verified token, as policies read them.
#[derive(Debug)]
pub struct Claims {
    /// `iss/sub`.
    pub principal: String,
    /// `iss`.
    pub issuer: String,
    /// The whole payload.
    pub payload: serde_json::Map<String, serde_json::Value>,
}

/// A verified token and what it does to the request.
#[derive(Clone, Debug)]
pub struct Verified {
    /// Its claims, for [`crate::Policies::decide`].
    pub claims: Arc<Claims>,
    /// Headers to set upstream (`outputPayloadToHeader`, `outputClaimToHeaders`).
    pub set_headers: Arc<[(HeaderName, HeaderValue)]>,
    /// Header to remove (`forwardOriginalToken: false`).
    pub strip_header: Option<HeaderName>,
    /// Query parameter to remove upstream.
    pub strip_param: Option<Arc<str>>,
    /// Cookie to remove upstream.
    pub strip_cookie: Option<Arc<str>>,
}

/// A refused token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct AuthnError {
    /// 401 or 403 (audience).
    pub status: u16,
    /// `Jwt is expired`, ... (Envoy's words; the body of the answer).
    pub reason: &'static str,
}

impl Authn {
    /// Compiles the RequestAuthentications of one Service. Problems name a field path inside the object.
    pub fn build(_specs: &[(PolicyId, RequestAuthenticationSpec)]) -> (Self, Vec<(PolicyId, Problem)>) {
        todo!()
    }
    /// No RequestAuthentication applies.
    pub fn is_empty(&self) -> bool {
        todo!()
    }
    /// Headers that only this engine may set: they are removed from a client's request first.
    pub fn owned_headers(&self) -> &[HeaderName] {
        todo!()
    }
    /// Verifies the tokens of a request. `Ok(None)`: no token. `now` is unix seconds. Verified tokens are cached.
    ///
    /// # Errors
    /// A token that is present and not valid.
    pub fn verify(&self, _request: &Request<'_>, _now: u64, _keys: &KeySets) -> Result<Option<Verified>, AuthnError> {
        todo!()
    }
    /// Applies `strip_*` and `set_headers` of `verified` to the headers that go upstream.
    pub fn apply(_verified: &Verified, _headers: &mut HeaderMap) {
        todo!()
    }
    /// The JWKS URIs (or issuers to discover) that must be fetched.
    pub fn key_sources(&self) -> &[Arc<str>] {
        todo!()
    }
}
