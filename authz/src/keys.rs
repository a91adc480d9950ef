//! JWKS, parsed, and the collection that the fetcher publishes.

use crate::strict_json;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Longest JWKS document, in bytes.
const MAX_DOCUMENT_BYTES: usize = 1 << 20;
/// Most keys of one set; further ones are not used.
const MAX_KEYS: usize = 100;
/// Most keys tried for one token: only a token without `kid`, or keys without, can ask for more than one.
const MAX_TRIES: usize = 16;

/// Envoy's words for a token whose key is not in the set.
pub(crate) const NO_KEY: &str = "Jwks doesn't have key to match kid or alg from Jwt";

/// One JWKS, parsed into verification keys.
#[derive(Debug)]
pub struct KeySet {
    keys: Vec<Key>,
    warnings: Vec<String>,
}

impl KeySet {
    /// Parses a JWKS document of at most 1 MiB.
    ///
    /// A key that cannot be used (symmetric, for encryption, weaker than RSA 2048, of an unknown kind) is left out with
    /// a warning, as long as the document itself is sound. A set without any key is sound: it refuses every token.
    ///
    /// # Errors
    /// What was expected and what was found. No part of the document is repeated.
    pub fn parse(json: &str) -> Result<Self, String> {
        if json.len() > MAX_DOCUMENT_BYTES {
            return Err(format!(
                "expected a JWKS of at most {MAX_DOCUMENT_BYTES} bytes, found {}",
                json.len()
            ));
        }
        let document = strict_json::object(json.as_bytes()).map_err(|error| {
            format!(
                "expected a JWKS, found no valid JSON object (line {}, column {})",
                error.line(),
                error.column()
            )
        })?;
        let Some(Value::Array(list)) = document.get("keys") else {
            return Err("expected a JWKS with a list 'keys'".to_owned());
        };
        let mut set = Self {
            keys: Vec::new(),
            warnings: Vec::new(),
        };
        for (index, value) in list.iter().enumerate() {
            if set.keys.len() == MAX_KEYS {
                set.warnings.push(format!(
                    "only the first {MAX_KEYS} usable keys of {} are used",
                    list.len()
                ));
                break;
            }
            match value.as_object().ok_or("not an object").and_then(Key::parse) {
                Ok(key) => set.keys.push(key),
                Err(why) => set.warnings.push(format!("keys[{index}] is not used: {why}")),
            }
            if value
                .as_object()
                .is_some_and(|key| key.contains_key("d") || key.contains_key("k"))
            {
                set.warnings.push(format!(
                    "keys[{index}] holds a private or secret key; publish public keys only"
                ));
            }
        }
        Ok(set)
    }

    /// What was left out, and private parts that should not be there; it names places, never contents.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// No key can be used.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Verifies the signature over `message` with a key that fits `kid` and allows `algorithm`.
    ///
    /// # Errors
    /// In Envoy's words: no key fits, or none verifies.
    pub(crate) fn verify(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
        message: &str,
        signature: &str,
    ) -> Result<(), &'static str> {
        if self.keys.is_empty() {
            return Err("Jwks doesn't have any valid public key");
        }
        let mut fitting = self
            .keys
            .iter()
            .filter(|key| key.fits(kid, algorithm))
            .take(MAX_TRIES)
            .peekable();
        if fitting.peek().is_none() {
            return Err(NO_KEY);
        }
        let verified = fitting.any(|key| {
            jsonwebtoken::crypto::verify(signature, message.as_bytes(), &key.key, algorithm).unwrap_or(false)
        });
        if verified {
            Ok(())
        } else {
            Err("Jwt verification fails")
        }
    }
}

/// Fetched key sets by source (a [`KeySource`]'s id). Inline ones live in [`crate::Authn`].
/// Immutable: a new one is published when a fetch succeeds; `generation` changes then, which empties token caches.
#[derive(Clone, Debug, Default)]
pub struct KeySets {
    /// By source.
    pub sets: HashMap<Arc<str>, Arc<KeySet>>,
    /// Changes with every publication.
    pub generation: u64,
}

/// Where a set of keys must be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySource {
    /// The key of [`KeySets::sets`]: one for each location and timeout.
    pub id: Arc<str>,
    /// What to ask.
    pub location: KeyLocation,
    /// How long one fetch may take (`timeout`, default 5 s).
    pub timeout: Duration,
}

/// What to ask for keys.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KeyLocation {
    /// `jwksUri`.
    Jwks(Arc<str>),
    /// An issuer: `<issuer>/.well-known/openid-configuration` names the JWKS.
    Issuer(Arc<str>),
}

/// One public key and the algorithms it may verify: a token cannot choose any other.
struct Key {
    kid: Option<String>,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key")
            .field("kid", &self.kid)
            .field("algorithms", &self.algorithms)
            .finish_non_exhaustive()
    }
}

