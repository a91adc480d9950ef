//! Two byte streams joined: what a TCP port needs of a tunnel.

use std::io;
use tokio::io::{AsyncRead, AsyncWrite};

/// Copy buffer of each direction, per splice.
const BUFFER_BYTES: usize = 16 * 1024;

/// Copies both ways until both sides have ended; a half-close on one side is passed to the other. Returns the bytes
/// copied from `a` to `b` and from `b` to `a`.
///
/// # Errors
/// The first error of either side. Bytes in flight are then lost, as with a broken TCP connection.
pub async fn splice<A, B>(mut a: A, mut b: B) -> io::Result<(u64, u64)>
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    tokio::io::copy_bidirectional_with_sizes(&mut a, &mut b, BUFFER_BYTES, BUFFER_BYTES).await
}

#[cfg(test)]
mod tests;
