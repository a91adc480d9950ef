//! VirtualService: hosts, and rules with everything that needs no other object resolved.
//!
//! As a waypoint of Istio reads it. A rule with a part that would send a request where it was not meant to go answers
//! 500; a part that only adds something (a fault, a mirror, a header) is left out, and told.

mod cors;
mod destination;
mod fault;
mod headers;
mod matches;
mod redirect;
mod retries;
mod rewrite;
mod streams;
mod text;

use super::Body;
use crate::decode::{At, Fields, Problems, record};
pub(crate) use destination::{Destination, MirrorTo, WeightedDestination};
pub(crate) use matches::PortMatch;
use routing::{Filters, Retry, Timeouts};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
pub(crate) use streams::{StreamMatch, StreamRule};

/// Rules of one VirtualService (ours; Istio has no limit). The rest is not in force.
const MAX_RULES: usize = 1_024;
/// Hosts, gateways and namespaces of one VirtualService (ours).
const MAX_NAMES: usize = 1_024;
/// Stands for all sidecars and waypoints among `gateways`.
const MESH: &str = "mesh";

/// A VirtualService.
#[derive(Debug, Default)]
pub(crate) struct VirtualService {
    /// `hosts`, in lower case: full names, names of the object's own namespace, `*` and `*.suffix`.
    pub(crate) hosts: Vec<String>,
    /// `exportTo`: namespaces, `.` or `*`. Empty: everywhere.
    pub(crate) export_to: Vec<String>,
    /// `gateways` is absent or holds `mesh`: else it is for others.
    pub(crate) in_mesh: bool,
    /// `http`.
    pub(crate) rules: Vec<HttpRule>,
    /// `tls`.
    pub(crate) tls: Vec<StreamRule>,
    /// `tcp`.
    pub(crate) tcp: Vec<StreamRule>,
}

/// An HTTPRoute of a VirtualService.
#[derive(Debug)]
pub(crate) struct HttpRule {
    /// Its place in `http`.
    pub(crate) index: usize,
    /// `name`.
    pub(crate) name: Option<Arc<str>>,
    /// `match`; everything, where there is none. Empty: nothing, for all of them are faulty or for other gateways.
    pub(crate) matches: Vec<PortMatch>,
    /// All but mirrors.
    pub(crate) filters: Filters,
    /// `mirror` and `mirrors`.
    pub(crate) mirrors: Vec<MirrorTo>,
    /// `route`.
    pub(crate) destinations: Vec<WeightedDestination>,
    /// `timeout`, and `perTryTimeout` of the retries.
    pub(crate) timeouts: Timeouts,
    /// `retries`.
    pub(crate) retry: Option<Box<Retry>>,
    /// It cannot be applied as it is meant: it answers 500.
    pub(crate) is_broken: bool,
}

/// Parses a VirtualService.
pub(crate) fn parse(spec: &Value, at: &At<'_>, problems: &Problems) -> Body {
    let read = record(spec, at, problems, |fields| {
        let names = |name: &'static str| -> Vec<String> {
            let texts = fields.texts(name, MAX_NAMES);
            texts.into_iter().map(str::to_ascii_lowercase).collect()
        };
        let hosts = names("hosts");
        if hosts.is_empty() {
            fields.error(
                "hosts",
                "expected at least one host: the VirtualService applies to nothing",
            );
        }
        let in_mesh = fields.get("gateways").is_none() || fields.texts("gateways", MAX_NAMES).contains(&MESH);
        VirtualService {
            hosts,
            export_to: names("exportTo"),
            in_mesh,
            rules: rules(fields, problems),
            tls: streams::read(fields, "tls", problems),
            tcp: streams::read(fields, "tcp", problems),
        }
    });
    Body::VirtualService(Box::new(read.unwrap_or_default()))
}

fn rules(fields: &Fields<'_>, problems: &Problems) -> Vec<HttpRule> {
    let mut catch_all = None;
    fields.bounded_list("http", MAX_RULES, |value, at| {
        if catch_all.is_some_and(|place| place + 1 == at.position()) {
            problems.warning(
                at,
                "never reached, like all after it: the rule before it has no `match`, and so takes every request",
            );
        }
        if value.get("match").is_none_or(Value::is_null) {
            catch_all.get_or_insert(at.position());
        }
        record(value, at, problems, |fields| rule(fields, at.position(), problems))
    })
}

fn rule(fields: &Fields<'_>, index: usize, problems: &Problems) -> HttpRule {
    fields.ignore(&["appendHeaders", "removeResponseHeaders"]);
    let mut filters = Filters::default();
    headers::read(fields, &mut filters, problems);
    let mut is_broken = false;
    let mut part = |name: &'static str, read: Option<()>| is_broken |= fields.get(name).is_some() && read.is_none();
    part("rewrite", rewrite::read(fields, &mut filters));
    part("redirect", redirect::read(fields, &mut filters));
    part("directResponse", redirect::read_direct(fields, &mut filters));
    part("corsPolicy", cors::read(fields, &mut filters, problems));
    filters.fault = fault::read(fields).map(Box::new);
    let destinations = destination::weighted(fields, problems);
    is_broken |= !is_one_action(fields);
    let (retry, each) = retries::read(fields).unzip();
    let request = duration(fields, "timeout").filter(|limit| !limit.is_zero());
    HttpRule {
        index,
        name: fields
            .text("name")
            .filter(|name| !name.is_empty())
            .map(|name| Arc::from(name.get(..253).unwrap_or(name))),
        matches: matches::read(fields, problems),
        filters,
        mirrors: destination::mirrors(fields, problems),
        destinations,
        timeouts: Timeouts {
            request,
            backend_request: each.flatten(),
        },
        retry: retry.flatten().map(Box::new),
        is_broken,
    }
}

/// A rule redirects, answers, or sends on: one of them. False: nothing says what is to become of a request.
fn is_one_action(fields: &Fields<'_>) -> bool {
    if fields.get("delegate").is_some() {
        fields.error("delegate", "`delegate` is not supported: the rule answers 500");
        return false;
    }
    let written = ["redirect", "directResponse", "route"].map(|name| (name, fields.get(name).is_some()));
    let mut written = written.into_iter().filter(|(_, is_written)| *is_written);
    match (written.next(), written.next()) {
        (None, _) => {
            fields.error(
                "route",
                "expected `route`, `redirect` or `directResponse`, found none: the rule answers 500",
            );
            false
        }
        (Some((first, _)), Some((second, _))) => {
            fields.error(
                second,
                format!("expected one of them, found `{first}` too, which is in force"),
            );
            true
        }
        (Some(_), None) => true,
    }
}

/// A duration of Istio's API.
fn duration(fields: &Fields<'_>, name: &'static str) -> Option<Duration> {
    let text = fields.text(name)?;
    let parsed = super::go_duration::parse(text);
    if parsed.is_none() {
        let expected = super::go_duration::EXPECTED;
        let found = crate::decode::quoted(text);
        fields.error(name, format!("expected {expected}, found {found}: it is not in force"));
    }
    parsed
}
