//! A compiled rule: attribute tests and how they are asked of a request or a connection.

use crate::address::Blocks;
use crate::claims::{ClaimPattern, Claims, RequestPrincipal};
use crate::identity::{Namespace, ServiceAccount, TrustDomain};
use crate::template::Template;
use crate::text::TextSet;
use http::HeaderName;
use http::header::COOKIE;
use request::{Connection, Request};

/// What a rule is asked about. Without a request it is a TCP connection.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) request: Option<&'a Request<'a>>,
    pub(crate) claims: Option<&'a Claims>,
}

/// One compiled rule: any of `from`, any of `to`, all of `when`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rule {
    /// Empty: anyone.
    pub(crate) from: Vec<Conditions>,
    /// Empty: anything.
    pub(crate) to: Vec<Conditions>,
    pub(crate) when: Conditions,
}

/// Conditions, AND.
pub(crate) type Conditions = Vec<Condition>;

/// A test, or its opposite. A missing attribute fails the test and so satisfies the opposite.
#[derive(Clone, Debug)]
pub(crate) struct Condition {
    pub(crate) negated: bool,
    pub(crate) test: std::sync::Arc<Test>,
}

/// One attribute is one of these values.
#[derive(Debug)]
pub(crate) enum Test {
    Principal(TextSet),
    Namespace(Vec<Namespace>),
    ServiceAccount(Vec<ServiceAccount>),
    TrustDomain(Vec<TrustDomain>),
    SourceIp(Blocks),
    RemoteIp(Blocks),
    DestinationIp(Blocks),
    Port(Box<[u16]>),
    Sni(TextSet),
    Method(TextSet),
    /// Lower-case patterns.
    Host(TextSet),
    Path(TextSet, Vec<Template>),
    /// `:path`, with the query.
    Target(TextSet),
    Header(HeaderName, TextSet),
    RequestPrincipal(Vec<RequestPrincipal>),
    Claim(ClaimPattern),
    /// An attribute that no request here has; `http` says whether it is one of requests only.
    Absent {
        http: bool,
    },
}

impl Rule {
    pub(crate) fn matches(&self, view: View<'_>) -> bool {
        any(&self.from, view) && any(&self.to, view) && all(&self.when, view)
    }

    /// The rule as it holds for TCP when attributes of HTTP are ignored, which widens it (DENY, AUDIT, CUSTOM).
    pub(crate) fn without_http(&self) -> Self {
        let strip = |conditions: &Conditions| -> Conditions {
            conditions
                .iter()
                .filter(|condition| !condition.test.is_http())
                .cloned()
                .collect()
        };
        Self {
            from: self.from.iter().map(strip).collect(),
            to: self.to.iter().map(strip).collect(),
            when: strip(&self.when),
        }
    }

    /// Does any part ask for the name of a TLS ClientHello?
    pub(crate) fn needs_sni(&self) -> bool {
        let mut conditions = self.from.iter().chain(&self.to).flatten().chain(&self.when);
        conditions.any(|condition| matches!(*condition.test, Test::Sni(_)))
    }

    /// Does any part ask about HTTP?
    pub(crate) fn needs_http(&self) -> bool {
        let mut conditions = self.from.iter().chain(&self.to).flatten().chain(&self.when);
        conditions.any(|condition| condition.test.is_http())
    }
}

fn any(clauses: &[Conditions], view: View<'_>) -> bool {
    clauses.is_empty() || clauses.iter().any(|conditions| all(conditions, view))
}

fn all(conditions: &[Condition], view: View<'_>) -> bool {
    conditions
        .iter()
        .all(|condition| condition.test.holds(view) != condition.negated)
}

impl Test {
    fn is_http(&self) -> bool {
        match self {
            Self::Principal(_) | Self::Namespace(_) | Self::ServiceAccount(_) | Self::TrustDomain(_) => false,
            Self::SourceIp(_) | Self::RemoteIp(_) | Self::DestinationIp(_) | Self::Port(_) | Self::Sni(_) => false,
            Self::Method(_) | Self::Host(_) | Self::Path(..) | Self::Target(_) | Self::Header(..) => true,
            Self::RequestPrincipal(_) | Self::Claim(_) => true,
            Self::Absent { http } => *http,
        }
    }

    pub(crate) fn holds(&self, view: View<'_>) -> bool {
        let connection = view.connection;
        let identity = || connection.identity.as_ref().map(|id| id.as_str());
        match self {
            Self::Principal(set) => identity()
                .and_then(|uri| uri.strip_prefix("spiffe://"))
                .is_some_and(|id| set.matches(id)),
            Self::Namespace(list) => identity().is_some_and(|uri| list.iter().any(|one| one.matches(uri))),
            Self::ServiceAccount(list) => identity().is_some_and(|uri| list.iter().any(|one| one.matches(uri))),
            Self::TrustDomain(list) => identity().is_some_and(|uri| list.iter().any(|one| one.matches(uri))),
            Self::SourceIp(blocks) => blocks.contain(connection.source_ip),
            Self::RemoteIp(blocks) => {
                blocks.contain(view.request.map_or(connection.source_ip, |request| request.remote_ip))
            }
            Self::DestinationIp(blocks) => connection.destination_ip.is_some_and(|address| blocks.contain(address)),
            Self::Port(ports) => ports.binary_search(&connection.destination_port).is_ok(),
            Self::Sni(set) => connection.sni.as_deref().is_some_and(|name| set.matches(name)),
            Self::Absent { .. } => false,
            _ => view.request.is_some_and(|request| self.holds_for(request, view.claims)),
        }
    }

    fn holds_for(&self, request: &Request<'_>, claims: Option<&Claims>) -> bool {
        match self {
            Self::Method(set) => set.matches_there(request.method.as_str()),
            Self::Host(set) => set.matches_there(request.head.authority.as_str()),
            Self::Path(set, templates) => {
                let path = request.head.path.as_str();
                set.matches(path) || templates.iter().any(|template| template.matches(path))
            }
            Self::Target(set) => {
                let query = || request.head.query.as_deref().into_iter();
                let query = || query().flat_map(|query| [&b"?"[..], query.as_bytes()]);
                set.matches_pieces(|| std::iter::once(request.head.path.as_str().as_bytes()).chain(query()))
            }
            Self::Header(name, set) => header_holds(request, name, set),
            Self::RequestPrincipal(list) => claims.is_some_and(|claims| list.iter().any(|one| one.matches(claims))),
            Self::Claim(claim) => claims.is_some_and(|claims| claim.matches(claims)),
            _ => false,
        }
    }
}

/// A repeated header is one value, joined with commas; crumbs of a cookie with `; `.
fn header_holds(request: &Request<'_>, name: &HeaderName, set: &TextSet) -> bool {
    let mut values = request.headers.get_all(name).iter();
    let Some(first) = values.next() else { return false };
    match (values.next(), std::str::from_utf8(first.as_bytes())) {
        (None, Ok(text)) => set.matches_there(text),
        _ => {
            let rest = || request.headers.get_all(name).iter().skip(1);
            let separator: &[u8] = if *name == COOKIE { b"; " } else { b"," };
            let rest = || rest().flat_map(|value| [separator, value.as_bytes()]);
            set.matches_pieces(|| std::iter::once(first.as_bytes()).chain(rest()))
        }
    }
}
