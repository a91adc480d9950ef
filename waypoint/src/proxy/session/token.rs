//! Session tokens: which endpoint, since when, sealed so that a client can neither read nor make one.
//!
//! AES-256-GCM-SIV (RFC 8452: a key that is shared for years may meet a random nonce twice) over a fixed number of bytes;
//! what the token is good for (the rule) is authenticated with it, and the check takes constant time. The key is derived
//! from a secret that replicas share, or is random: then sessions end with the process.

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Address, port, two times.
const PLAIN_BYTES: usize = 16 + 2 + 8 + 8;
const TAG_BYTES: usize = 16;
const SEALED_BYTES: usize = NONCE_LEN + PLAIN_BYTES + TAG_BYTES;
/// In base64 without padding.
const TEXT_BYTES: usize = (SEALED_BYTES * 4).div_ceil(3);

/// What a client carries, opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    /// The endpoint.
    pub(crate) endpoint: SocketAddr,
    /// When the session began, Unix seconds.
    pub(crate) began: u64,
    /// When it was used last, Unix seconds, as far as the token tells.
    pub(crate) used: u64,
}

/// Makes and opens tokens.
pub(crate) struct Sealer(RandomizedNonceKey);

impl Sealer {
    /// With a key derived from this secret: equal secrets open each other's tokens. `None` when the library fails.
    pub(crate) fn new(secret: &[u8]) -> Option<Self> {
        let key = digest(&SHA256, &[b"waypoint session ".as_slice(), secret].concat());
        RandomizedNonceKey::new(&AES_256_GCM_SIV, key.as_ref()).ok().map(Self)
    }

    /// `None` when the library fails: the client then gets no token.
    pub(crate) fn seal(&self, scope: &str, token: &Token) -> Option<String> {
        let mut bytes = Vec::with_capacity(SEALED_BYTES);
        bytes.extend_from_slice(&to_bytes(token));
        let nonce = self.0.seal_in_place_append_tag(Aad::from(scope), &mut bytes).ok()?;
        let mut sealed = nonce.as_ref().to_vec();
        sealed.append(&mut bytes);
        Some(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// `None` for what we have not made, or not for this scope.
    pub(crate) fn open(&self, scope: &str, text: &str) -> Option<Token> {
        if text.len() != TEXT_BYTES {
            return None;
        }
        let mut sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (nonce, rest) = sealed.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let plain = self.0.open_in_place(nonce, Aad::from(scope), rest).ok()?;
        of_bytes(plain)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").finish_non_exhaustive()
    }
}

fn to_bytes(token: &Token) -> Vec<u8> {
    let ip = match token.endpoint.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    let port = token.endpoint.port().to_be_bytes();
    let (began, used) = (token.began.to_be_bytes(), token.used.to_be_bytes());
    [&ip.octets()[..], &port, &began, &used].concat()
}

fn of_bytes(bytes: &[u8]) -> Option<Token> {
    let (ip, rest) = bytes.split_first_chunk::<16>()?;
    let (port, rest) = rest.split_first_chunk::<2>()?;
    let (began, rest) = rest.split_first_chunk::<8>()?;
    let used = <[u8; 8]>::try_from(rest).ok()?;
    let ip = Ipv6Addr::from(*ip).to_canonical();
    Some(Token {
        endpoint: SocketAddr::new(ip, u16::from_be_bytes(*port)),
        began: u64::from_be_bytes(*began),
        used: u64::from_be_bytes(used),
    })
}

#[cfg(test)]
mod tests;
