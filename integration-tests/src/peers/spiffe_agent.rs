//! A SPIFFE agent, as SPIRE's: the Workload API on a Unix socket, with answers that the test chooses. It writes its
//! messages byte by byte, so that it does not share a misunderstanding with the waypoint.

use super::pki::{Leaf, Pki};
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, Response};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tempfile::TempDir;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What the agent says to every stream that is open.
#[derive(Clone, Debug)]
pub enum Says {
    /// Messages, each with its prefix.
    Bytes(Bytes),
    /// This gRPC status, and the end.
    Status(u32),
}

/// A running agent. It goes away when it is dropped, its socket stays.
pub struct SpiffeAgent {
    folder: Arc<TempDir>,
    says: watch::Sender<Says>,
    asked: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

/// An `X509SVIDResponse` in the making.
#[derive(Clone, Default)]
pub struct Answer {
    svids: Vec<Vec<u8>>,
    crls: Vec<Vec<u8>>,
    federated: Vec<(String, Vec<u8>)>,
}

impl SpiffeAgent {
    /// Starts one that answers like this.
    pub fn start(says: impl Into<Says>) -> Self {
        Self::start_in(Arc::new(tempfile::tempdir().unwrap()), says.into())
    }

    /// The same socket again, after this one has gone.
    pub fn again(self, says: impl Into<Says>) -> Self {
        let folder = Arc::clone(&self.folder);
        drop(self);
        std::fs::remove_file(folder.path().join("agent.sock")).unwrap();
        Self::start_in(folder, says.into())
    }

    fn start_in(folder: Arc<TempDir>, says: Says) -> Self {
        let listener = UnixListener::bind(folder.path().join("agent.sock")).unwrap();
        let (says, heard) = watch::channel(says);
        let asked = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&asked);
        let serving = tokio::spawn(async move {
            let mut streams = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                streams.spawn(serve(stream, heard.clone(), Arc::clone(&counted)));
            }
        });
        Self {
            folder,
            says,
            asked,
            serving,
        }
    }

    /// Its address, as `SPIFFE_ENDPOINT_SOCKET` has it.
    pub fn address(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("agent.sock")
    }

    /// From now on, on streams that are open and on others.
    pub fn say(&self, says: impl Into<Says>) {
        self.says.send_replace(says.into());
    }

    /// Calls so far.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// Waits for one more call than `before`.
    pub async fn until_asked(&self, before: usize) {
        super::waiting::until("the agent is asked", async || self.asked() > before).await;
    }
}

impl Drop for SpiffeAgent {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(stream: UnixStream, says: watch::Receiver<Says>, asked: Arc<AtomicUsize>) {
    let Ok(mut connection) = h2::server::handshake(stream).await else {
        return;
    };
    let mut calls = tokio::task::JoinSet::new();
    while let Some(Ok((request, respond))) = connection.accept().await {
        let proof = request.headers().get("workload.spiffe.io");
        assert_eq!(proof.unwrap(), "true", "the agent would refuse this");
        assert_eq!(request.uri().path(), "/SpiffeWorkloadAPI/FetchX509SVID");
        asked.fetch_add(1, Ordering::SeqCst);
        calls.spawn(answer(respond, says.clone()));
    }
}

async fn answer(mut respond: h2::server::SendResponse<Bytes>, mut says: watch::Receiver<Says>) {
    let head = Response::builder().header("content-type", "application/grpc");
    let Ok(mut body) = respond.send_response(head.body(()).unwrap(), false) else {
        return;
    };
    loop {
        let said = says.borrow_and_update().clone();
        match said {
            Says::Bytes(bytes) => drop(body.send_data(bytes, false)),
            Says::Status(status) => {
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", status.into());
                let _ = body.send_trailers(trailers);
                return;
            }
        }
        let closed = std::future::poll_fn(|cx| body.poll_reset(cx));
        tokio::select! {
            changed = says.changed() => if changed.is_err() { return },
            _ = closed => return,
        }
    }
}

impl Answer {
    /// One more SVID: this leaf of that CA, with its root.
    pub fn svid(self, pki: &Pki, leaf: &Leaf) -> Self {
        let certs = pki.issue_leaf(leaf);
        let key = der_of_key(&certs.read("key.pem"));
        self.svid_with_key(pki, leaf, &certs.read("cert-chain.pem"), key)
    }

    /// The same with the key of somebody else.
    pub fn svid_with_wrong_key(self, pki: &Pki, leaf: &Leaf) -> Self {
        let (certs, other) = (pki.issue_leaf(leaf), pki.issue_leaf(leaf));
        let key = der_of_key(&other.read("key.pem"));
        self.svid_with_key(pki, leaf, &certs.read("cert-chain.pem"), key)
    }

    fn svid_with_key(mut self, pki: &Pki, leaf: &Leaf, chain: &str, key: Vec<u8>) -> Self {
        let mut svid = field(1, leaf.uri.as_deref().unwrap_or_default().as_bytes());
        svid.extend(field(2, &der_of(chain)));
        svid.extend(field(3, &key));
        svid.extend(field(4, &der_of(pki.root_pem())));
        svid.extend(field(5, b"a hint"));
        self.svids.push(svid);
        self
    }

    /// One more revocation list.
    pub fn crl(mut self, pem: &str) -> Self {
        let list = CertificateRevocationListDer::from_pem_slice(pem.as_bytes()).unwrap();
        self.crls.push(list.to_vec());
        self
    }

    /// The root of another trust domain.
    pub fn federated(mut self, pki: &Pki) -> Self {
        let domain = format!("spiffe://{}", pki.trust_domain());
        self.federated.push((domain, der_of(pki.root_pem())));
        self
    }
}

impl From<Answer> for Says {
    fn from(answer: Answer) -> Self {
        let mut message = Vec::new();
        for svid in &answer.svids {
            message.extend(field(1, svid));
        }
        for crl in &answer.crls {
            message.extend(field(2, crl));
        }
        for (domain, bundle) in &answer.federated {
            let mut entry = field(1, domain.as_bytes());
            entry.extend(field(2, bundle));
            message.extend(field(3, &entry));
        }
        framed(&message)
    }
}

/// A message with this content.
pub fn framed(message: &[u8]) -> Says {
    let mut out = BytesMut::new();
    out.put_u8(0);
    out.put_u32(message.len() as u32);
    out.put_slice(message);
    Says::Bytes(out.freeze())
}

/// A length-delimited field.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let mut length = content.len();
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend(content);
    out
}

fn der_of(pem: &str) -> Vec<u8> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec()
}

fn der_of_key(pem: &str) -> Vec<u8> {
    let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap();
    key.secret_der().to_vec()
}
