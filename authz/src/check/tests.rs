//! What admission says, with the place of each problem.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::validate;
use serde_json::{Value, json};

/// Field paths of errors and of warnings.
fn fields(spec: Value) -> (Vec<String>, Vec<String>) {
    let (errors, warnings): (Vec<_>, Vec<_>) = validate(&spec).into_iter().partition(|problem| problem.error);
    let field = |problem: crate::Problem| problem.field;
    (
        errors.into_iter().map(field).collect(),
        warnings.into_iter().map(field).collect(),
    )
}

fn errors(spec: Value) -> Vec<String> {
    fields(spec).0
}

#[test]
fn sound_policies() {
    for spec in [
        json!({}),
        json!({"rules": []}),
        json!({"action": "DENY", "rules": [{}]}),
        json!({"action": "AUDIT", "rules": [{}]}),
        json!({"action": "CUSTOM", "provider": {"name": "p"}, "rules": [{}]}),
        json!({"selector": {"matchLabels": {"app": "x"}}}),
        json!({"targetRefs": [{"group": "", "kind": "Service", "name": "x"}]}),
        json!({"targetRefs": [{"kind": "Service", "name": "x"}]}),
        json!({"targetRef": {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "x"}}),
        json!({"rules": [{"when": [{"key": "request.auth.claims[a][b]", "values": ["x"]}]}]}),
        json!({"rules": [{"from": [{"source": {"principals": ["a"], "namespaces": ["b"]}}]}]}),
    ] {
        assert_eq!(fields(spec.clone()), (vec![], vec![]), "{spec}");
    }
}

#[test]
fn each_problem_is_where_it_stands() {
    for (spec, field) in [
        (json!({"rules": {}}), "spec"),
        (json!({"action": "Deny"}), "spec.action"),
        (json!({"action": "DENY"}), "spec.rules"),
        (json!({"action": "CUSTOM", "provider": {"name": "p"}}), "spec.rules"),
        (json!({"action": "CUSTOM", "rules": [{}]}), "spec.provider.name"),
        (json!({"provider": {"name": "p"}}), "spec.provider"),
        (json!({"ruls": []}), "spec.ruls"),
        (json!({"rules": [{}, {"form": []}]}), "spec.rules[1].form"),
        (
            json!({"rules": [{"from": [{"source": {"principls": ["x"]}}]}]}),
            "spec.rules[0].from[0].source.principls",
        ),
        (
            json!({"rules": [{"to": [{"operation": {"paths": ["/a", "/{x}"]}}]}]}),
            "spec.rules[0].to[0].operation.paths[1]",
        ),
        (json!({"rules": [{"to": []}]}), "spec.rules[0].to"),
        (json!({"rules": [{"to": [{}]}]}), "spec.rules[0].to[0].operation"),
        (
            json!({"rules": [{"to": [{"operation": {"ports": ["70000"]}}]}]}),
            "spec.rules[0].to[0].operation.ports[0]",
        ),
        (
            json!({"rules": [{"when": [{"key": "source.ip"}]}]}),
            "spec.rules[0].when[0]",
        ),
        (
            json!({"rules": [{"when": [{"key": "destination.labels[a]", "values": ["x"]}]}]}),
            "spec.rules[0].when[0].key",
        ),
        (
            json!({"rules": [{"when": [{"key": "source.ip", "notValues": ["x"]}]}]}),
            "spec.rules[0].when[0].notValues[0]",
        ),
        (
            json!({"rules": [{"from": [{"source": {"serviceAccounts": ["a"], "namespaces": ["b"]}}]}]}),
            "spec.rules[0].from[0].source",
        ),
        (
            json!({"action": "CUSTOM", "provider": {"name": "p"}, "rules": [{"from": [{"source": {"namespaces": ["b"]}}]}]}),
            "spec.rules[0].from[0].source.namespaces",
        ),
        (
            json!({"action": "CUSTOM", "provider": {"name": "p"}, "rules": [{"when": [{"key": "request.auth.claims[a]", "values": ["b"]}]}]}),
            "spec.rules[0].when[0].values",
        ),
        (
            json!({"selector": {}, "targetRefs": [{"kind": "Service", "name": "x"}]}),
            "spec",
        ),
        (json!({"targetRefs": [{"kind": "Service"}]}), "spec.targetRefs[0].name"),
        (
            json!({"targetRefs": [{"kind": "Service", "name": "x", "namespace": "y"}]}),
            "spec.targetRefs[0].namespace",
        ),
        (
            json!({"targetRefs": [{"kind": "Pod", "name": "x"}]}),
            "spec.targetRefs[0]",
        ),
        (
            json!({"selector": {"matchLabels": {"app": "x*"}}}),
            "spec.selector.matchLabels",
        ),
    ] {
        assert_eq!(errors(spec.clone()), [field], "{spec}");
    }
    let many: Vec<String> = (0..17).map(|n| format!("a{n}")).collect();
    let spec = json!({"rules": [{"from": [{"source": {"serviceAccounts": many}}]}]});
    assert_eq!(errors(spec), ["spec.rules[0].from[0].source.serviceAccounts"]);
}

#[test]
fn what_is_never_triggered_is_told() {
    for rules in [json!(null), json!([])] {
        let spec = |action: &str| json!({"action": action, "rules": rules, "provider": null});
        assert_eq!(fields(spec("DENY")), (vec!["spec.rules".to_owned()], vec![]));
        assert_eq!(fields(spec("AUDIT")), (vec![], vec!["spec.rules".to_owned()]));
    }
}

#[test]
fn a_deny_that_would_close_all_tcp_is_warned_of() {
    let warned = |rule: Value| !fields(json!({"action": "DENY", "rules": [rule]})).1.is_empty();
    assert!(warned(json!({"to": [{"operation": {"methods": ["GET"]}}]})));
    assert!(warned(json!({"from": [{"source": {"requestPrincipals": ["*"]}}]})));
    assert!(warned(
        json!({"from": [{"source": {"namespaces": ["a"]}}], "to": [{"operation": {"paths": ["/"]}}]})
    ));
    assert!(!warned(
        json!({"to": [{"operation": {"methods": ["GET"], "ports": ["80"]}}]})
    ));
    assert!(!warned(json!({"from": [{"source": {"namespaces": ["a"]}}]})));
    assert!(!warned(json!({})));
    assert!(
        fields(json!({"rules": [{"to": [{"operation": {"methods": ["GET"]}}]}]}))
            .1
            .is_empty()
    );
}
