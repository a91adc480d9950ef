//! Who gets through TLS, and what becomes of the others.

use super::*;
use crate::crls::Crls;
use crate::trust::Trust;

#[tokio::test(start_paused = true)]
async fn clients_that_are_not_of_the_mesh_are_told_apart() {
    let bench = Bench::new();
    let good = bench.ca.identity("client");

    let mut without = (*good.client).clone();
    without.client_auth_cert_resolver = rustls::ClientConfig::builder_with_provider(tls::crypto_provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth()
        .client_auth_cert_resolver;
    assert_eq!(bench.label_of(Arc::new(without)).await, "no_certificate");

    let mut silent = (*good.client).clone();
    silent.alpn_protocols.clear();
    assert_eq!(bench.label_of(Arc::new(silent)).await, "not_h2");
    let mut http1 = (*good.client).clone();
    http1.alpn_protocols = vec![b"http/1.1".to_vec()];
    assert_eq!(bench.label_of(Arc::new(http1)).await, "not_h2");

    let foreign = Ca::new().leaf(&id("client"), |_| {}).identity(&bench.ca);
    assert_eq!(bench.label_of(foreign.client).await, "untrusted");
    assert_eq!(
        bench
            .label_of_leaf("spiffe://other.local/ns/ns/sa/client", |_| {})
            .await,
        "trust_domain"
    );
}

#[tokio::test(start_paused = true)]
async fn leaves_that_are_no_svid_are_untrusted() {
    let bench = Bench::new();
    let day = time::Duration::DAY;
    let expired = |params: &mut CertificateParams| params.not_after = time::OffsetDateTime::now_utc() - day;
    assert_eq!(bench.label_of_leaf(&id("client"), expired).await, "untrusted");
    let early = |params: &mut CertificateParams| params.not_before = time::OffsetDateTime::now_utc() + day;
    assert_eq!(bench.label_of_leaf(&id("client"), early).await, "untrusted");
    let server_only = |params: &mut CertificateParams| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    };
    assert_eq!(bench.label_of_leaf(&id("client"), server_only).await, "untrusted");
}

#[tokio::test(start_paused = true)]
async fn leaves_that_no_authority_of_ours_signed_are_untrusted() {
    use rcgen::{BasicConstraints, IsCa, KeyUsagePurpose};
    let bench = Bench::new();
    // An authority's certificate is nobody's, even with an id.
    let authority = |params: &mut CertificateParams| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    };
    assert_eq!(bench.label_of_leaf(&id("client"), authority).await, "untrusted");
    // Nor is what a workload signs with its own key, under its own name or alone.
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::URI(id("client").as_str().try_into().unwrap())];
    let own = Leaf {
        chain: params.self_signed(&key).unwrap().pem(),
        key: key.serialize_pem(),
    };
    assert_eq!(bench.label_of(own.identity(&bench.ca).client).await, "untrusted");
    let issuer = rcgen::Issuer::new(params, key);
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::URI(id("admin").as_str().try_into().unwrap())];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let key = rcgen::KeyPair::generate().unwrap();
    let below = Leaf {
        chain: format!("{}{}", params.signed_by(&key, &issuer).unwrap().pem(), own.chain),
        key: key.serialize_pem(),
    };
    assert_eq!(bench.label_of(below.identity(&bench.ca).client).await, "untrusted");
}

/// Our own `Identity` refuses such leaves, so that the client's configuration is put together here.
#[tokio::test(start_paused = true)]
async fn leaves_without_exactly_one_spiffe_id_are_untrusted() {
    let bench = Bench::new();
    let uri = |uri: &str| SanType::URI(uri.try_into().unwrap());
    let dns = |name: &str| SanType::DnsName(name.try_into().unwrap());
    let good = uri(&id("client"));
    for names in [
        vec![],
        vec![dns("client.example")],
        vec![good.clone(), uri(&id("other"))],
        vec![good.clone(), uri("https://client.example/")],
        vec![good.clone(), dns("a\0b.example")],
        vec![uri("spiffe://cluster.local")],
        vec![uri("spiffe://cluster.local:80/ns/ns/sa/client")],
        vec![uri("spiffe://u@cluster.local/ns/ns/sa/client")],
        vec![uri("spiffe://cluster.local/ns/ns/sa/cli\0ent")],
        vec![uri("spiffe://cluster.local/ns/ns/sa/%63lient")],
        vec![uri("spiffe://cluster.local/ns//sa/client")],
        vec![uri("https://cluster.local/ns/ns/sa/client")],
    ] {
        let client = client_with(&bench.ca, names.clone());
        assert_eq!(bench.label_of(client).await, "untrusted", "{names:?}");
    }
    // Trust domains are compared as text.
    let capitals = client_with(&bench.ca, vec![uri("spiffe://CLUSTER.LOCAL/ns/ns/sa/client")]);
    assert_eq!(bench.label_of(capitals).await, "trust_domain");
    let (near, _served) = bench.pipe(echo);
    let both = client_with(&bench.ca, vec![good, dns("client.example")]);
    RawClient::tls(near, both).await.unwrap();
}

