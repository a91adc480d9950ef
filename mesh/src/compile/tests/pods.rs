//! Pods that are addressed by themselves: which are ours, what is spoken there, what applies.

use super::world::{GATEWAY, World, compile, pod, route, service};
use routing::Protocol;
use std::sync::Arc;

fn mesh(waypoint_for: &str, more: &str) -> World {
    let gateway = GATEWAY.replace(
        "name: waypoint, namespace: shop}",
        &format!("name: waypoint, namespace: shop, labels: {{istio.io/waypoint-for: {waypoint_for}}}}}"),
    );
    compile(&format!(
        "{gateway}{}{}{}{more}",
        service("shop", "reviews", "10.0.0.1", ""),
        pod("shop", "a", "reviews", "10.1.0.1"),
        pod("other", "far", "far", "10.1.9.1"),
    ))
}

fn labelled(name: &str, ip: &str, labels: &str) -> String {
    pod("shop", name, "x", ip).replace("labels: {app: x}", &format!("labels: {{{labels}}}"))
}

#[test]
fn a_pod_is_ours_when_the_waypoint_is_for_workloads() {
    for (waypoint_for, pods, services) in [
        ("service", false, true),
        ("none", false, false),
        ("workload", true, false),
        ("all", true, true),
    ] {
        let world = mesh(waypoint_for, "");
        assert_eq!(world.port("10.1.0.1:9090").is_some(), pods, "{waypoint_for}");
        let is_endpoint = world.port("10.1.0.1:8080").is_some();
        assert_eq!(is_endpoint, pods || services, "{waypoint_for}");
        assert_eq!(world.port("10.0.0.1:80").is_some(), services, "{waypoint_for}");
        assert!(world.port("10.1.9.1:8080").is_none(), "another namespace");
        assert!(world.port("10.1.0.9:8080").is_none(), "nobody's address");
    }
    let unlabelled = compile(&format!("{GATEWAY}{}", pod("shop", "a", "x", "10.1.0.1")));
    assert!(unlabelled.port("10.1.0.1:80").is_none(), "the default is service");
    assert!(unlabelled.findings.is_empty(), "{:?}", unlabelled.findings);
}

#[test]
fn labels_of_the_pod_go_before_its_namespaces() {
    let pods = labelled("out", "10.1.0.2", "istio.io/use-waypoint: none")
        + &labelled(
            "gateway",
            "10.1.0.3",
            "gateway.networking.k8s.io/gateway-name: waypoint",
        )
        + &pod("other", "in", "x", "10.1.9.2").replace(
            "labels: {app: x}",
            "labels: {istio.io/use-waypoint: waypoint, istio.io/use-waypoint-namespace: shop}",
        )
        + &pod("shop", "gone", "x", "10.1.0.4").replace("phase: Running", "phase: Succeeded");
    let world = mesh("all", &pods);
    for address in ["10.1.0.2:80", "10.1.0.3:15008", "10.1.9.2:80", "10.1.0.4:80"] {
        assert!(world.port(address).is_none(), "{address}");
    }
    let open = GATEWAY.replace(
        "protocol: HBONE",
        "protocol: HBONE, allowedRoutes: {namespaces: {from: All}}",
    );
    let open = open.replace(
        "namespace: shop}\nspec",
        "namespace: shop, labels: {istio.io/waypoint-for: all}}\nspec",
    );
    assert!(compile(&(open + &pods)).port("10.1.9.2:80").is_some());
}

#[test]
fn every_port_leads_to_that_pod_alone_and_routes_of_its_service_do_not_apply() {
    let rules = "{matches: [{path: {value: /a}}], backendRefs: [{name: gone, port: 80}]}";
    let parent = "{group: '', kind: Service, name: reviews}";
    let more = pod("shop", "b", "reviews", "10.1.0.2") + &route("shop", "r", parent, rules);
    let world = mesh("all", &more);
    assert_eq!(world.get("10.0.0.1:80", "/b", "shop"), "404");
    for (authority, protocol) in [
        ("10.1.0.1:8080", Protocol::Http),
        ("10.1.0.1:9090", Protocol::Detect),
        ("10.1.0.1:3306", Protocol::Tcp),
    ] {
        assert_eq!(world.get(authority, "/b", "shop"), format!("{authority}*1"));
        let port = world.port(authority).unwrap();
        assert_eq!(
            (port.protocol, &*port.host, &*port.namespace),
            (protocol, "", "shop"),
            "{authority}"
        );
    }
}

