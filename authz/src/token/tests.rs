//! Tokens as they come from a stranger.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::{Lifetime, Token};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use proptest::prelude::*;
use serde_json::{Value, json};

fn token(header: &str, payload: &str) -> String {
    format!(
        "{}.{}.c2ln",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(payload)
    )
}

fn reason(text: &str) -> &'static str {
    Token::parse(text).map(|_| "fine").unwrap_or_else(|reason| reason)
}

const HEADER: &str = r#"{"alg":"ES256","kid":"k"}"#;

#[test]
fn headers() {
    for (header, wanted) in [
        (HEADER, "fine"),
        (r#"{"alg":"EdDSA","typ":"at+jwt","jku":"http://192.0.2.1/"}"#, "fine"),
        (r#"{}"#, "Jwt header [alg] field is required and must be a string"),
        (
            r#"{"alg":["ES256"]}"#,
            "Jwt header [alg] field is required and must be a string",
        ),
        (r#"{"alg":"none"}"#, "Jwt header [alg] is not supported"),
        (r#"{"alg":""}"#, "Jwt header [alg] is not supported"),
        (r#"{"alg":"HS256"}"#, "Jwt header [alg] is not supported"),
        (r#"{"alg":"es256"}"#, "Jwt header [alg] is not supported"),
        (r#"{"alg":"ES256","kid":7}"#, "Jwt header [kid] field is not a string"),
        (
            r#"{"alg":"ES256","crit":["exp"]}"#,
            "Jwt header asks for an extension that is not supported",
        ),
        (
            r#"{"alg":"ES256","zip":"DEF"}"#,
            "Jwt header asks for an extension that is not supported",
        ),
        (r#"{"alg":"none","alg":"ES256"}"#, "Jwt header is an invalid JSON"),
        (r#"["ES256"]"#, "Jwt header is an invalid JSON"),
        ("\u{1f}\u{8b}", "Jwt header is an invalid JSON"),
    ] {
        assert_eq!(reason(&token(header, "{}")), wanted, "{header}");
    }
}

#[test]
fn payloads() {
    for (payload, wanted) in [
        (r#"{"iss":"i","sub":"s","aud":["a"],"exp":1.5,"nbf":0,"iat":9}"#, "fine"),
        (r#"{"iss":["i"]}"#, "Jwt payload [iss] field is not a string"),
        (r#"{"sub":1}"#, "Jwt payload [sub] field is not a string"),
        (r#"{"sub":null}"#, "Jwt payload [sub] field is not a string"),
        (
            r#"{"aud":{"a":1}}"#,
            "Jwt payload [aud] field is not a string or string list",
        ),
        (
            r#"{"aud":["a",1]}"#,
            "Jwt payload [aud] field is not a string or string list",
        ),
        (
            r#"{"exp":"9"}"#,
            "Jwt payload [exp] field is not a positive 64 bit integer",
        ),
        (
            r#"{"exp":null}"#,
            "Jwt payload [exp] field is not a positive 64 bit integer",
        ),
        (
            r#"{"exp":-1}"#,
            "Jwt payload [exp] field is not a positive 64 bit integer",
        ),
        (
            r#"{"exp":1e300}"#,
            "Jwt payload [exp] field is not a positive 64 bit integer",
        ),
        (
            r#"{"nbf":"0"}"#,
            "Jwt payload [nbf] field is not a positive 64 bit integer",
        ),
        (r#"{"iss":"a","iss":"b"}"#, "Jwt payload is an invalid JSON"),
        (r#"{"a":{"b":1,"b":1}}"#, "Jwt payload is an invalid JSON"),
        (r#"{"exp":NaN}"#, "Jwt payload is an invalid JSON"),
        (r#"{} {}"#, "Jwt payload is an invalid JSON"),
        (r#"[]"#, "Jwt payload is an invalid JSON"),
    ] {
        assert_eq!(reason(&token(HEADER, payload)), wanted, "{payload}");
    }
}

#[test]
fn encodings() {
    let good = token(HEADER, "{}");
    let (header, rest) = good.split_once('.').unwrap();
    let odd = "{\"a\":\"\u{3ff}~?\"}";
    for (text, why) in [
        (good.clone(), None),
        (format!("{good}.x"), Some("four parts")),
        (format!("{good}.x.y"), Some("five parts, an encrypted token")),
        (String::new(), Some("empty")),
        ("..".to_owned(), Some("dots only")),
        (format!(".{rest}"), Some("no header")),
        (format!("{header}..c2ln"), Some("no payload")),
        (format!("{header}.e30."), Some("no signature")),
        (format!("{good}="), Some("padding")),
        (format!("{header}\n.e30.c2ln"), Some("line break")),
        (format!("{header}.e30.c2lm\u{e9}"), Some("not ASCII")),
        (format!("{header}.e30.c2k"), None),
        (
            format!("{header}.e30.c2l"),
            Some("spare bits: another spelling of the same bytes"),
        ),
        (format!("{header}.{}.c2ln", STANDARD.encode(odd)), Some("plain base64")),
        (format!("{header}.{}.c2ln", URL_SAFE.encode("{ }")), None),
        (
            format!("{header}.{}.c2ln", URL_SAFE.encode("{}")),
            Some("padding inside"),
        ),
        (
            token(HEADER, &json!({"x": "x".repeat(17_000)}).to_string()),
            Some("too large"),
        ),
        (
            token(HEADER, &format!("{{\"x\":{}{}}}", "[".repeat(200), "]".repeat(200))),
            Some("too deep"),
        ),
    ] {
        assert_eq!(Token::parse(&text).is_err(), why.is_some(), "{why:?} {}", text.len());
    }
}

#[test]
fn lifetimes() {
    let life = |not_before, expires| Lifetime { not_before, expires };
    for (lifetime, now, wanted) in [
        (life(None, None), 0, Ok(())),
        (life(None, Some(1000)), 1060, Ok(())),
        (life(None, Some(1000)), 1061, Err("Jwt is expired")),
        (life(Some(1000), None), 940, Ok(())),
        (life(Some(1000), None), 939, Err("Jwt not yet valid")),
        (life(None, Some(0)), 1000, Err("Jwt is expired")),
        (life(Some(0), Some(u64::MAX)), u64::MAX, Ok(())),
    ] {
        assert_eq!(lifetime.check(now), wanted, "{lifetime:?} at {now}");
    }
}

#[test]
fn audiences_are_a_string_or_a_list() {
    let audiences = |payload: Value| {
        let text = token(HEADER, &payload.to_string());
        Token::parse(&text)
            .unwrap()
            .audiences()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(audiences(json!({"aud": "a"})), ["a"]);
    assert_eq!(audiences(json!({"aud": ["a", "b"]})), ["a", "b"]);
    assert!(audiences(json!({})).is_empty());
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(text in "\\PC{0,60}", header in "\\PC{0,30}", payload in "\\PC{0,30}") {
        let _ = Token::parse(&text);
        let _ = Token::parse(&token(&header, &payload));
    }
}
