//! A CA as istiod is one: `IstioCertificateService` over TLS. It signs what it is asked to, or lies as the test tells it.

use super::pki::{Leaf, Pki};
use super::tls_server::PublicCa;
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, Request, Response};
use prost::Message;
use rcgen::{ExtendedKeyUsagePurpose, PublicKeyData, SignatureAlgorithm};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer, PrivateKeyDer};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use time::{Duration, OffsetDateTime};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
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
pub struct IstiodCa {
    address: SocketAddr,
    files: TempDir,
    tls: PublicCa,
    desk: Arc<Desk>,
    serving: JoinHandle<()>,
}

struct Desk {
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
        let (files, tls) = (tempfile::tempdir().unwrap(), PublicCa::new());
        let desk = Arc::new(Desk {
            pki: Arc::clone(pki),
            validity,
            manner: Mutex::new(Manner::Honest),
            asked: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(accept(listener, acceptor(&tls), Arc::clone(&desk)));
        let ca = Self {
            address,
            files,
            tls,
            desk,
            serving,
        };
        ca.put_root(&ca.tls);
        ca.put_token("a token");
        ca
    }

    /// `host:port`.
    pub fn address(&self) -> String {
        format!("localhost:{}", self.address.port())
    }

    /// The file with the root of its server certificate.
    pub fn root(&self) -> PathBuf {
        self.files.path().join("root-cert.pem")
    }

    /// The file with the clients' token.
    pub fn token(&self) -> PathBuf {
        self.files.path().join("istio-token")
    }

    /// Says that the server certificate is by this authority; without, the truth.
    pub fn put_root_of(&self, other: Option<&PublicCa>) {
        self.put_root(other.unwrap_or(&self.tls));
    }

    fn put_root(&self, ca: &PublicCa) {
        replace(self.root(), ca.pem());
    }

    /// Replaces the token, as a kubelet does.
    pub fn put_token(&self, token: &str) {
        replace(self.token(), token);
    }

    /// From now on.
    pub fn say(&self, manner: Manner) {
        *self.desk.manner.lock().unwrap() = manner;
    }

    /// All it was asked.
    pub fn asked(&self) -> Vec<Asked> {
        self.desk.asked.lock().unwrap().clone()
    }

    /// Stops listening; connections end.
    pub async fn stop(&mut self) {
        self.serving.abort();
        let _ = (&mut self.serving).await;
    }

    /// Listens again on the same port.
    pub async fn start_again(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.serving = tokio::spawn(accept(listener, acceptor(&self.tls), Arc::clone(&self.desk)));
    }
}

impl Drop for IstiodCa {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

pub(super) fn replace(path: PathBuf, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, path).unwrap();
}

pub(super) fn acceptor(ca: &PublicCa) -> TlsAcceptor {
    let (chain, key) = ca.issue(&["localhost"]);
    let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<_, _>>();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let mut config = ServerConfig::builder_with_provider(hbone::crypto_provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain.unwrap(), key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, desk: Arc<Desk>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve(stream, acceptor.clone(), Arc::clone(&desk)));
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(stream: TcpStream, acceptor: TlsAcceptor, desk: Arc<Desk>) {
    let Ok(stream) = acceptor.accept(stream).await else {
        return;
    };
    let Ok(mut connection) = h2::server::handshake(stream).await else {
        return;
    };
    let mut calls = tokio::task::JoinSet::new();
    while let Some(Ok((request, respond))) = connection.accept().await {
        calls.spawn(answer(request, respond, Arc::clone(&desk)));
    }
}

async fn answer(request: Request<h2::RecvStream>, mut respond: h2::server::SendResponse<Bytes>, desk: Arc<Desk>) {
    assert_eq!(
        request.uri().path(),
        "/istio.v1.auth.IstioCertificateService/CreateCertificate"
    );
    let (head, mut body) = request.into_parts();
    let mut message = BytesMut::new();
    while let Some(piece) = body.data().await {
        message.extend_from_slice(&piece.unwrap());
    }
    assert_eq!(
        message[..5],
        [&[0][..], &(message.len() as u32 - 5).to_be_bytes()].concat()
    );
    let (asked, manner) = (read(&head.headers, &message[5..]), *desk.manner.lock().unwrap());
    let answer = desk.answer(manner, &asked);
    desk.asked.lock().unwrap().push(asked);
    let head = Response::builder().header("content-type", "application/grpc");
    let Ok(mut body) = respond.send_response(head.body(()).unwrap(), false) else {
        return;
    };
    let mut trailers = HeaderMap::new();
    match answer {
        Ok(message) => {
            let mut framed = BytesMut::new();
            framed.put_u8(0);
            framed.put_u32(message.len() as u32);
            framed.put_slice(&message);
            let _ = body.send_data(framed.freeze(), false);
            let late = if let Manner::LateStatus(status) = manner {
                status
            } else {
                0
            };
            trailers.insert("grpc-status", late.into());
        }
        Err(status) => drop(trailers.insert("grpc-status", status.into())),
    }
    let _ = body.send_trailers(trailers);
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

impl Desk {
    /// The message, or a status.
    fn answer(&self, manner: Manner, asked: &Asked) -> Result<Vec<u8>, u32> {
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
