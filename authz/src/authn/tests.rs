//! Whole verifications: places, issuers, audiences, several tokens, the cache.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::{Authn, AuthnError};
use crate::testing::{Sample, Signer, id};
use crate::{KeySet, KeySets, RequestAuthenticationSpec};
use http::Method;
use serde_json::{Value, json};
use std::sync::Arc;

const NOW: u64 = 1_000_000;

fn authn(rules: Value) -> Authn {
    let spec: RequestAuthenticationSpec = serde_json::from_value(json!({ "jwtRules": rules })).unwrap();
    Authn::build(&[(id("ra"), spec)]).0
}

fn payload(issuer: &str) -> Value {
    json!({"iss": issuer, "sub": "u", "aud": "shop", "exp": NOW + 600})
}

fn bearer(token: &str) -> Sample {
    Sample::get("/").header("authorization", &format!("Bearer {token}"))
}

/// The principal, or status and reason.
fn verify(authn: &Authn, sample: &Sample) -> Result<Option<String>, (u16, &'static str)> {
    match authn.verify(&sample.request(), NOW, &KeySets::default()) {
        Ok(verified) => Ok(verified.map(|verified| verified.claims.principal.clone())),
        Err(AuthnError { status, reason }) => Err((status, reason)),
    }
}

#[test]
fn good_missing_and_bad() {
    let signer = Signer::new("k");
    let authn = authn(json!([{"issuer": "id", "audiences": ["https://shop/"], "jwks": signer.jwks()}]));
    let sign = |payload: Value| signer.token(&payload);
    let with = |name: &str, value: Value| {
        let mut claims = payload("id");
        claims[name] = value;
        bearer(&sign(claims))
    };
    assert_eq!(
        verify(&authn, &bearer(&sign(payload("id")))),
        Ok(Some("id/u".to_owned()))
    );
    assert_eq!(verify(&authn, &Sample::get("/")), Ok(None));
    assert_eq!(
        verify(&authn, &with("aud", json!(["x", "http://shop"]))),
        Ok(Some("id/u".to_owned()))
    );
    for (sample, status, reason) in [
        (with("exp", json!(NOW - 61)), 401, "Jwt is expired"),
        (with("nbf", json!(NOW + 61)), 401, "Jwt not yet valid"),
        (with("iss", json!("ID")), 401, "Jwt issuer is not configured"),
        (with("aud", json!("SHOP")), 403, "Audiences in Jwt are not allowed"),
        (with("aud", json!([])), 403, "Audiences in Jwt are not allowed"),
        (
            bearer(&Signer::new("k").token(&payload("id"))),
            401,
            "Jwt verification fails",
        ),
        (
            bearer(&Signer::new("other").token(&payload("id"))),
            401,
            "Jwks doesn't have key to match kid or alg from Jwt",
        ),
    ] {
        assert_eq!(verify(&authn, &sample), Err((status, reason)));
    }
    // A changed payload under the old signature.
    let (good, other) = (
        sign(payload("id")),
        sign(json!({"iss": "id", "sub": "root", "aud": "shop"})),
    );
    let (good, other): (Vec<&str>, Vec<&str>) = (good.split('.').collect(), other.split('.').collect());
    let forged = [good[0], other[1], good[2]].join(".");
    assert_eq!(verify(&authn, &bearer(&forged)), Err((401, "Jwt verification fails")));
}

#[test]
fn every_token_must_be_good() {
    let (signer, stranger) = (Signer::new("k"), Signer::new("k"));
    let authn = authn(json!([{"issuer": "id", "jwks": signer.jwks()}]));
    let (good, bad) = (signer.token(&payload("id")), stranger.token(&payload("id")));
    for (first, second) in [(&good, &bad), (&bad, &good)] {
        let sample = bearer(first).header("authorization", &format!("Bearer {second}"));
        assert_eq!(verify(&authn, &sample), Err((401, "Jwt verification fails")));
        let params = Sample::get(&format!("/?access_token={first}&access_token={second}"));
        assert_eq!(verify(&authn, &params), Err((401, "Jwt verification fails")));
    }
    assert!(verify(&authn, &bearer(&format!("{good}, Bearer {bad}"))).is_err());
    assert!(verify(&authn, &bearer(&good).header("authorization", "Bearer")).is_err());
}

