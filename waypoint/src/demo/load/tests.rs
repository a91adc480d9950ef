#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};

fn reply(status: u16, version: &'static str, micros: u64) -> Result<Reply, String> {
    let mut headers = HeaderMap::new();
    headers.insert(VERSION, HeaderValue::from_static(version));
    Ok(Reply {
        status: StatusCode::from_u16(status).unwrap(),
        headers,
        body: Bytes::from_static(b"text\n"),
        took: Duration::from_micros(micros),
    })
}

#[test]
fn only_a_200_of_a_known_version_is_a_good_answer() {
    let mut lap = Lap::default();
    assert!(!lap.count(reply(200, "v1", 10)));
    assert!(!lap.count(reply(200, "v2", 30)));
    assert!(lap.count(reply(503, "v1", 1)));
    assert!(lap.count(reply(200, "v3", 1)));
    assert!(lap.count(Err("closed".to_owned())));
    assert_eq!((lap.answers, lap.errors), ([1, 1], 3));
    assert_eq!(lap.first_error.as_deref(), Some("503 Service Unavailable \"text\""));
}

#[test]
fn quantiles_are_of_good_answers_in_all_laps() {
    let mut sum = Lap::default();
    for micros in (1..=101).rev() {
        let mut lap = Lap::default();
        lap.count(reply(200, "v1", micros));
        lap.count(reply(500, "v1", 1_000_000));
        sum.add(lap);
    }
    assert_eq!(sum.quantile(0.5), Duration::from_micros(51));
    assert_eq!(sum.quantile(0.99), Duration::from_micros(100));
    assert_eq!(sum.quantile(1.0), Duration::from_micros(101));
    assert_eq!(Lap::default().quantile(0.5), Duration::ZERO);
}