#[test]
fn the_services_endpoint_and_the_pods_are_one() {
    let world = mesh("all", "");
    let by_service = world.own_cluster("10.0.0.1:80");
    let by_pod = world.own_cluster("10.1.0.1:8080");
    assert!(Arc::ptr_eq(&by_service.endpoints[0], &by_pod.endpoints[0]));
    assert_eq!(world.own_cluster("10.1.0.1:81").endpoints[0].workload.pod, "a");
}

#[test]
fn policies_of_the_gateway_bind_and_those_of_the_service_do_not() {
    let policy = |name: &str, kind: &str, group: &str, target: &str| {
        format!(
            "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: {name}, namespace: shop}}\n\
             spec: {{targetRefs: [{{kind: {kind}, group: {group}, name: {target}}}], action: DENY, rules: [{{}}]}}\n"
        )
    };
    let authn = "---\napiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {name: jwt, namespace: shop}\n\
                 spec: {targetRefs: [{kind: Gateway, group: gateway.networking.k8s.io, name: waypoint}], jwtRules: [{issuer: a, jwksUri: 'https://a/keys'}]}\n";
    let bound = |more: &str, address: &str| {
        let world = mesh("all", more);
        let dump = world.snapshot.dump(0);
        let policies = dump["pods"][0]["policies"].as_array().unwrap().len();
        (
            world.port(address).unwrap().policies.is_empty(),
            policies,
            world.snapshot.key_sources().len(),
        )
    };
    let on_gateway = policy("g", "Gateway", "gateway.networking.k8s.io", "waypoint") + authn;
    assert_eq!(bound(&on_gateway, "10.1.0.1:8080"), (false, 2, 1));
    assert_eq!(bound(&on_gateway, "10.0.0.1:80"), (false, 2, 1));
    let alone = mesh("workload", authn);
    assert_eq!(
        alone.snapshot.key_sources().len(),
        1,
        "keys are fetched for pods alone, too"
    );
    let on_service = policy("s", "Service", "''", "reviews");
    assert_eq!(bound(&on_service, "10.1.0.1:8080"), (true, 0, 0));
    assert_eq!(bound(&on_service, "10.0.0.1:80"), (false, 0, 0));
}

fn on_service(name: &str, service: &str, rule: &str) -> String {
    format!(
        "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: {name}, namespace: shop}}\n\
         spec: {{targetRefs: [{{kind: Service, group: '', name: {service}}}], action: DENY, rules: [{rule}]}}\n"
    )
}

#[test]
fn an_endpoint_is_served_without_routes_and_judged_as_its_service() {
    let rules = "{matches: [{path: {value: /a}}], backendRefs: [{name: gone, port: 80}]}";
    let parent = "{group: '', kind: Service, name: reviews}";
    let more = route("shop", "r", parent, rules) + &on_service("p", "reviews", "{}");
    let world = mesh("service", &more);
    assert_eq!(world.get("10.0.0.1:80", "/b", "shop"), "404");
    assert_eq!(world.get("10.1.0.1:8080", "/b", "shop"), "10.1.0.1:8080*1");
    let (by_service, by_pod) = (world.port("10.0.0.1:80").unwrap(), world.port("10.1.0.1:8080").unwrap());
    assert!(Arc::ptr_eq(&by_service.policies, &by_pod.policies) && !by_pod.policies.is_empty());
    assert!(Arc::ptr_eq(&by_service.authn, &by_pod.authn));
    // Policies name the Service's port and address: a pod's must not be a way around them.
    assert_eq!((by_pod.port, by_pod.judged_at), (80, Some([10, 0, 0, 1].into())));
    assert_eq!((by_pod.protocol, &*by_pod.host), (Protocol::Http, ""));
    assert!(
        world.port("10.1.0.1:80").is_none(),
        "the Service's port is no port of the pod"
    );
}

