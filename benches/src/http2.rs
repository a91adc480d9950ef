//! Bodies over HTTP/2, both ways, and what both sides of a load agree on.

use bytes::Bytes;
use h2::{RecvStream, SendStream};
use std::future::poll_fn;

/// A stream may hold this much, a connection four times as much.
pub(crate) const WINDOW_BYTES: u32 = 1024 * 1024;
/// Length and compression flag before a gRPC message.
pub(crate) const PREFIX_BYTES: u64 = 5;

/// Sends a body as the windows let it, and the end of the stream when nothing follows.
pub(crate) async fn send(stream: &mut SendStream<Bytes>, mut body: Bytes, is_last: bool) -> Result<(), h2::Error> {
    while !body.is_empty() {
        stream.reserve_capacity(body.len());
        let room = poll_fn(|cx| stream.poll_capacity(cx)).await;
        let Some(room) = room.transpose()? else { return Ok(()) };
        let piece = body.split_to(room.min(body.len()));
        stream.send_data(piece, is_last && body.is_empty())?;
    }
    Ok(())
}

/// Reads a body to its end and tells its length.
pub(crate) async fn drain(stream: &mut RecvStream) -> Result<u64, h2::Error> {
    let mut length = 0_u64;
    while let Some(data) = stream.data().await {
        let data = data?;
        length = length.saturating_add(data.len() as u64);
        stream.flow_control().release_capacity(data.len())?;
    }
    Ok(length)
}
