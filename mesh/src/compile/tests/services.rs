//! Which Services are ours, how they are found, and where their endpoints are.

use super::world::{GATEWAY, World, compile, compile_by, pod, service};
use crate::{Compiler, Scope};
use request::SpiffeId;
use routing::Protocol;
use std::sync::Arc;
use std::sync::atomic::Ordering;

fn endpoints(world: &World, authority: &str) -> Vec<String> {
    let cluster = world.own_cluster(authority);
    cluster
        .endpoints
        .iter()
        .map(|one| format!("{} {}", one.address, one.workload.pod))
        .collect()
}

#[test]
fn labels_name_the_waypoint_and_the_service_goes_before_its_namespace() {
    let canary = "labels: {istio.io/use-waypoint: istios, istio.io/use-waypoint-canary: waypoint}";
    let text = format!(
        "{GATEWAY}{}{}{}{}{}{}{}",
        service("shop", "by-namespace", "10.0.0.1", ""),
        service("shop", "opted-out", "10.0.0.2", "labels: {istio.io/use-waypoint: none}"),
        service(
            "shop",
            "elsewhere",
            "10.0.0.3",
            "labels: {istio.io/use-waypoint: another}"
        ),
        service("shop", "canary", "10.0.0.4", canary),
        service(
            "other",
            "abroad",
            "10.0.0.5",
            "labels: {istio.io/use-waypoint: waypoint, istio.io/use-waypoint-namespace: shop}"
        ),
        service("other", "unlabelled", "10.0.0.6", ""),
        service(
            "shop",
            "waypoint",
            "10.0.0.7",
            "labels: {gateway.istio.io/managed: istio.io-mesh-controller}"
        ),
    );
    let world = compile(&text);
    let ours: Vec<bool> = (1..=7)
        .map(|n| world.port(&format!("10.0.0.{n}:80")).is_some())
        .collect();
    assert_eq!(ours, [true, false, false, true, false, false, false]);
    assert_eq!(
        world.warnings().len(),
        1,
        "abroad is named and not allowed: {:?}",
        world.warnings()
    );
}

#[test]
fn other_namespaces_come_in_by_allowed_routes() {
    let labels = "labels: {istio.io/use-waypoint: waypoint, istio.io/use-waypoint-namespace: shop}";
    for (allowed, want) in [
        ("{from: All}", true),
        ("{from: Same}", false),
        ("{from: None}", false),
        ("{from: Nonsense}", false),
        ("{from: Selector, selector: {matchLabels: {team: a}}}", true),
        ("{from: Selector, selector: {matchLabels: {team: b}}}", false),
        (
            "{from: Selector, selector: {matchExpressions: [{key: team, operator: In, values: [a, c]}]}}",
            true,
        ),
        (
            "{from: Selector, selector: {matchExpressions: [{key: team, operator: DoesNotExist}]}}",
            false,
        ),
        (
            "{from: Selector, selector: {matchExpressions: [{key: team, operator: Odd}]}}",
            false,
        ),
        ("{from: Selector}", false),
    ] {
        let gateway = GATEWAY.replace(
            "protocol: HBONE",
            &format!("protocol: HBONE, allowedRoutes: {{namespaces: {allowed}}}"),
        );
        let namespace = "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: other, labels: {team: a}}\n";
        let world = compile(&format!(
            "{gateway}{namespace}{}",
            service("other", "abroad", "10.0.0.5", labels)
        ));
        assert_eq!(world.port("10.0.0.5:80").is_some(), want, "{allowed}");
    }
}

#[test]
fn the_scope_chooses_among_gateways() {
    let text = format!("{GATEWAY}{}", service("shop", "reviews", "10.0.0.1", ""));
    for (namespace, gateway, want) in [
        (None, None, true),
        (Some("shop"), Some("waypoint"), true),
        (Some("shop"), None, true),
        (Some("shop"), Some("another"), false),
        (Some("other"), Some("waypoint"), false),
    ] {
        let scope = Scope {
            namespace: namespace.map(str::to_owned),
            gateway: gateway.map(str::to_owned),
            ..Scope::default()
        };
        let world = compile_by(&mut Compiler::new(scope), &text);
        assert_eq!(world.port("10.0.0.1:80").is_some(), want, "{namespace:?} {gateway:?}");
        assert_eq!(world.warnings().is_empty(), want);
    }
}

