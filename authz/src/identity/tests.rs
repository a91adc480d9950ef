//! The searches against the regular expressions that Istio documents.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::{Namespace, ServiceAccount, TrustDomain};
use proptest::prelude::*;
use regex::Regex;

#[test]
fn namespaces() {
    let uri = "spiffe://mesh.example/ns/shop-eu/sa/cart";
    for (pattern, matches) in [
        ("shop-eu", true),
        ("shop", false),
        ("shop*", true),
        ("*-eu", true),
        ("sh*eu", true),
        ("*", true),
        ("eu*", false),
        ("shop.eu", false),
    ] {
        assert_eq!(Namespace::new(pattern).matches(uri), matches, "{pattern}");
    }
}

#[test]
fn service_accounts() {
    let own = |text: &str| ServiceAccount::new(text, "shop").unwrap();
    assert!(own("cart").matches("spiffe://mesh.example/ns/shop/sa/cart"));
    assert!(!own("cart").matches("spiffe://mesh.example/ns/bank/sa/cart"));
    assert!(own("bank/cart").matches("spiffe://other.example/ns/bank/sa/cart"));
    assert!(own("bank/cart").matches("spiffe://m/ns/bank/env/prod/sa/cart/build/7"));
    for no in [
        "spiffe://m/ns/bank/sa/carts",
        "spiffe://m/ns/bank/sa/cart/",
        "spiffe://m/ns/bank/envsa/cart",
        "spiffe://m/ns/bank//sa/cart",
        "spiffe://ns/bank/sa/cart",
        "m/ns/bank/sa/cart",
    ] {
        assert!(!own("bank/cart").matches(no), "{no}");
    }
    for bad in ["", "/a", "a/", "a/b/c", "a/*", "*"] {
        assert!(ServiceAccount::new(bad, "shop").is_err(), "{bad}");
    }
    assert!(ServiceAccount::new(&"a".repeat(321), "shop").is_err());
}

#[test]
fn trust_domains() {
    for (pattern, domain, matches) in [
        ("*", "a.example", true),
        ("a.example", "a.example", true),
        ("a.example", "a.example.org", false),
        ("a.*", "a.example", true),
        ("a.*", "ab", false),
        ("*.example", "a.example", true),
        ("*.example", "example", false),
    ] {
        let uri = format!("spiffe://{domain}/ns/shop/sa/cart");
        assert_eq!(
            TrustDomain::new(pattern).unwrap().matches(&uri),
            matches,
            "{pattern} on {domain}"
        );
    }
    for bad in ["a/b", "a*b", "*a*", "**"] {
        assert!(TrustDomain::new(bad).is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn namespace_as_documented(pattern in "[ab/*]{1,4}", rest in "[abns/]{0,14}") {
        let uri = format!("spiffe://m/ns/{rest}");
        let parts: Vec<String> = pattern.split('*').map(regex::escape).collect();
        let naive = Regex::new(&format!("^.*/ns/{}/.*$", parts.join(".*"))).unwrap().is_match(&uri);
        prop_assert_eq!(Namespace::new(&pattern).matches(&uri), naive, "{} on {}", pattern, uri);
    }

    #[test]
    fn account_as_documented(head in "[mns/a]{0,6}", middle in "[abs/]{0,5}", tail in "(/|/x|x)?") {
        let uri = format!("spiffe://{head}/ns/a/{middle}sa/b{tail}");
        let naive = Regex::new("^spiffe://.+/ns/a/(.+/|)sa/b(/.+)?$").unwrap().is_match(&uri);
        prop_assert_eq!(ServiceAccount::new("a/b", "").unwrap().matches(&uri), naive, "{}", uri);
    }
}
