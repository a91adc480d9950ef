#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::http1::script::{Script, Then, cut, now, ready};
use proptest::prelude::*;

const LIMITS: Limits = Limits {
    head_bytes: 1024,
    headers: 4,
    trailer_bytes: 128,
    chunk_extension_bytes: 32,
    interim_responses: 3,
    read_ahead: 64,
    write_buffer: 1024,
};

/// What a body came to: its data, its trailers, and the bytes left for the next message.
#[derive(Debug, PartialEq)]
struct Read {
    data: Vec<u8>,
    trailers: Option<HeaderMap>,
    rest: Vec<u8>,
}

fn read(framing: Framing, pieces: Vec<Vec<u8>>, then: Then) -> Result<Read, BodyError> {
    let mut io = Script::new(pieces, then);
    let mut inbound = Inbound::new(BytesMut::new());
    let mut decoder = Decoder::new(framing);
    let mut read = Read {
        data: Vec::new(),
        trailers: None,
        rest: Vec::new(),
    };
    loop {
        match ready(|cx| decoder.poll_frame(&mut inbound, &mut io, cx, &LIMITS)) {
            Some(Ok(Frame::Data(data))) => {
                assert!(!data.is_empty() && read.trailers.is_none());
                read.data.extend_from_slice(&data);
            }
            Some(Ok(Frame::Trailers(trailers))) => {
                assert!(!trailers.is_empty() && read.trailers.is_none());
                read.trailers = Some(trailers);
            }
            Some(Err(error)) => {
                let again = ready(|cx| decoder.poll_frame(&mut inbound, &mut io, cx, &LIMITS));
                assert!(matches!(again, Some(Err(_))), "an error must not turn into an end");
                assert!(!decoder.is_done());
                return Err(error);
            }
            None => break,
        }
    }
    assert!(decoder.is_done());
    read.rest.extend_from_slice(&inbound.buf);
    io.reads.iter().for_each(|piece| read.rest.extend_from_slice(piece));
    Ok(read)
}

fn chunked(text: &str) -> Result<Read, BodyError> {
    read(Framing::Chunked, vec![text.as_bytes().to_vec()], Then::Eof)
}

#[test]
fn chunks_and_what_follows_them() {
    let body = chunked("3\r\nabc\r\n00A\r\n0123456789\r\n0\r\n\r\nGET /next").unwrap();
    assert_eq!(body.data, b"abc0123456789");
    assert_eq!(body.trailers, None);
    assert_eq!(body.rest, b"GET /next");
}

#[test]
fn chunk_lines_have_one_spelling() {
    for text in [
        "0x1\r\na\r\n0\r\n\r\n",
        "+1\r\na\r\n0\r\n\r\n",
        "-1\r\na\r\n0\r\n\r\n",
        " 1\r\na\r\n0\r\n\r\n",
        "1 \r\na\r\n0\r\n\r\n",
        "1\t;x\r\na\r\n0\r\n\r\n",
        "1_\r\na\r\n0\r\n\r\n",
        "g\r\na\r\n0\r\n\r\n",
        "\r\na\r\n0\r\n\r\n",
        "\r\n\r\n",
        ";x\r\n\r\n",
        ";x\r\na\r\n0\r\n\r\n",
        "1\na\r\n0\r\n\r\n",
        "1\r\ra\r\n0\r\n\r\n",
        "1\ra\r\n0\r\n\r\n",
        "1\r\na\n0\r\n\r\n",
        "1\r\na\r0\r\n\r\n",
        "1\r\na0\r\n\r\n",
        "1\r\nab\r\n0\r\n\r\n",
        "2\r\na\r\n0\r\n\r\n",
        "1\r\na\r\n0\n\r\n",
        "1\r\na\r\n0\r\n\n",
        "1\r\na\r\n\r\n0\r\n\r\n",
        "00000000000000001\r\na\r\n0\r\n\r\n",
        "10000000000000001\r\na\r\n0\r\n\r\n",
        "1;\u{0}\r\na\r\n0\r\n\r\n",
        "1;x\ny\r\na\r\n0\r\n\r\n",
        "1;x\ry\r\na\r\n0\r\n\r\n",
        "1;x=\"\r\n\"\r\na\r\n0\r\n\r\n",
        "1;é\r\na\r\n0\r\n\r\n",
    ] {
        let result = chunked(text);
        assert!(matches!(result, Err(BodyError::Malformed(_))), "{text:?}: {result:?}");
    }
}

