#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;

fn cookie(permanent: bool, has_path: bool, path: &str) -> String {
    let session = Session {
        scope: "rule".into(),
        carrier: SessionCarrier::Cookie {
            name: "sid".into(),
            permanent,
            has_path,
        },
        absolute_timeout: Some(Duration::from_secs(3600)),
        idle_timeout: None,
    };
    let token = Token {
        endpoint: "10.0.0.1:80".parse().unwrap(),
        began: 1000,
        used: 1600,
    };
    let (name, value) = field(&session, &token, "text", path).unwrap();
    assert_eq!(name, SET_COOKIE);
    value.to_str().unwrap().to_owned()
}

#[test]
fn a_cookies_attributes() {
    assert_eq!(
        cookie(false, true, "/shop"),
        "sid=text; Path=/shop; HttpOnly; SameSite=Strict"
    );
    assert_eq!(
        cookie(true, false, "/shop"),
        "sid=text; Max-Age=3000; HttpOnly; SameSite=Strict"
    );
}

#[test]
fn a_path_cannot_add_attributes() {
    for (path, wanted) in [
        ("/", "/"),
        ("/a/b", "/a/b"),
        ("/a;Domain=x", "/"),
        ("/a/b;c/d", "/a"),
        ("/a/ü", "/a"),
        ("/a/b c", "/a"),
        ("", ""),
    ] {
        assert_eq!(cookie_path(path), wanted, "{path:?}");
    }
}
