#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

struct Ca {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            pem,
            issuer: Issuer::new(params, key),
        }
    }

    /// Chain and key, PEM.
    fn issue(&self, names: Vec<SanType>) -> (String, String) {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names;
        let key = KeyPair::generate().unwrap();
        let chain = params.signed_by(&key, &self.issuer).unwrap().pem();
        (chain, key.serialize_pem())
    }

    /// A server's configuration; with `clients`, it wants a certificate of that authority.
    fn server(&self, names: Vec<SanType>, alpn: &[&[u8]], clients: Option<&Ca>) -> Arc<ServerConfig> {
        let (chain, key) = self.issue(names);
        let chain = certificates(chain.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let builder = ServerConfig::builder_with_provider(crypto_provider())
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(ca) => {
                let roots = roots(Roots::Pem(ca.pem.as_bytes())).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, crypto_provider());
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let mut config = builder.with_single_cert(chain, key).unwrap();
        config.alpn_protocols = alpn.iter().map(|one| one.to_vec()).collect();
        Arc::new(config)
    }
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

/// Asks `server` by `name` and hears its greeting.
async fn talk(config: &OriginationConfig<'_>, name: &str, alpn: Alpn, server: Arc<ServerConfig>) -> Result<(), String> {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let serving = tokio::spawn(async move {
        let mut stream = TlsAcceptor::from(server).accept(theirs).await?;
        stream.write_all(b"hi").await?;
        stream.shutdown().await
    });
    let originator = Originator::new(config).map_err(|error| error.to_string())?;
    let mut stream = originator
        .connect(name, alpn, ours)
        .await
        .map_err(|error| error.to_string())?;
    let mut said = Vec::new();
    stream.read_to_end(&mut said).await.map_err(|error| error.to_string())?;
    assert_eq!(said, b"hi");
    serving.await.unwrap().map_err(|error| error.to_string())
}

fn trusting(pem: &str) -> OriginationConfig<'_> {
    OriginationConfig {
        roots: Roots::Pem(pem.as_bytes()),
        names: Vec::new(),
        identity: None,
        is_verified: true,
    }
}

#[tokio::test]
async fn the_name_asked_for_must_be_in_the_certificate() {
    let (ca, other) = (Ca::new(), Ca::new());
    let server = |ca: &Ca| ca.server(vec![dns("a.example.com"), dns("*.wild.example.com")], &[], None);
    let config = trusting(&ca.pem);
    for (name, want) in [
        ("a.example.com", true),
        ("x.wild.example.com", true),
        ("b.example.com", false),
    ] {
        let talked = talk(&config, name, Alpn::Nothing, server(&ca)).await;
        assert_eq!(talked.is_ok(), want, "{name}: {talked:?}");
    }
    let untrusted = talk(&config, "a.example.com", Alpn::Nothing, server(&other)).await;
    assert!(untrusted.unwrap_err().contains("invalid peer certificate"));
}

#[tokio::test]
async fn given_names_stand_in_for_the_one_asked_for() {
    let ca = Ca::new();
    let uri = "spiffe://partner/pay";
    let server = || {
        let uri = SanType::URI(uri.try_into().unwrap());
        ca.server(vec![dns("inner.example.com"), uri], &[], None)
    };
    for (names, want) in [
        (vec![San::Dns("inner.example.com".to_owned())], true),
        (
            vec![San::Dns("x.example.com".to_owned()), San::Uri(uri.to_owned())],
            true,
        ),
        (vec![San::Dns("outer.example.com".to_owned())], false),
        (vec![San::Uri("spiffe://partner/other".to_owned())], false),
    ] {
        let config = OriginationConfig {
            names: names.clone(),
            ..trusting(&ca.pem)
        };
        let talked = talk(&config, "outer.example.com", Alpn::Nothing, server()).await;
        assert_eq!(talked.is_ok(), want, "{names:?}: {talked:?}");
    }
}

#[tokio::test]
async fn mutual_tls_shows_our_certificate() {
    let (ca, clients) = (Ca::new(), Ca::new());
    let (chain, key) = clients.issue(vec![dns("waypoint.example.com")]);
    let server = || ca.server(vec![dns("a.example.com")], &[], Some(&clients));
    let without = talk(&trusting(&ca.pem), "a.example.com", Alpn::Nothing, server()).await;
    assert!(without.is_err());
    let with = OriginationConfig {
        identity: Some((chain.as_bytes(), key.as_bytes())),
        ..trusting(&ca.pem)
    };
    talk(&with, "a.example.com", Alpn::Nothing, server()).await.unwrap();
}

#[tokio::test]
async fn http2_must_be_agreed_on() {
    let ca = Ca::new();
    for (offered, alpn, want) in [
        (vec![H2, HTTP1], Alpn::Http2, true),
        (vec![H2, HTTP1], Alpn::Http1, true),
        (vec![], Alpn::Http1, true),
        (vec![], Alpn::Http2, false),
        (vec![HTTP1], Alpn::Http2, false),
    ] {
        let server = ca.server(vec![dns("a.example.com")], &offered, None);
        let talked = talk(&trusting(&ca.pem), "a.example.com", alpn, server).await;
        assert_eq!(talked.is_ok(), want, "{offered:?} {alpn:?}: {talked:?}");
    }
}

#[tokio::test]
async fn only_who_asks_for_it_takes_any_certificate() {
    let (ca, other) = (Ca::new(), Ca::new());
    let config = OriginationConfig {
        is_verified: false,
        ..trusting(&other.pem)
    };
    let server = ca.server(vec![dns("whoever.example.com")], &[], None);
    talk(&config, "a.example.com", Alpn::Nothing, server).await.unwrap();
}

#[test]
fn settings_that_cannot_be_are_told() {
    let ca = Ca::new();
    let (chain, _) = ca.issue(vec![dns("a.example.com")]);
    let (_, wrong_key) = ca.issue(vec![dns("a.example.com")]);
    let no_roots = Originator::new(&trusting("nonsense"));
    assert!(no_roots.unwrap_err().to_string().contains("certificate authorities"));
    let config = OriginationConfig {
        identity: Some((chain.as_bytes(), wrong_key.as_bytes())),
        ..trusting(&ca.pem)
    };
    assert!(Originator::new(&config).unwrap_err().to_string().contains("key"));
}
