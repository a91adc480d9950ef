//! DestinationRules: where they apply, how they merge, and the subsets they make.

use super::world::{GATEWAY, World, compile, compile_by, pod, service};
use crate::{Compiler, Scope};
use routing::{Balance, Cluster, HashKey, Protocol, RetryShare, TrafficPolicy};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

fn rule(namespace: &str, name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
         spec: {{{spec}}}\n"
    )
}

/// Services reviews (10.0.0.1) and ratings (10.0.0.2) of namespace shop, and two versions of reviews.
fn base() -> String {
    let versioned = |name, version, ip| {
        let labels = format!("labels: {{app: reviews, version: {version}}}");
        pod("shop", name, "reviews", ip).replace("labels: {app: reviews}", &labels)
    };
    format!(
        "{GATEWAY}{}{}{}{}",
        service("shop", "reviews", "10.0.0.1", ""),
        service("shop", "ratings", "10.0.0.2", ""),
        versioned("a", "v1", "10.1.0.1"),
        versioned("b", "v2", "10.1.0.2"),
    )
}

fn with(rules: &[String]) -> World {
    compile(&format!("{}{}", base(), rules.concat()))
}

fn policy(world: &World, authority: &str) -> Arc<TrafficPolicy> {
    Arc::clone(&world.own_cluster(authority).policy)
}

fn balance(world: &World) -> Balance {
    policy(world, "10.0.0.1:80").balance.clone()
}

fn subset(world: &World, name: &str) -> Option<Arc<Cluster>> {
    let mut clusters = world.snapshot.clusters();
    let found =
        clusters.find(|(_, cluster)| &*cluster.service.name == "reviews" && cluster.subset.as_deref() == Some(name));
    found.map(|(_, cluster)| Arc::clone(cluster))
}

fn addresses(cluster: &Cluster) -> Vec<String> {
    cluster.endpoints.iter().map(|one| one.address.to_string()).collect()
}

const RANDOM: &str = "trafficPolicy: {loadBalancer: {simple: RANDOM}}";
const ROBIN: &str = "trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}";

#[test]
fn a_host_is_named_in_full_or_by_its_own_namespace() {
    for (namespace, host, applies) in [
        ("shop", "reviews", true),
        ("shop", "Reviews.shop.svc.cluster.local", true),
        ("shop", "'*.shop.svc.cluster.local'", true),
        ("shop", "'*'", true),
        ("shop", "ratings", false),
        ("shop", "reviews.shop", false),
        ("istio-system", "reviews.shop.svc.cluster.local", true),
        ("istio-system", "reviews", false),
        ("client", "reviews.shop.svc.cluster.local", false),
    ] {
        let world = with(&[rule(namespace, "r", &format!("host: {host}, {RANDOM}"))]);
        assert_eq!(balance(&world) == Balance::Random, applies, "{namespace} {host}");
        let is_unused = world
            .warnings()
            .iter()
            .any(|told| told.starts_with("spec.host: no host"));
        assert_eq!(is_unused, !applies && host != "ratings", "{:?}", world.warnings());
    }
}

#[test]
fn the_nearest_rule_applies() {
    let rules = [
        rule(
            "istio-system",
            "root",
            &format!("host: reviews.shop.svc.cluster.local, {RANDOM}"),
        ),
        rule("shop", "all", &format!("host: '*', {ROBIN}")),
    ];
    assert_eq!(
        balance(&with(&rules)),
        Balance::RoundRobin,
        "the Service's namespace before the root"
    );
    let exact = rule("shop", "exact", &format!("host: reviews, {RANDOM}"));
    assert_eq!(
        balance(&with(&[rules[1].clone(), exact])),
        Balance::Random,
        "a name before a wildcard"
    );
    let longer = rule("shop", "longer", &format!("host: '*.shop.svc.cluster.local', {RANDOM}"));
    assert_eq!(
        balance(&with(&[rules[1].clone(), longer])),
        Balance::Random,
        "the longest wildcard"
    );
}

#[test]
fn a_rule_that_is_not_exported_to_the_waypoint_does_not_apply() {
    for (export, applies) in [
        ("['*']", true),
        ("['.']", true),
        ("[shop]", true),
        ("[other]", false),
        ("['~']", false),
    ] {
        let world = with(&[rule(
            "shop",
            "r",
            &format!("host: reviews, exportTo: {export}, {RANDOM}"),
        )]);
        assert_eq!(balance(&world) == Balance::Random, applies, "{export}");
    }
    let selective = rule(
        "shop",
        "r",
        &format!("host: reviews, workloadSelector: {{matchLabels: {{a: b}}}}, {RANDOM}"),
    );
    let world = with(&[selective]);
    assert_eq!(balance(&world), Balance::LeastRequest);
    assert!(
        world.warnings()[0].starts_with("spec.workloadSelector"),
        "{:?}",
        world.warnings()
    );
}

