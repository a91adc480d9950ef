//! An issuer of JWTs with a key set: what RequestAuthentication trusts, and what forgers lack.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{KeyPair, PublicKeyData};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// Signs with ES256, or with RS256.
pub struct TokenIssuer {
    /// `iss` of its tokens.
    pub issuer: String,
    key_id: String,
    key: KeyPair,
    algorithm: Algorithm,
}

impl TokenIssuer {
    /// A new key.
    pub fn new(issuer: &str, key_id: &str) -> Self {
        Self {
            issuer: issuer.into(),
            key_id: key_id.into(),
            key: KeyPair::generate().unwrap(),
            algorithm: Algorithm::ES256,
        }
    }

    /// A new RSA key of 2,048 bits, for [`TokenIssuer::sign`].
    pub fn rs256(issuer: &str, key_id: &str) -> Self {
        Self {
            key: KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap(),
            algorithm: Algorithm::RS256,
            ..Self::new(issuer, key_id)
        }
    }

    /// A P-256 key from PKCS#8 PEM.
    pub fn from_pem(issuer: &str, key_id: &str, pem: &str) -> Self {
        Self {
            issuer: issuer.into(),
            key_id: key_id.into(),
            key: KeyPair::from_pem(pem).unwrap(),
            algorithm: Algorithm::ES256,
        }
    }

    /// Its key, for [`TokenIssuer::from_pem`]: the same under another issuer's name.
    pub fn pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// Its key set.
    pub fn jwks(&self) -> Value {
        if self.algorithm == Algorithm::RS256 {
            // SEQUENCE { INTEGER n (257 bytes, the first one 0), INTEGER 65537 }
            let n = URL_SAFE_NO_PAD.encode(&self.key.der_bytes()[9..265]);
            return json!({ "keys": [{ "kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.key_id, "n": n, "e": "AQAB" }] });
        }
        let point = self.key.der_bytes(); // uncompressed: 4, x, y
        let [x, y] = [&point[1..33], &point[33..65]].map(|c| URL_SAFE_NO_PAD.encode(c));
        json!({ "keys": [{ "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.key_id, "x": x, "y": y }] })
    }

    /// A token of this very header and payload, with a true signature.
    pub fn sign_as(&self, header: &Value, payload: &str) -> String {
        let message = message(header, payload);
        let key = EncodingKey::from_ec_der(&self.key.serialize_der());
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::ES256).unwrap();
        format!("{message}.{signature}")
    }

    /// The same with any bytes for a signature.
    pub fn forge(header: &Value, payload: &str, signature: &[u8]) -> String {
        format!("{}.{}", message(header, payload), URL_SAFE_NO_PAD.encode(signature))
    }

    /// The same with the signature of a shared secret.
    pub fn hs256(header: &Value, payload: &str, secret: &str) -> String {
        let message = message(header, payload);
        let key = EncodingKey::from_secret(secret.as_bytes());
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
        format!("{message}.{signature}")
    }

    /// A token for `subject`, valid for an hour, with these further claims (they win).
    pub fn sign(&self, subject: &str, more: Value) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let mut claims = json!({ "iss": self.issuer, "sub": subject, "iat": now, "exp": now + 3600 });
        for (name, value) in more.as_object().into_iter().flatten() {
            claims[name] = value.clone();
        }
        let mut header = Header::new(self.algorithm);
        header.kid = Some(self.key_id.clone());
        let private = self.key.serialize_der();
        let key = match self.algorithm {
            // PKCS #1 within PKCS #8.
            Algorithm::RS256 => EncodingKey::from_rsa_der(&private[26..]),
            _ => EncodingKey::from_ec_der(&private),
        };
        encode(&header, &claims, &key).unwrap()
    }
}

fn message(header: &Value, payload: &str) -> String {
    [header.to_string().as_str(), payload]
        .map(|part| URL_SAFE_NO_PAD.encode(part))
        .join(".")
}
