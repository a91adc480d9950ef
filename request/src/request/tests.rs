#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use super::*;
use crate::Mode;
use proptest::prelude::*;

fn with<T>(target: &str, headers: &[(&'static str, &[u8])], look: impl FnOnce(&Request<'_>) -> T) -> T {
    let mut builder = http::Request::builder().uri(target).header("host", "SVC.example");
    for (name, value) in headers {
        builder = builder.header(*name, HeaderValue::from_bytes(value).unwrap());
    }
    let (parts, ()) = builder.body(()).unwrap().into_parts();
    let head = Head::parse(&parts, Mode::Base).unwrap();
    let ip = IpAddr::from([10, 0, 0, 1]);
    let connection = Connection {
        identity: None,
        source_ip: ip,
        destination_ip: None,
        destination_port: 80,
        sni: None,
    };
    look(&Request {
        method: &parts.method,
        head: &head,
        headers: &parts.headers,
        connection: &connection,
        remote_ip: ip,
    })
}

fn joined(headers: &[(&'static str, &[u8])], name: &'static str) -> Option<String> {
    with("/", headers, |r| {
        r.header_joined(&HeaderName::from_static(name)).map(Cow::into_owned)
    })
}

#[test]
fn repeated_headers_are_one_value() {
    assert_eq!(joined(&[], "x"), None);
    assert_eq!(joined(&[("x", b"")], "x").as_deref(), Some(""));
    assert_eq!(
        joined(&[("x", b"a"), ("X", b"b, c"), ("y", b"d")], "x").as_deref(),
        Some("a,b, c")
    );
    assert_eq!(
        joined(&[("cookie", b"a=1"), ("cookie", b"b=2")], "cookie").as_deref(),
        Some("a=1; b=2")
    );
    assert_eq!(joined(&[("x", b"a\xff")], "x").as_deref(), Some("a\u{fffd}"));
    assert_eq!(joined(&[], "host").as_deref(), Some("svc.example"));
}

#[test]
fn query_parameters_are_compared_as_written() {
    let first = |target: &str, name: &str| with(target, &[], |r| r.query_parameter(name).map(str::to_owned));
    assert_eq!(first("/", "a"), None);
    assert_eq!(first("/?", "a"), None);
    assert_eq!(first("/?a=1&b=2&a=3", "a").as_deref(), Some("1"));
    assert_eq!(first("/?b=x=y&a", "b").as_deref(), Some("x=y"));
    assert_eq!(first("/?b=2&a", "a").as_deref(), Some(""));
    assert_eq!(first("/?A=1", "a"), None);
    assert_eq!(first("/?a=%41+", "a").as_deref(), Some("%41+"));
}

#[test]
fn grpc_is_told_by_its_content_type() {
    let is = |value: &str| with("/", &[("content-type", value.as_bytes())], |r| r.is_grpc());
    assert!(is("application/grpc") && is("application/grpc+proto") && is("Application/gRPC; x=y"));
    assert!(!is("application/grpc-web") && !is("application/grpcx") && !is("application/json") && !is(""));
    assert!(!with("/", &[], |r| r.is_grpc()));
}

proptest! {
    #[test]
    fn header_is_agrees_with_header_joined(
        values in prop::collection::vec("[a,; ]{0,3}", 0..4), wanted in "[a,; ]{0,6}", cookie: bool,
    ) {
        let name = if cookie { "cookie" } else { "x" };
        let values: Vec<_> = values.iter().map(|v| (name, v.trim().as_bytes())).collect();
        with("/", &values, |r| {
            let name = HeaderName::from_static(name);
            let joined = r.header_joined(&name);
            prop_assert_eq!(r.header_is(&name, &wanted), joined.as_deref() == Some(&*wanted));
            if let Some(joined) = joined {
                prop_assert!(r.header_is(&name, &joined));
            }
            Ok(())
        })?;
    }
}
