#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use super::*;
use crate::testing::{Ca, Leaf, id};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, SanType};

fn read(chain: &[&str], key: &Leaf) -> Result<Identity, String> {
    let cert_chain = chain.iter().map(|&pem| pem.to_owned()).collect();
    let answer = IstioCertificateResponse { cert_chain }.encode_to_vec();
    read_bytes(&answer, key)
}

fn read_bytes(answer: &[u8], key: &Leaf) -> Result<Identity, String> {
    let key = PrivateKeyDer::from_pem_slice(key.key.as_bytes()).unwrap();
    identity(answer, key, &SpiffeId::parse(&id("waypoint")).unwrap())
}

#[test]
fn a_good_answer_is_an_identity() {
    let (ca, next) = (Ca::new(), Ca::new());
    let leaf = ca.leaf(&id("waypoint"), |_| {});
    let identity = read(&[&leaf.chain, &ca.pem], &leaf).unwrap();
    assert_eq!(identity.id.as_str(), id("waypoint"));
    // While roots change, the last element has both.
    read(&[&leaf.chain, &format!("{}{}", next.pem, ca.pem)], &leaf).unwrap();
}

#[test]
fn what_a_lying_ca_says_is_told_by_its_part() {
    let (ca, other) = (Ca::new(), Ca::new());
    let good = ca.leaf(&id("waypoint"), |_| {});
    let bent = |change: fn(&mut CertificateParams)| ca.leaf(&id("waypoint"), change);
    let days = time::Duration::days;
    let somebody = ca.leaf(&id("other"), |_| {});
    let elsewhere = ca.leaf("spiffe://other.example/ns/ns/sa/waypoint", |_| {});
    let nobody = bent(|params| params.subject_alt_names = vec![SanType::DnsName("waypoint".try_into().unwrap())]);
    let two = bent(|params| {
        params
            .subject_alt_names
            .push(SanType::URI(id("two").try_into().unwrap()))
    });
    let expired = ca.leaf(&id("waypoint"), |params| {
        params.not_before = time::OffsetDateTime::now_utc() - days(2);
        params.not_after = time::OffsetDateTime::now_utc() - days(1);
    });
    let early = ca.leaf(&id("waypoint"), |params| {
        params.not_before = time::OffsetDateTime::now_utc() + days(1);
        params.not_after = time::OffsetDateTime::now_utc() + days(2);
    });
    let client = bent(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]);
    let server = bent(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]);
    let huge = good.chain.repeat(CHAIN + 1);
    let many_roots = ca.pem.repeat(ROOTS + 1);
    let cases: [(&str, &[&str], &Leaf); 17] = [
        ("expected a chain and its root, found 0", &[], &good),
        ("expected a chain and its root, found 1", &[&good.chain], &good),
        ("found none", &["", &ca.pem], &good),
        (
            "root: expected certificates in PEM, found none",
            &[&good.chain, ""],
            &good,
        ),
        (
            "expected certificates in PEM",
            &["-----BEGIN CERTIFICATE-----\nx", &ca.pem],
            &good,
        ),
        ("found one for", &[&somebody.chain, &ca.pem], &somebody),
        ("found one for", &[&elsewhere.chain, &ca.pem], &elsewhere),
        ("SPIFFE", &[&nobody.chain, &ca.pem], &nobody),
        ("expected one URI SAN", &[&two.chain, &ca.pem], &two),
        (
            "our key: expected the key of the leaf",
            &[&good.chain, &ca.pem],
            &somebody,
        ),
        ("no peer would take it", &[&good.chain, &other.pem], &good),
        ("no peer would take it", &[&expired.chain, &ca.pem], &expired),
        ("no peer would take it", &[&early.chain, &ca.pem], &early),
        ("no peer would take it", &[&client.chain, &ca.pem], &client),
        ("no peer would take it", &[&server.chain, &ca.pem], &server),
        ("at most 16", &[&huge, &ca.pem], &good),
        ("at most 100", &[&good.chain, &many_roots], &good),
    ];
    for (word, chain, key) in cases {
        let why = read(chain, key).unwrap_err();
        assert!(why.contains(word), "{why}, expected {word}");
        assert!(!why.contains("PRIVATE"), "{why}");
    }
    let garbage = read_bytes(b"garbage", &good).unwrap_err();
    assert!(garbage.contains("not an IstioCertificateResponse"), "{garbage}");
}
