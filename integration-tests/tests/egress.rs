//! Promise: ServiceEntries are served like Services, and nothing beside them: never an open proxy.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use http::HeaderMap;
use integration_tests::peers::client_tunnel::ClientTunnel;
use integration_tests::peers::dns_server::DnsServer;
use integration_tests::peers::echo::Echo;
use integration_tests::peers::http_client::{HttpClient, Reply, get};
use integration_tests::peers::mesh_world::{MeshWorld, NAMESPACE, POD_PORT};
use integration_tests::peers::tls_backend::{TlsBackend, greet};
use integration_tests::peers::tls_server::{PublicCa, TlsServer};
use integration_tests::peers::waiting::{soon, until};
use integration_tests::peers::waypoint_process::Launch;
use serde_json::{Value, json};

/// A ServiceEntry of this world: `ports` and whatever else its spec says.
fn entry(world: &MeshWorld, name: &str, spec: Value) {
    let object = json!({
        "apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry",
        "metadata": { "name": name, "namespace": NAMESPACE }, "spec": spec,
    });
    world.apply(&format!("serviceentry-{name}.yaml"), object);
}

fn http_port() -> Value {
    json!([{ "number": 80, "name": "http", "protocol": "HTTP", "targetPort": POD_PORT }])
}

/// A waypoint that asks this server, and believes it.
fn asking(dns: &DnsServer) -> Launch {
    let launch = Launch::default().arg("--dns", dns.address());
    launch.arg("--dns-loopback", "allow")
}

/// A GET in a tunnel to this authority, `Err` when CONNECT is refused.
async fn ask(client: &ClientTunnel, authority: &str, host: &str, path: &str) -> Result<Reply, String> {
    let tunnel = client.dial(authority, HeaderMap::new()).await;
    let tunnel = tunnel.map_err(|error| error.to_string())?;
    let mut http = HttpClient::http1(tunnel, host).await.unwrap();
    Ok(soon(&format!("GET {path}"), http.send(get(path))).await)
}

#[tokio::test]
async fn a_static_entry_is_reached_by_address_and_by_host_and_nothing_beside_it_is() {
    let world = MeshWorld::new();
    let (ip, vip) = (world.subnet().pod(200), world.subnet().vip(200));
    let _ext = Echo::start(ip, POD_PORT, "ext", "v1").await;
    entry(
        &world,
        "ext",
        json!({ "hosts": ["api.example.com"], "addresses": [vip], "ports": http_port(),
            "resolution": "STATIC", "endpoints": [{ "address": ip }] }),
    );
    let waypoint = world.start().await;
    let client = world.client(&waypoint);
    for authority in [format!("{vip}:80"), "api.example.com:80".to_owned()] {
        let reply = ask(&client, &authority, "api.example.com", "/x").await.unwrap();
        assert_eq!(
            (reply.status.as_u16(), reply.header("x-backend")),
            (200, "v1"),
            "{authority}"
        );
    }
    for authority in [
        "other.example.com:80",
        "api.example.com:81",
        "example.com:80",
        &format!("{ip}:{POD_PORT}"),
    ] {
        let refused = ask(&client, authority, "api.example.com", "/x").await.unwrap_err();
        assert!(refused.contains("400"), "{authority}: {refused}");
    }
}

#[tokio::test]
async fn policies_and_routes_of_a_service_entry_are_in_force() {
    let mut world = MeshWorld::new();
    let (ip, vip) = (world.subnet().pod(200), world.subnet().vip(200));
    let ext = Echo::start(ip, POD_PORT, "ext", "v1").await;
    let web = world
        .echo("web", "v2", integration_tests::peers::mesh_world::Reach::Clear)
        .await;
    entry(
        &world,
        "ext",
        json!({ "hosts": ["api.example.com"], "addresses": [vip], "ports": http_port(),
            "resolution": "STATIC", "endpoints": [{ "address": ip }] }),
    );
    let target = json!({ "group": "networking.istio.io", "kind": "ServiceEntry", "name": "ext" });
    world.apply(
        "policy.yaml",
        json!({ "apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
            "metadata": { "name": "no-admin", "namespace": NAMESPACE },
            "spec": { "action": "DENY", "targetRefs": [target],
                "rules": [{ "to": [{ "operation": { "paths": ["/admin*"] } }] }] } }),
    );
    world.apply(
        "route.yaml",
        json!({ "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": { "name": "ext", "namespace": NAMESPACE },
            "spec": { "parentRefs": [target], "rules": [
                { "matches": [{ "path": { "value": "/web" } }], "backendRefs": [{ "name": "web", "port": 80 }] },
                { "backendRefs": [{ "group": "networking.istio.io", "kind": "Hostname", "name": "api.example.com", "port": 80 }] },
            ] } }),
    );
    let waypoint = world.start().await;
    let client = world.client(&waypoint);
    let vip = format!("{vip}:80");
    for (path, status, backend) in [("/x", 200, "v1"), ("/web", 200, "v2"), ("/admin", 403, "")] {
        let reply = ask(&client, &vip, "api.example.com", path).await.unwrap();
        assert_eq!(reply.status.as_u16(), status, "{path}: {reply:?}");
        if !backend.is_empty() {
            assert_eq!(reply.header("x-backend"), backend, "{path}");
        }
    }
    assert_eq!((ext.counts().requests, web.app.counts().requests), (1, 1));
    // Not exported to the client's namespace any more: as if it were not there.
    entry(
        &world,
        "ext",
        json!({ "hosts": ["api.example.com"], "addresses": [world.subnet().vip(200)], "ports": http_port(),
            "exportTo": ["elsewhere"], "resolution": "STATIC", "endpoints": [{ "address": ip }] }),
    );
    until("CONNECT is refused", async || {
        ask(&client, &vip, "api.example.com", "/x").await.is_err()
    })
    .await;
}

