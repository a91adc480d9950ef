//! What became of the tokens of a request, place by place and rule by rule. No token is part of it.

use super::{Authn, AuthnError, Verified, is_preflight};
use crate::jwt_rule::{JwtRule, Keys};
use crate::place::{Location, Place};
use crate::token::Token;
use crate::{KeyLocation, KeySets};
use request::Request;
use std::fmt;

/// How RequestAuthentications see one request.
#[derive(Clone, Debug)]
pub struct TokenExplanation {
    /// The rules, by issuer: those that are bound.
    pub rules: Vec<String>,
    /// Every token found where some rule looks.
    pub tokens: Vec<TokenFound>,
    /// A CORS preflight, which is not asked for tokens.
    pub preflight: bool,
    /// The outcome, as [`Authn::verify`] gives it.
    pub outcome: Result<Option<Verified>, AuthnError>,
}

/// One token, without its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenFound {
    /// `header authorization`, `query parameter access_token`, `cookie session`.
    pub place: String,
    /// The rule that accepts it.
    pub accepted_by: Option<String>,
    /// What each rule that looks there says against it; one entry without a rule when it is no token at all.
    pub refusals: Vec<TokenRefusal>,
}

/// What speaks against a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRefusal {
    /// The rule; `None`: it is no token at all.
    pub rule: Option<String>,
    /// In Envoy's words.
    pub reason: &'static str,
    /// The key set is not here (its URI has not been fetched), so nothing can be said of the signature.
    pub keys_missing: bool,
}

impl Authn {
    /// [`Authn::verify`], with every token found and what each rule says to it.
    pub fn explain(&self, request: &Request<'_>, now: u64, keys: &KeySets) -> TokenExplanation {
        let preflight = is_preflight(request);
        let mut tokens = Vec::new();
        if !preflight {
            for location in &self.locations {
                let rules = || location.rules.iter().filter_map(|index| self.rules.get(*index));
                let found = |text: &str| -> Result<(), ()> {
                    tokens.push(judged(&location.location, text, rules(), now, keys));
                    Ok(())
                };
                // Never fails: every token is looked at.
                let _ = location.location.tokens(request, found);
            }
        }
        TokenExplanation {
            rules: self.rules.iter().map(ToString::to_string).collect(),
            tokens,
            preflight,
            outcome: self.verify(request, now, keys),
        }
    }
}

fn judged<'r>(
    location: &Location,
    text: &str,
    rules: impl Iterator<Item = &'r JwtRule>,
    now: u64,
    keys: &KeySets,
) -> TokenFound {
    let mut found = TokenFound {
        place: location.to_string(),
        accepted_by: None,
        refusals: Vec::new(),
    };
    let token = match Token::parse(text) {
        Ok(token) => token,
        Err(reason) => {
            found.refusals.push(TokenRefusal {
                rule: None,
                reason,
                keys_missing: false,
            });
            return found;
        }
    };
    for rule in rules {
        match rule.verify(&token, now, keys) {
            Ok(()) => {
                found.accepted_by = Some(rule.to_string());
                break;
            }
            Err((_, reason)) => found.refusals.push(TokenRefusal {
                rule: Some(rule.to_string()),
                reason,
                keys_missing: matches!(&rule.keys, Keys::Fetched(source) if !keys.sets.contains_key(&source.id)),
            }),
        }
    }
    found
}

/// `issuer "https://a" (keys from https://a/jwks)`.
impl fmt::Display for JwtRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.issuer.as_str() {
            "" => f.write_str("any issuer")?,
            issuer => write!(f, "issuer {issuer:?}")?,
        }
        match &self.keys {
            Keys::Inline(_) => f.write_str(" (keys inline)"),
            Keys::Broken => f.write_str(" (no usable keys)"),
            Keys::Fetched(source) => match &source.location {
                KeyLocation::Jwks(uri) => write!(f, " (keys from {})", without_query(uri)),
                KeyLocation::Issuer(uri) => write!(f, " (keys by discovery at {})", without_query(uri)),
            },
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Header(name) => write!(f, "header {name}"),
            Place::Param(name) => write!(f, "query parameter {name}"),
            Place::Cookie(name) => write!(f, "cookie {name}"),
        }
    }
}

/// User info and queries may hold secrets.
fn without_query(uri: &str) -> String {
    let plain = uri.split(['?', '#']).next().unwrap_or_default();
    match plain.split_once("://") {
        Some((scheme, rest)) => format!("{scheme}://{}", rest.rsplit('@').next().unwrap_or_default()),
        None => plain.to_owned(),
    }
}

#[cfg(test)]
mod tests;
