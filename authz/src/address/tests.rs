//! Blocks and ports.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::{Blocks, parse_block, parse_port};
use ipnet::IpNet;
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr};

fn blocks(texts: &[&str]) -> Blocks {
    Blocks::new(texts.iter().map(|text| parse_block(text).unwrap()))
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn both_families() {
    let some = blocks(&["10.1.2.3/16", "192.0.2.7", "2001:db8::/32", "::ffff:203.0.113.0/120"]);
    for yes in [
        "10.1.255.255",
        "192.0.2.7",
        "2001:db8::1",
        "203.0.113.9",
        "::ffff:10.1.0.1",
    ] {
        assert!(some.contain(ip(yes)), "{yes}");
    }
    for no in ["10.2.0.0", "192.0.2.8", "2001:db9::", "::10.1.0.1"] {
        assert!(!some.contain(ip(no)), "{no}");
    }
    assert!(blocks(&["0.0.0.0/0"]).contain(ip("255.255.255.255")));
    assert!(!blocks(&["0.0.0.0/0"]).contain(ip("::1")));
    assert!(!blocks(&[]).contain(ip("0.0.0.0")));
}

#[test]
fn refused() {
    for bad in [
        "",
        "10.0.0",
        "10.0.0.0/33",
        "10.0.0.0/08",
        "10.0.0.0/+8",
        "10.0.0.0/",
        "a.b.c.d",
        "::/129",
        "::1%eth0",
    ] {
        assert!(parse_block(bad).is_err(), "{bad}");
    }
    for bad in ["", "+80", "-1", "65536", "8 0", "http", "０"] {
        assert!(parse_port(bad).is_err(), "{bad}");
    }
    assert_eq!(
        (parse_port("0"), parse_port("0080"), parse_port("65535")),
        (Ok(0), Ok(80), Ok(65535))
    );
}

proptest! {
    #[test]
    fn as_each_block_by_itself(
        nets in prop::collection::vec((any::<u32>(), 0_u8..=32), 0..12),
        near in any::<prop::sample::Index>(),
        probe in any::<u32>(),
        offset in -2_i64..=2,
    ) {
        let nets: Vec<IpNet> =
            nets.into_iter().map(|(bits, length)| IpNet::new(Ipv4Addr::from(bits).into(), length).unwrap()).collect();
        let mut probes = vec![Ipv4Addr::from(probe)];
        if !nets.is_empty()
            && let IpNet::V4(net) = nets[near.index(nets.len())]
        {
            for edge in [net.network(), net.broadcast()] {
                let moved = (i64::from(u32::from(edge)) + offset).clamp(0, i64::from(u32::MAX));
                probes.push(Ipv4Addr::from(moved as u32));
            }
        }
        let merged = Blocks::new(nets.clone());
        for probe in probes {
            let naive = nets.iter().any(|net| net.contains(&IpAddr::from(probe)));
            prop_assert_eq!(merged.contain(probe.into()), naive);
        }
    }
}
