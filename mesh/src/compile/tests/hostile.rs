//! Whatever stands in a file: findings, never a panic, and never a rule that was not meant.

use super::world::{GATEWAY, compile, route, service};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Manifests with one part replaced by something else.
fn mutated() -> impl Strategy<Value = String> {
    let base = format!(
        "{GATEWAY}{}{}",
        service("shop", "reviews", "10.0.0.1", ""),
        route(
            "shop",
            "r",
            "{group: '', kind: Service, name: reviews, port: 80}",
            "{name: n, matches: [{path: {type: Exact, value: /a}, headers: [{name: a, value: b}]}], \
             filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x, value: y}]}}], \
             backendRefs: [{name: reviews, port: 80, weight: 1}], timeouts: {request: 1s}, retry: {attempts: 1}}"
        )
    );
    let base = base
        + "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v, namespace: shop}\n\
           spec: {hosts: [reviews, '*'], exportTo: ['.'], gateways: [mesh], http: [{match: [{uri: {prefix: /b}, \
           headers: {a: {exact: b}}, port: 80}], route: [{destination: {host: reviews, port: {number: 80}}, weight: 1, \
           headers: {request: {set: {x: y}, remove: [z]}}}], fault: {delay: {percentage: {value: 1.5}, fixedDelay: 1s}}, \
           retries: {attempts: 1, retryOn: '5xx,429'}, rewrite: {uri: /c}, mirrors: [{destination: {host: reviews}}]}, \
           {redirect: {uri: /d, redirectCode: 302}}], tls: [{match: [{sniHosts: [a.b]}], route: [{destination: \
           {host: reviews}}]}]}\n";
    let junk = prop_oneof![
        Just("{}".to_owned()),
        Just("[]".to_owned()),
        Just("null".to_owned()),
        Just("-1".to_owned()),
        Just("1e400".to_owned()),
        Just("*a".to_owned()),
        Just("\"\\u0000\"".to_owned()),
        Just("\n---\n".to_owned()),
        "\\PC{0,12}",
    ];
    (0..base.len(), 0..24_usize, junk).prop_map(move |(start, length, junk)| {
        let cut: String = base.chars().skip(start + length).collect();
        let kept: String = base.chars().take(start).collect();
        format!("{kept}{junk}{cut}")
    })
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|n| json!(n)),
        "\\PC{0,8}".prop_map(Value::from),
    ];
    let names = prop::sample::select(vec![
        "name",
        "kind",
        "group",
        "port",
        "type",
        "value",
        "matches",
        "headers",
        "path",
        "filters",
        "backendRefs",
        "rules",
        "parentRefs",
        "targetRefs",
        "jwtRules",
        "from",
        "to",
        "when",
        "listeners",
        "ports",
        "selector",
        "clusterIP",
        "weight",
        "timeouts",
        "retry",
        "requestMirror",
        "urlRewrite",
        "requestRedirect",
        "backendRef",
        "host",
        "subsets",
        "labels",
        "trafficPolicy",
        "loadBalancer",
        "consistentHash",
        "connectionPool",
        "http",
        "outlierDetection",
        "portLevelSettings",
        "metadata",
        "spec",
        "hosts",
        "http",
        "match",
        "uri",
        "prefix",
        "route",
        "destination",
        "host",
        "fault",
        "delay",
        "percentage",
    ]);
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(names.clone(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_text_is_read_without_panic(text in "(?s).{0,200}") {
        let world = compile(&text);
        let _ = world.snapshot.dump(0);
    }

    #[test]
    fn mutated_manifests_are_read_without_panic(text in mutated()) {
        let world = compile(&text);
        for finding in &world.findings {
            prop_assert!(finding.to_string().lines().count() == 1, "{finding}");
        }
    }

    #[test]
    fn any_spec_is_read_without_panic(spec in json_value(), kind in 0..12_usize) {
        let (api, kind) = [
            ("v1", "Service"), ("v1", "Pod"), ("v1", "ConfigMap"), ("discovery.k8s.io/v1", "EndpointSlice"),
            ("gateway.networking.k8s.io/v1", "Gateway"), ("gateway.networking.k8s.io/v1", "HTTPRoute"), ("networking.istio.io/v1", "VirtualService"),
            ("gateway.networking.k8s.io/v1", "GRPCRoute"), ("gateway.networking.k8s.io/v1beta1", "ReferenceGrant"),
            ("security.istio.io/v1", "AuthorizationPolicy"), ("security.istio.io/v1", "RequestAuthentication"), ("v1", "Secret"),
            ("networking.istio.io/v1", "DestinationRule"),
        ][kind];
        let object = json!({"apiVersion": api, "kind": kind, "metadata": {"name": "x", "namespace": "shop"},
            "spec": spec.clone(), "status": spec.clone(), "data": spec.clone(), "endpoints": spec});
        let resources = crate::Resources::from_json([object]);
        let (snapshot, _) = crate::Compiler::new(crate::Scope::default()).compile(&resources);
        let _ = snapshot.dump(0);
    }
}

#[test]
fn ten_thousand_routes_compile() {
    const COUNT: usize = 10_000;
    let route = |n: usize| {
        let path = format!("/p{n}");
        json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": {"name": format!("r{n}"), "namespace": "shop"},
            "spec": {"parentRefs": [{"group": "", "kind": "Service", "name": "reviews"}], "rules": [
                {"matches": [{"path": {"type": "Exact", "value": path}}], "backendRefs": [{"name": "reviews", "port": 80}]}]}})
    };
    let service = json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "reviews", "namespace": "shop", "labels": {"istio.io/use-waypoint": "waypoint"}},
        "spec": {"clusterIP": "10.0.0.1", "ports": [{"name": "http", "port": 80}]}});
    let gateway = json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
        "metadata": {"name": "waypoint", "namespace": "shop"},
        "spec": {"gatewayClassName": "istio-waypoint", "listeners": [{"protocol": "HBONE", "port": 15008}]}});
    let resources = crate::Resources::from_json((0..COUNT).map(route).chain([service, gateway]));
    let (snapshot, findings) = crate::Compiler::new(crate::Scope::default()).compile(&resources);
    assert!(findings.is_empty());
    assert_eq!(snapshot.service_ports()[0].rules("shop").len(), COUNT);
}

