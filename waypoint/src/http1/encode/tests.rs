#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use http::HeaderValue;
use proptest::prelude::*;

proptest! {
    #[test]
    fn numbers_are_written_as_the_standard_library_does(n in prop_oneof![any::<u64>(), 0..20_000u64]) {
        let mut out = Vec::new();
        number(&mut out, n, 10);
        prop_assert_eq!(std::str::from_utf8(&out).unwrap(), n.to_string());
        out.clear();
        number(&mut out, n, 16);
        prop_assert_eq!(std::str::from_utf8(&out).unwrap(), format!("{n:x}"));
    }
}

#[test]
fn a_status_without_a_phrase_keeps_its_space() {
    let mut out = Vec::new();
    status_line(&mut out, StatusCode::from_u16(799).unwrap());
    assert_eq!(out, b"HTTP/1.1 799 \r\n");
}

#[test]
fn a_length_is_believed_if_it_is_one_plain_number() {
    let said = |values: &[&'static str]| {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(CONTENT_LENGTH, HeaderValue::from_static(value));
        }
        said_length(&headers)
    };
    assert_eq!(said(&["12"]), Some(12));
    assert_eq!(said(&[]), None);
    assert_eq!(said(&[""]), None);
    assert_eq!(said(&["+12"]), None);
    assert_eq!(said(&["12", "12"]), None);
    assert_eq!(said(&["99999999999999999999"]), None);
}
