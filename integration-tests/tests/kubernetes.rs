//! Promise: configured by a cluster, the same requests succeed and fail as by files; and whatever the API server does, the
//! last good state is served.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use integration_tests::peers::http_client::get;
use integration_tests::peers::kube_api::{ApiKind, KubeApi};
use integration_tests::peers::load::Load;
use integration_tests::peers::loopback::free_port;
use integration_tests::peers::mesh_world::{MeshWorld, NAMESPACE, Reach, SERVICE_PORT, backend};
use integration_tests::peers::tls_server::{PublicCa, TlsServer};
use integration_tests::peers::waiting::{soon, until};
use integration_tests::peers::waypoint_process::{Launch, Waypoint};
use serde_json::{Value, json};

/// A waypoint of this world that reads nothing but the API.
async fn start(world: &MeshWorld, api: &KubeApi) -> Waypoint {
    world.start_by_cluster(&api.kubeconfig(), Launch::default()).await
}

/// An API server with what is in this world, and a waypoint that has read it.
async fn configured(world: &MeshWorld) -> (KubeApi, Waypoint) {
    let api = KubeApi::start().await;
    api.load(world.config());
    let waypoint = start(world, &api).await;
    (api, waypoint)
}

/// A waypoint that is not ready yet.
async fn start_unready(world: &MeshWorld, api: &KubeApi) -> Waypoint {
    world.begin_by_cluster(&api.kubeconfig(), Launch::default()).await
}

fn errors(samples: &integration_tests::peers::prometheus_text::Samples, kind: &str, reason: &str) -> f64 {
    samples.sum(
        "waypoint_kubernetes_watch_errors_total",
        &[("kind", kind), ("reason", reason)],
    )
}

#[tokio::test]
async fn the_same_requests_succeed_and_fail_as_by_files() {
    let mut world = MeshWorld::new();
    let v1 = world.echo("reviews-v1", "v1", Reach::Hbone).await;
    let v2 = world.echo("reviews-v2", "v2", Reach::Clear).await;
    let reviews = world.service("reviews", "http", &[v1.ip, v2.ip]);
    world.http_route(
        "reviews",
        "reviews",
        json!([
            { "matches": [{ "path": { "type": "PathPrefix", "value": "/two" } }], "backendRefs": [backend("reviews-v2", 1)] },
            { "matches": [{ "path": { "type": "PathPrefix", "value": "/one" } }], "backendRefs": [backend("reviews-v1", 1)] },
        ]),
    );
    let admin = json!([{ "to": [{ "operation": { "paths": ["*/admin"] } }] }]);
    world.policy("no-admin", "reviews", "DENY", admin);
    let api = KubeApi::start().await;
    api.load(world.config());
    let waypoints = [world.start().await, start(&world, &api).await];
    for waypoint in &waypoints {
        let mut client = world.client(waypoint).http1(&reviews).await;
        let mut answers = Vec::new();
        for path in ["/one", "/two", "/three", "/one/admin", "/three/admin"] {
            let reply = client.get(path).await;
            answers.push((reply.status.as_u16(), reply.header("x-backend").to_owned()));
        }
        let wanted = [(200, "v1"), (200, "v2"), (404, ""), (403, ""), (403, "")];
        assert_eq!(answers, wanted.map(|(status, version)| (status, version.to_owned())));
    }
    let mut dumps = Vec::new();
    for waypoint in &waypoints {
        let dump: Value = serde_json::from_slice(&waypoint.admin_get("/config_dump").await.body).unwrap();
        dumps.push(dump);
        let samples = waypoint.scrape().await;
        assert_eq!(samples.sum("waypoint_config_findings_errors", &[]), 0.0);
        // A DENY of paths alone denies all bytes.
        let warnings = samples.sum("waypoint_config_findings_warnings", &[]);
        assert_eq!(warnings, 1.0, "{}", waypoint.log());
    }
    assert!(dumps[0]["services"].is_array() || dumps[0]["services"].is_object());
    assert_eq!(dumps[0]["services"], dumps[1]["services"]);
}

