#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;

#[test]
fn an_altered_token_keeps_its_signature_and_its_form() {
    let good = TOKEN.trim();
    let altered = altered(good).unwrap();
    let parts = |token: &str| token.split('.').map(str::to_owned).collect::<Vec<_>>();
    let (good, altered) = (parts(good), parts(&altered));
    assert_eq!((&good[0], &good[2]), (&altered[0], &altered[2]));
    let payload: serde_json::Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(&altered[1]).unwrap()).unwrap();
    assert_eq!(payload["sub"], "mallory");
}

#[test]
fn what_is_no_token_is_told() {
    assert!(altered("a.b").is_err());
    assert!(altered("a.b.c").is_err());
}
