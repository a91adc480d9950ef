#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::neighbour::PolicyRule;
use serde_json::Value;
use std::path::PathBuf;

fn plain() -> Told {
    Told {
        address: "127.10.1.101:15008".parse().unwrap(),
        certs: PathBuf::from("/certs"),
        clients: "spiffe://cluster.local/".into(),
        destination: "spiffe://cluster.local/ns/demo/sa/echo".into(),
        vip_ip: [127, 20, 1, 1].into(),
        vip_port: 80,
        application: "127.10.1.1:9080".parse().unwrap(),
        is_http2: false,
        routes: 0,
        rules: Vec::new(),
        tokens: None,
        collector: None,
    }
}

/// Compares with the file in `testdata`; `UPDATE_GOLDEN=1` writes it.
fn golden(name: &str, config: &Value) {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name);
    let text = format!("{config:#}\n");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    let wanted = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(text, wanted, "{}: UPDATE_GOLDEN=1 writes it anew", file.display());
}

#[test]
fn a_service_without_anything() {
    golden("envoy-plain.json", &waypoint(&plain()));
}

#[test]
fn a_service_with_everything() {
    let rule = |name: &str| PolicyRule {
        principal: format!("spiffe://cluster.local/ns/demo/sa/{name}"),
        path_prefix: format!("/{name}/"),
    };
    let told = Told {
        is_http2: true,
        routes: 2,
        rules: vec![rule("other"), rule("client")],
        tokens: Some(("https://issuer.example/".into(), json!({ "keys": [] }))),
        collector: Some("127.0.0.1:4317".parse().unwrap()),
        ..plain()
    };
    golden("envoy-everything.json", &waypoint(&told));
}
