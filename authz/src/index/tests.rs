//! The law: whatever the rules, the index finds what asking each in order finds.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::Index;
use crate::policy::Bound;
use crate::rule::View;
use crate::spec::Problems;
use crate::testing::Sample;
use crate::{Claims, check};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Lists that overlap each other and the requests below in many ways.
fn lists() -> impl Strategy<Value = (&'static str, Value)> {
    let of = |field: &'static str, texts: &'static [&'static str]| {
        let list = prop::collection::vec(prop::sample::select(texts), 1..3);
        list.prop_map(move |list| (field, json!(list)))
    };
    prop_oneof![
        4 => of("paths", &["/a", "/a/b", "/a*", "/a/*", "/*", "*/b", "*", "/a/{*}", "/{**}", "/b/{**}/c", "/b"]),
        1 => of("notPaths", &["/a", "/a/*", "/b"]),
        1 => of("methods", &["GET", "PUT"]),
        1 => of("hosts", &["ledger.bank.svc:8080", "ledger*", "other"]),
        2 => of("principals", &["mesh.example/ns/shop/sa/cart", "mesh.example/ns/*", "*/sa/cart", "*", "other/x"]),
        1 => of("notPrincipals", &["mesh.example/ns/shop/sa/cart"]),
        2 => of("namespaces", &["shop", "sh*", "bank", "other"]),
        1 => of("serviceAccounts", &["shop/cart", "cart", "bank/till"]),
    ]
}

fn rule() -> impl Strategy<Value = Value> {
    let clauses = || prop::collection::vec(lists(), 0..4);
    let when = prop::sample::select(
        &[
            ("", ""),
            ("", ""),
            ("source.namespace", "shop"),
            ("source.namespace", "bank"),
            ("request.headers[x-env]", "prod"),
            ("request.headers[x-env]", "prod*"),
            ("request.headers[x-env]", "*,b"),
            ("request.auth.claims[role]", "admin"),
            ("request.auth.claims[a][b]", "ad*"),
        ][..],
    );
    (clauses(), clauses(), when).prop_map(|(one, other, (key, value))| {
        let (mut from, mut to) = (Vec::new(), Vec::new());
        for (field, list) in one.into_iter().chain(other) {
            match field {
                "paths" | "notPaths" | "methods" | "hosts" => to.push(json!({"operation": {field: list}})),
                _ => from.push(json!({"source": {field: list}})),
            }
        }
        let mut rule = json!({});
        for (field, clauses) in [("from", from), ("to", to)] {
            if !clauses.is_empty() {
                rule[field] = json!(clauses);
            }
        }
        if !key.is_empty() {
            rule["when"] = json!([{"key": key, "values": [value]}]);
        }
        rule
    })
}

fn bound(rules: Vec<Value>) -> Vec<Bound> {
    let spec = serde_json::from_value(json!({"rules": rules})).unwrap();
    let (_, rules) = check::compile("bank", &spec, None, &mut Problems::default());
    rules
        .into_iter()
        .map(|(index, rule)| Bound { policy: 0, index, rule })
        .collect()
}

proptest! {
    #[test]
    fn finds_what_asking_each_finds(
        rules in prop::collection::vec(rule(), 0..24),
        path in prop::sample::select(&["/", "/a", "/a/b", "/ab", "/b", "/b/x/c", "/a/b/c"][..]),
        identity in prop::option::of(prop::sample::select(&[
            "spiffe://mesh.example/ns/shop/sa/cart",
            "spiffe://mesh.example/ns/bank/sa/till",
            "spiffe://mesh.example/ns/ns/sa/ns",
            "spiffe://mesh.example/ns/ns/shop/sa/cart/x",
            "spiffe://other/x",
        ][..])),
        headers in prop::collection::vec(prop::sample::select(&["prod", "prod-2", "a", "b", "prod,b"][..]), 0..3),
        roles in prop::sample::select(vec![json!(null), json!("admin"), json!(["user", "admin"]), json!([7]), json!({"b": "adept"})]),
    ) {
        let rules = bound(rules);
        let mut sample = Sample::get(path).from(identity);
        for value in headers {
            sample = sample.header("x-env", value);
        }
        let payload = json!({"iss": "i", "sub": "s", "role": roles.clone(), "a": roles});
        let claims = Claims::from_payload(payload.as_object().unwrap().clone());
        let request = sample.request();
        for request in [Some(&request), None] {
            let claims = request.map(|_| &claims);
            let view = View { connection: &sample.connection, request, claims };
            let one_by_one = rules.iter().find(|bound| bound.rule.matches(view));
            let found = Index::of(&rules).first(&rules, view);
            prop_assert_eq!(found.map(|bound| bound.index), one_by_one.map(|bound| bound.index));
        }
    }
}
