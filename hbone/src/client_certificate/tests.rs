#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use super::*;
use rcgen::{CertificateParams, DnType, KeyPair};

fn told(names: &[(DnType, &str)]) -> ClientCertificate {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    for (kind, value) in names {
        params.distinguished_name.push(kind.clone(), *value);
    }
    let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
    ClientCertificate::of(Arc::new([certificate.der().clone()]))
}

#[test]
fn the_subject_is_that_of_rfc_2253() {
    for (names, subject) in [
        (&[][..], ""),
        (
            &[(DnType::OrganizationName, "Shop"), (DnType::CommonName, "cart")][..],
            "CN=cart,O=Shop",
        ),
        (
            &[(DnType::CommonName, " a,\"b\"=c\\;#d\u{e9} ")],
            "CN=\\ a\\,\\\"b\\\"=c\\\\\\;#d\\C3\\A9\\ ",
        ),
        (&[(DnType::CommonName, "#x\r\ny")], "CN=\\#x\\0D\\0Ay"),
        (&[(DnType::CustomDnType(vec![1, 2, 3, 4]), "x")], "1.2.3.4=x"),
    ] {
        assert_eq!(told(names).subject(), subject, "{names:?}");
    }
}

#[test]
fn the_fingerprint_is_that_of_the_leaf() {
    let fingerprint = told(&[]).fingerprint();
    assert!(fingerprint.len() == 64 && fingerprint.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert_eq!(ClientCertificate::of(Arc::default()), ClientCertificate::default());
}
