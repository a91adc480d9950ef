//! What we tell the world: Istio's metrics, OTLP spans, the access log.
//!
//! It never blocks a request, collector up or down: everything a request does here is an atomic add or a
//! `try_send` into a bounded queue. It knows nothing of routes or policies but their names.
//!
//! Start reading at [`Outcome`], the one record a finished request leaves; [`Metrics::observe`],
//! [`Spans::record`] and [`AccessLog::write`] each take it.

mod access_log;
mod clip;
#[cfg(test)]
mod fixture;
mod metrics;
mod outcome;
mod own;
mod spans;
mod trace_context;

pub use access_log::{AccessLog, AccessLogFormat};
pub use metrics::{DEFAULT_SERIES_LIMIT, Format, Metrics};
pub use outcome::{Outcome, RequestProtocol, ServiceName, TcpOutcome, Try};
pub use own::{BackendWeight, OwnMetrics};
pub use prometheus_client::metrics::counter::Counter;
pub use spans::{Export, ExportProtocol, Spans, SpansConfig};
pub use trace_context::{SpanId, TraceContext, TraceId};
