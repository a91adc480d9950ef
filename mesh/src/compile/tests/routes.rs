//! Which rule of which route applies to whom, and where it leads.

use super::world::{GATEWAY, compile, route, service};

const OWN: &str = "{group: '', kind: Service, name: reviews}";

fn mesh(routes: &str) -> String {
    format!(
        "{GATEWAY}{}{}{}{routes}",
        service("shop", "reviews", "10.0.0.1", ""),
        service("shop", "v2", "10.0.0.2", ""),
        service("other", "far", "10.0.9.1", "")
    )
}

#[test]
fn without_routes_a_service_leads_to_itself() {
    let world = compile(&mesh(""));
    assert_eq!(world.get("10.0.0.1:80", "/", "shop"), "reviews.shop:80*1");
    assert!(world.findings.is_empty(), "{:?}", world.findings);
}

#[test]
fn a_route_replaces_the_implicit_one() {
    let rules =
        "{matches: [{path: {value: /a}}], backendRefs: [{name: v2, port: 80, weight: 9}, {name: reviews, port: 80}]}";
    let world = compile(&mesh(&route("shop", "r", OWN, rules)));
    assert_eq!(
        world.get("10.0.0.1:80", "/a/b", "shop"),
        "v2.shop:80*9 reviews.shop:80*1"
    );
    assert_eq!(world.get("10.0.0.1:80", "/b", "shop"), "404");
    assert_eq!(world.get("10.0.0.2:80", "/b", "shop"), "v2.shop:80*1");
}

#[test]
fn invalid_backends_take_their_share() {
    let rules = "{backendRefs: [{name: v2, port: 80}, {name: gone, port: 80, weight: 2}, {name: v2, port: 81}, {name: v2}, \
                 {kind: Bucket, name: v2, port: 80}, {name: far, namespace: other, port: 80}]}";
    let world = compile(&mesh(&route("shop", "r", OWN, rules)));
    let want = "v2.shop:80*1 invalid*2 invalid*1 invalid*1 invalid*1 far.other:80*1";
    assert_eq!(world.get("10.0.0.1:80", "/", "shop"), want);
    assert_eq!(world.errors().len(), 4, "{:?}", world.errors());
}

#[test]
fn rules_that_cannot_be_applied_answer_500_and_the_others_serve() {
    let rules = "{matches: [{path: {value: /ext}}], filters: [{type: ExtensionRef, extensionRef: {name: x}}], backendRefs: [{name: v2, port: 80}]}, \
                 {matches: [{path: {value: /cors}}], filters: [{type: CORS, cors: {allowOrigins: ['*', 'https://a']}}], backendRefs: [{name: v2, port: 80}]}, \
                 {matches: [{path: {value: /be}}], backendRefs: [{name: v2, port: 80, filters: [{type: Odd}]}]}, \
                 {matches: [{path: {value: /none}}]}, \
                 {matches: [{path: {value: /ok}}], backendRefs: [{name: v2, port: 80}]}";
    let world = compile(&mesh(&route("shop", "r", OWN, rules)));
    for (path, want) in [
        ("/ext", "500"),
        ("/cors", "500"),
        ("/be", "invalid*1"),
        ("/none", "500"),
        ("/ok", "v2.shop:80*1"),
    ] {
        assert_eq!(world.get("10.0.0.1:80", path, "shop"), want, "{path}");
    }
}

#[test]
fn a_bad_match_matches_nothing_and_its_neighbours_match() {
    let rules = "{matches: [{path: {type: RegularExpression, value: '('}}], backendRefs: [{name: v2, port: 80}]}, \
                 {matches: [{method: get}, {path: {value: /a}, headers: [{name: 'x y', value: z}]}, {path: {value: /b}}], backendRefs: [{name: reviews, port: 80}]}";
    let world = compile(&mesh(&route("shop", "r", OWN, rules)));
    assert_eq!(world.get("10.0.0.1:80", "/b", "shop"), "reviews.shop:80*1");
    assert_eq!(world.get("10.0.0.1:80", "/a", "shop"), "404");
    assert_eq!(world.errors().len(), 3, "{:?}", world.errors());
}

