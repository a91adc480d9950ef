//! Promise: a route on the waypoint's Gateway shapes every Service that uses it and has no route of its own; what it
//! refers to in another namespace takes a ReferenceGrant.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use integration_tests::peers::http_client::get_with;
use integration_tests::peers::mesh_world::{MeshWorld, POD_PORT, Reach, backend};
use integration_tests::peers::waiting::until;
use serde_json::{Value, json};

fn on_gateway(world: &MeshWorld, rules: Value) {
    world.apply(
        "route-general.yaml",
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": { "name": "general", "namespace": "demo" },
            "spec": {
                "parentRefs": [{ "group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "waypoint" }],
                "rules": rules,
            },
        }),
    );
}

#[tokio::test]
async fn every_service_has_it_until_it_has_its_own() {
    let mut world = MeshWorld::new();
    let a = world.echo("a", "a", Reach::Hbone).await;
    let b = world.echo("b", "b", Reach::Hbone).await;
    on_gateway(
        &world,
        json!([
            { "matches": [{ "path": { "value": "/shared" } }], "backendRefs": [backend("b", 1)] },
            { "backendRefs": [backend("a", 1)] },
        ]),
    );
    let waypoint = world.start().await;
    let client = world.client(&waypoint);
    for vip in [&a.vip, &b.vip] {
        assert_eq!(client.get(vip, "/shared").await.header("x-backend"), "b");
        assert_eq!(client.get(vip, "/other").await.header("x-backend"), "a");
    }
    world.http_route(
        "own",
        "b",
        json!([{ "matches": [{ "path": { "value": "/own" } }], "backendRefs": [backend("b", 1)] }]),
    );
    until("b's own route replaces the Gateway's", async || {
        client.get(&b.vip, "/shared").await.status == 404
    })
    .await;
    assert_eq!(client.get(&b.vip, "/own").await.header("x-backend"), "b");
    assert_eq!(client.get(&a.vip, "/shared").await.header("x-backend"), "b");
    world.remove("route-own.yaml");
    until("the Gateway's is back", async || {
        client.get(&b.vip, "/shared").await.status == 200
    })
    .await;
}

#[tokio::test]
async fn another_namespace_must_grant_it() {
    let mut world = MeshWorld::new();
    let a = world.echo("a", "a", Reach::Clear).await;
    let (ip, vip) = (a.ip, world.subnet().vip(99));
    let labels = json!({ "kubernetes.io/service-name": "store" });
    world.apply(
        "far.yaml",
        [
            json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "store", "namespace": "far" },
            "spec": { "clusterIP": vip, "ports": [{ "name": "http", "port": 80, "targetPort": POD_PORT }] } }),
            json!({ "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": { "name": "store-1", "namespace": "far", "labels": labels },
            "ports": [{ "name": "http", "port": POD_PORT }],
            "endpoints": [{ "addresses": [ip], "conditions": { "ready": true } }] }),
        ]
        .map(|object| object.to_string())
        .join("\n---\n"),
    );
    on_gateway(
        &world,
        json!([{ "backendRefs": [{ "name": "store", "namespace": "far", "port": 80 }] }]),
    );
    let waypoint = world.start().await;
    let client = world.client(&waypoint);
    assert_eq!(client.get(&a.vip, "/x").await.status, 500);
    world.apply(
        "grant.yaml",
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1beta1", "kind": "ReferenceGrant",
            "metadata": { "name": "shop", "namespace": "far" },
            "spec": {
                "from": [{ "group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "demo" }],
                "to": [{ "group": "", "kind": "Service", "name": "store" }],
            },
        }),
    );
    until("the grant is in force", async || {
        client.get(&a.vip, "/x").await.status == 200
    })
    .await;
    world.remove("grant.yaml");
    until("it is taken back", async || {
        client.get(&a.vip, "/x").await.status == 500
    })
    .await;
}

#[tokio::test]
async fn hostnames_choose_by_the_host_of_the_request() {
    let mut world = MeshWorld::new();
    let a = world.echo("a", "a", Reach::Hbone).await;
    let b = world.echo("b", "b", Reach::Hbone).await;
    let route = |name: &str, hostnames: Value, to: &str| {
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": { "name": name, "namespace": "demo" },
            "spec": {
                "parentRefs": [{ "group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "waypoint" }],
                "hostnames": hostnames,
                "rules": [{ "backendRefs": [backend(to, 1)] }],
            },
        })
    };
    world.apply("route-wild.yaml", route("wild", json!(["*.example.com"]), "a"));
    world.apply(
        "route-exact.yaml",
        route("exact", json!(["b.example.com", "other.org"]), "b"),
    );
    let waypoint = world.start().await;
    let client = world.client(&waypoint);
    for vip in [&a.vip, &b.vip] {
        let mut http = client.http1(vip).await;
        for (host, wanted) in [
            ("a.example.com", "a"),
            ("x.y.example.com:8080", "a"),
            ("B.example.com", "b"),
            ("other.org", "b"),
            ("example.com", ""),
            ("elsewhere", ""),
        ] {
            let reply = http.send(get_with("/x", &[("host", host)])).await;
            let status = if wanted.is_empty() { 404 } else { 200 };
            assert_eq!(reply.status.as_u16(), status, "{host}: {reply:?}");
            assert_eq!(reply.header("x-backend"), wanted, "{host}");
        }
    }
}