#[tokio::test]
async fn changes_and_deletions_take_effect() {
    let mut world = MeshWorld::new();
    let reviews = world.reviews(Reach::Hbone).await;
    world.route_reviews_to("reviews-v1");
    let (api, waypoint) = configured(&world).await;
    let mut client = world.client(&waypoint).http1(&reviews.vip).await;
    assert_eq!(client.get("/").await.header("x-backend"), "v1");
    world.route_reviews_to("reviews-v2");
    api.load(world.config());
    until("the route is another", async || {
        client.get("/").await.header("x-backend") == "v2"
    })
    .await;
    world.policy("nobody", "reviews", "DENY", json!([{}]));
    api.load(world.config());
    until("nobody may pass", async || client.get("/").await.status == 403).await;
    world.remove("authorizationpolicy-nobody.yaml");
    api.load(world.config());
    until("the policy is gone", async || client.get("/").await.status == 200).await;
    world.endpoints("reviews-v2", "http", &[]);
    api.load(world.config());
    until("its endpoints are gone", async || client.get("/").await.status == 503).await;
    world.remove("route-reviews.yaml");
    api.load(world.config());
    until("the route is gone", async || client.get("/").await.status == 200).await;
}

#[tokio::test]
async fn an_outage_of_the_api_server_loses_no_request() {
    let mut world = MeshWorld::new();
    let reviews = world.reviews(Reach::Hbone).await;
    world.route_reviews_to("reviews-v1");
    let (api, waypoint) = configured(&world).await;
    let client = world.client(&waypoint);
    let mut load = Load::start(&client, &reviews.vip, 2);
    load.more(50).await;
    api.down().await;
    until("the outage is counted", async || {
        errors(&waypoint.scrape().await, "HTTPRoute", "connection") >= 1.0
    })
    .await;
    load.more(200).await;
    assert!(waypoint.is_ready().await, "an outage is no reason to send no traffic");
    // What changes meanwhile is seen afterwards, also when the history is lost.
    world.route_reviews_to("reviews-v2");
    api.load(world.config());
    api.compact();
    api.up().await;
    let mut witness = client.http1(&reviews.vip).await;
    until("the new route is seen", async || {
        witness.get("/").await.header("x-backend") == "v2"
    })
    .await;
    load.more(50).await;
    load.stop().await.all_good();
    assert!(errors(&waypoint.scrape().await, "HTTPRoute", "gone") >= 1.0);
}

#[tokio::test]
async fn errors_of_every_sort_keep_the_last_good_state() {
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Clear).await;
    world.policy(
        "no-admin",
        "echo",
        "DENY",
        json!([{ "to": [{ "operation": { "paths": ["/admin"] } }] }]),
    );
    let (api, waypoint) = configured(&world).await;
    let mut client = world.client(&waypoint).http1(&echo.vip).await;
    for (status, reason) in [
        (500, "server"),
        (403, "forbidden"),
        (429, "throttled"),
        (404, "not_found"),
    ] {
        let before = errors(&waypoint.scrape().await, "AuthorizationPolicy", reason);
        api.faults(|faults| faults.status = Some(status));
        api.cut_watches();
        until(reason, async || {
            errors(&waypoint.scrape().await, "AuthorizationPolicy", reason) > before
        })
        .await;
        assert_eq!(client.get("/admin").await.status, 403, "{reason}");
        assert_eq!(client.get("/").await.status, 200, "{reason}");
        api.faults(|faults| faults.status = None);
    }
    world.remove("authorizationpolicy-no-admin.yaml");
    api.load(world.config());
    until("it sees changes again", async || {
        client.get("/admin").await.status == 200
    })
    .await;
}

#[tokio::test]
async fn a_bookmark_spares_the_list_and_lost_history_asks_for_it() {
    let mut world = MeshWorld::new();
    let reviews = world.reviews(Reach::Clear).await;
    let (api, waypoint) = configured(&world).await;
    let mut client = world.client(&waypoint).http1(&reviews.vip).await;
    until("the routes are watched", async || api.watches("httproutes") == 1).await;
    assert_eq!(api.lists("httproutes"), 1);

    // History moves on by other kinds' objects; a bookmark takes the watch along.
    api.put(&json!({ "apiVersion": "v1", "kind": "Event", "metadata": { "name": "x", "namespace": NAMESPACE } }));
    api.bookmark();
    api.put(&route_to("reviews-v1"));
    until("the watch goes on", async || {
        client.get("/").await.header("x-backend") == "v1"
    })
    .await;
    api.cut_watches();
    until("it is resumed", async || api.watches("httproutes") == 2).await;
    assert_eq!(api.lists("httproutes"), 1, "nothing was missed: no list");

    for by_status in [false, true] {
        let lists = api.lists("httproutes");
        api.faults(|faults| faults.gone_by_status = by_status);
        api.compact();
        api.delete("HTTPRoute", NAMESPACE, "reviews");
        api.cut_watches();
        until("it is listed anew", async || api.lists("httproutes") > lists).await;
        until("the deletion that nobody told is seen", async || {
            let first = client.get("/").await.header("x-backend").to_owned();
            let mut others = false;
            for _ in 0..20 {
                others |= client.get("/").await.header("x-backend") != first;
            }
            others
        })
        .await;
        api.put(&route_to("reviews-v2"));
        let mut streak = 0;
        until("and changes are seen again", async || {
            streak = if client.get("/").await.header("x-backend") == "v2" {
                streak + 1
            } else {
                0
            };
            streak == 20
        })
        .await;
    }
}

