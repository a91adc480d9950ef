//! One entry of `allowOrigins`, and what it matches.

use crate::TextMatch;

/// An allowed origin.
#[derive(Clone, Debug)]
pub enum OriginPattern {
    /// `*`: every origin, `null` included.
    Any,
    /// `scheme://host[:port]`.
    Of {
        /// `https`, not `http`.
        https: bool,
        /// Lower case.
        host: HostPattern,
        /// The one written, else the scheme's own.
        port: u16,
    },
    /// A VirtualService's: the text of the header, as it is.
    Text(TextMatch),
}

/// The host of an allowed origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    /// `*`.
    Any,
    /// `*.example.com`, kept as `.example.com`: any number of labels before it, at least one.
    Below(Box<str>),
    /// `www.example.com`.
    Exact(Box<str>),
}

impl OriginPattern {
    /// Parses `*`, or `http` or `https`, `://`, a host that may be `*` or begin with `*.`, and perhaps a port.
    ///
    /// # Errors
    /// What was expected and what was found.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let expected = || {
            format!(
                "expected \"*\" or an origin such as https://*.example.com or http://example.com:8080, found {text:?}"
            )
        };
        let origin = Origin::parse(text)
            .filter(|_| text.len() <= MAX_BYTES)
            .ok_or_else(expected)?;
        let host = match origin.host.strip_prefix("*.") {
            _ if origin.host == "*" => HostPattern::Any,
            Some(domain) if is_host(domain) => HostPattern::Below(format!(".{}", domain.to_ascii_lowercase()).into()),
            None if is_host(origin.host) => HostPattern::Exact(origin.host.to_ascii_lowercase().into()),
            _ => return Err(expected()),
        };
        Ok(Self::Of {
            https: origin.https,
            host,
            port: origin.port,
        })
    }

    /// Whether a request with this `Origin` is meant. A port that is the scheme's own may be there or not.
    pub fn matches(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Text(text) => text.matches(origin),
            Self::Of { https, host, port } => Origin::parse(origin)
                .is_some_and(|origin| origin.https == *https && origin.port == *port && host.matches(origin.host)),
        }
    }
}

impl HostPattern {
    fn matches(&self, host: &str) -> bool {
        match self {
            Self::Any => !host.is_empty(),
            Self::Exact(wanted) => wanted.eq_ignore_ascii_case(host),
            Self::Below(domain) => host
                .len()
                .checked_sub(domain.len())
                .filter(|labels| *labels > 0)
                .and_then(|labels| host.get(labels..))
                .is_some_and(|end| end.eq_ignore_ascii_case(domain)),
        }
    }
}

/// The CRD's limit.
const MAX_BYTES: usize = 253;

struct Origin<'a> {
    https: bool,
    host: &'a str,
    port: u16,
}

impl<'a> Origin<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let https = match scheme {
            _ if scheme.eq_ignore_ascii_case("https") => true,
            _ if scheme.eq_ignore_ascii_case("http") => false,
            _ => return None,
        };
        // The colons of an IPv6 address stand in brackets.
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, decimal(port)?),
            _ => (authority, if https { 443 } else { 80 }),
        };
        let is_authority = !host.is_empty() && !host.bytes().any(|b| b"/?#@\\".contains(&b));
        is_authority.then_some(Self { https, host, port })
    }
}

fn decimal(port: &str) -> Option<u16> {
    let is_plain = (1..=5).contains(&port.len()) && port.bytes().all(|b| b.is_ascii_digit());
    port.parse().ok().filter(|number| is_plain && *number > 0)
}

fn is_host(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    text.split('.')
        .all(|label| !label.is_empty() && label.bytes().all(plain))
}
