//! Which endpoints are near: by Service, DestinationRule and mesh, from what Pods, Nodes and slices tell.

use super::world::{GATEWAY, World, compile_by, pod, service};
use crate::{Compiler, Scope};

/// Nodes n1 (us/us-1), n2 (us/us-2), n3 (eu/eu-1) and n4 (asia/asia-1).
fn nodes() -> String {
    let node = |(name, region, zone)| {
        format!(
            "---\napiVersion: v1\nkind: Node\nmetadata: {{name: {name}, labels: {{topology.kubernetes.io/region: {region}, \
             topology.kubernetes.io/zone: {zone}}}}}\n"
        )
    };
    let all = [
        ("n1", "us", "us-1"),
        ("n2", "us", "us-2"),
        ("n3", "eu", "eu-1"),
        ("n4", "asia", "asia-1"),
    ];
    all.map(node).concat()
}

/// Service reviews with an endpoint 10.1.0.N on each node nN.
fn mesh(service_spec: &str, rule: &str) -> String {
    let service = service("shop", "reviews", "10.0.0.1", "").replace("spec: {", &format!("spec: {{{service_spec}"));
    let endpoints: String = (1..=4)
        .map(|n| format!("- {{addresses: [10.1.0.{n}], nodeName: n{n}}}\n"))
        .collect();
    let slice = format!(
        "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\naddressType: IPv4\n\
         metadata: {{name: s, namespace: shop, labels: {{kubernetes.io/service-name: reviews}}}}\n\
         ports: [{{name: http, port: 8080}}]\nendpoints:\n{endpoints}"
    );
    let rule = if rule.is_empty() {
        String::new()
    } else {
        format!(
            "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: r, namespace: shop}}\n\
             spec: {{host: reviews, trafficPolicy: {{{rule}}}}}\n"
        )
    };
    format!("{GATEWAY}{}{service}{slice}{rule}", nodes())
}

fn on(node: &str) -> Scope {
    Scope {
        node: Some(node.to_owned()),
        ..Scope::default()
    }
}

fn world(scope: Scope, text: &str) -> World {
    compile_by(&mut Compiler::new(scope), text)
}

/// `1.2` is the endpoint 10.1.0.1 of priority 2.
fn priorities(world: &World) -> String {
    let cluster = world.own_cluster("10.0.0.1:80");
    let mut all: Vec<String> = cluster
        .endpoints
        .iter()
        .map(|one| format!("{}.{}", &one.address.ip().to_string()[7..], one.priority))
        .collect();
    all.sort();
    all.join(" ")
}

const OUTLIERS: &str = "outlierDetection: {}";

#[test]
fn a_service_prefers_its_zone_or_node() {
    for (spec, wanted) in [
        ("", "1.0 2.0 3.0 4.0"),
        ("trafficDistribution: PreferClose, ", "1.0 2.1 3.2 4.2"),
        ("trafficDistribution: PreferSameZone, ", "1.0 2.1 3.2 4.2"),
        ("trafficDistribution: PreferSameNode, ", "1.0 2.1 3.2 4.2"),
        ("internalTrafficPolicy: Cluster, ", "1.0 2.0 3.0 4.0"),
        ("internalTrafficPolicy: Local, ", "1.0"),
    ] {
        assert_eq!(priorities(&world(on("n1"), &mesh(spec, ""))), wanted, "{spec}");
    }
    let annotated = mesh("", "").replace(
        "namespace: shop, }",
        "namespace: shop, annotations: {networking.istio.io/traffic-distribution: PreferClose}}",
    );
    assert_eq!(priorities(&world(on("n2"), &annotated)), "1.1 2.0 3.2 4.2");
    // In a zone of its own, the node does not matter for one and does for the other.
    let scope = Scope {
        zone: Some("us-1".to_owned()),
        region: Some("us".to_owned()),
        ..on("n9")
    };
    for (word, wanted) in [
        ("PreferSameZone", "1.0 2.1 3.2 4.2"),
        ("PreferSameNode", "1.0 2.1 3.2 4.2"),
    ] {
        let text = mesh(&format!("trafficDistribution: {word}, "), "");
        assert_eq!(priorities(&world(scope.clone(), &text)), wanted, "{word}");
    }
    let bad = world(
        on("n1"),
        &mesh("trafficDistribution: Near, internalTrafficPolicy: Remote, ", ""),
    );
    assert_eq!(bad.errors().len(), 2, "{:?}", bad.errors());
    assert_eq!(priorities(&bad), "1.0 2.0 3.0 4.0");
}

#[test]
fn who_does_not_know_its_place_prefers_nothing() {
    let close = mesh("trafficDistribution: PreferClose, ", OUTLIERS);
    assert_eq!(priorities(&world(Scope::default(), &close)), "1.0 2.0 3.0 4.0");
    let local = world(Scope::default(), &mesh("internalTrafficPolicy: Local, ", ""));
    assert_eq!(priorities(&local), "1.0 2.0 3.0 4.0");
    assert!(
        local.warnings()[0].starts_with("spec.internalTrafficPolicy"),
        "{:?}",
        local.warnings()
    );
}

