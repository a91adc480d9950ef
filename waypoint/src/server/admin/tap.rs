//! `/tap`: finished requests as lines of JSON, for as long as somebody reads.

use super::{TEXT, page, write};
use crate::live::Filter;
use crate::proxy::Node;
use bytes::Bytes;
use http::{StatusCode, header};
use pingora_core::protocols::http::ServerSession;
use pingora_core::server::ShutdownWatch;
use std::time::Duration;

/// An empty line after so long a silence: a reader that has gone is noticed.
const BEAT: Duration = Duration::from_secs(5);
/// A reader that takes nothing for so long has gone.
const PATIENCE: Duration = Duration::from_secs(30);

/// Streams until the limit of the filter, the end of the reader, or that of the process.
pub(super) async fn stream(
    node: &Node,
    session: &mut ServerSession,
    shutdown: &ShutdownWatch,
) -> pingora_core::Result<()> {
    let filter = match Filter::parse(session.req_header().uri.query().unwrap_or_default()) {
        Ok(filter) => filter,
        Err(why) => return write(session, page(StatusCode::BAD_REQUEST, TEXT, format!("{why}\n"))).await,
    };
    let Some(mut tapped) = node.live.tap.listen(filter) else {
        let busy = "too many listen already\n";
        return write(session, page(StatusCode::SERVICE_UNAVAILABLE, TEXT, busy)).await;
    };
    begin(session).await?;
    let mut shutdown = shutdown.clone();
    loop {
        let line = tokio::select! {
            line = tapped.next() => line,
            () = tokio::time::sleep(BEAT) => Some("\n".to_owned()),
            // A closed channel means that nobody can say stop any more: as good as a stop.
            _ = shutdown.wait_for(|stop| *stop) => None,
        };
        let Some(line) = line else { break };
        let writing = session.write_response_body(Bytes::from(line), false);
        match tokio::time::timeout(PATIENCE, writing).await {
            Ok(written) => written?,
            Err(_) => return Ok(()),
        }
    }
    session.write_response_body(Bytes::new(), true).await
}

async fn begin(session: &mut ServerSession) -> pingora_core::Result<()> {
    let response = http::Response::builder()
        .status(StatusCode::OK)
        .header(header::CONTENT_TYPE, "application/x-ndjson")
        .header(header::CACHE_CONTROL, "no-store")
        .header(header::TRANSFER_ENCODING, "chunked");
    // Never fails: names and values are constants.
    let (parts, ()) = response.body(()).unwrap_or_default().into_parts();
    session.write_response_header(Box::new(parts.into())).await
}