fn route_to(service: &str) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": { "name": "reviews", "namespace": NAMESPACE },
        "spec": { "parentRefs": [{ "group": "", "kind": "Service", "name": "reviews" }],
            "rules": [{ "backendRefs": [backend(service, 1)] }] },
    })
}

#[tokio::test]
async fn long_lists_come_page_by_page_even_when_their_pages_expire() {
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Clear).await;
    let api = KubeApi::start().await;
    api.load(world.config());
    for n in 0..1_300 {
        let mut route = route_to("echo");
        route["metadata"]["name"] = json!(format!("route-{n:04}"));
        route["spec"]["parentRefs"][0]["name"] = json!("echo");
        route["spec"]["rules"][0]["matches"] = json!([{ "path": { "type": "Exact", "value": format!("/{n}") } }]);
        api.put(&route);
    }
    api.faults(|faults| faults.expired_pages = true);
    let waypoint = start_unready(&world, &api).await;
    until("the expired page is counted", async || {
        errors(&waypoint.scrape().await, "HTTPRoute", "gone") >= 1.0
    })
    .await;
    assert!(!waypoint.is_ready().await, "half a list is no list");
    api.faults(|faults| faults.expired_pages = false);
    waypoint.until_ready().await;
    assert!(api.pages("httproutes") >= 2);
    let mut client = world.client(&waypoint).http1(&echo.vip).await;
    for (path, status) in [("/0", 200), ("/1299", 200), ("/1300", 404)] {
        assert_eq!(client.get(path).await.status, status, "{path}");
    }
}

#[tokio::test]
async fn it_is_ready_when_everything_was_read_and_not_before() {
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Clear).await;
    world.policy("nobody", "echo", "DENY", json!([{}]));
    let api = KubeApi::down_at_first().await;
    api.load(world.config());
    let waypoint = start_unready(&world, &api).await;
    waypoint
        .until_logged("the outage", |line| line.contains("the API server cannot be asked"))
        .await;
    assert!(!waypoint.is_ready().await);
    // One kind that may not be read is enough: a policy may be among it.
    api.faults(|faults| faults.denied.extend(["authorizationpolicies".to_owned()]));
    api.up().await;
    let wanted = "allow list and watch of authorizationpolicies.security.istio.io";
    waypoint
        .until_logged("what to allow", |line| {
            line.contains("not ready") && line.contains(wanted)
        })
        .await;
    until("all else was listed", async || api.lists("httproutes") >= 1).await;
    assert!(!waypoint.is_ready().await);
    api.faults(|faults| faults.denied.clear());
    waypoint.until_ready().await;
    assert_eq!(world.client(&waypoint).get(&echo.vip, "/").await.status, 403);
}

#[tokio::test]
async fn a_slow_api_server_is_waited_for() {
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Clear).await;
    let api = KubeApi::start().await;
    api.load(world.config());
    api.faults(|faults| faults.slow = Some(std::time::Duration::from_millis(300)));
    let waypoint = start(&world, &api).await;
    assert_eq!(world.client(&waypoint).get(&echo.vip, "/").await.status, 200);
}

#[tokio::test]
async fn kinds_that_need_not_be_read_may_be_denied() {
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Clear).await;
    let api = KubeApi::start().await;
    api.load(world.config());
    let denied = ["nodes", "referencegrants", "configmaps"].map(str::to_owned);
    api.faults(|faults| faults.denied.extend(denied));
    let waypoint = start(&world, &api).await;
    assert_eq!(world.client(&waypoint).get(&echo.vip, "/").await.status, 200);
    let samples = waypoint.scrape().await;
    assert!(errors(&samples, "ReferenceGrant", "forbidden") >= 1.0);
    assert_eq!(
        samples.sum("waypoint_config_findings_warnings", &[]),
        2.0,
        "{}",
        waypoint.log()
    );
}

