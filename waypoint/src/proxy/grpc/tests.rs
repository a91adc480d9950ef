#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use super::*;
use http::HeaderValue;
use proptest::prelude::*;

#[test]
fn grpc_is_told_by_content_type() {
    for (value, wanted) in [
        ("application/grpc", true),
        ("application/grpc+proto", true),
        ("application/grpc; charset=x", true),
        ("application/grpc-web", false),
        ("application/json", false),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(value));
        assert_eq!(is_grpc(&headers), wanted, "{value}");
    }
    assert!(!is_grpc(&HeaderMap::new()));
}

proptest! {
    #[test]
    fn messages_are_counted_however_the_bytes_are_cut(sizes in prop::collection::vec(0usize..300, 0..8), cut in 1usize..50) {
        let mut bytes = Vec::new();
        for size in &sizes {
            bytes.push(0);
            bytes.extend_from_slice(&u32::try_from(*size).unwrap().to_be_bytes());
            bytes.extend(std::iter::repeat_n(7u8, *size));
        }
        let mut counter = MessageCounter::default();
        for piece in bytes.chunks(cut) {
            counter.count(piece);
        }
        prop_assert_eq!(counter.messages(), sizes.len() as u64);
    }
}

#[test]
fn a_status_of_http_as_one_of_grpc() {
    for (http, grpc) in [
        (400, 13),
        (401, 16),
        (403, 7),
        (404, 12),
        (429, 14),
        (503, 14),
        (418, 2),
        (500, 2),
    ] {
        assert_eq!(status_of(http), grpc, "{http}");
    }
}
