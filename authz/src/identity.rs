//! Patterns on the caller's SPIFFE id: namespaces, service accounts and trust domains.
//!
//! Istio writes these as regular expressions over the whole URI, which may carry further key/value pairs
//! (`spiffe://td/ns/a/env/prod/sa/b`); here they are plain searches with the same answers.

use std::fmt;

const SCHEME: &str = "spiffe://";

/// `namespaces`: Istio's `.*/ns/<pattern>/.*`, where each `*` of the pattern is any text.
#[derive(Debug)]
pub(crate) struct Namespace(Box<[Box<str>]>);

impl Namespace {
    pub(crate) fn new(pattern: &str) -> Self {
        let whole = format!("/ns/{pattern}/");
        Self(whole.split('*').map(Into::into).collect())
    }

    /// The namespace, when it is just one.
    pub(crate) fn exact(&self) -> Option<&str> {
        match &*self.0 {
            [whole] => one_namespace(whole),
            _ => None,
        }
    }

    pub(crate) fn matches(&self, uri: &str) -> bool {
        let mut rest = uri;
        for part in &self.0 {
            match rest.find(&**part).and_then(|at| rest.get(at + part.len()..)) {
                Some(after) => rest = after,
                None => return false,
            }
        }
        true
    }
}

/// `serviceAccounts`: Istio's `spiffe://.+/ns/<namespace>/(.+/|)sa/<account>(/.+)?`.
#[derive(Debug)]
pub(crate) struct ServiceAccount {
    namespace: Box<str>,
    account: Box<str>,
}

impl ServiceAccount {
    /// `[<namespace>/]<account>`; without a namespace it is the policy's own.
    ///
    /// # Errors
    /// Istio's rules for the form, which know no wildcards.
    pub(crate) fn new(text: &str, policy_namespace: &str) -> Result<Self, &'static str> {
        const FORM: &str = "expected '<serviceAccount>' or '<namespace>/<serviceAccount>', neither part empty";
        if text.contains('*') {
            return Err("a wildcard is not allowed in a service account; use principals or namespaces");
        }
        if text.len() > 320 {
            return Err("a service account cannot exceed 320 characters");
        }
        let (namespace, account) = text.split_once('/').unwrap_or((policy_namespace, text));
        if account.is_empty() || account.contains('/') || (text.contains('/') && namespace.is_empty()) {
            return Err(FORM);
        }
        Ok(Self {
            namespace: format!("/ns/{namespace}/").into(),
            account: format!("sa/{account}").into(),
        })
    }

    /// The namespace.
    pub(crate) fn namespace(&self) -> Option<&str> {
        one_namespace(&self.namespace)
    }

    pub(crate) fn matches(&self, uri: &str) -> bool {
        let Some(id) = uri.strip_prefix(SCHEME) else {
            return false;
        };
        occurrences(id, &self.namespace).any(|(at, rest)| at > 0 && self.account_in(rest))
    }

    fn account_in(&self, rest: &str) -> bool {
        occurrences(rest, &self.account).any(|(at, after)| {
            let begins = at == 0 || (at >= 2 && rest.as_bytes().get(at - 1) == Some(&b'/'));
            begins && (after.is_empty() || (after.len() > 1 && after.starts_with('/')))
        })
    }
}

/// `trustDomains`: `*`, an exact domain, or one `*` that stands for any text without `/`.
#[derive(Debug)]
pub(crate) enum TrustDomain {
    Any,
    Exact(Box<str>),
    Around { prefix: Box<str>, suffix: Box<str> },
}

impl TrustDomain {
    /// # Errors
    /// Istio's rules for the form.
    pub(crate) fn new(text: &str) -> Result<Self, &'static str> {
        if text.contains('/') {
            return Err("a trust domain must not contain '/'");
        }
        let Some((prefix, suffix)) = text.split_once('*') else {
            return Ok(Self::Exact(text.into()));
        };
        if suffix.contains('*') {
            return Err("at most one wildcard is allowed");
        }
        match (prefix.is_empty(), suffix.is_empty()) {
            (true, true) => Ok(Self::Any),
            (false, false) => Err("a wildcard is only allowed at the start or end"),
            _ => Ok(Self::Around {
                prefix: prefix.into(),
                suffix: suffix.into(),
            }),
        }
    }

    pub(crate) fn matches(&self, uri: &str) -> bool {
        let Some(id) = uri.strip_prefix(SCHEME) else {
            return false;
        };
        let Some((domain, _)) = id.split_once('/') else {
            return matches!(self, Self::Any);
        };
        match self {
            Self::Any => true,
            Self::Exact(exact) => **exact == *domain,
            Self::Around { prefix, suffix } => domain
                .strip_prefix(&**prefix)
                .is_some_and(|rest| rest.ends_with(&**suffix)),
        }
    }
}

/// As it is written in policies.
impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.0.join("*");
        let inner = whole.strip_prefix("/ns/").and_then(|rest| rest.strip_suffix('/'));
        write!(f, "{:?}", inner.unwrap_or(&whole))
    }
}

/// `"<namespace>/<account>"`.
impl fmt::Display for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let namespace = self.namespace.strip_prefix("/ns/").unwrap_or(&self.namespace);
        let account = self.account.strip_prefix("sa/").unwrap_or(&self.account);
        write!(f, "\"{namespace}{account}\"")
    }
}

/// As it is written in policies.
impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any value"),
            Self::Exact(text) => write!(f, "{text:?}"),
            Self::Around { prefix, suffix } => write!(f, "\"{prefix}*{suffix}\""),
        }
    }
}

/// Every namespace that an id names: what stands after a segment `ns`.
pub(crate) fn named_namespaces(uri: &str) -> impl Iterator<Item = &str> {
    let mut before = "";
    uri.split('/')
        .filter(move |segment| std::mem::replace(&mut before, segment) == "ns")
}

/// `/ns/<namespace>/` to the namespace, which is one segment.
fn one_namespace(whole: &str) -> Option<&str> {
    let name = whole.strip_prefix("/ns/")?.strip_suffix('/')?;
    (!name.contains('/')).then_some(name)
}

/// Every place where `needle` begins in `text` (they may overlap), and what follows it.
fn occurrences<'t>(text: &'t str, needle: &str) -> impl Iterator<Item = (usize, &'t str)> {
    text.char_indices()
        .filter_map(move |(at, _)| Some((at, text.get(at..)?.strip_prefix(needle)?)))
}

#[cfg(test)]
mod tests;
