#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::pool::testing::PipePool;
use crate::testing::{Ca, TestServer, echo};
use crate::{Connect, PoolConfig, ServerConfig};
use std::future::poll_fn;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

const _: () = {
    const fn is_a_stream<T: AsyncRead + AsyncWrite + Unpin + Send + Sync + 'static>() {}
    is_a_stream::<TunnelStream>();
};

/// Both ends of tunnels: what the pool dialled, and what the server accepted.
struct Ends {
    pool: PipePool,
    accepted: mpsc::UnboundedReceiver<TunnelStream>,
}

impl Ends {
    fn new() -> Self {
        let ca = Ca::new();
        let server = TestServer::new(ca.certs("server"), ServerConfig::default());
        let (accept, accepted) = mpsc::unbounded_channel();
        let pool = server.pool(ca.certs("client"), PoolConfig::default(), move |connect: Connect| {
            accept.send(connect.accept().unwrap()).unwrap();
        });
        Self { pool, accepted }
    }

    async fn tunnel(&mut self) -> (TunnelStream, TunnelStream) {
        let near = self.pool.dial().await.unwrap();
        (near, self.accepted.recv().await.unwrap())
    }

    /// The dialled end first, or the accepted one.
    async fn directed(&mut self, swap: bool) -> (TunnelStream, TunnelStream) {
        let (near, far) = self.tunnel().await;
        if swap { (far, near) } else { (near, far) }
    }
}

fn pattern(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at % 251) as u8).collect()
}

#[tokio::test(start_paused = true)]
async fn half_closes_pass_both_ways() {
    let mut ends = Ends::new();
    let (mut near, mut far) = ends.tunnel().await;
    near.write_all(b"question").await.unwrap();
    near.shutdown().await.unwrap();
    let mut question = Vec::new();
    far.read_to_end(&mut question).await.unwrap();
    assert_eq!(question, b"question");
    far.write_all(b"answer").await.unwrap();
    far.shutdown().await.unwrap();
    let mut answer = Vec::new();
    near.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"answer");
    assert_eq!(near.write(b"late").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
}

