//! The texts, addresses and numbers of istiod's answers, taken only as they can be used: they are printed, compared, and
//! put into hosts and identities.

use std::net::IpAddr;

/// A name's length limit (RFC 1123 subdomain), and that of texts that are only shown.
const MAX_NAME_BYTES: usize = 253;
const MAX_TEXT_BYTES: usize = 512;

/// An address, and the network that it is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Network<'n> {
    /// Empty: the default one.
    pub(super) network: &'n str,
    /// The address.
    pub(super) ip: IpAddr,
}

/// A name such as Kubernetes admits.
pub(super) fn plain<'t>(field: &str, text: &'t str) -> Result<&'t str, String> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    if !text.is_empty() && text.len() <= MAX_NAME_BYTES && text.bytes().all(is_plain) {
        return Ok(text);
    }
    let shown = shown(text);
    Err(format!(
        "{field}: expected a name of letters, digits, `-` and `.`, at most {MAX_NAME_BYTES} long, found {shown:?}"
    ))
}

/// A text that is shown.
pub(super) fn text<'t>(field: &str, text: &'t str) -> Result<&'t str, String> {
    if text.len() <= MAX_TEXT_BYTES && !text.contains(char::is_control) {
        return Ok(text);
    }
    let shown = shown(text);
    Err(format!(
        "{field}: expected at most {MAX_TEXT_BYTES} bytes without control characters, found {shown:?}"
    ))
}

/// Four bytes or sixteen.
pub(super) fn ip(field: &str, bytes: &[u8]) -> Result<IpAddr, String> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    let any = v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from));
    let found = bytes.len();
    any.map(|ip| ip.to_canonical())
        .map_err(|_| format!("{field}: expected an address of 4 or 16 bytes, found {found}"))
}

/// 1 to 65,535.
pub(super) fn port(field: &str, number: u32) -> Result<u16, String> {
    let port = u16::try_from(number).ok().filter(|port| *port != 0);
    port.ok_or_else(|| format!("{field}: expected a port, found {number}"))
}

/// As much of a text as a message may repeat.
pub(super) fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(100).collect()
}
