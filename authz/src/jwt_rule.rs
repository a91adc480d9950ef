//! One `jwtRules` entry of a RequestAuthentication, read and compiled.

use crate::keys::{KeyLocation, KeySet, KeySets, KeySource};
use crate::place::Location;
use crate::spec::{Problems, kind_of};
use crate::token::{Token, whole};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue, header};
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Duration;

/// A compiled rule.
#[derive(Debug)]
pub(crate) struct JwtRule {
    /// Empty: any issuer.
    pub(crate) issuer: String,
    /// Without scheme and trailing slash; empty: any audience.
    audiences: Vec<String>,
    pub(crate) keys: Keys,
    pub(crate) locations: Vec<Location>,
    pub(crate) forward: bool,
    payload_header: Option<HeaderName>,
    /// Header, path of the claim.
    claim_headers: Vec<(HeaderName, Vec<String>)>,
    space_delimited: Vec<String>,
}

/// Where a rule's keys come from.
#[derive(Debug)]
pub(crate) enum Keys {
    Inline(KeySet),
    Fetched(KeySource),
    /// The rule cannot be enforced as written, so no token satisfies it.
    Broken,
}

const FIELDS: &[&str] = &[
    "issuer",
    "audiences",
    "jwks",
    "jwksUri",
    "jwks_uri",
    "fromHeaders",
    "fromParams",
    "fromCookies",
    "forwardOriginalToken",
    "outputPayloadToHeader",
    "outputClaimToHeaders",
    "spaceDelimitedClaims",
    "timeout",
];
/// Claims that Istio always splits at spaces.
const ALWAYS_SPLIT: &[&str] = &["scope", "permission"];
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

impl JwtRule {
    /// Reads a rule. One that cannot be enforced as written accepts no token (fail closed).
    pub(crate) fn read(value: &Value, at: &str, problems: &mut Problems) -> Self {
        let empty = Map::new();
        let mut reader = Reader {
            at,
            problems,
            sound: true,
            fields: value.as_object().unwrap_or(&empty),
        };
        if !value.is_object() {
            reader.error("", &format!("expected an object, found {}", kind_of(value)));
        }
        reader.sound &= reader.problems.only_known(reader.fields, FIELDS, at);
        let issuer = reader.text("issuer").to_owned();
        let audiences = reader
            .texts("audiences")
            .iter()
            .map(|text| bare_audience(text).to_owned())
            .collect();
        let locations = reader.locations();
        let payload_header = reader.text("outputPayloadToHeader");
        let payload_header = reader.header_name("outputPayloadToHeader", payload_header);
        let claim_headers = reader.claim_headers();
        let mut space_delimited: Vec<String> = ALWAYS_SPLIT.iter().map(|name| (*name).to_owned()).collect();
        space_delimited.extend(reader.texts("spaceDelimitedClaims").into_iter().map(str::to_owned));
        let forward = match reader.fields.get("forwardOriginalToken") {
            None | Some(Value::Null) => false,
            Some(Value::Bool(forward)) => *forward,
            Some(other) => {
                reader.error(
                    ".forwardOriginalToken",
                    &format!("expected a boolean, found {}", kind_of(other)),
                );
                false
            }
        };
        let keys = reader.keys(&issuer);
        let keys = if reader.sound { keys } else { Keys::Broken };
        Self {
            issuer,
            audiences,
            keys,
            locations,
            forward,
            payload_header,
            claim_headers,
            space_delimited,
        }
    }

    /// Headers that only this rule may set.
    pub(crate) fn owned_headers(&self) -> impl Iterator<Item = &HeaderName> {
        self.payload_header
            .iter()
            .chain(self.claim_headers.iter().map(|(name, _)| name))
    }

    /// Checks all but the lifetime, which changes: issuer, audience, signature.
    ///
    /// # Errors
    /// Status and Envoy's words.
    pub(crate) fn verify(&self, token: &Token<'_>, now: u64, keys: &KeySets) -> Result<(), (u16, &'static str)> {
        if !self.issuer.is_empty() && self.issuer != token.issuer() {
            return Err((401, UNKNOWN_ISSUER));
        }
        token.lifetime.check(now).map_err(|reason| (401, reason))?;
        let allowed = |audience: &str| self.audiences.iter().any(|wanted| wanted == bare_audience(audience));
        if !self.audiences.is_empty() && !token.audiences().any(allowed) {
            return Err((403, "Audiences in Jwt are not allowed"));
        }
        let fetched;
        let set = match &self.keys {
            Keys::Inline(set) => set,
            Keys::Fetched(source) => {
                fetched = keys.sets.get(&source.id).ok_or((401, "Jwks remote fetch is failed"))?;
                fetched
            }
            Keys::Broken => return Err((401, "Jwks doesn't have any valid public key")),
        };
        let verified = set.verify(token.kid.as_deref(), token.algorithm, token.message, token.signature);
        verified.map_err(|reason| (401, reason))
    }

