#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use super::world::*;

/// `hosts` and `http` are YAML in flow style, `more` further fields of the spec.
fn virtual_service(namespace: &str, name: &str, hosts: &str, http: &str, more: &str) -> String {
    format!(
        "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
         spec: {{hosts: [{hosts}], http: [{http}], {more}}}\n"
    )
}

/// Services `reviews`, `v1` and `v2` in `shop`, `ratings` in `other`.
fn shop(rest: &str) -> World {
    let services = [
        service("shop", "reviews", "10.0.0.1", ""),
        service("shop", "v1", "10.0.0.2", ""),
        service("shop", "v2", "10.0.0.3", ""),
        service("other", "ratings", "10.0.0.4", ""),
    ];
    compile(&format!("{GATEWAY}{}{rest}", services.concat()))
}

fn to(host: &str) -> String {
    format!("{{destination: {{host: {host}}}}}")
}

#[test]
fn rules_go_in_order_and_destinations_are_resolved() {
    let http = "{match: [{uri: {prefix: /a}}], route: [{destination: {host: v1}, weight: 90}, \
                {destination: {host: v2.shop.svc.cluster.local, port: {number: 80}}, weight: 10}]}, \
                {match: [{uri: {exact: /ab}}], route: [{destination: {host: v2}}]}, \
                {match: [{uri: {regex: '/[0-9]+'}}, {uri: {exact: /X}, ignoreUriCase: true}], \
                 route: [{destination: {host: ratings.other.svc.cluster.local}}]}";
    let world = shop(&virtual_service("shop", "vs", "reviews", http, ""));
    assert_eq!((world.errors(), world.warnings()), (vec![], vec![]));
    let get = |path| world.get("10.0.0.1:80", path, "shop");
    assert_eq!(get("/a"), "v1.shop:80*90 v2.shop:80*10");
    assert_eq!(get("/ab"), "v1.shop:80*90 v2.shop:80*10");
    assert_eq!(get("/7"), "ratings.other:80*1");
    assert_eq!(get("/x"), "ratings.other:80*1");
    assert_eq!(get("/b"), "404");
    assert_eq!(world.get("10.0.0.2:80", "/b", "shop"), "v1.shop:80*1");
}

#[test]
fn a_match_is_for_its_port_its_namespace_and_the_mesh() {
    let two = service("shop", "two", "10.0.0.5", "")
        .replace("ports: [", "ports: [{name: http-b, port: 81, targetPort: 8081}, ");
    let http = "{match: [{port: 81, gateways: [ingress]}], route: [{destination: {host: v2}}]}, \
                {match: [{port: 81, gateways: [ingress, mesh], sourceNamespace: web}], route: [{destination: {host: v1}}]}, \
                {match: [{port: 81}], route: [{destination: {host: two}}]}";
    let world = shop(&(two + &virtual_service("shop", "vs", "two", http, "gateways: [mesh, ingress]")));
    assert_eq!((world.errors(), world.warnings()), (vec![], vec![]));
    assert_eq!(world.get("10.0.0.5:81", "/", "web"), "v1.shop:80*1");
    // Of several ports the request's own.
    assert_eq!(world.get("10.0.0.5:81", "/", "shop"), "two.shop:81*1");
    // Nothing is for this port: as without a VirtualService.
    assert_eq!(world.get("10.0.0.5:80", "/", "web"), "two.shop:80*1");
}

#[test]
fn hosts_are_short_full_or_wildcards() {
    for (namespace, host, applies) in [
        ("shop", "reviews", true),
        ("shop", "reviews.shop.svc.cluster.local", true),
        ("shop", "REVIEWS.shop.svc.cluster.local", true),
        ("shop", "'*'", true),
        ("shop", "'*.shop.svc.cluster.local'", true),
        ("shop", "'*.other.svc.cluster.local'", false),
        ("shop", "reviews.shop", false),
        ("shop", "reviews.shop.svc", false),
        ("shop", "unknown", false),
        // Another namespace shapes neither by name nor by wildcard.
        ("web", "reviews.shop.svc.cluster.local", false),
        ("web", "'*'", false),
    ] {
        let http = format!("{{route: [{}]}}", to("v1.shop.svc.cluster.local"));
        let world = shop(&virtual_service(namespace, "vs", host, &http, ""));
        let wanted = if applies { "v1.shop:80*1" } else { "reviews.shop:80*1" };
        assert_eq!(world.get("10.0.0.1:80", "/", "shop"), wanted, "{namespace} {host}");
        let [reviews, v1] = ["10.0.0.1:80", "10.0.0.2:80"].map(|port| world.port(port).unwrap());
        let shares = std::ptr::eq(reviews.routes("shop"), v1.routes("shop"));
        assert_eq!(shares, host.contains('*') && applies, "{host}");
        assert_eq!(world.errors(), Vec::<String>::new());
        assert_eq!(
            world.warnings().is_empty(),
            applies || host.contains("other"),
            "{host}: {:?}",
            world.warnings()
        );
    }
}