#[tokio::test]
async fn names_are_followed_and_the_last_answer_outlives_the_resolver() {
    let world = MeshWorld::new();
    let [first, second] = [200, 201].map(|n| world.subnet().pod(n));
    let _v1 = Echo::start(first, POD_PORT, "ext", "v1").await;
    let _v2 = Echo::start(second, POD_PORT, "ext", "v2").await;
    let dns = DnsServer::start().await;
    dns.set("api.example.com", &[first]);
    entry(
        &world,
        "ext",
        json!({ "hosts": ["api.example.com"], "ports": http_port(), "resolution": "DNS" }),
    );
    entry(
        &world,
        "nobody",
        json!({ "hosts": ["nobody.example.com"], "ports": http_port(), "resolution": "DNS" }),
    );
    let waypoint = world.start_with(asking(&dns)).await;
    let client = world.client(&waypoint);
    let backend = async || {
        let reply = ask(&client, "api.example.com:80", "api.example.com", "/x")
            .await
            .unwrap();
        assert_eq!(reply.status.as_u16(), 200, "{reply:?}");
        reply.header("x-backend").to_owned()
    };
    assert_eq!(backend().await, "v1");
    dns.set("api.example.com", &[second]);
    until("the new address is used", async || backend().await == "v2").await;
    dns.fail(true);
    let asked = dns.asked("api.example.com");
    until("lookups have failed", async || dns.asked("api.example.com") > asked + 1).await;
    assert_eq!(backend().await, "v2");
    let metrics = waypoint.scrape().await;
    assert!(metrics.sum("waypoint_dns_lookups_total", &[("result", "ok")]) >= 2.0);
    let reply = ask(&client, "nobody.example.com:80", "nobody.example.com", "/x")
        .await
        .unwrap();
    assert_eq!((reply.status.as_u16(), reply.text()), (503, "DNS resolution failure"));
}

#[tokio::test]
async fn below_a_wildcard_the_host_decides_and_only_names_below_it_do() {
    let world = MeshWorld::new();
    let [first, second, third] = [200, 201, 202].map(|n| world.subnet().pod(n));
    let _a = Echo::start(first, POD_PORT, "a", "a").await;
    let _b = Echo::start(second, POD_PORT, "b", "b").await;
    let other = Echo::start(third, POD_PORT, "other", "other").await;
    let dns = DnsServer::start().await;
    dns.set("a.example.com", &[first]);
    dns.set("b.example.com", &[second]);
    dns.set("other.example.org", &[third]);
    let vip = world.subnet().vip(200);
    entry(
        &world,
        "wild",
        json!({ "hosts": ["*.example.com"], "addresses": [vip], "ports": http_port(), "resolution": "DYNAMIC_DNS" }),
    );
    let waypoint = world.start_with(asking(&dns)).await;
    let client = world.client(&waypoint);
    for authority in [format!("{vip}:80"), "a.example.com:80".to_owned()] {
        for (host, status, backend) in [
            ("a.example.com", 200, "a"),
            ("B.example.com:80", 200, "b"),
            ("c.example.com", 503, ""),
            ("other.example.org", 404, ""),
            ("example.com", 404, ""),
            (&third.to_string(), 404, ""),
        ] {
            let reply = ask(&client, &authority, host, "/x").await.unwrap();
            assert_eq!(reply.status.as_u16(), status, "{authority} {host}: {reply:?}");
            if !backend.is_empty() {
                assert_eq!(reply.header("x-backend"), backend, "{authority} {host}");
            }
        }
    }
    assert!(
        ask(&client, "other.example.org:80", "a.example.com", "/x")
            .await
            .is_err()
    );
    assert_eq!((other.counts().connections, dns.asked("other.example.org")), (0, 0));
}

