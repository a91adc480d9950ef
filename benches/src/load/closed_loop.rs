//! A closed loop: every stream sends its next request when the answer to the last has come.

use super::response::Response;
use crate::fault::{During, Fault};
use crate::neighbour::{BODY_BYTES, Room, Source};
use bytes::Bytes;
use hbone::TunnelStream;
use hdrhistogram::Histogram;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// All tunnels must be open by then, and the last answers must have come by then.
const PATIENCE: Duration = Duration::from_secs(20);
/// Latencies beyond this count as this.
const LONGEST: Duration = Duration::from_secs(60);
/// Failures kept in words.
const FAILURES_KEPT: usize = 5;

/// A running load.
pub(crate) struct ClosedLoop {
    shared: Arc<Shared>,
    room: Room<Result<Tally, Fault>>,
}

/// What was seen while it recorded.
#[derive(Debug)]
pub(crate) struct Tally {
    /// Nanoseconds from the request's first byte to the answer's last.
    pub(crate) latencies: Histogram<u64>,
    /// Failures from its start to its end, the first few.
    pub(crate) failures: Vec<String>,
}

#[derive(Debug, Default)]
struct Shared {
    answered: AtomicU64,
    recording: AtomicBool,
    stop: AtomicBool,
}

impl ClosedLoop {
    /// Opens the tunnels and starts. Returns when all are open.
    pub(crate) fn start(source: &Source, proxy: SocketAddr, connections: u64, streams: u64) -> Result<Self, Fault> {
        let shared = Arc::<Shared>::default();
        let (opened, open) = mpsc::channel();
        let (source, loop_shared) = (source.clone(), Arc::clone(&shared));
        let room = Room::open("client", async move {
            let dial = tokio::time::timeout(PATIENCE, source.dial(proxy, connections, streams));
            let tunnels = dial.await.during("client tunnels").and_then(|dialled| dialled);
            let tunnels = tunnels.inspect_err(|fault| drop(opened.send(Err(Fault::new(fault.to_string())))))?;
            // Nobody waits for it only when the load was given up.
            let _ = opened.send(Ok(()));
            drive(tunnels, loop_shared).await
        })?;
        open.recv().during("client")??;
        Ok(Self { shared, room })
    }

    /// Answers so far.
    pub(crate) fn answered(&self) -> u64 {
        self.shared.answered.load(Relaxed)
    }

    /// From now on (or no more), latencies are kept.
    pub(crate) fn record(&self, on: bool) {
        self.shared.recording.store(on, Relaxed);
    }

    /// Whether a stream has failed: there is nothing to measure any more.
    pub(crate) fn is_broken(&self) -> bool {
        self.shared.stop.load(Relaxed)
    }

    /// Lets the requests under way end, and adds up.
    pub(crate) fn stop(self) -> Result<Tally, Fault> {
        self.shared.stop.store(true, Relaxed);
        self.room.join()?
    }
}

async fn drive(tunnels: Vec<TunnelStream>, shared: Arc<Shared>) -> Result<Tally, Fault> {
    let mut streams = JoinSet::new();
    for tunnel in tunnels {
        streams.spawn(Stream::new(tunnel, Arc::clone(&shared))?.run());
    }
    let mut sum = Tally {
        latencies: histogram()?,
        failures: Vec::new(),
    };
    while let Some(ended) = streams.join_next().await {
        let (latencies, failure) = ended.during("a stream")?;
        sum.latencies.add(latencies).during("adding latencies")?;
        sum.failures.extend(failure);
        sum.failures.truncate(FAILURES_KEPT);
    }
    Ok(sum)
}

fn histogram() -> Result<Histogram<u64>, Fault> {
    Histogram::new_with_bounds(1_000, nanos(LONGEST), 3).during("histogram")
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// One tunnel with one keep-alive connection in it.
struct Stream {
    tunnel: TunnelStream,
    shared: Arc<Shared>,
    response: Response,
    latencies: Histogram<u64>,
}

impl Stream {
    fn new(tunnel: TunnelStream, shared: Arc<Shared>) -> Result<Self, Fault> {
        Ok(Self {
            tunnel,
            shared,
            response: Response::default(),
            latencies: histogram()?,
        })
    }

    async fn run(mut self) -> (Histogram<u64>, Option<String>) {
        let request = Bytes::from_static(
            b"GET /reviews/1 HTTP/1.1\r\nhost: echo\r\nuser-agent: waypoint-bench\r\naccept: */*\r\n\r\n",
        );
        while !self.shared.stop.load(Relaxed) {
            let began = Instant::now();
            if let Err(why) = self.exchange(request.clone()).await {
                self.shared.stop.store(true, Relaxed);
                return (self.latencies, Some(why));
            }
            self.shared.answered.fetch_add(1, Relaxed);
            if self.shared.recording.load(Relaxed) {
                self.latencies.saturating_record(nanos(began.elapsed()));
            }
        }
        (self.latencies, None)
    }

    async fn exchange(&mut self, mut request: Bytes) -> Result<(), String> {
        while !request.is_empty() {
            poll_fn(|cx| self.tunnel.poll_write_bytes(cx, &mut request))
                .await
                .map_err(|error| error.to_string())?;
        }
        loop {
            let chunk = poll_fn(|cx| self.tunnel.poll_read_bytes(cx)).await;
            let chunk = chunk.ok_or("the tunnel ended")?.map_err(|error| error.to_string())?;
            if self.response.take(&chunk, BODY_BYTES)? {
                return Ok(());
            }
        }
    }
}
