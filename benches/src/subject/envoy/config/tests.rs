#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::neighbour::{PolicyRule, RouteVersions};
use serde_json::Value;
use std::path::PathBuf;

fn backend(name: &str, pod: u8, weight: u32) -> Backend {
    Backend {
        cluster: inbound_vip(name),
        application: ([127, 10, 1, pod], 9080).into(),
        weight,
    }
}

fn plain() -> Told {
    Told {
        address: "127.10.1.101:15008".parse().unwrap(),
        certs: PathBuf::from("/certs"),
        clients: "spiffe://cluster.local/".into(),
        destination: "spiffe://cluster.local/ns/demo/sa/echo".into(),
        vip_ip: [127, 20, 1, 1].into(),
        vip_port: 80,
        backends: vec![backend("echo", 1, 1)],
        speaks: Speaks::Http1,
        routes: 0,
        versions: RouteVersions::default(),
        routes_folder: None,
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
        speaks: Speaks::Grpc,
        routes: 2,
        rules: vec![rule("other"), rule("client")],
        tokens: Some(("https://issuer.example/".into(), json!({ "keys": [] }))),
        collector: Some("127.0.0.1:4317".parse().unwrap()),
        ..plain()
    };
    golden("envoy-everything.json", &waypoint(&told));
}

#[test]
fn a_port_that_is_not_http() {
    let told = Told {
        speaks: Speaks::Tcp,
        ..plain()
    };
    golden("envoy-tcp.json", &waypoint(&told)["static_resources"]["listeners"][1]);
}

#[test]
fn routes_that_change_are_in_a_file() {
    let mut versions = RouteVersions::default();
    versions.rewrite(0);
    let churned = Told {
        routes: 2,
        versions,
        routes_folder: Some(PathBuf::from("/routes")),
        ..plain()
    };
    golden(
        "envoy-rds.json",
        &waypoint(&churned)["static_resources"]["listeners"][1],
    );
    golden("envoy-routes.json", &routes_file(&churned));
    let shifted = Told {
        backends: vec![backend("echo-v1", 1, 95), backend("echo-v2", 2, 5)],
        routes_folder: Some(PathBuf::from("/routes")),
        ..plain()
    };
    golden("envoy-canary-routes.json", &routes_file(&shifted));
}
