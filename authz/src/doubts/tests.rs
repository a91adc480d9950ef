#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::{Traffic, doubts};
use proptest::prelude::*;
use request::{Mode, Path};
use serde_json::{Value, json};

fn plain() -> Traffic {
    Traffic {
        mode: Mode::Base,
        ports: Some(vec![80, 443]),
        tokens: true,
    }
}

/// The fields that are told of.
fn fields(rule: Value, traffic: &Traffic) -> Vec<String> {
    let spec = serde_json::from_value(json!({"rules": [rule]})).unwrap();
    let found = doubts(&spec, traffic);
    assert!(found.iter().all(|problem| !problem.error));
    let rule = |field: &str| field.strip_prefix("spec.rules[0].").unwrap().to_owned();
    found.iter().map(|problem| rule(&problem.field)).collect()
}

fn is_doubted(field: &str, text: &str, traffic: &Traffic) -> bool {
    !fields(json!({"to": [{"operation": {field: [text]}}]}), traffic).is_empty()
}

fn path_is_doubted(text: &str, mode: Mode) -> bool {
    is_doubted("paths", text, &Traffic { mode, ..plain() })
}

#[test]
fn paths_that_normalisation_leaves_nobody() {
    let in_all = [
        "/a/../b",
        "/a/./b*",
        "/a/..",
        "*/../b",
        "/a%41",
        "/%61dmin*",
        "/a\\b",
        "/a?x=1",
        "/a#b",
        "admin",
        "admin/*",
        "/a b",
        "/ü",
        "/a/../{*}",
        "/%00",
    ];
    for text in in_all {
        assert!(path_is_doubted(text, Mode::Base), "{text}");
        assert!(path_is_doubted(text, Mode::MergeSlashes), "{text}");
    }
    for text in ["/a//b", "//*", "*//b"] {
        assert!(path_is_doubted(text, Mode::MergeSlashes), "{text}");
        assert!(!path_is_doubted(text, Mode::Base), "{text}");
    }
    for text in ["/a%2fb", "/a%2F*", "*%5c"] {
        assert!(path_is_doubted(text, Mode::DecodeAndMergeSlashes), "{text}");
        assert!(!path_is_doubted(text, Mode::MergeSlashes), "{text}");
    }
    for text in ["/a/../b", "/a//b", "/%61"] {
        assert!(!path_is_doubted(text, Mode::None), "{text}");
    }
    assert!(path_is_doubted("admin", Mode::None));
}

#[test]
fn paths_that_may_come() {
    for text in [
        "*", "/", "/*", "/a", "/a/*", "/a/.*", "/a/..*", "/a%*", "/a%2*", "*.js", "*admin", "*2F", "*..", "/{*}",
        "/a/{**}", "/{*}/b", "/a%20b", "/a/",
    ] {
        for mode in [Mode::None, Mode::Base, Mode::MergeSlashes, Mode::DecodeAndMergeSlashes] {
            // `*2F` needs the escape that this mode decodes, unless the letters stand alone.
            assert!(!path_is_doubted(text, mode), "{text} {mode:?}");
        }
    }
}

proptest! {
    /// A pattern that some normalised path matches is never doubted.
    #[test]
    fn nothing_is_doubted_that_comes(raw in "/[ab./%2fF5\\\\]{0,12}", from in 0_usize..13, mode in 0_usize..4) {
        let mode = [Mode::None, Mode::Base, Mode::MergeSlashes, Mode::DecodeAndMergeSlashes][mode];
        let Ok(path) = Path::normalise(&raw, mode) else { return Ok(()) };
        let path = path.as_str();
        let at = from.min(path.len());
        prop_assert!(!path_is_doubted(path, mode));
        prop_assert!(!path_is_doubted(&format!("{}*", &path[..at]), mode), "{}*", &path[..at]);
        prop_assert!(!path_is_doubted(&format!("*{}", &path[at..]), mode), "*{}", &path[at..]);
    }
}