/// An object in the world's namespace.
fn put(world: &MeshWorld, api_version: &str, kind: &str, name: &str, more: Value) {
    let mut object = json!({ "apiVersion": api_version, "kind": kind,
        "metadata": { "name": name, "namespace": NAMESPACE } });
    object
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    world.apply(&format!("{}-{name}.yaml", kind.to_lowercase()), object);
}

fn backend_tls(world: &MeshWorld, target: &str, hostname: &str) {
    put(
        world,
        "gateway.networking.k8s.io/v1",
        "BackendTLSPolicy",
        target,
        json!({ "spec": {
            "targetRefs": [{ "group": "networking.istio.io", "kind": "ServiceEntry", "name": target }],
            "validation": { "hostname": hostname,
                "caCertificateRefs": [{ "group": "", "kind": "ConfigMap", "name": "ca" }] } } }),
    );
}

#[tokio::test]
async fn tls_is_originated_and_the_server_must_be_who_it_should_be() {
    let world = MeshWorld::new();
    let ca = PublicCa::new();
    let echo = Echo::start(world.subnet().pod(200), 9443, "ext", "v1").await;
    let ip = world.subnet().pod(201);
    let server = TlsServer::start((ip, POD_PORT), &ca, &["api.example.com"], None, echo.address()).await;
    put(
        &world,
        "v1",
        "ConfigMap",
        "ca",
        json!({ "data": { "ca.crt": ca.pem() } }),
    );
    for (name, protocol) in [
        ("right", "HTTP"),
        ("h2", "HTTP2"),
        ("wrong", "HTTP"),
        ("unknown", "HTTP"),
    ] {
        entry(
            &world,
            name,
            json!({ "hosts": [format!("{name}.example.com")], "resolution": "STATIC", "endpoints": [{ "address": ip }],
                "ports": [{ "number": 80, "name": "web", "protocol": protocol, "targetPort": POD_PORT }] }),
        );
    }
    backend_tls(&world, "right", "api.example.com");
    backend_tls(&world, "h2", "api.example.com");
    backend_tls(&world, "wrong", "other.example.com");
    backend_tls(&world, "unknown", "api.example.com");
    let missing = std::fs::read_to_string(world.config().join("backendtlspolicy-unknown.yaml")).unwrap();
    world.apply("backendtlspolicy-unknown.yaml", missing.replace("\"ca\"", "\"nobody\""));
    let waypoint = world.start_with(Launch::default().access_log()).await;
    let client = world.client(&waypoint);
    for (name, status) in [("right", 200), ("h2", 200), ("wrong", 503), ("unknown", 503)] {
        let host = format!("{name}.example.com");
        let reply = ask(&client, &format!("{host}:80"), &host, &format!("/{name}"))
            .await
            .unwrap();
        assert_eq!(reply.status.as_u16(), status, "{name}: {reply:?}");
    }
    assert_eq!(server.names(), ["api.example.com"; 2]);
    assert_eq!(
        echo.counts().requests,
        2,
        "nothing was sent to whoever is not who it should be"
    );
    assert_eq!(waypoint.logged_field("/wrong", "response_flags").await, "UF");
    assert_eq!(waypoint.logged_field("/unknown", "response_flags").await, "UH");
    let errors = waypoint.scrape().await.sum("waypoint_config_findings_errors", &[]);
    assert!(errors >= 1.0, "the authority that is not there is told");
}

