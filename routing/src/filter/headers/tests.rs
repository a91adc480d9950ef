#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use super::*;

fn pair(name: &'static str, value: &'static str) -> (HeaderName, HeaderValue) {
    (HeaderName::from_static(name), HeaderValue::from_static(value))
}

fn after(modifier: &HeaderModifier, headers: &[(&'static str, &'static str)]) -> Vec<String> {
    let mut map: HeaderMap = headers.iter().map(|(name, value)| pair(name, value)).collect();
    // `collect` keeps the last of equal names: put the others back.
    for (i, (name, value)) in headers.iter().enumerate() {
        if headers[i + 1..].iter().any(|(other, _)| other == name) {
            map.append(*name, HeaderValue::from_static(value));
        }
    }
    modifier.apply(&mut map);
    let mut lines: Vec<_> = map
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    lines.sort();
    lines
}

#[test]
fn set_replaces_all_add_appends_remove_removes_all() {
    let modifier = HeaderModifier {
        set: vec![pair("s", "new"), pair("t", "new")],
        add: vec![pair("a", "more"), pair("b", "new")],
        remove: vec![HeaderName::from_static("r")],
    };
    let before = [
        ("s", "1"),
        ("s", "2"),
        ("a", "old"),
        ("r", "1"),
        ("r", "2"),
        ("z", "kept"),
    ];
    assert_eq!(
        after(&modifier, &before),
        ["a: more", "a: old", "b: new", "s: new", "t: new", "z: kept"]
    );
}

#[test]
fn one_name_in_several_lists() {
    let modifier = HeaderModifier {
        set: vec![pair("x", "set")],
        add: vec![pair("x", "added")],
        remove: vec![HeaderName::from_static("x")],
    };
    assert_eq!(after(&modifier, &[("x", "old")]), ["x: added", "x: set"]);
}

#[test]
fn host_is_told_not_applied() {
    let modifier = HeaderModifier {
        set: vec![pair("host", "other")],
        add: vec![],
        remove: vec![HOST],
    };
    assert_eq!(after(&modifier, &[("host", "reviews")]), ["host: reviews"]);
    assert_eq!(modifier.host().unwrap(), "other");
    assert_eq!(HeaderModifier::default().host(), None);
}
