#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;

#[test]
fn times_are_unix_seconds() {
    assert_eq!(rfc3339_seconds("1970-01-01T00:00:00Z"), Some(0));
    assert_eq!(rfc3339_seconds("2026-01-01T00:01:10Z"), Some(1_767_225_670));
    assert_eq!(rfc3339_seconds("2024-02-29T12:00:00.5+01:30"), Some(1_709_202_600));
    assert_eq!(rfc3339_seconds("2000-03-01T00:00:00Z"), Some(951_868_800));
    for bad in [
        "",
        "2026",
        "2026-13-01T00:00:00Z",
        "2026-01-01T00:00:00",
        "yesterday",
        "2026-01-01Tx:y:zZ",
        "é-é-éTéZ",
    ] {
        assert_eq!(rfc3339_seconds(bad), None, "{bad}");
    }
}

#[test]
fn a_list_is_unpacked_and_its_bad_items_are_told() {
    let value = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}},
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {}},
        7,
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {}},
    ]});
    let (mut objects, mut bad) = (Vec::new(), Vec::new());
    read(&value, None, &mut 0, &mut objects, &mut bad);
    let names: Vec<String> = objects.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["Namespace a", "Service default/s"]);
    let told: Vec<&str> = bad.iter().map(|bad| bad.problem.message.as_str()).collect();
    assert_eq!(
        told,
        [
            "`name` is missing: it must be given",
            "expected a Kubernetes object, found 7"
        ]
    );
}
