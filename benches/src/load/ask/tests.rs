#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;

#[test]
fn a_request_is_written_once_for_http1() {
    let get = Ask::new(Protocol::Http1, "echo", "/a?b=c", 0).http1();
    assert_eq!(
        get,
        "GET /a?b=c HTTP/1.1\r\nhost: echo\r\nuser-agent: waypoint-bench\r\naccept: */*\r\n\r\n"
    );
    let post = Ask::new(Protocol::Http1, "echo", "/", 3).http1();
    let post = std::str::from_utf8(&post).unwrap();
    assert!(post.starts_with("POST / HTTP/1.1\r\n"), "{post}");
    assert!(post.ends_with("\r\ncontent-length: 3\r\n\r\n012"), "{post}");
}

#[test]
fn a_call_is_a_post_with_a_message() {
    let call = Ask::new(Protocol::Grpc, "echo:80", "/echo.Echo/Say", 64);
    assert_eq!(call.body.len(), 69);
    assert_eq!(&call.body[..6], b"\0\0\0\0\x400");
    let head = call.http2().unwrap();
    assert_eq!(head.uri(), "http://echo:80/echo.Echo/Say");
    assert_eq!(head.headers()["content-type"], "application/grpc");
    assert!(Ask::new(Protocol::Http2, "no host", "/", 0).http2().is_err());
}
