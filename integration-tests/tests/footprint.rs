//! Promise: a waypoint holds a mesh of 1,000 Services and 10,000 endpoints in the memory that the chart gives it, by files and
//! by a cluster. And the figures of `docs/scale.md`, for who wants to have them of this machine:
//!
//! ```text
//! cargo build --profile demo -p waypoint
//! WAYPOINT_BIN=target/demo/waypoint cargo test -p integration-tests --test footprint -- --ignored --nocapture --test-threads 1
//! ```

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use integration_tests::peers::http_client::get;
use integration_tests::peers::kube_api::KubeApi;
use integration_tests::peers::mesh_world::{MeshWorld, NAMESPACE, Reach};
use integration_tests::peers::waypoint_process::{Launch, Waypoint};
use serde_json::{Value, json};
use std::net::Ipv4Addr;
use std::time::Duration;

const MIB: u64 = 1 << 20;
/// `resources.limits.memory` of the charts and of `controller::Settings`.
const LIMIT_BYTES: u64 = 512 * MIB;

/// Services with their pods and EndpointSlices.
#[derive(Clone, Copy, Default)]
struct Size {
    services: u32,
    endpoints: u32,
    /// Services of a namespace that has nothing to do with the waypoint.
    elsewhere: u32,
}

fn meta(name: &str, namespace: &str, more: Value) -> Value {
    let mut meta = json!({ "name": name, "namespace": namespace, "creationTimestamp": "2026-01-01T00:00:00Z" });
    meta.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    meta
}

fn service(number: u32, namespace: &str) -> Value {
    let (name, ip) = (format!("filled-{number}"), Ipv4Addr::from(0x0a60_0000 + number));
    json!({ "apiVersion": "v1", "kind": "Service", "metadata": meta(&name, namespace, json!({ "labels": { "app": name } })),
        "spec": { "type": "ClusterIP", "clusterIP": ip, "clusterIPs": [ip], "selector": { "app": name },
            "ports": [{ "name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP" }] } })
}

fn slice(number: u32, pods: &[u32]) -> Value {
    let service = format!("filled-{number}");
    let endpoint = |pod: &u32| {
        json!({ "addresses": [address(*pod)], "conditions": { "ready": true, "serving": true, "terminating": false },
            "nodeName": "node-1", "zone": "zone-1",
            "targetRef": { "kind": "Pod", "namespace": NAMESPACE, "name": format!("filled-{pod}") } })
    };
    let endpoints: Vec<_> = pods.iter().map(endpoint).collect();
    json!({ "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": meta(&format!("{service}-abcde"), NAMESPACE, json!({ "labels": { "kubernetes.io/service-name": service } })),
        "ports": [{ "name": "http", "port": 8080, "protocol": "TCP" }], "endpoints": endpoints })
}

fn address(pod: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x0a80_0000 + pod)
}

/// As large as pods are in a cluster, but for what the waypoint does not read.
fn pod(number: u32, service: u32) -> Value {
    let (name, ip) = (format!("filled-{number}"), address(number));
    let app = format!("filled-{service}");
    json!({ "apiVersion": "v1", "kind": "Pod",
        "metadata": meta(&name, NAMESPACE, json!({
            "labels": { "app": app, "version": "v1", "pod-template-hash": "7c5ddbdf54" },
            "annotations": { "ambient.istio.io/redirection": "enabled" },
            "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("{app}-7c5ddbdf54"), "uid": "0",
                "controller": true }] })),
        "spec": { "serviceAccountName": app, "nodeName": "node-1", "containers": [{ "name": "app", "image": "x" }] },
        "status": { "phase": "Running", "podIP": ip, "podIPs": [{ "ip": ip }],
            "conditions": [{ "type": "Ready", "status": "True" }] } })
}

fn objects(size: Size) -> Vec<Value> {
    let mut objects: Vec<_> = (0..size.services).map(|n| service(n, NAMESPACE)).collect();
    objects.extend((size.services..size.services + size.elsewhere).map(|n| service(n, "elsewhere")));
    let mut pods = vec![Vec::new(); size.services as usize];
    for number in 0..size.endpoints {
        let service = number % size.services;
        pods[service as usize].push(number);
        objects.push(pod(number, service));
    }
    objects.extend((0..size.services).map(|n| slice(n, &pods[n as usize])));
    objects
}

/// A waypoint of a world of this size, ready, with one request served: by files, or by a cluster.
async fn filled(size: Size, by_cluster: bool) -> Waypoint {
    let mut world = MeshWorld::new();
    let echo = world.echo("reviews", "v1", Reach::Hbone).await;
    let objects = objects(size);
    let launch = Launch::default().arg("--workers", 1);
    let waypoint = if by_cluster {
        let api = KubeApi::start().await;
        api.load(world.config());
        objects.iter().for_each(|object| api.put(object));
        world.start_by_cluster(&api.kubeconfig(), launch).await
    } else {
        let texts: Vec<_> = objects.iter().map(Value::to_string).collect();
        // Files of a few MiB, as a folder would have.
        for (n, part) in texts.chunks(2000).enumerate() {
            world.apply(&format!("filled-{n}.yaml"), part.join("\n---\n"));
        }
        world.start_with(launch).await
    };
    assert_eq!(world.client(&waypoint).get(&echo.vip, "/").await.status, 200);
    waypoint
}

