//! Tokens: where they are looked for, how they are verified, what they leave behind.

mod explain;

use crate::claims::Claims;
use crate::jwt_rule::{JwtRule, Keys, UNKNOWN_ISSUER};
use crate::keys::{KeySource, NO_KEY};
use crate::place::{Location, Place, query_without};
use crate::spec::Problems;
use crate::token::{Lifetime, MAX_TOKEN_BYTES, Token};
use crate::{KeySets, PolicyId, Problem, RequestAuthenticationSpec};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use quick_cache::sync::Cache;
use quick_cache::{Equivalent, sync::DefaultLifecycle};
use request::Request;
use std::hash::{Hash, RandomState};
use std::sync::Arc;

pub use explain::{TokenExplanation, TokenFound, TokenRefusal};

/// Verified tokens kept by one [`Authn`]; a failed token is not kept.
const CACHED_TOKENS: usize = 1000;

/// All RequestAuthentications that bind to one Service, compiled.
#[derive(Debug, Default)]
pub struct Authn {
    rules: Vec<JwtRule>,
    locations: Vec<LocationRules>,
    owned_headers: Vec<HeaderName>,
    key_sources: Vec<KeySource>,
    cache: Option<TokenCache>,
}

/// A verified token and what it does to the request.
#[derive(Clone, Debug)]
pub struct Verified {
    /// Its claims, for [`crate::Policies::decide`].
    pub claims: Arc<Claims>,
    /// Headers to set upstream (`outputPayloadToHeader`, `outputClaimToHeaders`).
    pub set_headers: Arc<[(HeaderName, HeaderValue)]>,
    /// Where tokens stood that must not go upstream (`forwardOriginalToken: false`).
    pub strip: Arc<[Place]>,
}

/// A refused token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct AuthnError {
    /// 401 or 403 (audience).
    pub status: u16,
    /// `Jwt is expired`, ... (Envoy's words; the body of the answer).
    pub reason: &'static str,
}

impl AuthnError {
    /// No key of the set fits the token: the set may be older than the key.
    pub fn is_unknown_key(&self) -> bool {
        self.reason == NO_KEY
    }

    /// The `www-authenticate` of a 401 as Envoy writes it, for `realm` = `<scheme>://<host><path>`; none for a 403.
    pub fn challenge(&self, realm: &str) -> Option<String> {
        // The realm is a quoted string: what would end it is left out.
        let realm: String = realm
            .chars()
            .filter(|c| !matches!(c, '"' | '\\') && !c.is_control())
            .collect();
        (self.status == 401).then(|| format!("Bearer realm=\"{realm}\", error=\"invalid_token\""))
    }
}

impl Verified {
    /// The query that goes upstream, when a token must be taken out of it; `None`: it goes as it is.
    pub fn stripped_query(&self, query: &str) -> Option<String> {
        let param = |place: &Place| match place {
            Place::Param(name) => Some(name.clone()),
            _ => None,
        };
        let names: Vec<Arc<str>> = self.strip.iter().filter_map(param).collect();
        query_without(query, &names.iter().map(|name| &**name).collect::<Vec<&str>>())
    }
}

impl Authn {
    /// Compiles the RequestAuthentications of one Service. Problems name a field path inside the object.
    ///
    /// A rule that cannot be enforced as written stays, and accepts no token.
    pub fn build(specs: &[(PolicyId, RequestAuthenticationSpec)]) -> (Self, Vec<(PolicyId, Problem)>) {
        let mut rules = Vec::new();
        let mut found = Vec::new();
        for (id, spec) in specs {
            let mut problems = Problems::default();
            for key in spec
                .unknown
                .keys()
                .filter(|key| !matches!(&***key, "selector" | "targetRef" | "targetRefs"))
            {
                problems.error(
                    format!("spec.{key}"),
                    "unknown field; expected one of jwtRules, targetRefs",
                );
            }
            for (index, value) in spec.jwt_rules.iter().enumerate() {
                rules.push(JwtRule::read(value, &format!("spec.jwtRules[{index}]"), &mut problems));
            }
            found.extend(problems.0.into_iter().map(|problem| (id.clone(), problem)));
        }
        // Istio's order; it decides which rule's outputs win when several accept a token.
        rules.sort_by(|a, b| a.issuer.cmp(&b.issuer));
        (Self::of(rules), found)
    }

