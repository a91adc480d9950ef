//! Decisions: order, combination, attributes of each kind, HTTP and TCP.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::Verdict::{Allow, Deny};
use super::{Action, Policies, Verdict};
use crate::Claims;
use crate::testing::{Sample, policies};
use http::Method;
use serde_json::{Value, json};

fn sound(specs: &[Value]) -> Policies {
    let (policies, problems) = policies(specs);
    assert!(problems.iter().all(|problem| !problem.error), "{problems:?}");
    policies
}

fn decide(specs: &[Value], sample: &Sample) -> (Verdict, Option<(String, usize)>) {
    let policies = sound(specs);
    let decision = policies.decide(&sample.request(), None);
    (
        decision.verdict,
        decision.by.map(|(id, rule)| (id.name.to_string(), rule)),
    )
}

/// Does an ALLOW of this one rule let the sample through?
fn allows(rule: Value, sample: &Sample) -> bool {
    decide(&[json!({"rules": [rule]})], sample).0 == Allow
}

fn when(key: &str, values: Value) -> Value {
    let mut condition = json!({"key": key});
    condition
        .as_object_mut()
        .unwrap()
        .extend(values.as_object().unwrap().clone());
    json!({"when": [condition]})
}

#[test]
fn deny_comes_first_and_says_which_rule() {
    let deny = json!({"action": "DENY", "rules": [
        {"to": [{"operation": {"paths": ["/a"]}}]},
        {"to": [{"operation": {"paths": ["/b"]}}]},
    ]});
    let allow = json!({"rules": [{"to": [{"operation": {"methods": ["GET"]}}]}]});
    let both = [deny.clone(), allow];
    assert_eq!(decide(&both, &Sample::get("/b")), (Deny, Some(("p0".to_owned(), 1))));
    assert_eq!(decide(&both, &Sample::get("/c")), (Allow, Some(("p1".to_owned(), 0))));
    let mut post = Sample::get("/c");
    post.method = Method::POST;
    assert_eq!(decide(&both, &post), (Deny, None));
    assert_eq!(decide(&[deny], &post), (Allow, None));
    assert_eq!(decide(&[], &post), (Allow, None));
}

#[test]
fn an_allow_without_rules_allows_nothing() {
    for nothing in [json!({}), json!({"rules": []}), json!({"action": "ALLOW"})] {
        let policies = sound(&[nothing]);
        assert!(!policies.is_empty());
        assert_eq!(policies.decide(&Sample::get("/").request(), None).verdict, Deny);
        assert_eq!(policies.decide_tcp(&Sample::get("/").connection).verdict, Deny);
    }
    assert_eq!(decide(&[json!({"rules": [{}]})], &Sample::get("/").from(None)).0, Allow);
}

#[test]
fn audit_and_dry_run_change_no_verdict() {
    let audit = json!({"action": "AUDIT", "rules": [{"to": [{"operation": {"paths": ["/a"]}}]}]});
    let policies = sound(&[audit]);
    let sample = Sample::get("/a");
    assert_eq!(policies.decide(&sample.request(), None).verdict, Allow);
    assert_eq!(policies.audited_by(&sample.request(), None).unwrap().1, 0);
    assert!(policies.audited_by(&Sample::get("/b").request(), None).is_none());

    let spec = crate::AuthorizationPolicySpec {
        action: Some("DENY".to_owned()),
        rules: Some(vec![json!({})]),
        dry_run: true,
        ..Default::default()
    };
    let (policies, _) = Policies::build(&[(crate::testing::id("dry"), spec)], &Default::default());
    assert_eq!(policies.decide(&sample.request(), None).verdict, Allow);
    assert_eq!(policies.decide_tcp(&sample.connection).verdict, Allow);
}

