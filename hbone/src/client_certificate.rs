//! What an `x-forwarded-client-cert` tells of a client's certificate beside its identity.

use crate::tls::sha256;
use rustls::pki_types::CertificateDer;
use std::fmt::Write as _;
use std::sync::Arc;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::{AttributeTypeAndValue, RelativeDistinguishedName};

/// A verified client's chain, its leaf first. Few ask for more of it than its identity: it is read when they do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientCertificate(Arc<[CertificateDer<'static>]>);

impl ClientCertificate {
    pub(crate) fn of(chain: Arc<[CertificateDer<'static>]>) -> Self {
        Self(chain)
    }

    /// SHA-256, in hexadecimal.
    pub fn fingerprint(&self) -> String {
        hex(&sha256(self.leaf()))
    }

    /// Empty where there is none.
    fn leaf(&self) -> &[u8] {
        self.0.first().map(AsRef::as_ref).unwrap_or_default()
    }

    /// The subject in the form of RFC 2253, ASCII only. Empty where it has none, as Istio's have.
    pub fn subject(&self) -> String {
        X509Certificate::from_der(self.leaf()).map_or_else(|_| String::new(), |(_, leaf)| subject(&leaf))
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().saturating_mul(2));
    for byte in bytes {
        // Writing to a String never fails.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// RFC 2253 section 2.1: the last name first.
fn subject(certificate: &X509Certificate<'_>) -> String {
    let mut names: Vec<String> = certificate.subject().iter_rdn().map(name).collect();
    names.reverse();
    names.join(",")
}

fn name(rdn: &RelativeDistinguishedName<'_>) -> String {
    let attributes: Vec<String> = rdn.iter().map(attribute).collect();
    attributes.join("+")
}

/// Section 2.3: what has no short name is told by its number.
fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let number = attribute.attr_type().to_id_string();
    let kind = match number.as_str() {
        "2.5.4.3" => "CN",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "STREET",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "0.9.2342.19200300.100.1.1" => "UID",
        "0.9.2342.19200300.100.1.25" => "DC",
        _ => &number,
    };
    match attribute.as_str() {
        Ok(value) => format!("{kind}={}", escaped(value)),
        Err(_) => format!("{kind}=#{}", hex(attribute.as_slice())),
    }
}

/// Section 2.4.
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for (at, byte) in value.bytes().enumerate() {
        let is_edge = at == 0 || at.saturating_add(1) == value.len();
        match byte {
            b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';' => {
                text.push('\\');
                text.push(char::from(byte));
            }
            b' ' if is_edge => text.push_str("\\ "),
            b'#' if at == 0 => text.push_str("\\#"),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => {
                // Writing to a String never fails.
                let _ = write!(text, "\\{byte:02X}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests;