#[test]
fn rules_that_share_a_place() {
    let (a, b) = (Signer::new("a"), Signer::new("b"));
    let authn = authn(json!([
        {"issuer": "b", "jwks": b.jwks(), "audiences": ["elsewhere"]},
        {"issuer": "a", "jwks": a.jwks()},
        {"issuer": "b", "jwks": b.jwks(), "audiences": ["shop"]},
        {"issuer": "c", "jwks": a.jwks(), "fromHeaders": [{"name": "x-c"}]},
    ]));
    assert_eq!(
        verify(&authn, &bearer(&a.token(&payload("a")))),
        Ok(Some("a/u".to_owned()))
    );
    assert_eq!(
        verify(&authn, &bearer(&b.token(&payload("b")))),
        Ok(Some("b/u".to_owned()))
    );
    assert_eq!(
        verify(&authn, &bearer(&a.token(&payload("b")))),
        Err((403, "Audiences in Jwt are not allowed"))
    );
    // An issuer counts only at its own places, also when the token is known from there.
    let c = a.token(&payload("c"));
    assert_eq!(
        verify(&authn, &Sample::get("/").header("x-c", &c)),
        Ok(Some("c/u".to_owned()))
    );
    assert_eq!(verify(&authn, &bearer(&c)), Err((401, "Jwt issuer is not configured")));
    // Two good tokens: the rule that is first by issuer speaks, and both are taken out.
    let both = bearer(&b.token(&payload("b"))).header("x-c", &c);
    let verified = authn
        .verify(&both.request(), NOW, &KeySets::default())
        .unwrap()
        .unwrap();
    assert_eq!(verified.claims.principal, "b/u");
    let mut headers = both.headers.clone();
    Authn::apply(&verified, &mut headers);
    assert!(headers.is_empty(), "{headers:?}");
}

#[test]
fn tokens_are_taken_out_unless_forwarded() {
    let signer = Signer::new("k");
    let rule = |forward: bool| {
        authn(
            json!([{"issuer": "id", "jwks": signer.jwks(), "forwardOriginalToken": forward,
            "fromParams": ["t"], "fromCookies": ["s"], "outputClaimToHeaders": [{"header": "x-sub", "claim": "sub"}]}]),
        )
    };
    let token = signer.token(&payload("id"));
    let sample = Sample::get(&format!("/?a=1&t={token}")).header("cookie", &format!("s={token}; b=2"));
    for (forward, query, cookie) in [
        (true, None, format!("s={token}; b=2")),
        (false, Some("a=1"), "b=2".to_owned()),
    ] {
        let authn = rule(forward);
        assert_eq!(authn.owned_headers(), ["x-sub"]);
        let verified = authn
            .verify(&sample.request(), NOW, &KeySets::default())
            .unwrap()
            .unwrap();
        assert_eq!(
            verified
                .stripped_query(sample.head.query.as_deref().unwrap())
                .as_deref(),
            query
        );
        let mut headers = sample.headers.clone();
        Authn::apply(&verified, &mut headers);
        assert_eq!(
            (&headers["cookie"], &headers["x-sub"]),
            (&cookie.parse().unwrap(), &"u".parse().unwrap())
        );
    }
}

#[test]
fn fetched_keys_and_their_generations() {
    let (old, new) = (Signer::new("k"), Signer::new("k"));
    let authn = authn(json!([{"issuer": "id", "jwksUri": "https://id.example/jwks"}]));
    let source = authn.key_sources()[0].id.clone();
    let sets = |signer: &Signer, generation| KeySets {
        sets: [(source.clone(), Arc::new(KeySet::parse(&signer.jwks()).unwrap()))].into(),
        generation,
    };
    let sample = bearer(&old.token(&payload("id")));
    let verify = |sets: &KeySets| {
        authn
            .verify(&sample.request(), NOW, sets)
            .map(|_| ())
            .map_err(|error| error.reason)
    };
    assert_eq!(verify(&KeySets::default()), Err("Jwks remote fetch is failed"));
    assert!(
        authn
            .verify(&Sample::get("/").request(), NOW, &KeySets::default())
            .unwrap()
            .is_none()
    );
    assert_eq!(verify(&sets(&old, 1)), Ok(()));
    // Known from before, but its key is gone.
    assert_eq!(verify(&sets(&new, 2)), Err("Jwt verification fails"));
    assert_eq!(verify(&sets(&old, 3)), Ok(()));
}

