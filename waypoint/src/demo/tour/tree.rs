//! The spans of a trace as a tree of lines.

use crate::demo::collector::attribute;
use crate::demo::print::millis;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use std::time::Duration;

/// Column at which durations end.
const WIDTH: usize = 42;

/// The lines below the span `parent`, depth first, earliest first.
pub(super) fn lines(spans: &[Span], parent: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    below(spans, parent, 0, &mut lines);
    lines
}

/// One line: who, how long, what.
pub(super) fn line(depth: usize, who: &str, took: Duration, what: &str) -> String {
    let branch = if depth == 0 {
        String::new()
    } else {
        format!("{}└─ ", "   ".repeat(depth - 1))
    };
    format!("{:<WIDTH$}{:>9}   {what}", format!("{branch}{who}"), millis(took))
}

fn below(spans: &[Span], parent: &[u8], depth: usize, lines: &mut Vec<String>) {
    // Deeper than any real trace: spans that are their own ancestors end here.
    if depth > 8 {
        return;
    }
    let mut children: Vec<&Span> = spans.iter().filter(|span| span.parent_span_id == parent).collect();
    children.sort_by_key(|span| span.start_time_unix_nano);
    for span in children {
        lines.push(of(span, depth + 1));
        below(spans, &span.span_id, depth + 1, lines);
    }
}

fn of(span: &Span, depth: usize) -> String {
    let told = |name| attribute(span, name);
    let took = Duration::from_nanos(span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano));
    let status = told("http.response.status_code");
    let (who, what) = if span.kind == i32::from(SpanKind::Server) {
        let from = told("istio.source_principal");
        (
            format!("waypoint, route {}", span.name),
            format!("{status}  from {from}"),
        )
    } else {
        let pod = format!("{} {}", told("istio.destination_workload"), told("upstream_address"));
        (pod, format!("{status}  to {}", told("istio.destination_principal")))
    };
    line(depth, &who, took, &what)
}

#[cfg(test)]
mod tests;
