//! A Service that asks for tokens, and a request with one.

use crate::Asked;
use authz::{Authn, KeySets, PolicyId, RequestAuthenticationSpec};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use rcgen::{KeyPair, PublicKeyData};
use serde_json::{Value, json};

const NOW: u64 = 1_800_000_000;
const ISSUER: &str = "https://issuer.example/";

/// A token is verified again and again.
#[derive(Debug)]
pub struct Tokens {
    authn: Authn,
    asked: Asked,
    keys: KeySets,
}

impl Tokens {
    /// Signed with P-256.
    pub fn es256() -> Self {
        #[allow(clippy::expect_used)] // a bench without a key is none
        let pair = KeyPair::generate().expect("a P-256 key");
        let point = pair.der_bytes();
        // 4, x, y.
        let coordinate = |at: usize| URL_SAFE_NO_PAD.encode(point.get(at..at + 32).unwrap_or_default());
        let jwk = json!({ "kty": "EC", "crv": "P-256", "kid": "k", "x": coordinate(1), "y": coordinate(33) });
        Self::signed(Algorithm::ES256, &jwk, &EncodingKey::from_ec_der(&pair.serialize_der()))
    }

    /// Signed with RSA of 2,048 bits.
    pub fn rs256() -> Self {
        #[allow(clippy::expect_used)]
        let pair = KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).expect("an RSA key");
        // SEQUENCE { INTEGER n (257 bytes, the first one 0), INTEGER 65537 }, and PKCS #1 within PKCS #8.
        let n = URL_SAFE_NO_PAD.encode(pair.der_bytes().get(9..265).unwrap_or_default());
        let jwk = json!({ "kty": "RSA", "kid": "k", "n": n, "e": "AQAB" });
        let private = pair.serialize_der();
        let key = EncodingKey::from_rsa_der(private.get(26..).unwrap_or_default());
        Self::signed(Algorithm::RS256, &jwk, &key)
    }

    #[allow(clippy::expect_used, clippy::panic)]
    fn signed(algorithm: Algorithm, jwk: &Value, key: &EncodingKey) -> Self {
        let claims = json!({
            "iss": ISSUER, "sub": "8f14e45f-ceea-467f-a0e6-1a2b3c4d5e6f", "aud": ["shop", "bank"], "exp": NOW + 3_600,
            "iat": NOW, "email": "somebody@example.com", "groups": ["readers", "writers", "auditors"],
        });
        let header = json!({ "alg": format!("{algorithm:?}"), "kid": "k", "typ": "JWT" });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(&header), part(&claims));
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), key, algorithm).expect("a signature");
        let rule = json!({ "issuer": ISSUER, "audiences": ["shop"], "jwks": json!({ "keys": [jwk] }).to_string() });
        let spec = RequestAuthenticationSpec {
            jwt_rules: vec![rule],
            ..Default::default()
        };
        let id = PolicyId {
            namespace: "demo".into(),
            name: "tokens".into(),
        };
        let (authn, problems) = Authn::build(&[(id, spec)]);
        assert!(problems.is_empty(), "{problems:?}");
        let bearer = format!("Bearer {message}.{signature}");
        Self {
            authn,
            asked: Asked::get("/", &[("user-agent", "bench"), ("authorization", &bearer)]),
            keys: KeySets::default(),
        }
    }

    /// Verifies it; from the second time on it is known.
    pub fn verify(&self) -> bool {
        let verified = self.authn.verify(&self.asked.request(), NOW, &self.keys);
        verified.is_ok_and(|verified| verified.is_some())
    }

    /// Verifies it as if it were seen for the first time.
    pub fn verify_anew(&mut self) -> bool {
        self.keys.generation += 1;
        self.verify()
    }
}
