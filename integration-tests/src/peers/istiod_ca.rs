//! A CA as istiod is one: `IstioCertificateService` over TLS. It signs what it is asked to, or lies as the test tells it.

use super::istiod_server::{Desk, IstiodServer, begin, framed};
use super::pki::{Leaf, Pki};
use super::tls_server::PublicCa;
use bytes::{Bytes, BytesMut};
use h2::server::SendResponse;
use http::{HeaderMap, Request};
use prost::Message;
use rcgen::{ExtendedKeyUsagePurpose, PublicKeyData, SignatureAlgorithm};
use rustls::pki_types::CertificateSigningRequestDer;
use rustls::pki_types::pem::PemObject;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use time::{Duration, OffsetDateTime};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;

/// How the CA answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// With what was asked for.
    Honest,
    /// With a certificate for somebody else.
    OtherId,
    /// With a certificate for a key that nobody asked for.
    OtherKey,
    /// With a root that has not signed it.
    OtherRoot,
    /// With a certificate that is no server's.
    ClientOnly,
    /// With what is no message.
    Garbage,
    /// With more certificates than a chain has.
    HugeChain,
    /// With this gRPC status.
    Status(u32),
    /// With what was asked for, and a gRPC status that takes it back.
    LateStatus(u32),
}

/// What it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// `authorization`.
    pub authorization: String,
    /// `clusterid`.
    pub cluster: String,
    /// The URI SANs of the request.
    pub ids: Vec<String>,
    /// The wanted validity in seconds.
    pub valid_seconds: i64,
    /// The key, as it is in the request.
    pub key: Vec<u8>,
}

/// A running CA, with the files that its clients need: `root-cert.pem` and `istio-token`.
pub struct IstiodCa(IstiodServer<Signer>);

struct Signer {
    pki: Arc<Pki>,
    /// How long its certificates live.
    validity: Duration,
    manner: Mutex<Manner>,
    asked: Mutex<Vec<Asked>>,
}

#[derive(Clone, PartialEq, Message)]
struct CertificateRequest {
    #[prost(string, tag = "1")]
    csr: String,
    #[prost(int64, tag = "3")]
    validity_duration: i64,
}

#[derive(Clone, PartialEq, Message)]
struct CertificateResponse {
    #[prost(string, repeated, tag = "1")]
    cert_chain: Vec<String>,
}

impl IstiodCa {
    /// One that signs with the key of `pki` for so long.
    pub async fn start(pki: &Arc<Pki>, validity: Duration) -> Self {
        let signer = Signer {
            pki: Arc::clone(pki),
            validity,
            manner: Mutex::new(Manner::Honest),
            asked: Mutex::default(),
        };
        Self(IstiodServer::start(signer).await)
    }

    /// `host:port`.
    pub fn address(&self) -> String {
        self.0.address()
    }

    /// The file with the root of its server certificate.
    pub fn root(&self) -> PathBuf {
        self.0.root()
    }

    /// The file with the clients' token.
    pub fn token(&self) -> PathBuf {
        self.0.token()
    }

    /// Says that the server certificate is by this authority; without, the truth.
    pub fn put_root_of(&self, other: Option<&PublicCa>) {
        self.0.put_root_of(other);
    }

    /// Replaces the token, as a kubelet does.
    pub fn put_token(&self, token: &str) {
        self.0.put_token(token);
    }

    /// From now on.
    pub fn say(&self, manner: Manner) {
        *self.0.desk.manner.lock().unwrap() = manner;
    }

    /// All it was asked.
    pub fn asked(&self) -> Vec<Asked> {
        self.0.desk.asked.lock().unwrap().clone()
    }

    /// Stops listening; connections end.
    pub async fn stop(&mut self) {
        self.0.stop().await;
    }

    /// Listens again on the same port.
    pub async fn start_again(&mut self) {
        self.0.start_again().await;
    }
}

