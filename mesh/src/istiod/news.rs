//! Hearing that istiod told something.

use super::Discovery;
use std::sync::Arc;
use tokio::sync::watch;

/// Of somebody who tells, or of nobody.
#[derive(Debug)]
pub(crate) struct News(Option<watch::Receiver<u64>>);

impl News {
    /// From now on.
    pub(crate) fn of(discovery: Option<&Arc<Discovery>>) -> Self {
        Self(discovery.map(|discovery| discovery.changes.subscribe()))
    }

    /// Resolves when there are some.
    pub(crate) async fn come(&mut self) {
        let have_come = match &mut self.0 {
            Some(news) => news.changed().await.is_ok(),
            None => false,
        };
        // Who tells is gone, or never was.
        if !have_come {
            std::future::pending().await
        }
    }

    /// Whether there are some; they are heard then.
    pub(crate) fn take(&mut self) -> bool {
        let Some(news) = &mut self.0 else { return false };
        let have_come = news.has_changed().unwrap_or(false);
        news.mark_unchanged();
        have_come
    }
}
