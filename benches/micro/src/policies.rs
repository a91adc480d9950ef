//! Fifty policies of ten rules each, as many as a large team has on one Service.

use crate::Asked;
use authz::{Policies, PolicyId, TrustDomains, Verdict};
use serde_json::{Value, json};

/// Policies on one Service.
const POLICIES: usize = 50;
/// Rules of each.
const RULES: usize = 10;

/// What rules ask about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    /// A caller, a method and a path.
    CallerAndPath,
    /// A namespace, and a header.
    NamespaceAndHeader,
    /// An address block and a header.
    AddressAndHeader,
}

/// Policies, every other one DENY, and requests to judge.
#[derive(Debug)]
pub struct Judged {
    policies: Policies,
    allowed: Asked,
    refused: Asked,
}

impl Judged {
    /// Compiles them.
    ///
    /// # Panics
    /// When a policy has a fault.
    pub fn new(asks: Asks) -> Self {
        let specs: Vec<_> = (0..POLICIES)
            .map(|number| {
                let id = PolicyId {
                    namespace: "demo".into(),
                    name: format!("p{number}").into(),
                };
                let rules: Vec<Value> = (0..RULES).map(|rule| asks.rule(number, rule)).collect();
                let action = if number % 2 == 0 { "DENY" } else { "ALLOW" };
                (
                    id,
                    serde_json::from_value(json!({ "action": action, "rules": rules })).unwrap_or_default(),
                )
            })
            .collect();
        let trust = TrustDomains {
            own: "cluster.local".to_owned(),
            aliases: Vec::new(),
        };
        let (policies, problems) = Policies::build(&specs, &trust);
        assert!(!problems.iter().any(|(_, problem)| problem.error), "{problems:?}");
        // The last rule of the last policy, which allows.
        let (policy, rule) = (POLICIES - 1, RULES - 1);
        Self {
            policies,
            allowed: asks.request(policy, rule),
            refused: asks.request(policy, RULES),
        }
    }

    /// Judges the request that only the last rule allows.
    pub fn allow(&self) -> bool {
        self.policies.decide(&self.allowed.request(), None).verdict == Verdict::Allow
    }

    /// Judges a request that no rule matches.
    pub fn refuse(&self) -> bool {
        self.policies.decide(&self.refused.request(), None).verdict == Verdict::Deny
    }
}

impl Asks {
    fn rule(self, policy: usize, rule: usize) -> Value {
        let header = json!([{ "key": "request.headers[x-tenant]", "values": [format!("t-{policy}-{rule}")] }]);
        match self {
            Self::CallerAndPath => json!({
                "from": [{ "source": { "principals": [format!("cluster.local/ns/demo/sa/caller-{policy}")] } }],
                "to": [{ "operation": { "methods": ["GET", "HEAD"],
                    "paths": [format!("/api/{policy}/{rule}/*"), format!("/status/{policy}/{rule}")] } }],
            }),
            Self::NamespaceAndHeader => json!({
                "from": [{ "source": { "namespaces": [format!("team-{policy}")] } }], "when": header,
            }),
            Self::AddressAndHeader => json!({
                "from": [{ "source": { "ipBlocks": [format!("10.{policy}.0.0/16"), "127.0.0.0/8"] } }], "when": header,
            }),
        }
    }

    fn request(self, policy: usize, rule: usize) -> Asked {
        let caller = match self {
            Self::NamespaceAndHeader => format!("spiffe://cluster.local/ns/team-{policy}/sa/caller"),
            _ => format!("spiffe://cluster.local/ns/demo/sa/caller-{policy}"),
        };
        let headers = [
            ("user-agent", "bench"),
            ("x-tenant", &*format!("t-{policy}-{rule}")),
            ("accept", "*/*"),
        ];
        Asked::get(&format!("/api/{policy}/{rule}/items?id=7"), &headers).from(&caller)
    }
}
