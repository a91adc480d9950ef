//! Which keys are used, and for what.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::KeySet;
use crate::testing::Signer;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

fn with(mut jwk: Value, changes: Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            jwk.as_object_mut().unwrap().remove(name);
        } else {
            jwk[name] = value.clone();
        }
    }
    jwk
}

fn set(keys: &[Value]) -> KeySet {
    KeySet::parse(&json!({ "keys": keys }).to_string()).unwrap()
}

fn rsa(bytes: usize, first: u8) -> Value {
    let mut n = vec![0x5a; bytes];
    n[0] = first;
    json!({"kty": "RSA", "n": URL_SAFE_NO_PAD.encode(n), "e": "AQAB"})
}

#[test]
fn unusable_keys_are_left_out_with_a_word() {
    let good = Signer::new("a").jwk;
    for jwk in [
        json!({"kty": "oct", "k": "AAAA", "alg": "HS256"}),
        with(good.clone(), json!({"use": "enc"})),
        with(good.clone(), json!({"key_ops": ["sign"]})),
        with(good.clone(), json!({"crv": "P-521"})),
        with(good.clone(), json!({"crv": null})),
        with(good.clone(), json!({"alg": "RS256"})),
        with(good.clone(), json!({"alg": "ES384"})),
        with(good.clone(), json!({"alg": "none"})),
        with(good.clone(), json!({"alg": 1})),
        with(good.clone(), json!({"kid": 1})),
        with(good.clone(), json!({"x": null})),
        with(good.clone(), json!({"x": "not base64!"})),
        with(good.clone(), json!({"x": URL_SAFE_NO_PAD.encode([9; 33])})),
        with(good.clone(), json!({"kty": "DSA"})),
        json!({"kty": "OKP", "crv": "X25519", "x": URL_SAFE_NO_PAD.encode([1; 32])}),
        json!({"kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode([1; 31])}),
        rsa(64, 0xff),
        rsa(256, 0x7f),
        rsa(1025, 0xff),
        with(rsa(256, 0xff), json!({"e": "Ag"})),
        with(rsa(256, 0xff), json!({"e": ""})),
        json!("key"),
    ] {
        let both = set(&[jwk.clone(), good.clone()]);
        assert_eq!((both.keys.len(), both.warnings().is_empty()), (1, false), "{jwk}");
        assert!(both.warnings()[0].starts_with("keys[0]"), "{:?}", both.warnings());
    }
    for jwk in [
        rsa(256, 0x80),
        rsa(257, 0x01),
        with(rsa(256, 0xff), json!({"e": "Aw"})),
        with(good, json!({"use": "sig"})),
    ] {
        assert_eq!(set(std::slice::from_ref(&jwk)).keys.len(), 1, "{jwk}");
    }
}

#[test]
fn private_parts_are_told_and_never_shown() {
    let set = set(&[with(Signer::new("a").jwk, json!({"d": "c2VjcmV0"}))]);
    assert_eq!(set.keys.len(), 1);
    assert!(set.warnings()[0].contains("private"));
    assert!(!format!("{set:?}").contains("c2VjcmV0"));
}

#[test]
fn documents() {
    for bad in [
        "",
        "[]",
        "{}",
        r#"{"keys":{}}"#,
        r#"{"keys":[],"keys":[]}"#,
        r#"{"keys":[]} x"#,
    ] {
        assert!(KeySet::parse(bad).is_err(), "{bad}");
    }
    let huge = format!("{{\"keys\":[],\"x\":\"{}\"}}", "x".repeat(1 << 20));
    assert!(KeySet::parse(&huge).unwrap_err().contains("at most"));
    assert!(set(&[]).is_empty());
}

#[test]
fn the_key_says_the_algorithm_and_kid_selects() {
    let (a, b) = (Signer::new("a"), Signer::new("b"));
    let sign = |signer: &Signer| jsonwebtoken::crypto::sign(b"m", &signer.key, Algorithm::ES256).unwrap();
    let (by_a, by_b) = (sign(&a), sign(&b));
    let both = set(&[a.jwk.clone(), b.jwk.clone()]);
    let verify = |kid, signature: &str| both.verify(kid, Algorithm::ES256, "m", signature);
    assert_eq!(verify(Some("a"), &by_a), Ok(()));
    assert_eq!(verify(None, &by_b), Ok(()));
    assert_eq!(verify(Some("a"), &by_b), Err("Jwt verification fails"));
    for kid in ["c", ""] {
        assert_eq!(
            verify(Some(kid), &by_a),
            Err("Jwks doesn't have key to match kid or alg from Jwt")
        );
    }
    let other = both.verify(Some("a"), Algorithm::RS256, "m", &by_a);
    assert_eq!(other, Err("Jwks doesn't have key to match kid or alg from Jwt"));
    let anonymous = set(&[with(a.jwk, json!({"kid": null}))]);
    assert_eq!(anonymous.verify(Some("any"), Algorithm::ES256, "m", &by_a), Ok(()));
    assert_eq!(
        set(&[]).verify(None, Algorithm::ES256, "m", &by_a),
        Err("Jwks doesn't have any valid public key")
    );
    let zero = URL_SAFE_NO_PAD.encode([0; 64]);
    assert_eq!(verify(Some("a"), &zero), Err("Jwt verification fails"));
}

#[test]
fn coordinates_may_lack_leading_zeros() {
    // About one key in 256 has one; some servers cut it, which RFC 7518 forbids.
    let signer = loop {
        let signer = Signer::new("z");
        let x = URL_SAFE_NO_PAD.decode(signer.jwk["x"].as_str().unwrap()).unwrap();
        if x[0] == 0 {
            break signer;
        }
    };
    let x = URL_SAFE_NO_PAD.decode(signer.jwk["x"].as_str().unwrap()).unwrap();
    let cut = with(signer.jwk.clone(), json!({"x": URL_SAFE_NO_PAD.encode(&x[1..])}));
    let signature = jsonwebtoken::crypto::sign(b"m", &signer.key, Algorithm::ES256).unwrap();
    assert_eq!(set(&[cut]).verify(None, Algorithm::ES256, "m", &signature), Ok(()));
}

#[test]
fn few_keys_are_tried_for_one_token() {
    let signer = Signer::new("last");
    let mut keys: Vec<Value> = std::iter::repeat_n(Signer::new("x").jwk, super::MAX_TRIES).collect();
    keys.push(signer.jwk.clone());
    let signature = jsonwebtoken::crypto::sign(b"m", &signer.key, Algorithm::ES256).unwrap();
    assert!(set(&keys).verify(None, Algorithm::ES256, "m", &signature).is_err());
    assert!(
        set(&keys)
            .verify(Some("last"), Algorithm::ES256, "m", &signature)
            .is_ok()
    );
}

#[test]
fn ed25519() {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(pair.public_key_raw())});
    let key = jsonwebtoken::EncodingKey::from_ed_der(&pair.serialize_der());
    let signature = jsonwebtoken::crypto::sign(b"m", &key, Algorithm::EdDSA).unwrap();
    assert_eq!(set(&[jwk]).verify(None, Algorithm::EdDSA, "m", &signature), Ok(()));
}

#[test]
fn rsa_of_both_paddings_pinned_by_alg() {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    // SEQUENCE { INTEGER n (257 bytes, the first one 0), INTEGER 65537 }, and PKCS #1 within PKCS #8.
    let n = URL_SAFE_NO_PAD.encode(&pair.public_key_raw()[9..265]);
    let key = jsonwebtoken::EncodingKey::from_rsa_der(&pair.serialize_der()[26..]);
    let any = set(&[json!({"kty": "RSA", "n": n, "e": "AQAB"})]);
    let only = set(&[json!({"kty": "RSA", "n": n, "e": "AQAB", "alg": "RS256"})]);
    for algorithm in [Algorithm::RS256, Algorithm::RS512, Algorithm::PS256, Algorithm::PS384] {
        let signature = jsonwebtoken::crypto::sign(b"m", &key, algorithm).unwrap();
        assert_eq!(any.verify(None, algorithm, "m", &signature), Ok(()), "{algorithm:?}");
        assert_eq!(
            only.verify(None, algorithm, "m", &signature).is_ok(),
            algorithm == Algorithm::RS256
        );
        assert!(any.verify(None, algorithm, "x", &signature).is_err());
    }
}
