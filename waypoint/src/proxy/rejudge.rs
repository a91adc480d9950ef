//! A request that lasts (a download, a gRPC stream, another protocol) is judged again by what its head was when policies
//! change, and ended when it would not be let in now.

use super::consult;
use super::exchange::{Admitted, view};
use super::reason::Reason;
use super::tunnel::Tunnel;
use authz::Verdict;
use mesh::ServicePort;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

type Judging<'x> = Pin<Box<dyn Future<Output = Result<Arc<ServicePort>, Reason>> + Send + 'x>>;

/// Whether a request that was let in still would be. It costs an atomic load for each poll until something changes.
pub(crate) struct Rejudge<'x> {
    case: Case<'x>,
    /// By which it was judged last.
    port: &'x Arc<ServicePort>,
    later: Option<Arc<ServicePort>>,
    /// Of the config that it was judged by.
    generation: u64,
    judging: Option<Judging<'x>>,
}

/// What is judged.
#[derive(Clone, Copy)]
struct Case<'x> {
    tunnel: &'x Tunnel,
    /// With the headers that policies saw.
    admitted: &'x Admitted,
    /// Seconds of Unix time when the request came: a token that was good then does not end it by growing old (as in Istio).
    then: u64,
}

impl<'x> Rejudge<'x> {
    /// `port`, of the config of this `generation`, is what the request was judged by, at `then`.
    pub(crate) fn new(
        tunnel: &'x Tunnel,
        admitted: &'x Admitted,
        port: &'x Arc<ServicePort>,
        generation: u64,
        then: u64,
    ) -> Self {
        Self {
            case: Case { tunnel, admitted, then },
            port,
            later: None,
            generation,
            judging: None,
        }
    }

    /// Ready when a change denies it. It is polled again at each change (see `Changes::watched`).
    pub(crate) fn poll_denied(&mut self, cx: &mut Context<'_>) -> Poll<Reason> {
        loop {
            if let Some(judging) = &mut self.judging {
                match std::task::ready!(judging.as_mut().poll(cx)) {
                    Ok(port) => self.later = Some(port),
                    Err(reason) => return Poll::Ready(reason),
                }
                self.judging = None;
            }
            let latest = self.case.tunnel.node.changes.latest();
            if latest <= self.generation {
                return Poll::Pending;
            }
            self.generation = latest;
            let last = Arc::clone(self.later.as_ref().unwrap_or(self.port));
            self.judging = Some(Box::pin(self.case.judge_again(last)));
        }
    }
}

impl Case<'_> {
    /// Judges by the config in force, unless it says the same as `last`; gives what it was judged by.
    async fn judge_again(self, last: Arc<ServicePort>) -> Result<Arc<ServicePort>, Reason> {
        let snapshot = self.tunnel.node.snapshot.load_full();
        // A Service that is gone denies nobody, as on TCP.
        let Some(port) = self.tunnel.port(&snapshot) else {
            return Ok(last);
        };
        if Arc::ptr_eq(&last.policies, &port.policies) && Arc::ptr_eq(&last.authn, &port.authn) {
            return Ok(port);
        }
        if port.policies.has_custom() {
            consult::again(self.tunnel, &snapshot, &port, self.admitted).await?;
        }
        self.judge(&port)?;
        Ok(port)
    }

    /// As a request is: its token, then the policies that need nobody else.
    fn judge(&self, port: &ServicePort) -> Result<(), Reason> {
        let request = view(&self.tunnel.connection, self.admitted);
        let verified = if port.authn.is_empty() {
            None
        } else {
            let keys = self.tunnel.node.keys.load();
            port.authn.verify(&request, self.then, &keys).map_err(Reason::Token)?
        };
        let claims = verified.as_ref().map(|verified| verified.claims.as_ref());
        let decision = port.policies.decide(&request, claims);
        match decision.verdict {
            Verdict::Allow => Ok(()),
            Verdict::Deny => Err(Reason::denied(decision.by)),
        }
    }
}