#[test]
fn a_rehearsal_tells_what_would_be() {
    let dry = |name: &str, spec: Value| {
        let mut spec: crate::AuthorizationPolicySpec = serde_json::from_value(spec).unwrap();
        spec.dry_run = true;
        (crate::testing::id(name), spec)
    };
    let operation = |field: &str, value: &str| json!([{"to": [{"operation": {field: [value]}}]}]);
    let deny = dry("deny", json!({"action": "DENY", "rules": operation("paths", "/a")}));
    let allow = dry("allow", json!({"rules": operation("methods", "GET")}));
    let (policies, _) = Policies::build(&[deny, allow], &Default::default());
    let told = |sample: &Sample| -> Vec<(Action, Verdict, Option<String>)> {
        let name = |(id, _): (&crate::PolicyId, usize)| id.name.to_string();
        let request = sample.request();
        let rehearsed = policies.rehearse(&request, None);
        rehearsed
            .map(|(action, decision)| (action, decision.verdict, decision.by.map(name)))
            .collect()
    };
    let mut put = Sample::get("/b");
    put.method = Method::PUT;
    let (of_deny, of_allow) = (Some("deny".to_owned()), Some("allow".to_owned()));
    assert_eq!(
        told(&Sample::get("/a")),
        [(Action::Deny, Deny, of_deny), (Action::Allow, Allow, of_allow)]
    );
    assert_eq!(told(&put), [(Action::Deny, Allow, None), (Action::Allow, Deny, None)]);
    assert!(!policies.is_empty(), "there is something to tell");

    let tcp: Vec<Verdict> = policies
        .rehearse_tcp(&put.connection)
        .map(|(_, decision)| decision.verdict)
        .collect();
    assert_eq!(tcp, [Deny, Deny], "HTTP attributes widen a DENY and drop an ALLOW");
}

#[test]
fn within_a_rule() {
    let rule = json!({
        "from": [{"source": {"namespaces": ["shop"], "ipBlocks": ["10.20.0.0/16"]}}, {"source": {"namespaces": ["ops"]}}],
        "to": [{"operation": {"methods": ["GET"], "paths": ["/r*"]}}, {"operation": {"ports": ["9"]}}],
        "when": [{"key": "request.headers[x-env]", "values": ["p*"], "notValues": ["prod"]}, {"key": "source.ip", "values": ["10.0.0.0/8"]}],
    });
    let good = || Sample::get("/read").header("x-env", "pilot");
    assert!(allows(rule.clone(), &good()));
    assert!(allows(
        rule.clone(),
        &good().from(Some("spiffe://mesh.example/ns/ops/sa/any"))
    ));
    let refused = [
        good().from(None),
        good().from(Some("spiffe://mesh.example/ns/shopping/sa/cart")),
        Sample::get("/write").header("x-env", "pilot"),
        Sample::get("/read"),
        Sample::get("/read").header("x-env", "prod"),
        {
            let mut other = good();
            other.connection.source_ip = "192.0.2.1".parse().unwrap();
            other
        },
        {
            let mut other = good();
            other.method = Method::PUT;
            other
        },
    ];
    for (index, sample) in refused.iter().enumerate() {
        assert!(!allows(rule.clone(), sample), "{index}");
    }
}

#[test]
fn every_source_and_its_opposite() {
    for (name, hit, miss) in [
        (
            "principals",
            "mesh.example/ns/shop/sa/cart",
            "mesh.example/ns/shop/sa/carts",
        ),
        (
            "principals",
            "old.example/ns/shop/sa/cart",
            "far.example/ns/shop/sa/cart",
        ),
        ("principals", "cluster.local/ns/shop/sa/cart", "cluster.local/ns/shop/*"),
        ("principals", "*", "spiffe://mesh.example/ns/shop/sa/cart"),
        ("principals", "*/sa/cart", "*/sa/car"),
        ("namespaces", "shop", "sho"),
        ("serviceAccounts", "shop/cart", "cart"),
        ("trustDomains", "old.example", "cluster.local"),
        ("ipBlocks", "10.20.0.4", "10.20.0.5"),
        ("remoteIpBlocks", "198.51.100.0/24", "10.20.0.4"),
    ] {
        let sample = Sample::get("/");
        let rule = |name: &str, value: &str| json!({"from": [{"source": {name: [value]}}]});
        let not = format!("not{}{}", name[..1].to_uppercase(), &name[1..]);
        assert!(allows(rule(name, hit), &sample), "{name} {hit}");
        assert!(!allows(rule(name, miss), &sample), "{name} {miss}");
        assert!(!allows(rule(&not, hit), &sample), "{not} {hit}");
        assert!(allows(rule(&not, miss), &sample), "{not} {miss}");
    }
}

