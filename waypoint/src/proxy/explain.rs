//! What would become of a request, and why: the steps of [`super::exchange`] in their order and by the same functions, but
//! nothing is sent, nobody is asked, and every step is told even where an earlier one refuses.

mod backends;
mod connection_steps;
mod request_steps;

use super::node::Node;
use super::reason::Reason;
use super::tunnel;
use crate::explain::address;
use crate::explain::question::{Asked, Kind};
use crate::explain::report::{Answer, FromTold, PolicyTold, Report, RequestTold, ServiceTold, VerdictTold};
use authz::{KeySets, PolicyExplanation, PolicyId, Verdict};
use mesh::{ServicePort, Snapshot};
use request::{Authority, Connection, Mode};
use routing::{Cluster, Protocol, Target};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// What a request is explained by.
pub(crate) struct World<'w> {
    pub(crate) snapshot: &'w Snapshot,
    pub(crate) keys: &'w KeySets,
    /// The process that serves; `None`: there is none, only manifests.
    pub(crate) node: Option<&'w Node>,
}

/// A question on its way through the steps.
struct Walk<'w> {
    world: &'w World<'w>,
    asked: &'w Asked,
    port: &'w ServicePort,
    connection: &'w Connection,
    report: Report,
    /// The first refusal: what the client gets.
    refusal: Option<Reason>,
    /// A step could not be taken here, and the answer hangs on it.
    undecided: bool,
}

/// Explains one question.
pub(crate) fn explain(world: &World<'_>, asked: &Asked) -> Report {
    let snapshot = world.snapshot;
    let source_ip = asked.source_ip.or_else(|| address_of(snapshot, asked));
    let mut report = Report {
        generation: snapshot.generation,
        from: FromTold {
            identity: asked.identity.as_str().to_owned(),
            address: source_ip.map(|ip| ip.to_string()),
        },
        request: request_told(snapshot, asked),
        connect: asked.target.as_str().to_owned(),
        ..Report::default()
    };
    let (authority, port) = match led_to(snapshot, asked, &mut report) {
        Ok(found) => found,
        Err(why) => {
            report.answer = Answer::not_ours(&why);
            return report;
        }
    };
    let namespace = asked.identity.namespace();
    report.service = Some(service_told(&port, &authority, namespace));
    // Where nothing is known, an address that no block holds but those that hold all.
    let source_ip = source_ip.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let connection = tunnel::connection(&port, &authority, &asked.identity, source_ip);
    let spoken = tunnel::spoken_on(&port, namespace);
    let walk = Walk {
        world,
        asked,
        port: &port,
        connection: &connection,
        report,
        refusal: None,
        undecided: false,
    };
    match (spoken, asked.kind) {
        (Protocol::Tcp | Protocol::Tls, _) | (Protocol::Detect, Kind::Tls | Kind::Tcp) => {
            connection_steps::explain(walk)
        }
        (_, Kind::Http) => request_steps::explain(walk),
        (_, Kind::Tls | Kind::Tcp) => walk.not_http(),
    }
}

/// As it was asked; what is read of it comes later.
fn request_told(snapshot: &Snapshot, asked: &Asked) -> RequestTold {
    let authority = asked.target.as_str().to_owned();
    if asked.kind != Kind::Http {
        return RequestTold {
            authority,
            ..RequestTold::default()
        };
    }
    RequestTold {
        method: asked.method.clone(),
        authority,
        written_path: asked.written_path.clone(),
        path_normalization: match snapshot.settings.path_mode {
            Mode::None => "NONE",
            Mode::Base => "BASE",
            Mode::MergeSlashes => "MERGE_SLASHES",
            Mode::DecodeAndMergeSlashes => "DECODE_AND_MERGE_SLASHES",
        }
        .to_owned(),
        ..RequestTold::default()
    }
}

/// The Service port, by what the client's node tunnel would ask for.
fn led_to(snapshot: &Snapshot, asked: &Asked, report: &mut Report) -> Result<(Authority, Arc<ServicePort>), String> {
    let namespace = asked.identity.namespace();
    let connect = address::connect(snapshot, &asked.target, namespace)?;
    report.connect = connect.authority.as_str().to_owned();
    report.notes.extend(connect.note);
    let port = snapshot.target(&connect.authority);
    let port = port.ok_or_else(|| format!("{} leads to nothing that uses this waypoint", connect.authority))?;
    if !port.is_visible_to(namespace) {
        return Err(format!("{} is not exported to namespace {namespace}", port.host));
    }
    Ok((connect.authority, port))
}

fn address_of(snapshot: &Snapshot, asked: &Asked) -> Option<IpAddr> {
    let workload = snapshot.workload_by_identity(&asked.identity)?;
    workload.ips.first().copied()
}