impl Key {
    fn parse(jwk: &Map<String, Value>) -> Result<Self, &'static str> {
        match jwk.get("use") {
            None => {}
            Some(Value::String(purpose)) if purpose == "sig" => {}
            Some(_) => return Err("its use is not sig"),
        }
        match jwk.get("key_ops") {
            None => {}
            Some(Value::Array(operations)) if operations.iter().any(|operation| operation == "verify") => {}
            Some(_) => return Err("its key_ops do not hold verify"),
        }
        let (key, mut algorithms) = match text(jwk, "kty")?.ok_or("kty is missing")? {
            "RSA" => rsa(jwk)?,
            "EC" => elliptic(jwk)?,
            "OKP" => edwards(jwk)?,
            "oct" => return Err("a symmetric key can verify nothing here"),
            _ => return Err("its kty is not RSA, EC or OKP"),
        };
        if let Some(only) = text(jwk, "alg")? {
            let only = algorithm(only).ok_or("its alg is not supported")?;
            algorithms.retain(|algorithm| *algorithm == only);
            if algorithms.is_empty() {
                return Err("its alg does not fit its kty or crv");
            }
        }
        Ok(Self {
            kid: text(jwk, "kid")?.map(str::to_owned),
            algorithms,
            key,
        })
    }

    /// A key or a token without a `kid` fits any.
    fn fits(&self, kid: Option<&str>, algorithm: Algorithm) -> bool {
        let same = match (&self.kid, kid) {
            (Some(own), Some(wanted)) => own == wanted,
            _ => true,
        };
        same && self.algorithms.contains(&algorithm)
    }
}

/// The algorithms that exist here. `none` and the symmetric ones do not.
pub(crate) fn algorithm(name: &str) -> Option<Algorithm> {
    Some(match name {
        "RS256" => Algorithm::RS256,
        "RS384" => Algorithm::RS384,
        "RS512" => Algorithm::RS512,
        "PS256" => Algorithm::PS256,
        "PS384" => Algorithm::PS384,
        "PS512" => Algorithm::PS512,
        "ES256" => Algorithm::ES256,
        "ES384" => Algorithm::ES384,
        "EdDSA" => Algorithm::EdDSA,
        _ => return None,
    })
}

type Parsed = Result<(DecodingKey, Vec<Algorithm>), &'static str>;

fn rsa(jwk: &Map<String, Value>) -> Parsed {
    let n = unsigned(jwk, "n")?;
    let e = unsigned(jwk, "e")?;
    if !(256..=1024).contains(&n.len()) || n.first().is_none_or(|byte| n.len() == 256 && *byte < 0x80) {
        return Err("its modulus has not 2048 to 8192 bits");
    }
    if e != [3] && e != [1, 0, 1] {
        return Err("its exponent is neither 3 nor 65537");
    }
    let algorithms = [
        Algorithm::RS256,
        Algorithm::RS384,
        Algorithm::RS512,
        Algorithm::PS256,
        Algorithm::PS384,
        Algorithm::PS512,
    ];
    Ok((DecodingKey::from_rsa_raw_components(&n, &e), algorithms.to_vec()))
}

fn elliptic(jwk: &Map<String, Value>) -> Parsed {
    let (bytes, algorithm) = match text(jwk, "crv")?.ok_or("crv is missing")? {
        "P-256" => (32, Algorithm::ES256),
        "P-384" => (48, Algorithm::ES384),
        _ => return Err("its crv is not P-256 or P-384"),
    };
    let (x, y) = (unsigned(jwk, "x")?, unsigned(jwk, "y")?);
    let mut point = vec![4];
    for coordinate in [x, y] {
        let zeros = bytes_missing(&coordinate, bytes).ok_or("a coordinate is too long")?;
        point.resize(point.len() + zeros, 0);
        point.extend(coordinate);
    }
    Ok((DecodingKey::from_ec_der(&point), vec![algorithm]))
}

fn edwards(jwk: &Map<String, Value>) -> Parsed {
    if text(jwk, "crv")? != Some("Ed25519") {
        return Err("its crv is not Ed25519");
    }
    let x = decode(text(jwk, "x")?.ok_or("x is missing")?)?;
    if x.len() != 32 {
        return Err("x has not 32 bytes");
    }
    Ok((DecodingKey::from_ed_der(&x), vec![Algorithm::EdDSA]))
}

fn bytes_missing(coordinate: &[u8], wanted: usize) -> Option<usize> {
    wanted.checked_sub(coordinate.len())
}

fn text<'j>(jwk: &'j Map<String, Value>, name: &str) -> Result<Option<&'j str>, &'static str> {
    match jwk.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err("a field that must be a string is none"),
    }
}

/// A big-endian number without leading zeros.
fn unsigned(jwk: &Map<String, Value>, name: &str) -> Result<Vec<u8>, &'static str> {
    let bytes = decode(text(jwk, name)?.ok_or("a number of the key is missing")?)?;
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    Ok(bytes.get(zeros..).unwrap_or_default().to_vec())
}

/// Padding is not allowed by RFC 7518, but key servers write it.
fn decode(text: &str) -> Result<Vec<u8>, &'static str> {
    URL_SAFE_NO_PAD
        .decode(text.trim_end_matches('='))
        .map_err(|_| "a field is no base64url")
}

#[cfg(test)]
mod tests;
