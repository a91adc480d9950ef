//! The trace context that the demo's own requests carry: sampled, so that the collector sees them for certain.

use rand::Rng;

/// One request of the demo, as a parent of the waypoint's spans.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parent {
    trace: u128,
    span: u64,
}

impl Parent {
    /// A new trace.
    pub(super) fn new() -> Self {
        let mut rng = rand::rng();
        Self {
            trace: rng.random::<u128>().max(1),
            span: rng.random::<u64>().max(1),
        }
    }

    /// Another span of the same trace.
    pub(super) fn sibling(&self) -> Self {
        Self {
            trace: self.trace,
            ..Self::new()
        }
    }

    /// W3C Trace Context, with the sampled flag.
    pub(super) fn traceparent(&self) -> String {
        format!("00-{:032x}-{:016x}-01", self.trace, self.span)
    }

    /// As OTLP has it.
    pub(super) fn trace_id(&self) -> [u8; 16] {
        self.trace.to_be_bytes()
    }

    /// As OTLP has it.
    pub(super) fn span_id(&self) -> [u8; 8] {
        self.span.to_be_bytes()
    }
}
