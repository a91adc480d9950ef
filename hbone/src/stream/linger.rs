//! What is left of a tunnel after its owner dropped it: h2 throws queued data away with the last handle, so the handles
//! are kept until the data is written, and a little longer so that the peer can end its side cleanly.

use super::Halves;
use bytes::Bytes;
use h2::SendStream;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// How long queued data may take to be written. It fits the peer's window, so only the socket can be slow.
const WRITE_LIMIT: Duration = Duration::from_secs(30);

/// How long the peer has to end its side after ours ended. Then it gets RST_STREAM: CANCEL from a client, NO_ERROR from a
/// server (RFC 9113, 8.1).
const END_LIMIT: Duration = Duration::from_secs(2);

/// Queues END_STREAM; the receiver resolves when it, and thus all data before it, has been written.
pub(super) fn send_end(send: &mut SendStream<Bytes>) -> Result<oneshot::Receiver<()>, h2::Error> {
    let (written, is_written) = oneshot::channel();
    send.send_data(Bytes::from_owner(Last { _written: written }), true)?;
    Ok(is_written)
}

/// The empty payload of END_STREAM: h2 drops it once it is written, and the channel closes.
struct Last {
    _written: oneshot::Sender<()>,
}

impl AsRef<[u8]> for Last {
    fn as_ref(&self) -> &[u8] {
        &[]
    }
}

/// Keeps the handles for as long as they are needed. Without a runtime there is no connection task either: then the
/// handles just drop.
pub(super) fn spawn(halves: Halves, written: oneshot::Receiver<()>) {
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(linger(halves, written));
    }
}

async fn linger(mut halves: Halves, written: oneshot::Receiver<()>) {
    let _ = timeout(WRITE_LIMIT, written).await;
    // What still comes is not read by anyone: it is not given back to the window either, so it is one window at most.
    let _ = timeout(END_LIMIT, async { while let Some(Ok(_)) = halves.recv.data().await {} }).await;
}
