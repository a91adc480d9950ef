#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::http1::ServerConn;
use crate::http1::script::{Script, Then, cut, now, ready};
use http::HeaderName;
use proptest::prelude::*;

type Conn = ClientConn<Script>;

const HOST_VALUE: HeaderValue = HeaderValue::from_static("shop.example");

fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    fields
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect()
}

fn send(conn: &mut Conn, method: Method, framing: Framing, upgrade: Option<&HeaderValue>) {
    conn.start_request(&method, "/a", &HOST_VALUE, &HeaderMap::new(), framing, upgrade);
    ready(|cx| conn.poll_flush(cx)).unwrap();
}

/// A connection on which a GET was sent and this comes back.
fn get(reads: &[&str], then: Then) -> Conn {
    let mut conn = ClientConn::new(Script::new(reads.iter().copied(), then), Limits::default());
    send(&mut conn, Method::GET, Framing::None, None);
    conn
}

fn head(conn: &mut Conn) -> response::Parts {
    ready(|cx| conn.poll_response(cx)).unwrap()
}

fn body(conn: &mut Conn) -> Result<String, BodyError> {
    let mut text = String::new();
    while let Some(frame) = ready(|cx| conn.poll_frame(cx)) {
        match frame? {
            Frame::Data(data) => text.push_str(std::str::from_utf8(&data).unwrap()),
            Frame::Trailers(trailers) => text += &format!("{trailers:?}"),
        }
    }
    Ok(text)
}

#[test]
fn how_a_request_is_written() {
    let written = |method: Method, headers: &[(&'static str, &'static str)], framing, upgrade: Option<&'static str>| {
        let mut conn = ClientConn::new(Script::once(""), Limits::default());
        let upgrade = upgrade.map(HeaderValue::from_static);
        conn.start_request(&method, "/a?b", &HOST_VALUE, &map(headers), framing, upgrade.as_ref());
        conn.finish(None);
        ready(|cx| conn.poll_flush(cx)).unwrap();
        assert_eq!(conn.io.writes, 1);
        conn.io.text().replace(" /a?b HTTP/1.1\r\nhost: shop.example\r\n", "|")
    };
    let odd = [
        ("host", "other"),
        ("content-length", "9"),
        ("transfer-encoding", "gzip"),
        ("connection", "x-hop"),
        ("x-hop", "1"),
        ("keep-alive", "1"),
        ("upgrade", "h2c"),
        ("te", "gzip, trailers"),
        ("accept", "x"),
    ];
    assert_eq!(written(Method::GET, &[], Framing::None, None), "GET|\r\n");
    assert_eq!(
        written(Method::POST, &[], Framing::None, None),
        "POST|content-length: 0\r\n\r\n"
    );
    assert_eq!(
        written(Method::GET, &[], Framing::Length(0), None),
        "GET|content-length: 0\r\n\r\n"
    );
    assert_eq!(
        written(Method::PUT, &odd, Framing::Chunked, None),
        "PUT|accept: x\r\nte: trailers\r\nconnection: te\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
    );
    assert_eq!(
        written(Method::GET, &[("x", "y")], Framing::None, Some("websocket")),
        "GET|x: y\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
    );
}

