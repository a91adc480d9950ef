//! A thread with a runtime of its own, for a neighbour; or several, for one that must not be in the way.

use crate::fault::{During, Fault};
use std::future::Future;
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// The thread. Dropping it ends what runs there; [`Room::join`] waits for the end instead.
pub(crate) struct Room<T> {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Option<T>>>,
}

impl<T: Send + 'static> Room<T> {
    /// Runs this future there.
    pub(crate) fn open<F>(name: &str, work: F) -> Result<Self, Fault>
    where
        F: Future<Output = T> + Send + 'static,
    {
        Self::of_threads(name, 1, work)
    }

    /// The same, with so many threads for what it spawns.
    pub(crate) fn of_threads<F>(name: &str, threads: usize, work: F) -> Result<Self, Fault>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut builder = if threads > 1 {
            tokio::runtime::Builder::new_multi_thread()
        } else {
            tokio::runtime::Builder::new_current_thread()
        };
        if threads > 1 {
            builder.worker_threads(threads).thread_name(name);
        }
        let runtime = builder.enable_all().build().during("runtime")?;
        let (stop, stopped) = oneshot::channel::<()>();
        let body = move || {
            runtime.block_on(async {
                tokio::select! {
                    out = work => Some(out),
                    _ = stopped => None,
                }
            })
        };
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(body)
            .during(name)?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Whether the future has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// What the future gave.
    pub(crate) fn join(mut self) -> Result<T, Fault> {
        let thread = self.thread.take().during("joined twice")?;
        let out = thread.join().map_err(|_| Fault::new("a neighbour panicked"))?;
        out.during("a neighbour was stopped")
    }
}

impl<T> Drop for Room<T> {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic has been printed by the thread.
            let _ = thread.join();
        }
    }
}
