//! A small certificate authority, and both ends of a tunnel joined by a pipe, for the tests of this crate.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::crls::Crls;
use crate::pool::testing::PipePool;
use crate::{
    CertSource, Connect, Drain, Identity, PoolConfig, ServeError, Server, ServerConfig, ServerEvents, SharedCerts,
};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType,
};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream;

pub(crate) const PEER: &str = "10.0.0.9:40000";

/// The id of a service account in namespace `ns`.
pub(crate) fn id(account: &str) -> String {
    format!("spiffe://cluster.local/ns/ns/sa/{account}")
}

pub(crate) struct Ca {
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A leaf with its key, both PEM.
pub(crate) struct Leaf {
    pub(crate) chain: String,
    pub(crate) key: String,
}

impl Ca {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
        params
            .distinguished_name
            .push(DnType::OrganizationName, "mesh under test");
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        Self {
            pem: params.self_signed(&key).unwrap().pem(),
            issuer: Issuer::new(params, key),
        }
    }

    /// A good leaf, bent by `change` before it is signed.
    pub(crate) fn leaf(&self, uri: &str, change: impl FnOnce(&mut CertificateParams)) -> Leaf {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Leaf {
            chain: certificate.pem(),
            key: key.serialize_pem(),
        }
    }

    /// What the CA revoked: leaves with these serial numbers.
    pub(crate) fn crl(&self, serials: &[u64]) -> String {
        let now = time::OffsetDateTime::now_utc();
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: (*serial).into(),
            revocation_time: now,
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: now,
            next_update: now + time::Duration::DAY,
            crl_number: 1.into(),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().pem().unwrap()
    }

    /// A good leaf with this serial number.
    pub(crate) fn numbered(&self, account: &str, serial: u64) -> Leaf {
        self.leaf(&id(account), |params| params.serial_number = Some(serial.into()))
    }

    pub(crate) fn identity(&self, account: &str) -> Identity {
        self.leaf(&id(account), |_| {}).identity(self)
    }

    pub(crate) fn certs(&self, account: &str) -> Arc<SharedCerts> {
        SharedCerts::new(self.identity(account))
    }
}

impl Leaf {
    /// With CRLs.
    pub(crate) fn identity_with(&self, roots: &Ca, crls: &str) -> Identity {
        let crls = Crls::from_pem(crls.as_bytes()).unwrap();
        let (chain, key) = (self.chain.as_bytes(), self.key.as_bytes());
        Identity::from_pem_and_crls(chain, key, roots.pem.as_bytes(), crls).unwrap()
    }

    pub(crate) fn identity(&self, roots: &Ca) -> Identity {
        Identity::from_pem(self.chain.as_bytes(), self.key.as_bytes(), roots.pem.as_bytes()).unwrap()
    }
}

/// What the server reported.
#[derive(Default)]
pub(crate) struct Seen(pub(crate) Mutex<Vec<String>>);

impl Seen {
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
    pub(crate) fn count(&self, what: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|seen| *seen == what).count()
    }
    pub(crate) fn push(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }
}

impl ServerEvents for Seen {
    fn handshake(&self, result: &'static str) {
        self.push(result);
    }
    fn connections(&self, delta: i64) {
        self.push(format!("{delta:+}"));
    }
    fn refused(&self, status: http::StatusCode, _identity: &request::SpiffeId, _peer: SocketAddr) {
        self.push(status.as_str());
    }
}

/// A server that pipes are given to.
#[derive(Clone)]
pub(crate) struct TestServer {
    pub(crate) server: Arc<Server>,
    pub(crate) drain: Drain,
    pub(crate) seen: Arc<Seen>,
}

impl TestServer {
    pub(crate) fn new(certs: Arc<dyn CertSource>, config: ServerConfig) -> Self {
        let seen = Arc::<Seen>::default();
        let trusts = Arc::new(|domain: &str| domain == "cluster.local");
        let server = Server::new(config, certs, trusts, Arc::clone(&seen) as Arc<dyn ServerEvents>);
        Self {
            server,
            drain: Drain::new(),
            seen,
        }
    }

    pub(crate) fn serve<IO>(
        &self,
        io: IO,
        on_connect: impl FnMut(Connect) + Send + 'static,
    ) -> JoinHandle<Result<(), ServeError>>
    where
        IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let this = self.clone();
        tokio::spawn(async move {
            this.server
                .serve(io, PEER.parse().unwrap(), this.drain, on_connect)
                .await
        })
    }

    /// A pool whose connections all end here, and are handled by `on_connect`.
    pub(crate) fn pool(
        &self,
        certs: Arc<dyn CertSource>,
        config: PoolConfig,
        on_connect: impl Fn(Connect) + Clone + Send + Sync + 'static,
    ) -> PipePool {
        let this = self.clone();
        PipePool::new(config, certs, move |io: DuplexStream| {
            drop(this.serve(io, on_connect.clone()));
        })
    }
}

