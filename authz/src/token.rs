//! A token taken apart: everything that can be known of it before its signature is verified.

use crate::keys::algorithm;
use crate::strict_json;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde_json::{Map, Number, Value};

/// Longest token, in bytes.
pub(crate) const MAX_TOKEN_BYTES: usize = 16 * 1024;
/// How far clocks may differ, in seconds.
const SKEW_SECONDS: u64 = 60;

/// A well-formed token.
#[derive(Debug)]
pub(crate) struct Token<'t> {
    pub(crate) algorithm: Algorithm,
    pub(crate) kid: Option<String>,
    /// Header and payload as signed.
    pub(crate) message: &'t str,
    /// The payload as it stands in the token, base64url.
    pub(crate) payload_text: &'t str,
    pub(crate) signature: &'t str,
    pub(crate) payload: Map<String, Value>,
    pub(crate) lifetime: Lifetime,
}

/// `nbf` and `exp`, unix seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lifetime {
    pub(crate) not_before: Option<u64>,
    pub(crate) expires: Option<u64>,
}

impl Lifetime {
    /// # Errors
    /// In Envoy's words.
    pub(crate) fn check(self, now: u64) -> Result<(), &'static str> {
        if self
            .not_before
            .is_some_and(|start| now.saturating_add(SKEW_SECONDS) < start)
        {
            return Err("Jwt not yet valid");
        }
        if self.expires.is_some_and(|end| now > end.saturating_add(SKEW_SECONDS)) {
            return Err("Jwt is expired");
        }
        Ok(())
    }
}

impl<'t> Token<'t> {
    /// Parses the compact form of a signed token (JWS).
    ///
    /// # Errors
    /// Mostly in Envoy's words. Unlike Envoy, this refuses padding and spare bits in base64url, doubled names in
    /// objects, symmetric algorithms, and headers (`crit`, `zip`, `b64`, `enc`) that change how a token is to be read.
    pub(crate) fn parse(text: &'t str) -> Result<Self, &'static str> {
        const FORM: &str = "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections";
        if text.len() > MAX_TOKEN_BYTES {
            return Err("Jwt is too large");
        }
        let (message, signature) = text.rsplit_once('.').ok_or(FORM)?;
        let (header_text, payload_text) = message.split_once('.').ok_or(FORM)?;
        if [header_text, payload_text, signature]
            .iter()
            .any(|part| part.is_empty() || part.contains('.'))
        {
            return Err(FORM);
        }
        let (algorithm, kid) = header(header_text)?;
        let payload = decode(payload_text).ok_or("Jwt payload is an invalid Base64url encoded")?;
        let payload = strict_json::object(&payload).map_err(|_| "Jwt payload is an invalid JSON")?;
        let lifetime = check_claims(&payload)?;
        decode(signature).ok_or("Jwt signature is an invalid Base64url encoded")?;
        Ok(Self {
            algorithm,
            kid,
            message,
            payload_text,
            signature,
            payload,
            lifetime,
        })
    }

    pub(crate) fn issuer(&self) -> &str {
        self.payload.get("iss").and_then(Value::as_str).unwrap_or_default()
    }

    /// `aud`, a string or a list of strings.
    pub(crate) fn audiences(&self) -> impl Iterator<Item = &str> {
        let (one, list) = match self.payload.get("aud") {
            Some(Value::Array(list)) => (None, list.as_slice()),
            Some(Value::String(one)) => (Some(one.as_str()), &[][..]),
            _ => (None, &[][..]),
        };
        one.into_iter().chain(list.iter().filter_map(Value::as_str))
    }
}

fn header(text: &str) -> Result<(Algorithm, Option<String>), &'static str> {
    let json = decode(text).ok_or("Jwt header is an invalid Base64url encoded")?;
    let header = strict_json::object(&json).map_err(|_| "Jwt header is an invalid JSON")?;
    if ["crit", "zip", "b64", "enc"]
        .iter()
        .any(|name| header.contains_key(*name))
    {
        return Err("Jwt header asks for an extension that is not supported");
    }
    let Some(Value::String(name)) = header.get("alg") else {
        return Err("Jwt header [alg] field is required and must be a string");
    };
    let algorithm = algorithm(name).ok_or("Jwt header [alg] is not supported")?;
    match header.get("kid") {
        None => Ok((algorithm, None)),
        Some(Value::String(kid)) => Ok((algorithm, Some(kid.clone()))),
        Some(_) => Err("Jwt header [kid] field is not a string"),
    }
}

/// Registered claims must have their type when they are there.
fn check_claims(payload: &Map<String, Value>) -> Result<Lifetime, &'static str> {
    let wrong = |name: &str| payload.get(name).is_some_and(|value| !value.is_string());
    if wrong("iss") {
        return Err("Jwt payload [iss] field is not a string");
    }
    if wrong("sub") {
        return Err("Jwt payload [sub] field is not a string");
    }
    if wrong("jti") {
        return Err("Jwt payload [jti] field is not a string");
    }
    let strings = |list: &[Value]| list.iter().all(Value::is_string);
    if payload
        .get("aud")
        .is_some_and(|aud| !aud.is_string() && !aud.as_array().is_some_and(|list| strings(list)))
    {
        return Err("Jwt payload [aud] field is not a string or string list");
    }
    date(
        payload,
        "iat",
        "Jwt payload [iat] field is not a positive 64 bit integer",
    )?;
    Ok(Lifetime {
        not_before: date(
            payload,
            "nbf",
            "Jwt payload [nbf] field is not a positive 64 bit integer",
        )?,
        expires: date(
            payload,
            "exp",
            "Jwt payload [exp] field is not a positive 64 bit integer",
        )?,
    })
}

/// A NumericDate, which may have a fraction; it is cut off.
fn date(payload: &Map<String, Value>, name: &str, error: &'static str) -> Result<Option<u64>, &'static str> {
    match payload.get(name) {
        None => Ok(None),
        Some(Value::Number(number)) => whole(number).map(Some).ok_or(error),
        Some(_) => Err(error),
    }
}

/// The whole part of a number that is not negative and fits 64 bits.
pub(crate) fn whole(number: &Number) -> Option<u64> {
    number.as_u64().or_else(|| {
        let float = number.as_f64()?;
        // Beyond 2^64 the cast would saturate.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        (0.0..18_446_744_073_709_551_615.0)
            .contains(&float)
            .then_some(float as u64)
    })
}

fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

#[cfg(test)]
mod tests;
