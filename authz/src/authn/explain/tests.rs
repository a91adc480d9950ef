//! Tokens are explained as they are verified, and never shown.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::testing::{Sample, Signer, id};
use crate::{Authn, KeySets, RequestAuthenticationSpec};
use serde_json::{Value, json};

const NOW: u64 = 1_700_000_000;

fn authn(rules: &Value) -> Authn {
    let spec: RequestAuthenticationSpec = serde_json::from_value(json!({"jwtRules": rules})).unwrap();
    Authn::build(&[(id("jwt"), spec)]).0
}

#[test]
fn each_token_is_told_with_the_rule_that_takes_it_or_why_none_does() {
    let signer = Signer::new("k");
    let authn = authn(&json!([
        {"issuer": "https://a", "jwks": signer.jwks()},
        {"issuer": "https://b", "jwksUri": "https://user:secret@b/jwks?key=secret"},
    ]));
    let keys = KeySets::default();
    let explain = |token: &str| {
        let sample = Sample::get("/").header("authorization", &format!("Bearer {token}"));
        let request = sample.request();
        let explained = authn.explain(&request, NOW, &keys);
        let verified = authn.verify(&request, NOW, &keys);
        assert_eq!(
            explained.outcome.as_ref().map(Option::is_some),
            verified.as_ref().map(Option::is_some)
        );
        let text = format!("{:?}{:?}", explained.rules, explained.tokens);
        assert!(!text.contains("eyJ") && !text.contains("secret"), "{text}");
        explained
    };

    let good = explain(&signer.token(&json!({"iss": "https://a", "sub": "s"})));
    assert_eq!(good.tokens[0].place, "header authorization");
    assert_eq!(
        good.tokens[0].accepted_by.as_deref(),
        Some("issuer \"https://a\" (keys inline)")
    );

    let old = explain(&signer.token(&json!({"iss": "https://a", "exp": 1})));
    assert_eq!(old.tokens[0].accepted_by, None);
    assert_eq!(old.tokens[0].refusals[0].reason, "Jwt is expired");
    assert_eq!(old.outcome.unwrap_err().reason, "Jwt is expired");

    let unfetched = explain(&signer.token(&json!({"iss": "https://b"})));
    let refusal = unfetched.tokens[0].refusals.last().unwrap();
    assert!(refusal.keys_missing);
    assert_eq!(
        refusal.rule.as_deref(),
        Some("issuer \"https://b\" (keys from https://b/jwks)")
    );

    let nonsense = explain("nonsense");
    assert_eq!(nonsense.tokens[0].refusals[0].rule, None);
    assert!(nonsense.outcome.is_err());
}

#[test]
fn without_a_token_there_is_nothing_to_explain() {
    let authn = authn(&json!([{"issuer": "https://a", "jwks": Signer::new("k").jwks()}]));
    let sample = Sample::get("/");
    let explained = authn.explain(&sample.request(), NOW, &KeySets::default());
    assert!(explained.tokens.is_empty());
    assert!(explained.outcome.unwrap().is_none());
}