#[tokio::test]
async fn mutual_tls_by_a_destination_rule_and_pools_apart() {
    let world = MeshWorld::new();
    let (ca, clients) = (PublicCa::new(), PublicCa::new());
    let echo = Echo::start(world.subnet().pod(200), 9443, "ext", "v1").await;
    let ip = world.subnet().pod(201);
    let server = TlsServer::start((ip, POD_PORT), &ca, &["*.example.com"], Some(&clients), echo.address()).await;
    let (chain, key) = clients.issue(&["waypoint.example.com"]);
    put(
        &world,
        "v1",
        "Secret",
        "partner",
        json!({ "stringData": { "ca.crt": ca.pem(), "tls.crt": chain, "tls.key": key } }),
    );
    for (name, mode) in [("mutual", "MUTUAL"), ("simple", "SIMPLE")] {
        let host = format!("{name}.example.com");
        entry(
            &world,
            name,
            json!({ "hosts": [host], "ports": http_port(), "resolution": "STATIC", "endpoints": [{ "address": ip }] }),
        );
        put(
            &world,
            "networking.istio.io/v1",
            "DestinationRule",
            name,
            json!({ "spec": { "host": host,
                "trafficPolicy": { "tls": { "mode": mode, "credentialName": "partner" } } } }),
        );
    }
    let waypoint = world.start().await;
    let client = world.client(&waypoint);
    // The same address: a connection that the one has opened is not the other's.
    for _ in 0..2 {
        for (name, status) in [("mutual", 200), ("simple", 503)] {
            let host = format!("{name}.example.com");
            let reply = ask(&client, &format!("{host}:80"), &host, "/x").await.unwrap();
            assert_eq!(reply.status.as_u16(), status, "{name}: {reply:?}");
        }
    }
    assert_eq!(echo.counts().requests, 2);
    assert!(
        server.names().iter().all(|name| name == "mutual.example.com"),
        "{:?}",
        server.names()
    );
}

#[tokio::test]
async fn below_a_wildcard_tls_asks_for_the_host() {
    let world = MeshWorld::new();
    let ca = PublicCa::new();
    let echo = Echo::start(world.subnet().pod(200), 9443, "ext", "v1").await;
    let ip = world.subnet().pod(201);
    let server = TlsServer::start((ip, POD_PORT), &ca, &["a.example.com"], None, echo.address()).await;
    let dns = DnsServer::start().await;
    dns.set("a.example.com", &[ip]);
    dns.set("b.example.com", &[ip]);
    put(
        &world,
        "v1",
        "Secret",
        "ca",
        json!({ "stringData": { "ca.crt": ca.pem() } }),
    );
    entry(
        &world,
        "wild",
        json!({ "hosts": ["*.example.com"], "ports": http_port(), "resolution": "DYNAMIC_DNS" }),
    );
    put(
        &world,
        "networking.istio.io/v1",
        "DestinationRule",
        "wild",
        json!({ "spec": { "host": "*.example.com",
            "trafficPolicy": { "tls": { "mode": "SIMPLE", "credentialName": "ca" } } } }),
    );
    let waypoint = world.start_with(asking(&dns)).await;
    let client = world.client(&waypoint);
    for (host, status) in [("a.example.com", 200), ("b.example.com", 503)] {
        let reply = ask(&client, "a.example.com:80", host, "/x").await.unwrap();
        assert_eq!(reply.status.as_u16(), status, "{host}: {reply:?}");
    }
    assert_eq!(server.names(), ["a.example.com"]);
}

#[tokio::test]
async fn below_a_wildcard_of_a_tls_port_the_name_in_the_client_hello_decides() {
    let world = MeshWorld::new();
    let [first, second, third] = [200, 201, 202].map(|n| world.subnet().pod(n));
    let hosts = ["a.example.com", "b.example.com", "c.example.com", "other.example.org"];
    let a = TlsBackend::start(first, POD_PORT, "a", &hosts).await;
    let b = TlsBackend::start(second, POD_PORT, "b", &hosts).await;
    let other = TlsBackend::start(third, POD_PORT, "other", &hosts).await;
    let dns = DnsServer::start().await;
    dns.set("a.example.com", &[first]);
    dns.set("b.example.com", &[second]);
    dns.set("other.example.org", &[third]);
    let vip = world.subnet().vip(200);
    let ports = json!([{ "number": 443, "name": "tls", "protocol": "TLS", "targetPort": POD_PORT }]);
    entry(
        &world,
        "wild",
        json!({ "hosts": ["*.example.com"], "addresses": [vip], "ports": ports, "resolution": "DYNAMIC_DNS" }),
    );
    let waypoint = world.start_with(asking(&dns)).await;
    let client = world.client(&waypoint);
    for authority in [format!("{vip}:443"), "a.example.com:443".to_owned()] {
        for (sni, server, wanted) in [
            ("a.example.com", &a, "a a.example.com"),
            ("b.example.com", &b, "b b.example.com"),
            // Nobody knows the one; the other is not below the wildcard.
            ("c.example.com", &a, ""),
            ("other.example.org", &other, ""),
        ] {
            let tunnel = client.dial(&authority, HeaderMap::new()).await.unwrap();
            let greeting = greet(tunnel, server.roots(), sni).await.unwrap_or_default();
            assert_eq!(greeting, wanted, "{sni} by {authority}");
        }
    }
    assert_eq!(dns.asked("other.example.org"), 0);
}
