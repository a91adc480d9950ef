//! Promise: Services and workloads may come from istiod, with routes and policies from wherever the config is. It is ready
//! when istiod has told all, follows every change, outlives istiod, and believes nothing that makes no sense.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use integration_tests::peers::destination_tunnel::{DestinationTunnel, HBONE_PORT};
use integration_tests::peers::echo::Echo;
use integration_tests::peers::istiod_xds::messages::{
    ADDRESS, Any, DeltaResponse, GatewayAddress, GatewayPlace, NetworkAddress, Resource, Service, Workload,
};
use integration_tests::peers::istiod_xds::{IstiodXds, resource};
use integration_tests::peers::kube_api::KubeApi;
use integration_tests::peers::load::Load;
use integration_tests::peers::mesh_world::{MeshWorld, NAMESPACE, POD_PORT, Pod, Reach, SERVICE_PORT, Vip};
use integration_tests::peers::network_gateway::NetworkGateway;
use integration_tests::peers::waiting::until;
use integration_tests::peers::waypoint_process::Waypoint;
use serde_json::json;

/// A pod of which no manifest tells.
async fn untold(world: &mut MeshWorld, name: &str, version: &str, reach: Reach) -> Pod<Echo> {
    let pod = world.echo(name, version, reach).await;
    for kind in ["pod", "service", "endpointslice"] {
        world.remove(&format!("{kind}-{name}.yaml"));
    }
    pod
}

fn service(vip: &Vip) -> Service {
    Service::new(NAMESPACE, &vip.name, vip.ip, (SERVICE_PORT, POD_PORT))
}

fn workload(pod: &Pod<Echo>, service: &Service) -> Workload {
    Workload::new(NAMESPACE, &pod.vip.name, pod.ip, pod.tunnel.is_some(), service)
}

/// Tells a pod and its Service.
fn tell(istiod: &IstiodXds, pod: &Pod<Echo>) -> (Service, Workload) {
    let service = service(&pod.vip);
    let workload = workload(pod, &service);
    istiod.service(&service);
    istiod.workload(&workload);
    (service, workload)
}

async fn until_version(world: &MeshWorld, waypoint: &Waypoint, vip: &Vip, version: &str) {
    let client = world.client(waypoint);
    until("requests go to the other version", async || {
        client.get(vip, "/").await.header("x-backend") == version
    })
    .await;
}

#[tokio::test]
async fn traffic_flows_to_what_istiod_tells() {
    let mut world = MeshWorld::new();
    let meshed = untold(&mut world, "meshed", "v1", Reach::Hbone).await;
    let plain = untold(&mut world, "plain", "v1", Reach::Clear).await;
    world.http_route(
        "split",
        "meshed",
        json!([{ "matches": [{ "path": { "value": "/" } }],
        "filters": [{ "type": "RequestHeaderModifier", "requestHeaderModifier": {
            "set": [{ "name": "x-routed", "value": "yes" }] } }],
        "backendRefs": [{ "name": "meshed", "port": SERVICE_PORT }] }]),
    );
    let rules = json!([{ "to": [{ "operation": { "paths": ["/admin"] } }] }]);
    world.policy("no-admin", "meshed", "DENY", rules);
    let istiod = IstiodXds::start().await;
    tell(&istiod, &meshed);
    tell(&istiod, &plain);
    let launch = istiod
        .launch()
        .env("POD_NAME", "waypoint-1")
        .env("ISTIO_META_CLUSTER_ID", "one");
    let waypoint = world.start_with(launch).await;
    let client = world.client(&waypoint);
    for vip in [&meshed.vip, &plain.vip] {
        let reply = client.get(vip, "/").await;
        assert_eq!((reply.status.as_u16(), reply.header("x-backend")), (200, "v1"));
    }
    assert_eq!(client.get(&meshed.vip, "/admin").await.status, 403);
    let tunnel = meshed.tunnel.as_ref().unwrap();
    assert!(
        tunnel.tunnels() > 0 && tunnel.refusals().is_empty(),
        "{:?}",
        tunnel.refusals()
    );
    let hello = istiod.hellos().pop().unwrap();
    assert_eq!(
        (hello.authorization.as_str(), hello.cluster.as_str()),
        ("Bearer a token", "one")
    );
    assert!(hello.request.initial_resource_versions.is_empty() && hello.request.resource_names_subscribe.is_empty());
    let node = hello.request.node.unwrap();
    assert_eq!(node.id, "waypoint~127.0.0.1~waypoint-1.demo~demo.svc.cluster.local");
    let metadata = node.metadata.unwrap().fields;
    assert_eq!(
        (&*metadata["NAMESPACE"].text, &*metadata["SERVICE_ACCOUNT"].text),
        ("demo", "waypoint")
    );
    until("the answer is acknowledged", async || istiod.replies().0 > 0).await;
    let samples = waypoint.scrape().await;
    assert_eq!(samples.sum("waypoint_istiod_connected", &[]), 1.0);
    assert_eq!(samples.sum("waypoint_istiod_addresses", &[]), 4.0);
    assert!(!waypoint.log().contains("a token"));
}

