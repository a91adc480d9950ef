//! An open connection's peer, looked at again when revocations change: a connection does not outlive its certificate's
//! revocation.

use crate::certs::{CertSource, Identity};
use crate::trust::Usage;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::{CertificateError, Error};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Sleep;

/// What is in flight may end for this long after its peer was revoked; then the connection is cut.
pub(crate) const REVOKED_GRACE: Duration = Duration::from_millis(500);

type Next = Pin<Box<dyn Future<Output = watch::Receiver<u64>> + Send>>;

/// The peer of one connection.
pub(crate) struct Recheck {
    certs: Arc<dyn CertSource>,
    chain: Arc<[CertificateDer<'static>]>,
    /// When the chain was found good: only what was revoked since can change that.
    at: UnixTime,
    usage: Usage,
    /// Tells cheaply that nothing has changed.
    changes: watch::Receiver<u64>,
    next: Next,
    /// Who is woken by `next`.
    waker: Option<Waker>,
    /// Not looked at yet.
    is_due: bool,
    cut: Option<Pin<Box<Sleep>>>,
}

/// What became of the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Revoked {
    /// It was revoked: no more streams. Told once.
    Now,
    /// The grace is over: cut.
    Over,
}

impl Recheck {
    /// `identity` is the one that the handshake was made with.
    pub(crate) fn new(
        certs: &Arc<dyn CertSource>,
        identity: &Arc<Identity>,
        chain: Arc<[CertificateDer<'static>]>,
        usage: Usage,
    ) -> Self {
        let changes = certs.changes();
        Self {
            certs: Arc::clone(certs),
            chain,
            at: UnixTime::now(),
            usage,
            next: after(changes.clone()),
            changes,
            waker: None,
            // What changed between the handshake and here has told nobody.
            is_due: !Arc::ptr_eq(identity, &certs.current()),
            cut: None,
        }
    }

    #[cfg(test)]
    pub(crate) fn is_due(&self) -> bool {
        self.is_due
    }

    /// Resolves when there is something to do. Call it again afterwards.
    pub(crate) fn poll_revoked(&mut self, cx: &mut Context<'_>) -> Poll<Revoked> {
        if let Some(cut) = &mut self.cut {
            ready!(cut.as_mut().poll(cx));
            return Poll::Ready(Revoked::Over);
        }
        self.poll_changes(cx);
        if std::mem::take(&mut self.is_due) && self.is_revoked() {
            self.cut = Some(Box::pin(tokio::time::sleep(REVOKED_GRACE)));
            return Poll::Ready(Revoked::Now);
        }
        Poll::Pending
    }

    /// An atomic read, as long as nothing has changed and the same task asks.
    fn poll_changes(&mut self, cx: &mut Context<'_>) {
        let is_same = self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
        if is_same && !matches!(self.changes.has_changed(), Ok(true)) {
            return;
        }
        while let Poll::Ready(changes) = self.next.as_mut().poll(cx) {
            self.next = after(changes);
            self.changes.borrow_and_update();
            self.is_due = true;
        }
        self.waker = Some(cx.waker().clone());
    }

    fn is_revoked(&self) -> bool {
        let identity = self.certs.current();
        let Some((leaf, intermediates)) = self.chain.split_first() else {
            return false;
        };
        if !identity.trust.has_crls() {
            return false;
        }
        let verdict = identity.trust.verify(leaf, intermediates, self.at, self.usage);
        matches!(verdict, Err(Error::InvalidCertificate(CertificateError::Revoked)))
    }
}

/// Resolves at the next change; never when there will be none.
fn after(mut changes: watch::Receiver<u64>) -> Next {
    Box::pin(async move {
        match changes.changed().await {
            Ok(()) => changes,
            Err(_) => std::future::pending().await,
        }
    })
}