#[test]
fn an_endpoint_of_a_service_that_asks_an_authoriser_is_served_by_the_service_only() {
    let parent = "{group: '', kind: Service, name: reviews}";
    let auth =
        |backend: &str| format!("{{type: ExternalAuth, externalAuth: {{protocol: GRPC, backendRef: {{{backend}}}}}}}");
    let rule = |filter: &str| format!("{{filters: [{filter}], backendRefs: [{{name: reviews, port: 80}}]}}");
    let of_backend = |filter: &str| format!("{{backendRefs: [{{name: reviews, port: 80, filters: [{filter}]}}]}}");
    let served = |rules: &str| {
        let world = mesh("service", &route("shop", "r", parent, rules));
        assert!(world.port("10.0.0.1:80").is_some(), "{rules}");
        world.port("10.1.0.1:8080").is_some()
    };
    let header = "{type: RequestHeaderModifier, requestHeaderModifier: {remove: [x]}}";
    assert!(served(&rule(header)) && served(&of_backend(header)));
    // Where nobody can be asked the Service answers 500: the pod's own address must not be a way around that.
    for filter in [
        &auth("name: reviews, port: 80"),
        &auth("name: gone, port: 80"),
        &auth("name: reviews"),
        &auth(""),
        "{type: ExternalAuth}",
        "{type: ExtensionRef, extensionRef: {group: a, kind: Guard, name: b}}",
    ] {
        assert!(!served(&rule(filter)), "{filter}");
        assert!(!served(&of_backend(filter)), "{filter}");
        let unmatched = rule(filter).replacen('{', "{matches: [{path: {type: RegularExpression, value: '('}}], ", 1);
        assert!(!served(&unmatched), "{unmatched}");
    }
}

#[test]
fn services_that_share_an_endpoint_must_judge_alike() {
    let twin = |port: &str| {
        service("shop", "twin", "10.0.0.2", "")
            .replace("app: twin", "app: reviews")
            .replace("port: 80,", port)
    };
    let served = |more: String| mesh("service", &more).port("10.1.0.1:8080").is_some();
    assert!(served(twin("port: 80,")), "no policies at all");
    assert!(served(twin("port: 81,")), "nor anything that could ask for a port");
    assert!(
        !served(twin("port: 80,") + &on_service("p", "twin", "{}")),
        "one is judged"
    );
    assert!(!served(
        twin("port: 80,") + &on_service("p", "twin", "{}") + &on_service("q", "reviews", "{}")
    ));
    let general = on_service("p", "waypoint", "{}").replace(
        "kind: Service, group: ''",
        "kind: Gateway, group: gateway.networking.k8s.io",
    );
    assert!(
        !served(twin("port: 81,") + &general),
        "the same policies may ask for the port"
    );
    let authn = "---\napiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {name: jwt, namespace: shop}\n\
                 spec: {targetRefs: [{kind: Service, group: '', name: twin}], jwtRules: [{issuer: a, jwksUri: 'https://a/keys'}]}\n";
    assert!(!served(twin("port: 80,") + authn), "one verifies tokens");
    let foreign = twin("port: 80,").replace(
        "namespace: shop, }",
        "namespace: shop, labels: {istio.io/use-waypoint: none}}",
    );
    assert!(foreign.contains("none"), "{foreign}");
    assert!(
        served(foreign + &on_service("p", "twin", "{}")),
        "a Service that is not ours has no say"
    );
}

#[test]
fn a_waypoint_has_no_waypoint() {
    let own = service("shop", "waypoint", "10.0.0.9", "").replace("port: 80, targetPort: 8080", "port: 15008");
    let own = own + &pod("shop", "w", "waypoint", "10.1.0.9");
    let labels = "labels: {gateway.networking.k8s.io/gateway-name: ingress}";
    let other = service("shop", "ingress", "10.0.0.8", labels) + &pod("shop", "i", "ingress", "10.1.0.8");
    let world = mesh("service", &(own + &other));
    for address in ["10.0.0.9:15008", "10.1.0.9:15008", "10.0.0.8:80", "10.1.0.8:8080"] {
        assert!(world.port(address).is_none(), "{address}");
    }
}
