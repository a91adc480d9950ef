//! `trafficPolicy` of a DestinationRule: of the rule, of a subset, of a port.

mod connection_pool;
mod load_balancer;
mod outliers;

use crate::decode::{Fields, Problems, quoted, record};
use crate::kinds::client_tls::ClientTls;
use crate::kinds::go_duration;
pub(crate) use connection_pool::{ConnectionPool, Upstream};
pub(crate) use load_balancer::{Distribute, LoadBalancer, Locality};
use routing::OutlierDetection;
use std::time::Duration;

/// A policy as it is written: what is absent is left to the policy above.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct TrafficSpec {
    /// What is said for all ports.
    pub(crate) all: PortPolicy,
    /// `portLevelSettings`.
    pub(crate) ports: Vec<(u16, PortPolicy)>,
}

/// The parts that a port, a subset or a rule may have.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct PortPolicy {
    /// `loadBalancer`.
    pub(crate) load_balancer: Option<LoadBalancer>,
    /// `connectionPool`.
    pub(crate) pool: Option<ConnectionPool>,
    /// `outlierDetection`.
    pub(crate) outliers: Option<OutlierDetection>,
    /// `tls`.
    pub(crate) tls: Option<ClientTls>,
}

impl TrafficSpec {
    /// Reads `trafficPolicy` of these fields.
    pub(crate) fn read(fields: &Fields<'_>, problems: &Problems) -> Option<Self> {
        fields.record("trafficPolicy", |fields| {
            let ports = fields.list("portLevelSettings", 4096, |value, at| {
                record(value, at, problems, |fields| {
                    let port = fields.record("port", |fields| fields.port("number"));
                    let policy = PortPolicy::read(fields, problems);
                    if port.is_none() {
                        fields.error("port", "`port` is missing: it must be given");
                    }
                    Some((port??, policy))
                })
                .flatten()
            });
            for (name, why) in [
                ("tunnel", "is not supported: requests go to their endpoints directly"),
                ("proxyProtocol", "is not supported: no PROXY header is sent"),
                ("retryBudget", "is not supported yet: it is not in force"),
            ] {
                if fields.get(name).is_some() {
                    fields.error(name, format!("`{name}` {why}"));
                }
            }
            let all = PortPolicy::read(fields, problems);
            Self { all, ports }
        })
    }
}

impl PortPolicy {
    fn read(fields: &Fields<'_>, problems: &Problems) -> Self {
        let policy = Self {
            load_balancer: LoadBalancer::read(fields, problems),
            pool: connection_pool::read(fields),
            outliers: outliers::read(fields),
            tls: ClientTls::read(fields),
        };
        let locality = policy
            .load_balancer
            .as_ref()
            .and_then(|balancer| balancer.locality.as_ref());
        if policy.outliers.is_none() && locality.is_some_and(Locality::fails_over) {
            let message = "failover needs `outlierDetection`, which tells what has failed: without it in this policy \
                           or the one above, no locality is preferred";
            let at = fields.at().field("loadBalancer");
            problems.warning(&at.field("localityLbSetting"), message);
        }
        policy
    }

    /// What a policy nearer to the endpoints says, else this one, part by part; what it says of this very port leaves
    /// nothing to any other (as in Istio).
    pub(crate) fn overridden(&self, nearer: Option<&TrafficSpec>, port: u16) -> Self {
        let Some(nearer) = nearer else { return self.clone() };
        if let Some((_, policy)) = nearer.ports.iter().find(|(known, _)| *known == port) {
            return policy.clone();
        }
        let Self {
            load_balancer,
            pool,
            outliers,
            tls,
        } = nearer.all.clone();
        Self {
            load_balancer: load_balancer.or_else(|| self.load_balancer.clone()),
            pool: pool.or_else(|| self.pool.clone()),
            outliers: outliers.or_else(|| self.outliers.clone()),
            tls: tls.or_else(|| self.tls.clone()),
        }
    }
}

/// A duration of Istio's API.
fn duration(fields: &Fields<'_>, name: &'static str) -> Option<Duration> {
    let text = fields.text(name)?;
    let parsed = go_duration::parse(text);
    if parsed.is_none() {
        fields.error(
            name,
            format!("expected {}, found {}", go_duration::EXPECTED, quoted(text)),
        );
    }
    parsed
}

/// A whole number that is not negative.
fn count(fields: &Fields<'_>, name: &'static str) -> Option<u32> {
    let number = fields.integer(name, 0..=i64::from(u32::MAX))?;
    u32::try_from(number).ok()
}
