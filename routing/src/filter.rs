//! What a rule does to a request and a response, as data that is ready to apply. One file for each kind of filter.

mod cors;
mod direct_response;
mod external_auth;
mod fault;
mod headers;
mod mirror;
mod redirect;
mod rewrite;
mod share;

pub use cors::{Cors, Listed, OriginPattern};
pub use direct_response::DirectResponse;
pub use external_auth::{AuthBody, AuthCheck, AuthProtocol, ExternalAuth, HeaderNames, HeaderPattern, HttpAuth};
pub use fault::{Abort, Fault};
pub use headers::HeaderModifier;
pub use mirror::Mirror;
pub use redirect::{Redirect, RedirectPort};
pub use rewrite::{HostRewrite, PathRewrite, PathTooLong, Rewrite};
pub use share::Share;

use crate::Nothing;
use std::sync::Arc;

/// The filters of a rule or a backendRef, in the form they are applied in. Most have none ([`crate::Seldom`]), the others one
/// or two: each is behind a pointer.
#[derive(Clone, Debug, Default)]
pub struct Filters {
    /// RequestHeaderModifier.
    pub request_headers: Option<Box<HeaderModifier>>,
    /// ResponseHeaderModifier.
    pub response_headers: Option<Box<HeaderModifier>>,
    /// RequestRedirect: answered by the proxy.
    pub redirect: Option<Box<Redirect>>,
    /// VirtualService `directResponse`: answered by the proxy.
    pub direct_response: Option<Box<DirectResponse>>,
    /// VirtualService `fault`.
    pub fault: Option<Box<Fault>>,
    /// URLRewrite.
    pub rewrite: Option<Box<Rewrite>>,
    /// CORS: preflights are answered by the proxy.
    pub cors: Option<Box<Cors>>,
    /// ExternalAuth: somebody else must allow the request.
    pub external_auth: Option<Arc<ExternalAuth>>,
    /// RequestMirror, each.
    pub mirrors: Vec<Mirror>,
}

impl Filters {
    /// Whether the proxy answers by itself, so that backends are not asked.
    pub fn answers(&self) -> bool {
        self.redirect.is_some() || self.direct_response.is_some()
    }
}

impl Nothing for Filters {
    const NOTHING: &'static Self = &Self {
        request_headers: None,
        response_headers: None,
        redirect: None,
        direct_response: None,
        fault: None,
        rewrite: None,
        cors: None,
        external_auth: None,
        mirrors: Vec::new(),
    };

    fn is_nothing(&self) -> bool {
        let Self {
            request_headers,
            response_headers,
            redirect,
            direct_response,
            fault,
            rewrite,
            cors,
            external_auth,
            mirrors,
        } = self;
        request_headers.is_none()
            && response_headers.is_none()
            && redirect.is_none()
            && direct_response.is_none()
            && fault.is_none()
            && rewrite.is_none()
            && cors.is_none()
            && external_auth.is_none()
            && mirrors.is_empty()
    }
}
