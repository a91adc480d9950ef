#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;

/// All messages of these bytes, cut in two at every place: the same wherever the cut is.
fn messages(side: fn() -> Messages, text: &str) -> Result<Vec<(u16, u64)>, String> {
    let read = |cuts: [&str; 2]| {
        let (mut messages, mut found) = (side(), Vec::new());
        for piece in cuts {
            let mut chunk = Bytes::copy_from_slice(piece.as_bytes());
            while let Some(message) = messages.take(&mut chunk)? {
                found.push((message.status, message.body_bytes));
            }
            assert!(chunk.is_empty());
        }
        if let Some(message) = messages.end()? {
            found.push((message.status, message.body_bytes));
        }
        Ok(found)
    };
    let whole = read([text, ""]);
    for cut in 0..text.len() {
        assert_eq!(read(text.split_at(cut).into()), whole, "cut at {cut} of {text:?}");
    }
    whole
}

fn responses() -> Messages {
    Messages::responses("GET")
}

#[test]
fn answers_end_where_they_say() {
    let length = "HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 6\r\n\r\nabcdef";
    let none = "HTTP/1.1 204 No Content\r\n\r\n";
    let interim = "HTTP/1.1 100 Continue\r\n\r\n";
    let chunked = "HTTP/1.1 503 Oh\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n";
    let trailers = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nx: y\r\nzz: 1\r\n\r\n";
    let all = [length, none, interim, chunked, trailers, length].concat();
    let wanted = vec![(200, 6), (204, 0), (503, 13), (200, 1), (200, 6)];
    assert_eq!(messages(responses, &all), Ok(wanted));
}

#[test]
fn an_answer_without_a_length_ends_with_the_connection() {
    assert_eq!(messages(responses, "HTTP/1.1 200 OK\r\n\r\nabc"), Ok(vec![(200, 3)]));
    assert_eq!(messages(responses, ""), Ok(vec![]));
}

#[test]
fn an_answer_to_head_has_no_body() {
    let two = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n".repeat(2);
    let wanted = Ok(vec![(200, 0), (200, 0)]);
    assert_eq!(messages(|| Messages::responses("HEAD"), &two), wanted);
}

#[test]
fn requests_have_a_body_only_when_they_say_so() {
    let two = "GET /a HTTP/1.1\r\nhost: x\r\n\r\nPOST /b HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc";
    assert_eq!(messages(Messages::requests, two), Ok(vec![(0, 0), (0, 3)]));
}

#[test]
fn what_is_cut_short_or_nonsense_is_an_error() {
    for bad in [
        "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
        "SSH-2.0-OpenSSH",
        "HTTP/1.1 200",
    ] {
        assert!(messages(responses, bad).is_err(), "{bad}");
    }
    let long = format!("HTTP/1.1 200 OK\r\nx: {}", "a".repeat(HEAD_LIMIT_BYTES));
    assert!(responses().take(&mut Bytes::from(long)).is_err());
}