#[tokio::test]
async fn crds_that_are_missing_are_not_waited_for_and_seen_when_they_come() {
    let mut world = MeshWorld::new();
    let reviews = world.reviews(Reach::Clear).await;
    let api = KubeApi::start().await;
    let istio = [
        "AuthorizationPolicy",
        "RequestAuthentication",
        "VirtualService",
        "DestinationRule",
        "Telemetry",
    ];
    let mut removed: Vec<ApiKind> = istio.iter().map(|kind| api.remove_kind(kind)).collect();
    removed.push(api.remove_kind("GRPCRoute"));
    api.load(world.config());
    let waypoint = start(&world, &api).await;
    let mut client = world.client(&waypoint).http1(&reviews.vip).await;
    assert_eq!(client.get("/").await.status, 200);
    removed.into_iter().for_each(|kind| api.add_kind(kind));
    world.policy("nobody", "reviews", "DENY", json!([{}]));
    api.load(world.config());
    until("the new kind is in force", async || client.get("/").await.status == 403).await;
    // And when it is removed, so are its objects.
    world.remove("authorizationpolicy-nobody.yaml");
    api.load(world.config());
    let kind = api.remove_kind("AuthorizationPolicy");
    until("its objects are gone", async || client.get("/").await.status == 200).await;
    api.cut_watches();
    let watched = || async { waypoint.scrape().await.sum("waypoint_kubernetes_watches", &[]) };
    let before = watched().await;
    until("it is not watched any more", async || watched().await < before).await;
    api.add_kind(kind);
    until("it is watched again", async || watched().await == before).await;
}

#[tokio::test]
async fn a_broken_object_is_told_and_the_rest_serves() {
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Clear).await;
    world.http_route("echo", "echo", json!([{ "backendRefs": [backend("echo", 1)] }]));
    let (api, waypoint) = configured(&world).await;
    let mut client = world.client(&waypoint).http1(&echo.vip).await;
    // A typo in one rule.
    let mut broken = api.get("HTTPRoute", NAMESPACE, "echo").unwrap();
    broken["spec"]["rules"] = json!([
        { "matches": [{ "path": { "type": "Prefixes", "value": "/broken" } }], "backendRefs": [backend("echo", 1)] },
        { "matches": [{ "path": { "type": "PathPrefix", "value": "/good" } }], "backendRefs": [backend("echo", 1)] },
    ]);
    api.put(&broken);
    until("the rest of it is in force", async || {
        client.get("/bad").await.status == 404
    })
    .await;
    assert_eq!(client.get("/good").await.status, 200);
    waypoint
        .until_logged("the field", |line| {
            line.contains("HTTPRoute demo/echo: spec.rules[0].matches[0].path.type")
        })
        .await;
    // No object at all: its last good state stays.
    let mut none = broken.clone();
    none["spec"] = json!("none");
    api.put(&none);
    until("it is an error", async || {
        waypoint.scrape().await.sum("waypoint_config_findings_errors", &[]) >= 1.0
    })
    .await;
    assert_eq!(client.get("/good").await.status, 200);
    assert_eq!(client.get("/bad").await.status, 404);
}

#[tokio::test]
async fn an_expired_token_is_read_again() {
    let mut world = MeshWorld::new();
    let reviews = world.reviews(Reach::Clear).await;
    world.route_reviews_to("reviews-v1");
    let (api, waypoint) = configured(&world).await;
    let mut client = world.client(&waypoint).http1(&reviews.vip).await;
    api.accept_token("second");
    api.cut_watches();
    until("the old token is refused", async || {
        errors(&waypoint.scrape().await, "HTTPRoute", "unauthorized") >= 1.0
    })
    .await;
    world.route_reviews_to("reviews-v2");
    api.load(world.config());
    assert_eq!(client.get("/").await.header("x-backend"), "v1");
    api.write_token("second");
    until("the new token is used", async || {
        client.get("/").await.header("x-backend") == "v2"
    })
    .await;
}

