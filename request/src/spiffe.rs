//! `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`: who a workload is.
//!
//! Istio gives every workload an id of that form. Another issuer under the same roots may give others; Envoy takes any
//! path of a trusted domain and leaves the rest to the policies, which match the id as text. So do we, but for ids that name a
//! namespace and then say something else.

use std::ops::Range;
use std::sync::Arc;

/// A SPIFFE id. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SpiffeId {
    text: Arc<str>,
    // Byte offsets into `text`; the ranges are empty where the id does not say it.
    trust_domain_end: u32,
    namespace: (u32, u32),
    account: (u32, u32),
}

/// Why a text is no SPIFFE id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bad SPIFFE id: {0}")]
pub struct BadSpiffeId(pub &'static str);

impl SpiffeId {
    /// Parses the whole URI, scheme included.
    ///
    /// The SPIFFE specification's characters and limits (2,048 bytes in all, 255 for the trust domain), with a path,
    /// which names no trust domain alone. There is no percent-encoding, query, fragment, port or user info. Capital letters are taken in
    /// a trust domain, which the specification does not: it is compared as text, so that they name another one.
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
        let (trust_domain, path) = rest
            .split_once('/')
            .ok_or(BadSpiffeId("no path after the trust domain"))?;
        check_trust_domain(trust_domain)?;
        path.split('/').try_for_each(check_segment)?;

        let path_start = text.len() - path.len();
        // At most MAX_BYTES each.
        let place = |part: Range<usize>| ((path_start + part.start) as u32, (path_start + part.end) as u32);
        let (namespace, account) = workload(path)?.unwrap_or_default();
        Ok(Self {
            text: text.into(),
            trust_domain_end: (path_start - 1) as u32,
            namespace: place(namespace),
            account: place(account),
        })
    }

    /// Builds the id of a workload from its parts.
    ///
    /// # Errors
    /// As [`SpiffeId::parse`].
    pub fn of(trust_domain: &str, namespace: &str, service_account: &str) -> Result<Self, BadSpiffeId> {
        check_segment(namespace)?;
        check_segment(service_account)?;
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

    /// The namespace; empty when the id does not name exactly one workload of Istio's.
    pub fn namespace(&self) -> &str {
        self.slice(self.namespace.0..self.namespace.1)
    }

    /// The service account, likewise.
    pub fn service_account(&self) -> &str {
        self.slice(self.account.0..self.account.1)
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

fn check_trust_domain(text: &str) -> Result<(), BadSpiffeId> {
    if text.is_empty() || text.len() > MAX_TRUST_DOMAIN_BYTES {
        return Err(BadSpiffeId("the trust domain has not 1 to 255 bytes"));
    }
    if text
        .bytes()
        .all(|b| matches!(b, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_'))
    {
        Ok(())
    } else {
        Err(BadSpiffeId(
            "a byte in the trust domain other than letters, digits, '.', '-' and '_'",
        ))
    }
}

/// Where a namespace and an account stand.
type Named = (Range<usize>, Range<usize>);

/// Where namespace and account stand in a path of pairs, `ns/<namespace>` and then `sa/<account>` among them. `Ok(None)`: a
/// path that names no workload.
///
/// # Errors
/// A path that names a namespace, and more: another one, an account before it, or a part that belongs to no pair. Policies
/// look for `/ns/<namespace>/` anywhere, and what else such an id says, nobody knows.
fn workload(path: &str) -> Result<Option<Named>, BadSpiffeId> {
    const AMBIGUOUS: BadSpiffeId =
        BadSpiffeId("it names a namespace and more than ns/<namespace>/sa/<service account> and pairs");
    let (mut namespace, mut account) = (None, None);
    let (mut says_more, mut at) = (false, 0);
    let mut segments = path.split('/');
    while let Some(key) = segments.next() {
        let start = at + key.len() + 1;
        let Some(value) = segments.next() else {
            says_more = true;
            break;
        };
        let value = start..start + value.len();
        at = value.end + 1;
        match key {
            "ns" => says_more |= namespace.replace(value).is_some() || account.is_some(),
            "sa" => says_more |= account.replace(value).is_some(),
            _ => {}
        }
    }
    match (namespace, says_more) {
        (Some(_), true) => Err(AMBIGUOUS),
        (namespace, _) => Ok(namespace.zip(account)),
    }
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
