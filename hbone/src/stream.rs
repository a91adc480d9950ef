//! A CONNECT stream as a byte stream: end-to-end back-pressure, END_STREAM on shutdown and on drop.

/// One tunnel. `AsyncRead + AsyncWrite + Unpin + Send + Sync + 'static`.
///
/// `poll_write` waits for flow-control capacity and hands data to h2; `poll_shutdown` sends END_STREAM (a half-close);
/// Drop without shutdown still delivers what was written and ends the stream. RST NO_ERROR/CANCEL after data reads as EOF.
pub struct TunnelStream {
    _private: (),
}
