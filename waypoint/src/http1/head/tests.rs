#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::http1::script::cut;
use proptest::prelude::*;

const LIMITS: Limits = Limits {
    head_bytes: 4096,
    headers: 20,
    trailer_bytes: 1024,
    chunk_extension_bytes: 64,
    interim_responses: 3,
    read_ahead: 64,
    write_buffer: 1024,
};

fn request_in(pieces: &[Vec<u8>]) -> Result<Option<(RequestHead, Vec<u8>)>, HeadError> {
    let (mut buf, mut search) = (BytesMut::new(), Search::default());
    let mut head = None;
    for piece in pieces {
        buf.extend_from_slice(piece);
        if head.is_none() {
            head = take_request(&mut buf, &mut search, &LIMITS)?;
        }
    }
    Ok(head.map(|head| (head, buf.to_vec())))
}

fn request(text: &str) -> Result<RequestHead, HeadError> {
    // Latin-1, so that every byte can be written.
    let bytes: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    Ok(request_in(&[bytes])?.expect("a whole head").0)
}

fn response_to(method: &Method, text: &str) -> Result<ResponseHead, HeadError> {
    let bytes: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    let mut buf = BytesMut::from(&bytes[..]);
    Ok(take_response(&mut buf, &mut Search::default(), &LIMITS, method)?.expect("a whole head"))
}

fn response(text: &str) -> Result<ResponseHead, HeadError> {
    response_to(&Method::GET, text)
}

fn with(fields: &str) -> Result<RequestHead, HeadError> {
    request(&format!("PUT /a HTTP/1.1\r\nhost: h\r\n{fields}\r\n"))
}

fn malformed<T: std::fmt::Debug>(result: Result<T, HeadError>, what: &str) {
    assert!(matches!(result, Err(HeadError::Malformed(_))), "{what:?}: {result:?}");
}

#[test]
fn a_plain_request_is_read_without_changing_it() {
    let head =
        request("PROPFIND /A/%2e/b?q=%20&r HTTP/1.1\r\nHost: Shop:80\r\nX-Odd:  two  words \t\r\nempty:\r\n\r\n")
            .unwrap();
    let parts = head.parts;
    assert_eq!(parts.method.as_str(), "PROPFIND");
    assert_eq!(parts.uri.path_and_query().unwrap(), "/A/%2e/b?q=%20&r");
    assert_eq!(parts.version, Version::HTTP_11);
    assert_eq!(parts.headers["host"], "Shop:80");
    assert_eq!(parts.headers["x-odd"], "two  words");
    assert_eq!(parts.headers["empty"], "");
    assert_eq!(parts.headers.len(), 3);
    assert_eq!(head.framing, Framing::None);
    assert!(head.keep_alive && !head.expects_continue && !head.wants_upgrade);
}

#[test]
fn what_follows_the_head_is_kept() {
    let (_, rest) = request_in(&[b"GET / HTTP/1.1\r\n\r\nGET /2".to_vec()])
        .unwrap()
        .unwrap();
    assert_eq!(rest, b"GET /2");
}

#[test]
fn line_ends_must_be_cr_lf() {
    for text in [
        "GET / HTTP/1.1\nhost: h\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: h\n\r\n",
        "GET / HTTP/1.1\r\nhost: h\r\n\n",
        "GET / HTTP/1.1\r\na: 1\r\nb:\nc: 2\r\n\r\n",
        "GET / HTTP/1.1\r\na: 1\r2\r\n\r\n",
        "GET / HTTP/1.1\rhost: h\r\n\r\n",
        "GET / HTTP/1.1\r\r\n\r\n",
        "\nGET / HTTP/1.1\r\n\r\n",
        "\r\nGET / HTTP/1.1\r\n\r\n",
    ] {
        malformed(request(text), text);
    }
}

#[test]
fn a_head_of_bare_line_feeds_is_refused_before_it_ends() {
    malformed(request_in(&[b"GET / HTTP/1.1\nhost: h\n".to_vec()]), "in one piece");
    malformed(request_in(&[b"GET / HT".to_vec(), b"TP/1.1\nh".to_vec()]), "in two");
}

