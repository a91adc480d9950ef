//! What a name resolves to, for how long, and which addresses are never taken from DNS.

use std::net::IpAddr;
use std::time::Duration;

/// An answer is used for this long at least: a TTL of 0 must not become a lookup a request.
const SHORTEST: Duration = Duration::from_secs(1);
/// And for this long at most.
const LONGEST: Duration = Duration::from_secs(3600);
/// Addresses of one answer that are used.
const ADDRESSES: usize = 64;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// In the server's order, each once.
    pub(super) addresses: Vec<IpAddr>,
    /// Until the next lookup.
    pub(super) lasts: Duration,
}

/// Why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// There is no such name, or no address of it: the server is sure.
    Nothing,
    /// The addresses are none that a waypoint connects to.
    Refused(IpAddr),
    /// The server could not be asked, or did not know.
    Unknown(String),
}

impl Failure {
    /// The label of its metric.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Refused(_) => "refused",
            Self::Unknown(_) => "failed",
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nothing => f.write_str("there is no address of it"),
            Self::Refused(ip) => write!(f, "{ip} is no address that is connected to"),
            Self::Unknown(why) => f.write_str(why),
        }
    }
}

impl Answer {
    /// Of what was looked up: bounded, and without what is not permitted.
    ///
    /// # Errors
    /// Nothing is left.
    pub(super) fn of(found: impl IntoIterator<Item = IpAddr>, ttl: Duration, loopback: bool) -> Result<Self, Failure> {
        let (mut addresses, mut refused) = (Vec::new(), None);
        for ip in found.into_iter().map(|ip| ip.to_canonical()) {
            if !is_permitted(ip, loopback) {
                refused = Some(ip);
            } else if addresses.len() < ADDRESSES && !addresses.contains(&ip) {
                addresses.push(ip);
            }
        }
        if addresses.is_empty() {
            return Err(refused.map_or(Failure::Nothing, Failure::Refused));
        }
        Ok(Self {
            addresses,
            lasts: ttl.clamp(SHORTEST, LONGEST),
        })
    }
}

/// Link-local addresses are where a machine's own services are (metadata, credentials); loopback is this pod.
fn is_permitted(ip: IpAddr, loopback: bool) -> bool {
    let is_odd = ip.is_unspecified() || ip.is_multicast() || (ip.is_loopback() && !loopback);
    let is_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local() || ip.is_broadcast(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    !is_odd && !is_local
}

#[cfg(test)]
mod tests;