/// The client's side: h2 would reset with CANCEL and throw queued data away.
#[tokio::test(start_paused = true)]
async fn a_client_dropped_without_shutdown_delivers_everything_and_a_clean_end() {
    let mut ends = Ends::new();
    let (mut near, mut far) = ends.tunnel().await;
    let sent = pattern(200_000);
    near.write_all(&sent).await.unwrap();
    drop(near);
    let mut received = Vec::new();
    far.read_to_end(&mut received).await.unwrap();
    assert!(received == sent, "{} of {} bytes", received.len(), sent.len());
    // The way back is still open for a while.
    far.write_all(b"thanks").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_server_dropped_without_shutdown_delivers_everything_and_a_clean_end() {
    let mut ends = Ends::new();
    let (mut near, mut far) = ends.tunnel().await;
    let sent = pattern(200_000);
    far.write_all(&sent).await.unwrap();
    drop(far);
    let mut received = Vec::new();
    near.read_to_end(&mut received).await.unwrap();
    assert!(received == sent, "{} of {} bytes", received.len(), sent.len());
}

/// The window is full of written data and the peer reads it only long after the drop.
#[tokio::test(start_paused = true)]
async fn a_slow_reader_still_gets_what_was_written_before_the_drop() {
    let mut ends = Ends::new();
    let (mut near, mut far) = ends.tunnel().await;
    let sent = pattern(256 * 1024);
    near.write_all(&sent).await.unwrap();
    near.shutdown().await.unwrap();
    drop(near);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let mut received = Vec::new();
    // The peer has been told by then that nobody reads its answers; what it received is whole.
    let _ = far.read_to_end(&mut received).await;
    assert!(received == sent, "{} of {} bytes", received.len(), sent.len());
}

/// A peer that does not end its side does not hold the stream for ever.
#[tokio::test(start_paused = true)]
async fn a_dropped_tunnel_ends_although_the_peer_goes_on() {
    let mut ends = Ends::new();
    let (near, mut far) = ends.tunnel().await;
    drop(near);
    let begun = tokio::time::Instant::now();
    loop {
        if far.write_all(&[0; 1024]).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_reset_on_purpose_is_an_error_at_the_peer() {
    let mut ends = Ends::new();
    let (mut near, mut far) = ends.tunnel().await;
    near.reset(Reason::INTERNAL_ERROR);
    let error = far.read(&mut [0; 16]).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert!(far.write_all(b"x").await.is_err());
}

#[tokio::test(start_paused = true)]
async fn cancel_is_an_end_only_after_data() {
    let mut ends = Ends::new();
    let (mut near, mut far) = ends.tunnel().await;
    near.write_all(b"some").await.unwrap();
    let mut some = [0; 4];
    far.read_exact(&mut some).await.unwrap();
    near.reset(Reason::CANCEL);
    assert_eq!(far.read(&mut [0; 16]).await.unwrap(), 0);

    let (mut near, mut far) = ends.tunnel().await;
    near.reset(Reason::CANCEL);
    assert!(far.read(&mut [0; 16]).await.is_err());

    let (mut near, mut far) = ends.tunnel().await;
    near.reset(Reason::NO_ERROR);
    assert_eq!(far.read(&mut [0; 16]).await.unwrap(), 0);
}

/// Writing waits for the reader: a window in the peer's hands and a send buffer in ours, and not a byte more.
#[tokio::test(start_paused = true)]
async fn what_is_in_flight_is_bounded() {
    let mut ends = Ends::new();
    let (mut near, mut far) = ends.tunnel().await;
    let mut sent = 0;
    let chunk = vec![7; 16 * 1024];
    while let Ok(written) = tokio::time::timeout(Duration::from_secs(1), near.write(&chunk)).await {
        sent += written.unwrap();
    }
    let window = ServerConfig::default().stream_window as usize;
    assert!(sent >= window && sent <= window + SEND_BUFFER_BYTES, "{sent}");
    // Reading gives room again.
    let mut read = vec![0; window];
    far.read_exact(&mut read).await.unwrap();
    tokio::time::timeout(Duration::from_secs(1), near.write_all(&chunk))
        .await
        .unwrap()
        .unwrap();
}

/// Ninety-nine streams whose readers sleep, on one connection: the hundredth goes on at full speed. Both ways.
#[tokio::test(start_paused = true)]
async fn stalled_readers_do_not_stall_their_neighbours() {
    for swap in [false, true] {
        let mut ends = Ends::new();
        let mut stalled = Vec::new();
        for _ in 0..99 {
            let (mut writer, reader) = ends.directed(swap).await;
            let filling = async {
                let chunk = vec![1; 64 * 1024];
                while writer.write_all(&chunk).await.is_ok() {}
            };
            let _ = tokio::time::timeout(Duration::from_millis(10), filling).await;
            stalled.push((writer, reader));
        }
        let (mut writer, mut reader) = ends.directed(swap).await;
        assert_eq!(ends.pool.pool.connections(), 1);
        let sent = pattern(2_000_000);
        let expected = sent.clone();
        let writing = tokio::spawn(async move {
            writer.write_all(&sent).await.unwrap();
            writer.shutdown().await.unwrap();
            writer
        });
        let mut received = Vec::new();
        tokio::time::timeout(Duration::from_secs(10), reader.read_to_end(&mut received))
            .await
            .unwrap()
            .unwrap();
        assert!(received == expected);
        writing.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn sixty_four_mebibytes_come_back_unchanged() {
    let ca = Ca::new();
    let server = TestServer::new(ca.certs("server"), ServerConfig::default());
    let pool = server.pool(ca.certs("client"), PoolConfig::default(), echo);
    let (mut read, mut write) = tokio::io::split(pool.dial().await.unwrap());
    const CHUNK: usize = 100_003;
    const CHUNKS: usize = 64 * 1024 * 1024 / CHUNK;
    let writing = tokio::spawn(async move {
        let chunk = pattern(CHUNK);
        for _ in 0..CHUNKS {
            write.write_all(&chunk).await.unwrap();
        }
        write.shutdown().await.unwrap();
        write
    });
    let expected = pattern(CHUNK);
    let mut chunk = vec![0; CHUNK];
    for _ in 0..CHUNKS {
        read.read_exact(&mut chunk).await.unwrap();
        assert!(chunk == expected);
    }
    assert_eq!(read.read(&mut chunk).await.unwrap(), 0);
    writing.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn pieces_pass_without_copies() {
    let mut ends = Ends::new();
    let (mut near, mut far) = ends.tunnel().await;
    let mut data = Bytes::from(pattern(300_000));
    let whole = data.clone();
    let writing = tokio::spawn(async move {
        while !data.is_empty() {
            poll_fn(|cx| near.poll_write_bytes(cx, &mut data)).await.unwrap();
        }
        near.shutdown().await.unwrap();
        near
    });
    let mut received = Vec::new();
    while let Some(chunk) = poll_fn(|cx| far.poll_read_bytes(cx)).await {
        received.extend_from_slice(&chunk.unwrap());
    }
    assert!(received == whole);
    assert!(far.is_read_ended());
    writing.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_broken_connection_is_an_error_not_an_end() {
    let ca = Ca::new();
    let server = TestServer::new(ca.certs("server"), ServerConfig::default());
    let (pipes, mut serving) = mpsc::unbounded_channel();
    let pool = {
        let server = server.clone();
        PipePool::new(PoolConfig::default(), ca.certs("client"), move |io| {
            pipes.send(server.serve(io, echo)).unwrap();
        })
    };
    let mut tunnel = pool.dial().await.unwrap();
    tunnel.write_all(b"x").await.unwrap();
    tunnel.read_exact(&mut [0]).await.unwrap();
    serving.recv().await.unwrap().abort();
    assert_eq!(
        tunnel.read(&mut [0; 16]).await.unwrap_err().kind(),
        io::ErrorKind::ConnectionReset
    );
    assert!(tunnel.write_all(b"x").await.is_err());
}
