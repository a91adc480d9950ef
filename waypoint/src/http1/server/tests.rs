#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::http1::script::{Script, Then, cut, now, ready};
use crate::http1::{ClientConn, strip_hop_by_hop};
use http::{HeaderName, HeaderValue};
use proptest::prelude::*;

type Conn = ServerConn<Script>;

fn conn(io: Script) -> Conn {
    ServerConn::new(io, BytesMut::new(), Limits::default())
}

fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    fields
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect()
}

fn next(conn: &mut Conn) -> request::Parts {
    ready(|cx| conn.poll_request(cx)).unwrap().expect("a request")
}

fn body(conn: &mut Conn) -> Vec<Frame> {
    let mut frames = Vec::new();
    while let Some(frame) = ready(|cx| conn.poll_frame(cx)) {
        frames.push(frame.unwrap());
    }
    frames
}

fn answer(conn: &mut Conn, status: u16, headers: &[(&'static str, &'static str)], body: Option<&'static str>) {
    conn.start_response(
        StatusCode::from_u16(status).unwrap(),
        &map(headers),
        body.map(|body| body.len() as u64),
    );
    conn.push(Bytes::from_static(body.unwrap_or("streamed").as_bytes()));
    conn.finish(None);
    ready(|cx| conn.poll_flush(cx)).unwrap();
}

/// What is written in answer to one request.
fn answered(
    request: &str,
    status: u16,
    headers: &[(&'static str, &'static str)],
    body: Option<&'static str>,
) -> String {
    let mut conn = conn(Script::once(request));
    next(&mut conn);
    answer(&mut conn, status, headers, body);
    conn.io.text()
}

#[test]
fn requests_follow_each_other_on_one_connection() {
    let mut conn = conn(Script::new(
        [
            "POST /1 HTTP/1.1\r\ncontent-length: 3\r\n\r\nabcGET /2 HTT",
            "P/1.1\r\n\r\n\r\nGET /3 HTTP/1.1\r\n\r\n",
        ],
        Then::Eof,
    ));
    assert_eq!(next(&mut conn).uri.path(), "/1");
    assert!(!conn.request_done() && !conn.reusable());
    assert_eq!(body(&mut conn), [Frame::Data("abc".into())]);
    assert!(conn.request_done() && !conn.reusable());
    answer(&mut conn, 200, &[], Some("one"));
    assert!(conn.reusable() && !conn.is_idle());
    assert_eq!(next(&mut conn).uri.path(), "/2");
    assert_eq!(conn.request_framing(), Framing::None);
    assert!(conn.request_done());
    answer(&mut conn, 200, &[], Some("two"));
    assert_eq!(
        next(&mut conn).uri.path(),
        "/3",
        "one empty line before a request is forgiven"
    );
    answer(&mut conn, 200, &[], Some("3"));
    assert!(ready(|cx| conn.poll_request(cx)).unwrap().is_none());
    let line = "HTTP/1.1 200 OK\r\ncontent-length: ";
    assert_eq!(
        conn.io.text(),
        format!("{line}3\r\n\r\none{line}3\r\n\r\ntwo{line}1\r\n\r\n3")
    );
    assert_eq!(conn.io.writes, 3);
}

#[test]
fn bytes_read_while_sniffing_come_first() {
    let mut conn = ServerConn::new(
        Script::once("ET / HTTP/1.1\r\n\r\n"),
        BytesMut::from("G"),
        Limits::default(),
    );
    assert_eq!(next(&mut conn).method, Method::GET);
}

#[test]
fn two_empty_lines_before_a_request_are_not_forgiven() {
    for text in [
        "\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        "\nGET / HTTP/1.1\r\n\r\n",
        "\rGET / HTTP/1.1\r\n\r\n",
    ] {
        let result = ready(|cx| conn(Script::once(text)).poll_request(cx));
        assert!(matches!(result, Err(HeadError::Malformed(_))), "{text:?}: {result:?}");
    }
    let mut split = conn(Script::new(["\r", "\n", "GET / HTTP/1.1\r\n\r\n"], Then::Eof));
    assert_eq!(next(&mut split).method, Method::GET);
}

#[test]
fn each_request_may_have_its_empty_line() {
    let mut conn = conn(Script::once("\r\nGET /1 HTTP/1.1\r\n\r\n\r\nGET /2 HTTP/1.1\r\n\r\n"));
    for path in ["/1", "/2"] {
        assert_eq!(next(&mut conn).uri.path(), path);
        answer(&mut conn, 200, &[], Some(""));
    }
}

