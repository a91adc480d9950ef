#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use serde_json::json;

fn problems_of(value: &Value, read: impl FnOnce(&Fields<'_>)) -> Vec<String> {
    let problems = Problems::default();
    record(value, &At::Root, &problems, read);
    problems
        .into_vec()
        .into_iter()
        .map(|p| format!("{}: {}", p.field, p.message))
        .collect()
}

#[test]
fn one_bad_field_leaves_the_others() {
    let value = json!({"port": "80", "name": "x", "weights": [1, "y", 3]});
    let found = problems_of(&value, |fields| {
        assert_eq!(fields.port("port"), None);
        assert_eq!(fields.text("name"), Some("x"));
        let numbers = fields.list("weights", 8, |value, at| {
            value.as_u64().or_else(|| {
                fields.problems.error(at, "no number");
                None
            })
        });
        assert_eq!(numbers, [1, 3]);
    });
    assert_eq!(
        found,
        [
            "port: expected a whole number from 1 to 65535, found \"80\"",
            "weights[1]: no number"
        ]
    );
}

#[test]
fn unknown_fields_are_told_with_the_nearest_known_one() {
    let value = json!({"backendrefs": [], "nmae": "x", "zzz": 1});
    let found = problems_of(&value, |fields| {
        fields.get("backendRefs");
        fields.get("name");
    });
    assert_eq!(
        found,
        [
            "backendrefs: unknown field `backendrefs`: did you mean `backendRefs`?",
            "nmae: unknown field `nmae`",
            "zzz: unknown field `zzz`"
        ]
    );
}

#[test]
fn paths_with_dots_are_quoted() {
    let at = At::Root;
    let at = at.field("metadata");
    let at = at.field("labels");
    assert_eq!(at.field("istio.io/x").to_string(), "metadata.labels[\"istio.io/x\"]");
}

#[test]
fn problems_are_bounded() {
    let value = json!((0..1000).map(|n| (format!("f{n}"), json!(1))).collect::<Map<_, _>>());
    assert_eq!(problems_of(&value, |_| {}).len(), MAX_PROBLEMS + 1);
}