#[test]
fn export_and_gateways_decide_who_heeds_it() {
    for (more, applies) in [
        ("exportTo: ['*']", true),
        ("exportTo: ['.']", true),
        ("exportTo: [web, shop]", true),
        ("exportTo: [web]", false),
        ("exportTo: ['~']", false),
        ("gateways: [mesh]", true),
        ("gateways: [shop/ingress]", false),
    ] {
        let http = format!("{{route: [{}]}}", to("v1"));
        let world = shop(&virtual_service("shop", "vs", "reviews", &http, more));
        let wanted = if applies { "v1.shop:80*1" } else { "reviews.shop:80*1" };
        assert_eq!(world.get("10.0.0.1:80", "/", "shop"), wanted, "{more}");
        assert_eq!(
            world.warnings().is_empty(),
            applies || more.contains("gateways"),
            "{more}"
        );
    }
}

#[test]
fn the_oldest_of_several_is_in_force_and_a_route_outranks_it() {
    let aged = |name: &str, host: &str, second: u8| {
        let http = format!("{{route: [{}]}}", to(host));
        let created = format!("{{name: {name}, creationTimestamp: '2026-01-01T00:00:0{second}Z', ");
        virtual_service("shop", name, "reviews", &http, "").replace(&format!("{{name: {name}, "), &created)
    };
    let both = aged("a", "v1", 2) + &aged("b", "v2", 1);
    let world = shop(&both);
    assert_eq!(world.get("10.0.0.1:80", "/", "shop"), "v2.shop:80*1");
    assert_eq!(world.errors().len(), 1);
    assert!(
        world.errors()[0].contains("VirtualService shop/b is older"),
        "{:?}",
        world.errors()
    );

    let parent = "{group: '', kind: Service, name: reviews}";
    let route = route("shop", "r", parent, "{backendRefs: [{name: v1, port: 80}]}");
    let world = shop(&(aged("b", "v2", 1) + &route));
    assert_eq!(world.get("10.0.0.1:80", "/", "shop"), "v1.shop:80*1");
    assert_eq!(world.errors().len(), 1);
    assert!(
        world.errors()[0].contains("outranks this VirtualService"),
        "{:?}",
        world.errors()
    );
}

#[test]
fn weights_of_one_and_of_many() {
    for (route, wanted) in [
        ("{destination: {host: v1}}", "v1.shop:80*1"),
        ("{destination: {host: v1}, weight: 0}", "v1.shop:80*1"),
        ("{destination: {host: v1}, weight: 100}", "v1.shop:80*100"),
        (
            "{destination: {host: v1}}, {destination: {host: v2}, weight: 1}",
            "v1.shop:80*0 v2.shop:80*1",
        ),
        (
            "{destination: {host: nowhere}, weight: 5}, {destination: {host: v2}, weight: 1}",
            "invalid*5 v2.shop:80*1",
        ),
    ] {
        let world = shop(&virtual_service(
            "shop",
            "vs",
            "reviews",
            &format!("{{route: [{route}]}}"),
            "",
        ));
        assert_eq!(world.get("10.0.0.1:80", "/", "shop"), wanted);
    }
}

#[test]
fn what_cannot_be_applied_answers_500_and_the_other_rules_serve() {
    for broken in [
        "rewrite: {uri: no-slash}",
        "rewrite: {uriRegexRewrite: {match: '(', rewrite: /}}",
        "corsPolicy: {allowOrigins: [{regex: '('}]}",
        "delegate: {name: other}",
    ] {
        let http = format!(
            "{{match: [{{uri: {{exact: /broken}}}}], route: [{}], {broken}}}, {{route: [{}]}}",
            to("v1"),
            to("v2")
        );
        let world = shop(&virtual_service("shop", "vs", "reviews", &http, ""));
        assert_eq!(world.get("10.0.0.1:80", "/broken", "shop"), "500", "{broken}");
        assert_eq!(world.get("10.0.0.1:80", "/", "shop"), "v2.shop:80*1", "{broken}");
        assert_eq!(world.errors().len(), 1, "{broken}: {:?}", world.errors());
    }
}

#[test]
fn a_rule_may_have_more_than_is_in_force() {
    let matches = "{uri: {prefix: /a}},".repeat(2_000);
    let http = format!("{{match: [{matches}], route: [{}]}}", to("v1"));
    let rules = format!("{http},").repeat(2);
    let world = shop(&virtual_service("shop", "vs", "reviews", &rules, ""));
    assert_eq!(world.get("10.0.0.1:80", "/a", "shop"), "v1.shop:80*1");
    assert_eq!(world.errors().len(), 2, "{:?}", world.errors());
}

/// `front` has ports 80 to 82, of these protocols.
fn streams(spec: &str) -> World {
    let front = service("shop", "front", "10.0.0.6", "").replace(
        "{name: http, port: 80, targetPort: 8080}",
        "{name: tls, port: 80, targetPort: 1}, {name: tcp, port: 81, targetPort: 2}, {name: http, port: 82, targetPort: 3}",
    );
    let vs = virtual_service("shop", "vs", "front", "", spec);
    shop(&(front + &vs))
}