#[test]
fn lists_beyond_the_limits_of_the_crds_are_cut() {
    let parent = "{group: '', kind: Service, name: reviews}";
    let to = "backendRefs: [{name: reviews, port: 80}]";
    let base = |rules: &str| {
        let service = service("shop", "reviews", "10.0.0.1", "");
        compile(&format!("{GATEWAY}{service}{}", route("shop", "r", parent, rules)))
    };
    let matches = |from: usize, count: usize| {
        let each = (from..from + count).map(|n| format!("{{path: {{value: /m{n}}}}}"));
        format!("matches: [{}]", each.collect::<Vec<_>>().join(", "))
    };
    let rules: Vec<String> = (0..17).map(|n| format!("{{{}, {to}}}", matches(n, 1))).collect();
    let world = base(&rules.join(", "));
    let get = |path| world.get("10.0.0.1:80", path, "shop");
    assert_eq!(
        (get("/m15").as_str(), get("/m16").as_str()),
        ("reviews.shop:80*1", "404")
    );
    assert_eq!(world.errors().len(), 1, "{:?}", world.errors());

    let three = [0, 60, 120].map(|from| format!("{{{}, {to}}}", matches(from, 60)));
    let world = base(&three.join(", "));
    let get = |path| world.get("10.0.0.1:80", path, "shop");
    assert_eq!(
        (get("/m127").as_str(), get("/m128").as_str()),
        ("reviews.shop:80*1", "404")
    );
    assert_eq!(world.errors().len(), 1, "{:?}", world.errors());

    // A match that would ask for less, a rule that would do less: neither is in force.
    let headers: Vec<String> = (0..17).map(|n| format!("{{name: x-{n}, value: a}}")).collect();
    let set = headers.join(", ");
    let world = base(&format!(
        "{{matches: [{{path: {{value: /h}}, headers: [{set}]}}], {to}}}, \
         {{matches: [{{path: {{value: /f}}}}], {to}, \
         filters: [{{type: RequestHeaderModifier, requestHeaderModifier: {{set: [{set}]}}}}]}}"
    ));
    let get = |path| world.get("10.0.0.1:80", path, "shop");
    assert_eq!((get("/h").as_str(), get("/f").as_str()), ("404", "500"));
    assert_eq!(world.errors().len(), 2, "{:?}", world.errors());
}

#[test]
fn regular_expressions_of_one_object_are_bounded_together() {
    let parent = "{group: '', kind: Service, name: reviews}";
    let bomb = "{path: {type: RegularExpression, value: '/(a{500}|b{300}){20}'}}";
    let bombs = [bomb; 60].join(", ");
    let rules = format!(
        "{{matches: [{bombs}], backendRefs: [{{name: reviews, port: 80}}]}}, \
         {{matches: [{{path: {{value: /ok}}}}], backendRefs: [{{name: reviews, port: 80}}]}}"
    );
    let service = service("shop", "reviews", "10.0.0.1", "");
    let world = compile(&format!("{GATEWAY}{service}{}", route("shop", "r", parent, &rules)));
    assert_eq!(world.get("10.0.0.1:80", "/ok", "shop"), "reviews.shop:80*1");
    assert!(world.errors().len() > 30, "{:?}", world.errors());
}