#[tokio::test]
async fn it_is_not_ready_before_istiod_has_told_all() {
    let mut world = MeshWorld::new();
    let echo = untold(&mut world, "echo", "v1", Reach::Hbone).await;
    let mut istiod = IstiodXds::start().await;
    tell(&istiod, &echo);
    istiod.stop().await;
    let launch = istiod.launch().arg("--certs", world.certs().path().display());
    let config = world.config().to_str().unwrap().to_owned();
    let waypoint = Waypoint::begin(&["--config", &config], NAMESPACE, "cluster.local", launch).await;
    waypoint
        .until_logged("what is waited for", |line| {
            line.contains("not ready until") && line.contains("has not told the Services")
        })
        .await;
    assert!(!waypoint.is_ready().await);
    istiod.start_again().await;
    waypoint.until_ready().await;
    assert_eq!(world.client(&waypoint).get(&echo.vip, "/").await.status, 200);
}

#[tokio::test]
async fn the_destination_must_be_who_istiod_says() {
    let mut world = MeshWorld::new();
    let echo = untold(&mut world, "echo", "v1", Reach::Hbone).await;
    let istiod = IstiodXds::start().await;
    let (_, honest) = tell(&istiod, &echo);
    let other_account = Workload {
        service_account: "other".into(),
        ..honest.clone()
    };
    let other_domain = Workload {
        trust_domain: "example.com".into(),
        ..honest.clone()
    };
    istiod.workload(&other_account);
    let waypoint = world.start_with(istiod.launch()).await;
    let client = world.client(&waypoint);
    assert_eq!(client.get(&echo.vip, "/").await.status, 503);
    istiod.workload(&honest);
    let reached = async || client.get(&echo.vip, "/").await.status == 200;
    until("the right one is reached", &reached).await;
    istiod.workload(&other_domain);
    until("one of another trust domain is not", async || !reached().await).await;
    let requests = echo.app.counts().requests;
    assert_eq!(client.get(&echo.vip, "/").await.status, 503);
    assert_eq!(echo.app.counts().requests, requests);
}

