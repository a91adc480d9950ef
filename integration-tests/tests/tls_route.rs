//! Promise: TLS passes through untouched, to where the name in its ClientHello says; what shows no name that is wanted,
//! or is no ClientHello, is closed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use http::HeaderMap;
use integration_tests::peers::client_tunnel::ClientTunnel;
use integration_tests::peers::mesh_world::{MeshWorld, Pod, Vip, backend};
use integration_tests::peers::tls_backend::{TlsBackend, greet};
use integration_tests::peers::waiting::{soon, until};
use integration_tests::peers::waypoint_process::Launch;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const HOSTS: [&str; 4] = ["a.example.com", "x.y.example.com", "example.com", "other.org"];

fn tls_route(world: &MeshWorld, name: &str, hostnames: Value, backends: Value) {
    world.apply(
        &format!("route-{name}.yaml"),
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1alpha3", "kind": "TLSRoute",
            "metadata": { "name": name, "namespace": "demo" },
            "spec": {
                "parentRefs": [{ "group": "", "kind": "Service", "name": "front" }],
                "hostnames": hostnames,
                "rules": [{ "backendRefs": backends }],
            },
        }),
    );
}

/// `pod sni`, or "" when there was no handshake.
async fn who(client: &ClientTunnel, vip: &Vip, pod: &Pod<TlsBackend>, sni: &str) -> String {
    let tunnel = client.dial(&vip.authority(), HeaderMap::new()).await.unwrap();
    greet(tunnel, pod.app.roots(), sni).await.unwrap_or_default()
}

/// What comes back for these bytes before the end.
async fn answer(client: &ClientTunnel, vip: &Vip, bytes: &[u8]) -> Vec<u8> {
    let mut tunnel = client.dial(&vip.authority(), HeaderMap::new()).await.unwrap();
    // The waypoint may have closed it by now.
    let _ = tunnel.write_all(bytes).await;
    let _ = tunnel.flush().await;
    let mut got = Vec::new();
    let _ = soon("the end", tunnel.read_to_end(&mut got)).await;
    got
}

#[tokio::test]
async fn names_choose_the_backend_and_strangers_are_closed() {
    for port_name in ["tls", "https", "", "tcp"] {
        let mut world = MeshWorld::new();
        let front = world.tls("front", port_name, &HOSTS).await;
        let exact = world.tls("exact", port_name, &HOSTS).await;
        let wild = world.tls("wild", port_name, &HOSTS).await;
        tls_route(&world, "exact", json!(["a.example.com"]), json!([backend("exact", 1)]));
        tls_route(&world, "wild", json!(["*.example.com"]), json!([backend("wild", 1)]));
        let waypoint = world.start().await;
        let client = world.client(&waypoint);
        assert_eq!(
            who(&client, &front.vip, &exact, "a.example.com").await,
            "exact a.example.com"
        );
        assert_eq!(
            who(&client, &front.vip, &wild, "x.y.example.com").await,
            "wild x.y.example.com"
        );
        for stranger in ["example.com", "other.org"] {
            assert_eq!(
                who(&client, &front.vip, &front, stranger).await,
                "",
                "{port_name:?} {stranger}"
            );
        }
        let reset = |bytes| answer(&client, &front.vip, bytes);
        assert_eq!(reset(b"GET / HTTP/1.1\r\nhost: a.example.com\r\n\r\n").await, b"");
        assert_eq!(reset(b"\x16\x03\x01\x00\x05hello").await, b"");
    }
}

#[tokio::test]
async fn a_port_declared_tls_takes_tls_only_and_needs_no_route() {
    let mut world = MeshWorld::new();
    let front = world.tls("front", "tls", &HOSTS).await;
    let launch = Launch::default().env("WAYPOINT_ACCESS_LOG", "json");
    let waypoint = world.start_with(launch).await;
    let client = world.client(&waypoint);
    assert_eq!(who(&client, &front.vip, &front, "other.org").await, "front other.org");
    let line = waypoint
        .until_logged("a line with the name", |line| line.contains("other.org"))
        .await;
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["requested_server_name"], "other.org", "{line}");
    for hostile in [&b"\x16\x03\x01\xff\xff"[..], b"SSH-2.0-x\r\n", &[22; 64]] {
        assert_eq!(answer(&client, &front.vip, hostile).await, b"", "{hostile:?}");
    }
    let labels = [("reason", "client_hello")];
    until("each is a refusal", async || {
        waypoint.scrape().await.sum("waypoint_refusals_total", &labels) == 3.0
    })
    .await;
}

#[tokio::test]
async fn policies_judge_by_the_name() {
    // Even where the port is declared TCP: nobody gets around a policy by the name of a port.
    for port_name in ["tls", "tcp"] {
        let mut world = MeshWorld::new();
        let front = world.tls("front", port_name, &HOSTS).await;
        let by_sni = json!([{ "when": [{ "key": "connection.sni", "values": ["*.example.com"] }] }]);
        world.policy("names", "front", "ALLOW", by_sni.clone());
        let waypoint = world.start().await;
        let client = world.client(&waypoint);
        let (allowed, denied) = ("a.example.com", "other.org");
        assert_eq!(
            who(&client, &front.vip, &front, allowed).await,
            format!("front {allowed}"),
            "{port_name}"
        );
        assert_eq!(who(&client, &front.vip, &front, denied).await, "", "{port_name}");
        world.policy("names", "front", "DENY", by_sni);
        until("the policy has turned", async || {
            who(&client, &front.vip, &front, denied).await == format!("front {denied}")
        })
        .await;
        assert_eq!(who(&client, &front.vip, &front, allowed).await, "", "{port_name}");
    }
}
