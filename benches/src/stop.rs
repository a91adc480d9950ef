//! Being told to end.

use crate::fault::Fault;
use crate::neighbour::Room;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use tokio::signal::unix::{SignalKind, signal};

/// The exit code of a program that SIGINT ended, as shells tell it.
const INTERRUPTED: i32 = 130;

/// Returns at SIGINT or SIGTERM.
pub(crate) async fn stopped() {
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        // Then the signals end the process by themselves.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

/// Whether that has happened, for a thread that looks now and then. Being told twice ends the process at once.
pub(crate) struct Stop {
    told: Arc<AtomicBool>,
    _room: Room<()>,
}

impl Stop {
    pub(crate) fn watch() -> Result<Self, Fault> {
        let told = Arc::<AtomicBool>::default();
        let tell = Arc::clone(&told);
        let room = Room::open("signals", async move {
            stopped().await;
            tell.store(true, Relaxed);
            stopped().await;
            std::process::exit(INTERRUPTED);
        })?;
        Ok(Self { told, _room: room })
    }

    pub(crate) fn is_told(&self) -> bool {
        self.told.load(Relaxed)
    }
}
