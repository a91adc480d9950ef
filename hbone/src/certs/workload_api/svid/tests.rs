#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use super::*;
use crate::testing::{Ca, Leaf, id};
use crate::trust::Usage;
use rustls::pki_types::UnixTime;
use rustls::pki_types::pem::PemObject;

fn certificate(pem: &str) -> Vec<u8> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec()
}

fn svid(ca: &Ca, leaf: &Leaf, id: &str) -> X509Svid {
    X509Svid {
        spiffe_id: id.to_owned(),
        x509_svid: certificate(&leaf.chain),
        x509_svid_key: PrivateKeyDer::from_pem_slice(leaf.key.as_bytes())
            .unwrap()
            .secret_der()
            .to_vec(),
        bundle: certificate(&ca.pem),
    }
}

fn answer(svids: Vec<X509Svid>) -> X509SvidResponse {
    X509SvidResponse {
        svids,
        crl: Vec::new(),
        federated_bundles: HashMap::new(),
    }
}

fn read(answer: &X509SvidResponse) -> Result<Identity, String> {
    identity(&answer.encode_to_vec())
}

#[test]
fn the_first_svid_is_the_identity() {
    let ca = Ca::new();
    let first = svid(&ca, &ca.leaf(&id("waypoint"), |_| {}), &id("waypoint"));
    let second = svid(&ca, &ca.leaf(&id("other"), |_| {}), &id("other"));
    let identity = read(&answer(vec![first, second])).unwrap();
    assert_eq!(identity.id.as_str(), id("waypoint"));
}

#[test]
fn bundles_and_crls_come_along() {
    let (ca, other) = (Ca::new(), Ca::new());
    let mut answer = answer(vec![svid(&ca, &ca.leaf(&id("waypoint"), |_| {}), &id("waypoint"))]);
    let theirs = certificate(&other.pem);
    answer.federated_bundles = HashMap::from([
        ("spiffe://other.example".to_owned(), theirs),
        ("spiffe://broken.example".to_owned(), b"garbage".to_vec()),
    ]);
    let crl = rustls::pki_types::CertificateRevocationListDer::from_pem_slice(ca.crl(&[7]).as_bytes()).unwrap();
    answer.crl = vec![crl.to_vec()];
    let identity = read(&answer).unwrap();
    let verify = |leaf: &Leaf| {
        let leaf = CertificateDer::from(certificate(&leaf.chain));
        identity
            .trust
            .verify(&leaf, &[], UnixTime::now(), Usage::Client)
            .is_ok()
    };
    assert!(verify(&other.leaf("spiffe://other.example/ns/ns/sa/client", |_| {})));
    assert!(!verify(&other.leaf("spiffe://broken.example/ns/ns/sa/client", |_| {})));
    assert!(!verify(&other.leaf(&id("client"), |_| {})));
    assert!(verify(&ca.numbered("client", 8)));
    assert!(!verify(&ca.numbered("client", 7)));
}

#[test]
fn what_cannot_be_used_is_told_by_its_part() {
    let (ca, other) = (Ca::new(), Ca::new());
    let leaf = ca.leaf(&id("waypoint"), |_| {});
    let good = svid(&ca, &leaf, &id("waypoint"));
    let changed = |change: fn(&mut X509Svid)| {
        let mut svid = good.clone();
        change(&mut svid);
        answer(vec![svid])
    };
    let wrong_key = X509Svid {
        x509_svid_key: svid(&ca, &other.leaf(&id("waypoint"), |_| {}), "").x509_svid_key,
        ..good.clone()
    };
    let foreign = svid(&ca, &other.leaf(&id("waypoint"), |_| {}), &id("waypoint"));
    let expired = ca.leaf(&id("waypoint"), |params| {
        params.not_before = time::OffsetDateTime::now_utc() - time::Duration::days(2);
        params.not_after = time::OffsetDateTime::now_utc() - time::Duration::DAY;
    });
    let mut many = answer(vec![good.clone()]);
    many.federated_bundles = (0..=FEDERATED)
        .map(|n| (format!("spiffe://d{n}"), Vec::new()))
        .collect();
    let mut bad_crl = answer(vec![good.clone()]);
    bad_crl.crl = vec![b"garbage".to_vec()];
    for (answer, word) in [
        (answer(vec![]), "found none"),
        (
            changed(|svid| svid.x509_svid.clear()),
            "x509_svid: expected certificates",
        ),
        (
            changed(|svid| svid.x509_svid = b"garbage".to_vec()),
            "x509_svid: certificate 1",
        ),
        (changed(|svid| svid.x509_svid.push(0x30)), "x509_svid: certificate 2"),
        (
            changed(|svid| svid.x509_svid = svid.x509_svid.repeat(CHAIN + 1)),
            "at most 16",
        ),
        (changed(|svid| svid.bundle.clear()), "bundle: expected certificates"),
        (
            changed(|svid| svid.bundle = svid.bundle.repeat(BUNDLE + 1)),
            "at most 100",
        ),
        (
            changed(|svid| svid.x509_svid_key = b"garbage".to_vec()),
            "x509_svid_key",
        ),
        (changed(|svid| svid.spiffe_id = id("other")), "spiffe_id is"),
        (answer(vec![wrong_key]), "expected the key of the leaf in x509_svid"),
        (answer(vec![foreign]), "no peer would take it"),
        (
            answer(vec![svid(&ca, &expired, &id("waypoint"))]),
            "no peer would take it",
        ),
        (many, "at most 100 federated"),
        (bad_crl, "crl: CRL 1"),
    ] {
        let why = read(&answer).unwrap_err();
        assert!(why.contains(word), "{why}, expected {word}");
    }
    assert!(identity(b"garbage").unwrap_err().contains("not an X509SVIDResponse"));
}
