//! ServiceEntries: which are ours, how they are found, where they lead, and what binds to them.

use super::world::{GATEWAY, World, compile, pod, route, service};
use crate::Resolve;
use routing::{Protocol, Target};

/// A ServiceEntry `name` of namespace shop; `more` is YAML in flow style.
fn entry(name: &str, more: &str) -> String {
    format!(
        "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: {name}, namespace: shop}}\n\
         spec: {{ports: [{{name: http, number: 80, protocol: HTTP, targetPort: 8080}}], {more}}}\n"
    )
}

fn addresses(world: &World, authority: &str) -> Vec<String> {
    let cluster = world.own_cluster(authority);
    cluster.endpoints.iter().map(|one| one.address.to_string()).collect()
}

/// Names that are looked up: `name:port`.
fn names(world: &World, authority: &str) -> Vec<String> {
    let port = world.port(authority).unwrap();
    match world.snapshot.resolve(&port.cluster).map(|resolve| &**resolve) {
        Some(Resolve::Names(named)) => named
            .names
            .iter()
            .map(|one| format!("{}:{}", one.name, one.port))
            .collect(),
        Some(Resolve::Below(wildcard)) => vec![format!("*.{}:{}", wildcard.suffix, wildcard.port)],
        None => Vec::new(),
    }
}

#[test]
fn found_by_address_and_by_host_and_nothing_else_is() {
    let text = entry(
        "ext",
        "hosts: [API.example.com, '*.cdn.example.com'], addresses: [10.7.0.1, 'fd00::7'], resolution: STATIC, \
         endpoints: [{address: 192.0.2.1}, {address: 192.0.2.2, ports: {http: 9090}}]",
    );
    let world = compile(&format!("{GATEWAY}{text}"));
    assert_eq!(world.errors(), [""; 0]);
    for authority in [
        "10.7.0.1:80",
        "[fd00::7]:80",
        "api.example.com:80",
        "API.example.com.:80",
        "a.cdn.example.com:80",
        "a.b.cdn.example.com:80",
    ] {
        assert_eq!(
            addresses(&world, authority),
            ["192.0.2.1:8080", "192.0.2.2:9090"],
            "{authority}"
        );
    }
    for authority in [
        "api.example.com:81",
        "other.example.com:80",
        "cdn.example.com:80",
        "example.com:80",
        "xcdn.example.com:80",
        "192.0.2.1:8080",
        "ext.shop:80",
    ] {
        assert!(world.port(authority).is_none(), "{authority}");
    }
    let port = world.port("10.7.0.1:80").unwrap();
    assert_eq!((&*port.host, &*port.namespace), ("api.example.com", "shop"));
    assert_eq!(&*world.port("a.cdn.example.com:80").unwrap().host, "*.cdn.example.com");
}

#[test]
fn labels_bind_it_as_they_bind_a_service() {
    let of = |labels: &str| {
        entry(
            "ext",
            "hosts: [a.example.com], resolution: STATIC, endpoints: [{address: 192.0.2.1}]",
        )
        .replace("namespace: shop}", &format!("namespace: shop, labels: {{{labels}}}}}"))
    };
    for (labels, want) in [
        ("", true),
        ("istio.io/use-waypoint: none", false),
        ("istio.io/use-waypoint: another", false),
        (
            "istio.io/use-waypoint: another, istio.io/use-waypoint-canary: waypoint",
            true,
        ),
    ] {
        let world = compile(&format!("{GATEWAY}{}", of(labels)));
        assert_eq!(world.port("a.example.com:80").is_some(), want, "{labels}");
    }
}

#[test]
fn a_selector_finds_pods_and_workload_entries() {
    let text = entry(
        "vms",
        "hosts: [vm.example.com], resolution: STATIC, workloadSelector: {labels: {app: vm}}",
    );
    let machine = "---\napiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {name: m1, namespace: shop, labels: {app: vm}}\n\
        spec: {address: 192.0.2.9, ports: {http: 7070}, serviceAccount: vm, locality: eu/eu-1, \
        labels: {version: v3, networking.istio.io/tunnel: http}}\n";
    let other = machine.replace("app: vm", "app: other").replace("m1", "m2");
    let world = compile(&format!(
        "{GATEWAY}{text}{machine}{other}{}",
        pod("shop", "p", "vm", "10.1.0.1")
    ));
    assert_eq!(world.errors(), [""; 0]);
    assert_eq!(
        addresses(&world, "vm.example.com:80"),
        ["10.1.0.1:8080", "192.0.2.9:7070"]
    );
    let cluster = world.own_cluster("vm.example.com:80");
    let workload = &cluster.endpoints[1].workload;
    assert_eq!(
        (
            workload.name.as_str(),
            workload.version.as_str(),
            workload.zone.as_str()
        ),
        ("m1", "v3", "eu-1")
    );
    assert!(workload.hbone && workload.identity.as_ref().unwrap().service_account() == "vm");
    assert!(world.snapshot.workload([192, 0, 2, 9].into()).is_some());
}

