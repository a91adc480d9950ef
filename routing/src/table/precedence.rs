//! Which of two matches goes first, as a derived ordering: smaller wins.
//!
//! HTTPRouteRule.matches and GRPCRouteRule.matches of the Gateway API, with Istio's choices where they leave one:
//! regular expressions come after prefixes, longer patterns first. (Before all that stands the hostname, which only
//! routes on a Gateway have.) The matches of a VirtualService go in the order in
//! which they are written, whatever they ask for.

use crate::matching::source;
use crate::{PathMatch, RouteId, SniPattern, TextMatch};
use std::cmp::{Ordering, Reverse};
use std::iter;
use std::sync::Arc;

/// The fields are compared from the first to the last.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Precedence {
    pub(super) host: HostRank,
    pub(super) path: PathRank,
    pub(super) has_method: Reverse<bool>,
    pub(super) headers: Reverse<u32>,
    pub(super) query: Reverse<u32>,
    /// Unix seconds.
    pub(super) created: i64,
    pub(super) route: ByName,
    pub(super) rule: u32,
    pub(super) match_index: u32,
}

/// A route, compared by `namespace/name` as one text.
#[derive(Clone, Debug)]
pub(super) struct ByName(pub(super) Arc<RouteId>);

/// Of a route on a Gateway: the more specific hostname goes before everything else. Lengths in bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum HostRank {
    Exact,
    Wildcard(Reverse<u32>),
    Any,
}

/// Lengths in bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum PathRank {
    Exact(Reverse<u32>),
    Prefix(Reverse<u32>),
    Regex(Reverse<u32>),
    Grpc {
        service: TextRank,
        method: TextRank,
    },
    /// All alike: the place in the object decides.
    InOrder,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TextRank {
    Exact(Reverse<u32>),
    Regex(Reverse<u32>),
    Any,
}

impl HostRank {
    pub(super) fn of(host: Option<&SniPattern>) -> Self {
        match host {
            Some(SniPattern::Exact(_)) => Self::Exact,
            Some(SniPattern::Wildcard(suffix)) => Self::Wildcard(longer(suffix)),
            None => Self::Any,
        }
    }
}

impl PathRank {
    /// `path` has lost its trailing slashes.
    pub(super) fn of(path: &PathMatch) -> Self {
        match path {
            PathMatch::Exact(text) => Self::Exact(longer(text)),
            PathMatch::Prefix(text) => Self::Prefix(longer(text)),
            // Only VirtualServices have these.
            PathMatch::Start(_) | PathMatch::ExactIgnoreCase(_) | PathMatch::StartIgnoreCase(_) => Self::InOrder,
            PathMatch::Regex(regex) => Self::Regex(longer(source(regex))),
        }
    }
}

impl TextRank {
    pub(super) fn of(text: Option<&TextMatch>) -> Self {
        match text {
            Some(TextMatch::Exact(text)) => Self::Exact(longer(text)),
            Some(TextMatch::Regex(regex)) => Self::Regex(longer(source(regex))),
            // Only VirtualServices begin a text.
            Some(TextMatch::Any | TextMatch::Start(_)) | None => Self::Any,
        }
    }
}

impl ByName {
    fn text(&self) -> impl Iterator<Item = u8> {
        let RouteId { namespace, name, .. } = &*self.0;
        namespace.bytes().chain(iter::once(b'/')).chain(name.bytes())
    }
}

impl Ord for ByName {
    fn cmp(&self, other: &Self) -> Ordering {
        if self.0.namespace == other.0.namespace {
            self.0.name.cmp(&other.0.name)
        } else {
            self.text().cmp(other.text())
        }
    }
}

impl PartialOrd for ByName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ByName {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for ByName {}

impl Precedence {
    /// Forgets what the match asks for: only age, name and place in the object are left.
    pub(super) fn in_order(&mut self) {
        self.path = PathRank::InOrder;
        self.has_method = Reverse(false);
        self.headers = Reverse(0);
        self.query = Reverse(0);
    }

    /// What made `winner` go first, in a user's words.
    pub(super) fn beaten_by(&self, winner: &Self) -> String {
        let advantage = match (&winner.path, &self.path) {
            _ if winner.host != self.host => "a more specific hostname",
            (PathRank::Grpc { service: a, .. }, PathRank::Grpc { service: b, .. }) if a != b => {
                "a more specific service"
            }
            (PathRank::Grpc { .. }, PathRank::Grpc { .. }) if winner.path != self.path => "a more specific method",
            (PathRank::Exact(_), PathRank::Prefix(_) | PathRank::Regex(_)) => "an exact path",
            (PathRank::Prefix(_), PathRank::Regex(_)) => "a prefix, which goes before a regular expression",
            _ if winner.path != self.path => "a longer path",
            _ if winner.has_method != self.has_method => "a method",
            _ if winner.headers != self.headers => "more headers",
            _ if winner.query != self.query => "more query parameters",
            _ if winner.created != self.created => "an older route",
            _ if winner.route != self.route => "a route earlier in the alphabet",
            _ if winner.rule != self.rule => "an earlier place among the rules of its route",
            _ => "an earlier place among the matches of its rule",
        };
        format!("it matches too, but the chosen one has {advantage}")
    }
}

/// The longer text goes first.
fn longer(text: &str) -> Reverse<u32> {
    Reverse(number(text.len()))
}

/// As ranks have it: 4,000,000,000 of anything are as good as more.
pub(super) fn number(many: usize) -> u32 {
    u32::try_from(many).unwrap_or(u32::MAX)
}
