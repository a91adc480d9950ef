//! Key sets of RequestAuthentications: fetched in the background, never by a request.
//!
//! A set stays in use until there is another one, however long its server fails. While there has never been one, every
//! token of its issuer is refused and requests without a token pass. A token whose key is not known asks for one more
//! fetch, which is what lets rotated keys work at once; such wishes are rare by limit, since anybody can send a token.
//!
//! Start reading at [`worker`].

mod address;
mod fetch;
mod worker;

use crate::proxy::Node;
use authz::KeySource;
use fetch::Http;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{mpsc, watch};
use worker::{Worker, World};

/// Wishes that wait to be taken up; beyond, they are forgotten.
const WISHES: usize = 64;

/// The way from requests to the worker.
#[derive(Debug)]
pub(crate) struct Jwks {
    wishes: mpsc::Sender<Arc<str>>,
    /// Taken by the worker.
    wished: Mutex<Option<mpsc::Receiver<Arc<str>>>>,
    settled: watch::Sender<bool>,
}

impl Jwks {
    pub(crate) fn new() -> Self {
        let (wishes, wished) = mpsc::channel(WISHES);
        Self {
            wishes,
            wished: Mutex::new(Some(wished)),
            settled: watch::Sender::default(),
        }
    }

    /// A token named a key that none of these sets has.
    pub(crate) fn missed(&self, sources: &[KeySource]) {
        for source in sources {
            // Full: there are wishes enough.
            let _ = self.wishes.try_send(Arc::clone(&source.id));
        }
    }

    /// Resolves when every source of the first config was fetched, or has failed once.
    pub(crate) async fn settled(&self) {
        // The sender lives in `self`: it ends only by the value.
        let _ = self.settled.subscribe().wait_for(|settled| *settled).await;
    }

    /// Keeps the sets fresh, for as long as the process lives.
    pub(crate) async fn run(&self, node: &Arc<Node>) {
        let wished = self.wished.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(wished) = wished else { return };
        let world = World {
            snapshot: &node.snapshot,
            changes: node.changes.subscribe(),
            keys: &node.keys,
            metrics: &node.metrics.own,
            settled: &self.settled,
        };
        Worker::new(world, Arc::new(Http::new(node))).run(wished).await;
    }
}
