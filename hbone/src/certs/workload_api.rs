//! Certificates from a SPIFFE agent: the Workload API's stream of X.509-SVIDs (SPIFFE Workload API, section 5.2).
//!
//! One stream stays open; each answer on it is the whole state. What cannot be used, and an agent that is away, keep the
//! last good identity. Every failure closes the stream and asks again after a while.

use super::{CertSource, Identity, SharedCerts};
use crate::backoff::Backoff;
use crate::error::CertError;
use crate::grpc::{Answers, Fault, call, within};
use bytes::Bytes;
use std::fmt::Display;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

mod svid;

/// The one method.
const METHOD: &str = "http://localhost/SpiffeWorkloadAPI/FetchX509SVID";
/// Proves that the caller is no browser that was led here (SPIFFE Workload Endpoint, section 5).
const PROOF: &str = "workload.spiffe.io";

/// From connecting to the first answer.
const ANSWER: Duration = Duration::from_secs(10);
/// The first wait after a failure.
const RETRY: Duration = Duration::from_millis(500);
/// An agent that says nothing until half of a certificate's time is over is asked again, within these bounds.
const SILENCE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(3600));

/// An agent's identities; the first of several.
#[derive(Debug)]
pub struct WorkloadApi {
    socket: PathBuf,
    current: SharedCerts,
    /// Digest of the answer that `current` is from: the same again is no change.
    taken: AtomicU64,
}

/// Why there is no new identity.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("{0}")]
    Agent(#[from] Fault),
    #[error("the agent's answer: {0}")]
    Unusable(String),
}

impl WorkloadApi {
    /// Asks the agent at `address` (`unix:/path`, `unix:///path` or a path) until it gives an identity that can be used,
    /// for `patience` at most.
    ///
    /// # Errors
    /// What is wrong with the address, or what went wrong last.
    pub async fn connect(address: &str, patience: Duration) -> Result<Arc<Self>, CertError> {
        let socket = socket(address)?;
        let end = Instant::now() + patience;
        let mut backoff = Backoff::new(RETRY);
        loop {
            let trouble = match first(&socket).await {
                Ok((current, taken)) => {
                    return Ok(Arc::new(Self {
                        socket,
                        current: SharedCerts::of(current),
                        taken: AtomicU64::new(taken),
                    }));
                }
                Err(trouble) => trouble,
            };
            let wait = backoff.next();
            if Instant::now() + wait >= end {
                return Err(error(&socket, &trouble));
            }
            tracing::warn!(socket = %socket.display(), error = %trouble, "no identity yet, asking again");
            sleep(wait).await;
        }
    }

    /// Follows the agent for as long as it is polled. `taken` hears of every new identity.
    pub async fn watch(self: Arc<Self>, mut taken: impl FnMut(&Identity) + Send) {
        let mut backoff = Backoff::new(RETRY);
        let mut told = String::new();
        loop {
            let good = &mut |new: Option<&Identity>| {
                (backoff, told) = (Backoff::new(RETRY), String::new());
                if let Some(identity) = new {
                    taken(identity);
                }
            };
            let trouble = self.follow(good).await.to_string();
            // An agent that is away is told of once.
            if told != trouble {
                tracing::warn!(socket = %self.socket.display(), error = trouble, "no news of our identity, keeping the last good one");
                told = trouble;
            }
            sleep(backoff.next()).await;
        }
    }

    /// One stream, until something is wrong with it. `good` hears of every answer that can be used, and what is new in it.
    async fn follow(&self, good: &mut (dyn FnMut(Option<&Identity>) + Send)) -> Trouble {
        let mut stream = match within(ANSWER, open(&self.socket)).await {
            Ok(stream) => stream,
            Err(fault) => return fault.into(),
        };
        let mut patience = ANSWER;
        loop {
            let answer = match within(patience, stream.next()).await {
                Ok(answer) => answer,
                Err(fault) => return fault.into(),
            };
            match self.take(&answer) {
                Ok(new) => good(new.as_deref()),
                Err(why) => return Trouble::Unusable(why),
            }
            patience = self.patience();
        }
    }

    /// The identity of an answer, if it is new.
    fn take(&self, answer: &Bytes) -> Result<Option<Arc<Identity>>, String> {
        let digest = digest(answer);
        if self.taken.load(Ordering::Relaxed) == digest {
            return Ok(None);
        }
        let new = svid::identity(answer)?;
        let current = self.current();
        let (domain, found) = (current.id.trust_domain(), new.id.trust_domain());
        if domain != found {
            return Err(format!(
                "expected an identity in trust domain {domain}, found {}",
                new.id.as_str()
            ));
        }
        tracing::info!(id = new.id.as_str(), not_after = ?new.not_after, "new certificates");
        self.current.replace(new);
        self.taken.store(digest, Ordering::Relaxed);
        Ok(Some(self.current()))
    }

    /// How long the agent may say nothing.
    fn patience(&self) -> Duration {
        let (least, most) = SILENCE;
        let left = self.current().not_after.duration_since(SystemTime::now());
        (left.unwrap_or_default() / 2).clamp(least, most)
    }
}

impl CertSource for WorkloadApi {
    fn current(&self) -> Arc<Identity> {
        self.current.current()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.current.changes()
    }
}

async fn first(socket: &Path) -> Result<(Identity, u64), Trouble> {
    let answer = within(ANSWER, async { open(socket).await?.next().await }).await?;
    let identity = svid::identity(&answer).map_err(Trouble::Unusable)?;
    Ok((identity, digest(&answer)))
}

/// Tells one answer from the next; nothing else rests on it.
fn digest(answer: &Bytes) -> u64 {
    let mut hasher = DefaultHasher::new();
    answer.hash(&mut hasher);
    hasher.finish()
}

async fn open(socket: &Path) -> Result<Answers, Fault> {
    let stream = UnixStream::connect(socket).await;
    let stream = stream.map_err(|error| Fault::Connect(error.to_string()))?;
    // The message is empty.
    Answers::open(stream, call(METHOD).header(PROOF, "true"), &[]).await
}

/// SPIFFE Workload Endpoint, section 4; TCP is not spoken: who asks is known by the socket.
fn socket(address: &str) -> Result<PathBuf, CertError> {
    let path = match address.strip_prefix("unix:") {
        Some(path) => path.strip_prefix("//").unwrap_or(path),
        None => address,
    };
    if path.starts_with('/') {
        return Ok(path.into());
    }
    Err(CertError {
        file: address.to_owned(),
        reason: "expected the address of a SPIFFE agent such as unix:/run/spire/agent.sock".to_owned(),
    })
}

fn error(socket: &Path, why: &impl Display) -> CertError {
    CertError {
        file: socket.display().to_string(),
        reason: why.to_string(),
    }
}

#[cfg(test)]
mod tests;
