//! What we tell the world: Istio's metrics, OTLP spans, the access log.
//!
//! It never blocks a request, collector up or down: everything a request does here is an atomic add or a
//! `try_send` into a bounded queue. It knows nothing of routes or policies but their names.
//!
//! Start reading at [`Outcome`], the one record a finished request leaves; [`Metrics::observe`],
//! [`Spans::record`] and [`AccessLog::write`] each take it.

mod access_log;
mod clip;
mod controller;
mod dial;
mod ended;
mod expression;
#[cfg(test)]
mod fixture;
mod metrics;
mod otlp;
mod outcome;
mod own;
mod plan;
mod push;
mod spans;
mod trace_context;

pub use access_log::{AccessLog, LogFormat};
pub use controller::ControllerMetrics;
pub use dial::{ClearDial, CollectorAddress, Dial, Dialling, Wire};
pub use expression::Expression;
pub use metrics::{DEFAULT_SERIES_LIMIT, Format, Metrics};
pub use otlp::{Export, ExportProtocol, Signal};
pub use outcome::{Outcome, Rehearsal, RequestProtocol, SpanEvent, TcpOutcome, Try};
pub use own::{BackendWeight, OwnMetrics};
pub use plan::{CustomTag, LogRule, Metric, MetricChange, MetricsPlan, Plan, TagChange, TagValue, TracingPlan};
pub use prometheus_client::metrics::counter::Counter;
pub use push::MetricsPush;
pub use spans::{Batch, Propagation, Sampler, Spans, SpansConfig, TracerEnvironment};
pub use trace_context::{SpanId, TraceContext, TraceId};