#[test]
fn a_connection_told_to_close_while_idle_says_so_with_its_last_answer() {
    let mut conn = conn(Script::once("GET / HTTP/1.1\r\n\r\n"));
    conn.close_after_response();
    next(&mut conn);
    answer(&mut conn, 200, &[], Some(""));
    assert!(conn.io.text().contains("connection: close") && !conn.reusable());
}

#[test]
fn closing_between_requests_is_clean_and_inside_one_is_not() {
    assert!(
        ready(|cx| conn(Script::new(["\r\n"], Then::Eof)).poll_request(cx))
            .unwrap()
            .is_none()
    );
    let result = ready(|cx| conn(Script::new(["GET / HTTP/1.1\r\n"], Then::Eof)).poll_request(cx));
    assert!(matches!(result, Err(HeadError::Eof)), "{result:?}");
    let result = ready(|cx| conn(Script::new(["GET"], Then::Reset)).poll_request(cx));
    assert!(matches!(result, Err(HeadError::Io(_))), "{result:?}");
}

#[test]
fn a_refused_head_is_answered_and_nothing_more_is_read() {
    let mut conn = conn(Script::once("BAD\r\n\r\nGET / HTTP/1.1\r\n\r\n"));
    assert!(ready(|cx| conn.poll_request(cx)).is_err());
    answer(&mut conn, 400, &[], Some("no"));
    assert_eq!(
        conn.io.text(),
        "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 2\r\n\r\nno"
    );
    assert!(!conn.reusable());
    assert!(ready(|cx| conn.poll_request(cx)).unwrap().is_none());
}

#[test]
fn a_broken_body_ends_the_connection() {
    let mut conn = conn(Script::once("PUT / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nx"));
    next(&mut conn);
    assert!(matches!(
        ready(|cx| conn.poll_frame(cx)),
        Some(Err(BodyError::Malformed(_)))
    ));
    answer(&mut conn, 400, &[], Some(""));
    assert!(conn.io.text().contains("connection: close\r\n"));
    assert!(!conn.reusable());
}

#[test]
fn how_the_response_body_is_framed() {
    let new = "GET / HTTP/1.1\r\n\r\n";
    let old = "GET / HTTP/1.0\r\n\r\n";
    let old_keep = "GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n";
    let ok = "HTTP/1.1 200 OK\r\n";
    for (request, body, expected) in [
        (new, Some("hello"), "content-length: 5\r\n\r\nhello"),
        (new, Some(""), "content-length: 0\r\n\r\n"),
        (
            new,
            None,
            "transfer-encoding: chunked\r\n\r\n8\r\nstreamed\r\n0\r\n\r\n",
        ),
        (
            old,
            Some("hello"),
            "connection: close\r\ncontent-length: 5\r\n\r\nhello",
        ),
        (old, None, "connection: close\r\n\r\nstreamed"),
        (
            old_keep,
            Some("hello"),
            "connection: keep-alive\r\ncontent-length: 5\r\n\r\nhello",
        ),
        (old_keep, None, "connection: close\r\n\r\nstreamed"),
    ] {
        assert_eq!(
            answered(request, 200, &[], body),
            format!("{ok}{expected}"),
            "{request}"
        );
    }
}

#[test]
fn responses_without_a_body() {
    let get = "GET / HTTP/1.1\r\n\r\n";
    let head = "HEAD / HTTP/1.1\r\n\r\n";
    let length = [("content-length", "77")];
    for (request, status, headers, body, expected) in [
        (get, 204, &length[..], Some("x"), "204 No Content\r\n\r\n"),
        (
            get,
            304,
            &length[..],
            Some(""),
            "304 Not Modified\r\ncontent-length: 77\r\n\r\n",
        ),
        (head, 200, &length[..], None, "200 OK\r\ncontent-length: 77\r\n\r\n"),
        (head, 200, &[], None, "200 OK\r\n\r\n"),
        (
            head,
            404,
            &[],
            Some("gone"),
            "404 Not Found\r\ncontent-length: 4\r\n\r\n",
        ),
        (head, 200, &[("content-length", "7, 7")], None, "200 OK\r\n\r\n"),
    ] {
        assert_eq!(answered(request, status, headers, body), format!("HTTP/1.1 {expected}"));
    }
}

