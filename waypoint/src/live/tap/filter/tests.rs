//! What can be written in a filter, and what cannot.

#![allow(clippy::unwrap_used)]

use super::{Filter, Status, every};
use std::time::Duration;

#[test]
fn a_query_is_a_filter() {
    let filter =
        Filter::parse("service=reviews.demo&status=5xx&path=%2Fapi%2fv1&minMs=1.5&sample=0.1&limit=3").unwrap();
    assert_eq!(filter.service.as_deref(), Some("reviews.demo"));
    assert_eq!(filter.status, Some(Status::Class(5)));
    assert_eq!(filter.path.as_deref(), Some("/api/v1"));
    assert_eq!(filter.least, Duration::from_micros(1_500));
    assert_eq!((filter.every, filter.limit), (10, Some(3)));
    assert_eq!(Filter::parse("").unwrap(), Filter::default());
    assert_eq!(
        Filter::parse("path=100%&route=a+b").unwrap().path.as_deref(),
        Some("100%")
    );
    assert_eq!(every("1").unwrap(), 1);
}

#[test]
fn mistakes_are_told() {
    for wrong in [
        "status=abc",
        "status=xx",
        "minMs=-1",
        "minMs=NaN",
        "sample=0",
        "sample=2",
        "sample=NaN",
        "limit=x",
        "who=me",
    ] {
        assert!(Filter::parse(wrong).is_err(), "{wrong}");
    }
}
