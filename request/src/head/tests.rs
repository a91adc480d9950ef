#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use super::*;

/// A head as the HTTP/1 reader hands it over; `None` where `http` itself refuses the target.
fn h1(method: &str, target: &str, hosts: &[&str]) -> Option<Result<Head, BadRequest>> {
    let mut builder = http::Request::builder()
        .method(method)
        .uri(target)
        .version(Version::HTTP_11);
    for host in hosts {
        builder = builder.header(HOST, http::HeaderValue::from_bytes(host.as_bytes()).unwrap());
    }
    let (parts, ()) = builder.body(()).ok()?.into_parts();
    Some(Head::parse(&parts, Mode::Base))
}

fn h2(authority: Option<&str>, path: &str, hosts: &[&str]) -> Result<Head, BadRequest> {
    let mut uri = http::uri::Parts::default();
    uri.path_and_query = Some(path.parse().unwrap());
    if let Some(authority) = authority {
        uri.authority = Some(authority.parse().unwrap());
        uri.scheme = Some(http::uri::Scheme::HTTP);
    }
    let mut builder = http::Request::builder()
        .method("GET")
        .version(Version::HTTP_2)
        .uri(Uri::from_parts(uri).unwrap());
    for host in hosts {
        builder = builder.header(HOST, *host);
    }
    Head::parse(&builder.body(()).unwrap().into_parts().0, Mode::Base)
}

fn text(head: &Head) -> String {
    format!("{} {}", head.authority, head.path_and_query())
}

#[test]
fn http1_accepted() {
    for (method, target, host, wanted) in [
        ("GET", "/", "svc.example", "svc.example /"),
        (
            "GET",
            "/a/../b?c=/../d&e",
            "SVC.example:8080",
            "svc.example:8080 /b?c=/../d&e",
        ),
        ("GET", "/a?", "svc.example", "svc.example /a?"),
        ("GET", "/a#b", "svc.example", "svc.example /a"),
        ("GET", "/a?b#c", "svc.example", "svc.example /a?b"),
        (
            "GET",
            "//other.example/x",
            "svc.example",
            "svc.example //other.example/x",
        ),
        ("GET", "/a\\b", "svc.example", "svc.example /a/b"),
        ("OPTIONS", "*", "svc.example", "svc.example *"),
        ("GET", "http://svc.example/a", "svc.example", "svc.example /a"),
        ("GET", "http://svc.example:80/a", "svc.example", "svc.example:80 /a"),
        ("GET", "https://svc.example", "svc.example:443", "svc.example /"),
        ("M-SEARCH", "/", "svc.example", "svc.example /"),
    ] {
        let head = h1(method, target, &[host]).expect(target);
        assert_eq!(head.map(|head| text(&head)).as_deref(), Ok(wanted), "{method} {target}");
    }
}

#[test]
fn http1_refused() {
    let long = format!("/{}", "a".repeat(MAX_TARGET_BYTES));
    for (method, target, hosts) in [
        // Host
        ("GET", "/", &[][..]),
        ("GET", "http://svc.example/", &[]),
        ("GET", "/", &["svc.example", "svc.example"]),
        ("GET", "/", &[""]),
        ("GET", "/", &["user@svc.example"]),
        ("GET", "/", &["svc.example/x"]),
        ("GET", "/", &["svc.example:80:81"]),
        ("GET", "/", &["svc.example, other.example"]),
        ("GET", "/", &["*"]),
        ("GET", "/", &["ѕvc.example"]),
        ("GET", "http://svc.example/", &["other.example"]),
        ("GET", "http://svc.example/", &["svc.example:81"]),
        ("GET", "https://svc.example/", &["svc.example:80"]),
        ("GET", "http://user@svc.example/", &["svc.example"]),
        // target
        ("GET", "*", &["svc.example"]),
        ("GET", "svc.example:80", &["svc.example"]),
        ("GET", "smuggled", &["svc.example"]),
        ("GET", "\\admin", &["svc.example"]),
        ("GET", "ftp://svc.example/", &["svc.example"]),
        ("GET", "/a b", &["svc.example"]),
        ("GET", "/\0", &["svc.example"]),
        ("GET", "/ä", &["svc.example"]),
        ("GET", "/?ä", &["svc.example"]),
        ("GET", "/a%00", &["svc.example"]),
        ("GET", &long, &["svc.example"]),
        // method
        ("get", "/", &["svc.example"]),
        ("Get", "/", &["svc.example"]),
        ("GE:T", "/", &["svc.example"]),
        ("CONNECT", "127.0.0.1:15000", &["svc.example"]),
        ("CONNECT", "/", &["svc.example"]),
        ("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "/", &["svc.example"]),
    ] {
        match h1(method, target, hosts) {
            None | Some(Err(_)) => {}
            Some(Ok(head)) => panic!("{method} {target} {hosts:?} was accepted as {}", text(&head)),
        }
    }
}

#[test]
fn http10_needs_a_host_too() {
    let request = http::Request::builder()
        .version(Version::HTTP_10)
        .uri("/")
        .body(())
        .unwrap();
    assert_eq!(
        Head::parse(&request.into_parts().0, Mode::Base).unwrap_err(),
        BadRequest("no Host")
    );
}

#[test]
fn http2() {
    let accepted = |authority, path, hosts: &[&str]| h2(authority, path, hosts).map(|head| text(&head));
    assert_eq!(
        accepted(Some("Svc.example"), "/a?b", &[]).as_deref(),
        Ok("svc.example /a?b")
    );
    assert_eq!(
        accepted(Some("svc.example"), "/", &["svc.example"]).as_deref(),
        Ok("svc.example /")
    );
    assert_eq!(accepted(None, "/", &["svc.example"]).as_deref(), Ok("svc.example /"));
    assert!(h2(None, "/", &[]).is_err());
    assert!(h2(Some("svc.example"), "/", &["other.example"]).is_err());
    assert!(h2(Some("svc.example"), "/", &["svc.example", "svc.example"]).is_err());
    assert!(h2(Some("user@svc.example"), "/", &[]).is_err());
    assert!(h2(Some("svc.example"), "*", &[]).is_err());
}