#[test]
fn hop_by_hop_fields_and_foreign_framing_are_not_written() {
    let headers = [
        ("connection", "x-secret, close"),
        ("x-secret", "1"),
        ("keep-alive", "5"),
        ("content-length", "99"),
        ("transfer-encoding", "gzip"),
        ("upgrade", "x"),
        ("set-cookie", "a"),
    ];
    assert_eq!(
        answered("GET / HTTP/1.1\r\n\r\n", 200, &headers, Some("x")),
        "HTTP/1.1 200 OK\r\nset-cookie: a\r\ncontent-length: 1\r\n\r\nx"
    );
}

#[test]
fn a_connection_is_reused_only_when_all_is_well() {
    let reusable = |request: &str, prepare: fn(&mut Conn)| {
        let mut conn = conn(Script::once(request));
        next(&mut conn);
        prepare(&mut conn);
        conn.reusable()
    };
    let get = "GET / HTTP/1.1\r\n\r\n";
    assert!(reusable(get, |conn| answer(conn, 200, &[], Some("x"))));
    assert!(reusable(get, |conn| answer(conn, 200, &[], None)));
    assert!(reusable(get, |conn| conn.start_response(
        StatusCode::NO_CONTENT,
        &HeaderMap::new(),
        None
    )));
    assert!(!reusable(get, |_| {}), "not answered");
    assert!(
        !reusable(get, |conn| conn.start_response(StatusCode::OK, &HeaderMap::new(), None)),
        "not to the end"
    );
    assert!(!reusable("GET / HTTP/1.1\r\nconnection: close\r\n\r\n", |conn| answer(
        conn,
        200,
        &[],
        Some("x")
    )));
    assert!(!reusable("GET / HTTP/1.0\r\n\r\n", |conn| answer(
        conn,
        200,
        &[],
        Some("x")
    )));
    assert!(!reusable("PUT / HTTP/1.1\r\ncontent-length: 1\r\n\r\n", |conn| answer(
        conn,
        200,
        &[],
        Some("x")
    )));
    let short = |conn: &mut Conn| {
        conn.start_response(StatusCode::OK, &HeaderMap::new(), Some(5));
        conn.push(Bytes::from_static(b"1234"));
        conn.finish(None);
    };
    assert!(!reusable(get, short), "short of its length");
    let closing = |conn: &mut Conn| {
        conn.close_after_response();
        answer(conn, 200, &[], Some("x"));
        assert!(conn.io.text().contains("connection: close"));
    };
    assert!(!reusable(get, closing));
}

#[test]
fn only_a_body_that_closing_ends_needs_a_break_to_be_cut() {
    let mut conn = conn(Script::once("GET / HTTP/1.0\r\n\r\n"));
    next(&mut conn);
    assert!(!conn.ends_by_closing());
    conn.start_response(StatusCode::OK, &HeaderMap::new(), None);
    assert!(conn.ends_by_closing());
    conn.finish(None);
    assert!(!conn.ends_by_closing());
}

#[test]
fn continue_is_due_until_the_body_or_the_answer_begins() {
    let request = "PUT / HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n";
    let mut told = conn(Script::new([request, "ab"], Then::Silence));
    next(&mut told);
    assert!(told.expects_continue());
    told.informational(StatusCode::CONTINUE, &HeaderMap::new());
    assert!(!told.expects_continue());
    assert_eq!(body(&mut told), [Frame::Data("ab".into())]);
    answer(&mut told, 200, &[], Some(""));
    assert_eq!(
        told.io.text(),
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
    );
    assert!(told.reusable());

    let mut early = conn(Script::once(format!("{request}ab")));
    next(&mut early);
    assert!(!early.expects_continue(), "the body is here");

    let mut refused = conn(Script::once(request));
    next(&mut refused);
    answer(&mut refused, 413, &[], Some(""));
    assert!(
        refused.io.text().contains("connection: close"),
        "whether the body will come is not known"
    );
}

