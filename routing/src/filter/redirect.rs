//! RequestRedirect, and `redirect` of a VirtualService: the `Location` that the proxy answers with.

use super::PathRewrite;

/// RequestRedirect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// `scheme`.
    pub scheme: Option<String>,
    /// `hostname`; `authority` of a VirtualService, which may have a port.
    pub hostname: Option<String>,
    /// `port`.
    pub port: RedirectPort,
    /// `path`.
    pub path: Option<PathRewrite>,
    /// `statusCode`, default 302.
    pub status: u16,
}

/// Which port the `Location` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedirectPort {
    /// Gateway API: the filter's; else, when the filter names a scheme, that scheme's well-known one; else the port the
    /// client spoke to (HTTPRequestRedirectFilter.port). A scheme's own is left out.
    OrImplied(Option<u16>),
    /// Envoy, for a VirtualService: this one as it is, else what stands in the authority, the request's own or the new.
    OrWritten(Option<u16>),
    /// The one the client spoke to (a VirtualService's `derivePort: FROM_REQUEST_PORT`).
    OfService,
}

impl Redirect {
    /// The `Location` for a request: `replacePrefixMatch` never gives "" or "//", the query stays.
    ///
    /// `matched_prefix` is the prefix of the match that chose the rule; `service_port` the port the client spoke to;
    /// `scheme` the request's scheme (`http`).
    pub fn location(
        &self,
        head: &request::Head,
        scheme: &str,
        service_port: u16,
        matched_prefix: Option<&str>,
    ) -> String {
        let (authority, port) = self.authority(head, scheme, service_port);
        let scheme = self.scheme.as_deref().unwrap_or(scheme);
        let path = match &self.path {
            // A redirect's path is text of the manifest, which cannot grow.
            Some(path) => path.path_and_query(head, matched_prefix).unwrap_or_default(),
            None => head.path_and_query().into_owned(),
        };
        match port {
            None => format!("{scheme}://{authority}{path}"),
            Some(port) => format!("{scheme}://{authority}:{port}{path}"),
        }
    }

    /// What stands before and after the colon.
    fn authority<'a>(
        &'a self,
        head: &'a request::Head,
        from_scheme: &str,
        service_port: u16,
    ) -> (&'a str, Option<u16>) {
        let named = self.hostname.as_deref();
        let asked = &head.authority;
        match self.port {
            RedirectPort::OrImplied(port) => {
                let well_known = self.scheme.as_deref().and_then(well_known_port);
                let port = port.or(well_known).unwrap_or(service_port);
                let own = well_known_port(self.scheme.as_deref().unwrap_or(from_scheme));
                (named.unwrap_or(asked.host()), Some(port).filter(|_| own != Some(port)))
            }
            RedirectPort::OfService => (named.unwrap_or(asked.host()), Some(service_port)),
            RedirectPort::OrWritten(Some(port)) => (named.unwrap_or(asked.host()), Some(port)),
            RedirectPort::OrWritten(None) => {
                // A port that is the old scheme's own means nothing to a new one.
                let is_stale = self.scheme.as_deref().is_some_and(|scheme| scheme != from_scheme)
                    && asked.port().is_some()
                    && asked.port() == well_known_port(from_scheme);
                let kept = if is_stale { asked.host() } else { asked.as_str() };
                (named.unwrap_or(kept), None)
            }
        }
    }
}

fn well_known_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
