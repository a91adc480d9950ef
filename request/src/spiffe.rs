//! `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`: who a workload is.

use std::ops::Range;
use std::sync::Arc;

/// A SPIFFE id of Istio's form. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SpiffeId {
    text: Arc<str>,
    // byte offsets into `text`
    trust_domain_end: u32,
    namespace_start: u32,
    namespace_end: u32,
    account_start: u32,
}

/// Why a text is no SPIFFE id of Istio's form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bad SPIFFE id: {0}")]
pub struct BadSpiffeId(pub &'static str);

impl SpiffeId {
    /// Parses the whole URI, scheme included.
    ///
    /// The SPIFFE specification's characters and limits (2,048 bytes in all, 255 for the trust domain, which is lower
    /// case), in Istio's form: `ns` first, `sa` last, and between them whatever pairs of segments another issuer put
    /// there (Istio's policies match such ids by namespace and account too). There is no percent-encoding, query, fragment, port or user info.
    ///
    /// # Errors
    /// Everything else, with the first reason found.
    pub fn parse(text: &str) -> Result<Self, BadSpiffeId> {
        if text.len() > MAX_BYTES {
            return Err(BadSpiffeId("longer than 2,048 bytes"));
        }
        let rest = text
            .strip_prefix(SCHEME)
            .ok_or(BadSpiffeId("it does not begin with spiffe://"))?;
        let (trust_domain, path) = rest.split_once('/').ok_or(NOT_ISTIOS_FORM)?;
        let path = path.strip_prefix("ns/").ok_or(NOT_ISTIOS_FORM)?;
        let (namespace, path) = path.split_once('/').ok_or(NOT_ISTIOS_FORM)?;
        let (between, account) = path.rsplit_once('/').ok_or(NOT_ISTIOS_FORM)?;
        let pairs = match between {
            "sa" => None,
            _ => Some(between.strip_suffix("/sa").ok_or(NOT_ISTIOS_FORM)?),
        };
        check_trust_domain(trust_domain)?;
        check_segment(namespace)?;
        check_segment(account)?;
        check_pairs(pairs)?;

        let trust_domain_end = SCHEME.len() + trust_domain.len();
        let namespace_start = trust_domain_end + "/ns/".len();
        let namespace_end = namespace_start + namespace.len();
        let account_start = text.len() - account.len();
        // At most MAX_BYTES each.
        Ok(Self {
            text: text.into(),
            trust_domain_end: trust_domain_end as u32,
            namespace_start: namespace_start as u32,
            namespace_end: namespace_end as u32,
            account_start: account_start as u32,
        })
    }

    /// Builds the id of a workload from its parts.
    ///
    /// # Errors
    /// As [`SpiffeId::parse`].
    pub fn of(trust_domain: &str, namespace: &str, service_account: &str) -> Result<Self, BadSpiffeId> {
        Self::parse(&format!("{SCHEME}{trust_domain}/ns/{namespace}/sa/{service_account}"))
    }

    /// The URI, with `spiffe://`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The id as Istio's policies write it: without `spiffe://`.
    pub fn principal(&self) -> &str {
        self.slice(SCHEME.len() as u32..self.text.len() as u32)
    }

    /// The trust domain.
    pub fn trust_domain(&self) -> &str {
        self.slice(SCHEME.len() as u32..self.trust_domain_end)
    }

    /// The namespace.
    pub fn namespace(&self) -> &str {
        self.slice(self.namespace_start..self.namespace_end)
    }

    /// The service account.
    pub fn service_account(&self) -> &str {
        self.slice(self.account_start..self.text.len() as u32)
    }

    fn slice(&self, range: Range<u32>) -> &str {
        self.text
            .get(range.start as usize..range.end as usize)
            .unwrap_or_default()
    }
}

impl std::fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

const SCHEME: &str = "spiffe://";
const MAX_BYTES: usize = 2_048;
const MAX_TRUST_DOMAIN_BYTES: usize = 255;
const NOT_ISTIOS_FORM: BadSpiffeId =
    BadSpiffeId("not of the form spiffe://<trust domain>/ns/<namespace>/sa/<service account>");

fn check_trust_domain(text: &str) -> Result<(), BadSpiffeId> {
    if text.is_empty() || text.len() > MAX_TRUST_DOMAIN_BYTES {
        return Err(BadSpiffeId("the trust domain has not 1 to 255 bytes"));
    }
    if text
        .bytes()
        .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_'))
    {
        Ok(())
    } else {
        Err(BadSpiffeId(
            "a byte in the trust domain other than lower-case letters, digits, '.', '-' and '_'",
        ))
    }
}

/// Pairs between namespace and account. A second `ns` or `sa` would make the id say two things.
fn check_pairs(pairs: Option<&str>) -> Result<(), BadSpiffeId> {
    let Some(pairs) = pairs else { return Ok(()) };
    let mut segments = pairs.split('/');
    while let Some(key) = segments.next() {
        let value = segments.next().ok_or(NOT_ISTIOS_FORM)?;
        if matches!(key, "ns" | "sa") {
            return Err(NOT_ISTIOS_FORM);
        }
        check_segment(key)?;
        check_segment(value)?;
    }
    Ok(())
}

fn check_segment(text: &str) -> Result<(), BadSpiffeId> {
    if matches!(text, "" | "." | "..") {
        return Err(BadSpiffeId("an empty part, or one of dots"));
    }
    if text
        .bytes()
        .all(|b| matches!(b, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'='))
    {
        Ok(())
    } else {
        Err(BadSpiffeId(
            "a byte in a part other than letters, digits, '.', '-', '_' and '='",
        ))
    }
}

#[cfg(test)]
mod tests;
