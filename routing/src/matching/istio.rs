//! What a match of a VirtualService can ask beyond one of an HTTPRoute.

use super::{HeaderMatch, TextMatch};
use request::Request;

/// The rest of an HTTPMatchRequest (AND of all that is set).
#[derive(Clone, Debug, Default)]
pub struct IstioMatch {
    /// `method` that is no exact one.
    pub method: Option<TextMatch>,
    /// `authority`: the Host with its port, as the client sent it.
    pub authority: Option<TextMatch>,
    /// `withoutHeaders`: none of these may match. A missing header is compared as "", as Istio has Envoy do.
    pub without: Vec<HeaderMatch>,
    /// `sourceNamespace`: of the client, by its certificate.
    pub source_namespace: Option<Box<str>>,
}

impl IstioMatch {
    /// Whether the request has all of it.
    pub(crate) fn matches(&self, request: &Request<'_>) -> bool {
        let is = |wanted: &Option<TextMatch>, text: &str| wanted.as_ref().is_none_or(|wanted| wanted.matches(text));
        is(&self.method, request.method.as_str())
            && is(&self.authority, request.head.authority.as_str())
            && self.without.iter().all(|header| header.is_absent(request))
            && self.is_from(request)
    }

    /// The first thing that is asked and not there: its name, what was wanted, what was found.
    pub(crate) fn mismatch(&self, request: &Request<'_>) -> Option<String> {
        let differs = |wanted: &Option<TextMatch>, found: &str| {
            let wanted = wanted.as_ref().filter(|wanted| !wanted.matches(found))?;
            Some(format!("wanted {wanted}, found {found:?}"))
        };
        if let Some(why) = differs(&self.method, request.method.as_str()) {
            return Some(format!("method: {why}"));
        }
        if let Some(why) = differs(&self.authority, request.head.authority.as_str()) {
            return Some(format!("authority: {why}"));
        }
        if let Some(header) = self.without.iter().find(|header| !header.is_absent(request)) {
            return Some(format!("header {}: wanted none that is {}", header.name, header.value));
        }
        if self.is_from(request) {
            return None;
        }
        let wanted = self.source_namespace.as_deref().unwrap_or_default();
        let found = request.connection.source_namespace().unwrap_or("none");
        Some(format!("source namespace: wanted {wanted}, found {found}"))
    }

    fn is_from(&self, request: &Request<'_>) -> bool {
        let wanted = self.source_namespace.as_deref();
        wanted.is_none_or(|wanted| request.connection.source_namespace() == Some(wanted))
    }
}

impl HeaderMatch {
    fn is_absent(&self, request: &Request<'_>) -> bool {
        match &self.value {
            TextMatch::Any => request.header_joined(&self.name).is_none(),
            value => !value.matches(&request.header_joined(&self.name).unwrap_or_default()),
        }
    }
}