#[tokio::test]
async fn changes_and_removals_take_effect() {
    let mut world = MeshWorld::new();
    let (one, two) = (
        untold(&mut world, "one", "v1", Reach::Hbone).await,
        untold(&mut world, "two", "v2", Reach::Clear).await,
    );
    let istiod = IstiodXds::start().await;
    let (service, first) = tell(&istiod, &one);
    let waypoint = world.start_with(istiod.launch()).await;
    until_version(&world, &waypoint, &one.vip, "v1").await;
    // Another endpoint comes, the first is not ready any more.
    let second = workload(&two, &service);
    istiod.workload(&second);
    istiod.workload(&Workload {
        status: 1,
        ..first.clone()
    });
    until_version(&world, &waypoint, &one.vip, "v2").await;
    // It goes, and nobody is left.
    istiod.remove(&second.uid);
    let client = world.client(&waypoint);
    until("nobody serves", async || client.get(&one.vip, "/").await.status == 503).await;
    istiod.workload(&first);
    until_version(&world, &waypoint, &one.vip, "v1").await;
    // The Service has another waypoint, then ours by its address, then is gone.
    let dial = async || client.dial(&one.vip.authority(), http::HeaderMap::new()).await.is_ok();
    let named = |ip| GatewayAddress {
        destination: Some(GatewayPlace::Address(NetworkAddress::of("", ip))),
        hbone_mtls_port: 15008,
    };
    let gateway = Service {
        waypoint: None,
        ..Service::new(NAMESPACE, "waypoint", [127, 250, 0, 9].into(), (15008, 15008))
    };
    let by_address = Service {
        waypoint: Some(named(std::net::IpAddr::from([127, 250, 0, 9]))),
        ..service.clone()
    };
    istiod.service(&by_address);
    until("it is not ours", async || !dial().await).await;
    istiod.service(&gateway);
    until("the Service of our Gateway is told", &dial).await;
    istiod.remove(&service.key());
    until("it is gone", async || !dial().await).await;
}

