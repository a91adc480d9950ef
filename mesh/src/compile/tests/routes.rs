//! Which rule of which route applies to whom, and where it leads.

use super::world::{GATEWAY, World, compile, route, service};

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

const ON_GATEWAY: &str = "{kind: Gateway, name: waypoint, namespace: shop}";

fn two_services(more: &str) -> World {
    let far = service("far", "store", "10.0.9.1", "");
    compile(&format!(
        "{GATEWAY}{}{}{far}{more}",
        service("shop", "reviews", "10.0.0.1", ""),
        service("shop", "ratings", "10.0.0.2", "")
    ))
}

#[test]
fn a_route_on_the_gateway_shapes_all_its_services_but_those_with_their_own() {
    let to = |name: &str| format!("{{backendRefs: [{{name: {name}, port: 80}}]}}");
    let general = route("shop", "general", ON_GATEWAY, &to("reviews"));
    let world = two_services(&general);
    assert_eq!(world.get("10.0.0.1:80", "/", "shop"), "reviews.shop:80*1");
    assert_eq!(world.get("10.0.0.2:80", "/", "shop"), "reviews.shop:80*1");
    assert!(world.findings.is_empty(), "{:?}", world.findings);
    let own = route(
        "shop",
        "own",
        "{group: core, kind: Service, name: ratings}",
        &to("ratings"),
    );
    let world = two_services(&(general.clone() + &own));
    assert_eq!(world.get("10.0.0.2:80", "/", "shop"), "ratings.shop:80*1");
    assert_eq!(world.get("10.0.0.1:80", "/", "shop"), "reviews.shop:80*1");
    // A consumer's route is for its own namespace; everybody else has the Gateway's.
    let consumer = route(
        "web",
        "c",
        "{group: '', kind: Service, name: ratings, namespace: shop}",
        "{}",
    );
    let world = two_services(&(general + &consumer));
    assert_eq!(world.get("10.0.0.2:80", "/", "web"), "500");
    assert_eq!(world.get("10.0.0.2:80", "/", "shop"), "reviews.shop:80*1");
}

#[test]
fn a_gateway_admits_routes_by_its_listener() {
    let rules = "{backendRefs: [{name: reviews, port: 80, namespace: shop}]}";
    for (parent, namespace, why) in [
        (
            "{kind: Gateway, name: waypoint, sectionName: mesh, port: 15008}",
            "shop",
            "",
        ),
        (
            "{kind: Gateway, name: waypoint, sectionName: other}",
            "shop",
            "no HBONE listener",
        ),
        ("{kind: Gateway, name: waypoint, port: 80}", "shop", "no HBONE listener"),
        (ON_GATEWAY, "far", "do not admit a HTTPRoute of namespace far"),
    ] {
        let world = two_services(&route(namespace, "r", parent, rules));
        let errors = world.errors();
        assert_eq!(errors.is_empty(), why.is_empty(), "{errors:?}");
        let is_told = |error: &String| error.starts_with("spec.parentRefs[0]") && error.contains(why);
        assert!(why.is_empty() || errors.iter().any(is_told), "{errors:?}");
        let to = world.get("10.0.0.2:80", "/", "shop");
        assert_eq!(to == "reviews.shop:80*1", why.is_empty(), "{parent}: {to}");
    }
    let hosts = |names: &str| {
        let route = route("shop", "r", ON_GATEWAY, rules);
        two_services(&route.replace("  rules", &format!("  hostnames: [{names}]\n  rules")))
    };
    let world = hosts("a.example, ratings.shop");
    assert!(world.findings.is_empty(), "{:?}", world.findings);
    assert_eq!(world.get("ratings.shop:80", "/", "shop"), "reviews.shop:80*1");
    assert_eq!(world.get("10.0.0.2:80", "/", "shop"), "404", "another host");
    // One that can be none is left out; where all are, the route is for no host, not for all.
    let world = hosts("'a.*', ratings.shop");
    assert_eq!(
        (world.errors().len(), world.get("10.0.0.2:80", "/", "shop").as_str()),
        (1, "404")
    );
    let world = hosts("'a.*'");
    assert!(
        world.errors().iter().any(|error| error.contains("does not bind")),
        "{:?}",
        world.findings
    );
    assert_eq!(world.get("10.0.0.2:80", "/", "shop"), "ratings.shop:80*1");
    // Another's Gateway is another's business.
    let world = two_services(&route("shop", "r", "{kind: Gateway, name: ingress}", rules));
    assert!(world.findings.is_empty(), "{:?}", world.findings);
}

