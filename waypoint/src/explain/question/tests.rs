//! Questions as people type them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::{Kind, Question};

fn question(request: &str) -> Question {
    Question {
        request: request.to_owned(),
        from: "demo/curl".to_owned(),
        ..Question::default()
    }
}

#[test]
fn a_request_line_becomes_a_head() {
    let mut question = question("POST http://Reviews:9080/a/../b?q=1#part");
    question.headers.push(("X-User".to_owned(), "alice".to_owned()));
    question.jwt = Some(" a.b.c\n".to_owned());
    let asked = question.read("mesh").unwrap();
    assert_eq!(asked.kind, Kind::Http);
    assert_eq!(asked.target.as_str(), "reviews:9080");
    assert_eq!(asked.identity.as_str(), "spiffe://mesh/ns/demo/sa/curl");
    assert_eq!(asked.written_path, "/a/../b");
    let head = String::from_utf8(asked.head).unwrap();
    assert_eq!(
        head,
        "POST /a/../b?q=1 HTTP/1.1\r\nhost: Reviews:9080\r\nx-user: alice\r\nauthorization: Bearer a.b.c\r\n\r\n"
    );
}

#[test]
fn what_is_left_out_is_what_clients_leave_out() {
    let asked = question("http://reviews").read("mesh").unwrap();
    assert_eq!((asked.target.as_str(), &*asked.written_path), ("reviews:80", "/"));
    assert!(asked.head.starts_with(b"GET / HTTP/1.1\r\nhost: reviews\r\n"));
    assert_eq!(question("http://r?x=1").read("mesh").unwrap().written_path, "/");
    assert_eq!(question("https://r").read("mesh").unwrap().target.as_str(), "r:443");
    assert_eq!(question("tcp://r:1").read("mesh").unwrap().kind, Kind::Tcp);
}

#[test]
fn a_host_header_may_differ_from_the_url() {
    let mut question = question("http://10.0.0.1:80/");
    question.headers.push(("host".to_owned(), "other".to_owned()));
    let head = String::from_utf8(question.read("mesh").unwrap().head).unwrap();
    assert_eq!(head, "GET / HTTP/1.1\r\nhost: other\r\n\r\n");
}

#[test]
fn mistakes_are_told() {
    let error = |question: &Question| question.read("mesh").map(|_| ()).unwrap_err();
    assert!(error(&question("reviews/x")).contains("expected a request such as"));
    assert!(error(&question("ftp://reviews/x")).contains("\"ftp\""));
    assert!(error(&question("tls://reviews")).contains("expected a port"));
    let mut from = question("http://r/");
    for wrong in ["", "demo", "demo/", "/x", "a/b/c"] {
        wrong.clone_into(&mut from.from);
        assert!(error(&from).contains("namespace/serviceAccount"), "{wrong}");
    }
    let mut headers = question("http://r/");
    headers.headers.push(("a b".to_owned(), "c".to_owned()));
    assert!(error(&headers).contains("is no header"));
}