#[test]
fn subsets_are_clusters_of_the_pods_with_their_labels() {
    let subsets = "subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}, \
                   trafficPolicy: {loadBalancer: {simple: RANDOM}}}, {name: none, labels: {version: v3}}]";
    let world = with(&[rule("shop", "r", &format!("host: reviews, {ROBIN}, {subsets}"))]);
    assert!(world.findings.is_empty(), "{:?}", world.findings);
    let (v1, v2) = (subset(&world, "v1").unwrap(), subset(&world, "v2").unwrap());
    assert_eq!(addresses(&v1), ["10.1.0.1:8080"]);
    assert_eq!(addresses(&v2), ["10.1.0.2:8080"]);
    assert!(subset(&world, "none").unwrap().endpoints.is_empty());
    assert!(subset(&world, "v9").is_none());
    assert_eq!(
        (&v1.policy.balance, &v2.policy.balance),
        (&Balance::RoundRobin, &Balance::Random)
    );
    // The load of a pod is known to all clusters it is in; its health is each cluster's own.
    let whole = world.own_cluster("10.0.0.1:80");
    whole.endpoints[0].in_flight.store(5, Ordering::Relaxed);
    assert_eq!(v1.endpoints[0].load(), 5);
    assert!(!Arc::ptr_eq(&whole.endpoints[0].health, &v1.endpoints[0].health));
}

#[test]
fn a_virtual_service_leads_to_subsets() {
    let subsets = rule(
        "shop",
        "r",
        "host: reviews, subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]",
    );
    let virtual_service = "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v, namespace: shop}\n\
        spec: {hosts: [reviews], http: [{route: [{destination: {host: reviews, subset: v1}, weight: 90}, \
        {destination: {host: reviews, subset: v2}, weight: 10}, {destination: {host: reviews, subset: v3}, weight: 0}]}]}\n";
    let world = with(&[subsets, virtual_service.to_owned()]);
    let port = world.port("10.0.0.1:80").unwrap();
    let backends = &port.rules("shop")[0].backends;
    let leads_to: Vec<_> = backends
        .iter()
        .map(|backend| {
            let cluster = world.snapshot.endpoints_of(&backend.target);
            cluster.map(|cluster| (addresses(cluster).concat(), backend.weight))
        })
        .collect();
    let to = |address: &str, weight| Some((address.to_owned(), weight));
    assert_eq!(leads_to, [to("10.1.0.1:8080", 90), to("10.1.0.2:8080", 10), None]);
    assert_eq!(world.errors().len(), 1, "{:?}", world.errors());
    assert!(world.errors()[0].starts_with("spec.http[0].route[2].destination.subset: no DestinationRule"));
}

#[test]
fn a_port_of_its_own_leaves_nothing_to_the_rule() {
    let spec = "host: reviews, trafficPolicy: {loadBalancer: {simple: RANDOM}, outlierDetection: {consecutive5xxErrors: 7}, \
                portLevelSettings: [{port: {number: 80}, connectionPool: {http: {maxRetries: 3}}}, \
                {port: {number: 81}, loadBalancer: {simple: ROUND_ROBIN}}]}";
    let world = with(&[rule("shop", "r", spec)]);
    let policy = policy(&world, "10.0.0.1:80");
    assert_eq!((&policy.balance, &policy.outliers), (&Balance::LeastRequest, &None));
    assert_eq!(policy.limits.retries, Some(3));
    // A subset's policy goes before, part by part.
    let subset_spec = "subsets: [{name: v1, labels: {version: v1}, trafficPolicy: {outlierDetection: {interval: 1s}}}]";
    let world = with(&[rule("shop", "r", &format!("host: reviews, {RANDOM}, {subset_spec}"))]);
    let v1 = subset(&world, "v1").unwrap();
    assert_eq!(v1.policy.balance, Balance::Random);
    assert_eq!(v1.policy.outliers.as_ref().unwrap().interval, Duration::from_secs(1));
}

#[test]
fn rules_of_one_host_are_merged_the_oldest_first() {
    let aged = |name: &str, day: u8, spec: &str| {
        let created = format!("name: {name}, creationTimestamp: '2026-01-{day:02}T00:00:00Z'");
        rule("shop", name, spec).replace(&format!("name: {name}"), &created)
    };
    let v = |version: &str| {
        format!(
            "subsets: [{{name: v, labels: {{version: {version}}}}}, {{name: only-{version}, labels: {{version: {version}}}}}]"
        )
    };
    let world = with(&[
        aged("young", 2, &format!("host: reviews, {ROBIN}, {}", v("v2"))),
        aged("old", 1, &format!("host: reviews, {}", v("v1"))),
        aged("youngest", 3, &format!("host: reviews, {RANDOM}")),
    ]);
    assert_eq!(addresses(&subset(&world, "v").unwrap()), ["10.1.0.1:8080"]);
    assert!(subset(&world, "only-v1").is_some() && subset(&world, "only-v2").is_some());
    assert_eq!(balance(&world), Balance::RoundRobin, "the first that has one");
    let errors = world.errors();
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(
        errors[0].starts_with("spec.subsets[0].name: DestinationRule shop/old"),
        "{errors:?}"
    );
    assert!(
        errors[1].starts_with("spec.trafficPolicy: DestinationRule shop/old"),
        "{errors:?}"
    );
}

