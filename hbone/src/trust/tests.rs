#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use super::*;
use crate::testing::{Ca, Leaf, id};
use rustls::pki_types::pem::PemObject;

fn roots(cas: &[&Ca]) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    for ca in cas {
        roots
            .add(CertificateDer::from_pem_slice(ca.pem.as_bytes()).unwrap())
            .unwrap();
    }
    roots
}

fn trust(cas: &[&Ca], crls: &str) -> Trust {
    Trust::new(roots(cas), Crls::from_pem(crls.as_bytes()).unwrap())
}

fn verdict(trust: &Trust, leaf: &Leaf, usage: Usage) -> Result<(), Error> {
    let leaf = CertificateDer::from_pem_slice(leaf.chain.as_bytes()).unwrap();
    trust.verify(&leaf, &[], UnixTime::now(), usage)
}

const REVOKED: Result<(), Error> = Err(Error::InvalidCertificate(CertificateError::Revoked));
const UNKNOWN: Result<(), Error> = Err(Error::InvalidCertificate(CertificateError::UnknownIssuer));

#[test]
fn revoked_leaves_are_refused_at_both_ends() {
    let ca = Ca::new();
    let trust = trust(&[&ca], &ca.crl(&[7]));
    for usage in [Usage::Client, Usage::Server] {
        assert_eq!(verdict(&trust, &ca.numbered("bad", 7), usage), REVOKED);
        assert_eq!(verdict(&trust, &ca.numbered("good", 8), usage), Ok(()));
    }
}

#[test]
fn every_list_of_an_authority_counts() {
    let ca = Ca::new();
    let trust = trust(&[&ca], &format!("{}{}", ca.crl(&[1]), ca.crl(&[2])));
    for (serial, expected) in [(1, REVOKED), (2, REVOKED), (3, Ok(()))] {
        assert_eq!(
            verdict(&trust, &ca.numbered("client", serial), Usage::Client),
            expected,
            "{serial}"
        );
    }
}

/// Every CA under test has the same name, as Istio's self-signed roots that follow one another have.
#[test]
fn lists_count_for_the_key_that_signed_them_only() {
    let (old, new) = (Ca::new(), Ca::new());
    let both = trust(&[&old, &new], &format!("{}{}", old.crl(&[1]), new.crl(&[2])));
    for (ca, serial, expected) in [
        (&old, 1, REVOKED),
        (&old, 2, Ok(())),
        (&new, 1, Ok(())),
        (&new, 2, REVOKED),
    ] {
        assert_eq!(
            verdict(&both, &ca.numbered("client", serial), Usage::Client),
            expected,
            "{serial}"
        );
    }
    // No list of its own: nothing is known to be revoked.
    let one = trust(&[&old, &new], &old.crl(&[1]));
    assert_eq!(verdict(&one, &new.numbered("client", 1), Usage::Client), Ok(()));
}

#[test]
fn authorities_of_a_trust_domain_speak_for_no_other() {
    let (ours, theirs, stranger) = (Ca::new(), Ca::new(), Ca::new());
    let federated = HashMap::from([("other.example".to_owned(), roots(&[&theirs]))]);
    let trust = Trust::federated(roots(&[&ours]), "cluster.local".to_owned(), federated, Crls::default());
    let other = "spiffe://other.example/ns/ns/sa/client";
    let third = "spiffe://third.example/ns/ns/sa/client";
    for (ca, uri, expected) in [
        (&ours, id("client").as_str(), Ok(())),
        (&theirs, other, Ok(())),
        (&theirs, &id("client"), UNKNOWN),
        (&ours, other, UNKNOWN),
        (&ours, third, UNKNOWN),
        (&stranger, &id("client"), UNKNOWN),
    ] {
        let verdict = verdict(&trust, &ca.leaf(uri, |_| {}), Usage::Client);
        // Authorities under test share their name: a key that is not theirs is a bad signature.
        match expected {
            Ok(()) => assert_eq!(verdict, Ok(()), "{uri}"),
            Err(_) => assert!(verdict.is_err(), "{uri}"),
        }
    }
}