#[test]
fn methods_hosts_ports_and_principals() {
    let doubted = |field, text| is_doubted(field, text, &plain());
    for text in ["get", "Get", "ge*", "*t", "CONNECT"] {
        assert!(doubted("methods", text), "{text}");
    }
    for text in ["http://a", "a/b", "a.b.", "a:0", "a b", "u@a", "*.a/b", "[::01]"] {
        assert!(doubted("hosts", text), "{text}");
    }
    for text in [
        "a", "A.b", "a:8080", "*.a", "a.*", "*:8080", "[::1]", "[::1]:80", "10.0.0.1", "*",
    ] {
        assert!(!doubted("hosts", text), "{text}");
    }
    assert!(doubted("ports", "8080") && !doubted("ports", "443"));
    assert!(!is_doubted("ports", "8080", &Traffic { ports: None, ..plain() }));
    let principal = |text: &str| !fields(json!({"from": [{"source": {"principals": [text]}}]}), &plain()).is_empty();
    for text in ["cart", "td/ns/a/sa/", "td//ns/a/sa/b", "td/ns/a/sa/b c", "td:1/x"] {
        assert!(principal(text), "{text}");
    }
    for text in ["td/ns/a/sa/b", "*", "td/*", "*/sa/b", "td/billing"] {
        assert!(!principal(text), "{text}");
    }
}

#[test]
fn where_it_stands() {
    let rule = json!({
        "from": [{"source": {"principals": ["td/ns/a/sa/b", "cart"]}}],
        "to": [{"operation": {"methods": ["GET", "get"], "notPaths": ["/a", "/b/../c"]}}],
        "when": [{"key": "request.headers[:method]", "values": ["put"]}, {"key": "destination.port", "notValues": ["9"]}],
    });
    let wanted = [
        "from[0].source.principals[1]",
        "to[0].operation.methods[1]",
        "to[0].operation.notPaths[1]",
        "when[0].values[0]",
        "when[1].notValues[0]",
    ];
    assert_eq!(fields(rule, &plain()), wanted);
}

#[test]
fn a_rule_that_excludes_what_it_names() {
    let excluded = |field: &str, values: Value, not: &str, not_values: Value| {
        let outer = if field.ends_with("locks") || field.starts_with("pr") {
            ("from", "source")
        } else {
            ("to", "operation")
        };
        let rule = json!({outer.0: [{outer.1: {field: values, not: not_values}}]});
        !fields(rule, &plain()).is_empty()
    };
    assert!(excluded("paths", json!(["/a", "/a/b"]), "notPaths", json!(["/a*"])));
    assert!(excluded("paths", json!(["/a/*"]), "notPaths", json!(["*"])));
    assert!(excluded("paths", json!(["/{*}"]), "notPaths", json!(["/{*}"])));
    assert!(excluded("hosts", json!(["A.b"]), "notHosts", json!(["*.B"])));
    assert!(excluded("ports", json!(["80"]), "notPorts", json!(["80", "443"])));
    assert!(excluded(
        "ipBlocks",
        json!(["10.1.2.3"]),
        "notIpBlocks",
        json!(["10.0.0.0/8"])
    ));
    assert!(excluded(
        "principals",
        json!(["td/ns/a/sa/b"]),
        "notPrincipals",
        json!(["*/sa/b"])
    ));

    assert!(!excluded("paths", json!(["/a", "/b"]), "notPaths", json!(["/a*"])));
    assert!(!excluded("paths", json!(["/a*"]), "notPaths", json!(["/a/*"])));
    assert!(!excluded("paths", json!(["/a*"]), "notPaths", json!(["*a"])));
    assert!(!excluded(
        "ipBlocks",
        json!(["10.0.0.0/8"]),
        "notIpBlocks",
        json!(["10.1.0.0/16"])
    ));
}

#[test]
fn tokens_where_none_is_read() {
    let rule = json!({"from": [{"source": {"requestPrincipals": ["*"]}}],
        "when": [{"key": "request.auth.claims[role]", "values": ["a"], "notValues": ["b"]}]});
    assert!(fields(rule.clone(), &plain()).is_empty());
    let none = Traffic {
        tokens: false,
        ..plain()
    };
    let wanted = [
        "from[0].source.requestPrincipals",
        "when[0].values",
        "when[0].notValues",
    ];
    assert_eq!(fields(rule, &none), wanted);
}
