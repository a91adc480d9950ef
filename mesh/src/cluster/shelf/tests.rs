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

#[test]
fn a_namespace_by_itself() {
    let mut shelf = Shelf::default();
    for (namespace, name) in [("a", "1"), ("b", "1"), ("b", "2"), ("c", "1")] {
        let key = (Arc::from(namespace), Arc::from(name));
        shelf.put(&part(), key, Some(json!(format!("{namespace}{name}"))));
    }
    let found: Vec<&Value> = shelf.within("Gateway", "b").map(|object| &**object).collect();
    assert_eq!(found, ["b1", "b2"]);
    assert_eq!(shelf.within("Gateway", "d").count(), 0);
    assert_eq!(shelf.within("Service", "a").count(), 0);
}
