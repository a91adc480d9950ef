//! `trafficPolicy` of a DestinationRule: of the rule, of a subset, of a port.

mod connection_pool;
mod load_balancer;
mod outliers;

use crate::decode::{Fields, Problems, describe, quoted, record};
use crate::kinds::client_tls::ClientTls;
use crate::kinds::go_duration;
pub(crate) use connection_pool::{ConnectionPool, Upstream};
pub(crate) use load_balancer::{Distribute, LoadBalancer, Locality};
use routing::{OutlierDetection, RetryShare};
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
    /// `retryBudget`, which `portLevelSettings` do not have.
    pub(crate) retry_share: Option<RetryShare>,
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
            ] {
                if fields.get(name).is_some() {
                    fields.error(name, format!("`{name}` {why}"));
                }
            }
            let all = PortPolicy {
                retry_share: fields.record("retryBudget", retry_share),
                ..PortPolicy::read(fields, problems)
            };
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
            retry_share: None,
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
    /// nothing to any other (as in Istio), but for the retry budget.
    pub(crate) fn overridden(&self, nearer: Option<&TrafficSpec>, port: u16) -> Self {
        let Some(nearer) = nearer else { return self.clone() };
        let retry_share = nearer.all.retry_share.or(self.retry_share);
        if let Some((_, policy)) = nearer.ports.iter().find(|(known, _)| *known == port) {
            return Self {
                retry_share,
                ..policy.clone()
            };
        }
        let Self {
            load_balancer,
            pool,
            outliers,
            tls,
            ..
        } = nearer.all.clone();
        Self {
            load_balancer: load_balancer.or_else(|| self.load_balancer.clone()),
            pool: pool.or_else(|| self.pool.clone()),
            outliers: outliers.or_else(|| self.outliers.clone()),
            tls: tls.or_else(|| self.tls.clone()),
            retry_share,
        }
    }
}

/// What is absent is Envoy's default.
fn retry_share(fields: &Fields<'_>) -> RetryShare {
    let default = RetryShare::default();
    let basis_points = fields.get("percent").and_then(|value| {
        let percent = value.as_f64().filter(|percent| (0.0..=100.0).contains(percent));
        if percent.is_none() {
            let message = format!(
                "expected a number from 0 to 100, found {}: 20 is in force",
                describe(value)
            );
            fields.error("percent", message);
        }
        // 10,000 at most.
        percent.map(|percent| (percent * 100.0).round() as u32)
    });
    RetryShare {
        basis_points: basis_points.unwrap_or(default.basis_points),
        least: count(fields, "minRetryConcurrency").unwrap_or(default.least),
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
