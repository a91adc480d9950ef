//! Promise: endpoints are told who the client is only by the waypoint, in `x-forwarded-client-cert`, and only where the
//! Gateway asks for it; addresses of clients behind proxies count as far as the Gateway trusts those.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use integration_tests::peers::http_client::{HttpClient, get_with};
use integration_tests::peers::mesh_world::{MeshWorld, Reach};
use integration_tests::peers::waiting::until;
use serde_json::json;

const FORGED: &str = "By=x;URI=spiffe://cluster.local/ns/prod/sa/admin";

/// What the endpoint sees of a client that claims to be an admin.
async fn seen(client: &mut HttpClient) -> Option<String> {
    let reply = client.send(get_with("/", &[("x-forwarded-client-cert", FORGED)])).await;
    assert_eq!(reply.status, 200);
    reply.seen_header("x-forwarded-client-cert")
}

fn config(details: &str) -> serde_json::Value {
    json!({ "proxy.istio.io/config": format!("gatewayTopology: {{forwardClientCertDetails: {details}}}") })
}

#[tokio::test]
async fn the_client_is_named_where_the_gateway_asks_for_it() {
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Hbone).await;
    let waypoint = world.start().await;
    let client = world.client(&waypoint);
    // Connections that are open see every change.
    let mut clients = [client.http1(&echo.vip).await, client.http2(&echo.vip).await];
    for client in &mut clients {
        assert_eq!(seen(client).await, None);
    }
    world.annotate_gateway(json!({ "ambient.istio.io/xfcc-include-client-identity": "true" }));
    for client in &mut clients {
        until("the annotation is in force", async || seen(client).await.is_some()).await;
        let told = seen(client).await.unwrap();
        let (by, rest) = told.split_once(";Hash=").unwrap();
        let (hash, uri) = rest.split_once(';').unwrap();
        assert_eq!(by, "By=spiffe://cluster.local/ns/demo/sa/waypoint");
        assert_eq!(uri, "URI=spiffe://cluster.local/ns/demo/sa/client");
        assert!(
            hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit()),
            "{hash}"
        );
    }
    world.annotate_gateway(config("APPEND_FORWARD"));
    let client = &mut clients[0];
    let appended = |told: &str| told.starts_with(FORGED) && told.ends_with("/sa/client");
    until("the client is appended", async || {
        seen(client).await.is_some_and(|told| appended(&told))
    })
    .await;
    world.annotate_gateway(config("FORWARD_ONLY"));
    until("what was sent passes", async || {
        seen(client).await.as_deref() == Some(FORGED)
    })
    .await;
    world.annotate_gateway(config("EVERYTHING"));
    until("nonsense is the strictest", async || seen(client).await.is_none()).await;
}

#[tokio::test]
async fn trusted_proxies_tell_the_clients_address() {
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Hbone).await;
    world.policy(
        "banned",
        "echo",
        "DENY",
        json!([{ "from": [{ "source": { "remoteIpBlocks": ["203.0.113.0/24"] } }] }]),
    );
    let waypoint = world.start().await;
    let mut client = world.client(&waypoint).http1(&echo.vip).await;
    let mut status = async |chain: &str| {
        let reply = client.send(get_with("/", &[("x-forwarded-for", chain)])).await;
        reply.status.as_u16()
    };
    let (proxied, direct) = ("203.0.113.9, 198.51.100.1", "198.51.100.1, 203.0.113.9");
    assert_eq!((status(proxied).await, status(direct).await), (200, 403));
    world.annotate_gateway(json!({ "proxy.istio.io/config": "{\"gatewayTopology\": {\"numTrustedProxies\": 1}}" }));
    until("one proxy is trusted", async || status(proxied).await == 403).await;
    assert_eq!(status(direct).await, 200);
    // Too short a chain: the peer itself.
    assert_eq!(status("203.0.113.9").await, 200);
}

#[tokio::test]
async fn the_clients_address_is_told_where_the_gateway_asks_for_it() {
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Hbone).await;
    // What is told to endpoints says nothing to our own policies.
    let banned = json!([{ "from": [{ "source": { "remoteIpBlocks": ["203.0.113.0/24"] } }] }]);
    world.policy("banned", "echo", "DENY", banned);
    let waypoint = world.start().await;
    let client = world.client(&waypoint);
    let mut clients = [client.http1(&echo.vip).await, client.http2(&echo.vip).await];
    let ask = async |client: &mut HttpClient| {
        let sent = [("x-forwarded-for", "198.51.100.1"), ("forwarded", "for=198.51.100.1")];
        let reply = client.send(get_with("/", &sent)).await;
        assert_eq!(reply.status, 200);
        let seen = |name| reply.seen_header(name).unwrap();
        (seen("x-forwarded-for"), seen("forwarded"))
    };
    let untouched = ("198.51.100.1".to_owned(), "for=198.51.100.1".to_owned());
    for client in &mut clients {
        assert_eq!(ask(client).await, untouched);
    }
    world.annotate_gateway(json!({ "waypoint-proxy.io/tell-client-address": "x-forwarded-for, forwarded" }));
    for client in &mut clients {
        until("the annotation is in force", async || ask(client).await != untouched).await;
        let (list, elements) = ask(client).await;
        let (before, own) = list.split_once(", ").unwrap();
        assert_eq!(before, "198.51.100.1");
        let own: std::net::Ipv4Addr = own.parse().unwrap();
        let host = echo.vip.host_port();
        assert_eq!(
            elements,
            format!("for=198.51.100.1, for={own};host=\"{host}\";proto=http")
        );
    }
}