const LARGE: Size = Size {
    services: 1_000,
    endpoints: 10_000,
    elsewhere: 0,
};

#[tokio::test]
async fn a_thousand_services_and_ten_thousand_endpoints_fit() {
    for by_cluster in [false, true] {
        let waypoint = filled(LARGE, by_cluster).await;
        let samples = waypoint.scrape().await;
        assert_eq!(
            samples.sum("waypoint_config_findings_errors", &[]),
            0.0,
            "{}",
            waypoint.log()
        );
        let most = waypoint.peak_resident_bytes();
        assert!(
            most < LIMIT_BYTES,
            "{} MiB at most, by cluster: {by_cluster}",
            most / MIB
        );
    }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / MIB as f64
}

#[tokio::test]
#[ignore = "prints figures"]
async fn figures_of_memory() {
    let size = |services, endpoints, elsewhere| Size {
        services,
        endpoints,
        elsewhere,
    };
    let sizes = [
        ("one Service", size(0, 0, 0)),
        ("and 1,000 Services", size(1_000, 0, 0)),
        ("and 4,000 Services", size(4_000, 0, 0)),
        ("and 1,000 Services, 10,000 endpoints with their pods", LARGE),
        (
            "and 1,000 Services, 20,000 endpoints with their pods",
            size(1_000, 20_000, 0),
        ),
        ("and 1,000 Services of another namespace", size(0, 0, 1_000)),
        ("and 10,000 Services of another namespace", size(0, 0, 10_000)),
    ];
    println!("| MiB resident, once ready | by files | by a cluster |\n| --- | --- | --- |");
    for (name, size) in sizes {
        let mut cells = Vec::new();
        for by_cluster in [false, true] {
            // The files of a folder may have 16 MiB in all.
            if !by_cluster && size.endpoints > 10_000 {
                cells.push("-".to_owned());
                continue;
            }
            let waypoint = filled(size, by_cluster).await;
            cells.push(format!("{:.0}", mib(waypoint.resident_bytes())));
        }
        println!("| {name} | {} |", cells.join(" | "));
    }
}

/// Open connections of clients that say nothing.
#[tokio::test]
#[ignore = "prints figures"]
async fn figures_of_idle_connections() {
    let mut world = MeshWorld::new();
    let echo = world.echo("reviews", "v1", Reach::Hbone).await;
    let waypoint = world.start_with(Launch::default().arg("--workers", 1)).await;
    world.client(&waypoint).get(&echo.vip, "/").await;
    let before = waypoint.resident_bytes();
    let (mut kept, mut clients) = (Vec::new(), Vec::new());
    for _ in 0..50 {
        let client = world.client(&waypoint);
        for _ in 0..20 {
            let mut http = client.http1(&echo.vip).await;
            assert_eq!(http.get("/").await.status, 200);
            kept.push(http);
        }
        clients.push(client);
    }
    let grown = waypoint.resident_bytes() - before;
    let each = grown / kept.len() as u64 / 1024;
    println!(
        "{} keep-alive connections of 50 clients, each used once: {:.1} MiB, {each} KiB each",
        kept.len(),
        mib(grown)
    );
}

/// Requests at this pace, one after the other at their time, over 32 keep-alive connections.
async fn paced(world: &MeshWorld, waypoint: &Waypoint, per_second: u32, seconds: u32) -> Duration {
    let client = world.client(waypoint);
    let vip = world.vip("reviews");
    let mut connections = Vec::new();
    for _ in 0..32 {
        connections.push(client.http1(&vip).await);
    }
    let before = waypoint.cpu_time();
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / per_second);
    let (work, next) = tokio::sync::mpsc::channel::<()>(1024);
    let next = std::sync::Arc::new(tokio::sync::Mutex::new(next));
    let mut workers = tokio::task::JoinSet::new();
    for mut http in connections {
        let next = next.clone();
        workers.spawn(async move {
            while next.lock().await.recv().await.is_some() {
                assert_eq!(http.try_send(get("/")).await.unwrap().status, 200);
            }
        });
    }
    for _ in 0..per_second * seconds {
        ticks.tick().await;
        work.send(()).await.unwrap();
    }
    drop(work);
    while let Some(worker) = workers.join_next().await {
        worker.unwrap();
    }
    waypoint.cpu_time() - before
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints figures"]
async fn figures_of_cpu() {
    let mut world = MeshWorld::new();
    let _echo = world.echo("reviews", "v1", Reach::Hbone).await;
    let waypoint = world.start_with(Launch::default().arg("--workers", 1)).await;
    paced(&world, &waypoint, 1_000, 2).await;
    println!("| requests/s | CPU, cores | us a request |\n| --- | --- | --- |");
    for per_second in [10, 100, 1_000, 4_000] {
        let seconds = 10;
        let used = paced(&world, &waypoint, per_second, seconds).await;
        let cores = used.as_secs_f64() / f64::from(seconds);
        println!(
            "| {per_second} | {cores:.3} | {:.0} |",
            cores * 1e6 / f64::from(per_second)
        );
    }
}