#[test]
fn a_body_that_stops_is_no_body() {
    for text in [
        "",
        "5",
        "5\r",
        "5\r\n",
        "5\r\nabc",
        "3\r\nabc",
        "3\r\nabc\r\n",
        "0",
        "0\r\n",
        "0\r\na: b\r\n",
        "ffffffffffffffff\r\nx",
    ] {
        let result = chunked(text);
        assert!(matches!(result, Err(BodyError::Eof)), "{text:?}: {result:?}");
    }
    let result = read(Framing::Length(4), vec![b"abc".to_vec()], Then::Eof);
    assert!(matches!(result, Err(BodyError::Eof)), "{result:?}");
    let result = read(Framing::UntilClose, vec![b"abc".to_vec()], Then::Reset);
    assert!(matches!(result, Err(BodyError::Io(_))), "{result:?}");
}

#[test]
fn extensions_are_dropped_and_bounded() {
    let body = chunked("1;n=v;q=\"a;\\\"b\"\r\na\r\n0;last\r\n\r\n").unwrap();
    assert_eq!(body.data, b"a");
    let long = chunked(&format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(33)));
    assert!(matches!(long, Err(BodyError::TooLarge(_))), "{long:?}");
    let many = chunked(&format!("{}0\r\n\r\n", "1;xxxx\r\na\r\n".repeat(9)));
    assert!(
        matches!(many, Err(BodyError::TooLarge(_))),
        "the bound is for the body, not the line: {many:?}"
    );
}

#[test]
fn trailers_are_read_strictly() {
    let body = chunked("1\r\na\r\n0\r\nGrpc-Status: 0\r\nx: \r\n\r\nrest").unwrap();
    let trailers = body.trailers.unwrap();
    assert_eq!(trailers["grpc-status"], "0");
    assert_eq!(trailers["x"], "");
    assert_eq!(body.rest, b"rest");
    for section in [
        "a : b\r\n",
        "a: b\n",
        "a\r\n",
        ": b\r\n",
        "a: b\r\n c\r\n",
        "a: \u{0}\r\n",
        "a: b\rc\r\n",
        " a: b\r\n",
        "Content-Length: 3\r\n",
        "transfer-encoding: chunked\r\n",
        "HOST: h\r\n",
    ] {
        let result = chunked(&format!("0\r\n{section}\r\n"));
        assert!(
            matches!(result, Err(BodyError::Malformed(_))),
            "{section:?}: {result:?}"
        );
    }
    for section in [
        "a: b\r\n".repeat(5),
        format!("a: {}\r\n", "b".repeat(130)),
        "a".repeat(200),
    ] {
        let result = chunked(&format!("0\r\n{section}\r\n"));
        assert!(matches!(result, Err(BodyError::TooLarge(_))), "{section:?}: {result:?}");
    }
}

#[test]
fn fields_that_may_not_be_trailers_are_dropped() {
    let body = chunked("0\r\nAuthorization: x\r\ncontent-type: y\r\nok: 1\r\nConnection: ok\r\n\r\n").unwrap();
    assert_eq!(body.trailers.unwrap().keys().collect::<Vec<_>>(), ["ok"]);
    let body = chunked("0\r\nx-forwarded-for: x\r\n\r\nrest").unwrap();
    assert_eq!((body.trailers, &body.rest[..]), (None, &b"rest"[..]));
}

#[test]
fn a_known_length_is_not_read_past() {
    let mut io = Script::once([b'x'; 20]);
    let mut inbound = Inbound::new(BytesMut::new());
    let mut decoder = Decoder::new(Framing::Length(12));
    let frame = ready(|cx| decoder.poll_frame(&mut inbound, &mut io, cx, &LIMITS));
    assert!(matches!(frame, Some(Ok(Frame::Data(data))) if data.len() == 12));
    assert!(decoder.is_done(), "known with the last byte, without another poll");
    assert_eq!((inbound.buf.len(), io.reads[0].len()), (0, 8));
}

