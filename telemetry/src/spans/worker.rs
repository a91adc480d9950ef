//! The background task: gathers records into batches, sends them, tries again for a while.

use super::client::{Client, Payload, Sent};
use super::otlp::Shape;
use super::record::Record;
use super::{Export, Ledger};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

/// Spans of a batch, about.
const BATCH_SPANS: u64 = 512;
/// A batch waits at most this long to fill.
const BATCH_AGE: Duration = Duration::from_secs(1);
/// A batch is tried for this long, then dropped.
const RETRY_FOR: Duration = Duration::from_secs(30);
/// Pause before the second attempt; doubled for each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause, also when the collector asks for more.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

pub(super) struct Worker {
    pub(super) queue: mpsc::Receiver<Record>,
    pub(super) client: Client,
    pub(super) export: Export,
    pub(super) shape: Arc<Shape>,
    pub(super) ledger: Arc<Ledger>,
    /// True: send what is there, then end.
    pub(super) stop: watch::Receiver<bool>,
    pub(super) failing: bool,
}

impl Worker {
    pub(super) async fn work(mut self) {
        let mut batch = Vec::new();
        loop {
            let more = self.gather(&mut batch).await;
            if !batch.is_empty() {
                self.deliver(&batch).await;
                batch.clear();
            }
            if !more {
                return;
            }
        }
    }

    /// Fills `batch`. False: nothing comes any more.
    async fn gather(&mut self, batch: &mut Vec<Record>) -> bool {
        let Some(first) = self.next().await else { return false };
        let mut spans = first.spans();
        batch.push(first);
        let full = sleep_until(Instant::now() + BATCH_AGE);
        tokio::pin!(full);
        while spans < BATCH_SPANS {
            let record = tokio::select! {
                record = self.next() => record,
                () = &mut full => return true,
            };
            let Some(record) = record else { return false };
            spans += record.spans();
            batch.push(record);
        }
        true
    }

    /// The next record. After `stop` only what is queued already, then `None`.
    async fn next(&mut self) -> Option<Record> {
        if !*self.stop.borrow() {
            tokio::select! {
                biased;
                record = self.queue.recv() => return record,
                _ = self.stop.changed() => {}
            }
        }
        self.queue.close();
        self.queue.recv().await
    }

    /// Sends a batch until it is taken, refused, or too old.
    async fn deliver(&mut self, batch: &[Record]) {
        let spans = batch.iter().map(Record::spans).sum();
        let payload = self.client.payload(self.shape.request(batch));
        match self.persist(&payload).await {
            Ok(rejected) => {
                if std::mem::take(&mut self.failing) {
                    tracing::info!(endpoint = %self.export.endpoint, "the trace collector takes spans again");
                }
                self.ledger.exported(spans, rejected.min(spans));
            }
            Err(why) => {
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::warn!(endpoint = %self.export.endpoint, why, "spans are dropped: the trace collector does not take them");
                }
                self.ledger.dropped(spans);
            }
        }
    }

    /// `Ok`: how many spans the collector rejected.
    async fn persist(&mut self, payload: &Payload) -> Result<u64, String> {
        let give_up = Instant::now() + RETRY_FOR;
        let mut pause = FIRST_PAUSE;
        loop {
            let left = give_up.saturating_duration_since(Instant::now());
            match self.client.send(payload, self.export.timeout.min(left)).await {
                Sent::Taken { rejected } => return Ok(rejected),
                Sent::Never { why } => return Err(why),
                Sent::Later { why, after } => {
                    let wait = after.unwrap_or_else(|| jittered(pause)).min(LONGEST_PAUSE);
                    let stopping = *self.stop.borrow();
                    if stopping || Instant::now() + wait >= give_up {
                        return Err(why);
                    }
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    tokio::select! {
                        () = sleep(wait) => {}
                        // One last attempt, at once.
                        _ = self.stop.changed() => {}
                    }
                }
            }
        }
    }
}

/// Between half and the whole of `pause`: many proxies must not come back at once.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(0.5 + rand::random::<f64>() / 2.0)
}
