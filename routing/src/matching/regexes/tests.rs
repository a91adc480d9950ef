#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use super::*;

#[test]
fn one_object_cannot_take_everything() {
    let room = RegexRoom::default();
    let large = (0..100).take_while(|_| anchored("a{9000}", &room).is_ok()).count();
    assert!((4..=16).contains(&large), "{large}");
    assert!(room.taken_bytes() <= RegexRoom::BYTES);
    assert!(anchored("a{9000}", &room).unwrap_err().contains("more than is left"));
    assert!(anchored("a", &RegexRoom::within(5_000)).is_ok());
}

#[test]
fn ordinary_patterns_are_small() {
    let room = RegexRoom::default();
    for pattern in [
        "/api/v[0-9]+/users/[^/]+",
        "^(.*?;)?\\s*(user=jason)(;.*)?$",
        "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
        "(?i)mozilla.*",
    ] {
        let before = room.taken_bytes();
        anchored(pattern, &room).unwrap();
        assert!(room.taken_bytes() - before <= 4 << 10, "{pattern}");
    }
}
