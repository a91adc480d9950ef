//! Requests, policies and tokens for the tests of this crate.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::{AuthorizationPolicySpec, Policies, PolicyId, Problem, TrustDomains};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use jsonwebtoken::{Algorithm, EncodingKey};
use request::{Authority, Connection, Head, Mode, Path, Request, SpiffeId};
use serde_json::{Value, json};
use std::net::IpAddr;

/// A request that a test changes before it looks at it.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) method: Method,
    pub(crate) head: Head,
    pub(crate) headers: HeaderMap,
    pub(crate) connection: Connection,
    pub(crate) remote_ip: IpAddr,
}

impl Sample {
    pub(crate) fn get(path: &str) -> Self {
        let (path, query) = path
            .split_once('?')
            .map_or((path, None), |(path, query)| (path, Some(query)));
        Self {
            method: Method::GET,
            head: Head {
                authority: Authority::parse("ledger.bank.svc:8080").unwrap(),
                path: Path::normalise(path, Mode::Base).unwrap(),
                query: query.map(Into::into),
            },
            headers: HeaderMap::new(),
            connection: Connection {
                identity: Some(SpiffeId::parse("spiffe://mesh.example/ns/shop/sa/cart").unwrap()),
                source_ip: "10.20.0.4".parse().unwrap(),
                destination_ip: Some("172.16.0.9".parse().unwrap()),
                destination_port: 8080,
                sni: None,
            },
            remote_ip: "198.51.100.7".parse().unwrap(),
        }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.append(
            HeaderName::try_from(name).unwrap(),
            HeaderValue::try_from(value).unwrap(),
        );
        self
    }

    pub(crate) fn from(mut self, identity: Option<&str>) -> Self {
        self.connection.identity = identity.map(|uri| SpiffeId::parse(uri).unwrap());
        self
    }

    pub(crate) fn request(&self) -> Request<'_> {
        Request {
            method: &self.method,
            head: &self.head,
            headers: &self.headers,
            connection: &self.connection,
            remote_ip: self.remote_ip,
        }
    }
}

pub(crate) fn id(name: &str) -> PolicyId {
    PolicyId {
        namespace: "bank".into(),
        name: name.into(),
    }
}

/// Policies `p0`, `p1`, ... in the mesh `mesh.example`.
pub(crate) fn policies(specs: &[Value]) -> (Policies, Vec<Problem>) {
    let parse = |(index, spec): (usize, &Value)| {
        let spec: AuthorizationPolicySpec = serde_json::from_value(spec.clone()).unwrap();
        (id(&format!("p{index}")), spec)
    };
    let specs: Vec<_> = specs.iter().enumerate().map(parse).collect();
    let trust = TrustDomains {
        own: "mesh.example".to_owned(),
        aliases: vec!["old.example".to_owned()],
    };
    let (policies, problems) = Policies::build(&specs, &trust);
    (policies, problems.into_iter().map(|(_, problem)| problem).collect())
}

/// A P-256 key that signs tokens, and its JWK.
pub(crate) struct Signer {
    pub(crate) key: EncodingKey,
    pub(crate) jwk: Value,
}

impl Signer {
    pub(crate) fn new(kid: &str) -> Self {
        let pair = rcgen::KeyPair::generate().unwrap();
        let point = pair.public_key_raw();
        let jwk = json!({
            "kty": "EC", "crv": "P-256", "kid": kid,
            "x": URL_SAFE_NO_PAD.encode(&point[1..33]), "y": URL_SAFE_NO_PAD.encode(&point[33..65]),
        });
        Self {
            key: EncodingKey::from_ec_der(&pair.serialize_der()),
            jwk,
        }
    }

    pub(crate) fn jwks(&self) -> String {
        json!({"keys": [self.jwk]}).to_string()
    }

    /// Header and payload as given, and a true signature over them.
    pub(crate) fn sign(&self, header: &Value, payload: &str) -> String {
        let message = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header.to_string()),
            URL_SAFE_NO_PAD.encode(payload)
        );
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &self.key, Algorithm::ES256).unwrap();
        format!("{message}.{signature}")
    }

    pub(crate) fn token(&self, payload: &Value) -> String {
        self.sign(&json!({"alg": "ES256", "kid": self.jwk["kid"]}), &payload.to_string())
    }
}
