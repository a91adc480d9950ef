//! `host[:port]` as it stands in a Host header, an `:authority` or a CONNECT target.
//!
//! Stricter than RFC 3986: what no client of a mesh sends on purpose (user info, percent signs, sub-delimiters,
//! zone ids, short IPv4 forms) is refused, so that routing, policy and the upstream read the same host.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

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
    /// Parses `host`, `host:port`, `1.2.3.4:80`, `[::1]:80`.
    ///
    /// The host is lower-cased and loses one trailing dot; an IPv6 address is written in its shortest form. Ports
    /// are 1 to 65535, without leading zeros. Hosts are at most 255 bytes (RFC 1035), their labels 63.
    ///
    /// # Errors
    /// Everything else, with the first reason found.
    pub fn parse(text: &str) -> Result<Self, BadAuthority> {
        if text.len() > MAX_AUTHORITY_BYTES {
            return Err(BadAuthority("longer than a host name and a port can be"));
        }
        let (host, port) = split(text)?;
        let port = port.map(parse_port).transpose()?;
        match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
            Some(inner) => {
                let ip: Ipv6Addr = inner
                    .parse()
                    .map_err(|_| BadAuthority("no IPv6 address between the brackets"))?;
                Ok(Self::assemble(&format!("[{ip}]"), port, Some(ip.into())))
            }
            None => {
                let host = host.strip_suffix('.').unwrap_or(host);
                let ip = check_name(host)?;
                Ok(Self::assemble(host, port, ip))
            }
        }
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

    /// True when both name the same host and port, an unwritten port being `default_port`.
    pub fn agrees_with(&self, other: &Self, default_port: u16) -> bool {
        self.host() == other.host() && self.port.unwrap_or(default_port) == other.port.unwrap_or(default_port)
    }

    fn assemble(host: &str, port: Option<u16>, ip: Option<IpAddr>) -> Self {
        let mut text = String::with_capacity(host.len() + ":65535".len());
        text.push_str(host);
        text.make_ascii_lowercase();
        if let Some(port) = port {
            text.push(':');
            push_decimal(&mut text, port);
        }
        Self {
            text: text.into_boxed_str(),
            host_len: host.len(),
            port,
            ip,
        }
    }
}

impl std::fmt::Display for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

const MAX_HOST_BYTES: usize = 255;
const MAX_LABEL_BYTES: usize = 63;
const MAX_AUTHORITY_BYTES: usize = MAX_HOST_BYTES + ":65535".len();

/// Host and port texts; the colon belongs to neither.
fn split(text: &str) -> Result<(&str, Option<&str>), BadAuthority> {
    let host_len = if text.starts_with('[') {
        text.find(']')
            .map(|i| i + 1)
            .ok_or(BadAuthority("an opening bracket without a closing one"))?
    } else {
        text.find(':').unwrap_or(text.len())
    };
    let (host, rest) = text.split_at_checked(host_len).unwrap_or((text, ""));
    match rest.strip_prefix(':') {
        Some(port) => Ok((host, Some(port))),
        None if rest.is_empty() => Ok((host, None)),
        None => Err(BadAuthority("something other than a port after the closing bracket")),
    }
}

fn parse_port(text: &str) -> Result<u16, BadAuthority> {
    const BAD_PORT: BadAuthority = BadAuthority("the port is no number from 1 to 65535");
    if text.starts_with('0') || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(BAD_PORT);
    }
    text.parse().map_err(|_| BAD_PORT)
}

/// Checks a reg-name and tells the IPv4 address it may be.
fn check_name(host: &str) -> Result<Option<IpAddr>, BadAuthority> {
    if host.is_empty() {
        return Err(BadAuthority("the host is empty"));
    }
    if host.len() > MAX_HOST_BYTES {
        return Err(BadAuthority("the host is longer than 255 bytes"));
    }
    let mut label_len = 0;
    let mut numeric = true;
    for byte in host.bytes() {
        match byte {
            b'.' if label_len == 0 => return Err(BadAuthority("an empty label in the host")),
            b'.' => label_len = 0,
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => {
                label_len += 1;
                numeric &= byte.is_ascii_digit();
            }
            _ => {
                return Err(BadAuthority(
                    "a byte in the host other than letters, digits, '.', '-' and '_'",
                ));
            }
        }
        if label_len > MAX_LABEL_BYTES {
            return Err(BadAuthority("a label longer than 63 bytes in the host"));
        }
    }
    if label_len == 0 {
        return Err(BadAuthority("an empty label in the host"));
    }
    if !numeric {
        return Ok(None);
    }
    // `10.1` or `010.0.0.1`: some readers take it for an address, and not all for the same one.
    let ip: Ipv4Addr = host
        .parse()
        .map_err(|_| BadAuthority("digits and dots, yet no IPv4 address"))?;
    Ok(Some(ip.into()))
}

fn push_decimal(text: &mut String, number: u16) {
    let mut divisor = 10_000;
    while divisor > 1 && number < divisor {
        divisor /= 10;
    }
    while divisor > 0 {
        text.push(char::from(b'0' + (number / divisor % 10) as u8));
        divisor /= 10;
    }
}

#[cfg(test)]
mod tests;
