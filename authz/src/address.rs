//! Address blocks and ports.

use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Address blocks as merged ranges: a binary search however long the list. IPv4-mapped IPv6 is IPv4.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    v4: Box<[(u32, u32)]>,
    v6: Box<[(u128, u128)]>,
}

/// Reads `10.1.2.3`, `10.0.0.0/8` or the IPv6 forms; host bits may be set.
///
/// # Errors
/// What was expected.
pub(crate) fn parse_block(text: &str) -> Result<IpNet, &'static str> {
    const EXPECTED: &str = "expected an address or a CIDR block such as 10.1.0.0/16 or 2001:db8::/32";
    let Some((address, bits)) = text.split_once('/') else {
        return text.parse::<IpAddr>().map(IpNet::from).map_err(|_| EXPECTED);
    };
    let plain = bits.bytes().all(|byte| byte.is_ascii_digit()) && (bits == "0" || !bits.starts_with('0'));
    let address: IpAddr = address.parse().map_err(|_| EXPECTED)?;
    match bits.parse::<u8>() {
        Ok(bits) if plain => IpNet::new(address, bits).map_err(|_| EXPECTED),
        _ => Err(EXPECTED),
    }
}

impl Blocks {
    pub(crate) fn new(blocks: impl IntoIterator<Item = IpNet>) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for block in blocks {
            match block {
                IpNet::V4(net) => v4.push((net.network().to_bits(), net.broadcast().to_bits())),
                IpNet::V6(net) => {
                    let (first, last) = (net.network(), net.broadcast());
                    match (first.to_ipv4_mapped(), last.to_ipv4_mapped()) {
                        (Some(first), Some(last)) => v4.push((Ipv4Addr::to_bits(first), Ipv4Addr::to_bits(last))),
                        _ => v6.push((first.to_bits(), last.to_bits())),
                    }
                }
            }
        }
        Self {
            v4: merge(v4),
            v6: merge(v6),
        }
    }

    /// `10.0.0.0-10.255.255.255`, or one address; for people.
    pub(crate) fn ranges(&self) -> Vec<String> {
        let v4 = self.v4.iter().map(|(first, last)| {
            let (first, last) = (Ipv4Addr::from_bits(*first), Ipv4Addr::from_bits(*last));
            (IpAddr::V4(first), IpAddr::V4(last))
        });
        let v6 = self.v6.iter().map(|(first, last)| {
            let (first, last) = (Ipv6Addr::from_bits(*first), Ipv6Addr::from_bits(*last));
            (IpAddr::V6(first), IpAddr::V6(last))
        });
        let range = |(first, last): (IpAddr, IpAddr)| match first == last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        };
        v4.chain(v6).map(range).collect()
    }

    pub(crate) fn contain(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => holds(&self.v4, address.to_bits()),
            IpAddr::V6(address) => holds(&self.v6, address.to_bits()),
        }
    }
}

/// Reads a port, 0 to 65535, digits only.
///
/// # Errors
/// What was expected.
pub(crate) fn parse_port(text: &str) -> Result<u16, &'static str> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|_| digits)
        .ok_or("expected a port from 0 to 65535")
}

fn merge<N: Copy + Ord>(mut ranges: Vec<(N, N)>) -> Box<[(N, N)]> {
    ranges.sort_unstable();
    let mut merged: Vec<(N, N)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match merged.last_mut() {
            Some(before) if first <= before.1 => before.1 = before.1.max(last),
            _ => merged.push((first, last)),
        }
    }
    merged.into()
}

fn holds<N: Copy + Ord>(ranges: &[(N, N)], number: N) -> bool {
    let after = ranges.partition_point(|range| range.0 <= number);
    after
        .checked_sub(1)
        .and_then(|at| ranges.get(at))
        .is_some_and(|range| number <= range.1)
}

#[cfg(test)]
mod tests;
