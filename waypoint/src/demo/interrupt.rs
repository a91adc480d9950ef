//! Ctrl-C, SIGTERM and SIGHUP end the demo in order: nothing may be left running.

use super::error::{DemoError, doing};
use tokio::signal::unix::{Signal, SignalKind, signal};

pub(super) struct Interrupt {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Interrupt {
    /// From now on these signals do not end the process by themselves.
    pub(super) fn install() -> Result<Self, DemoError> {
        let install = |kind| signal(kind).map_err(doing("handle signals"));
        Ok(Self {
            interrupt: install(SignalKind::interrupt())?,
            terminate: install(SignalKind::terminate())?,
            hang_up: install(SignalKind::hangup())?,
        })
    }

    /// Resolves with the next one.
    pub(super) async fn comes(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }
}
