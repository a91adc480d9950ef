#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::Compiler;
use std::fmt::Write;
use std::path::Path;

/// One line for each condition; `UPDATE_GOLDEN=1` writes it anew.
#[test]
fn statuses_are_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/status");
    let mut text = String::new();
    for file in ["mesh", "routes", "policies", "backend-tls"] {
        text += &std::fs::read_to_string(folder.join(format!("{file}.yaml"))).unwrap();
        text += "\n---\n";
    }
    let resources = Resources::from_yaml(Path::new("all.yaml"), &text);
    let scope = Scope {
        namespace: Some("shop".to_owned()),
        gateway: Some("waypoint".to_owned()),
        ..Scope::default()
    };
    let (_, findings) = Compiler::new(scope.clone()).compile(&resources);
    let mut told = String::new();
    for status in statuses(&scope, &resources, &findings) {
        let generation = status
            .generation
            .map_or("-".to_owned(), |generation| generation.to_string());
        writeln!(
            told,
            "{} {}/{} generation {generation}",
            status.kind, status.namespace, status.name
        )
        .unwrap();
        for parent in &status.parents {
            writeln!(told, "  {}", parent.reference).unwrap();
            for Condition {
                kind,
                is_true,
                reason,
                message,
            } in &parent.conditions
            {
                writeln!(told, "    {kind}={is_true} {reason}: {message}").unwrap();
            }
        }
    }
    let expected = folder.join("expected.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&expected, &told).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&expected).unwrap_or_default(), told, "\n{told}");
}

#[test]
fn reasons_of_references() {
    for (field, reason) in [
        ("spec.rules[0].backendRefs[1].name", Some("BackendNotFound")),
        ("spec.rules[0].backendRefs[1].port", Some("BackendNotFound")),
        ("spec.rules[0].backendRefs[1].kind", Some("InvalidKind")),
        ("spec.rules[0].backendRefs[1].namespace", Some("RefNotPermitted")),
        (
            "spec.rules[0].filters[0].requestMirror.backendRef.name",
            Some("BackendNotFound"),
        ),
        (
            "spec.rules[0].backendRefs[0].filters[0].requestMirror.backendRef.name",
            Some("BackendNotFound"),
        ),
        ("spec.rules[0].backendRefs[0].filters[0].type", None),
        ("spec.rules[0].backendRefs[0].weight", None),
        ("spec.rules[0].matches[0].path.value", None),
        ("", None),
    ] {
        assert_eq!(reference_reason(field), reason, "{field}");
    }
}

#[test]
fn messages_have_a_limit() {
    let long = "é".repeat(MAX_MESSAGE_BYTES);
    let cut = condition("Accepted", false, "Invalid", long).message;
    assert_eq!(cut.len(), MAX_MESSAGE_BYTES);
    let odd = format!("x{}", "é".repeat(MAX_MESSAGE_BYTES));
    assert_eq!(
        condition("Accepted", false, "Invalid", odd).message.len(),
        MAX_MESSAGE_BYTES - 1
    );
}
