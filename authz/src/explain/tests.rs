//! Explanations agree with decisions, and say what a person needs to know.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::PolicyExplanation;
use crate::Policies;
use crate::claims::Claims;
use crate::testing::{Sample, policies};
use crate::{Action, AuthorizationPolicySpec, Verdict};
use http::Method;
use proptest::prelude::*;
use serde_json::{Value, json};

fn lines(explained: &PolicyExplanation) -> Vec<String> {
    let line = |rule: &super::ConsideredRule| {
        let index = rule.rule.map_or("-".to_owned(), |index| index.to_string());
        let why = rule.lost_because.as_deref().unwrap_or("matches");
        format!("{} {} {index}: {why}", rule.action, rule.policy.name)
    };
    explained.considered.iter().map(line).collect()
}

#[test]
fn every_rule_tells_the_first_thing_it_does_not_get() {
    let specs = [
        json!({"action": "DENY", "rules": [
            {"from": [{"source": {"namespaces": ["a*"]}}, {"source": {"notPrincipals": ["mesh.example/ns/shop/*"]}}]},
            {"to": [{"operation": {"methods": ["POST"]}}]},
        ]}),
        json!({"rules": [
            {"to": [{"operation": {"paths": ["/admin/*", "/{*}/x"], "ports": ["9090"]}}]},
            {"when": [{"key": "request.headers[x-user]", "values": ["root", "*"]}]},
            {"when": [{"key": "request.auth.claims[groups]", "values": ["admins"]}]},
            {"when": [{"key": "source.ip", "values": ["10.0.0.0/8"]}]},
        ]}),
        json!({"action": "AUDIT", "rules": [{}]}),
        json!({}),
    ];
    let sample = Sample::get("/api").header("authorization", "Basic aGk6aG8=");
    let explained = policies(&specs).0.explain(&sample.request(), None);
    assert_eq!(
        lines(&explained),
        [
            "AUDIT p2 0: matches",
            "DENY p0 0: from[0]: namespaces: wanted \"a*\", found \"shop\"; from[1]: not principals: wanted none of \
             \"mesh.example/ns/shop/*\", found \"mesh.example/ns/shop/sa/cart\"",
            "DENY p0 1: to[0]: methods: wanted \"POST\", found \"GET\"",
            "ALLOW p1 0: to[0]: ports: wanted 9090, found 8080",
            "ALLOW p1 1: when: header x-user: wanted \"root\" or any value, found none",
            "ALLOW p1 2: when: claim groups: wanted \"admins\", found none",
            "ALLOW p1 3: matches",
            "ALLOW p3 -: it has no rule that could match",
        ]
    );
    assert_eq!(explained.verdict, Verdict::Allow);
    assert_eq!(
        explained.by.as_ref().map(|(id, rule)| (&*id.name, *rule)),
        Some(("p1", 3))
    );
    assert_eq!(explained.why, "an ALLOW rule matches");
}

#[test]
fn no_credential_is_shown() {
    let when = |key: &str| json!({"key": key, "values": ["Bearer s3cret", "a=s3cret"]});
    let specs = [json!({"rules": [
        {"when": [when("request.headers[authorization]")]},
        {"when": [when("request.headers[cookie]")]},
        {"when": [{"key": "request.headers[:path]", "values": ["/x"]}]},
    ]})];
    let sample = Sample::get("/a?access_token=s3cret")
        .header("authorization", "Bearer s3cret2")
        .header("cookie", "a=s3cret3");
    let text = lines(&policies(&specs).0.explain(&sample.request(), None)).join("\n");
    assert!(!text.contains("s3cret"), "{text}");
}

#[test]
fn what_is_in_dry_run_is_told_and_decides_nothing() {
    let mut deny: AuthorizationPolicySpec = serde_json::from_value(json!({"action": "DENY", "rules": [{}]})).unwrap();
    deny.dry_run = true;
    let (policies, _) = Policies::build(&[(crate::testing::id("dry"), deny)], &crate::TrustDomains::default());
    let explained = policies.explain(&Sample::get("/").request(), None);
    assert_eq!((explained.verdict, explained.considered.len()), (Verdict::Allow, 0));
    assert!(explained.rehearsed[0].matches());
    assert_eq!(policies.explain_tcp(&Sample::get("/").connection).rehearsed.len(), 1);
}

#[test]
fn connections_are_explained_without_http() {
    let specs = [
        json!({"rules": [{"to": [{"operation": {"methods": ["GET"]}}]}]}),
        json!({"action": "DENY", "rules": [{"to": [{"operation": {"methods": ["GET"], "ports": ["1"]}}]}]}),
    ];
    let explained = policies(&specs).0.explain_tcp(&Sample::get("/").connection);
    assert_eq!(
        lines(&explained),
        [
            "DENY p1 0: to[0]: ports: wanted 1, found 8080",
            "ALLOW p0 -: it has no rule that could match",
        ]
    );
    assert_eq!((explained.verdict, explained.by), (Verdict::Deny, None));
}

fn pick(values: &'static [&'static str]) -> impl Strategy<Value = Vec<&'static str>> {
    proptest::sample::subsequence(values, 0..=2)
}

