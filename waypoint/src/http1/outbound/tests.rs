#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::http1::script::{Script, Then, now, ready};
use proptest::prelude::*;

fn silent() -> Script {
    Script::new(Vec::<Vec<u8>>::new(), Then::Silence)
}

#[test]
fn a_small_message_is_one_write() {
    let (mut out, mut io) = (Outbound::new(1 << 16), silent());
    out.begin(Framing::Length(5)).extend_from_slice(b"HEAD\r\n");
    out.push(Bytes::from_static(b"hello"));
    out.finish(None);
    assert!(ready(|cx| out.poll_flush(&mut io, cx)).is_ok());
    assert_eq!((io.text().as_str(), io.writes, io.flushed), ("HEAD\r\nhello", 1, 11));
    assert!(out.is_flushed() && out.complete());
}

#[test]
fn a_length_is_neither_exceeded_nor_cut_unnoticed() {
    for (pushed, written) in [("abcdef", "abc"), ("ab", "ab")] {
        let (mut out, mut io) = (Outbound::new(1 << 16), silent());
        out.begin(Framing::Length(3));
        out.push(Bytes::from_static(pushed.as_bytes()));
        out.push(Bytes::new());
        out.finish(None);
        assert!(ready(|cx| out.poll_flush(&mut io, cx)).is_ok());
        assert_eq!(io.text(), written);
        assert!(!out.complete(), "{pushed}");
    }
}

#[test]
fn an_empty_piece_does_not_end_a_chunked_body() {
    let (mut out, mut io) = (Outbound::new(1 << 16), silent());
    out.begin(Framing::Chunked);
    out.push(Bytes::new());
    out.push(Bytes::from_static(b"x"));
    assert!(!out.complete());
    out.finish(None);
    out.finish(None);
    out.push(Bytes::from_static(b"late"));
    assert!(ready(|cx| out.poll_flush(&mut io, cx)).is_ok());
    assert_eq!(io.text(), "1\r\nx\r\n0\r\n\r\n");
}

#[test]
fn trailers_end_a_chunked_body_only() {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
    trailers.insert("content-length", http::HeaderValue::from_static("9"));
    for (framing, written) in [
        (Framing::Chunked, "0\r\ngrpc-status: 0\r\n\r\n"),
        (Framing::Length(0), ""),
        (Framing::UntilClose, ""),
    ] {
        let (mut out, mut io) = (Outbound::new(1 << 16), silent());
        out.begin(framing);
        out.finish(Some(&trailers));
        assert!(ready(|cx| out.poll_flush(&mut io, cx)).is_ok());
        assert_eq!(io.text(), written);
    }
}

#[test]
fn room_is_made_by_writing() {
    let (mut out, mut io) = (Outbound::new(100), silent());
    io.write_room = 0;
    out.begin(Framing::UntilClose);
    out.push(Bytes::from_static(&[1; 99]));
    assert!(
        ready(|cx| out.poll_ready(&mut io, cx)).is_ok(),
        "below the mark nothing is written"
    );
    out.push(Bytes::from_static(&[2; 50]));
    assert!(now(|cx| out.poll_ready(&mut io, cx)).is_pending());
    io.write_room = 49;
    assert!(now(|cx| out.poll_ready(&mut io, cx)).is_pending());
    io.write_room = 1;
    assert!(ready(|cx| out.poll_ready(&mut io, cx)).is_ok());
    assert_eq!(io.written.len(), 50);
}

#[test]
fn a_transport_that_must_be_flushed_to_go_on_is() {
    let (mut out, mut io) = (Outbound::new(100), silent());
    (io.write_room, io.room_by_flush) = (10, 10);
    out.begin(Framing::UntilClose);
    out.push(Bytes::from_static(&[1; 200]));
    assert!(ready(|cx| out.poll_ready(&mut io, cx)).is_ok());
    assert_eq!(io.written.len(), 110);
    assert!(ready(|cx| out.poll_flush(&mut io, cx)).is_ok());
    assert_eq!(io.flushed, 200);
}

#[test]
fn an_error_stays() {
    let (mut out, mut io) = (Outbound::new(100), silent());
    io.write_most = 0;
    out.begin(Framing::UntilClose);
    out.push(Bytes::from_static(b"x"));
    for _ in 0..2 {
        let error = ready(|cx| out.poll_flush(&mut io, cx)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WriteZero);
    }
    assert_eq!(io.writes, 1);
}

#[test]
fn a_stream_that_never_drains_whole_does_not_grow_the_buffer() {
    let (mut out, mut io) = (Outbound::new(1), silent());
    out.begin(Framing::Chunked);
    io.write_room = 5;
    for _ in 0..10_000 {
        out.push(Bytes::from(vec![0; LARGE]));
        io.write_room += LARGE;
        let _ = now(|cx| out.poll_flush(&mut io, cx));
        io.write_room += 5;
        io.written.clear();
    }
    assert!(out.small.capacity() < 64 << 10, "{}", out.small.capacity());
}

proptest! {
    #[test]
    fn the_same_bytes_come_out_however_they_are_taken(
        pieces in prop::collection::vec(prop_oneof![0..20usize, LARGE - 2..LARGE + 2, 10_000..20_000usize], 0..20),
        framing in prop_oneof![Just(Framing::Chunked), Just(Framing::UntilClose)],
        write_most in prop_oneof![97..900usize, 5_000..100_000usize, Just(usize::MAX)],
        vectored in any::<bool>(),
        flush_every in 1..30usize,
    ) {
        let (mut out, mut io) = (Outbound::new(1 << 14), silent());
        (io.write_most, io.vectored) = (write_most, vectored);
        out.begin(framing).extend_from_slice(b"head");
        let mut expected = b"head".to_vec();
        for (i, length) in pieces.iter().enumerate() {
            let data = vec![i as u8; *length];
            if framing == Framing::Chunked && *length > 0 {
                expected.extend_from_slice(format!("{length:x}\r\n").as_bytes());
            }
            expected.extend_from_slice(&data);
            if framing == Framing::Chunked && *length > 0 {
                expected.extend_from_slice(b"\r\n");
            }
            out.push(data.into());
            if i % flush_every == 0 {
                prop_assert!(ready(|cx| out.poll_ready(&mut io, cx)).is_ok());
            }
        }
        out.finish(None);
        if framing == Framing::Chunked {
            expected.extend_from_slice(b"0\r\n\r\n");
        }
        prop_assert!(ready(|cx| out.poll_flush(&mut io, cx)).is_ok());
        prop_assert_eq!(out.total, expected.len() as u64);
        prop_assert!(io.written == expected);
        prop_assert!(out.is_flushed() && out.small.capacity() <= KEPT);
    }
}
