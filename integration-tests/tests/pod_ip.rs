//! Promise: a waypoint for workloads serves pods by their own address, by policy and without routes; any other refuses
//! such tunnels.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use hbone::DialError;
use http::HeaderMap;
use integration_tests::peers::echo::Echo;
use integration_tests::peers::http_client::get;
use integration_tests::peers::mesh_world::{MeshWorld, POD_PORT, Pod, Reach, Vip, backend};
use integration_tests::peers::tcp_backend::Manner;
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
async fn a_waypoint_for_services_refuses_pods() {
    let mut world = MeshWorld::new();
    let [pod, _] = misrouted(&mut world, Reach::Clear).await;
    let waypoint = world.start().await;
    let client = world.client(&waypoint);
    for port in [POD_PORT, 80, 15008] {
        let refused = client.dial(&direct(&pod, port).authority(), HeaderMap::new()).await;
        let is_400 = matches!(&refused, Err(DialError::Refused { status: 400, .. }));
        assert!(is_400, "port {port}: {:?}", refused.err());
    }
    assert_eq!(pod.app.counts().requests, 0);
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
    let mut open = world.client(&waypoint).http1(&direct(&pod, POD_PORT)).await;
    assert_eq!(open.get("/x").await.status, 200);
    let text = std::fs::read_to_string(world.config().join("00-mesh.yaml")).unwrap();
    world.apply("00-mesh.yaml", text.replace(r#""istio.io/waypoint-for":"all""#, LABEL));
    integration_tests::peers::waiting::until("the pod is not ours any more", async || {
        open.get("/x").await.status == 404
    })
    .await;
}
