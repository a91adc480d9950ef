#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;

fn part(namespace: Option<&str>) -> Part {
    Part {
        kind: "Pod",
        namespace: namespace.map(Arc::from),
        name: None,
    }
}

fn key(name: &str) -> Key {
    (Arc::from("shop"), Arc::from(name))
}

#[test]
fn a_whole_list_is_what_it_told_and_was_not_gone_again() {
    let mut listings = Listings::default();
    let pods = part(Some("shop"));
    listings.begin(&pods);
    for name in ["a", "b", "a"] {
        listings.told(&pods, &key(name));
    }
    listings.gone(&pods, &key("b"));
    assert_eq!(listings.end(&pods), Some(HashSet::from([key("a")])));
    assert_eq!(listings.end(&pods), None, "it has ended");
}

#[test]
fn what_a_watch_tells_without_a_list_is_not_kept() {
    let mut listings = Listings::default();
    listings.told(&part(None), &key("a"));
    assert_eq!(listings.end(&part(None)), None);
}

#[test]
fn a_list_that_begins_anew_or_is_forgotten_has_told_nothing() {
    let mut listings = Listings::default();
    let (one, other) = (part(Some("shop")), part(Some("demo")));
    for part in [&one, &other] {
        listings.begin(part);
        listings.told(part, &key("a"));
    }
    listings.begin(&one);
    listings.forget(&other);
    assert_eq!(listings.end(&one), Some(HashSet::new()));
    assert_eq!(listings.end(&other), None);
}
