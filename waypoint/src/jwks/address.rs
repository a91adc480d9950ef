//! Where a URI leads: scheme, host, port, and what to ask for there; or why nobody should go there.

use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};

/// Longest URI of a key server.
const LONGEST: usize = 2048;

/// A place that speaks HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) is_tls: bool,
    /// Lower case; an IPv6 address without its brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// `Host` of the request.
    pub(super) authority: String,
    /// Path and query.
    pub(super) target: String,
}

impl Place {
    /// # Errors
    /// What was expected. No part of the URI is repeated: a secret may stand in it.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        if text.len() > LONGEST {
            return Err("expected a URI of at most 2048 characters");
        }
        let uri: Uri = text.parse().map_err(|_| "expected a URI such as https://host/keys")?;
        let is_tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => return Err("expected a URI that begins with https:// or http://"),
        };
        let authority = uri.authority().ok_or("expected a URI with a host")?;
        if authority.as_str().contains('@') {
            return Err("expected a URI without user and password");
        }
        let host = plain_host(authority).ok_or("expected a URI with a host")?;
        // `http` takes a port that is none for no port at all.
        let written = authority.as_str().get(authority.host().len()..).unwrap_or_default();
        let port = match authority.port_u16() {
            _ if written.is_empty() && is_tls => 443,
            _ if written.is_empty() => 80,
            Some(port) if port > 0 => port,
            _ => return Err("expected a port from 1 to 65535"),
        };
        Ok(Self {
            is_tls,
            host,
            port,
            authority: authority.as_str().to_ascii_lowercase(),
            target: uri.path_and_query().map_or("/", PathAndQuery::as_str).to_owned(),
        })
    }

    /// Where a `Location` of this place leads.
    ///
    /// # Errors
    /// As [`Place::parse`]; from TLS to clear text.
    pub(super) fn follow(&self, location: &str) -> Result<Self, &'static str> {
        let scheme = if self.is_tls { "https" } else { "http" };
        let next = if location.starts_with("//") {
            Self::parse(&format!("{scheme}:{location}"))?
        } else if location.starts_with('/') {
            Self::parse(&format!("{scheme}://{}{location}", self.authority))?
        } else {
            Self::parse(location)?
        };
        if self.is_tls && !next.is_tls {
            return Err("expected a redirect that stays with https");
        }
        Ok(next)
    }
}

fn plain_host(authority: &Authority) -> Option<String> {
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    (!host.is_empty()).then(|| host.to_ascii_lowercase())
}

#[cfg(test)]
mod tests;