#[test]
fn targets_that_would_break_the_line_are_not_written() {
    for target in ["", "/a b", "/a\r\nx: y", "/a\u{0}", "/\u{e9}"] {
        let mut conn = ClientConn::new(Script::once(""), Limits::default());
        conn.start_request(
            &Method::GET,
            target,
            &HOST_VALUE,
            &HeaderMap::new(),
            Framing::None,
            None,
        );
        let error = ready(|cx| conn.poll_flush(cx)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(conn.io.written.is_empty() && !conn.reusable());
    }
}

#[test]
fn exchanges_follow_each_other() {
    let mut conn = get(&["HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"], Then::Silence);
    assert!(!conn.any_response_byte());
    assert_eq!(head(&mut conn).status, 200);
    assert_eq!(conn.response_framing(), Framing::Length(2));
    assert!(conn.any_response_byte() && !conn.reusable());
    assert_eq!(body(&mut conn).unwrap(), "ok");
    assert!(conn.response_done() && conn.reusable());
    assert!(now(|cx| conn.poll_idle(cx)).is_pending());
    assert_eq!(conn.inbound.buf.capacity(), 0);
    send(&mut conn, Method::GET, Framing::None, None);
    assert_eq!(conn.bytes_received(), 0);
    conn.io
        .reads
        .push_back("HTTP/1.1 404 no\r\ntransfer-encoding: chunked\r\n\r\n0\r\na: b\r\n\r\n".into());
    assert_eq!(head(&mut conn).status, 404);
    assert_eq!(body(&mut conn).unwrap(), r#"{"a": "b"}"#);
    assert!(conn.reusable());
}

#[test]
fn when_a_connection_is_not_reused() {
    let reusable = |reads: &[&str], then| {
        let mut conn = get(reads, then);
        head(&mut conn);
        body(&mut conn).unwrap();
        conn.reusable()
    };
    assert!(reusable(
        &["HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"],
        Then::Silence
    ));
    assert!(reusable(
        &["HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 0\r\n\r\n"],
        Then::Silence
    ));
    assert!(!reusable(
        &["HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n"],
        Then::Silence
    ));
    assert!(!reusable(
        &["HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"],
        Then::Silence
    ));
    let interim = "HTTP/1.1 103 Hints\r\nconnection: close\r\n\r\nHTTP/1.1 204 No\r\n\r\n";
    let mut conn = get(&[interim], Then::Silence);
    head(&mut conn);
    assert_eq!(head(&mut conn).status, 204);
    assert!(!conn.reusable(), "said early");
    assert!(!reusable(&["HTTP/1.1 200 OK\r\n\r\n", "until close"], Then::Eof));
    assert!(
        !reusable(
            &["HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\naHTTP/1.1 200 OK\r\n"],
            Then::Silence
        ),
        "more came"
    );
    assert!(
        !reusable(&["HTTP/1.1 204 No\r\ncontent-length: 5\r\n\r\n"], Then::Silence),
        "more may come"
    );
    assert!(!reusable(&["HTTP/1.1 204 No\r\n\r\nhello"], Then::Silence), "more came");
}

#[test]
fn a_request_that_is_not_wholly_sent_keeps_the_connection_from_reuse() {
    let mut conn = ClientConn::new(
        Script::once("HTTP/1.1 413 no\r\ncontent-length: 0\r\n\r\n"),
        Limits::default(),
    );
    send(&mut conn, Method::PUT, Framing::Length(10), None);
    assert_eq!(head(&mut conn).status, 413);
    assert!(conn.response_done() && !conn.reusable());
    conn.push(Bytes::from_static(b"0123456789"));
    conn.finish(None);
    assert!(!conn.reusable(), "not flushed");
    ready(|cx| conn.poll_flush(cx)).unwrap();
    assert!(conn.reusable());
}

#[test]
fn starting_on_a_busy_connection_sends_nothing() {
    let mut conn = get(&[], Then::Silence);
    let before = conn.io.written.len();
    conn.start_request(&Method::GET, "/b", &HOST_VALUE, &HeaderMap::new(), Framing::None, None);
    assert!(ready(|cx| conn.poll_flush(cx)).is_err());
    assert_eq!(conn.io.written.len(), before);
}

#[test]
fn a_pooled_connection_tells_when_it_is_of_no_more_use() {
    for (then, stray) in [
        (Then::Eof, ""),
        (Then::Reset, ""),
        (Then::Silence, "HTTP/1.1 408 Request Timeout\r\n\r\n"),
    ] {
        let mut conn = get(&["HTTP/1.1 204 No\r\n\r\n"], then);
        head(&mut conn);
        assert!(conn.reusable());
        if !stray.is_empty() {
            conn.io.reads.push_back(stray.into());
        }
        assert!(now(|cx| conn.poll_idle(cx)).is_ready(), "{then:?}");
        assert!(!conn.reusable());
        assert!(now(|cx| conn.poll_idle(cx)).is_ready());
    }
}

#[test]
fn interim_responses_come_first_and_are_bounded() {
    let mut conn = get(
        &["HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nlink: a\r\n\r\nHTTP/1.1 204 No\r\n\r\n"],
        Then::Silence,
    );
    assert_eq!(head(&mut conn).status, 100);
    assert_eq!(head(&mut conn).headers.len(), 1);
    assert!(!conn.response_done());
    assert_eq!(head(&mut conn).status, 204);
    assert!(conn.reusable());

    let flood = "HTTP/1.1 102 Wait\r\n\r\n".repeat(200);
    let mut conn = get(&[&flood], Then::Silence);
    let error = (0..200).find_map(|_| ready(|cx| conn.poll_response(cx)).err());
    assert!(matches!(error, Some(HeadError::TooLarge(_))), "{error:?}");
}

#[test]
fn protocols_are_switched_only_when_asked() {
    let switched = "HTTP/1.1 101 Go\r\nconnection: upgrade\r\nupgrade: chat\r\n\r\nfirst";
    let mut conn = get(&[switched], Then::Silence);
    assert!(matches!(
        ready(|cx| conn.poll_response(cx)),
        Err(HeadError::Malformed(_))
    ));

    let mut conn = ClientConn::new(Script::once(switched), Limits::default());
    send(
        &mut conn,
        Method::GET,
        Framing::None,
        Some(&HeaderValue::from_static("chat")),
    );
    assert_eq!(head(&mut conn).headers["upgrade"], "chat");
    assert!(!conn.reusable());
    assert_eq!(conn.into_io().1, "first");
}

#[test]
fn bytes_before_the_request_are_nobodys_answer() {
    let mut conn = ClientConn::new(
        Script::once("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
        Limits::default(),
    );
    conn.start_request(&Method::GET, "/", &HOST_VALUE, &HeaderMap::new(), Framing::None, None);
    assert!(matches!(
        ready(|cx| conn.poll_response(cx)),
        Err(HeadError::Malformed(_))
    ));
}

#[test]
fn servers_that_fail() {
    for (reads, then) in [(&[][..], Then::Eof), (&["HTTP/1.1 200 OK\r\nx"][..], Then::Eof)] {
        let mut conn = get(reads, then);
        assert!(matches!(ready(|cx| conn.poll_response(cx)), Err(HeadError::Eof)));
        assert_eq!(conn.any_response_byte(), !reads.is_empty());
        assert!(!conn.reusable());
    }
    let mut conn = get(&[], Then::Reset);
    assert!(matches!(ready(|cx| conn.poll_response(cx)), Err(HeadError::Io(_))));
    for text in [
        "hello world\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n",
    ] {
        let mut conn = get(&[text], Then::Silence);
        assert!(ready(|cx| conn.poll_response(cx)).is_err(), "{text}");
        assert!(
            matches!(ready(|cx| conn.poll_frame(cx)), Some(Err(_))),
            "and there is no body"
        );
    }
    let mut conn = get(&["HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"], Then::Eof);
    head(&mut conn);
    assert!(matches!(body(&mut conn), Err(BodyError::Eof)));
}

#[test]
fn an_answer_to_head_has_no_body() {
    let mut conn = ClientConn::new(
        Script::once("HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n"),
        Limits::default(),
    );
    send(&mut conn, Method::HEAD, Framing::None, None);
    assert_eq!(head(&mut conn).headers["content-length"], "900");
    assert!(conn.response_done() && conn.reusable());
    send(&mut conn, Method::GET, Framing::None, None);
    conn.io
        .reads
        .push_back("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nab".into());
    head(&mut conn);
    assert_eq!(body(&mut conn).unwrap(), "ab");
}

proptest! {
    #[test]
    fn what_the_server_writes_the_client_reads(
        fields in prop::collection::vec(("x-[a-z]{1,8}", "[!-~]([ -~]{0,20}[!-~])?"), 0..8),
        pieces in prop::collection::vec("[ -~]{1,60}", 0..6),
        known in any::<bool>(),
        cuts in prop::collection::vec(any::<usize>(), 0..10),
    ) {
        let mut headers = HeaderMap::new();
        for (name, value) in &fields {
            headers.append(HeaderName::try_from(name).unwrap(), HeaderValue::try_from(value).unwrap());
        }
        let text = pieces.concat();
        let mut server = ServerConn::new(Script::once("GET / HTTP/1.1\r\n\r\n"), BytesMut::new(), Limits::default());
        ready(|cx| server.poll_request(cx)).unwrap();
        server.start_response(StatusCode::OK, &headers, known.then_some(text.len() as u64));
        for piece in pieces {
            server.push(piece.into());
        }
        server.finish(None);
        ready(|cx| server.poll_flush(cx)).unwrap();
        let wire = server.into_io().0.written;
        let mut conn = ClientConn::new(Script::new(cut(&wire, &cuts), Then::Silence), Limits::default());
        send(&mut conn, Method::GET, Framing::None, None);
        let mut received = head(&mut conn).headers;
        received.remove("content-length");
        received.remove("transfer-encoding");
        prop_assert_eq!(received, headers);
        prop_assert_eq!(body(&mut conn).unwrap(), text);
        prop_assert!(conn.reusable());
    }
}