/// Suites are ours to choose, as far as the client offers a choice.
#[tokio::test(start_paused = true)]
async fn aes_128_is_taken_whatever_the_client_names_first() {
    use rustls::CipherSuite::{TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384};
    let bench = Bench::new();
    for (offered, taken) in [
        (
            vec![TLS13_AES_256_GCM_SHA384, TLS13_AES_128_GCM_SHA256],
            TLS13_AES_128_GCM_SHA256,
        ),
        (vec![TLS13_AES_256_GCM_SHA384], TLS13_AES_256_GCM_SHA384),
    ] {
        let mut provider = (*tls::crypto_provider()).clone();
        let known = std::mem::take(&mut provider.cipher_suites);
        let suite = |wanted| known.iter().copied().find(|suite| suite.suite() == wanted).unwrap();
        provider.cipher_suites = offered.into_iter().map(suite).collect();
        let names = vec![SanType::URI(id("client").as_str().try_into().unwrap())];
        let (near, _served) = bench.pipe(echo);
        let client = RawClient::tls(near, client_of(provider, &bench.ca, names))
            .await
            .unwrap();
        let suite = client.io.get_ref().1.negotiated_cipher_suite().unwrap();
        assert_eq!(suite.suite(), taken);
    }
}

fn client_with(ca: &Ca, names: Vec<SanType>) -> Arc<rustls::ClientConfig> {
    client_of((*tls::crypto_provider()).clone(), ca, names)
}

fn client_of(provider: rustls::crypto::CryptoProvider, ca: &Ca, names: Vec<SanType>) -> Arc<rustls::ClientConfig> {
    use rustls::pki_types::pem::PemObject;
    let leaf = ca.leaf(&id("client"), |params| params.subject_alt_names = names);
    let chain = vec![rustls::pki_types::CertificateDer::from_pem_slice(leaf.chain.as_bytes()).unwrap()];
    let key = rustls::pki_types::PrivateKeyDer::from_pem_slice(leaf.key.as_bytes()).unwrap();
    let certified = rustls::sign::CertifiedKey::from_der(chain, key, &tls::crypto_provider()).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(rustls::pki_types::CertificateDer::from_pem_slice(ca.pem.as_bytes()).unwrap())
        .unwrap();
    let trust = Trust::new(roots, Crls::default());
    Arc::new(tls::client_config(Arc::new(provider), &Arc::new(certified), &Arc::new(trust)).unwrap())
}

#[tokio::test(start_paused = true)]
async fn tls_1_2_plain_bytes_and_silence_end_the_connection() {
    let bench = Bench::new();
    for bytes in [
        &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        &[0x16, 3, 1, 0xff, 0xff],
    ] {
        let (mut near, served) = bench.pipe(echo);
        near.write_all(bytes).await.unwrap();
        near.shutdown().await.unwrap();
        assert!(served.await.unwrap().is_err());
        assert_eq!(bench.server.seen.take(), ["other"]);
    }
    // One byte of a hello every second.
    let (mut near, served) = bench.pipe(echo);
    let begun = Instant::now();
    let mut hello = [0x16, 3, 1, 2, 0, 1].into_iter().chain(std::iter::repeat(0));
    while near.write_all(&[hello.next().unwrap()]).await.is_ok() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(matches!(
        served.await.unwrap(),
        Err(ServeError::Timeout(_) | ServeError::Handshake(_))
    ));
    assert!(begun.elapsed() < Duration::from_secs(12));
}

#[tokio::test(start_paused = true)]
async fn a_late_preface_or_no_settings_end_the_connection() {
    let bench = Bench::new();
    let identity = bench.ca.identity("client");
    for said in [&b""[..], b"PRI * HTTP/2.0\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let (near, served) = bench.pipe(echo);
        let mut client = RawClient::tls(near, Arc::clone(&identity.client)).await.unwrap();
        client.io.write_all(said).await.unwrap();
        let begun = Instant::now();
        let error = served.await.unwrap().unwrap_err();
        assert!(matches!(error, ServeError::Timeout(_)), "{error}");
        assert_eq!(begun.elapsed().as_secs(), 10, "{said:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rotation_shows_in_new_handshakes_and_old_tunnels_live_on() {
    let ca = Ca::new();
    let certs = ca.certs("before");
    let server = TestServer::new(Arc::clone(&certs) as Arc<dyn CertSource>, ServerConfig::default());
    let connect = || async {
        let (near, far) = tokio::io::duplex(64 * 1024);
        drop(server.serve(far, echo));
        RawClient::open(near, &ca.identity("client")).await
    };
    let shown = |client: &RawClient| tls::peer_id(client.io.get_ref().1.peer_certificates()).unwrap();
    let mut old = connect().await;
    assert_eq!(shown(&old).as_str(), id("before"));
    old.connect(1, "10.0.0.1:80").await;
    assert_eq!(old.status(1).await, Ok(200));
    certs.replace(ca.identity("after"));
    let new = connect().await;
    assert_eq!(shown(&new).as_str(), id("after"));
    old.send(DATA, 0, 1, b"alive").await;
    assert_eq!(old.next_of_note().await.unwrap().payload, b"alive");
}

#[tokio::test(start_paused = true)]
async fn a_revoked_client_is_refused_by_its_name() {
    let ca = Ca::new();
    let server = ca.numbered("server", 1).identity_with(&ca, &ca.crl(&[7]));
    let bench = Bench {
        server: TestServer::new(crate::SharedCerts::new(server), ServerConfig::default()),
        ca,
    };
    let revoked = bench.ca.numbered("client", 7).identity(&bench.ca);
    assert_eq!(bench.label_of(revoked.client).await, "revoked");
    let (near, _served) = bench.pipe(echo);
    let good = bench.ca.numbered("client", 8).identity(&bench.ca);
    RawClient::tls(near, good.client).await.unwrap();
}