#[test]
fn what_dns_resolves_is_named() {
    for (more, want) in [
        ("hosts: [a.example.com], resolution: DNS", vec!["a.example.com:8080"]),
        (
            "hosts: [a.example.com], resolution: DNS, endpoints: [{address: B.example.org, ports: {http: 1}}, {address: 192.0.2.1}]",
            vec!["b.example.org:1"],
        ),
        (
            "hosts: [a.example.com], resolution: DNS_ROUND_ROBIN",
            vec!["a.example.com:8080"],
        ),
        (
            "hosts: [a.example.com], resolution: STATIC, endpoints: [{address: 192.0.2.1}]",
            vec![],
        ),
    ] {
        let world = compile(&format!("{GATEWAY}{}", entry("ext", more)));
        assert_eq!(world.errors(), [""; 0], "{more}");
        assert_eq!(names(&world, "a.example.com:80"), want, "{more}");
    }
    let wild = entry(
        "ext",
        "hosts: ['*.example.com'], resolution: DYNAMIC_DNS, addresses: [10.7.0.1]",
    );
    let world = compile(&format!("{GATEWAY}{wild}"));
    assert_eq!(names(&world, "10.7.0.1:80"), ["*.example.com:8080"]);
    assert_eq!(names(&world, "a.example.com:80"), ["*.example.com:8080"]);
}

#[test]
fn subsets_are_of_the_endpoints_with_their_labels_wherever_those_are() {
    let rule = "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: r, namespace: shop}\n\
                spec: {host: a.example.com, subsets: [{name: eu, labels: {in: eu}}, {name: us, labels: {in: us}}, {name: all}]}\n";
    let subset = |spec: &str, name: &str| {
        let world = compile(&format!("{GATEWAY}{}{rule}", entry("ext", spec)));
        let mut clusters = world.snapshot.clusters();
        let found = clusters.find(|(_, cluster)| cluster.subset.as_deref() == Some(name));
        let (id, cluster) = found.unwrap();
        let mut all: Vec<String> = cluster.endpoints.iter().map(|one| one.address.to_string()).collect();
        if let Some(Resolve::Names(named)) = world.snapshot.resolve(&Target::Cluster(id)).map(|resolve| &**resolve) {
            all.extend(named.names.iter().map(|one| format!("{}:{}", one.name, one.port)));
        }
        (all.join(" "), world.warnings().join(" "))
    };
    let spec = |endpoints: &str, resolution: &str| {
        format!("hosts: [a.example.com], resolution: {resolution}, endpoints: [{endpoints}]")
    };
    let eu_and_us = "{address: eu.example.org, labels: {in: eu}}, {address: 192.0.2.1, labels: {in: us}}";
    let by_dns = spec(eu_and_us, "DNS");
    assert_eq!(subset(&by_dns, "eu"), ("eu.example.org:8080".into(), String::new()));
    assert_eq!(subset(&by_dns, "us"), ("192.0.2.1:8080".into(), String::new()));
    assert_eq!(subset(&by_dns, "all").0, "192.0.2.1:8080 eu.example.org:8080");
    let fixed = spec("{address: 192.0.2.1, labels: {in: us}}", "STATIC");
    assert_eq!(subset(&fixed, "us").0, "192.0.2.1:8080");
    let (none, told) = subset(&fixed, "eu");
    assert!(
        none.is_empty() && told.starts_with("spec.subsets[0].labels: no endpoint of"),
        "{told}"
    );
    // Whoever is at the host itself has no labels.
    let at_host = "hosts: [a.example.com], resolution: DNS";
    assert_eq!(subset(at_host, "all").0, "a.example.com:8080");
    let (none, told) = subset(at_host, "us");
    assert!(none.is_empty(), "{none}");
    assert!(
        told.contains("spec.subsets[0].labels") && told.contains("spec.subsets[1].labels"),
        "{told}"
    );
}

#[test]
fn allocated_addresses_belong_to_their_host() {
    let text = entry("ext", "hosts: [a.example.com, b.example.com], resolution: DNS")
        + "status: {addresses: [{value: 240.240.0.1, host: a.example.com}, {value: 240.240.0.2, host: b.example.com}]}\n";
    let world = compile(&format!("{GATEWAY}{text}"));
    assert_eq!(names(&world, "240.240.0.1:80"), ["a.example.com:8080"]);
    assert_eq!(names(&world, "240.240.0.2:80"), ["b.example.com:8080"]);
}

#[test]
fn resolution_none_goes_where_the_client_asked() {
    let text = entry(
        "ext",
        "hosts: [a.example.com], addresses: [192.0.2.1, 192.0.2.2, 169.254.169.254], resolution: NONE",
    );
    let world = compile(&format!("{GATEWAY}{text}"));
    assert_eq!(addresses(&world, "192.0.2.1:80"), ["192.0.2.1:8080"]);
    assert_eq!(addresses(&world, "192.0.2.2:80"), ["192.0.2.2:8080"]);
    assert!(world.port("169.254.169.254:80").is_none(), "link-local");
    assert_eq!(world.errors().len(), 1);
}

