//! `tls` and `tcp`: where whole connections go. A match with a fault is dropped whole, as of `http`.

use super::destination::{self, WeightedDestination};
use crate::decode::{Fields, Problems, describe, record};
use crate::kinds::filter::is_hostname;
use routing::SniPattern;
use serde_json::Value;

/// Rules of one list, and matches of one rule (ours; Istio has no limit). The rest is not in force.
const MAX_ITEMS: usize = 1_024;
/// What a waypoint cannot tell, or is not told.
const UNKNOWN: [&str; 4] = ["destinationSubnets", "sourceSubnet", "sourceLabels", "sourceNamespace"];

/// A TLSRoute or TCPRoute of a VirtualService.
#[derive(Debug)]
pub(crate) struct StreamRule {
    /// Its place in its list.
    pub(crate) index: usize,
    /// `match`: every one that can be used.
    pub(crate) matches: Vec<StreamMatch>,
    /// `route`.
    pub(crate) destinations: Vec<WeightedDestination>,
}

/// A TLSMatchAttributes or L4MatchAttributes.
#[derive(Debug, Default)]
pub(crate) struct StreamMatch {
    /// `port`; `None`: any.
    pub(crate) port: Option<u16>,
    /// `sniHosts`. Empty: any name, or none.
    pub(crate) names: Vec<SniPattern>,
}

/// Reads `tls` or `tcp`.
pub(super) fn read(fields: &Fields<'_>, list: &'static str, problems: &Problems) -> Vec<StreamRule> {
    fields.bounded_list(list, MAX_ITEMS, |value, at| {
        record(value, at, problems, |fields| StreamRule {
            index: at.position(),
            matches: matches(fields, list == "tls", problems),
            destinations: destination::weighted(fields, problems),
        })
    })
}

fn matches(fields: &Fields<'_>, with_names: bool, problems: &Problems) -> Vec<StreamMatch> {
    match fields.get("match") {
        None if with_names => {
            fields.error("match", "`match` with `sniHosts` is missing: the rule is not in force");
            Vec::new()
        }
        None => vec![StreamMatch::default()],
        Some(Value::Array(list)) if list.is_empty() && !with_names => vec![StreamMatch::default()],
        Some(_) => fields.bounded_list("match", MAX_ITEMS, |value, at| {
            record(value, at, problems, |fields| one(fields, with_names, problems)).flatten()
        }),
    }
}

fn one(fields: &Fields<'_>, with_names: bool, problems: &Problems) -> Option<StreamMatch> {
    let is_elsewhere = fields.get("gateways").is_some() && !fields.texts("gateways", MAX_ITEMS).contains(&super::MESH);
    let port = match fields.get("port") {
        None => Some(None),
        Some(_) => fields.port("port").map(Some),
    };
    let names = if with_names {
        names(fields, problems)
    } else {
        Some(Vec::new())
    };
    let unknown = UNKNOWN.into_iter().find(|name| fields.get(name).is_some());
    if let Some(name) = unknown {
        fields.error(name, format!("`{name}` is not supported: this match is not in force"));
    }
    let whole = unknown.is_none() && !is_elsewhere;
    Some(StreamMatch {
        port: port?,
        names: names?,
    })
    .filter(|_| whole)
}

/// `*` is any name. `None` when one of them is wrong, or there is none.
fn names(fields: &Fields<'_>, problems: &Problems) -> Option<Vec<SniPattern>> {
    if fields.get("sniHosts").is_none() {
        fields.error("sniHosts", "`sniHosts` is missing: this match is not in force");
        return None;
    }
    let mut is_whole = true;
    let mut is_any = false;
    let names = fields.bounded_list("sniHosts", MAX_ITEMS, |value, at| {
        let name = value.as_str().unwrap_or_default().to_ascii_lowercase();
        if name == "*" {
            is_any = true;
            return None;
        }
        if !is_hostname(name.strip_prefix("*.").unwrap_or(&name)) {
            let expected = "a DNS name, which may begin with `*.`";
            let found = describe(value);
            problems.error(
                at,
                format!("expected {expected}, found {found}: this match is not in force"),
            );
            is_whole = false;
            return None;
        }
        Some(SniPattern::of(&name))
    });
    if is_any {
        return is_whole.then(Vec::new);
    }
    (is_whole && !names.is_empty()).then_some(names)
}
