//! Finding tokens and taking them out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::{Location, query_without};
use crate::testing::Sample;
use http::{HeaderMap, HeaderName};
use proptest::prelude::*;

fn tokens(location: &Location, sample: &Sample) -> Vec<String> {
    let mut out = Vec::new();
    let all: Result<(), ()> = location.tokens(&sample.request(), |token| {
        out.push(token.to_owned());
        Ok(())
    });
    all.unwrap();
    out
}

#[test]
fn in_headers() {
    let bearer = Location::header(http::header::AUTHORIZATION, "Bearer ");
    for (value, found) in [
        ("Bearer a.b.c", Some("a.b.c")),
        ("Bearer   a.b.c", Some("a.b.c")),
        ("Basic eDp5, Bearer a.b.c", Some("a.b.c")),
        ("Bearer a.b.c, Bearer d.e.f", Some("a.b.c, Bearer d.e.f")),
        ("Bearer", Some("")),
        ("Bearer ", Some("")),
        ("Bearer \"", Some("")),
        ("bearer a.b.c", None),
        ("Bearer\ta.b.c", None),
        ("Basic eDp5", None),
    ] {
        let got = tokens(&bearer, &Sample::get("/").header("authorization", value));
        assert_eq!(got.first().map(String::as_str), found, "{value:?}");
    }
    let two = Sample::get("/")
        .header("authorization", "Bearer a")
        .header("authorization", "Bearer b");
    assert_eq!(tokens(&bearer, &two), ["a", "b"]);
    let plain = Location::header(HeaderName::from_static("x-token"), "");
    assert_eq!(
        tokens(&plain, &Sample::get("/").header("x-token", "Bearer a")),
        ["Bearer a"]
    );
    assert!(tokens(&plain, &Sample::get("/")).is_empty());
}

#[test]
fn in_parameters() {
    let param = Location::param("access_token");
    for (path, found) in [
        ("/?access_token=a.b", &["a.b"][..]),
        ("/?x=1&access_token=a%2Eb&y", &["a.b"]),
        ("/?access%5Ftoken=a", &["a"]),
        ("/?access_token=a&access_token=b", &["a", "b"]),
        ("/?access_token", &[""]),
        ("/?access_token=%zz%", &["%zz%"]),
        ("/?access_token=%ff", &["%ff"]),
        ("/?xaccess_token=a", &[]),
        ("/access_token=a", &[]),
    ] {
        assert_eq!(tokens(&param, &Sample::get(path)), found, "{path}");
    }
}

#[test]
fn in_cookies() {
    let cookie = Location::cookie("sid");
    let sample = Sample::get("/")
        .header("cookie", "a=1; sid=x.y.z;b=2")
        .header("cookie", "sid=\"q\"; sidx=3; sid");
    assert_eq!(tokens(&cookie, &sample), ["x.y.z", "q"]);
    let mut headers = sample.headers.clone();
    cookie.place.strip(&mut headers);
    let left: Vec<&str> = headers
        .get_all("cookie")
        .iter()
        .map(|value| value.to_str().unwrap())
        .collect();
    assert_eq!(left, ["a=1; b=2", "sidx=3; sid"]);
    let mut only = Sample::get("/").header("cookie", "sid=x").headers;
    cookie.place.strip(&mut only);
    assert_eq!(only, HeaderMap::new());
}

#[test]
fn out_of_the_query() {
    for (query, left) in [
        ("token=a", Some("")),
        ("x=1&token=a&y=%20&token=b", Some("x=1&y=%20")),
        ("%74oken=a&x", Some("x")),
        ("tokens=a", None),
        ("", None),
    ] {
        assert_eq!(query_without(query, &["token"]).as_deref(), left, "{query}");
    }
}

proptest! {
    /// What is stripped cannot be found again.
    #[test]
    fn stripping_leaves_no_token(query in "(&|t=1|%74=2|u=3|t){0,6}") {
        let left = query_without(&query, &["t"]).unwrap_or_else(|| query.clone());
        let sample = Sample::get(&format!("/?{left}"));
        prop_assert!(tokens(&Location::param("t"), &sample).is_empty(), "{} left {}", query, left);
    }
}
