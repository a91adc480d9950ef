//! `host[:port]` as it stands in a Host header, an `:authority` or a CONNECT target.

use std::net::IpAddr;

/// A parsed authority. The host is lower case and never empty; no user info, no path, no NUL.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Authority {
    text: Box<str>,
    host_len: usize,
    port: Option<u16>,
    ip: Option<IpAddr>,
}

/// Why a text is no authority.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bad authority: {0}")]
pub struct BadAuthority(pub &'static str);

impl Authority {
    /// Parses `host`, `host:port`, `1.2.3.4:80`, `[::1]:80`. Lower-cases the host.
    pub fn parse(_text: &str) -> Result<Self, BadAuthority> {
        todo!()
    }
    /// The host, lower case; an IPv6 address keeps its brackets.
    pub fn host(&self) -> &str {
        self.text.get(..self.host_len).unwrap_or_default()
    }
    /// The port, when one was written.
    pub fn port(&self) -> Option<u16> {
        self.port
    }
    /// The host as an address, when it is a literal one.
    pub fn ip(&self) -> Option<IpAddr> {
        self.ip
    }
    /// `host[:port]`, lower case.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}
