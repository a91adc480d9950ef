//! Requests in the background while the test changes something: bounded, and every one must succeed.

use super::client_tunnel::ClientTunnel;
use super::http_client::get;
use super::mesh_world::Vip;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A running load. Stop it with [`Load::stop`].
pub struct Load {
    stop: Arc<AtomicBool>,
    done: watch::Receiver<u64>,
    workers: Vec<JoinHandle<Tally>>,
}

/// What came back.
#[derive(Debug, Default)]
pub struct Tally {
    /// Answers with 200, by backend version.
    pub by_version: BTreeMap<String, u64>,
    /// Everything else, in words.
    pub failures: Vec<String>,
}

/// No load sends more than this, even when nobody stops it.
const MOST_REQUESTS_PER_WORKER: u64 = 50_000;

impl Load {
    /// `workers` keep-alive connections, each in its own tunnel, one GET after another on each.
    pub fn start(client: &Arc<ClientTunnel>, vip: &Vip, workers: usize) -> Self {
        let (stop, (count, done)) = (Arc::new(AtomicBool::new(false)), watch::channel(0));
        let workers = (0..workers).map(|_| {
            let (client, vip, stop, count) = (client.clone(), vip.clone(), stop.clone(), count.clone());
            tokio::spawn(async move {
                let mut tally = Tally::default();
                let mut connection = client.http1(&vip).await;
                for _ in 0..MOST_REQUESTS_PER_WORKER {
                    if stop.load(Ordering::Relaxed) || tally.failures.len() > 10 {
                        break;
                    }
                    // A keep-alive connection may be closed between requests; that is no failure.
                    if connection.is_closed() {
                        connection = client.http1(&vip).await;
                    }
                    match connection.try_send(get("/load")).await {
                        Ok(reply) if reply.status == 200 => {
                            *tally
                                .by_version
                                .entry(reply.header("x-backend").to_owned())
                                .or_default() += 1;
                        }
                        Ok(reply) => tally.failures.push(format!("{} {:?}", reply.status, reply.body)),
                        Err(e) => {
                            tally.failures.push(format!("{e:?}"));
                            connection = client.http1(&vip).await;
                        }
                    }
                    count.send_modify(|n| *n += 1);
                }
                tally
            })
        });
        Self {
            workers: workers.collect(),
            stop,
            done,
        }
    }

    /// Requests finished so far.
    pub fn requests(&self) -> u64 {
        *self.done.borrow()
    }

    /// Waits until this many more requests have finished: proof that traffic flowed meanwhile.
    pub async fn more(&mut self, requests: u64) {
        let wanted = self.requests() + requests;
        let what = format!("{requests} more requests of the load");
        super::waiting::soon(&what, self.done.wait_for(|n| *n >= wanted))
            .await
            .unwrap();
    }

    /// Stops it and adds up.
    pub async fn stop(self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        let mut sum = Tally::default();
        for worker in self.workers {
            let tally = super::waiting::soon("a worker of the load stops", worker)
                .await
                .unwrap();
            sum.failures.extend(tally.failures);
            for (version, n) in tally.by_version {
                *sum.by_version.entry(version).or_default() += n;
            }
        }
        sum
    }
}

impl Tally {
    /// Panics when anything failed; gives the number of good answers.
    pub fn all_good(&self) -> u64 {
        assert!(
            self.failures.is_empty(),
            "requests failed under load: {:?}",
            self.failures
        );
        self.by_version.values().sum()
    }
}
