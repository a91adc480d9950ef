//! External authorisation: asks somebody else whether a request may pass, for CUSTOM policies and the ExternalAuth filter.
//!
//! [`ask`] asks one authoriser. What it is told is a [`Question`]; `grpc` and `http` turn that into a call and the
//! answer into a [`Verdict`]; `call` makes the call, over the connections that backends are reached by.

mod answer;
mod call;
mod grpc;
mod http;
mod proto;
mod question;

pub(crate) use answer::{Denial, HeaderChange, apply};
pub(crate) use question::{Question, Told};

use super::node::Node;
use ::http::StatusCode;
use answer::Verdict;
use call::CallFault;
use mesh::Snapshot;
use routing::{AuthProtocol, ExternalAuth, Target};
use tokio::time::{Instant, timeout};

/// What an authoriser that allows a request changes in it.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Of the request's headers, on its way to the backend.
    pub(crate) request: Vec<HeaderChange>,
    /// Of the answer's, on its way to the client.
    pub(crate) response: Vec<HeaderChange>,
}

/// Why a request does not pass.
#[derive(Debug)]
pub(crate) enum Refused {
    /// The authoriser says no.
    Denied(Denial),
    /// It could not be asked, and does not fail open: this status.
    Failed(StatusCode),
}

/// Asks one authoriser.
pub(crate) async fn ask(
    node: &Node,
    snapshot: &Snapshot,
    auth: &ExternalAuth,
    question: &Question<'_>,
) -> Result<Changes, Refused> {
    let began = Instant::now();
    let asked = timeout(auth.check.timeout, consult(node, snapshot, auth, question)).await;
    let verdict = asked.unwrap_or(Err(CallFault::Timeout));
    let result = match &verdict {
        Ok(Verdict::Allow(_)) => "allowed",
        Ok(Verdict::Deny(_)) => "denied",
        Err(fault) => fault.label(),
    };
    node.metrics.own.external_check(&auth.name, result, began.elapsed());
    match verdict {
        Ok(Verdict::Allow(changes)) => Ok(changes),
        Ok(Verdict::Deny(denial)) => Err(Refused::Denied(denial)),
        Err(fault) => {
            tracing::debug!(authoriser = &*auth.name, ?fault, "external authorisation failed");
            if auth.check.fail_open {
                return Ok(Changes::default());
            }
            Err(Refused::Failed(auth.check.status_on_error))
        }
    }
}

async fn consult(
    node: &Node,
    snapshot: &Snapshot,
    auth: &ExternalAuth,
    question: &Question<'_>,
) -> Result<Verdict, CallFault> {
    let target = Target::Cluster(auth.cluster);
    let endpoints = node.dns.endpoints(snapshot, &target, None).await;
    let cluster = &endpoints.map_err(|_| CallFault::NoEndpoint)?;
    match &auth.check.protocol {
        AuthProtocol::Grpc => grpc::check(node, cluster, auth, question).await,
        AuthProtocol::Http(settings) => match &question.told {
            Some(told) => http::check(node, cluster, auth, settings, told).await,
            // It could not be told of a connection.
            None => Ok(Verdict::Allow(Changes::default())),
        },
    }
}