#[test]
fn request_lines_have_one_spelling() {
    for line in [
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET / HTTP/1.1 ",
        " GET / HTTP/1.1",
        "GET\t/ HTTP/1.1",
        "GET /a b HTTP/1.1",
        "GET /\tb HTTP/1.1",
        "GET /",
        "GET / ",
        "GET  HTTP/1.1",
        "GET",
        "G(T / HTTP/1.1",
        "G\u{e9}T / HTTP/1.1",
        "Post / HTTP/1.1",
        "delete / HTTP/1.1",
        "GET /\u{0} HTTP/1.1",
        "GET /\u{7f} HTTP/1.1",
        "GET /\u{c3}\u{a9} HTTP/1.1",
        "GET http:///x HTTP/1.1",
        "GET h:80 HTTP/1.1",
        "GET x HTTP/1.1",
        "GET /<x> HTTP/1.1",
        "GET / HTTP/1.15",
        "GET / Http/1.1",
        "GET / HTTPS/1",
        "GET / HTTP/1.1x",
    ] {
        malformed(request(&format!("{line}\r\nhost: h\r\n\r\n")), line);
    }
    for line in ["GET / HTTP/2.0", "GET / HTTP/1.2", "GET / HTTP/0.9", "PRI * HTTP/2.0"] {
        let result = request(&format!("{line}\r\nhost: h\r\n\r\n"));
        assert!(matches!(result, Err(HeadError::Version)), "{line}: {result:?}");
    }
    let long = request(&format!("{} / HTTP/1.1\r\n\r\n", "M".repeat(33)));
    assert!(matches!(long, Err(HeadError::NotImplemented(_))), "{long:?}");
}

#[test]
fn the_forms_of_a_target() {
    for (line, uri) in [
        ("OPTIONS * HTTP/1.1", "*"),
        ("GET //x/y HTTP/1.1", "//x/y"),
        ("GET HTTP://User@H:8/p?q HTTP/1.1", "http://User@H:8/p?q"),
        ("GET http://h HTTP/1.1", "http://h/"),
        ("GET /%00%0a HTTP/1.1", "/%00%0a"),
        ("CONNECT h:443 HTTP/1.1", "h:443"),
        ("purge / HTTP/1.1", "/"),
    ] {
        let head = request(&format!("{line}\r\n\r\n")).unwrap_or_else(|e| panic!("{line}: {e}"));
        assert_eq!(head.parts.uri.to_string(), uri);
    }
}

#[test]
fn field_lines_have_one_spelling() {
    for field in [
        "name : x",
        "name\t: x",
        " name: x",
        "name: x\r\n folded",
        "name: x\r\n\tfolded",
        "name:\r\n folded",
        ": x",
        "no colon",
        "na me: x",
        "na\u{0}me: x",
        "n\u{e9}: x",
        ":path: /",
        "name: \u{0}",
        "name: a\u{1}b",
        "name: a\u{7f}b",
        "content_length: 5",
        "Transfer_Encoding: chunked",
        "Connection: close, Transfer-Encoding",
        "connection: HOST",
        "Connection: content-length",
    ] {
        malformed(with(&format!("{field}\r\n")), field);
    }
    let obs_text = with("name: caf\u{e9}\r\n").unwrap();
    assert_eq!(obs_text.parts.headers["name"].as_bytes(), b"caf\xe9");
}

#[test]
fn content_length_is_one_plain_number() {
    for (value, length) in [("0", 0), ("7", 7), ("\t18446744073709551615 ", u64::MAX)] {
        let head = with(&format!("Content-Length: {value}\r\n")).unwrap();
        assert_eq!(head.framing, Framing::Length(length));
    }
    for value in [
        "",
        "+7",
        "-7",
        "07",
        "00",
        "7,7",
        "7, 7",
        "7 7",
        "0x7",
        "7.0",
        "\"7\"",
        "7_0",
        "seven",
        "\u{b2}",
        "7;",
        "18446744073709551616",
        "99999999999999999999999",
    ] {
        malformed(with(&format!("content-length: {value}\r\n")), value);
    }
    malformed(with("content-length: 7\r\ncontent-length: 7\r\n"), "twice");
    malformed(with("content-length: 7\r\na: b\r\nContent-Length: 8\r\n"), "two");
}

