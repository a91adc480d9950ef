#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;

fn change(how: How) -> Vec<String> {
    let name = HeaderName::from_static("x-user");
    let mut headers = HeaderMap::new();
    headers.append(&name, HeaderValue::from_static("client"));
    let absent = HeaderName::from_static("x-new");
    let changes = [name.clone(), absent].map(|name| HeaderChange { name, how: how.clone() });
    apply(&changes, &mut headers);
    let mut all: Vec<String> = headers
        .iter()
        .map(|(name, value)| format!("{name}={}", value.to_str().unwrap()))
        .collect();
    all.sort();
    all
}

#[test]
fn every_kind_of_change() {
    let value = || HeaderValue::from_static("a");
    assert_eq!(change(How::Append(value())), ["x-new=a", "x-user=a", "x-user=client"]);
    assert_eq!(change(How::AddIfAbsent(value())), ["x-new=a", "x-user=client"]);
    assert_eq!(change(How::Set(value())), ["x-new=a", "x-user=a"]);
    assert_eq!(change(How::Replace(value())), ["x-user=a"]);
    assert_eq!(change(How::Remove), [""; 0]);
}

#[test]
fn what_frames_a_message_is_not_an_authorisers_to_change() {
    for name in ["host", "content-length", "transfer-encoding", "connection", "upgrade"] {
        assert!(!is_changeable(&HeaderName::from_static(name)), "{name}");
    }
    assert!(is_changeable(&HeaderName::from_static("authorization")));
}

#[test]
fn a_denial_is_a_final_answer() {
    for (given, wanted) in [
        (0, 403),
        (100, 403),
        (101, 403),
        (200, 200),
        (302, 302),
        (451, 451),
        (599, 599),
        (600, 403),
    ] {
        assert_eq!(final_status(given).as_u16(), wanted);
    }
}