#[test]
fn a_cached_token_expires() {
    let signer = Signer::new("k");
    let authn = authn(json!([{"issuer": "id", "jwks": signer.jwks()}]));
    let sample = bearer(&signer.token(&payload("id")));
    let at = |now| {
        authn
            .verify(&sample.request(), now, &KeySets::default())
            .map(|_| ())
            .map_err(|error| error.reason)
    };
    assert_eq!(at(NOW), Ok(()));
    assert_eq!(authn.cache.as_ref().unwrap().0.len(), 1);
    assert_eq!(at(NOW + 660), Ok(()));
    assert_eq!(at(NOW + 661), Err("Jwt is expired"));
    assert_eq!(authn.cache.as_ref().unwrap().0.len(), 0);
}

#[test]
fn the_cache_is_bounded_and_keeps_no_bad_token() {
    let signer = Signer::new("k");
    let authn = authn(json!([{"issuer": "id", "jwks": signer.jwks()}]));
    for n in 0..50 {
        let mut bad = signer.token(&json!({"iss": "id", "sub": n.to_string()}));
        bad.truncate(bad.len() - 4);
        assert!(verify(&authn, &bearer(&bad)).is_err());
    }
    assert_eq!(authn.cache.as_ref().unwrap().0.len(), 0);
    let entry = |n: usize| {
        let text = format!("token-{n}");
        let claims = Arc::new(crate::Claims::default());
        let verified = super::Verified {
            claims,
            set_headers: [].into(),
            strip: [].into(),
        };
        let lifetime = crate::token::Lifetime {
            not_before: None,
            expires: None,
        };
        (
            text,
            super::Entry {
                accepted: super::Accepted { rule: 0, verified },
                lifetime,
                generation: 0,
            },
        )
    };
    let cache = authn.cache.as_ref().unwrap();
    for n in 0..5 * super::CACHED_TOKENS {
        let (text, entry) = entry(n);
        cache.insert(0, &text, entry);
    }
    assert!(cache.0.len() <= super::CACHED_TOKENS, "{}", cache.0.len());
}

#[test]
fn preflights_need_no_token() {
    let signer = Signer::new("k");
    let authn = authn(json!([{"issuer": "id", "jwks": signer.jwks()}]));
    let mut sample = bearer("nonsense")
        .header("origin", "https://a")
        .header("access-control-request-method", "PUT");
    assert!(verify(&authn, &sample).is_err());
    sample.method = Method::OPTIONS;
    assert_eq!(verify(&authn, &sample), Ok(None));
    sample.headers.remove("origin");
    assert!(verify(&authn, &sample).is_err());
}

#[test]
fn a_rule_that_is_not_understood_accepts_no_token() {
    let signer = Signer::new("k");
    let broken = authn(json!([{"issuer": "id", "jwks": signer.jwks(), "audience": ["x"]}]));
    let sample = bearer(&signer.token(&payload("id")));
    assert_eq!(
        verify(&broken, &sample),
        Err((401, "Jwks doesn't have any valid public key"))
    );
    assert_eq!(verify(&broken, &Sample::get("/")), Ok(None));
    assert!(verify(&authn(json!(["x"])), &sample).is_err());
}

#[test]
fn challenges() {
    let error = |status| AuthnError {
        status,
        reason: "Jwt is expired",
    };
    assert_eq!(
        error(401).challenge("http://shop/a\"b\\c").unwrap(),
        "Bearer realm=\"http://shop/abc\", error=\"invalid_token\""
    );
    assert_eq!(error(403).challenge("http://shop/"), None);
    assert_eq!(error(401).to_string(), "Jwt is expired");
}
