//! RequestRedirect: the `Location` that the proxy answers with.

use super::PathRewrite;

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
    /// The port is the filter's; else, when the filter names a scheme, that scheme's well-known one; else
    /// `service_port` (Gateway API, HTTPRequestRedirectFilter.port).
    ///
    /// `matched_prefix` is the PathPrefix of the match that chose the rule; `service_port` the port the client
    /// spoke to; `scheme` the request's scheme (`http`).
    pub fn location(
        &self,
        head: &request::Head,
        scheme: &str,
        service_port: u16,
        matched_prefix: Option<&str>,
    ) -> String {
        let well_known = self.scheme.as_deref().and_then(well_known_port);
        let port = self.port.or(well_known).unwrap_or(service_port);
        let scheme = self.scheme.as_deref().unwrap_or(scheme);
        let host = self.hostname.as_deref().unwrap_or(head.authority.host());
        let path = match &self.path {
            Some(path) => path.path_and_query(head, matched_prefix),
            None => head.path_and_query().into_owned(),
        };
        if well_known_port(scheme) == Some(port) {
            format!("{scheme}://{host}{path}")
        } else {
            format!("{scheme}://{host}:{port}{path}")
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