#[test]
fn interim_responses_go_to_new_clients_only_and_before_the_answer() {
    let hints = map(&[("link", "</a>"), ("content-length", "3"), ("connection", "x")]);
    for (version, expected) in [("1.1", "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"), ("1.0", "")] {
        let mut conn = conn(Script::once(format!("GET / HTTP/{version}\r\n\r\n")));
        next(&mut conn);
        conn.informational(StatusCode::EARLY_HINTS, &hints);
        conn.informational(StatusCode::SWITCHING_PROTOCOLS, &hints);
        conn.informational(StatusCode::OK, &hints);
        ready(|cx| conn.poll_flush(cx)).unwrap();
        assert_eq!(conn.io.text(), expected);
        answer(&mut conn, 200, &[], Some(""));
        let before = conn.io.written.len();
        conn.informational(StatusCode::EARLY_HINTS, &hints);
        conn.start_response(StatusCode::IM_A_TEAPOT, &hints, Some(0));
        ready(|cx| conn.poll_flush(cx)).unwrap();
        assert_eq!(conn.io.written.len(), before, "one final response");
    }
}

#[test]
fn after_101_the_bytes_are_raw() {
    let upgrade = "GET / HTTP/1.1\r\nconnection: upgrade\r\nupgrade: chat\r\n\r\n";
    let mut conn = conn(Script::once(format!("{upgrade}first words")));
    next(&mut conn);
    assert!(conn.wants_upgrade());
    let headers = map(&[("upgrade", "chat"), ("connection", "upgrade"), ("x", "y")]);
    conn.start_response(StatusCode::SWITCHING_PROTOCOLS, &headers, None);
    ready(|cx| conn.poll_flush(cx)).unwrap();
    assert!(!conn.reusable());
    let (io, rest) = conn.into_io();
    assert_eq!(
        io.text(),
        "HTTP/1.1 101 Switching Protocols\r\nx: y\r\nconnection: upgrade\r\nupgrade: chat\r\n\r\n"
    );
    assert_eq!(rest, "first words");
}

#[test]
fn an_upgrade_that_is_not_taken_closes() {
    let text = answered(
        "GET / HTTP/1.1\r\nconnection: upgrade\r\nupgrade: chat\r\n\r\nGET /2",
        200,
        &[],
        Some(""),
    );
    assert!(text.contains("connection: close"));
}

#[test]
fn the_client_is_seen_to_go() {
    let get = "GET / HTTP/1.1\r\n\r\n";
    for (then, gone) in [(Then::Eof, true), (Then::Reset, true), (Then::Silence, false)] {
        let mut conn = conn(Script::new([get], then));
        next(&mut conn);
        assert_eq!(now(|cx| conn.poll_closed(cx)).is_ready(), gone, "{then:?}");
    }
}

#[test]
fn waiting_for_the_end_reads_ahead_within_bounds() {
    let limits = Limits {
        read_ahead: 40,
        ..Limits::default()
    };
    let next_ones = "GET /2 HTTP/1.1\r\n\r\n".repeat(10);
    let mut conn = ServerConn::new(
        Script::new(["GET /1 HTTP/1.1\r\n\r\n", &next_ones], Then::Eof),
        BytesMut::new(),
        limits,
    );
    next(&mut conn);
    assert!(now(|cx| conn.poll_closed(cx)).is_pending());
    assert_eq!(conn.buffered(), 40);
    answer(&mut conn, 200, &[], Some(""));
    for _ in 0..10 {
        assert_eq!(next(&mut conn).uri.path(), "/2");
        answer(&mut conn, 200, &[], Some(""));
    }
    assert!(ready(|cx| conn.poll_request(cx)).unwrap().is_none());
}

#[test]
fn body_bytes_are_not_mistaken_for_read_ahead() {
    let mut conn = conn(Script::new(
        ["PUT / HTTP/1.1\r\ncontent-length: 3\r\n\r\n", "abc"],
        Then::Eof,
    ));
    next(&mut conn);
    assert!(now(|cx| conn.poll_closed(cx)).is_pending());
    assert_eq!(body(&mut conn), [Frame::Data("abc".into())]);
    assert!(now(|cx| conn.poll_closed(cx)).is_ready());
}

#[test]
fn reading_and_writing_do_not_wait_for_each_other() {
    let request = "PUT / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut conn = conn(Script::new([request, "2\r\nab\r\n", "0\r\n\r\n"], Then::Silence));
    next(&mut conn);
    conn.start_response(StatusCode::OK, &HeaderMap::new(), None);
    let mut frames = 0;
    while let Some(frame) = ready(|cx| conn.poll_frame(cx)) {
        let Ok(Frame::Data(data)) = frame else {
            panic!("{frame:?}")
        };
        conn.push(data);
        ready(|cx| conn.poll_flush(cx)).unwrap();
        assert!(
            conn.io.text().ends_with("2\r\nab\r\n"),
            "echoed before the request ended"
        );
        frames += 1;
    }
    conn.finish(None);
    assert_eq!(frames, 1);
    assert!(conn.reusable());
}