#[test]
fn transfer_encoding_is_chunked_once_and_alone() {
    for value in ["chunked", "Chunked", "\tchunked "] {
        assert_eq!(
            with(&format!("Transfer-Encoding: {value}\r\n")).unwrap().framing,
            Framing::Chunked
        );
    }
    for value in [
        "chunked, chunked",
        "gzip, chunked",
        "chunked, gzip",
        "identity, chunked",
        "xchunked",
        "chunkedx",
        "\"chunked\"",
        "chunked;q=1",
        "chunked,",
        ",chunked",
        "chunked\u{a0}",
        "\u{b}chunked",
    ] {
        malformed(with(&format!("transfer-encoding: {value}\r\n")), value);
    }
    for value in ["identity", "gzip", "", "chunke", "ch\u{fc}nked"] {
        let result = with(&format!("transfer-encoding: {value}\r\n"));
        assert!(
            matches!(result, Err(HeadError::NotImplemented(_))),
            "{value}: {result:?}"
        );
    }
    malformed(
        with("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n"),
        "twice",
    );
    malformed(
        with("transfer-encoding: chunked\r\ntransfer-encoding: br\r\n"),
        "and another",
    );
    malformed(
        with("transfer-encoding: chunked\r\ncontent-length: 3\r\n"),
        "with a length",
    );
    malformed(
        with("content-length: 0\r\ntransfer-encoding: chunked\r\n"),
        "after a length",
    );
    malformed(
        request("PUT / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n"),
        "HTTP/1.0",
    );
}

#[test]
fn who_keeps_the_connection() {
    for (line, field, keeps) in [
        ("GET / HTTP/1.1", "", true),
        ("GET / HTTP/1.1", "connection: Close\r\n", false),
        (
            "GET / HTTP/1.1",
            "connection: x, close\r\nconnection: keep-alive\r\n",
            false,
        ),
        ("GET / HTTP/1.1", "connection: closed\r\n", true),
        ("GET / HTTP/1.0", "", false),
        ("GET / HTTP/1.0", "connection: Keep-Alive\r\n", true),
        ("GET / HTTP/1.0", "keep-alive: 5\r\n", false),
    ] {
        assert_eq!(
            request(&format!("{line}\r\n{field}\r\n")).unwrap().keep_alive,
            keeps,
            "{line} {field}"
        );
    }
}

#[test]
fn only_one_opaque_protocol_is_an_upgrade() {
    for (fields, wants) in [
        ("Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n", true),
        ("Upgrade: websocket\r\n", false),
        ("Connection: upgrade\r\n", false),
        ("Connection: upgrade\r\nUpgrade:\r\n", false),
        ("Connection: upgrade\r\nUpgrade: h2c\r\n", false),
        ("Connection: upgrade\r\nUpgrade: HTTP/3.0\r\n", false),
        ("Connection: upgrade\r\nUpgrade: TLS/1.0\r\n", false),
        ("Connection: upgrade\r\nUpgrade: websocket, h2c\r\n", false),
        ("Connection: upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n", false),
        (
            "Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n",
            false,
        ),
        (
            "Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n",
            true,
        ),
    ] {
        assert_eq!(with(fields).unwrap().wants_upgrade, wants, "{fields}");
    }
    let old = request("GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n").unwrap();
    assert!(!old.wants_upgrade);
}

#[test]
fn expectations() {
    assert!(
        with("expect: 100-Continue\r\ncontent-length: 1\r\n")
            .unwrap()
            .expects_continue
    );
    assert!(!with("expect: 100-continue\r\n").unwrap().expects_continue, "no body");
    malformed(with("expect: later\r\ncontent-length: 1\r\n"), "unknown");
    malformed(
        with("expect: 100-continue, later\r\ncontent-length: 1\r\n"),
        "and unknown",
    );
}

