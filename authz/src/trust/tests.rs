//! What principals and trust domains stand for.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::TrustDomains;

fn mesh() -> TrustDomains {
    TrustDomains {
        own: "new.example".to_owned(),
        aliases: vec!["old.example".to_owned(), "lab".to_owned()],
    }
}

#[test]
fn known_domains_stand_for_each_other() {
    let all = ["new.example/ns/a/sa/b", "old.example/ns/a/sa/b", "lab/ns/a/sa/b"];
    for written in ["new.example/ns/a/sa/b", "lab/ns/a/sa/b", "cluster.local/ns/a/sa/b"] {
        assert_eq!(mesh().expand_principals(&[written]), all, "{written}");
    }
}

#[test]
fn what_names_no_trust_domain_is_kept() {
    for kept in [
        "*",
        "*/ns/a/sa/b",
        "cluster.local/ns/a/*",
        "a/b",
        "elsewhere/ns/a/sa/b",
        "/ns/a/sa/b",
        "*/sa/b",
    ] {
        assert_eq!(mesh().expand_principals(&[kept]), [kept]);
    }
    assert_eq!(mesh().foreign("elsewhere/ns/a/sa/b"), Some("elsewhere"));
    assert_eq!(mesh().foreign("cluster.local/ns/a/sa/b"), None);
    assert_eq!(mesh().foreign("*/ns/a/sa/b"), None);
}

#[test]
fn a_pattern_is_kept_for_the_domains_it_matches() {
    assert_eq!(
        mesh().expand_principals(&["*.example/ns/a/sa/b"]),
        ["*.example/ns/a/sa/b", "lab/ns/a/sa/b"],
    );
}

#[test]
fn trust_domains_expand_once_and_cluster_local_is_a_name() {
    assert_eq!(
        mesh().expand_trust_domains(&["lab", "old.example"]),
        ["new.example", "old.example", "lab"]
    );
    assert_eq!(
        mesh().expand_trust_domains(&["cluster.local", "l*"]),
        ["cluster.local", "l*"]
    );
}