#[tokio::test]
async fn the_api_server_must_be_the_right_one() {
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Clear).await;
    let api = KubeApi::start().await;
    api.load(world.config());
    let (ca, other, port) = (PublicCa::new(), PublicCa::new(), free_port());
    let here = (std::net::Ipv4Addr::LOCALHOST, port);
    let front = TlsServer::start(here, &ca, &["localhost"], None, api.address()).await;
    let deceived = world
        .begin_by_cluster(&api.kubeconfig_by_tls(port, &other), Launch::default())
        .await;
    deceived
        .until_logged("the wrong authority", |line| line.contains("certificate"))
        .await;
    assert_eq!(
        (api.requests(), deceived.is_ready().await),
        (0, false),
        "the token was told to nobody"
    );
    let waypoint = world
        .start_by_cluster(&api.kubeconfig_by_tls(port, &ca), Launch::default())
        .await;
    assert_eq!(world.client(&waypoint).get(&echo.vip, "/").await.status, 200);
    assert!(!front.names().is_empty());
}

/// A consumer's route, and a Service of another namespace that uses our waypoint: endpoints of both are seen; those of
/// namespaces that do not concern us are not even asked for.
#[tokio::test]
async fn other_namespaces_are_seen_as_far_as_they_concern_us() {
    let mut world = MeshWorld::new();
    let ours = world.echo("ours", "ours", Reach::Clear).await;
    let _theirs = world.echo("theirs", "theirs", Reach::Clear).await;
    let api = KubeApi::start().await;
    api.load(world.config());
    for namespace in ["consumers", "strangers", "guests"] {
        let meta = json!({ "name": namespace, "labels": { "kubernetes.io/metadata.name": namespace } });
        api.put(&json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": meta }));
    }
    let waypoint = start(&world, &api).await;
    let client = world.client(&waypoint);
    let asked = |what: &str| api.asked().iter().any(|asked| asked == what);
    assert!(asked("pods demo") && asked("endpointslices demo"));

    // The consumer's own Service stands in for ours.
    moved(&api, "theirs", "theirs", "consumers", json!({}));
    let mut route = route_to("theirs");
    route["metadata"] = json!({ "name": "mine", "namespace": "consumers" });
    route["spec"]["parentRefs"][0] = json!({ "group": "", "kind": "Service", "name": "ours", "namespace": NAMESPACE });
    api.put(&route);
    let mut consumer = world.client_as(&waypoint, "consumers", "client").http1(&ours.vip).await;
    until("the consumer's route shapes its requests", async || {
        consumer.get("/").await.header("x-backend") == "theirs"
    })
    .await;
    assert_eq!(client.http1(&ours.vip).await.get("/").await.header("x-backend"), "ours");

    // A guest: its Service names our waypoint, whose listener admits all.
    let mut gateway = api.get("Gateway", NAMESPACE, "waypoint").unwrap();
    gateway["spec"]["listeners"][0]["allowedRoutes"] = json!({ "namespaces": { "from": "All" } });
    api.put(&gateway);
    let labels = json!({ "istio.io/use-waypoint": "waypoint", "istio.io/use-waypoint-namespace": NAMESPACE });
    let vip = moved(&api, "theirs", "guest", "guests", labels);
    until("the guest is served", async || {
        let Ok(tunnel) = client.dial(&vip, http::HeaderMap::new()).await else {
            return false;
        };
        let http = integration_tests::peers::http_client::HttpClient::http1(tunnel, "guest").await;
        http.unwrap()
            .try_send(get("/"))
            .await
            .is_ok_and(|reply| reply.status == 200)
    })
    .await;
    assert!(asked("pods consumers") && asked("endpointslices guests"));
    assert!(!asked("pods strangers") && !asked("endpointslices strangers") && !asked("pods "));
}

/// A copy of a Service of the world, with its pod and endpoints, in another namespace. Gives its address.
fn moved(api: &KubeApi, service: &str, name: &str, namespace: &str, labels: Value) -> String {
    let address = if name == service { "127.30.0.1" } else { "127.30.0.2" };
    let mut copy = api.get("Service", NAMESPACE, service).unwrap();
    copy["metadata"] = json!({ "name": name, "namespace": namespace, "labels": labels });
    copy["spec"]["clusterIP"] = json!(address);
    copy["spec"]["clusterIPs"] = json!([address]);
    api.put(&copy);
    let mut slice = api
        .get("EndpointSlice", NAMESPACE, &format!("{service}-abcde"))
        .unwrap();
    let labels = json!({ "kubernetes.io/service-name": name });
    slice["metadata"] = json!({ "name": format!("{name}-abcde"), "namespace": namespace, "labels": labels });
    api.put(&slice);
    format!("{address}:{SERVICE_PORT}")
}

#[tokio::test]
async fn flapping_endpoints_cost_one_compile_per_debounce() {
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Clear).await;
    let flapping = world.echo("flapping", "v1", Reach::Clear).await;
    let (api, waypoint) = configured(&world).await;
    let client = world.client(&waypoint);
    let generation = || async { waypoint.scrape().await.sum("waypoint_config_generation", &[]) };
    let (before, began) = (generation().await, std::time::Instant::now());
    let mut load = Load::start(&client, &echo.vip, 2);
    load.more(10).await;
    let slice = api.get("EndpointSlice", NAMESPACE, "flapping-abcde").unwrap();
    const CHANGES: u32 = 3_000;
    for n in 0..CHANGES {
        let mut next = slice.clone();
        next["endpoints"][0]["conditions"]["ready"] = json!(n % 2 == 1);
        api.put(&next);
        if n % 50 == 49 {
            load.more(1).await;
        }
    }
    world.http_route(
        "flapping",
        "flapping",
        json!([{ "matches": [{ "path": { "value": "/last" } }] , "backendRefs": [backend("echo", 1)] }]),
    );
    api.load(world.config());
    let mut witness = client.http1(&flapping.vip).await;
    until("the last change is in force", async || {
        witness.get("/last").await.status == 200
    })
    .await;
    let compiles = generation().await - before;
    let most = began.elapsed().as_secs_f64() / 0.05 + 2.0;
    assert!(compiles <= most, "{compiles} compiles, at most {most}");
    load.stop().await.all_good();
}