fn source() -> impl Strategy<Value = Value> {
    (
        pick(&["shop", "s*", "other"]),
        pick(&["mesh.example/ns/shop/sa/cart", "*"]),
    )
        .prop_map(|(namespaces, not)| {
            let mut source = serde_json::Map::new();
            if !namespaces.is_empty() {
                source.insert("namespaces".to_owned(), json!(namespaces));
            }
            if !not.is_empty() || namespaces.is_empty() {
                let not = if not.is_empty() { vec!["x"] } else { not };
                source.insert("notPrincipals".to_owned(), json!(not));
            }
            json!({"source": source})
        })
}

fn operation() -> impl Strategy<Value = Value> {
    (
        pick(&["GET", "POST", "*"]),
        pick(&["/a", "/a*", "/{*}", "*b"]),
        pick(&["/a/b", "*"]),
    )
        .prop_map(|(methods, paths, not)| {
            let mut operation = serde_json::Map::new();
            operation.insert("notPaths".to_owned(), json!(["/never"]));
            for (name, values) in [("methods", methods), ("paths", paths), ("notPaths", not)] {
                if !values.is_empty() {
                    operation.insert(name.to_owned(), json!(values));
                }
            }
            json!({"operation": operation})
        })
}

fn condition() -> impl Strategy<Value = Value> {
    const KEYS: &[&str] = &[
        "request.headers[x]",
        "source.ip",
        "request.auth.claims[g]",
        "destination.port",
    ];
    (proptest::sample::select(KEYS), any::<bool>()).prop_map(|(key, not)| {
        let value = match key {
            "source.ip" => "10.20.0.0/16",
            "destination.port" => "8080",
            _ => "1",
        };
        json!({"key": key, (if not { "notValues" } else { "values" }): [value]})
    })
}

fn spec() -> impl Strategy<Value = Value> {
    let lists = (
        proptest::collection::vec(source(), 0..3),
        proptest::collection::vec(operation(), 0..3),
        proptest::collection::vec(condition(), 0..3),
    );
    let rule = lists.prop_map(|(from, to, when)| {
        let mut rule = serde_json::Map::new();
        for (name, list) in [("from", from), ("to", to), ("when", when)] {
            if !list.is_empty() {
                rule.insert(name.to_owned(), json!(list));
            }
        }
        Value::Object(rule)
    });
    let actions = proptest::sample::select(&["ALLOW", "DENY", "AUDIT", "CUSTOM"][..]);
    (actions, proptest::collection::vec(rule, 0..3)).prop_map(|(action, rules)| {
        let mut spec = json!({"action": action, "rules": rules});
        if action == "CUSTOM" {
            spec["provider"] = json!({"name": "ask"});
        }
        spec
    })
}

fn sample() -> impl Strategy<Value = Sample> {
    let paths = proptest::sample::select(&["/a", "/a/b", "/b", "/"][..]);
    (paths, any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(path, post, header, known)| {
        let mut sample = Sample::get(path);
        if post {
            sample.method = Method::POST;
        }
        if !known {
            sample = sample.from(Some("spiffe://mesh.example/ns/other/sa/x"));
        }
        if header { sample.header("x", "1") } else { sample }
    })
}

fn agrees(policies: &Policies, sample: &Sample, claims: Option<&Claims>) -> Result<(), TestCaseError> {
    let request = sample.request();
    let (decided, explained) = (policies.decide(&request, claims), policies.explain(&request, claims));
    prop_assert_eq!(decided.verdict, explained.verdict);
    let by = decided.by.map(|(id, rule)| (id.clone(), rule));
    prop_assert_eq!(by, explained.by.clone());
    let audited = policies.audited_by(&request, claims);
    let first = |action: Action| {
        let matching = |rule: &&super::ConsideredRule| rule.action == action && rule.matches();
        explained.considered.iter().find(matching)
    };
    prop_assert_eq!(
        audited.map(|(id, rule)| (id.clone(), rule)),
        first(Action::Audit).and_then(|rule| Some((rule.policy.clone(), rule.rule?)))
    );
    let asked = policies.asks(&request).next();
    prop_assert_eq!(
        asked.map(|ask| (ask.by.0.clone(), ask.by.1)),
        first(Action::Custom).and_then(|rule| Some((rule.policy.clone(), rule.rule?)))
    );
    let (decided, explained) = (
        policies.decide_tcp(&sample.connection),
        policies.explain_tcp(&sample.connection),
    );
    prop_assert_eq!(decided.verdict, explained.verdict);
    prop_assert_eq!(decided.by.map(|(id, rule)| (id.clone(), rule)), explained.by);
    Ok(())
}

proptest! {
    #[test]
    fn the_explained_verdict_is_the_verdict(
        specs in proptest::collection::vec(spec(), 0..5),
        sample in sample(),
        with_token in any::<bool>(),
    ) {
        let (policies, _) = policies(&specs);
        let payload = json!({"iss": "i", "sub": "s", "g": "1"}).as_object().unwrap().clone();
        let claims = with_token.then(|| Claims::from_payload(payload));
        agrees(&policies, &sample, claims.as_ref())?;
    }
}