/// Where a connection goes.
fn goes(world: &World, port: u16, sni: Option<&str>) -> String {
    let port = world.port(&format!("10.0.0.6:{port}")).unwrap();
    let Some(streams) = port.routes("shop").streams() else {
        return "its own".to_owned();
    };
    let Some(rule) = streams.find(sni) else {
        return "nowhere".to_owned();
    };
    let to = rule.backends.iter().map(|backend| world.name_of(&backend.target));
    to.collect::<Vec<_>>().join(" ")
}

#[test]
fn connections_go_by_port_and_by_name() {
    let world = streams(
        "tls: [{match: [{sniHosts: [a.example, '*.b.example']}], route: [{destination: {host: v1}}]}, \
         {match: [{port: 81, sniHosts: [c.example]}], route: [{destination: {host: v2}}]}], \
         tcp: [{match: [{port: 81}], route: [{destination: {host: v1}, weight: 1}, {destination: {host: v2}, weight: 3}]}, \
         {match: [{port: 79}], route: [{destination: {host: v1}}]}]",
    );
    assert_eq!((world.errors(), world.warnings()), (vec![], vec![]));
    assert_eq!(goes(&world, 80, Some("a.example")), "v1.shop:80");
    assert_eq!(goes(&world, 80, Some("x.b.example")), "v1.shop:80");
    assert_eq!(goes(&world, 80, Some("c.example")), "nowhere");
    assert_eq!(goes(&world, 81, None), "v1.shop:80 v2.shop:80");
    // A port of requests has no use for either.
    assert_eq!(goes(&world, 82, None), "its own");
}

#[test]
fn faulty_matches_of_connections_are_not_in_force() {
    let world = streams(
        "tls: [{match: [{sniHosts: ['*'], port: 0}, {sniHosts: ['a.*']}, {sniHosts: []}, {port: 80}], \
         route: [{destination: {host: v1}}]}, {route: [{destination: {host: v1}}]}], \
         tcp: [{match: [{sourceSubnet: 10.0.0.0/8}], route: [{destination: {host: v1}}]}]",
    );
    assert_eq!(
        (goes(&world, 80, Some("a.x")), goes(&world, 81, None)),
        ("its own".into(), "its own".into())
    );
    assert_eq!(world.errors().len(), 5, "{:#?}", world.errors());
}

#[test]
fn wildcards_and_services_multiply_within_bounds() {
    let services: String = (0..3_000)
        .map(|n| service("shop", &format!("s{n}"), &format!("10.1.{}.{}", n / 200, n % 200), ""))
        .collect();
    let hosts: Vec<String> = (0..1_000).map(|n| format!("'*{n}.shop.svc.cluster.local'")).collect();
    let http = format!("{{route: [{}]}}", to("v1"));
    let wild: String = (0..10)
        .map(|n| virtual_service("shop", &format!("w{n}"), &hosts.join(", "), &http, ""))
        .collect();
    let world = shop(&(services + &wild));
    assert_eq!(world.get("10.1.0.7:80", "/", "shop"), "v1.shop:80*1");
    let errors = world.errors();
    assert!(errors.iter().any(|error| error.contains("too many wildcard hosts")));
}

#[test]
fn hosts_of_service_entries_are_shaped_and_led_to() {
    let entry = |name: &str, host: &str, vip: &str| {
        format!(
            "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\n\
             metadata: {{name: {name}, namespace: shop, labels: {{istio.io/use-waypoint: waypoint}}}}\n\
             spec: {{hosts: [{host}], addresses: [{vip}], ports: [{{number: 80, name: http, protocol: HTTP}}], \
             resolution: STATIC, endpoints: [{{address: 192.0.2.7}}]}}\n"
        )
    };
    let entries = entry("a", "a.example.com", "10.2.0.1") + &entry("b", "b.example.com", "10.2.0.2");
    let http = format!(
        "{{match: [{{uri: {{prefix: /b}}}}], route: [{}]}}, {{route: [{}]}}",
        to("b.example.com"),
        to("v1")
    );
    for host in ["a.example.com", "'*.example.com'", "A.Example.com"] {
        let world = shop(&(entries.clone() + &virtual_service("shop", "vs", host, &http, "")));
        assert_eq!((world.errors(), world.warnings()), (vec![], vec![]), "{host}");
        assert_eq!(
            world.get("10.2.0.1:80", "/b", "shop"),
            "b.example.com.shop:80*1",
            "{host}"
        );
        assert_eq!(world.get("10.2.0.1:80", "/", "shop"), "v1.shop:80*1", "{host}");
    }
    let world = shop(&(entries + &virtual_service("shop", "vs", "c.example.com", &http, "")));
    assert_eq!(world.get("10.2.0.1:80", "/", "shop"), "a.example.com.shop:80*1");
    assert_eq!(world.warnings().len(), 1, "{:?}", world.warnings());
}
