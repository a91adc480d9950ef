#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use super::*;
use proptest::prelude::*;

#[test]
fn parts() {
    let id = SpiffeId::parse("spiffe://cluster.local/ns/prod/sa/my.app").unwrap();
    assert_eq!(id.as_str(), "spiffe://cluster.local/ns/prod/sa/my.app");
    assert_eq!(id.principal(), "cluster.local/ns/prod/sa/my.app");
    assert_eq!(id.trust_domain(), "cluster.local");
    assert_eq!(id.namespace(), "prod");
    assert_eq!(id.service_account(), "my.app");
    assert_eq!(SpiffeId::of("cluster.local", "prod", "my.app"), Ok(id));
}

#[test]
fn pairs_of_another_issuer_stand_anywhere() {
    for text in [
        "spiffe://cluster.local/ns/prod/env/blue=1/sa/app",
        "spiffe://cluster.local/env/blue/ns/prod/sa/app",
        "spiffe://cluster.local/ns/prod/sa/app/env/blue",
    ] {
        let id = SpiffeId::parse(text).unwrap();
        assert_eq!((id.namespace(), id.service_account()), ("prod", "app"), "{text}");
    }
}

/// Policies may match such an id as text, but it is nobody's namespace.
#[test]
fn another_form_names_no_workload() {
    for text in [
        "spiffe://cluster.local/billing/payments",
        "spiffe://cluster.local/ns/a",
        "spiffe://cluster.local/sa/b",
        "spiffe://cluster.local/NS/a/sa/b",
        "spiffe://cluster.local/k/ns/a/sa",
        "spiffe://ns/a/sa/b",
    ] {
        let id = SpiffeId::parse(text).unwrap();
        assert_eq!((id.namespace(), id.service_account()), ("", ""), "{text}");
        assert_eq!(id.as_str(), text);
    }
}

#[test]
fn another_case_is_another_trust_domain() {
    let id = SpiffeId::parse("spiffe://Cluster.LOCAL/ns/a/sa/b").unwrap();
    assert_eq!(id.trust_domain(), "Cluster.LOCAL");
    assert_ne!(Ok(id), SpiffeId::of("cluster.local", "a", "b"));
}

#[test]
fn refused() {
    for text in [
        "",
        "spiffe://",
        "spiffe://cluster.local",
        "spiffe://cluster.local/",
        "cluster.local/ns/a/sa/b",
        "SPIFFE://cluster.local/ns/a/sa/b",
        "spiffe:/cluster.local/ns/a/sa/b",
        "https://cluster.local/ns/a/sa/b",
        " spiffe://cluster.local/ns/a/sa/b",
        "spiffe://cluster.local/ns/a/sa/b ",
        "spiffe://cluster.local/ns/a/sa/b\0",
        "spiffe://cluster.local/ns/a/sa/b?x",
        "spiffe://cluster.local/ns/a/sa/b#x",
        "spiffe://cluster.local/ns/a/sa/b/",
        "spiffe://cluster.local/ns/a/sa",
        "spiffe://cluster.local/ns/a/sa/b/c",
        "spiffe://cluster.local/ns/a/b/sa/c",
        "spiffe://cluster.local/ns/a/sa/b/sa/c",
        "spiffe://cluster.local/ns/a/ns/b/sa/c",
        "spiffe://cluster.local/sa/b/ns/a",
        "spiffe://cluster.local/k/v/ns/a/x",
        "spiffe://cluster.local/ns/a//b/sa/c",
        "spiffe://cluster.local/ns/a/sa/",
        "spiffe://cluster.local/ns//sa/b",
        "spiffe://cluster.local//ns/a/sa/b",
        "spiffe:///ns/a/sa/b",
        "spiffe://user@cluster.local/ns/a/sa/b",
        "spiffe://cluster.local:443/ns/a/sa/b",
        "spiffe://cluster.local/ns/a/sa/b%2f..%2fc",
        "spiffe://cluster.local/ns/../sa/b",
        "spiffe://cluster.local/ns/a/sa/.",
        "spiffe://cluster.local/ns/a/sa/ü",
    ] {
        assert!(SpiffeId::parse(text).is_err(), "{text:?} was accepted");
    }
    assert!(SpiffeId::of(&"a".repeat(256), "b", "c").is_err());
    assert!(SpiffeId::of("a", "b", &"c".repeat(2_048)).is_err());
    assert!(SpiffeId::of("cluster.local", "a/sa/b", "c").is_err());
    assert!(SpiffeId::of("cluster.local", "a", "b/k/v").is_err());
}

proptest! {
    #[test]
    fn what_is_built_is_what_is_read(td in "[a-z0-9._-]{1,9}", ns in "[a-z0-9-]{1,9}", sa in "[a-zA-Z0-9-]{1,9}") {
        let id = SpiffeId::of(&td, &ns, &sa).unwrap();
        prop_assert_eq!((id.trust_domain(), id.namespace(), id.service_account()), (&*td, &*ns, &*sa));
        prop_assert_eq!(format!("spiffe://{}", id.principal()), id.as_str());
        prop_assert_eq!(SpiffeId::parse(id.as_str()), Ok(id.clone()));
    }

    #[test]
    fn total(text in "(\\PC{0,40}|spiffe://[a-z/.%]{0,20})") {
        let _ = SpiffeId::parse(&text);
    }
}
