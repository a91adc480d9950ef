//! The bounds of everything a peer can make grow.

/// Bounds of one connection. All are enforced; the defaults suit a mesh.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a head, its first line and last empty line included. Default 64 KiB.
    pub head_bytes: usize,
    /// Header lines in a head, and trailer lines in a trailer section. Default 100, at most [`Limits::MOST_HEADERS`].
    pub headers: usize,
    /// Bytes of a trailer section. Default 16 KiB.
    pub trailer_bytes: usize,
    /// Bytes of chunk extensions in one body; they are read and dropped. Default 16 KiB.
    pub chunk_extension_bytes: usize,
    /// Interim (1xx) responses to one request. Default 100.
    pub interim_responses: usize,
    /// Bytes kept of a pipelined next request while the current one is being answered. Default 8 KiB.
    pub read_ahead: usize,
    /// Unsent bytes at which [`poll_ready`](super::ServerConn::poll_ready) begins to wait. Default 64 KiB.
    pub write_buffer: usize,
}

impl Limits {
    /// The ceiling of [`Limits::headers`]; higher settings mean this one.
    pub const MOST_HEADERS: usize = 256;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes: 64 << 10,
            headers: 100,
            trailer_bytes: 16 << 10,
            chunk_extension_bytes: 16 << 10,
            interim_responses: 100,
            read_ahead: 8 << 10,
            write_buffer: 64 << 10,
        }
    }
}