    /// No RequestAuthentication applies.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Headers that only this engine may set: they are removed from a client's request first.
    pub fn owned_headers(&self) -> &[HeaderName] {
        &self.owned_headers
    }

    /// The key sets that must be fetched and published under [`KeySource::id`].
    pub fn key_sources(&self) -> &[KeySource] {
        &self.key_sources
    }

    /// Verifies the tokens of a request. `Ok(None)`: no token. `now` is unix seconds. Verified tokens are cached.
    ///
    /// Every token at a place that some rule reads must satisfy such a rule. With more than one, the claims are those of
    /// the first rule (by issuer) that a token satisfies. A CORS preflight is not asked for tokens.
    ///
    /// # Errors
    /// A token that is present and not valid.
    pub fn verify(&self, request: &Request<'_>, now: u64, keys: &KeySets) -> Result<Option<Verified>, AuthnError> {
        if self.rules.is_empty() || is_preflight(request) {
            return Ok(None);
        }
        let mut best: Option<Accepted> = None;
        for (index, location) in self.locations.iter().enumerate() {
            location.location.tokens(request, |text| {
                let accepted = self.verify_token(index, location, text, now, keys)?;
                best = Some(match best.take() {
                    None => accepted,
                    Some(before) => before.and(accepted),
                });
                Ok(())
            })?;
        }
        Ok(best.map(|accepted| accepted.verified))
    }

    /// Applies `verified` to the headers that go upstream: tokens out, outputs in. See also
    /// [`Verified::stripped_query`].
    pub fn apply(verified: &Verified, headers: &mut HeaderMap) {
        for place in &*verified.strip {
            place.strip(headers);
        }
        for (name, value) in &*verified.set_headers {
            headers.append(name, value.clone());
        }
    }

    fn of(rules: Vec<JwtRule>) -> Self {
        let mut locations: Vec<LocationRules> = Vec::new();
        let (mut owned_headers, mut key_sources) = (Vec::new(), Vec::new());
        for (index, rule) in rules.iter().enumerate() {
            for location in &rule.locations {
                match locations.iter_mut().find(|known| known.location == *location) {
                    Some(known) if known.rules.contains(&index) => {}
                    Some(known) => known.rules.push(index),
                    None => locations.push(LocationRules {
                        location: location.clone(),
                        rules: vec![index],
                    }),
                }
            }
            for name in rule
                .owned_headers()
                .filter(|name| !owned_headers.contains(*name))
                .cloned()
                .collect::<Vec<_>>()
            {
                owned_headers.push(name);
            }
            if let Keys::Fetched(source) = &rule.keys
                && !key_sources.contains(source)
            {
                key_sources.push(source.clone());
            }
        }
        let cache = (!rules.is_empty()).then(TokenCache::new);
        Self {
            rules,
            locations,
            owned_headers,
            key_sources,
            cache,
        }
    }

    fn verify_token(
        &self,
        index: usize,
        location: &LocationRules,
        text: &str,
        now: u64,
        keys: &KeySets,
    ) -> Result<Accepted, AuthnError> {
        if let Some(cache) = &self.cache
            && let Some(accepted) = cache.get(index, text, now, keys.generation)
        {
            return Ok(accepted);
        }
        let token = Token::parse(text).map_err(|reason| AuthnError { status: 401, reason })?;
        let mut refused = AuthnError {
            status: 401,
            reason: UNKNOWN_ISSUER,
        };
        for rule_index in &location.rules {
            let Some(rule) = self.rules.get(*rule_index) else {
                continue;
            };
            match rule.verify(&token, now, keys) {
                Ok(()) => return Ok(self.accept(index, *rule_index, rule, location, text, token, keys.generation)),
                // The first rule for this issuer says why.
                Err((status, reason)) if refused.reason == UNKNOWN_ISSUER => refused = AuthnError { status, reason },
                Err(_) => {}
            }
        }
        Err(refused)
    }