#[tokio::test]
async fn what_does_not_concern_us_is_no_change() {
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Clear).await;
    let (api, waypoint) = configured(&world).await;
    let generation = || async { waypoint.scrape().await.sum("waypoint_config_generation", &[]) };
    let before = generation().await;
    let mut service = api.get("Service", NAMESPACE, "echo").unwrap();
    for n in 0..100 {
        service["status"] = json!({ "loadBalancer": { "n": n } });
        service["metadata"]["annotations"] = json!({ "example.com/n": n.to_string() });
        api.put(&service);
    }
    world.http_route(
        "echo",
        "echo",
        json!([{ "matches": [{ "path": { "value": "/last" } }], "backendRefs": [backend("echo", 1)] }]),
    );
    api.load(world.config());
    let mut client = world.client(&waypoint).http1(&echo.vip).await;
    until("the route is in force", async || client.get("/").await.status == 404).await;
    assert_eq!(generation().await, before + 1.0, "{}", waypoint.log());
}

#[tokio::test]
async fn ten_thousand_routes_at_once() {
    let mut world = MeshWorld::new();
    let echo = world.echo("echo", "v1", Reach::Clear).await;
    let (api, waypoint) = configured(&world).await;
    let client = world.client(&waypoint);
    let load = Load::start(&client, &echo.vip, 1);
    let mut routes = route_to("echo");
    routes["spec"]["parentRefs"][0]["name"] = json!("echo");
    // The requests of the load go on to match.
    for n in 0..10_000 {
        routes["metadata"]["name"] = json!(format!("route-{n:05}"));
        let path = if n == 0 { "/load".to_owned() } else { format!("/{n}") };
        routes["spec"]["rules"][0]["matches"] = json!([{ "path": { "type": "Exact", "value": path } }]);
        api.put(&routes);
    }
    let mut witness = client.http1(&echo.vip).await;
    until("the last of them is in force", async || {
        witness.get("/9999").await.status == 200 && witness.get("/10000").await.status == 404
    })
    .await;
    soon("the load", load.stop()).await.all_good();
    assert_eq!(
        waypoint.scrape().await.sum("waypoint_config_findings_warnings", &[]),
        0.0
    );
}

#[tokio::test]
async fn files_and_a_cluster_are_not_mixed() {
    let world = MeshWorld::new();
    let config = world.config().to_str().unwrap();
    for (args, wanted) in [
        (vec!["--kubernetes", "--config", config], "cannot be used with"),
        (vec![], "--config <DIR>"),
        (vec!["--kubernetes", "--kubeconfig", "/nowhere"], "kubeconfig /nowhere"),
    ] {
        let (certs, mut command) = (
            world.certs().path(),
            std::process::Command::new(integration_tests::peers::waypoint_process::binary()),
        );
        command
            .arg("run")
            .args(&args)
            .arg("--certs")
            .arg(certs)
            .env_remove("KUBECONFIG");
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(told.contains(wanted), "{args:?}: {told}");
    }
}