#[test]
fn the_waypoints_own_pod_tells_where_it_is() {
    let text = mesh("trafficDistribution: PreferClose, ", "");
    let own = |labels: &str, node: &str| {
        let node = format!("spec: {{nodeName: {node}, serviceAccountName");
        pod("shop", "waypoint-1", "waypoint", "10.2.0.1")
            .replace("labels: {app: waypoint}", &format!("labels: {{app: waypoint{labels}}}"))
            .replace("spec: {serviceAccountName", &node)
    };
    let by_name = Scope {
        namespace: Some("shop".to_owned()),
        pod: Some("waypoint-1".to_owned()),
        ..Scope::default()
    };
    let by_ip = Scope {
        ip: Some([10, 2, 0, 1].into()),
        ..Scope::default()
    };
    for (labels, node, wanted) in [
        ("", "n3", "1.1 2.1 3.0 4.1"),
        (
            ", topology.kubernetes.io/region: us, topology.kubernetes.io/zone: us-2",
            "n9",
            "1.1 2.0 3.2 4.2",
        ),
        (", istio-locality: us.us-2.rack-1", "n3", "1.1 2.0 3.2 4.2"),
    ] {
        for scope in [&by_name, &by_ip] {
            let world = world(scope.clone(), &format!("{text}{}", own(labels, node)));
            assert_eq!(priorities(&world), wanted, "{labels} {node}");
        }
    }
}

#[test]
fn outlier_detection_fails_over_by_region_and_zone() {
    let rule = |setting: &str| format!("{OUTLIERS}, loadBalancer: {{localityLbSetting: {{{setting}}}}}");
    for (setting, wanted) in [
        ("", "1.0 2.1 3.2 4.2"),
        ("enabled: false", "1.0 2.0 3.0 4.0"),
        ("failover: [{from: us, to: eu}]", "1.0 2.1 3.2 4.3"),
        ("failover: [{from: eu, to: asia}]", "1.0 2.1 3.2 4.2"),
        ("failoverPriority: [topology.kubernetes.io/region]", "1.0 2.0 3.1 4.1"),
        (
            "failoverPriority: ['topology.kubernetes.io/region=eu']",
            "1.1 2.1 3.0 4.1",
        ),
    ] {
        assert_eq!(
            priorities(&world(on("n1"), &mesh("", &rule(setting)))),
            wanted,
            "{setting}"
        );
    }
    assert_eq!(
        priorities(&world(on("n1"), &mesh("", OUTLIERS))),
        "1.0 2.1 3.2 4.2",
        "Istio's default"
    );
    let config = |text: &str| {
        format!(
            "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: istio, namespace: istio-system}}\ndata: {{mesh: '{text}'}}\n"
        )
    };
    let off = format!(
        "{}{}",
        mesh("", OUTLIERS),
        config("localityLbSetting: {enabled: false}")
    );
    assert_eq!(
        priorities(&world(on("n1"), &off)),
        "1.0 2.0 3.0 4.0",
        "the mesh's setting"
    );
    // Nobody would know that there is something to fail over from.
    let blind = world(
        on("n1"),
        &mesh(
            "",
            "loadBalancer: {localityLbSetting: {failover: [{from: us, to: eu}]}}",
        ),
    );
    assert_eq!(priorities(&blind), "1.0 2.0 3.0 4.0");
    let warned = blind.warnings();
    assert!(
        warned[0].starts_with("spec.trafficPolicy.loadBalancer.localityLbSetting"),
        "{warned:?}"
    );
}

#[test]
fn shares_by_locality() {
    let rule = "loadBalancer: {localityLbSetting: {distribute: [{from: 'us/*', to: {'us/us-1': 60, 'us/*': 30, eu/*: 10}}, \
                {from: '*', to: {'*': 100}}]}}";
    let world = world(on("n1"), &mesh("", rule));
    assert!(world.findings.is_empty(), "{:?}", world.findings);
    let cluster = world.own_cluster("10.0.0.1:80");
    let shares: Vec<_> = cluster
        .endpoints
        .iter()
        .map(|one| (one.address.ip().to_string(), one.weight))
        .collect();
    let wanted = [("10.1.0.1", 60_000), ("10.1.0.2", 30_000), ("10.1.0.3", 10_000)];
    assert_eq!(
        shares,
        wanted.map(|(ip, weight)| (ip.to_owned(), weight)),
        "asia is in none"
    );
}

#[test]
fn endpoints_that_end_are_the_last_resort() {
    let slice = |first: &str| {
        format!(
            "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\naddressType: IPv4\n\
             metadata: {{name: s, namespace: shop, labels: {{kubernetes.io/service-name: reviews}}}}\n\
             ports: [{{name: http, port: 8080}}]\nendpoints:\n\
             - {{addresses: [10.1.0.1], conditions: {first}}}\n\
             - {{addresses: [10.1.0.2], conditions: {{ready: false, serving: true, terminating: true}}}}\n\
             - {{addresses: [10.1.0.3], conditions: {{ready: false, serving: false, terminating: true}}}}\n\
             - {{addresses: [10.1.0.4], conditions: {{ready: false, serving: true}}}}\n"
        )
    };
    let base = format!("{GATEWAY}{}", service("shop", "reviews", "10.0.0.1", ""));
    for (first, wanted) in [("{ready: true}", "1.0"), ("{}", "1.0"), ("{ready: false}", "2.0")] {
        let world = world(Scope::default(), &format!("{base}{}", slice(first)));
        assert_eq!(priorities(&world), wanted, "{first}");
    }
}
