//! Gates: a request waits at one until the test opens it, so that "in flight" is a fact and not a guess at timing.

use std::collections::HashMap;
use std::sync::Mutex;
use tokio::sync::watch;

/// Named gates, made on first use.
#[derive(Default)]
pub struct Gates {
    by_name: Mutex<HashMap<String, watch::Sender<Gate>>>,
}

#[derive(Clone, Copy, Default)]
struct Gate {
    arrived: u64,
    open: bool,
}

impl Gates {
    /// Waits until `count` requests have come to the gate.
    pub async fn arrived(&self, name: &str, count: u64) {
        let mut gate = self.gate(name).subscribe();
        let what = format!("{count} requests at gate {name}");
        super::super::waiting::soon(&what, gate.wait_for(|g| g.arrived >= count))
            .await
            .unwrap();
    }

    /// Lets everything through, now and later.
    pub fn open(&self, name: &str) {
        self.gate(name).send_modify(|g| g.open = true);
    }

    pub(super) async fn pass(&self, name: &str) {
        self.ticket(name).await;
    }

    /// Arrives now; the future ends when the gate is open.
    pub(super) fn ticket(&self, name: &str) -> impl Future<Output = ()> + Send + use<> {
        let gate = self.gate(name);
        let mut state = gate.subscribe();
        gate.send_modify(|g| g.arrived += 1);
        async move {
            let _gate = gate;
            state.wait_for(|g| g.open).await.unwrap();
        }
    }

    fn gate(&self, name: &str) -> watch::Sender<Gate> {
        self.by_name.lock().unwrap().entry(name.into()).or_default().clone()
    }
}
