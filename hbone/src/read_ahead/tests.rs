#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Hands out what it is asked for, and counts how often it was asked.
struct Counting {
    bytes: Vec<u8>,
    reads: usize,
}

impl AsyncRead for Counting {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.reads += 1;
        let taken = self.bytes.len().min(buf.remaining());
        buf.put_slice(&self.bytes[..taken]);
        self.bytes.drain(..taken);
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn small_reads_come_out_of_one() {
    let bytes: Vec<u8> = (0..40_000_u32).map(|n| n as u8).collect();
    let stream = Counting {
        bytes: bytes.clone(),
        reads: 0,
    };
    let mut reader = ReadAhead::new(stream);
    let mut got = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let read = reader.read(&mut piece).await.unwrap();
        got.extend_from_slice(&piece[..read]);
        if read == 0 {
            break;
        }
    }
    assert_eq!(got, bytes);
    // Two for the bytes, one for the end.
    assert!(reader.stream.reads <= 4, "{} reads", reader.stream.reads);
}

#[tokio::test]
async fn nothing_is_held_while_nothing_comes() {
    let (near, mut far) = tokio::io::duplex(64 * 1024);
    let mut reader = ReadAhead::new(near);
    far.write_all(b"hello").await.unwrap();
    let mut got = [0; 5];
    reader.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"hello");
    let pending = std::future::poll_fn(|cx| {
        let mut room = [0; 16];
        let polled = Pin::new(&mut reader).poll_read(cx, &mut ReadBuf::new(&mut room));
        Poll::Ready(polled.is_pending())
    });
    assert!(pending.await);
    assert_eq!(reader.ahead.capacity(), 0);
    reader.write_all(b"back").await.unwrap();
    far.read_exact(&mut got[..4]).await.unwrap();
    assert_eq!(&got[..4], b"back");
}
