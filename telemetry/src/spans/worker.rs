//! The background task: gathers records into batches, sends them, tries again for a while.

use super::record::Record;
use super::shape::Shape;
use super::{Batch, Ledger};
use crate::dial::Dial;
use crate::otlp::{Client, Export, Sent, Signal};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

/// Collectors whose connections are kept: Telemetry resources may name several.
const COLLECTORS: usize = 8;
/// A batch is tried for this long, then dropped.
const RETRY_FOR: Duration = Duration::from_secs(30);
/// Pause before the second attempt; doubled for each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause, also when the collector asks for more.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

pub(super) struct Worker {
    pub(super) queue: mpsc::Receiver<Record>,
    /// The latest used first.
    pub(super) ways: Vec<Way>,
    pub(super) dial: Arc<dyn Dial>,
    pub(super) batch: Batch,
    pub(super) shape: Arc<Shape>,
    pub(super) ledger: Arc<Ledger>,
    /// True: send what is there, then end.
    pub(super) stop: watch::Receiver<bool>,
}

/// The way to one collector.
pub(super) struct Way {
    export: Arc<Export>,
    /// Why there is none.
    client: Result<Client, String>,
    failing: bool,
}

impl Worker {
    pub(super) async fn work(mut self) {
        let mut batch = Vec::new();
        loop {
            let more = self.gather(&mut batch).await;
            while let Some(export) = batch.first().map(|record: &Record| Arc::clone(&record.export)) {
                // Nearly always all of them. A collector that hangs delays the others, which is told above.
                let (now, later) = batch.drain(..).partition(|record| record.export == export);
                batch = later;
                self.deliver(&export, &now).await;
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
        let full = sleep_until(Instant::now() + self.batch.age);
        tokio::pin!(full);
        while spans < self.batch.spans {
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
    async fn deliver(&mut self, export: &Arc<Export>, batch: &[Record]) {
        let spans = batch.iter().map(Record::spans).sum();
        let mut way = self.way(export);
        let sent = match &way.client {
            Ok(client) => {
                let payload = client.payload(self.shape.request(batch));
                self.persist(client, export, &payload).await
            }
            Err(why) => Err(why.clone()),
        };
        match sent {
            Ok(rejected) => {
                if std::mem::take(&mut way.failing) {
                    tracing::info!(endpoint = %export.endpoint, "the trace collector takes spans again");
                }
                self.ledger.exported(spans, rejected.min(spans));
            }
            Err(why) => {
                if !std::mem::replace(&mut way.failing, true) {
                    tracing::warn!(endpoint = %export.endpoint, why, "spans are dropped: the trace collector does not take them");
                }
                self.ledger.dropped(spans);
            }
        }
        self.ways.insert(0, way);
        self.ways.truncate(COLLECTORS);
    }

    /// Takes the way to a collector out, or makes it.
    fn way(&mut self, export: &Arc<Export>) -> Way {
        match self.ways.iter().position(|way| way.export == *export) {
            Some(at) => self.ways.remove(at),
            None => Way {
                export: Arc::clone(export),
                client: Client::new(Signal::Traces, export, Arc::clone(&self.dial)),
                failing: false,
            },
        }
    }

    /// `Ok`: how many spans the collector rejected.
    async fn persist(&self, client: &Client, export: &Export, payload: &Bytes) -> Result<u64, String> {
        let mut stop = self.stop.clone();
        let give_up = Instant::now() + RETRY_FOR;
        let mut pause = FIRST_PAUSE;
        loop {
            let left = give_up.saturating_duration_since(Instant::now());
            match client.send(payload, export.timeout.min(left)).await {
                Sent::Taken { rejected } => return Ok(rejected),
                Sent::Never { why } => return Err(why),
                Sent::Later { why, after } => {
                    let wait = after.unwrap_or_else(|| jittered(pause)).min(LONGEST_PAUSE);
                    let stopping = *stop.borrow();
                    if stopping || Instant::now() + wait >= give_up {
                        return Err(why);
                    }
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    tokio::select! {
                        () = sleep(wait) => {}
                        // One last attempt, at once.
                        _ = stop.changed() => {}
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
