//! W3C `traceparent` and B3, in; `traceparent`, out.

use http::{HeaderMap, HeaderValue};

/// 16 bytes, not all zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceId(pub u128);

/// 8 bytes, not all zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanId(pub u64);

/// The place of a request in its trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// Trace.
    pub trace: TraceId,
    /// Our server span.
    pub span: SpanId,
    /// The client's span, when one came.
    pub parent: Option<SpanId>,
    /// Whether it is recorded.
    pub sampled: bool,
}

impl TraceContext {
    /// `traceparent` for an upstream attempt whose client span is `span`.
    pub fn traceparent(&self, _span: SpanId) -> HeaderValue {
        todo!()
    }
    /// Reads W3C, else B3 single, else B3 multi: (trace, parent span, sampled if said).
    pub fn extract(_headers: &HeaderMap) -> Option<(TraceId, SpanId, Option<bool>)> {
        todo!()
    }
}