#[test]
fn limits_hold_whether_or_not_the_head_ends() {
    let many = "a: b\r\n".repeat(21);
    assert!(matches!(with(&many), Err(HeadError::TooLarge(_))));
    assert!(with(&"a: b\r\n".repeat(19)).is_ok());
    let large = format!("a: {}\r\n", "x".repeat(4096));
    assert!(matches!(with(&large), Err(HeadError::TooLarge(_))));
    let endless = request_in(&[b"GET / HTTP/1.1\r\na: ".to_vec(), vec![b'x'; 4096]]);
    assert!(matches!(endless, Err(HeadError::TooLarge(_))), "{endless:?}");
    let target = request_in(&[b"GET /".to_vec(), vec![b'x'; 4096]]);
    assert!(matches!(target, Err(HeadError::UriTooLong)), "{target:?}");
    let options = format!("connection: {}\r\n", "a,".repeat(101));
    assert!(matches!(with(&options), Err(HeadError::TooLarge(_))));
}

#[test]
fn how_a_response_body_ends() {
    let get = |fields: &str| response(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n")).map(|head| head.framing);
    assert_eq!(get("content-length: 12\r\n").unwrap(), Framing::Length(12));
    assert_eq!(get("transfer-encoding: chunked\r\n").unwrap(), Framing::Chunked);
    assert_eq!(get("").unwrap(), Framing::UntilClose);
    assert_eq!(
        get("content-length: 3\r\nContent-Length: 3\r\n").unwrap(),
        Framing::Length(3)
    );
    for fields in [
        "content-length: 3\r\ncontent-length: 4\r\n",
        "content-length: 3, 4\r\n",
        "content-length: 3,\r\n",
        "content-length: -1\r\n",
        "content-length: 3\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked, chunked\r\n",
        "content-length: 3\nx: y\r\n",
        "a : b\r\n",
        "a: b\r\n c\r\n",
        "a: \u{0}\r\n",
    ] {
        malformed(get(fields), fields);
    }
    assert!(get("transfer-encoding: gzip\r\n").is_err());
    malformed(
        response("HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"),
        "HTTP/1.0",
    );
}

#[test]
fn a_length_said_twice_is_passed_on_once() {
    let head = response("HTTP/1.1 200 OK\r\ncontent-length: 03, 3\r\ncontent-length: 3\r\n\r\n").unwrap();
    assert_eq!(head.framing, Framing::Length(3));
    assert_eq!(
        head.parts.headers.get_all("content-length").iter().collect::<Vec<_>>(),
        ["3"]
    );
}

#[test]
fn responses_that_have_no_body() {
    for status in ["100", "103", "204", "304"] {
        let head = response(&format!("HTTP/1.1 {status} X\r\ncontent-length: 5\r\n\r\n")).unwrap();
        assert_eq!(head.framing, Framing::None, "{status}");
        assert_eq!(
            head.keep_alive,
            status == "304",
            "{status}: a length that never is one makes the next bytes doubtful"
        );
    }
    let head = response_to(&Method::HEAD, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n").unwrap();
    assert_eq!((head.framing, head.keep_alive), (Framing::None, true));
    assert!(response("HTTP/1.1 204 No Content\r\n\r\n").unwrap().keep_alive);
}

#[test]
fn status_lines_may_be_odd_but_not_ambiguous() {
    for line in [
        "HTTP/1.1 200",
        "HTTP/1.1 200 ",
        "HTTP/1.1 299 caf\u{e9}  x",
        "HTTP/1.1 799 Odd",
        "HTTP/1.0 500 x",
    ] {
        assert!(
            response(&format!("{line}\r\ncontent-length: 0\r\n\r\n")).is_ok(),
            "{line}"
        );
    }
    for line in [
        "HTTP/1.1 20 OK",
        "HTTP/1.1 2000 OK",
        "HTTP/1.1 099 X",
        "HTTP/1.1  200 OK",
        "HTTP/1.1 200 O\rK",
        "hello",
    ] {
        let result = response(&format!("{line}\r\ncontent-length: 0\r\n\r\n"));
        assert!(result.is_err(), "{line}: {result:?}");
    }
    assert!(matches!(response("HTTP/2 200\r\n\r\n"), Err(HeadError::Version)));
}

#[test]
fn a_small_head_does_not_pin_what_follows_it() {
    let mut buf = BytesMut::from(&b"GET / HTTP/1.1\r\na: bcd\r\n\r\n"[..]);
    buf.extend_from_slice(&[b'x'; 5000]);
    let rest_before = buf.as_ptr();
    let head = take_request(&mut buf, &mut Search::default(), &LIMITS)
        .unwrap()
        .unwrap();
    assert_eq!(buf.len(), 5000);
    assert_ne!(
        buf.as_ptr(),
        rest_before.wrapping_add(27),
        "the rest has a buffer of its own"
    );
    assert_eq!(head.parts.headers["a"], "bcd");
}

fn summary(result: Result<Option<(RequestHead, Vec<u8>)>, HeadError>) -> Option<String> {
    let (head, rest) = result.ok()??;
    Some(format!(
        "{:?} {:?} {} {rest:?}",
        head.parts, head.framing, head.keep_alive
    ))
}

/// Something like a head, often wrong in one place.
fn nearly_a_head() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        8 => "[A-Z]{1,6} /[a-z/?=&.%0-9]{0,20} HTTP/1\\.[01]",
        1 => "[ -~]{0,30}",
    ];
    let field = prop_oneof![
        6 => "[A-Za-z-]{1,12}:[ \t]{0,2}[!-~ ]{0,16}",
        1 => "content-length: [0-9 ,+]{1,4}",
        1 => "transfer-encoding: (chunked|gzip|chunked, chunked)",
        1 => "\\PC{0,12}",
    ];
    let end = prop_oneof![12 => Just("\r\n"), 1 => Just("\n"), 1 => Just("\r"), 1 => Just("\r\n ")];
    (
        line,
        prop::collection::vec((field, end.clone()), 0..6),
        end,
        "\\PC{0,10}",
    )
        .prop_map(|(line, fields, end, rest)| {
            let mut text = format!("{line}\r\n");
            for (field, end) in fields {
                text += &field;
                text += end;
            }
            text += end;
            (text + &rest).into_bytes()
        })
}

