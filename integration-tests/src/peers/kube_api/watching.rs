//! One watch: what happened since a version, then what happens, as lines of JSON.

use super::Shared;
use super::select::Selection;
use super::state::{Happened, State};
use bytes::Bytes;
use futures_util::stream::{self, Stream};
use http_body_util::StreamBody;
use hyper::body::Frame;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

pub(super) struct Watch {
    shared: Arc<Shared>,
    news: watch::Receiver<u64>,
    kind: String,
    api_version: String,
    selection: Selection,
    version: u64,
    wants_bookmarks: bool,
    cuts: u64,
    bookmarks: u64,
    end: Instant,
    lines: VecDeque<Bytes>,
    is_over: bool,
}

impl Watch {
    #[expect(clippy::too_many_arguments, reason = "what a watch request has")]
    pub(super) fn new(
        shared: &Arc<Shared>,
        state: &State,
        kind: String,
        api_version: String,
        selection: Selection,
        version: u64,
        wants_bookmarks: bool,
        lasts: Duration,
    ) -> Self {
        Self {
            news: shared.news.subscribe(),
            shared: Arc::clone(shared),
            kind,
            api_version,
            selection,
            version,
            wants_bookmarks,
            cuts: state.cuts,
            bookmarks: state.bookmarks,
            end: Instant::now() + lasts,
            lines: VecDeque::new(),
            is_over: false,
        }
    }

    pub(super) fn body(self) -> StreamBody<impl Stream<Item = Result<Frame<Bytes>, Infallible>>> {
        StreamBody::new(stream::unfold(self, |mut watch| async move {
            let line = watch.line().await?;
            Some((Ok(Frame::data(line)), watch))
        }))
    }

    async fn line(&mut self) -> Option<Bytes> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Some(line);
            }
            if self.is_over {
                return None;
            }
            self.news.mark_unchanged();
            self.look();
            if self.lines.is_empty() && !self.is_over {
                tokio::select! {
                    _ = self.news.changed() => {}
                    () = tokio::time::sleep_until(self.end) => self.is_over = true,
                }
            }
        }
    }

    /// Takes what happened.
    fn look(&mut self) {
        let shared = Arc::clone(&self.shared);
        let state = shared.state();
        if state.cuts != self.cuts {
            self.is_over = true;
            return;
        }
        if self.version < state.forgotten {
            let message = format!("too old resource version: {} ({})", self.version, state.forgotten);
            let status = json!({ "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure",
                "message": message, "reason": "Expired", "code": 410 });
            self.push("ERROR", &status);
            self.is_over = true;
            return;
        }
        let first = state
            .history
            .partition_point(|happened| happened.version <= self.version);
        for happened in &state.history[first..] {
            self.version = happened.version;
            if happened.kind == self.kind {
                self.tell(happened);
            }
        }
        if state.bookmarks != self.bookmarks {
            self.bookmarks = state.bookmarks;
            self.version = state.version;
            if self.wants_bookmarks {
                let object = json!({ "apiVersion": self.api_version, "kind": self.kind,
                    "metadata": { "resourceVersion": state.version.to_string(), "creationTimestamp": null } });
                self.push("BOOKMARK", &object);
            }
        }
    }

    /// An object that begins or ceases to be selected is added or deleted for this watch.
    fn tell(&mut self, happened: &Happened) {
        let was = happened
            .before
            .as_ref()
            .is_some_and(|before| self.selection.selects(before));
        let is = happened.what != "DELETED" && self.selection.selects(&happened.object);
        let what = match (was, is) {
            (false, false) => return,
            (false, true) => "ADDED",
            (true, true) => "MODIFIED",
            (true, false) => "DELETED",
        };
        let mut object = (*happened.object).clone();
        object["apiVersion"] = json!(self.api_version);
        self.push(what, &object);
    }

    fn push(&mut self, what: &str, object: &Value) {
        let line = format!("{}\n", json!({ "type": what, "object": object }));
        self.lines.push_back(line.into());
    }
}
