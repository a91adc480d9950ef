//! Tokens and keys.

use authz::{Authn, KeySet, KeySets, PolicyId, RequestAuthenticationSpec, Verified};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue, Method};
use jsonwebtoken::{Algorithm, EncodingKey};
use rcgen::{KeyPair, PublicKeyData};
use request::{Authority, Connection, Head, Mode, Path, Request};
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::LazyLock;

const NOW: u64 = 1_800_000_000;

/// Nobody without the key makes a token that is taken. The input is one as it is sent; or, with line breaks in it, its
/// header, its payload and its signature before they are encoded.
pub fn token(bytes: &[u8]) {
    let text = match bytes.splitn(3, |byte| *byte == b'\n').collect::<Vec<_>>().as_slice() {
        [header, payload, signature] => [header, payload, signature]
            .map(|part| URL_SAFE_NO_PAD.encode(part))
            .join("."),
        _ => String::from_utf8_lossy(bytes).into_owned(),
    };
    let sent = format!("Bearer {text}");
    if let Err((status, reason)) = sent_as(&sent).map(|taken| assert!(taken.is_none(), "taken: {text}")) {
        assert!(matches!(status, 401 | 403), "{status}");
        assert!(!reason.is_empty());
    }
}

/// A token with a true signature says what its payload says, or is refused. The input is the payload.
pub fn claims(bytes: &[u8]) {
    let issuer = &*ISSUER;
    let header = json!({ "alg": "ES256", "kid": "k" }).to_string();
    let message = [header.as_bytes(), bytes]
        .map(|part| URL_SAFE_NO_PAD.encode(part))
        .join(".");
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &issuer.key, Algorithm::ES256).expect("a signature");
    let Ok(Some(verified)) = sent_as(&format!("Bearer {message}.{signature}")) else {
        return;
    };
    let payload: Value = serde_json::from_slice(bytes).expect("what is taken is JSON");
    assert_eq!(payload.get("iss"), Some(&json!("https://issuer.example/")));
    if let Some(expires) = payload.get("exp").and_then(Value::as_f64) {
        assert!(expires + 61.0 > NOW as f64, "expired: {payload}");
    }
    for (name, value) in &verified.claims.payload {
        let split = |value: &Value| value.as_array().is_some_and(|list| list.iter().all(Value::is_string));
        assert!(payload.get(name) == Some(value) || split(value), "{name}: {value}");
    }
    for (name, value) in &*verified.set_headers {
        assert!(name == "x-sub" || name == "x-payload", "{name}");
        assert!(!value.as_bytes().contains(&b'\n'));
    }
}

/// A key set is read or refused in words that repeat nothing of it.
pub fn jwks(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match KeySet::parse(text) {
        Ok(set) => {
            // Two words for each key, and one for the rest.
            assert!(set.warnings().len() <= 1 + 2 * text.len());
            let (_, problems) = build(&json!({ "issuer": "i", "jwks": text }));
            assert!(
                problems.iter().all(|(_, problem)| problem.field.contains("jwks")),
                "{problems:?}"
            );
        }
        Err(why) => assert!(why.starts_with("expected") && !why.contains('\n'), "{why}"),
    }
}

struct Issuer {
    key: EncodingKey,
    authn: Authn,
}

static ISSUER: LazyLock<Issuer> = LazyLock::new(|| {
    let pair = KeyPair::generate().expect("a key");
    let point = pair.der_bytes();
    let coordinate = |at: usize| URL_SAFE_NO_PAD.encode(point.get(at..at + 32).unwrap_or_default());
    let jwk = json!({ "kty": "EC", "crv": "P-256", "kid": "k", "x": coordinate(1), "y": coordinate(33) });
    let rule = json!({
        "issuer": "https://issuer.example/", "jwks": json!({ "keys": [jwk] }).to_string(),
        "outputPayloadToHeader": "x-payload", "outputClaimToHeaders": [{ "header": "x-sub", "claim": "sub" }],
    });
    Issuer {
        key: EncodingKey::from_ec_der(&pair.serialize_der()),
        authn: build(&rule).0,
    }
});

fn build(rule: &Value) -> (Authn, Vec<(PolicyId, authz::Problem)>) {
    let id = PolicyId {
        namespace: "demo".into(),
        name: "tokens".into(),
    };
    let spec = RequestAuthenticationSpec {
        jwt_rules: vec![rule.clone()],
        ..Default::default()
    };
    Authn::build(&[(id, spec)])
}

/// What becomes of a request with this Authorization; status and words of a refusal.
fn sent_as(authorization: &str) -> Result<Option<Verified>, (u16, &'static str)> {
    let Ok(value) = HeaderValue::from_str(authorization) else {
        return Ok(None);
    };
    let client = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let connection = Connection {
        identity: None,
        source_ip: client,
        destination_ip: None,
        destination_port: 80,
        sni: None,
    };
    let head = Head {
        authority: Authority::parse("shop").expect("an authority"),
        path: Path::normalise("/", Mode::Base).expect("a path"),
        query: None,
    };
    let mut headers = HeaderMap::new();
    headers.insert(http::header::AUTHORIZATION, value);
    let request = Request {
        method: &Method::GET,
        head: &head,
        headers: &headers,
        connection: &connection,
        remote_ip: client,
    };
    let verified = ISSUER.authn.verify(&request, NOW, &KeySets::default());
    verified.map_err(|error| (error.status, error.reason))
}
