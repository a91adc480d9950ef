//! Reading rules, and what a token leaves behind.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::{JwtRule, KeyLocation, Keys, duration};
use crate::spec::Problems;
use crate::testing::Signer;
use crate::token::Token;
use serde_json::{Value, json};
use std::time::Duration;

fn read(rule: Value) -> (JwtRule, Vec<(String, bool)>) {
    let mut problems = Problems::default();
    let rule = JwtRule::read(&rule, "r", &mut problems);
    (
        rule,
        problems
            .0
            .into_iter()
            .map(|problem| (problem.field, problem.error))
            .collect(),
    )
}

#[test]
fn faults_are_named_and_break_the_rule() {
    for (rule, field) in [
        (json!("x"), "r"),
        (json!({}), "r.issuer"),
        (json!({"issuer": 7, "jwksUri": "https://k"}), "r.issuer"),
        (json!({"issuer": "i", "audience": ["a"]}), "r.audience"),
        (json!({"issuer": "i", "audiences": "a"}), "r.audiences"),
        (json!({"issuer": "i", "audiences": [""]}), "r.audiences[0]"),
        (json!({"issuer": "i", "jwksUri": "ftp://k"}), "r.jwksUri"),
        (json!({"issuer": "i", "jwks": "{"}), "r.jwks"),
        (json!({"issuer": "i", "jwks": r#"{"keys":[]}"#}), "r.jwks"),
        (
            json!({"issuer": "i", "fromHeaders": [{"prefix": "x"}]}),
            "r.fromHeaders[0].name",
        ),
        (
            json!({"issuer": "i", "fromHeaders": [{"name": "a b"}]}),
            "r.fromHeaders[0].name",
        ),
        (
            json!({"issuer": "i", "fromHeaders": [{"name": "a", "value": "b"}]}),
            "r.fromHeaders[0].value",
        ),
        (json!({"issuer": "i", "fromParams": [""]}), "r.fromParams[0]"),
        (json!({"issuer": "i", "fromCookies": [1]}), "r.fromCookies[0]"),
        (
            json!({"issuer": "i", "outputPayloadToHeader": "a b"}),
            "r.outputPayloadToHeader",
        ),
        (
            json!({"issuer": "i", "outputClaimToHeaders": [{"header": "x"}]}),
            "r.outputClaimToHeaders[0]",
        ),
        (
            json!({"issuer": "i", "forwardOriginalToken": "yes"}),
            "r.forwardOriginalToken",
        ),
    ] {
        let (read, problems) = read(rule.clone());
        assert!(problems.contains(&(field.to_owned(), true)), "{rule}: {problems:?}");
        assert!(matches!(read.keys, Keys::Broken), "{rule}");
    }
}

#[test]
fn key_sources() {
    let source = |rule: Value| match read(rule).0.keys {
        Keys::Fetched(source) => source,
        other => panic!("{other:?}"),
    };
    let uri = source(json!({"issuer": "i", "jwksUri": "https://k/jwks"}));
    assert_eq!(
        (uri.location, uri.timeout),
        (KeyLocation::Jwks("https://k/jwks".into()), Duration::from_secs(5))
    );
    let issuer = source(json!({"issuer": "https://i", "timeout": "250ms"}));
    assert_eq!(
        (issuer.location, issuer.timeout),
        (KeyLocation::Issuer("https://i".into()), Duration::from_millis(250))
    );
    let slow = source(json!({"issuer": "i", "jwksUri": "https://k/jwks", "timeout": "20s"}));
    assert_ne!(slow.id, uri.id);
    let (rule, problems) = read(json!({"issuer": "i", "timeout": "soon"}));
    assert!(problems == [("r.timeout".to_owned(), true)] && matches!(rule.keys, Keys::Fetched(_)));
    let inline = read(json!({"issuer": "i", "jwks": Signer::new("a").jwks(), "jwksUri": "https://k"})).0;
    assert!(matches!(inline.keys, Keys::Inline(_)));
}

#[test]
fn durations() {
    for (text, seconds) in [
        ("5s", 5.0),
        ("1.5s", 1.5),
        ("2m10s", 130.0),
        ("1h", 3600.0),
        ("10ms", 0.01),
        ("7us", 7e-6),
    ] {
        assert!((duration(text).unwrap().as_secs_f64() - seconds).abs() < 1e-9, "{text}");
    }
    for bad in ["5", "s", "5 s", "-5s", "5d", "1e3s", "5s,"] {
        assert_eq!(duration(bad), None, "{bad}");
    }
}

#[test]
fn outputs() {
    let claims: Vec<Value> = [
        "n", "whole", "float", "minus", "yes", "deep.er", "list", "none", "empty", "line", "uni",
    ]
    .iter()
    .map(|claim| json!({"header": format!("x-{}", claim.replace('.', "-")), "claim": claim}))
    .collect();
    let (rule, problems) =
        read(json!({"issuer": "i", "outputPayloadToHeader": "X-Payload", "outputClaimToHeaders": claims}));
    assert!(problems.is_empty(), "{problems:?}");
    let payload = json!({
        "n": 1_562_182_722, "whole": 3.0, "float": 0.5, "minus": -3, "yes": true, "deep": {"er": "v"},
        "list": ["a", 1], "none": null, "empty": "", "line": "a\r\nx: y", "uni": "Zoé",
    });
    let text = Signer::new("a").token(&payload);
    let token = Token::parse(&text).unwrap();
    let got: Vec<(String, String)> = rule
        .output_headers(&token)
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let wanted = [
        ("x-payload", text.split('.').nth(1).unwrap()),
        ("x-n", "1562182722"),
        ("x-whole", "3"),
        ("x-float", "0.500000"),
        ("x-minus", "-3.000000"),
        ("x-yes", "true"),
        ("x-deep-er", "v"),
        ("x-list", "WyJhIiwxXQ=="),
        ("x-uni", "Zoé"),
    ];
    let got: Vec<(&str, &str)> = got
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(got, wanted);
}

#[test]
fn claims_split_at_spaces() {
    let (rule, _) = read(json!({"issuer": "i", "spaceDelimitedClaims": ["teams"]}));
    let payload = json!({"scope": "a  b", "permission": "p", "teams": "r g", "name": "x y", "scp": ["a b"]});
    let wanted = json!({"scope": ["a", "b"], "permission": ["p"], "teams": ["r", "g"], "name": "x y", "scp": ["a b"]});
    assert_eq!(
        Value::Object(rule.normalised(payload.as_object().unwrap().clone())),
        wanted
    );
}
