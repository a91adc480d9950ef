//! A stream of another protocol outlives its request: when policies change, it is judged again by what its request was,
//! and ended when it would not be let in now.

use super::consult;
use super::exchange::{Admitted, unix_seconds, view};
use super::reason::Reason;
use super::tunnel::Tunnel;
use authz::{Authn, Policies, Verdict};
use mesh::{ServicePort, Snapshot};
use std::sync::Arc;
use tokio::sync::watch;

/// What the stream was judged by last.
pub(crate) struct Rejudge<'x> {
    tunnel: &'x Tunnel,
    /// With the headers that policies saw.
    admitted: &'x Admitted,
    authn: Arc<Authn>,
    policies: Arc<Policies>,
    /// When the request came: a token that was good then does not end its stream by growing old (as in Istio).
    then: u64,
    changes: watch::Receiver<u64>,
}

impl<'x> Rejudge<'x> {
    /// `port` is what the request was judged by.
    pub(crate) fn new(tunnel: &'x Tunnel, admitted: &'x Admitted, port: &ServicePort) -> Self {
        Self {
            tunnel,
            admitted,
            authn: Arc::clone(&port.authn),
            policies: Arc::clone(&port.policies),
            then: unix_seconds(),
            changes: tunnel.node.changes.subscribe(),
        }
    }

    /// Resolves when a change denies the stream.
    pub(crate) async fn denied(mut self) -> Reason {
        loop {
            // First of all: what changed while the request was on its way.
            let snapshot = self.tunnel.node.snapshot.load_full();
            if let Err(reason) = self.look(&snapshot).await {
                return reason;
            }
            drop(snapshot);
            if self.changes.changed().await.is_err() {
                // Only when the process ends.
                return std::future::pending().await;
            }
        }
    }

    async fn look(&mut self, snapshot: &Snapshot) -> Result<(), Reason> {
        // A Service that is gone denies nobody, as on TCP.
        let Some(port) = self.tunnel.port(snapshot) else {
            return Ok(());
        };
        if Arc::ptr_eq(&self.policies, &port.policies) && Arc::ptr_eq(&self.authn, &port.authn) {
            return Ok(());
        }
        self.judge(snapshot, &port).await?;
        (self.policies, self.authn) = (Arc::clone(&port.policies), Arc::clone(&port.authn));
        Ok(())
    }

    /// As a request is: by the providers of CUSTOM policies, its token, the other policies.
    async fn judge(&self, snapshot: &Snapshot, port: &ServicePort) -> Result<(), Reason> {
        if port.policies.has_custom() {
            consult::again(self.tunnel, snapshot, port, self.admitted).await?;
        }
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