#[test]
fn every_operation_and_its_opposite() {
    for (name, hit, miss) in [
        ("hosts", "Ledger.Bank.svc:8080", "ledger.bank.svc"),
        ("hosts", "*.SVC:8080", "*.svc"),
        ("hosts", "LEDGER.*", "edger.*"),
        ("hosts", "*", "x"),
        ("ports", "8080", "80"),
        ("methods", "GET", "get"),
        ("methods", "G*", "*G"),
        ("paths", "/r/1", "/r"),
        ("paths", "/r*", "/R*"),
        ("paths", "*/1", "*/r"),
        ("paths", "*", "/"),
        ("paths", "/{*}/1", "/{*}"),
        ("paths", "/{**}", "/r/{*}/{**}"),
    ] {
        let sample = Sample::get("/r/1?x=/r");
        let rule = |name: &str, value: &str| json!({"to": [{"operation": {name: [value]}}]});
        let not = format!("not{}{}", name[..1].to_uppercase(), &name[1..]);
        assert!(allows(rule(name, hit), &sample), "{name} {hit}");
        assert!(!allows(rule(name, miss), &sample), "{name} {miss}");
        assert!(!allows(rule(&not, hit), &sample), "{not} {hit}");
        assert!(allows(rule(&not, miss), &sample), "{not} {miss}");
    }
}

#[test]
fn every_condition_and_its_opposite() {
    let mut sample = Sample::get("/r?x=1")
        .header("x-team", "red")
        .header("x-team", "blue")
        .header("x-empty", "");
    sample.connection.sni = Some("db.bank".to_owned());
    for (key, hit, miss) in [
        ("source.ip", "10.20.0.0/24", "10.21.0.0/24"),
        ("remote.ip", "198.51.100.7", "198.51.100.8"),
        ("source.namespace", "shop", "bank"),
        ("source.serviceAccount", "shop/cart", "bank/cart"),
        ("source.trustDomain", "mesh.*", "cluster.*"),
        ("source.principal", "mesh.example/ns/shop/*", "mesh.example/ns/bank/*"),
        ("destination.ip", "172.16.0.9", "172.16.0.8"),
        ("destination.port", "8080", "8081"),
        ("connection.sni", "*.bank", "bank"),
        ("request.headers[X-Team]", "red,blue", "red"),
        ("request.headers[x-team]", "*d,blue", "*,red"),
        ("request.headers[x-team]", "red,*", "redd*"),
        ("request.headers[x-empty]", "*", "x"),
        ("request.headers[:authority]", "LEDGER.bank.svc:8080", "ledger"),
        ("request.headers[:path]", "/r?x=1", "/r"),
        ("request.headers[:path]", "/r?*", "*?x=2"),
        ("request.headers[:method]", "GET", "POST"),
        ("experimental.envoy.filters.http.x[y]", "*", "*"),
    ] {
        let absent = key.starts_with("experimental");
        assert_eq!(
            allows(when(key, json!({"values": [hit]})), &sample),
            !absent,
            "{key} {hit}"
        );
        assert_eq!(
            allows(when(key, json!({"notValues": [hit]})), &sample),
            absent,
            "not {key} {hit}"
        );
        assert!(!allows(when(key, json!({"values": [miss]})), &sample), "{key} {miss}");
        assert!(
            allows(when(key, json!({"notValues": [miss]})), &sample),
            "not {key} {miss}"
        );
    }
}

#[test]
fn what_is_missing_satisfies_only_the_opposite() {
    let mut bare = Sample::get("/").from(None);
    bare.connection.destination_ip = None;
    for (key, value) in [
        ("source.principal", "*"),
        ("source.namespace", "*"),
        ("source.serviceAccount", "shop/cart"),
        ("source.trustDomain", "*"),
        ("destination.ip", "0.0.0.0/0"),
        ("connection.sni", "*"),
        ("request.headers[x-team]", "*"),
        ("request.auth.principal", "*"),
        ("request.auth.audiences", "*"),
        ("request.auth.presenter", "*"),
        ("request.auth.claims[team]", "*"),
    ] {
        assert!(!allows(when(key, json!({"values": [value]})), &bare), "{key}");
        assert!(allows(when(key, json!({"notValues": [value]})), &bare), "not {key}");
    }
}

#[test]
fn attributes_of_the_token() {
    let payload =
        json!({"iss": "https://id.example", "sub": "u", "aud": ["a", "b"], "azp": "app", "org": {"team": "red"}});
    let claims = Claims::from_payload(payload.as_object().unwrap().clone());
    for (key, value, matches) in [
        ("request.auth.principal", "https://id.example/u", true),
        ("request.auth.principal", "https://id.example/v", false),
        ("request.auth.audiences", "b", true),
        ("request.auth.audiences", "a,b", false),
        ("request.auth.presenter", "app", true),
        ("request.auth.claims[org][team]", "red", true),
        ("request.auth.claims[org]", "red", false),
        ("request.auth.claims[iss]", "https://*", true),
    ] {
        let policies = sound(&[json!({"rules": [when(key, json!({"values": [value]}))]})]);
        let verdict = policies.decide(&Sample::get("/").request(), Some(&claims)).verdict;
        assert_eq!(verdict == Allow, matches, "{key} {value}");
    }
}