proptest! {
    #[test]
    fn the_split_into_reads_changes_nothing(
        bytes in nearly_a_head(),
        cuts in prop::collection::vec(any::<usize>(), 0..8),
    ) {
        let whole = summary(request_in(std::slice::from_ref(&bytes)));
        prop_assert_eq!(&whole, &summary(request_in(&cut(&bytes, &cuts))));
        let single: Vec<Vec<u8>> = bytes.iter().map(|b| vec![*b]).collect();
        prop_assert_eq!(&whole, &summary(request_in(&single)));
    }

    #[test]
    fn a_head_that_passes_has_no_second_reading(bytes in nearly_a_head()) {
        if let Ok(Some((head, rest))) = request_in(std::slice::from_ref(&bytes)) {
            let text = &bytes[..bytes.len() - rest.len()];
            prop_assert!(text.ends_with(b"\r\n\r\n"));
            let bare = text.iter().enumerate().any(|(i, b)| match b {
                b'\n' => i == 0 || text[i - 1] != b'\r',
                b'\r' => text.get(i + 1) != Some(&b'\n'),
                _ => false,
            });
            prop_assert!(!bare);
            let lines = text.split(|b| *b == b'\n').count() - 3;
            prop_assert_eq!(head.parts.headers.len(), lines);
            let lengths = head.parts.headers.get_all("content-length").iter().count();
            let codings = head.parts.headers.get_all("transfer-encoding").iter().count();
            prop_assert!(lengths + codings <= 1);
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), cuts in prop::collection::vec(any::<usize>(), 0..4)) {
        let _ = request_in(&cut(&bytes, &cuts));
        let mut buf = BytesMut::from(&b"HTTP/1.1 200 OK\r\n"[..]);
        buf.extend_from_slice(&bytes);
        let _ = take_response(&mut buf, &mut Search::default(), &LIMITS, &Method::GET);
    }
}