    #[allow(clippy::too_many_arguments)]
    fn accept(
        &self,
        index: usize,
        rule_index: usize,
        rule: &JwtRule,
        location: &LocationRules,
        text: &str,
        token: Token<'_>,
        generation: u64,
    ) -> Accepted {
        let lifetime = token.lifetime;
        let set_headers = rule.output_headers(&token);
        let claims = Arc::new(Claims::from_payload(rule.normalised(token.payload)));
        let strip: Arc<[Place]> = if rule.forward {
            [].into()
        } else {
            [location.location.place.clone()].into()
        };
        let accepted = Accepted {
            rule: rule_index,
            verified: Verified {
                claims,
                set_headers,
                strip,
            },
        };
        if let Some(cache) = &self.cache {
            cache.insert(
                index,
                text,
                Entry {
                    accepted: accepted.clone(),
                    lifetime,
                    generation,
                },
            );
        }
        accepted
    }
}

/// A place and the rules that read it, in order.
#[derive(Debug)]
struct LocationRules {
    location: Location,
    rules: Vec<usize>,
}

/// What a token amounts to, and by which rule.
#[derive(Clone, Debug)]
struct Accepted {
    rule: usize,
    verified: Verified,
}

impl Accepted {
    /// Two good tokens: the earlier rule speaks, both are taken out.
    fn and(self, other: Self) -> Self {
        let strip: Vec<Place> = self
            .verified
            .strip
            .iter()
            .chain(&*other.verified.strip)
            .cloned()
            .collect();
        let mut first = if other.rule < self.rule { other } else { self };
        first.verified.strip = strip.into();
        first
    }
}

/// `OPTIONS` with `Origin` and `Access-Control-Request-Method`: a browser sends no credentials with it.
fn is_preflight(request: &Request<'_>) -> bool {
    let has = |name| {
        request
            .headers
            .get(name)
            .is_some_and(|value: &HeaderValue| !value.is_empty())
    };
    request.method == Method::OPTIONS && has(header::ORIGIN) && has(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// Verified tokens by place and text. The whole text is the key, compared in full, under a hash with a random key: no
/// token can be made to pass for another.
#[derive(Debug)]
struct TokenCache(Cache<Key, Arc<Entry>, quick_cache::UnitWeighter, RandomState, DefaultLifecycle<Key, Arc<Entry>>>);

#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    location: usize,
    text: Box<str>,
}

#[derive(Hash)]
struct KeyRef<'a> {
    location: usize,
    text: &'a str,
}

impl Equivalent<Key> for KeyRef<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.location == key.location && *self.text == *key.text
    }
}

#[derive(Debug)]
struct Entry {
    accepted: Accepted,
    lifetime: Lifetime,
    /// Of the key sets it was verified with.
    generation: u64,
}

impl TokenCache {
    fn new() -> Self {
        let (weighter, hasher, lifecycle) = (
            quick_cache::UnitWeighter,
            RandomState::new(),
            DefaultLifecycle::default(),
        );
        Self(Cache::with(
            CACHED_TOKENS,
            CACHED_TOKENS as u64,
            weighter,
            hasher,
            lifecycle,
        ))
    }

    fn get(&self, location: usize, text: &str, now: u64, generation: u64) -> Option<Accepted> {
        if text.len() > MAX_TOKEN_BYTES {
            return None;
        }
        let entry = self.0.get(&KeyRef { location, text })?;
        if entry.generation != generation || entry.lifetime.check(now).is_err() {
            self.0.remove(&KeyRef { location, text });
            return None;
        }
        Some(entry.accepted.clone())
    }

    fn insert(&self, location: usize, text: &str, entry: Entry) {
        self.0.insert(
            Key {
                location,
                text: text.into(),
            },
            Arc::new(entry),
        );
    }
}

#[cfg(test)]
mod tests;