#[test]
fn tcp_drops_an_allow_with_http_and_widens_a_deny() {
    let sample = Sample::get("/");
    let decide = |spec: Value| sound(&[spec]).decide_tcp(&sample.connection).verdict;
    let paths_or_port = json!([{"operation": {"paths": ["/x"]}}, {"operation": {"ports": ["8080"]}}]);
    assert_eq!(decide(json!({"rules": [{"to": paths_or_port}]})), Deny);
    assert_eq!(
        decide(json!({"rules": [{"to": [{"operation": {"ports": ["8080"]}}]}]})),
        Allow
    );
    assert_eq!(
        decide(json!({"rules": [{"to": [{"operation": {"notMethods": ["PUT"]}}]}]})),
        Deny
    );
    let post_on = |port: &str| json!({"action": "DENY", "rules": [{"to": [{"operation": {"methods": ["POST"], "ports": [port]}}]}]});
    assert_eq!(decide(post_on("8080")), Deny);
    assert_eq!(decide(post_on("81")), Allow);
    assert_eq!(
        decide(json!({"action": "DENY", "rules": [{"from": [{"source": {"requestPrincipals": ["*"]}}]}]})),
        Deny
    );
    // Without a forwarded address the remote one is the peer's.
    assert_eq!(
        decide(json!({"rules": [{"from": [{"source": {"remoteIpBlocks": ["10.20.0.4"]}}]}]})),
        Allow
    );
}

/// Whatever is not understood: ALLOW never allows by it, DENY never spares by it.
#[test]
fn what_is_not_understood_fails_closed() {
    let rules = [
        json!(null),
        json!("x"),
        json!({"form": []}),
        json!({"from": []}),
        json!({"from": {}}),
        json!({"from": [{}]}),
        json!({"from": [{"source": {}}]}),
        json!({"from": [{"source": {"principls": ["*"]}}]}),
        json!({"from": [{"source": {"namespaces": ["shop"], "namespace": ["shop"]}}]}),
        json!({"from": [{"source": null, "principals": ["x"]}]}),
        json!({"from": [{"source": {"principals": "*"}}]}),
        json!({"from": [{"source": {"ipBlocks": ["10.0.0.0/8", "junk"]}}]}),
        json!({"from": [{"source": {"ipBlocks": ["192.0.2.1", "junk"]}}]}),
        json!({"from": [{"source": {"notIpBlocks": ["junk"]}}]}),
        json!({"from": [{"source": {"notIpBlocks": ["192.0.2.1", "junk"]}}]}),
        json!({"from": [{"source": {"serviceAccounts": ["a/b/c"]}}]}),
        json!({"to": [{"operation": {"ports": [8080]}}]}),
        json!({"to": [{"operation": {"ports": ["http"]}}]}),
        json!({"to": [{"operation": {"paths": ["/{id}"]}}]}),
        json!({"to": [{"operation": {"notPaths": ["/{**}/{*}"]}}]}),
        json!({"to": [{"operation": {"methods": [""]}}]}),
        json!({"to": [{"operations": {"methods": ["GET"]}}]}),
        json!({"when": [{"key": "source.user", "values": ["x"]}]}),
        json!({"when": [{"key": "request.headers[]", "values": ["x"]}]}),
        json!({"when": [{"key": "source.ip", "value": ["10.0.0.1"]}]}),
        json!({"when": [{"values": ["10.0.0.1"]}]}),
        json!({"when": "x"}),
    ];
    for rule in rules {
        for (action, wanted) in [("ALLOW", Deny), ("DENY", Deny)] {
            let (policies, problems) = policies(&[json!({"action": action, "rules": [rule.clone()]})]);
            assert!(problems.iter().any(|problem| problem.error), "{rule}");
            let verdict = policies.decide(&Sample::get("/").request(), None).verdict;
            assert_eq!(verdict, wanted, "{action} {rule}");
        }
    }
}

