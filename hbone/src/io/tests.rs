#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use bytes::Bytes;
use std::future::poll_fn;
use std::sync::atomic::AtomicUsize;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::broadcast;

/// A pipe that counts the writes made to it.
struct Counting {
    pipe: DuplexStream,
    writes: Arc<AtomicUsize>,
}

impl AsyncRead for Counting {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counting {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.writes.fetch_add(1, Ordering::SeqCst);
        Pin::new(&mut self.pipe).poll_write(cx, data)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_shutdown(cx)
    }
}

const STREAMS: usize = 32;
const ROUNDS: usize = 20;

/// Every stream answers in every round; how many writes does the server's connection make?
async fn writes_of_a_server(requeue: bool, payload: usize) -> usize {
    let (near, far) = tokio::io::duplex(4 * 1024 * 1024);
    let writes = Arc::<AtomicUsize>::default();
    let wire = Wire::new(
        Counting {
            pipe: far,
            writes: Arc::clone(&writes),
        },
        Activity::new(),
    );
    let (go, _) = broadcast::channel::<()>(1);
    tokio::spawn(serve(wire, go.clone(), payload, requeue));
    let (send, connection) = h2::client::Builder::new()
        .initial_window_size(1 << 24)
        .initial_connection_window_size(1 << 24)
        .handshake::<_, Bytes>(near)
        .await
        .unwrap();
    tokio::spawn(connection);
    let mut bodies = Vec::new();
    for _ in 0..STREAMS {
        let mut send = send.clone().ready().await.unwrap();
        let request = http::Request::builder().uri("http://x/").body(()).unwrap();
        bodies.push(send.send_request(request, true).unwrap().0.await.unwrap().into_body());
    }
    let before = writes.load(Ordering::SeqCst);
    for _ in 0..ROUNDS {
        go.send(()).unwrap();
        for body in &mut bodies {
            let mut received = 0;
            while received < payload {
                let data = body.data().await.unwrap().unwrap();
                received += data.len();
                body.flow_control().release_capacity(data.len()).unwrap();
            }
        }
    }
    writes.load(Ordering::SeqCst) - before
}

async fn serve(wire: Wire<Counting>, go: broadcast::Sender<()>, payload: usize, requeue: bool) {
    let cork = wire.cork();
    let mut connection = h2::server::handshake(wire).await.unwrap();
    let mut accept = move |cx: &mut Context<'_>| {
        while let Poll::Ready(request) = connection.poll_accept(cx) {
            let Some(Ok((_, mut respond))) = request else {
                return Poll::Ready(());
            };
            let mut body = respond.send_response(http::Response::new(()), false).unwrap();
            let mut go = go.subscribe();
            tokio::spawn(async move {
                while go.recv().await.is_ok() {
                    body.send_data(Bytes::from(vec![1; payload]), false).unwrap();
                }
            });
        }
        Poll::Pending
    };
    let poll = poll_fn(move |cx| cork.around(cx, &mut accept));
    if requeue {
        RequeueOnce::new(poll).await
    } else {
        poll.await
    }
}

/// On one worker, where a woken task runs before those that wait (as Tokio's does): each stream's frame would leave alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn requeueing_makes_one_write_of_many() {
    let plain = tokio::spawn(writes_of_a_server(false, 100)).await.unwrap();
    let requeued = tokio::spawn(writes_of_a_server(true, 100)).await.unwrap();
    println!("{STREAMS} streams, {ROUNDS} rounds: {plain} writes, requeued {requeued}");
    assert!(requeued * 3 <= plain, "{requeued} of {plain}");
}

/// Frames too large for h2's own buffer: it flushes each of them alone, head and payload apart.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn large_frames_share_writes() {
    let writes = tokio::spawn(writes_of_a_server(true, 4096)).await.unwrap();
    println!("{STREAMS} streams, {ROUNDS} rounds of 4 KiB: {writes} writes");
    // 32 frames of 4 KiB are 128 KiB: five times what is gathered.
    assert!(writes <= 6 * ROUNDS, "{writes}");
}

#[tokio::test(start_paused = true)]
async fn what_is_written_arrives_in_order_whatever_the_sizes() {
    let (near, mut far) = tokio::io::duplex(100);
    let mut wire = Wire::new(near, Activity::new());
    assert!(!wire.is_write_vectored());
    let sizes = [
        1,
        100,
        OUT_LIMIT_BYTES,
        5,
        OUT_LIMIT_BYTES + 1,
        3,
        OUT_LIMIT_BYTES * 3,
        7,
    ];
    let sent: Vec<u8> = (0..sizes.iter().sum::<usize>()).map(|at| (at % 253) as u8).collect();
    let expected = sent.clone();
    let writing = tokio::spawn(async move {
        let mut rest = sent.as_slice();
        for size in sizes {
            let (now, later) = rest.split_at(size);
            wire.write_all(now).await.unwrap();
            rest = later;
        }
        wire.flush().await.unwrap();
        wire
    });
    let mut received = vec![0; expected.len()];
    far.read_exact(&mut received).await.unwrap();
    assert!(received == expected);
    writing.await.unwrap();
}

/// A write that fails when nobody asks: the connection hears of it.
#[tokio::test(start_paused = true)]
async fn a_failed_flush_is_not_lost() {
    let (near, far) = tokio::io::duplex(64);
    let mut wire = Wire::new(near, Activity::new());
    let cork = wire.cork();
    drop(far);
    let mut polls = 0;
    let error = poll_fn(|cx| {
        polls += 1;
        cork.around(cx, |cx| match Pin::new(&mut wire).poll_write(cx, b"x") {
            Poll::Ready(Err(error)) => Poll::Ready(error),
            _ => Poll::Pending,
        })
    })
    .await;
    assert_eq!((error.kind(), polls), (io::ErrorKind::BrokenPipe, 2));
}

#[tokio::test(start_paused = true)]
async fn closing_waits_a_moment_for_the_peer() {
    for (peer_closes, longest) in [(true, Duration::from_millis(300)), (false, LINGER)] {
        let (near, mut far) = tokio::io::duplex(1024);
        let mut wire = Wire::new(near, Activity::new());
        wire.write_all(b"bye").await.unwrap();
        let begun = Instant::now();
        let closing = tokio::spawn(async move { wire.shutdown().await.map(|()| begun.elapsed()) });
        let mut said = Vec::new();
        far.read_to_end(&mut said).await.unwrap();
        assert_eq!(said, b"bye");
        tokio::time::sleep(Duration::from_millis(300)).await;
        far.write_all(b"a late word").await.unwrap();
        if peer_closes {
            far.shutdown().await.unwrap();
        }
        let took = closing.await.unwrap().unwrap();
        assert!(took.abs_diff(longest) < Duration::from_millis(5), "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn activity_is_what_was_received() {
    let (near, mut far) = tokio::io::duplex(1024);
    let activity = Activity::new();
    let begun = Instant::now();
    let mut wire = Wire::new(near, Arc::clone(&activity));
    tokio::time::sleep(Duration::from_secs(5)).await;
    wire.write_all(b"x").await.unwrap();
    wire.flush().await.unwrap();
    assert_eq!(activity.last_received(), begun);
    far.write_all(b"12345").await.unwrap();
    wire.read_exact(&mut [0; 5]).await.unwrap();
    assert_eq!(activity.last_received(), begun + Duration::from_secs(5));
    assert_eq!(activity.received_bytes(), 5);
}