#[test]
fn the_end_is_known_with_the_last_chunk() {
    let mut io = Script::once(b"2\r\nab\r\n0\r\n\r\n");
    let mut inbound = Inbound::new(BytesMut::new());
    let mut decoder = Decoder::new(Framing::Chunked);
    let frame = ready(|cx| decoder.poll_frame(&mut inbound, &mut io, cx, &LIMITS));
    assert!(matches!(frame, Some(Ok(Frame::Data(data))) if data == "ab"));
    assert!(decoder.is_done());
}

#[test]
fn data_is_given_as_it_comes() {
    let mut io = Script::once(b"5\r\nab");
    let mut inbound = Inbound::new(BytesMut::new());
    let mut decoder = Decoder::new(Framing::Chunked);
    let frame = ready(|cx| decoder.poll_frame(&mut inbound, &mut io, cx, &LIMITS));
    assert!(matches!(frame, Some(Ok(Frame::Data(data))) if data == "ab"));
    assert!(now(|cx| decoder.poll_frame(&mut inbound, &mut io, cx, &LIMITS)).is_pending());
}

#[test]
fn tiny_chunks_are_joined_before_a_fault_too() {
    let mut buf = BytesMut::from("1\r\na\r\n".repeat(1000).as_bytes());
    buf.extend_from_slice(b"nonsense");
    let mut decoder = Decoder::new(Framing::Chunked);
    let step = decoder.decode(&mut buf, &LIMITS).unwrap();
    assert!(matches!(step, Step::Frame(Frame::Data(data)) if data == "a".repeat(1000)));
    assert!(matches!(
        decoder.decode(&mut buf, &LIMITS),
        Err(BodyError::Malformed(_))
    ));
}

#[test]
fn bulk_reads_grow_and_small_ones_keep_nothing() {
    let mut io = Script::new((0..40).map(|_| vec![7u8; 64 << 10]), Then::Eof);
    let mut inbound = Inbound::new(BytesMut::new());
    let mut decoder = Decoder::new(Framing::UntilClose);
    let mut sizes = Vec::new();
    while let Some(frame) = ready(|cx| decoder.poll_frame(&mut inbound, &mut io, cx, &LIMITS)) {
        let Frame::Data(data) = frame.unwrap() else {
            panic!("trailers")
        };
        sizes.push(data.len());
    }
    assert_eq!(sizes.iter().sum::<usize>(), 40 * (64 << 10));
    assert_eq!(sizes[0], 8 << 10);
    assert!(sizes.iter().max().unwrap() >= &(64 << 10), "{sizes:?}");
    assert_eq!(inbound.buf.capacity(), 0, "the buffer goes with the body");
}

fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let chunk = (prop::collection::vec(any::<u8>(), 1..40), "(;[a-z]{0,3})?")
        .prop_map(|(data, extension)| [format!("{:X}{extension}\r\n", data.len()).as_bytes(), &data, b"\r\n"].concat());
    let trailers = prop_oneof![3 => Just(String::new()), 1 => "a: [a-z]{0,5}\r\n(b:\r\n)?", 1 => "[ -~]{1,5}\r\n"];
    let noise = prop_oneof![4 => Just(Vec::new()), 1 => prop::collection::vec(any::<u8>(), 1..4)];
    (prop::collection::vec(chunk, 0..5), noise, trailers).prop_map(|(chunks, noise, trailers)| {
        [
            chunks.concat(),
            noise,
            b"0\r\n".to_vec(),
            trailers.into_bytes(),
            b"\r\nNEXT".to_vec(),
        ]
        .concat()
    })
}

proptest! {
    #[test]
    fn the_split_into_reads_changes_nothing(bytes in bodies(), cuts in prop::collection::vec(any::<usize>(), 0..8)) {
        let whole = read(Framing::Chunked, vec![bytes.clone()], Then::Eof);
        for pieces in [cut(&bytes, &cuts), bytes.iter().map(|b| vec![*b]).collect()] {
            let split = read(Framing::Chunked, pieces, Then::Eof);
            prop_assert_eq!(whole.is_ok(), split.is_ok(), "{:?} {:?}", whole, split);
            if let (Ok(whole), Ok(split)) = (&whole, split) {
                prop_assert_eq!(whole, &split);
            }
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..100), cuts in prop::collection::vec(any::<usize>(), 0..4)) {
        let _ = read(Framing::Chunked, cut(&bytes, &cuts), Then::Eof);
    }
}