/// Accepts, and sends back what comes until it ends.
pub(crate) fn echo(connect: Connect) {
    let Ok(tunnel) = connect.accept() else { return };
    tokio::spawn(async move {
        let (mut read, mut write) = tokio::io::split(tunnel);
        let _ = tokio::io::copy(&mut read, &mut write).await;
        let _ = write.shutdown().await;
    });
}

/// An HTTP/2 client that says what it is told, frame by frame.
pub(crate) struct RawClient {
    pub(crate) io: TlsStream<DuplexStream>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const ACK: u8 = 1;

impl RawClient {
    /// Through TLS, and not a byte further.
    pub(crate) async fn tls(io: DuplexStream, client: Arc<rustls::ClientConfig>) -> std::io::Result<Self> {
        let name = rustls::pki_types::ServerName::IpAddress(std::net::Ipv4Addr::LOCALHOST.into());
        let io = tokio_rustls::TlsConnector::from(client).connect(name, io).await?;
        Ok(Self { io })
    }

    /// Preface, SETTINGS and the acknowledgement of the server's.
    pub(crate) async fn open(io: DuplexStream, identity: &Identity) -> Self {
        let mut client = Self::tls(io, Arc::clone(&identity.client)).await.unwrap();
        client.io.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        // No table: the answers' header blocks stand for themselves.
        client.send(SETTINGS, 0, 0, &[0, 1, 0, 0, 0, 0]).await;
        client.send(SETTINGS, ACK, 0, &[]).await;
        client
    }

    pub(crate) async fn try_send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> std::io::Result<()> {
        let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        self.io.write_all(&frame).await?;
        self.io.flush().await
    }

    pub(crate) async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.try_send(kind, flags, stream, payload).await.unwrap();
    }

    /// HEADERS with these fields, none of them indexed or compressed.
    pub(crate) async fn headers(&mut self, stream: u32, fields: &[(&str, &str)]) {
        self.send(HEADERS, END_HEADERS, stream, &block(fields)).await;
    }

    pub(crate) async fn connect(&mut self, stream: u32, authority: &str) {
        self.headers(stream, &[(":method", "CONNECT"), (":authority", authority)])
            .await;
    }

    /// The next frame; `None` at the end of the connection.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.io.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let mut payload = vec![0; length];
        self.io.read_exact(&mut payload).await.ok()?;
        Some(Frame {
            kind: head[3],
            flags: head[4],
            stream,
            payload,
        })
    }

    /// The next frame that is no SETTINGS or WINDOW_UPDATE.
    pub(crate) async fn next_of_note(&mut self) -> Option<Frame> {
        loop {
            let frame = self.next().await?;
            if frame.kind != SETTINGS && frame.kind != 8 {
                return Some(frame);
            }
        }
    }

    /// The status that answers a request on `stream`; `Err` with the error code when it is reset.
    pub(crate) async fn status(&mut self, stream: u32) -> Result<u16, u32> {
        loop {
            let frame = self.next_of_note().await.expect("an answer");
            match frame.kind {
                HEADERS if frame.stream == stream => return Ok(status_of(&frame.payload)),
                RST_STREAM if frame.stream == stream => {
                    return Err(u32::from_be_bytes(frame.payload.try_into().unwrap()));
                }
                _ => {}
            }
        }
    }
}

pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            assert!(text.len() < 127);
            block.push(text.len() as u8);
            block.extend(text.as_bytes());
        }
    }
    block
}

/// h2 writes :status first, as a static index or as a literal whose name is one.
fn status_of(block: &[u8]) -> u16 {
    // First a change of the table's size, perhaps.
    let block = &block[usize::from(block[0] == 0x20)..];
    match block[0] {
        0x88 => 200,
        0x8c => 400,
        0x8d => 404,
        0x8e => 500,
        _ => {
            let text = &block[2..];
            match block[1] {
                // Three digits as they are.
                3 => std::str::from_utf8(&text[..3]).unwrap().parse().unwrap(),
                // Huffman: '0'..'2' have five bits, '3'..'9' six, from 011001.
                length => huffman_digits(&text[..usize::from(length & 0x7f)]),
            }
        }
    }
}

fn huffman_digits(bytes: &[u8]) -> u16 {
    let bits: String = bytes.iter().map(|byte| format!("{byte:08b}")).collect();
    let (mut at, mut number) = (0, 0);
    for _ in 0..3 {
        let five = u16::from_str_radix(&bits[at..at + 5], 2).unwrap();
        let (digit, used) = if five < 3 {
            (five, 5)
        } else {
            (u16::from_str_radix(&bits[at..at + 6], 2).unwrap() - 0x19 + 3, 6)
        };
        number = number * 10 + digit;
        at += used;
    }
    number
}