#[test]
fn protocols_are_those_of_the_port() {
    for (protocol, want) in [
        ("HTTP", Protocol::Http),
        ("http2", Protocol::H2c),
        ("GRPC", Protocol::Grpc),
        ("HTTPS", Protocol::Tls),
        ("TLS", Protocol::Tls),
        ("TCP", Protocol::Tcp),
        ("REDIS", Protocol::Tcp),
        ("SMOKE", Protocol::Http),
    ] {
        let text = entry("ext", "hosts: [a.example.com], resolution: DNS").replace("HTTP,", &format!("{protocol},"));
        let world = compile(&format!("{GATEWAY}{text}"));
        assert_eq!(world.port("a.example.com:80").unwrap().protocol, want, "{protocol}");
        assert_eq!(world.warnings().len(), usize::from(protocol == "SMOKE"));
    }
}

#[test]
fn routes_lead_to_it_and_from_it() {
    let ext = entry(
        "ext",
        "hosts: [a.example.com], resolution: STATIC, endpoints: [{address: 192.0.2.1}]",
    );
    let backends = "{matches: [{path: {value: /h}}], backendRefs: [{group: networking.istio.io, kind: Hostname, name: a.example.com, port: 80}]}, \
        {matches: [{path: {value: /s}}], backendRefs: [{group: networking.istio.io, kind: Hostname, name: web.shop.svc.cluster.local, port: 80}]}, \
        {matches: [{path: {value: /n}}], backendRefs: [{group: networking.istio.io, kind: Hostname, name: nobody.example.com, port: 80}]}, \
        {backendRefs: [{group: networking.istio.io, kind: ServiceEntry, name: ext, port: 80}]}";
    let from = route(
        "shop",
        "from",
        "{group: networking.istio.io, kind: ServiceEntry, name: ext}",
        "{backendRefs: [{name: web, port: 80}]}",
    );
    let to = route("shop", "to", "{group: '', kind: Service, name: web}", backends);
    let world = compile(&format!(
        "{GATEWAY}{ext}{from}{to}{}",
        service("shop", "web", "10.0.0.1", "")
    ));
    assert_eq!(world.get("a.example.com:80", "/", "shop"), "web.shop:80*1");
    assert_eq!(world.get("10.0.0.1:80", "/", "shop"), "a.example.com.shop:80*1");
    assert_eq!(world.get("10.0.0.1:80", "/h", "shop"), "a.example.com.shop:80*1");
    assert_eq!(world.get("10.0.0.1:80", "/s", "shop"), "web.shop:80*1");
    assert_eq!(world.get("10.0.0.1:80", "/n", "shop"), "invalid*1");
    assert_eq!(world.errors().len(), 1, "{:?}", world.errors());
}

#[test]
fn exports_bound_clients_and_routes() {
    let ext = entry(
        "ext",
        "hosts: [a.example.com], exportTo: ['.', friends], resolution: STATIC, endpoints: [{address: 192.0.2.1}]",
    );
    let abroad = route(
        "other",
        "to",
        "{group: '', kind: Service, name: web, namespace: shop}",
        "{backendRefs: [{group: networking.istio.io, kind: ServiceEntry, name: ext, namespace: shop, port: 80}]}",
    );
    let world = compile(&format!(
        "{GATEWAY}{ext}{abroad}{}",
        service("shop", "web", "10.0.0.1", "")
    ));
    let port = world.port("a.example.com:80").unwrap();
    let visible = ["shop", "friends", "other"].map(|namespace| port.is_visible_to(namespace));
    assert_eq!(visible, [true, true, false]);
    assert_eq!(world.errors().len(), 1, "{:?}", world.errors());
}

#[test]
fn policies_bind_by_kind() {
    let ext = entry(
        "web",
        "hosts: [a.example.com], resolution: STATIC, endpoints: [{address: 192.0.2.1}]",
    );
    let policy = |group: &str, kind: &str| {
        format!(
            "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: p, namespace: shop}}\n\
             spec: {{action: DENY, targetRefs: [{{group: '{group}', kind: {kind}, name: web}}], rules: [{{}}]}}\n"
        )
    };
    for (group, kind, on_service, on_entry) in [
        ("", "Service", true, false),
        ("networking.istio.io", "ServiceEntry", false, true),
        ("gateway.networking.k8s.io", "Gateway", false, false),
    ] {
        let world = compile(&format!(
            "{GATEWAY}{ext}{}{}",
            service("shop", "web", "10.0.0.1", ""),
            policy(group, kind)
        ));
        let denied = |authority: &str| !world.port(authority).unwrap().policies.is_empty();
        assert_eq!(
            (denied("10.0.0.1:80"), denied("a.example.com:80")),
            (on_service, on_entry),
            "{kind}"
        );
    }
}
