#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;

const ANSWER: &str = "HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 6\r\n\r\nabcdef";

#[test]
fn an_answer_is_complete_at_its_last_byte_however_it_is_cut() {
    for cut in 0..ANSWER.len() {
        let mut response = Response::default();
        for _ in 0..2 {
            let (first, rest) = ANSWER.as_bytes().split_at(cut);
            assert_eq!(response.take(first, 6), Ok(false), "cut at {cut}");
            assert_eq!(response.take(rest, 6), Ok(true), "cut at {cut}");
        }
    }
}

#[test]
fn what_is_not_the_expected_answer_fails() {
    let longer = format!("{ANSWER}g");
    let refused = ANSWER.replace("200 OK", "503 Service Unavailable");
    let silent = ANSWER.replace("Content-Length: 6\r\n", "");
    for bad in [longer, refused, silent] {
        assert!(Response::default().take(bad.as_bytes(), 6).is_err(), "{bad}");
    }
    assert!(Response::default().take(ANSWER.as_bytes(), 5).is_err());
    assert!(Response::default().take(&[b'x'; HEAD_LIMIT_BYTES], 6).is_err());
}
