//! A certificate that an authority signs for us, and its successors: when one is asked for, and what happens while there
//! is none. Who signs, and how it is asked, is for others to say.

use super::{CertSource, Identity, SharedCerts};
use crate::backoff::Backoff;
use crate::error::CertError;
use std::time::{Duration, SystemTime};
use tokio::sync::watch;
use tokio::time::sleep;

/// The share of the time that is left to a new certificate after which the next is asked for: half, so that not all
/// of a mesh asks at once give or take a tenth.
const SHARE: std::ops::RangeInclusive<f64> = 0.45..=0.55;
/// However short or long a certificate lives.
const BETWEEN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(24 * 3600));
/// The first wait after a failure.
const RETRY: Duration = Duration::from_secs(1);

/// Who signs.
pub(super) trait Authority: Send + Sync + 'static {
    /// A new certificate of ours, checked, with a new key.
    ///
    /// # Errors
    /// Which part failed, what was expected and what was found. It may be tried again.
    fn sign(&self) -> impl Future<Output = Result<Identity, CertError>> + Send;
}

/// Certificates by an authority, one after the other.
#[derive(Debug)]
pub(super) struct Rotation<A> {
    authority: A,
    current: SharedCerts,
}

impl<A: Authority> Rotation<A> {
    /// Asks until there is a certificate: nothing can be served before.
    pub(super) async fn start(authority: A) -> Self {
        let current = SharedCerts::of(insist(&authority, None).await);
        Self { authority, current }
    }

    /// Keeps the certificate fresh for as long as it is polled. `taken` hears of every new one.
    pub(super) async fn watch(&self, mut taken: impl FnMut(&Identity) + Send) {
        loop {
            let last = self.current();
            sleep(renewal(&last, SystemTime::now())).await;
            let new = insist(&self.authority, Some(&last)).await;
            self.current.replace(new);
            taken(&self.current());
        }
    }
}

impl<A: Authority> CertSource for Rotation<A> {
    fn current(&self) -> std::sync::Arc<Identity> {
        self.current.current()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.current.changes()
    }
}

/// Asks until there is an answer that can be used. A trouble is told of once, and again when the last certificate expires.
async fn insist(authority: &impl Authority, last: Option<&Identity>) -> Identity {
    let mut backoff = Backoff::new(RETRY);
    let mut told = None;
    loop {
        let trouble = match authority.sign().await {
            Ok(identity) => {
                tracing::info!(id = identity.id.as_str(), not_after = ?identity.not_after, "new certificates");
                return identity;
            }
            Err(trouble) => trouble,
        };
        let is_valid = last.map(|last| last.is_valid_at(SystemTime::now()));
        let trouble = (trouble, is_valid);
        if told.as_ref() != Some(&trouble) {
            tell(&trouble.0, is_valid);
            told = Some(trouble);
        }
        sleep(backoff.next()).await;
    }
}

/// `is_valid`: whether the last certificate is, if there is one.
fn tell(error: &CertError, is_valid: Option<bool>) {
    match is_valid {
        None => tracing::warn!(%error, "no certificate yet, asking again; nothing is served before there is one"),
        Some(true) => tracing::warn!(%error, "no new certificate, keeping the last good one"),
        Some(false) => tracing::error!(%error, "our certificate has expired, and there is no new one: peers refuse it"),
    }
}

/// How long to wait with the next, from when this one came.
fn renewal(identity: &Identity, now: SystemTime) -> Duration {
    let (least, most) = BETWEEN;
    let left = identity.not_after.duration_since(now).unwrap_or_default();
    left.mul_f64(rand::random_range(SHARE)).clamp(least, most)
}

#[cfg(test)]
mod tests;