#[test]
fn ids_health_and_counts_survive_a_compile() {
    let subsets = "subsets: [{name: v1, labels: {version: v1}}]";
    let text = |more: &str| {
        format!(
            "{}{}",
            base(),
            rule("shop", "r", &format!("host: reviews, {subsets}{more}"))
        )
    };
    let mut compiler = Compiler::new(Scope::default());
    let before = compile_by(&mut compiler, &text(""));
    let after = compile_by(
        &mut compiler,
        &text(", trafficPolicy: {loadBalancer: {simple: RANDOM}}"),
    );
    let id = |world: &World| {
        let mut clusters = world.snapshot.clusters();
        clusters.find(|(_, one)| one.subset.is_some()).unwrap().0
    };
    assert_eq!(id(&before), id(&after));
    let (before, after) = (subset(&before, "v1").unwrap(), subset(&after, "v1").unwrap());
    assert!(Arc::ptr_eq(&before.state, &after.state));
    assert!(Arc::ptr_eq(&before.endpoints[0], &after.endpoints[0]));
}

#[test]
fn the_version_of_http_is_the_policys() {
    for (http, wanted) in [
        ("", Protocol::Http),
        ("h2UpgradePolicy: UPGRADE", Protocol::H2c),
        ("h2UpgradePolicy: DO_NOT_UPGRADE", Protocol::Http),
        ("useClientProtocol: true, h2UpgradePolicy: UPGRADE", Protocol::Detect),
    ] {
        let spec = format!("host: reviews, trafficPolicy: {{connectionPool: {{http: {{{http}}}}}}}");
        let world = with(&[rule("shop", "r", &spec)]);
        assert_eq!(world.own_cluster("10.0.0.1:80").protocol, wanted, "{http}");
        assert_eq!(
            world.port("10.0.0.1:80").unwrap().protocol,
            Protocol::Http,
            "what clients speak is the port's"
        );
    }
}

#[test]
fn a_retry_budget_is_the_rules_or_the_subsets_whatever_a_port_says() {
    let ports = "portLevelSettings: [{port: {number: 80}, loadBalancer: {simple: RANDOM}}]";
    let spec = format!(
        "host: reviews, trafficPolicy: {{retryBudget: {{percent: 12.5, minRetryConcurrency: 1}}, {ports}}}, \
         subsets: [{{name: v1, labels: {{version: v1}}, trafficPolicy: {{retryBudget: {{}}}}}}, {{name: v2, labels: {{version: v2}}}}]"
    );
    let world = with(&[rule("shop", "a", &spec)]);
    assert!(world.findings.is_empty(), "{:?}", world.findings);
    let (own, envoys) = (
        RetryShare {
            basis_points: 1250,
            least: 1,
        },
        RetryShare::default(),
    );
    assert_eq!(policy(&world, "10.0.0.1:80").limits.retry_share, Some(own));
    assert_eq!(balance(&world), Balance::Random);
    let of = |name| subset(&world, name).unwrap().policy.limits.retry_share;
    assert_eq!((of("v1"), of("v2")), (Some(envoys), Some(own)));
    assert_eq!(policy(&world, "10.0.0.2:80").limits.retry_share, None);
}

#[test]
fn a_hashed_cookie_is_given_with_its_attributes() {
    let attributes = "[{name: SameSite, value: Strict}, {name: Secure}, {name: 'a;b'}]";
    let hash = format!("{{httpCookie: {{name: pod, ttl: 0s, attributes: {attributes}}}}}");
    let world = with(&[rule(
        "shop",
        "a",
        &format!("host: reviews, trafficPolicy: {{loadBalancer: {{consistentHash: {hash}}}}}"),
    )]);
    let Balance::Hash(HashKey::Cookie(cookie)) = balance(&world) else {
        panic!("{:?}", balance(&world));
    };
    assert_eq!(&*cookie.attributes, "; SameSite=Strict; Secure");
    let [error] = &world.errors()[..] else {
        panic!("{:?}", world.findings)
    };
    assert!(error.contains("httpCookie.attributes[2].name"), "{error}");
}
