//! The process's own log: to standard error, with a filter that can be changed while it runs.

use std::sync::Arc;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

/// The filter when none is given. Pingora's own accounts of its start and end are its business; h2 warns of every
/// unasked PING answer, which a hostile client may send without end; what kube cannot watch, `mesh` tells once.
pub const DEFAULT_FILTER: &str =
    "info,pingora_core=warn,pingora_runtime=warn,h2=error,kube_client=off,kube_runtime=off,tower=warn";

/// The handle that changes the filter.
#[derive(Clone, Debug)]
pub struct Logging {
    handle: Arc<reload::Handle<EnvFilter, Registry>>,
}

impl Logging {
    /// Starts logging. `json`: one object a line.
    ///
    /// # Errors
    /// A filter that is none, or a log that was started already.
    pub fn start(filter: &str, json: bool) -> Result<Self, String> {
        let filter = EnvFilter::try_new(filter).map_err(|why| format!("log filter {filter:?}: {why}"))?;
        let (filter, handle) = reload::Layer::new(filter);
        let registry = tracing_subscriber::registry().with(filter);
        let started = if json {
            registry
                .with(fmt::layer().json().with_writer(std::io::stderr))
                .try_init()
        } else {
            registry
                .with(fmt::layer().with_ansi(false).with_writer(std::io::stderr))
                .try_init()
        };
        started.map_err(|why| why.to_string())?;
        Ok(Self {
            handle: Arc::new(handle),
        })
    }

    /// The filter in force.
    pub fn current(&self) -> String {
        self.handle
            .with_current(ToString::to_string)
            .unwrap_or_else(|why| why.to_string())
    }

    /// Changes it.
    ///
    /// # Errors
    /// What is wrong with `filter`.
    pub fn set(&self, filter: &str) -> Result<(), String> {
        let filter = EnvFilter::try_new(filter).map_err(|why| why.to_string())?;
        self.handle.reload(filter).map_err(|why| why.to_string())
    }
}
