//! What would become of a request, and why, as data: `--format json`, the admin port's `/explain`, and what the text is
//! made of. No token, cookie or Authorization value is ever part of it.

use serde::{Deserialize, Serialize};

/// Matches, rules and endpoints told at most, each; the rest is counted.
pub(crate) const MOST_TOLD: usize = 1_000;

/// The whole explanation. Sections that were not come to are absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Report {
    /// The request as it was read.
    pub(crate) request: RequestTold,
    /// Who asks.
    pub(crate) from: FromTold,
    /// Generation of the config it was explained by.
    pub(crate) generation: u64,
    /// What the client's node tunnel asks for.
    pub(crate) connect: String,
    /// The Service port it leads to; `None`: not ours.
    pub(crate) service: Option<ServiceTold>,
    /// Every match of every route of the port, in order of precedence.
    pub(crate) routes: Vec<MatchTold>,
    /// Matches beyond those.
    pub(crate) more_routes: usize,
    /// What RequestAuthentications make of its tokens.
    pub(crate) token: Option<TokenTold>,
    /// Every rule of every policy, in the order in which they are asked.
    pub(crate) policies: Vec<PolicyTold>,
    /// The verdict of DENY and ALLOW.
    pub(crate) verdict: Option<VerdictTold>,
    /// What the chosen rule does.
    pub(crate) rule: Option<RuleTold>,
    /// Where the chosen rule sends it.
    pub(crate) backends: Vec<BackendTold>,
    /// What the client gets.
    pub(crate) answer: Answer,
    /// What else is to be known.
    pub(crate) notes: Vec<String>,
}

/// The request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct RequestTold {
    /// Method; empty for a connection.
    pub(crate) method: String,
    /// `:authority`, or Host.
    pub(crate) authority: String,
    /// Path as it was written.
    pub(crate) written_path: String,
    /// Path as it is routed, judged, logged and sent.
    pub(crate) path: String,
    /// By which `pathNormalization`.
    pub(crate) path_normalization: String,
    /// A query follows the path. It is not told: it may hold a token.
    pub(crate) has_query: bool,
    /// It is gRPC, and is answered in gRPC's way.
    pub(crate) grpc: bool,
    /// Headers that a client may not set, and that were removed.
    pub(crate) removed_headers: Vec<String>,
}

/// The client.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct FromTold {
    /// Its SPIFFE id.
    pub(crate) identity: String,
    /// Its address; `None`: not known, and no ipBlocks match it.
    pub(crate) address: Option<String>,
}

/// A Service port.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ServiceTold {
    /// Host, or the pod's address.
    pub(crate) host: String,
    /// Port.
    pub(crate) port: u16,
    /// What is spoken on it.
    pub(crate) protocol: String,
    /// The namespace whose own routes replace the Service's for this client.
    pub(crate) consumer_routes_of: Option<String>,
}

/// One match of one rule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct MatchTold {
    /// `HTTPRoute demo/reviews rule 0 match 1`.
    pub(crate) what: String,
    /// `None`: it is chosen.
    pub(crate) lost_because: Option<String>,
}

/// Tokens.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct TokenTold {
    /// The rules that are bound.
    pub(crate) rules: Vec<String>,
    /// Every token found.
    pub(crate) found: Vec<TokenFoundTold>,
    /// `none`, `accepted`, `refused`, `preflight`, or `unknown`: its keys are not here.
    pub(crate) result: String,
    /// Why it is refused.
    pub(crate) reason: Option<String>,
    /// `<issuer>/<subject>` of an accepted one.
    pub(crate) principal: Option<String>,
}

/// One token.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct TokenFoundTold {
    /// Where.
    pub(crate) place: String,
    /// By which rule.
    pub(crate) accepted_by: Option<String>,
    /// `issuer "a": Jwt is expired`.
    pub(crate) refusals: Vec<String>,
}

/// One rule of a policy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PolicyTold {
    /// `namespace/name`.
    pub(crate) policy: String,
    /// ALLOW, DENY, AUDIT, CUSTOM.
    pub(crate) action: String,
    /// Index; `None`: no rule of it could match.
    pub(crate) rule: Option<usize>,
    /// Whom a CUSTOM policy wants asked.
    pub(crate) provider: Option<String>,
    /// `None`: it matches.
    pub(crate) lost_because: Option<String>,
    /// Its policy is in dry run: it decides nothing.
    pub(crate) dry_run: bool,
}

/// The verdict.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct VerdictTold {
    /// Passes.
    pub(crate) allowed: bool,
    /// `namespace/name rule 0`; `None`: no rule decided.
    pub(crate) by: Option<String>,
    /// In words.
    pub(crate) why: String,
}

/// The chosen rule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct RuleTold {
    /// `HTTPRoute demo/reviews rule 0`, and its name.
    pub(crate) name: String,
    /// What it does, one by one.
    pub(crate) filters: Vec<String>,
    /// `timeouts.request`.
    pub(crate) request_timeout_ms: Option<u64>,
    /// `timeouts.backendRequest`.
    pub(crate) try_timeout_ms: Option<u64>,
    /// Retries at most, and of what.
    pub(crate) retries: String,
}

/// One backend.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct BackendTold {
    /// `reviews-v2.demo.svc.cluster.local:9080`, with its subset.
    pub(crate) name: String,
    /// As written.
    pub(crate) weight: u32,
    /// Its share.
    pub(crate) percent: f64,
    /// Filters of this backendRef.
    pub(crate) filters: Vec<String>,
    /// Endpoints, ready and not.
    pub(crate) endpoints: Vec<EndpointTold>,
    /// Endpoints beyond those.
    pub(crate) more_endpoints: usize,
    /// What the client gets from this share.
    pub(crate) answer: Answer,
}

/// One endpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct EndpointTold {
    /// Address and target port.
    pub(crate) address: String,
    /// Pod.
    pub(crate) workload: String,
    /// Reached through a tunnel.
    pub(crate) hbone: bool,
    /// Kept away from by outlier detection.
    pub(crate) ejected: bool,
}

/// What the client gets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Answer {
    /// Not refused: a backend answers, or a filter does.
    pub(crate) served: bool,
    /// False where it cannot be told from here.
    pub(crate) known: bool,
    /// HTTP status; `None`: the backend's, or a connection that is carried or closed.
    pub(crate) status: Option<u16>,
    /// `grpc-status` of a refusal.
    pub(crate) grpc_status: Option<u32>,
    /// Envoy's response flag, `-` for none.
    pub(crate) flag: String,
    /// Response code details, as in the access log.
    pub(crate) details: String,
    /// Label `reason` of `waypoint_refusals_total`; empty when served.
    pub(crate) reason: String,
    /// In words.
    pub(crate) words: String,
}