#[test]
fn consumer_routes_replace_the_producers_for_their_namespace_only() {
    let parent = "{group: '', kind: Service, name: reviews, namespace: shop}";
    let text = mesh(
        &(route("shop", "producer", OWN, "{backendRefs: [{name: reviews, port: 80}]}")
            + &route(
                "other",
                "consumer",
                parent,
                "{matches: [{path: {value: /far}}], backendRefs: [{name: far, port: 80}]}",
            )),
    );
    let world = compile(&text);
    assert_eq!(world.get("10.0.0.1:80", "/far", "shop"), "reviews.shop:80*1");
    assert_eq!(world.get("10.0.0.1:80", "/far", "other"), "far.other:80*1");
    assert_eq!(world.get("10.0.0.1:80", "/near", "other"), "404");
}

#[test]
fn ports_and_sections_restrict() {
    let two = "---\napiVersion: v1\nkind: Service\nmetadata: {name: two, namespace: shop}\n\
               spec: {clusterIP: 10.0.0.3, ports: [{name: a, port: 80}, {name: b, port: 81}]}\n";
    let rules =
        |path: &str| format!("{{matches: [{{path: {{value: {path}}}}}], backendRefs: [{{name: v2, port: 80}}]}}");
    let text = mesh(&format!(
        "{two}{}{}{}",
        route(
            "shop",
            "by-port",
            "{group: '', kind: Service, name: two, port: 80}",
            &rules("/port")
        ),
        route(
            "shop",
            "by-name",
            "{group: '', kind: Service, name: two, sectionName: b}",
            &rules("/name")
        ),
        route(
            "shop",
            "neither",
            "{group: '', kind: Service, name: two, port: 82}",
            &rules("/x")
        ),
    ));
    let world = compile(&text);
    for (authority, path, want) in [
        ("10.0.0.3:80", "/port", "v2.shop:80*1"),
        ("10.0.0.3:80", "/name", "404"),
        ("10.0.0.3:81", "/name", "v2.shop:80*1"),
        ("10.0.0.3:81", "/port", "404"),
    ] {
        assert_eq!(world.get(authority, path, "shop"), want, "{authority}{path}");
    }
    assert_eq!(world.warnings(), ["spec.parentRefs[0]: Service two has no port 82"]);
}

#[test]
fn a_gateway_as_parent_means_all_its_services() {
    let parent = "{name: waypoint}";
    let world = compile(&mesh(&route(
        "shop",
        "all",
        parent,
        "{backendRefs: [{name: v2, port: 80}]}",
    )));
    assert_eq!(world.get("10.0.0.1:80", "/", "shop"), "v2.shop:80*1");
    assert!(world.port("10.0.9.1:80").is_none());
}

#[test]
fn grpc_routes_outrank_http_routes() {
    let grpc = route("shop", "grpc", OWN, "{backendRefs: [{name: v2, port: 80}]}").replace("HTTPRoute", "GRPCRoute");
    let world = compile(&mesh(
        &(route("shop", "http", OWN, "{backendRefs: [{name: reviews, port: 80}]}") + &grpc),
    ));
    assert_eq!(world.errors().len(), 1);
    let port = world.port("10.0.0.1:80").unwrap();
    let routes: Vec<&str> = port.rules("shop").iter().map(|rule| &*rule.route.name).collect();
    assert_eq!(routes, ["grpc"]);
}

#[test]
fn filters_timeouts_and_retries_are_data() {
    let rules = "{backendRefs: [{name: v2, port: 80}], timeouts: {request: 0s, backendRequest: 1m1s}, \
                 retry: {codes: [503, 200], attempts: 99, backoff: 5ms}, name: n, \
                 filters: [{type: RequestMirror, requestMirror: {backendRef: {name: v2, port: 80}, percent: 5}}, \
                 {type: RequestMirror, requestMirror: {backendRef: {name: gone, port: 80}}}]}";
    let world = compile(&mesh(&route("shop", "r", OWN, rules)));
    let port = world.port("10.0.0.1:80").unwrap();
    let rule = &port.rules("shop")[0];
    assert_eq!(rule.timeouts.request, None);
    assert_eq!(rule.timeouts.backend_request, Some(std::time::Duration::from_secs(61)));
    let retry = rule.retry.as_ref().unwrap();
    assert_eq!((retry.codes.as_slice(), retry.attempts), (&[503][..], 10));
    let mirrors: Vec<_> = rule
        .filters
        .mirrors
        .iter()
        .map(|m| (m.cluster.is_some(), m.numerator, m.denominator))
        .collect();
    assert_eq!(mirrors, [(true, 5, 100), (false, 1, 1)]);
}

