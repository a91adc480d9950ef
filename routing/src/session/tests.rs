//! Where tokens are found, and when sessions end.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use http::HeaderValue;

fn session(carrier: SessionCarrier) -> Session {
    Session {
        scope: "rule".into(),
        carrier,
        absolute_timeout: None,
        idle_timeout: None,
    }
}

fn headers(name: &'static str, values: &[&'static str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(name, HeaderValue::from_static(value));
    }
    headers
}

#[test]
fn cookies_of_the_very_name_are_found_all_of_them() {
    let session = session(SessionCarrier::Cookie {
        name: "sid".into(),
        permanent: false,
        has_path: true,
    });
    for (fields, wanted) in [
        (&["sid=a"][..], &["a"][..]),
        (&["x=1; sid=a;sid=b ; SID=c; xsid=d; sid"], &["a", "b"]),
        (&["x=1", "y=2; sid=a"], &["a"]),
        (&["sid="], &[""]),
        (&["sidd=a", "=sid"], &[]),
    ] {
        let headers = headers("cookie", fields);
        assert_eq!(session.tokens(&headers).collect::<Vec<_>>(), wanted, "{fields:?}");
    }
    let many = headers(
        "cookie",
        &["sid=1; sid=2; sid=3; sid=4; sid=5; sid=6; sid=7; sid=8; sid=9"],
    );
    assert_eq!(session.tokens(&many).count(), MOST_TOKENS);
}

#[test]
fn headers_are_found() {
    let session = session(SessionCarrier::Header(HeaderName::from_static("x-session")));
    let found = headers("x-session", &["a", " b "]);
    assert_eq!(session.tokens(&found).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(session.tokens(&headers("cookie", &["x-session=a"])).count(), 0);
}

#[test]
fn sessions_end_by_age_and_by_idleness() {
    let seconds = Duration::from_secs;
    let mut session = session(SessionCarrier::Header(HeaderName::from_static("x-session")));
    assert!(session.is_alive(seconds(1 << 40), seconds(1 << 40)));
    session.absolute_timeout = Some(seconds(10));
    session.idle_timeout = Some(seconds(5));
    for (age, idle, wanted) in [(9, 4, true), (10, 0, false), (9, 5, false), (0, 0, true)] {
        assert_eq!(session.is_alive(seconds(age), seconds(idle)), wanted, "{age} {idle}");
    }
}