#[test]
fn a_service_is_found_by_its_addresses_and_names() {
    let text = format!(
        "{GATEWAY}{}",
        service("shop", "reviews", "10.0.0.1, clusterIPs: [10.0.0.1, 'fd00::1']", "")
    );
    let world = compile(&text);
    for authority in [
        "10.0.0.1:80",
        "[fd00::1]:80",
        "[::ffff:10.0.0.1]:80",
        "reviews.shop:80",
        "reviews.shop.svc:80",
        "Reviews.shop.svc.cluster.local:80",
    ] {
        assert!(world.port(authority).is_some(), "{authority}");
    }
    for authority in [
        "10.0.0.1",
        "10.0.0.1:81",
        "10.0.0.2:80",
        "reviews:80",
        "reviews.shop.svc.example.org:80",
        "x.reviews.shop:80",
    ] {
        assert!(world.port(authority).is_none(), "{authority}");
    }
}

#[test]
fn endpoints_come_from_slices_by_port_name_and_readiness() {
    let slice = "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\naddressType: IPv4\n\
        metadata: {name: s, namespace: shop, labels: {kubernetes.io/service-name: reviews}}\n\
        ports: [{name: other, port: 1}, {name: http, port: 8080}, {name: http, port: 53, protocol: UDP}]\n\
        endpoints:\n- {addresses: [10.1.0.1], conditions: {ready: true}}\n- {addresses: [10.1.0.2], conditions: {ready: false}}\n\
        - {addresses: [10.1.0.3]}\n- {addresses: [10.1.0.1]}\n";
    let text = format!(
        "{GATEWAY}{}{slice}{}",
        service("shop", "reviews", "10.0.0.1", ""),
        pod("shop", "a", "reviews", "10.1.0.1")
    );
    let world = compile(&text);
    assert_eq!(endpoints(&world, "10.0.0.1:80"), ["10.1.0.1:8080 a", "10.1.0.3:8080 "]);
}

#[test]
fn without_slices_the_selector_finds_ready_pods() {
    let named = service("shop", "reviews", "10.0.0.1", "").replace("targetPort: 8080", "targetPort: web");
    let ports = "spec: {containers: [{ports: [{name: web, containerPort: 9999}]}], serviceAccountName";
    let text = format!(
        "{GATEWAY}{named}{}{}{}{}",
        pod("shop", "a", "reviews", "10.1.0.1").replace("spec: {serviceAccountName", ports),
        pod("shop", "unnamed", "reviews", "10.1.0.2"),
        pod("shop", "done", "reviews", "10.1.0.3").replace("Running", "Succeeded"),
        pod("other", "abroad", "reviews", "10.1.0.4").replace("spec: {serviceAccountName", ports),
    );
    assert_eq!(endpoints(&compile(&text), "10.0.0.1:80"), ["10.1.0.1:9999 a"]);
}

#[test]
fn workloads_are_known_by_address_and_identity() {
    let owned = pod("shop", "reviews-5b8f-x1", "reviews", "10.1.0.1").replace(
        "  labels: {app: reviews}",
        "  labels: {app: reviews, pod-template-hash: 5b8f, version: v1, app.kubernetes.io/version: '2'}\n  \
         ownerReferences: [{kind: ReplicaSet, name: reviews-5b8f, controller: true}]",
    );
    let plain = pod("shop", "outside", "web", "10.1.0.2").replace("enabled", "disabled");
    let world = compile(&format!("{GATEWAY}{owned}{plain}"));
    let workload = world.snapshot.workload([10, 1, 0, 1].into()).unwrap();
    assert_eq!(
        (workload.kind.as_str(), workload.name.as_str()),
        ("deployment", "reviews")
    );
    assert_eq!(
        (workload.canonical_name.as_str(), workload.canonical_revision.as_str()),
        ("reviews", "2")
    );
    assert!(workload.hbone);
    let identity = SpiffeId::of("cluster.local", "shop", "reviews").unwrap();
    assert_eq!(workload.identity.as_ref(), Some(&identity));
    assert!(Arc::ptr_eq(
        workload,
        world.snapshot.workload_by_identity(&identity).unwrap()
    ));
    let outside = world.snapshot.workload([10, 1, 0, 2].into()).unwrap();
    assert!(!outside.hbone && outside.identity.is_none());
}