#[test]
fn from_a_gateway_another_namespace_takes_a_grant_and_from_a_service_none() {
    let rules = "{backendRefs: [{name: store, namespace: far, port: 80}, {name: reviews, port: 80, weight: 2}]}";
    let both = format!("{ON_GATEWAY}, {{group: '', kind: Service, name: reviews}}");
    let grant = |from: &str, to: &str| {
        format!(
            "---\napiVersion: gateway.networking.k8s.io/v1beta1\nkind: ReferenceGrant\nmetadata: {{name: g, namespace: far}}\n\
             spec:\n  from: [{{group: gateway.networking.k8s.io, {from}}}]\n  to: [{{group: '', {to}}}]\n"
        )
    };
    let (good_from, good_to) = ("kind: HTTPRoute, namespace: shop", "kind: Service");
    for (grants, granted) in [
        (String::new(), false),
        (grant(good_from, good_to), true),
        (grant(good_from, "kind: Service, name: store"), true),
        (grant(good_from, "kind: Service, name: other"), false),
        (grant(good_from, "kind: Service, name: 7"), false),
        (grant(good_from, "kind: Secret"), false),
        (grant("kind: GRPCRoute, namespace: shop", good_to), false),
        (grant("kind: HTTPRoute, namespace: far", good_to), false),
        (grant("kind: HTTPRoute, namespace: \"*\"", good_to), false),
    ] {
        let world = two_services(&(route("shop", "r", &both, rules) + &grants));
        let far = if granted { "store.far:80*1" } else { "invalid*1" };
        assert_eq!(
            world.get("10.0.0.2:80", "/", "shop"),
            format!("{far} reviews.shop:80*2"),
            "{grants}"
        );
        assert_eq!(
            world.get("10.0.0.1:80", "/", "shop"),
            "store.far:80*1 reviews.shop:80*2",
            "{grants}"
        );
        let told = world
            .errors()
            .iter()
            .any(|error| error.contains("no ReferenceGrant of namespace far"));
        assert_eq!(told, !granted, "{:?}", world.findings);
    }
}

/// Which rule a connection gets: `ns/name of the route*targets`, or `none`; `-` where requests are routed.
fn stream(world: &World, authority: &str, sni: Option<&str>, client_namespace: &str) -> String {
    let port = world.port(authority).unwrap();
    let Some(streams) = port.routes(client_namespace).streams() else {
        return "-".to_owned();
    };
    let rule = streams.find(sni);
    rule.map_or("none".to_owned(), |rule| {
        format!("{}*{}", rule.route.name, rule.backends.len())
    })
}

fn mixed(more: &str) -> World {
    let ports = "ports: [{name: http, port: 80}, {name: tcp, port: 5432}, {name: tls, port: 443}, {name: x, port: 9}]";
    let service =
        service("shop", "db", "10.0.0.1", "").replace("ports: [{name: http, port: 80, targetPort: 8080}]", ports);
    compile(&format!("{GATEWAY}{service}{more}"))
}

fn on(kind: &str, name: &str, parent: &str, spec: &str) -> String {
    route("shop", name, parent, "{backendRefs: [{name: db, port: 80}]}")
        .replace("HTTPRoute", kind)
        .replace("  rules", &format!("{spec}  rules"))
}

#[test]
fn streams_are_routed_on_the_ports_that_can_carry_them() {
    let service = "{group: '', kind: Service, name: db}";
    let world = mixed(&on("TCPRoute", "t", service, ""));
    let ports = ["80", "5432", "443", "9"].map(|port| format!("10.0.0.1:{port}"));
    assert_eq!(
        ports.clone().map(|port| stream(&world, &port, None, "shop")),
        ["-", "t*1", "t*1", "t*1"]
    );
    let world = mixed(&on(
        "TCPRoute",
        "t",
        "{group: '', kind: Service, name: db, port: 80}",
        "",
    ));
    assert_eq!(
        ports.clone().map(|port| stream(&world, &port, None, "shop")),
        ["t*1", "-", "-", "-"]
    );
    let world = mixed(&on("TCPRoute", "t", ON_GATEWAY, ""));
    assert_eq!(
        ports.clone().map(|port| stream(&world, &port, None, "shop")),
        ["-", "t*1", "t*1", "-"]
    );
    let world = mixed(&(on("HTTPRoute", "h", service, "") + &on("TCPRoute", "t", service, "")));
    assert_eq!(
        ports.clone().map(|port| stream(&world, &port, None, "shop")),
        ["-", "t*1", "t*1", "-"]
    );
    assert_eq!(world.errors().len(), 1, "one kind on port 9: {:?}", world.findings);
    let all = on("TLSRoute", "s", service, "  hostnames: ['*.example.com']\n") + &on("TCPRoute", "t", service, "");
    let world = mixed(&all);
    assert_eq!(stream(&world, "10.0.0.1:443", Some("a.example.com"), "shop"), "s*1");
    assert_eq!(stream(&world, "10.0.0.1:443", Some("example.com"), "shop"), "none");
    assert!(
        world.errors()[0].contains("a TLSRoute is attached"),
        "{:?}",
        world.findings
    );
}

#[test]
fn consumers_have_streams_of_their_own() {
    let consumer = on(
        "TCPRoute",
        "c",
        "{group: '', kind: Service, name: db, namespace: shop, port: 5432}",
        "",
    );
    let world = mixed(&consumer.replace("name: c, namespace: shop", "name: c, namespace: web"));
    assert_eq!(stream(&world, "10.0.0.1:5432", None, "web"), "c*1");
    assert_eq!(stream(&world, "10.0.0.1:5432", None, "shop"), "-");
}
