//! Load: connections that are kept alive, each sending one request after the other, counted lap by lap so that
//! config can change between two laps while the traffic goes on.

use super::connection::{Connection, Reply};
use super::destination::{PODS, VERSION};
use super::ids;
use http::StatusCode;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};

pub(super) const CONNECTIONS: usize = 8;
/// What is asked for.
pub(super) const PATH: &str = "/reviews/1";
/// After a failure, so that a dead port is not hammered.
const PAUSE: Duration = Duration::from_millis(20);

/// Running load. It stops when dropped.
pub(super) struct Load {
    /// Each new value ends a lap.
    laps: watch::Sender<()>,
    handed_in: mpsc::Receiver<Lap>,
    began: Instant,
}

/// What happened in a lap. A request belongs to the lap in which it began.
#[derive(Clone, Debug, Default)]
pub(super) struct Lap {
    pub(super) elapsed: Duration,
    /// Good answers by version, as in [`PODS`].
    pub(super) answers: [u64; PODS.len()],
    pub(super) errors: u64,
    pub(super) first_error: Option<String>,
    /// TCP connections opened.
    pub(super) opened: u64,
    /// Latency of good answers, microseconds.
    micros: Vec<u32>,
}

impl Load {
    pub(super) fn start(address: SocketAddr) -> Self {
        let (laps, lap) = watch::channel(());
        let (hand_in, handed_in) = mpsc::channel(CONNECTIONS);
        for _ in 0..CONNECTIONS {
            tokio::spawn(send(address, lap.clone(), hand_in.clone()));
        }
        Self {
            laps,
            handed_in,
            began: Instant::now(),
        }
    }

    /// Ends this lap and begins the next, without a pause in the traffic.
    pub(super) async fn lap(&mut self) -> Lap {
        self.laps.send_replace(());
        self.gather().await
    }

    /// Ends the last lap and the load.
    pub(super) async fn stop(mut self) -> Lap {
        drop(std::mem::replace(&mut self.laps, watch::channel(()).0));
        self.gather().await
    }

    async fn gather(&mut self) -> Lap {
        let mut sum = Lap::default();
        for _ in 0..CONNECTIONS {
            if let Some(part) = self.handed_in.recv().await {
                sum.add(part);
            }
        }
        let now = Instant::now();
        sum.elapsed = now.duration_since(std::mem::replace(&mut self.began, now));
        sum
    }
}

/// One connection's part.
async fn send(address: SocketAddr, mut laps: watch::Receiver<()>, hand_in: mpsc::Sender<Lap>) {
    let mut connection = Connection::new(address, ids::SERVICE_HOST);
    let mut lap = Lap::default();
    let mut opened = 0;
    loop {
        let ended = laps.has_changed();
        if !matches!(ended, Ok(false)) {
            lap.opened = std::mem::replace(&mut opened, connection.opened()).abs_diff(connection.opened());
            laps.mark_unchanged();
            // Nobody waits for it only when the load was dropped.
            if hand_in.send(std::mem::take(&mut lap)).await.is_err() || ended.is_err() {
                return;
            }
        }
        let failed = lap.count(connection.get(PATH, &[]).await);
        if failed {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

impl Lap {
    /// Takes one request's end; true when it failed.
    fn count(&mut self, reply: Result<Reply, String>) -> bool {
        let error = match reply {
            Ok(reply) => match self.version(&reply) {
                Some(answers) if reply.status == StatusCode::OK => {
                    *answers = answers.saturating_add(1);
                    self.micros
                        .push(u32::try_from(reply.took.as_micros()).unwrap_or(u32::MAX));
                    return false;
                }
                _ => format!("{} {:?}", reply.status, reply.text()),
            },
            Err(why) => why,
        };
        self.errors = self.errors.saturating_add(1);
        self.first_error.get_or_insert(error);
        true
    }

    fn version(&mut self, reply: &Reply) -> Option<&mut u64> {
        let version = reply.header(VERSION);
        PODS.iter()
            .zip(&mut self.answers)
            .find(|(pod, _)| pod.version == version)
            .map(|(_, answers)| answers)
    }

    /// Adds what happened in another lap.
    pub(super) fn add(&mut self, other: Self) {
        self.elapsed = self.elapsed.saturating_add(other.elapsed);
        for (sum, part) in self.answers.iter_mut().zip(other.answers) {
            *sum = sum.saturating_add(part);
        }
        self.errors = self.errors.saturating_add(other.errors);
        self.first_error = self.first_error.take().or(other.first_error);
        self.opened = self.opened.saturating_add(other.opened);
        self.micros.extend(other.micros);
    }

    /// Good answers.
    pub(super) fn requests(&self) -> u64 {
        self.answers.iter().sum()
    }

    /// Good answers of v2.
    pub(super) fn canary(&self) -> u64 {
        self.answers.last().copied().unwrap_or(0)
    }

    /// The latency that `share` of the good answers did not exceed.
    pub(super) fn quantile(&self, share: f64) -> Duration {
        let mut micros = self.micros.clone();
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss
        )]
        let rank = (share * micros.len().saturating_sub(1) as f64).round() as usize;
        if rank >= micros.len() {
            return Duration::ZERO;
        }
        let (_, micros, _) = micros.select_nth_unstable(rank);
        Duration::from_micros(u64::from(*micros))
    }
}

#[cfg(test)]
mod tests;
