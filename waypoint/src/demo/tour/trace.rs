//! Step 4: one request, as the trace collector saw it.

use super::tree;
use crate::demo::checks::Checks;
use crate::demo::connection::Connection;
use crate::demo::demo_mesh::DemoMesh;
use crate::demo::destination::SEEN_TRACEPARENT;
use crate::demo::error::DemoError;
use crate::demo::ids;
use crate::demo::load::PATH;
use crate::demo::print::{say, step};
use crate::demo::trace_id::Parent;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

/// The waypoint's server span, and the client span of its one attempt.
const SPANS: usize = 2;

pub(super) async fn show(mesh: &DemoMesh, checks: &mut Checks) -> Result<(), DemoError> {
    let parent = Parent::new();
    step(4, "One request, as the trace collector saw it");
    let mut connection = Connection::new(mesh.port.address, ids::SERVICE_HOST);
    let traceparent = parent.traceparent();
    let reply = connection.get(PATH, &[("traceparent", &traceparent)]).await;
    let reply = reply.map_err(|why| DemoError::Request {
        path: PATH.to_owned(),
        why,
    })?;
    let spans = mesh.collector.trace(&parent.trace_id(), SPANS).await;

    let asked = format!("{}  GET {PATH}", reply.status.as_u16());
    say(format!("\n   {}", tree::line(0, ids::CLIENT, reply.took, &asked)));
    let lines = tree::lines(&spans, &parent.span_id());
    lines.iter().for_each(|line| say(format!("   {line}")));
    say(format!(
        "   the pod got             traceparent: {}",
        reply.header(&SEEN_TRACEPARENT)
    ));

    checks.hold(lines.len() == SPANS && spans.len() == SPANS, || {
        format!(
            "expected {SPANS} spans below the client's, the collector has {} of that trace",
            spans.len()
        )
    });
    let attempt = spans.iter().find(|span| span.kind == i32::from(SpanKind::Client));
    let wanted = attempt.map(|span| {
        let id: String = span.span_id.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("00-{:032x}-{id}-01", u128::from_be_bytes(parent.trace_id()))
    });
    checks.hold(wanted.as_deref() == Some(reply.header(&SEEN_TRACEPARENT)), || {
        format!(
            "the pod should have got traceparent {wanted:?}, found {:?}",
            reply.header(&SEEN_TRACEPARENT)
        )
    });
    Ok(())
}