impl Desk for Signer {
    async fn answer(self: Arc<Self>, request: Request<h2::RecvStream>, mut respond: SendResponse<Bytes>) {
        assert_eq!(
            request.uri().path(),
            "/istio.v1.auth.IstioCertificateService/CreateCertificate"
        );
        let (head, mut body) = request.into_parts();
        let mut message = BytesMut::new();
        while let Some(piece) = body.data().await {
            message.extend_from_slice(&piece.unwrap());
        }
        assert_eq!(framed(&message[5..]), message);
        let (asked, manner) = (read(&head.headers, &message[5..]), *self.manner.lock().unwrap());
        let signed = self.sign(manner, &asked);
        self.asked.lock().unwrap().push(asked);
        let Some(mut body) = begin(&mut respond) else { return };
        let status = match (signed, manner) {
            (Err(status), _) => status,
            (Ok(message), manner) => {
                let _ = body.send_data(framed(&message).into(), false);
                match manner {
                    Manner::LateStatus(status) => status,
                    _ => 0,
                }
            }
        };
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", status.into());
        let _ = body.send_trailers(trailers);
    }
}

/// What is asked for, after a check that the client has the key.
fn read(headers: &HeaderMap, message: &[u8]) -> Asked {
    let header = |name: &str| headers[name].to_str().unwrap().to_owned();
    let message = CertificateRequest::decode(message).unwrap();
    let der = CertificateSigningRequestDer::from_pem_slice(message.csr.as_bytes()).unwrap();
    let (_, csr) = X509CertificationRequest::from_der(&der).unwrap();
    let info = &csr.certification_request_info;
    let key = info.subject_pki.subject_public_key.data.to_vec();
    let provider = hbone::crypto_provider();
    let mut algorithms = provider.signature_verification_algorithms.all.iter();
    assert!(
        algorithms.any(|algorithm| algorithm
            .verify_signature(&key, info.raw, &csr.signature_value.data)
            .is_ok()),
        "the request is not signed by its key"
    );
    let names = csr
        .requested_extensions()
        .unwrap()
        .find_map(|extension| match extension {
            ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
            _ => None,
        });
    let ids = names.unwrap().iter().map(|name| match name {
        GeneralName::URI(uri) => (*uri).to_owned(),
        other => panic!("{other:?}"),
    });
    Asked {
        authorization: header("authorization"),
        cluster: header("clusterid"),
        ids: ids.collect(),
        valid_seconds: message.validity_duration,
        key,
    }
}

impl Signer {
    /// The message, or a status.
    fn sign(&self, manner: Manner, asked: &Asked) -> Result<Vec<u8>, u32> {
        let id = match manner {
            Manner::Status(status) => return Err(status),
            Manner::Garbage => return Ok(b"garbage".to_vec()),
            Manner::OtherId => format!("{}-other", asked.ids[0]),
            _ => asked.ids[0].clone(),
        };
        let both = [ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let usages = if manner == Manner::ClientOnly {
            &both[1..]
        } else {
            &both
        };
        let leaf = Leaf {
            uri: Some(id),
            not_after: OffsetDateTime::now_utc() + self.validity,
            ..Leaf::workload(self.pki.trust_domain(), "", "")
        };
        let chain = match manner {
            Manner::OtherKey => self.pki.sign_for(&leaf, &rcgen::KeyPair::generate().unwrap(), usages),
            _ => self.pki.sign_for(&leaf, &AskedKey(&asked.key), usages),
        };
        let root = match manner {
            Manner::OtherRoot => Pki::new(self.pki.trust_domain()).root_pem().to_owned(),
            _ => self.pki.root_pem().to_owned(),
        };
        let times = if manner == Manner::HugeChain { 5000 } else { 1 };
        let mut cert_chain = vec![chain; times];
        cert_chain.push(root);
        Ok(CertificateResponse { cert_chain }.encode_to_vec())
    }
}

/// The key of a request: a point on P-256.
struct AskedKey<'k>(&'k [u8]);

impl PublicKeyData for AskedKey<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}