#[tokio::test]
async fn istiod_killed_under_load_loses_no_request_and_is_asked_for_what_changed() {
    let mut world = MeshWorld::new();
    let (one, two) = (
        untold(&mut world, "one", "v1", Reach::Hbone).await,
        untold(&mut world, "two", "v2", Reach::Clear).await,
    );
    let mut istiod = IstiodXds::start().await;
    let (service, first) = tell(&istiod, &one);
    let waypoint = world.start_with(istiod.launch()).await;
    let client = world.client(&waypoint);
    let mut load = Load::start(&client, &one.vip, 2);
    load.more(50).await;
    istiod.stop().await;
    load.more(200).await;
    waypoint
        .until_logged("that istiod is away", |line| line.contains("no word of istiod"))
        .await;
    assert_eq!(waypoint.scrape().await.sum("waypoint_istiod_connected", &[]), 0.0);
    assert!(waypoint.is_ready().await);
    // Meanwhile an endpoint comes, another goes, and the token is a new one.
    istiod.workload(&workload(&two, &service));
    istiod.remove(&first.uid);
    istiod.put_token("the next token");
    istiod.start_again().await;
    until_version(&world, &waypoint, &one.vip, "v2").await;
    load.more(50).await;
    load.stop().await.all_good();
    let hello = istiod.hellos().pop().unwrap();
    assert_eq!(hello.authorization, "Bearer the next token");
    let mut known: Vec<_> = hello.request.initial_resource_versions.into_keys().collect();
    known.sort();
    assert_eq!(known, [first.uid, service.key()]);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_and_changes_nothing() {
    let mut world = MeshWorld::new();
    let echo = untold(&mut world, "echo", "v1", Reach::Hbone).await;
    let istiod = IstiodXds::start().await;
    let (service, told) = tell(&istiod, &echo);
    let waypoint = world.start_with(istiod.launch()).await;
    let client = world.client(&waypoint);
    let answer = |type_url: &str, resources| DeltaResponse {
        type_url: type_url.to_owned(),
        nonce: "x".to_owned(),
        resources,
        ..DeltaResponse::default()
    };
    let other = Resource {
        resource: Some(Any {
            type_url: "type.googleapis.com/istio.security.Authorization".to_owned(),
            value: vec![],
        }),
        ..resource(&told.uid, "9", vec![])
    };
    for (bad, why) in [
        (
            answer("type.googleapis.com/istio.security.Authorization", vec![]),
            "expected type.googleapis.com/istio.workload.Address",
        ),
        (
            answer(ADDRESS, vec![resource(&told.uid, "9", vec![0xff; 9])]),
            "not an istio.workload.Address",
        ),
        (
            answer(ADDRESS, vec![resource(&service.key(), "9", vec![])]),
            "expected a workload or a service, found neither",
        ),
        (answer(ADDRESS, vec![other]), "istio.security.Authorization"),
        (
            answer(ADDRESS, vec![resource(&"n".repeat(5000), "9", vec![])]),
            "at most 1024 bytes",
        ),
    ] {
        let before = istiod.replies().1.len();
        istiod.say(&bad);
        until("it is refused", async || istiod.replies().1.len() > before).await;
        let said = istiod.replies().1.pop().unwrap();
        assert!(said.contains(why), "{said}");
        assert_eq!(client.get(&echo.vip, "/").await.status, 200);
    }
    until("it is a finding", async || {
        waypoint.scrape().await.sum("waypoint_config_findings_errors", &[]) >= 3.0
    })
    .await;
    // What is no message at all, or too large a one, ends the call, and another one begins.
    for bytes in [
        &[0, 0, 0, 0, 3, 0xff, 0xff, 0xff][..],
        &[0, 0xff, 0xff, 0xff, 0xff],
        &[1, 0, 0, 0, 0],
    ] {
        let calls = istiod.hellos().len();
        istiod.say_raw(bytes.to_vec());
        until("another call begins", async || istiod.hellos().len() > calls).await;
        assert_eq!(client.get(&echo.vip, "/").await.status, 200);
    }
    // A good word heals it.
    istiod.workload(&told);
    istiod.service(&service);
    istiod.remove(&"n".repeat(5000));
    until("no finding is left", async || {
        waypoint.scrape().await.sum("waypoint_config_findings_errors", &[]) == 0.0
    })
    .await;
}

#[tokio::test]
async fn a_thousand_changes_are_compiled_a_few_times() {
    let mut world = MeshWorld::new();
    let (one, two) = (
        untold(&mut world, "one", "v1", Reach::Hbone).await,
        untold(&mut world, "two", "v2", Reach::Clear).await,
    );
    let istiod = IstiodXds::start().await;
    let (service, first) = tell(&istiod, &one);
    let waypoint = world.start_with(istiod.launch()).await;
    let client = world.client(&waypoint);
    let generation = async || waypoint.scrape().await.sum("waypoint_config_generation", &[]);
    let before = generation().await;
    let mut load = Load::start(&client, &one.vip, 2);
    load.more(20).await;
    let flapping = workload(&two, &service);
    for round in 0..500 {
        istiod.workload(&Workload {
            canonical_revision: format!("r{round}"),
            ..flapping.clone()
        });
        istiod.remove(&flapping.uid);
    }
    istiod.workload(&flapping);
    istiod.remove(&first.uid);
    until("all of it is acknowledged", async || istiod.replies().0 >= 1003).await;
    until_version(&world, &waypoint, &one.vip, "v2").await;
    load.more(20).await;
    load.stop().await.all_good();
    let compiles = generation().await - before;
    assert!(compiles < 200.0, "{compiles} compiles of 1,002 changes");
}

#[tokio::test]
async fn another_network_is_reached_through_its_gateway() {
    let mut world = MeshWorld::new();
    let far = untold(&mut world, "far", "v1", Reach::HboneByTest).await;
    let host = "far.demo.svc.cluster.local:80";
    let pod = (far.ip, POD_PORT);
    let tunnel = DestinationTunnel::start_for_host(&world.pki, pod, "far", NAMESPACE, host).await;
    let ip = world.subnet().pod(200);
    let behind = [(host, (far.ip, HBONE_PORT).into())];
    let gateway = NetworkGateway::start(&world.pki, (ip, HBONE_PORT), NAMESPACE, &behind).await;
    let istiod = IstiodXds::start().await;
    let mut service = service(&far.vip);
    service.addresses[0].network = "near".into();
    let remote = Workload {
        addresses: vec![],
        network: "there".into(),
        network_gateway: Some(GatewayAddress {
            destination: Some(GatewayPlace::Address(NetworkAddress::of("there", ip.into()))),
            hbone_mtls_port: HBONE_PORT.into(),
        }),
        ..workload(&far, &service)
    };
    let told = Workload {
        uid: "NetworkGateway/there".into(),
        namespace: "istio-system".into(),
        service_account: "eastwest".into(),
        addresses: vec![ip.octets().to_vec()],
        network: "there".into(),
        tunnel_protocol: 1,
        ..Workload::default()
    };
    istiod.service(&service);
    istiod.workload(&remote);
    istiod.workload(&told);
    let waypoint = world.start_with(istiod.launch().arg("--network", "near")).await;
    let client = world.client(&waypoint);
    for _ in 0..3 {
        let reply = client.get(&far.vip, "/").await;
        assert_eq!((reply.status.as_u16(), reply.header("x-backend")), (200, "v1"));
    }
    assert!(gateway.asked().iter().all(|asked| asked == host) && gateway.refusals().is_empty());
    assert!(tunnel.refusals().is_empty(), "{:?}", tunnel.refusals());
    let headers = tunnel.connect_headers();
    assert_eq!(headers["x-istio-origin-network"], "near");
    assert!(headers["baggage"].to_str().unwrap().contains("k8s.namespace.name=demo"));
    // Both must be who istiod says.
    let status = async || client.get(&far.vip, "/").await.status.as_u16();
    let other = |workload: &Workload| Workload {
        service_account: "other".into(),
        ..workload.clone()
    };
    for (wrong, right) in [(other(&remote), &remote), (other(&told), &told)] {
        istiod.workload(&wrong);
        until("somebody else is not taken for it", async || status().await == 503).await;
        istiod.workload(right);
        until("it is reached again", async || status().await == 200).await;
    }
    // A Service may say who its endpoints are.
    service.subject_alt_names = vec!["spiffe://cluster.local/ns/demo/sa/nobody".into()];
    istiod.service(&service);
    until("its endpoints must be those", async || status().await == 503).await;
    service
        .subject_alt_names
        .push("spiffe://cluster.local/ns/demo/sa/far".into());
    istiod.service(&service);
    until("it is one of them", async || status().await == 200).await;
    // Without the gateway there is no way.
    istiod.remove(&told.uid);
    until("no way leads there", async || status().await == 503).await;
}

#[tokio::test]
async fn routes_and_policies_may_come_from_a_cluster() {
    let mut world = MeshWorld::new();
    let echo = untold(&mut world, "echo", "v1", Reach::Hbone).await;
    let api = KubeApi::start().await;
    api.load(world.config());
    // The Service is of a namespace that nothing in the cluster leads to: istiod alone says whose waypoint it has.
    let mut gateway = api.get("Gateway", NAMESPACE, "waypoint").unwrap();
    gateway["spec"]["listeners"][0]["allowedRoutes"] = json!({ "namespaces": { "from": "All" } });
    api.put(&gateway);
    api.put(&json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "shop" } }));
    let policy = |paths: &[&str]| {
        json!({ "apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
            "metadata": { "name": "deny", "namespace": "shop" },
            "spec": { "targetRefs": [{ "group": "", "kind": "Service", "name": "echo" }], "action": "DENY",
                "rules": [{ "to": [{ "operation": { "paths": paths } }] }] } })
    };
    api.put(&policy(&["/admin"]));
    let istiod = IstiodXds::start().await;
    let service = Service {
        waypoint: service(&echo.vip).waypoint,
        ..Service::new("shop", "echo", echo.vip.ip, (SERVICE_PORT, POD_PORT))
    };
    istiod.service(&service);
    istiod.workload(&workload(&echo, &service));
    let waypoint = world.start_by_cluster(&api.kubeconfig(), istiod.launch()).await;
    let client = world.client(&waypoint);
    let status = async |path: &str| client.get(&echo.vip, path).await.status.as_u16();
    assert_eq!((status("/").await, status("/admin").await), (200, 403));
    for plural in ["services", "pods", "endpointslices", "workloadentries"] {
        assert_eq!(api.lists(plural), 0, "{plural} are read");
    }
    api.put(&policy(&["/admin", "/other"]));
    until("the policy is another", async || status("/other").await == 403).await;
    istiod.remove(&service.key());
    until("the Service is gone", async || {
        client
            .dial(&echo.vip.authority(), http::HeaderMap::new())
            .await
            .is_err()
    })
    .await;
}
