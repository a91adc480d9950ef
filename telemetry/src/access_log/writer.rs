//! The thread that writes lines.
//!
//! It sleeps until a line comes, then gathers for a moment and writes all in one call: idle it never wakes, busy it
//! wakes at most 50 times a second and no request pays for waking it.

use prometheus_client::metrics::counter::Counter;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Lines waiting at most.
const QUEUE_LINES: usize = 8_192;
/// Bytes waiting at most.
const QUEUE_BYTES: usize = 8 * 1_024 * 1_024;
/// How long lines are gathered.
const GATHER: Duration = Duration::from_millis(20);
/// One write call takes about this much at most.
const CHUNK_BYTES: usize = 64 * 1_024;
/// How long dropping waits for what is queued.
const LAST_FLUSH: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Writer {
    queue: Option<SyncSender<Item>>,
    /// Locked only when the writer is dropped; the mutex makes it shareable.
    ended: Mutex<Receiver<()>>,
    bytes: Arc<AtomicUsize>,
}

enum Item {
    Line(String),
    Flush(SyncSender<()>),
}

impl Writer {
    pub(super) fn start(out: Box<dyn Write + Send>, lost: Counter) -> Self {
        let (queue, lines) = sync_channel(QUEUE_LINES);
        let (end, ended) = sync_channel::<()>(1);
        let bytes = Arc::new(AtomicUsize::new(0));
        let output = Output {
            lines,
            out,
            lost,
            bytes: Arc::clone(&bytes),
            buffer: Vec::new(),
            in_buffer: 0,
            torn: false,
        };
        let spawned = std::thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || {
                output.run();
                drop(end);
            });
        if let Err(error) = spawned {
            // The queue is closed: every line is counted as dropped.
            tracing::error!(%error, "no thread for the access log: nothing will be logged");
        }
        Self {
            queue: Some(queue),
            ended: Mutex::new(ended),
            bytes,
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.bytes.load(Relaxed) < QUEUE_BYTES
    }

    /// False: dropped.
    pub(super) fn push(&self, line: String) -> bool {
        let length = line.len();
        self.bytes.fetch_add(length, Relaxed);
        let pushed = self
            .queue
            .as_ref()
            .is_some_and(|queue| queue.try_send(Item::Line(line)).is_ok());
        if !pushed {
            self.bytes.fetch_sub(length, Relaxed);
        }
        pushed
    }

    pub(super) fn flush(&self, patience: Duration) -> bool {
        let Some(queue) = &self.queue else { return false };
        let (done, wait) = sync_channel(1);
        // With a full queue there is no place for the request to flush either: try until there is.
        let deadline = std::time::Instant::now() + patience;
        let mut item = Item::Flush(done);
        while let Err(error) = queue.try_send(item) {
            let std::sync::mpsc::TrySendError::Full(back) = error else {
                return false;
            };
            if std::time::Instant::now() >= deadline {
                return false;
            }
            item = back;
            std::thread::sleep(Duration::from_millis(1));
        }
        wait.recv_timeout(deadline.saturating_duration_since(std::time::Instant::now()))
            .is_ok()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        // Closed when the thread has written all; a hanging output is left behind.
        let _ = self
            .ended
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .recv_timeout(LAST_FLUSH);
    }
}

/// What the thread owns.
struct Output {
    lines: Receiver<Item>,
    out: Box<dyn Write + Send>,
    lost: Counter,
    bytes: Arc<AtomicUsize>,
    buffer: Vec<u8>,
    /// Lines in `buffer`.
    in_buffer: u64,
    /// A write failed, maybe in the middle of a line: the next one must begin on a line of its own.
    torn: bool,
}

impl Output {
    fn run(mut self) {
        while let Ok(first) = self.lines.recv() {
            let gathered = self.gather(first);
            self.drain();
            self.write();
            if gathered == Gathered::Closed {
                break;
            }
        }
        self.drain();
        self.write();
    }

    /// Takes lines until the moment is over or somebody wants a flush.
    fn gather(&mut self, first: Item) -> Gathered {
        if !self.take(first) {
            return Gathered::More;
        }
        // Not `recv_timeout`: a waiting receiver would have to be woken for every line.
        match self.lines.try_recv() {
            Ok(item) => {
                if !self.take(item) {
                    return Gathered::More;
                }
            }
            Err(TryRecvError::Disconnected) => return Gathered::Closed,
            Err(TryRecvError::Empty) => {}
        }
        std::thread::sleep(GATHER);
        Gathered::More
    }

    fn drain(&mut self) {
        while let Ok(item) = self.lines.try_recv() {
            self.take(item);
        }
    }

    /// False after a flush.
    fn take(&mut self, item: Item) -> bool {
        match item {
            Item::Line(line) => {
                self.bytes.fetch_sub(line.len(), Relaxed);
                self.buffer.extend_from_slice(line.as_bytes());
                self.in_buffer += 1;
                if self.buffer.len() >= CHUNK_BYTES {
                    self.write();
                }
                true
            }
            Item::Flush(done) => {
                self.write();
                let _ = done.try_send(());
                false
            }
        }
    }

    fn write(&mut self) {
        if self.buffer.is_empty() {
            return;
        }
        if self.torn {
            self.buffer.insert(0, b'\n');
        }
        let result = self.out.write_all(&self.buffer).and_then(|()| self.out.flush());
        if let Err(error) = &result
            && !self.torn
        {
            tracing::warn!(%error, "access log: cannot write, lines are lost until it works again");
        }
        if result.is_err() {
            self.lost.inc_by(self.in_buffer);
        }
        self.torn = result.is_err();
        self.buffer.clear();
        self.in_buffer = 0;
    }
}

#[derive(PartialEq, Eq)]
enum Gathered {
    More,
    Closed,
}
