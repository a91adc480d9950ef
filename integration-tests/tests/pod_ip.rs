//! Promise: a waypoint for workloads serves pods by their own address, by policy and without routes; one for Services
//! only what is an endpoint of theirs, and judged as theirs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use hbone::DialError;
use http::HeaderMap;
use integration_tests::peers::client_tunnel::ClientTunnel;
use integration_tests::peers::echo::Echo;
use integration_tests::peers::http_client::get;
use integration_tests::peers::mesh_world::{MeshWorld, POD_PORT, Pod, Reach, Vip, backend};
use integration_tests::peers::tcp_backend::Manner;
use integration_tests::peers::waiting::until;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const LABEL: &str = r#""istio.io/waypoint-for":"service""#;

/// Makes the world's waypoint one for these.
fn waypoint_for(world: &MeshWorld, what: &str) {
    let text = std::fs::read_to_string(world.config().join("00-mesh.yaml")).unwrap();
    assert!(text.contains(LABEL), "{text}");
    world.apply(
        "00-mesh.yaml",
        text.replace(LABEL, &format!(r#""istio.io/waypoint-for":"{what}""#)),
    );
}

fn direct<B>(pod: &Pod<B>, port: u16) -> Vip {
    Vip {
        name: pod.ip.to_string(),
        ip: pod.ip,
        port,
    }
}

/// Two pods behind one Service whose route sends everything nowhere.
async fn misrouted(world: &mut MeshWorld, reach: Reach) -> [Pod<Echo>; 2] {
    let pods = [world.echo("v1", "v1", reach).await, world.echo("v2", "v2", reach).await];
    for pod in ["v1", "v2"] {
        world.http_route(pod, pod, json!([{ "backendRefs": [backend("gone", 1)] }]));
    }
    pods
}

#[tokio::test]
async fn a_pod_is_reached_by_its_address_and_no_route_applies() {
    for reach in [Reach::Hbone, Reach::Clear] {
        let mut world = MeshWorld::new();
        waypoint_for(&world, "all");
        let pods = misrouted(&mut world, reach).await;
        let waypoint = world.start().await;
        let client = world.client(&waypoint);
        for (pod, version) in pods.iter().zip(["v1", "v2"]) {
            let target = direct(pod, POD_PORT);
            let mut connections = [client.http1(&target).await, client.http2(&target).await];
            for connection in &mut connections {
                let reply = connection.send(get("/x")).await;
                assert_eq!((reply.status.as_u16(), reply.header("x-backend")), (200, version));
                assert_eq!(reply.field("host"), target.host_port());
            }
            assert_eq!(
                client.get(&pod.vip, "/x").await.status,
                500,
                "the Service has its route"
            );
        }
    }
}

#[tokio::test]
async fn a_waypoint_for_services_serves_endpoints_and_refuses_other_ports() {
    let mut world = MeshWorld::new();
    let [pod, _] = misrouted(&mut world, Reach::Hbone).await;
    let waypoint = world.start().await;
    let client = world.client(&waypoint);
    let target = direct(&pod, POD_PORT);
    assert_eq!(
        client.get(&pod.vip, "/x").await.status,
        500,
        "the Service has its route"
    );
    assert_eq!(client.get(&target, "/x").await.status, 200, "the endpoint has none");
    for port in [80, 15008, 9081] {
        assert_eq!(refusal(&client, &direct(&pod, port)).await, Some(400), "port {port}");
    }
}

#[tokio::test]
async fn an_endpoint_is_no_way_around_an_external_authoriser() {
    let mut world = MeshWorld::new();
    let pod = world.echo("v1", "v1", Reach::Hbone).await;
    let authoriser = json!({ "protocol": "HTTP", "backendRef": { "name": "v1", "port": 80 } });
    let filter = json!({ "type": "ExternalAuth", "externalAuth": authoriser });
    world.http_route(
        "v1",
        "v1",
        json!([{ "filters": [filter], "backendRefs": [backend("v1", 1)] }]),
    );
    let waypoint = world.start().await;
    let client = world.client(&waypoint);
    assert_eq!(client.get(&pod.vip, "/x").await.status, 200, "the pod itself says yes");
    assert_eq!(refusal(&client, &direct(&pod, POD_PORT)).await, Some(400));
}

#[tokio::test]
async fn an_endpoint_is_no_way_around_the_policies_of_its_service() {
    let mut world = MeshWorld::new();
    let pod = world.echo("v1", "v1", Reach::Hbone).await;
    // By the Service's port, which the pod's address does not show.
    let rules = json!([{ "to": [{ "operation": { "paths": ["/secret"], "ports": ["80"] } }] }]);
    world.policy("deny", "v1", "DENY", rules);
    let waypoint = world.start().await;
    let client = world.client(&waypoint);
    let target = direct(&pod, POD_PORT);
    for vip in [&pod.vip, &target] {
        assert_eq!(client.get(vip, "/secret").await.status, 403, "{vip:?}");
        assert_eq!(client.get(vip, "/open").await.status, 200, "{vip:?}");
    }
    // A second Service in front of the same pod, which the policy does not name.
    world.service("twin", "http", &[pod.ip]);
    until("nobody can tell which Service is meant", async || {
        refusal(&client, &target).await == Some(400)
    })
    .await;
    assert_eq!(client.get(&pod.vip, "/open").await.status, 200);
}

/// The status that a CONNECT was refused with.
async fn refusal(client: &ClientTunnel, target: &Vip) -> Option<u16> {
    match client.dial(&target.authority(), HeaderMap::new()).await {
        Err(DialError::Refused { status, .. }) => Some(status),
        _ => None,
    }
}

#[tokio::test]
async fn policies_of_the_gateway_hold_for_pods() {
    let mut world = MeshWorld::new();
    waypoint_for(&world, "workload");
    let pod = world.echo("v1", "v1", Reach::Clear).await;
    world.apply(
        "deny.yaml",
        json!({
            "apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
            "metadata": { "name": "deny", "namespace": "demo" },
            "spec": {
                "targetRefs": [{ "group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "waypoint" }],
                "action": "DENY",
                "rules": [{ "to": [{ "operation": { "paths": ["/secret"], "ports": [POD_PORT.to_string()] } }] }],
            },
        }),
    );
    let waypoint = world.start().await;
    let client = world.client(&waypoint);
    let target = direct(&pod, POD_PORT);
    assert_eq!(client.get(&target, "/secret").await.status, 403);
    assert_eq!(client.get(&target, "/open").await.status, 200);
    let by_service = client.dial(&pod.vip.authority(), HeaderMap::new()).await;
    assert!(by_service.is_err(), "this waypoint is not for Services");
}

/// A database, a debugger, a metrics port: what no Service tells of is told by its first bytes.
#[tokio::test]
async fn a_port_that_nobody_declared_is_carried() {
    let mut world = MeshWorld::new();
    waypoint_for(&world, "all");
    let pod = world.tcp("db", "", Manner::Echo, Reach::Clear).await;
    let web = world.echo("v1", "v1", Reach::Clear).await;
    let undeclared = Echo::start(web.ip, 9999, "v1", "undeclared").await;
    let waypoint = world.start().await;
    let client = world.client(&waypoint);
    let mut raw = client.raw(&direct(&pod, POD_PORT)).await;
    raw.write_all(b"\x00\x01ping").await.unwrap();
    raw.flush().await.unwrap();
    let mut back = [0; 6];
    raw.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"\x00\x01ping");
    let reply = client.get(&direct(&web, 9999), "/x").await;
    assert_eq!((reply.status.as_u16(), reply.header("x-backend")), (200, "undeclared"));
    assert_eq!(undeclared.counts().requests, 1);
}

#[tokio::test]
async fn relabelling_the_waypoint_takes_effect_in_open_tunnels() {
    let mut world = MeshWorld::new();
    waypoint_for(&world, "all");
    let pod = world.echo("v1", "v1", Reach::Clear).await;
    let waypoint = world.start().await;
    let undeclared = Echo::start(pod.ip, 9999, "v1", "v1").await;
    let mut open = world.client(&waypoint).http1(&direct(&pod, 9999)).await;
    assert_eq!(open.get("/x").await.status, 200);
    let text = std::fs::read_to_string(world.config().join("00-mesh.yaml")).unwrap();
    world.apply("00-mesh.yaml", text.replace(r#""istio.io/waypoint-for":"all""#, LABEL));
    until("the pod is not ours any more", async || {
        open.get("/x").await.status == 404
    })
    .await;
    drop(undeclared);
}
