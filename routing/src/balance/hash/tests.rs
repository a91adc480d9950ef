#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use super::*;
use crate::testing::endpoint;
use proptest::prelude::*;
use std::collections::HashMap;

fn chosen(endpoints: &[Arc<Endpoint>], hash: u64) -> SocketAddr {
    highest(endpoints.iter(), hash).unwrap().address
}

fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, value.parse().unwrap());
    }
    headers
}

const NOBODY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);

#[test]
fn the_choice_is_the_same_in_every_build() {
    // Replicas of different releases must agree while one replaces the other.
    let endpoints: Vec<_> = (0..5).map(|i| endpoint(i, 1, 0)).collect();
    let places: Vec<_> = ["ada", "grace", "linus", "barbara", "edsger", ""]
        .map(|user| match chosen(&endpoints, hash_of(user.as_bytes())).ip() {
            IpAddr::V4(ip) => ip.octets()[3],
            IpAddr::V6(_) => unreachable!(),
        })
        .into();
    assert_eq!(places, PLACES);
}

const PLACES: [u8; 6] = [1, 0, 2, 1, 0, 2];

#[test]
fn keys_are_spread_by_weight() {
    let weights = [1_u32, 1, 2, 4];
    let endpoints: Vec<_> = weights
        .iter()
        .enumerate()
        .map(|(i, weight)| endpoint(i, *weight, 0))
        .collect();
    let mut counts: HashMap<SocketAddr, f64> = HashMap::new();
    for key in 0..20_000_u64 {
        *counts
            .entry(chosen(&endpoints, hash_of(key.to_string().as_bytes())))
            .or_default() += 8.0 / 20_000.0;
    }
    for (endpoint, weight) in endpoints.iter().zip(weights) {
        let share = counts[&endpoint.address];
        assert!(
            (share / f64::from(weight) - 1.0).abs() < 0.1,
            "{share} instead of {weight}"
        );
    }
}

#[test]
fn what_is_hashed() {
    let header = HashKey::Header(HeaderName::from_static("x-user"));
    let hash = |key: &HashKey, lines: &[_], query, ip| key.hash(&headers(lines), query, ip);
    assert_eq!(hash(&header, &[], None, NOBODY), None);
    let one = hash(&header, &[("x-user", "a")], None, NOBODY);
    assert!(one.is_some() && one != hash(&header, &[("x-user", "b")], None, NOBODY));
    assert_eq!(
        one,
        hash(
            &header,
            &[("x-other", "c"), ("x-user", "a")],
            Some("q"),
            [1, 2, 3, 4].into()
        )
    );

    let query = HashKey::Query("user".into());
    let of = |text| hash(&query, &[], Some(text), NOBODY);
    assert_eq!(of("a=1&users=2"), None);
    assert_eq!(hash(&query, &[], None, NOBODY), None);
    assert!(of("user=7").is_some() && of("user=7") == of("a&user=7&user=8") && of("user=7") != of("user=8"));
    assert_eq!(of("user"), of("user="));

    let source = |ip: &str| hash(&HashKey::SourceIp, &[], None, ip.parse().unwrap());
    assert!(source("10.0.0.1") == source("::ffff:10.0.0.1") && source("10.0.0.1") != source("10.0.0.2"));
}

#[test]
fn a_cookie_is_hashed_and_given() {
    let cookie = |ttl| HashCookie {
        name: "pod".into(),
        path: "/shop".into(),
        ttl,
        attributes: "".into(),
    };
    let key = HashKey::Cookie(cookie(None));
    let hash = |line| key.hash(&headers(&[("cookie", line)]), None, NOBODY);
    assert_eq!(hash("a=1; pods=2; xpod=3"), None);
    assert_eq!(hash("pod="), None);
    assert!(hash("a=1; pod=7").is_some() && hash("a=1; pod=7") == hash("pod=\"7\";b=2"));
    assert_eq!(cookie(None).generate(7), None);
    let (given, line) = cookie(Some(Duration::from_secs(90))).generate(7).unwrap();
    assert_eq!(line, "pod=0000000000000007; Max-Age=90; Path=/shop; HttpOnly");
    assert_eq!(
        hash("pod=0000000000000007"),
        Some(given),
        "it comes back to where it was given"
    );
    let (_, session) = cookie(Some(Duration::ZERO)).generate(7).unwrap();
    assert_eq!(session, "pod=0000000000000007; Path=/shop; HttpOnly");
    let with_more = HashCookie {
        attributes: "; SameSite=Strict; Secure".into(),
        ..cookie(Some(Duration::ZERO))
    };
    let (_, line) = with_more.generate(7).unwrap();
    assert_eq!(
        line,
        "pod=0000000000000007; Path=/shop; HttpOnly; SameSite=Strict; Secure"
    );
}

proptest! {
    /// Without one endpoint, only the keys that were its own move, and they move to where they go without it.
    #[test]
    fn the_least_disruption(weights in prop::collection::vec(1..5_u32, 2..20), gone in 0..20_usize, key: u64) {
        let endpoints: Vec<_> = weights.iter().enumerate().map(|(i, weight)| endpoint(i, *weight, 0)).collect();
        let gone = gone % endpoints.len();
        let mut left = endpoints.clone();
        left.remove(gone);
        let before = chosen(&endpoints, key);
        let after = chosen(&left, key);
        prop_assert!(before == after || before == endpoints[gone].address);
    }

    /// The order in which endpoints are listed is of no concern.
    #[test]
    fn the_order_does_not_matter(count in 1..20_usize, turn in 0..20_usize, key: u64) {
        let mut endpoints: Vec<_> = (0..count).map(|i| endpoint(i, 1, 0)).collect();
        let before = chosen(&endpoints, key);
        endpoints.rotate_left(turn % count);
        prop_assert_eq!(chosen(&endpoints, key), before);
    }
}
