#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use super::*;
use crate::testing::Ca;

#[test]
fn blank_text_is_no_list_and_other_text_is_an_error() {
    for blank in ["", " \n\t\r\n"] {
        assert!(Crls::from_pem(blank.as_bytes()).unwrap().is_empty());
    }
    let ca = Ca::new();
    let good = ca.crl(&[7]);
    for (text, word) in [
        ("garbage", "found none"),
        (&ca.pem, "found none"),
        (&good[..good.len() / 2], "expected CRLs in PEM"),
        ("-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n", "CRL 1"),
        (&good.repeat(CRLS + 1), "at most 32"),
    ] {
        let error = Crls::from_pem(text.as_bytes()).unwrap_err();
        assert!(error.contains(word), "{error}");
    }
    assert!(!Crls::from_pem(good.as_bytes()).unwrap().is_empty());
}

#[test]
fn lists_of_one_authority_are_looked_at_in_turn() {
    let ca = Ca::new();
    let two = format!("{}{}", ca.crl(&[1]), ca.crl(&[2]));
    let crls = Crls::from_pem(two.as_bytes()).unwrap();
    assert_eq!(crls.rounds().iter().map(Vec::len).collect::<Vec<_>>(), [1, 1]);
}