    /// The headers that a verified token adds upstream.
    pub(crate) fn output_headers(&self, token: &Token<'_>) -> Arc<[(HeaderName, HeaderValue)]> {
        let payload = self
            .payload_header
            .iter()
            .map(|name| (name, Some(token.payload_text.to_owned())));
        let claims = self
            .claim_headers
            .iter()
            .map(|(name, path)| (name, claim_text(&token.payload, path)));
        let valid = |(name, text): (&HeaderName, Option<String>)| {
            // A claim with a line break in it is no header.
            let value = HeaderValue::try_from(text.filter(|text| !text.is_empty())?.into_bytes()).ok()?;
            Some((name.clone(), value))
        };
        payload.chain(claims).filter_map(valid).collect()
    }

    /// The payload as policies see it.
    pub(crate) fn normalised(&self, mut payload: Map<String, Value>) -> Map<String, Value> {
        for name in &self.space_delimited {
            if let Some(Value::String(text)) = payload.get(name) {
                let list = text
                    .split(' ')
                    .filter(|part| !part.is_empty())
                    .map(Value::from)
                    .collect();
                payload.insert(name.clone(), Value::Array(list));
            }
        }
        payload
    }
}

pub(crate) const UNKNOWN_ISSUER: &str = "Jwt issuer is not configured";

/// Envoy compares audiences without `http(s)://` and without a trailing slash.
fn bare_audience(text: &str) -> &str {
    let text = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"))
        .unwrap_or(text);
    text.strip_suffix('/').unwrap_or(text)
}

/// A claim as a header value, as Envoy writes it: text, whole numbers as such, other numbers with six decimals,
/// booleans; lists and objects as base64 of their JSON.
fn claim_text(payload: &Map<String, Value>, path: &[String]) -> Option<String> {
    let (last, parents) = path.split_last()?;
    let mut object = payload;
    for parent in parents {
        object = object.get(parent)?.as_object()?;
    }
    match object.get(last)? {
        Value::String(text) => Some(text.clone()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Number(number) => Some(match (whole(number), number.as_f64()?) {
            #[allow(clippy::cast_precision_loss, clippy::float_cmp)]
            (Some(whole), float) if number.is_u64() || whole as f64 == float => whole.to_string(),
            (_, float) => format!("{float:.6}"),
        }),
        value @ (Value::Array(_) | Value::Object(_)) => Some(STANDARD.encode(value.to_string())),
        Value::Null => None,
    }
}

/// Reads the fields of one rule.
struct Reader<'a> {
    at: &'a str,
    fields: &'a Map<String, Value>,
    problems: &'a mut Problems,
    /// False: the rule cannot be enforced as written.
    sound: bool,
}

impl<'a> Reader<'a> {
    fn error(&mut self, field: &str, message: &str) {
        self.sound = false;
        self.problems.error(format!("{}{field}", self.at), message);
    }