#[test]
fn what_did_not_change_survives_a_compile() {
    let mut compiler = Compiler::new(Scope::default());
    let base = format!(
        "{GATEWAY}{}{}{}",
        service("shop", "reviews", "10.0.0.1", ""),
        pod("shop", "a", "reviews", "10.1.0.1"),
        pod("shop", "b", "reviews", "10.1.0.2")
    );
    let before = compile_by(&mut compiler, &base);
    let id = before.id("10.0.0.1:80");
    let cluster = before.snapshot.cluster(id).unwrap();
    cluster.endpoints[0].in_flight.store(7, Ordering::Relaxed);
    let changed = base.replace("name: b\n", "name: b2\n");
    let changed = changed + &service("shop", "aaa", "10.0.0.9", "");
    let after = compile_by(&mut compiler, &changed);
    assert_eq!(after.snapshot.generation, 2);
    assert_eq!(after.id("10.0.0.1:80"), id);
    let now = after.snapshot.cluster(id).unwrap();
    assert!(Arc::ptr_eq(&cluster.endpoints[0], &now.endpoints[0]));
    assert!(
        !Arc::ptr_eq(&cluster.endpoints[1], &now.endpoints[1]),
        "another pod has the address now"
    );
    assert_ne!(after.id("10.0.0.9:80"), id);
}

#[test]
fn mesh_config_is_read_and_the_flag_goes_before_it() {
    let config = |namespace: &str| {
        format!(
            "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: istio, namespace: {namespace}}}\ndata:\n  mesh: |\n    \
             trustDomain: td1\n    trustDomainAliases: [td2]\n    rootNamespace: {namespace}\n    \
             pathNormalization: {{normalization: NONE}}\n    accessLogFile: /dev/stdout\n    accessLogEncoding: JSON\n"
        )
    };
    for namespace in ["istio-system", "roots"] {
        let world = compile(&format!("{GATEWAY}{}", config(namespace)));
        let settings = &world.snapshot.settings;
        assert_eq!(
            (settings.trust.own.as_str(), settings.trust.aliases.as_slice()),
            ("td1", &["td2".to_owned()][..])
        );
        assert_eq!(settings.root_namespace, namespace);
        assert_eq!(settings.path_mode, request::Mode::None);
        assert_eq!(settings.access_log.as_deref(), Some("JSON"));
    }
    let scope = Scope {
        trust_domain: Some("flag".to_owned()),
        ..Scope::default()
    };
    let world = compile_by(
        &mut Compiler::new(scope),
        &format!("{GATEWAY}{}", config("istio-system")),
    );
    assert_eq!(world.snapshot.settings.trust.own, "flag");
    assert_eq!(world.warnings().len(), 1);
}

#[test]
fn the_dump_tells_services_rules_and_endpoints() {
    let text = format!(
        "{GATEWAY}{}{}",
        service("shop", "reviews", "10.0.0.1", ""),
        pod("shop", "a", "reviews", "10.1.0.1")
    );
    let world = compile(&text);
    let dump = world.snapshot.dump(0);
    let service = &dump["services"][0];
    assert_eq!(service["host"], "reviews.shop.svc.cluster.local");
    assert_eq!(service["addresses"][0], "10.0.0.1");
    assert_eq!(service["endpoints"][0]["address"], "10.1.0.1:8080");
    assert_eq!(
        service["rules"][0]["backends"][0]["target"],
        "reviews.shop.svc.cluster.local:80"
    );
    assert_eq!(world.port("10.0.0.1:80").unwrap().protocol, Protocol::Http);
}