#[test]
fn a_policy_that_is_not_understood_fails_closed() {
    for spec in [
        json!({"action": "ALOW", "rules": [{}]}),
        json!({"actoin": "DENY", "rules": [{}]}),
        json!({"action": "DENY", "rule": [{}]}),
    ] {
        let (policies, problems) = policies(std::slice::from_ref(&spec));
        assert!(problems.iter().any(|problem| problem.error), "{spec}");
        assert_eq!(
            policies.decide(&Sample::get("/").request(), None).verdict,
            Deny,
            "{spec}"
        );
        assert_eq!(
            policies.decide_tcp(&Sample::get("/").connection).verdict,
            Deny,
            "{spec}"
        );
    }
}

fn asked(policies: &Policies, path: &str) -> Vec<(Option<String>, String, usize)> {
    let sample = Sample::get(path);
    let request = sample.request();
    let name = |ask: crate::Ask<'_>| {
        let (id, rule) = ask.by;
        (ask.provider.map(ToString::to_string), id.name.to_string(), rule)
    };
    policies.asks(&request).map(name).collect()
}

fn custom(provider: &str, paths: Value) -> Value {
    json!({"action": "CUSTOM", "provider": {"name": provider}, "rules": [{"to": [{"operation": {"paths": paths}}]}]})
}

#[test]
fn custom_names_whom_to_ask_about_what_it_matches() {
    let specs = [
        custom("q", json!(["/a"])),
        custom("p", json!(["/a", "/b"])),
        custom("q", json!(["/c"])),
        json!({"rules": [{}]}),
    ];
    let policies = sound(&specs);
    let some = |provider: &str, policy: &str| (Some(provider.to_owned()), policy.to_owned(), 0);
    assert_eq!(asked(&policies, "/a"), [some("p", "p1"), some("q", "p0")], "by name");
    assert_eq!(asked(&policies, "/b"), [some("p", "p1")]);
    assert_eq!(asked(&policies, "/c"), [some("q", "p2")]);
    assert_eq!(asked(&policies, "/d"), []);
    assert_eq!(policies.providers().map(|name| &**name).collect::<Vec<_>>(), ["p", "q"]);
    for path in ["/a", "/d"] {
        let decision = policies.decide(&Sample::get(path).request(), None);
        assert_eq!(decision.verdict, Allow, "the provider decides, not the policy");
    }
}

#[test]
fn where_nobody_can_be_asked_custom_still_tells_what_it_matches() {
    let mut several = sound(&[custom("p", json!(["/a"])), custom("q", json!(["/b"]))]);
    several.ask_nobody();
    assert_eq!(asked(&several, "/b"), [(None, "p1".to_owned(), 0)]);
    assert_eq!(asked(&several, "/c"), []);
    let (nameless, problems) = policies(&[json!({"action": "CUSTOM", "rules": [{}]})]);
    assert!(problems.iter().any(|problem| problem.error));
    assert_eq!(asked(&nameless, "/"), [(None, "p0".to_owned(), 0)]);
}

#[test]
fn custom_on_tcp_ignores_what_is_of_http() {
    let policies = sound(&[json!({"action": "CUSTOM", "provider": {"name": "p"}, "rules": [
        {"to": [{"operation": {"ports": ["9"]}}]},
        {"to": [{"operation": {"paths": ["/a"], "ports": ["8080"]}}]},
    ]})]);
    let connection = Sample::get("/").connection;
    let asks: Vec<usize> = policies.asks_tcp(&connection).map(|ask| ask.by.1).collect();
    assert_eq!(asks, [1]);
}

#[test]
fn a_dry_run_asks_nobody() {
    let spec = crate::AuthorizationPolicySpec {
        dry_run: true,
        ..serde_json::from_value(custom("p", json!(["/*"]))).unwrap()
    };
    let (policies, _) = Policies::build(&[(crate::testing::id("dry"), spec)], &Default::default());
    assert!(!policies.has_custom() && policies.is_empty());
}

#[test]
fn policies_tell_that_they_ask_for_the_sni() {
    let by_sni = json!({"rules": [{"when": [{"key": "connection.sni", "values": ["a.example"]}]}]});
    let negated =
        json!({"action": "DENY", "rules": [{"when": [{"key": "connection.sni", "notValues": ["*.example"]}]}]});
    let other = json!({"rules": [{"to": [{"operation": {"ports": ["80"]}}]}]});
    assert!(sound(&[other.clone(), by_sni]).needs_sni());
    assert!(sound(&[negated]).needs_sni());
    assert!(!sound(&[other]).needs_sni());
    assert!(!sound(&[]).needs_sni());
}