fn service_told(port: &ServicePort, authority: &Authority, namespace: &str) -> ServiceTold {
    let host = if port.host.is_empty() {
        authority.host()
    } else {
        &port.host
    };
    ServiceTold {
        host: host.to_owned(),
        port: port.port,
        protocol: match port.protocol {
            Protocol::Http => "HTTP",
            Protocol::H2c => "HTTP/2",
            Protocol::Grpc => "gRPC",
            Protocol::Tcp => "TCP",
            Protocol::Tls => "TLS",
            Protocol::Detect => "undeclared: told by its first bytes",
        }
        .to_owned(),
        consumer_routes_of: port.has_routes_of(namespace).then(|| namespace.to_owned()),
    }
}

impl Walk<'_> {
    /// The first refusal stays.
    fn refuse(&mut self, reason: Reason) {
        if !self.undecided {
            self.refusal.get_or_insert(reason);
        }
    }

    fn note(&mut self, note: impl Into<String>) {
        self.report.notes.push(note.into());
    }

    fn not_http(mut self) -> Report {
        self.report.answer = Answer {
            known: true,
            flag: "DPE".to_owned(),
            words: "the port is declared HTTP, and this is not: the connection is closed".to_owned(),
            ..Answer::default()
        };
        self.report
    }

    /// Policies, told and judged.
    fn judged(&mut self, explained: PolicyExplanation) {
        let enforced = explained.considered.into_iter().map(|rule| policy_told(rule, false));
        let rehearsed = explained.rehearsed.into_iter().map(|rule| policy_told(rule, true));
        self.report.policies = enforced.chain(rehearsed).collect();
        let by = explained.by.as_ref().map(|(id, rule)| (id, *rule));
        self.report.verdict = Some(VerdictTold {
            allowed: explained.verdict == Verdict::Allow,
            by: by.map(by_told),
            why: explained.why.to_owned(),
        });
        if explained.verdict == Verdict::Deny {
            self.refuse(Reason::denied(by));
        }
    }

    /// The endpoints of a target as they are now.
    fn endpoints(&self, target: &Target, host: &str) -> Where {
        let snapshot = self.world.snapshot;
        match (self.world.node, snapshot.resolve(target)) {
            (Some(node), _) => match node.dns.endpoints_now(snapshot, target, Some(host)) {
                Some(cluster) => Where::Known(Arc::clone(&cluster)),
                None if snapshot.resolve(target).is_some() => Where::InDns,
                None => Where::Nowhere,
            },
            (None, Some(_)) => Where::InDns,
            (None, None) => match snapshot.endpoints_of(target) {
                Some(cluster) => Where::Known(Arc::clone(cluster)),
                None => Where::Nowhere,
            },
        }
    }

    fn now_ms(&self) -> u64 {
        self.world.node.map_or(0, |node| node.clock.now_ms())
    }
}

/// Where the endpoints of a target are.
enum Where {
    Known(Arc<Cluster>),
    /// At names that have not been looked up.
    InDns,
    /// The reference leads nowhere.
    Nowhere,
}

fn policy_told(rule: authz::ConsideredRule, dry_run: bool) -> PolicyTold {
    PolicyTold {
        policy: format!("{}/{}", rule.policy.namespace, rule.policy.name),
        action: rule.action.to_string(),
        rule: rule.rule,
        provider: rule.provider.map(|provider| provider.to_string()),
        lost_because: rule.lost_because,
        dry_run,
    }
}

fn by_told((policy, rule): (&PolicyId, usize)) -> String {
    format!("{}/{} rule {rule}", policy.namespace, policy.name)
}

fn unix_seconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

impl Answer {
    fn not_ours(why: &str) -> Self {
        Self {
            known: true,
            reason: "not_ours".to_owned(),
            flag: "-".to_owned(),
            words: format!("the tunnel is refused (CONNECT gets 400, the application a reset): {why}"),
            ..Self::default()
        }
    }

    /// As [`super::respond`] answers.
    fn refused(reason: &Reason, grpc: bool) -> Self {
        let refusal = reason.refusal();
        let words = match refusal.body {
            "" => refusal.label.replace('_', " "),
            body => body.to_owned(),
        };
        Self {
            served: false,
            known: true,
            status: Some(if grpc { 200 } else { refusal.status.as_u16() }),
            grpc_status: grpc.then_some(refusal.grpc),
            flag: refusal.flag.to_owned(),
            details: reason.details(),
            reason: refusal.label.to_owned(),
            words,
        }
    }

    /// A connection that is closed.
    fn closed(reason: &Reason) -> Self {
        let refused = Self::refused(reason, false);
        Self {
            status: None,
            words: format!("the connection is closed: {}", refused.words),
            ..refused
        }
    }

    fn served(words: impl Into<String>) -> Self {
        Self {
            served: true,
            known: true,
            flag: "-".to_owned(),
            words: words.into(),
            ..Self::default()
        }
    }

    fn unknown(words: impl Into<String>) -> Self {
        Self {
            words: words.into(),
            flag: "-".to_owned(),
            ..Self::default()
        }
    }
}