#[test]
fn an_idle_connection_holds_no_buffers() {
    let mut conn = conn(Script::once("GET / HTTP/1.1\r\n\r\n"));
    next(&mut conn);
    answer(&mut conn, 200, &[], None);
    assert!(now(|cx| conn.poll_request(cx)).is_pending());
    assert!(conn.is_idle());
    assert_eq!(conn.inbound.buf.capacity(), 0);
    assert!(conn.outbound.held() <= 2048, "a small buffer may stay");
}

#[test]
fn unsent_output_moves_while_the_next_request_is_awaited() {
    let mut conn = conn(Script::once("GET / HTTP/1.1\r\n\r\n"));
    next(&mut conn);
    conn.io.write_room = 10;
    conn.start_response(StatusCode::OK, &HeaderMap::new(), Some(0));
    assert!(now(|cx| conn.poll_flush(cx)).is_pending());
    conn.io.write_room = usize::MAX;
    assert!(now(|cx| conn.poll_request(cx)).is_pending());
    assert!(conn.io.text().ends_with("\r\n\r\n"));
}

type Field = (String, String);

/// Fields, pieces of the body, whether it is chunked, a trailer.
fn messages() -> impl Strategy<Value = (Vec<Field>, Vec<Vec<u8>>, bool, Option<Field>)> {
    let field = || ("x-[a-z]{1,8}", "[!-~]([ -~]{0,20}[!-~])?");
    let piece = prop_oneof![3 => prop::collection::vec(any::<u8>(), 1..50), 1 => (8000..20_000usize).prop_map(|n| vec![b'z'; n])];
    (
        prop::collection::vec(field(), 0..8),
        prop::collection::vec(piece, 0..5),
        any::<bool>(),
        prop::option::of(field()),
    )
}

proptest! {
    #[test]
    fn what_the_client_writes_the_server_reads(
        (fields, pieces, chunked, trailer) in messages(),
        cuts in prop::collection::vec(any::<usize>(), 0..10),
        write_most in 1..4000usize,
    ) {
        let mut headers = HeaderMap::new();
        for (name, value) in &fields {
            headers.append(HeaderName::try_from(name).unwrap(), HeaderValue::try_from(value).unwrap());
        }
        let body_bytes = pieces.concat();
        let framing = if chunked { Framing::Chunked } else { Framing::Length(body_bytes.len() as u64) };
        let trailers: HeaderMap = trailer.iter().map(|(name, value)| (HeaderName::try_from(name).unwrap(), HeaderValue::try_from(value).unwrap())).collect();
        let mut io = Script::new(Vec::<Vec<u8>>::new(), Then::Silence);
        io.write_most = write_most;
        let mut client = ClientConn::new(io, Limits::default());
        client.start_request(&Method::PUT, "/a?b", &HeaderValue::from_static("h"), &headers, framing, None);
        for piece in &pieces {
            client.push(piece.clone().into());
        }
        client.finish(Some(&trailers));
        ready(|cx| client.poll_flush(cx)).unwrap();

        let wire = [client.into_io().0.written, b"GET /next HTTP/1.1\r\n\r\n".to_vec()].concat();
        let mut conn = conn(Script::new(cut(&wire, &cuts), Then::Silence));
        let parts = next(&mut conn);
        let mut received = parts.headers;
        strip_hop_by_hop(&mut received);
        prop_assert_eq!(received.remove("host").unwrap(), "h");
        let length = received.remove("content-length");
        prop_assert_eq!(length.is_some(), !chunked);
        prop_assert_eq!(received, headers);
        let (mut data, mut last) = (Vec::new(), HeaderMap::new());
        for frame in body(&mut conn) {
            match frame {
                Frame::Data(piece) => data.extend_from_slice(&piece),
                Frame::Trailers(trailers) => last = trailers,
            }
        }
        prop_assert!(data == body_bytes);
        prop_assert_eq!(last, if chunked { trailers } else { HeaderMap::new() });
        answer(&mut conn, 200, &[], Some(""));
        let following = next(&mut conn);
        prop_assert_eq!(following.uri.path(), "/next");
    }
}