#[test]
fn a_cors_filter_is_read_whole_or_answers_500() {
    let rule =
        |cors: &str| format!("{{filters: [{{type: CORS, cors: {{{cors}}}}}], backendRefs: [{{name: v2, port: 80}}]}}");
    let good = "allowOrigins: ['https://*.foo.com', 'http://a:8080'], allowMethods: [GET, PUT], allowHeaders: [x-a], \
                exposeHeaders: ['*'], allowCredentials: true, maxAge: 60";
    let world = compile(&mesh(&route("shop", "r", OWN, &rule(good))));
    let port = world.port("10.0.0.1:80").unwrap();
    let cors = port.rules("shop")[0].filters.cors.as_ref().unwrap();
    assert_eq!(
        (cors.origins.len(), cors.credentials, cors.max_age_seconds),
        (2, true, 60)
    );
    assert_eq!(cors.methods, routing::Listed::These("GET, PUT".parse().unwrap()));
    assert_eq!(world.errors().len(), 0, "{:?}", world.errors());
    assert_eq!(
        world.warnings().len(),
        1,
        "a star beside credentials: {:?}",
        world.warnings()
    );

    let world = compile(&mesh(&route("shop", "r", OWN, &rule(""))));
    let port = world.port("10.0.0.1:80").unwrap();
    let cors = port.rules("shop")[0].filters.cors.as_ref().unwrap();
    assert_eq!((cors.credentials, cors.max_age_seconds), (false, 5));

    for bad in [
        "allowOrigins: ['*', 'https://a']",
        "allowOrigins: [foo.com]",
        "allowOrigins: https://a",
        "allowOrigins: [1]",
        "allowMethods: [get]",
        "allowMethods: ['*', GET]",
        "allowHeaders: ['x y']",
        "allowHeaders: ['*', x]",
        "exposeHeaders: ['']",
        "allowCredentials: 'yes'",
        "maxAge: 0",
    ] {
        let world = compile(&mesh(&route("shop", "r", OWN, &rule(bad))));
        assert_eq!(world.get("10.0.0.1:80", "/", "shop"), "500", "{bad}");
        assert!(!world.errors().is_empty(), "{bad}");
    }
}

#[test]
fn a_backends_filters_are_checked_as_a_rules_are() {
    let rules = "{matches: [{path: {type: Exact, value: /a}}], backendRefs: [{name: v2, port: 80}, {name: v2, port: 80, filters: \
                 [{type: RequestRedirect, requestRedirect: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /b}}}]}]}";
    let world = compile(&mesh(&route("shop", "r", OWN, rules)));
    assert_eq!(world.get("10.0.0.1:80", "/a", "shop"), "v2.shop:80*1 invalid*1");
    assert_eq!(world.errors().len(), 1, "{:?}", world.errors());
}

#[test]
fn grpc_routes_have_fewer_filters() {
    let rules =
        "{filters: [{type: RequestRedirect, requestRedirect: {hostname: a.b}}], backendRefs: [{name: v2, port: 80}]}";
    let text = route("shop", "r", OWN, rules).replace("HTTPRoute", "GRPCRoute");
    let world = compile(&mesh(&text));
    assert_eq!(world.get("10.0.0.1:80", "/a/b", "shop"), "500");
}

#[test]
fn of_equal_header_names_the_first_counts() {
    let rules = "{filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-a, value: one}, {name: X-A, value: two}], \
                 add: [{name: x-a, value: three}]}}], backendRefs: [{name: v2, port: 80}]}";
    let world = compile(&mesh(&route("shop", "r", OWN, rules)));
    let port = world.port("10.0.0.1:80").unwrap();
    let modifier = port.rules("shop")[0].filters.request_headers.clone().unwrap();
    assert_eq!((modifier.set.len(), modifier.add.len()), (1, 1));
    assert_eq!(modifier.set[0].1, "one");
    assert_eq!(world.warnings().len(), 1, "{:?}", world.warnings());
}
