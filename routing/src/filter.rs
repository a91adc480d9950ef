//! What a rule does to a request and a response, as data that is ready to apply. One file for each kind of filter.

mod cors;
mod headers;
mod mirror;
mod redirect;
mod rewrite;

pub use cors::{Cors, Listed, OriginPattern};
pub use headers::HeaderModifier;
pub use mirror::Mirror;
pub use redirect::Redirect;
pub use rewrite::{HostRewrite, PathRewrite, Rewrite};

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
    /// CORS: preflights are answered by the proxy.
    pub cors: Option<Box<Cors>>,
    /// RequestMirror, each.
    pub mirrors: Vec<Mirror>,
}
