//! A condition in a reader's words: the attribute by its name in the policy, what is wanted, what was found.

use crate::claims::{ClaimPattern, Claims};
use crate::rule::{Condition, Test, View};
use crate::text::TextSet;
use http::HeaderName;
use request::{is_secret, shown, shown_header};
use serde_json::Value;
use std::fmt::Display;

/// Values of a list that are told; the rest is counted.
const MAX_VALUES: usize = 6;

/// `namespaces: wanted "shop", found "other"`, or `notNamespaces: wanted none of "other", found "other"`.
pub(super) fn describe(condition: &Condition, view: View<'_>) -> String {
    let (name, wanted) = attribute(&condition.test);
    let found = found(&condition.test, view).unwrap_or_else(|| "none".to_owned());
    if condition.negated {
        format!("not {name}: wanted none of {wanted}, found {found}")
    } else {
        format!("{name}: wanted {wanted}, found {found}")
    }
}

fn attribute(test: &Test) -> (String, String) {
    let named = |name: &str, wanted: String| (name.to_owned(), wanted);
    match test {
        Test::Principal(set) => named("principals", texts(set)),
        Test::Namespace(all) => named("namespaces", list(all.iter())),
        Test::ServiceAccount(all) => named("serviceAccounts", list(all.iter())),
        Test::TrustDomain(all) => named("trust domains", list(all.iter())),
        Test::SourceIp(blocks) => named("ipBlocks", list(blocks.ranges().into_iter())),
        Test::RemoteIp(blocks) => named("remoteIpBlocks", list(blocks.ranges().into_iter())),
        Test::DestinationIp(blocks) => named("destination.ip", list(blocks.ranges().into_iter())),
        Test::Port(ports) => named("ports", list(ports.iter())),
        Test::Sni(set) => named("connection.sni", texts(set)),
        Test::Method(set) => named("methods", texts(set)),
        Test::Host(set) => named("hosts", texts(set)),
        Test::Path(set, templates) => {
            let templates = templates.iter().map(ToString::to_string);
            named("paths", list(set.patterns().into_iter().chain(templates)))
        }
        Test::Target(set) => named("header :path", texts(set)),
        Test::Header(name, set) => (format!("header {name}"), header_values(name, set)),
        Test::RequestPrincipal(all) => named("requestPrincipals", list(all.iter())),
        Test::Claim(claim) => (format!("claim {}", claim.path.join(".")), texts(&claim.values)),
        Test::Absent { .. } => named("an attribute that no request here has", "a value".to_owned()),
    }
}

fn found(test: &Test, view: View<'_>) -> Option<String> {
    let connection = view.connection;
    match test {
        Test::Principal(_) | Test::TrustDomain(_) => {
            let identity = connection.identity.as_ref()?.as_str();
            Some(shown(identity.strip_prefix("spiffe://").unwrap_or(identity)))
        }
        Test::Namespace(_) => Some(shown(connection.identity.as_ref()?.namespace())),
        Test::ServiceAccount(_) => {
            let identity = connection.identity.as_ref()?;
            Some(shown(&format!(
                "{}/{}",
                identity.namespace(),
                identity.service_account()
            )))
        }
        Test::SourceIp(_) => Some(connection.source_ip.to_string()),
        Test::RemoteIp(_) => {
            let remote = view.request.map_or(connection.source_ip, |request| request.remote_ip);
            Some(remote.to_string())
        }
        Test::DestinationIp(_) => connection.destination_ip.map(|ip| ip.to_string()),
        Test::Port(_) => Some(connection.destination_port.to_string()),
        Test::Sni(_) => connection.sni.as_deref().map(shown),
        _ => found_in_request(test, view),
    }
}

fn found_in_request(test: &Test, view: View<'_>) -> Option<String> {
    let request = view.request?;
    match test {
        Test::Method(_) => Some(shown(request.method.as_str())),
        Test::Host(_) => Some(shown(request.head.authority.as_str())),
        Test::Path(..) => Some(shown(request.head.path.as_str())),
        Test::Target(_) => Some(match &request.head.query {
            // A query may carry a token.
            Some(_) => format!("{} with a query (not shown)", shown(request.head.path.as_str())),
            None => shown(request.head.path.as_str()),
        }),
        Test::Header(name, _) => Some(shown_header(name, &request.header_joined(name)?)),
        Test::RequestPrincipal(_) => {
            let principal = &view.claims?.principal;
            (!principal.is_empty()).then(|| shown(principal))
        }
        Test::Claim(pattern) => claim(pattern, view.claims?),
        _ => None,
    }
}

fn claim(pattern: &ClaimPattern, claims: &Claims) -> Option<String> {
    let (first, rest) = pattern.path.split_first()?;
    let start = claims.payload.get(&**first)?;
    let value = rest.iter().try_fold(start, |value, name| value.get(&**name))?;
    Some(match value {
        Value::String(text) => shown(text),
        other => shown(&other.to_string()),
    })
}

fn header_values(name: &HeaderName, set: &TextSet) -> String {
    if is_secret(name) {
        return "a value of the policy (not shown)".to_owned();
    }
    texts(set)
}

fn texts(set: &TextSet) -> String {
    list(set.patterns().into_iter())
}

/// `"a", "b*" or "c"`.
fn list<T: Display>(values: impl Iterator<Item = T>) -> String {
    let all: Vec<String> = values.map(|value| value.to_string()).collect();
    let more = all.len().saturating_sub(MAX_VALUES);
    let told = all.get(..all.len().min(MAX_VALUES)).unwrap_or_default().join(" or ");
    match more {
        0 => told,
        more => format!("{told} or one of {more} more"),
    }
}
