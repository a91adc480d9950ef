//! Consistent hashing: the same key goes to the same endpoint, and when endpoints come, go or are ejected, only the keys
//! that went to them move.
//!
//! Every endpoint gets a score from the key and its own address, and the highest is chosen (rendezvous hashing). It needs
//! no table beside the endpoints and moves not one key too many, where a ring or Maglev's table is only near that.

use crate::Endpoint;
use http::header::COOKIE;
use http::{HeaderMap, HeaderName};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// What of a request is hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashKey {
    /// `httpHeaderName`: all values of this header.
    Header(HeaderName),
    /// `httpCookie`.
    Cookie(HashCookie),
    /// `useSourceIp`.
    SourceIp,
    /// `httpQueryParameterName`: the first value of this parameter, as written.
    Query(Box<str>),
}

/// A cookie that is hashed; given to clients that have none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashCookie {
    /// Its name.
    pub name: Box<str>,
    /// `Path`, when it is given; empty for none.
    pub path: Box<str>,
    /// How long clients keep it; zero: for a session. `None`: it is not given to clients.
    pub ttl: Option<Duration>,
    /// What else stands in `Set-Cookie`: `; SameSite=Strict; Secure`. May be empty.
    pub attributes: Box<str>,
}

impl HashKey {
    /// The hash of a request; `None` when it has nothing of the kind.
    pub fn hash(&self, headers: &HeaderMap, query: Option<&str>, source: IpAddr) -> Option<u64> {
        match self {
            Self::Header(name) => {
                let mut values = headers.get_all(name).iter().peekable();
                values.peek()?;
                Some(values.fold(SEED, |hash, value| bytes(bytes(hash, value.as_bytes()), b",")))
            }
            Self::Cookie(cookie) => cookie.value(headers).map(hash_of),
            Self::SourceIp => Some(ip(SEED, source)),
            Self::Query(name) => {
                let pair = |pair: &'_ str| match pair.split_once('=') {
                    Some((known, value)) => (known == &**name).then(|| hash_of(value.as_bytes())),
                    None => (pair == &**name).then(|| hash_of(b"")),
                };
                query?.split('&').find_map(pair)
            }
        }
    }
}

impl HashCookie {
    /// The cookie for a client without one, from a number that is uniform over u64: its hash, and `Set-Cookie`.
    /// `None` when clients are not given one.
    pub fn generate(&self, random: u64) -> Option<(u64, String)> {
        let ttl = self.ttl?;
        let value = format!("{random:016x}");
        let mut cookie = format!("{}={value}", self.name);
        if !ttl.is_zero() {
            cookie.push_str(&format!("; Max-Age={}", ttl.as_secs().max(1)));
        }
        if !self.path.is_empty() {
            cookie.push_str("; Path=");
            cookie.push_str(&self.path);
        }
        cookie.push_str("; HttpOnly");
        cookie.push_str(&self.attributes);
        Some((hash_of(value.as_bytes()), cookie))
    }

    fn value<'h>(&self, headers: &'h HeaderMap) -> Option<&'h [u8]> {
        let crumbs = headers.get_all(COOKIE).iter();
        let mut crumbs = crumbs.flat_map(|line| line.as_bytes().split(|b| *b == b';'));
        crumbs.find_map(|crumb| {
            let crumb = crumb.trim_ascii();
            let value = crumb.strip_prefix(self.name.as_bytes())?.strip_prefix(b"=")?;
            let quoted = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
            Some(quoted.unwrap_or(value)).filter(|value| !value.is_empty())
        })
    }
}

/// Of these, the endpoint with the highest score for this hash; scores are weighted.
pub(super) fn highest<'c>(endpoints: impl Iterator<Item = &'c Arc<Endpoint>>, hash: u64) -> Option<&'c Arc<Endpoint>> {
    let scored = endpoints.map(|endpoint| (score(endpoint, hash), endpoint));
    let best = scored.reduce(|best, next| if next.0 > best.0 { next } else { best });
    best.map(|(_, endpoint)| endpoint)
}

/// `-weight / ln(u)` with `u` uniform between 0 and 1: an endpoint of twice the weight wins twice as often.
fn score(endpoint: &Endpoint, hash: u64) -> f64 {
    let mixed = mix(hash ^ mix(address(endpoint.address)));
    // 53 bits are what a float holds; never 0, never 1.
    let uniform = ((mixed >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    f64::from(endpoint.weight.max(1)) / -uniform.ln()
}

const SEED: u64 = 0xcbf2_9ce4_8422_2325;

fn hash_of(value: &[u8]) -> u64 {
    bytes(SEED, value)
}

/// FNV-1a: the same in every build and on every machine, so that replicas agree.
fn bytes(hash: u64, value: &[u8]) -> u64 {
    value.iter().fold(hash, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn ip(hash: u64, ip: IpAddr) -> u64 {
    match ip.to_canonical() {
        IpAddr::V4(ip) => bytes(hash, &ip.octets()),
        IpAddr::V6(ip) => bytes(hash, &ip.octets()),
    }
}

fn address(address: SocketAddr) -> u64 {
    bytes(ip(SEED, address.ip()), &address.port().to_be_bytes())
}

/// Spreads every bit over all (the finaliser of SplitMix64).
pub(super) fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests;