    fn text(&mut self, name: &str) -> &'a str {
        match self.fields.get(name) {
            None | Some(Value::Null) => "",
            Some(Value::String(text)) => text,
            Some(other) => {
                self.error(
                    &format!(".{name}"),
                    &format!("expected a string, found {}", kind_of(other)),
                );
                ""
            }
        }
    }

    fn list(&mut self, name: &str) -> &'a [Value] {
        match self.fields.get(name) {
            None | Some(Value::Null) => &[],
            Some(Value::Array(list)) => list,
            Some(other) => {
                self.error(
                    &format!(".{name}"),
                    &format!("expected a list, found {}", kind_of(other)),
                );
                &[]
            }
        }
    }

    fn texts(&mut self, name: &str) -> Vec<&'a str> {
        let mut out = Vec::new();
        for (index, value) in self.list(name).iter().enumerate() {
            match value.as_str().filter(|text| !text.is_empty()) {
                Some(text) => out.push(text),
                None => self.error(&format!(".{name}[{index}]"), "expected a string that is not empty"),
            }
        }
        out
    }

    fn header_name(&mut self, field: &str, text: &str) -> Option<HeaderName> {
        if text.is_empty() {
            return None;
        }
        let name = HeaderName::from_bytes(text.as_bytes()).ok();
        if name.is_none() {
            self.error(
                &format!(".{field}"),
                &format!("expected the name of a header, found {text:?}"),
            );
        }
        name
    }

    fn locations(&mut self) -> Vec<Location> {
        let mut out = Vec::new();
        for (index, value) in self.list("fromHeaders").iter().enumerate() {
            let field = format!("fromHeaders[{index}]");
            let part = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
            let known = value.as_object().is_some_and(|object| {
                self.problems
                    .only_known(object, &["name", "prefix"], &format!("{}.{field}", self.at))
            });
            self.sound &= known;
            match self.header_name(&format!("{field}.name"), part("name")) {
                Some(name) => out.push(Location::header(name, part("prefix"))),
                None => self.error(&format!(".{field}.name"), "must name a header"),
            }
        }
        out.extend(self.texts("fromParams").into_iter().map(Location::param));
        out.extend(self.texts("fromCookies").into_iter().map(Location::cookie));
        if out.is_empty() {
            out.push(Location::header(header::AUTHORIZATION, "Bearer "));
            out.push(Location::param("access_token"));
        }
        out
    }

    fn claim_headers(&mut self) -> Vec<(HeaderName, Vec<String>)> {
        let mut out = Vec::new();
        for (index, value) in self.list("outputClaimToHeaders").iter().enumerate() {
            let field = format!("outputClaimToHeaders[{index}]");
            let part = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
            let name = self.header_name(&format!("{field}.header"), part("header"));
            match name.filter(|_| !part("claim").is_empty()) {
                Some(name) => out.push((name, part("claim").split('.').map(str::to_owned).collect())),
                None => self.error(&format!(".{field}"), "expected a header and a claim, neither empty"),
            }
        }
        out
    }

    /// Inline keys come before a URI, and a URI before discovery at the issuer.
    fn keys(&mut self, issuer: &str) -> Keys {
        let timeout = self.timeout();
        let inline = self.text("jwks");
        if !inline.is_empty() {
            return self.inline(inline);
        }
        let uri = match self.text("jwksUri") {
            "" => self.text("jwks_uri"),
            uri => uri,
        };
        if uri.is_empty() && issuer.is_empty() {
            self.error(".issuer", "issuer or jwksUri must be set");
            return Keys::Broken;
        }
        let location = if uri.is_empty() {
            KeyLocation::Issuer(issuer.into())
        } else {
            KeyLocation::Jwks(uri.into())
        };
        if !uri.is_empty() && !uri.starts_with("http://") && !uri.starts_with("https://") {
            self.error(".jwksUri", "expected an http:// or https:// URL");
        }
        let what = if uri.is_empty() {
            format!("discovery {issuer}")
        } else {
            format!("jwks {uri}")
        };
        let id = format!("{what} within {timeout:?}").into();
        Keys::Fetched(KeySource { id, location, timeout })
    }

    fn inline(&mut self, json: &str) -> Keys {
        match KeySet::parse(json) {
            Ok(set) => {
                for warning in set.warnings() {
                    self.problems.warn(format!("{}.jwks", self.at), warning);
                }
                if set.is_empty() {
                    self.error(".jwks", "holds no key that can verify a token");
                }
                Keys::Inline(set)
            }
            Err(message) => {
                self.error(".jwks", &message);
                Keys::Broken
            }
        }
    }

    /// A bad timeout is reported and does not spoil the rule.
    fn timeout(&mut self) -> Duration {
        let timeout = match self.fields.get("timeout") {
            None | Some(Value::Null) => return DEFAULT_TIMEOUT,
            Some(value) => value.as_str().and_then(duration),
        };
        timeout
            .filter(|timeout| *timeout >= Duration::from_millis(1))
            .unwrap_or_else(|| {
                let message = "expected a duration of at least 1ms, such as 5s or 500ms; 5s is used";
                self.problems.error(format!("{}.timeout", self.at), message);
                DEFAULT_TIMEOUT
            })
    }
}

/// A duration as Kubernetes objects write it: `1h2m3.5s`, `10ms`.
fn duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at_checked(digits)?;
        let unit = after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len());
        let (unit, next) = after.split_at_checked(unit)?;
        let seconds = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * seconds;
        rest = next;
    }
    Duration::try_from_secs_f64(total).ok()
}

#[cfg(test)]
mod tests;
