#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use serde_json::json;

fn part() -> Part {
    Part {
        kind: "Gateway",
        namespace: None,
        name: None,
    }
}

fn key(name: &str) -> Key {
    (Arc::from("shop"), Arc::from(name))
}

#[test]
fn a_list_takes_away_what_it_does_not_tell_when_it_is_whole() {
    let mut shelf = Shelf::default();
    assert!(shelf.put(&part(), key("a"), Some(json!(1))));
    assert!(shelf.put(&part(), key("b"), Some(json!(2))));
    shelf.begin(&part());
    assert!(!shelf.put(&part(), key("a"), Some(json!(1))), "the same is no change");
    assert_eq!(shelf.of("Gateway").count(), 2);
    assert!(shelf.end(&part()));
    assert_eq!(shelf.of("Gateway").count(), 1);
    assert!(shelf.get("Gateway", "shop", "a").is_some());
}

#[test]
fn what_is_not_wanted_any_more_is_gone() {
    let mut shelf = Shelf::default();
    shelf.put(&part(), key("a"), Some(json!(1)));
    assert!(shelf.put(&part(), key("a"), None));
    assert!(!shelf.put(&part(), key("a"), None));
    shelf.put(&part(), key("b"), Some(json!(2)));
    assert!(shelf.forget(&part()));
    assert_eq!(shelf.of("Gateway").count(), 0);
}
