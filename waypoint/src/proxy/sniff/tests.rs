#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use super::*;
use tokio::io::AsyncWriteExt;

/// An empty SETTINGS frame.
const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";

async fn told(pieces: &[&[u8]], declared: bool) -> (Spoken, usize) {
    let (mut client, mut server) = tokio::io::duplex(1024);
    let pieces: Vec<Vec<u8>> = pieces.iter().map(|piece| piece.to_vec()).collect();
    let writer = tokio::spawn(async move {
        for piece in pieces {
            client.write_all(&piece).await.unwrap();
            tokio::task::yield_now().await;
        }
        client
    });
    let drain = Drain::new();
    let (spoken, first) = if declared {
        http(&mut server, &drain).await
    } else {
        any(&mut server, &drain).await
    }
    .unwrap();
    drop(writer.await.unwrap());
    (spoken, first.len())
}

#[tokio::test(start_paused = true)]
async fn versions_are_told_however_the_bytes_come() {
    for declared in [true, false] {
        assert_eq!(told(&[b"GET / HTTP/1.1\r\n"], declared).await.0, Spoken::Http1);
        assert_eq!(told(&[PREFACE, SETTINGS], declared).await.0, Spoken::Http2);
        let pieces: &[&[u8]] = &[
            b"P",
            b"RI * HT",
            b"TP/2.0\r\n\r\nSM\r\n\r\n",
            b"\0\0",
            b"\0\x04\0\0\0\0\0",
        ];
        assert_eq!(told(pieces, declared).await.0, Spoken::Http2);
        // A request that begins like the preface and is not it.
        assert_eq!(
            told(&[b"PR", b"OPFIND / HTTP/1.1\r\n"], declared).await.0,
            Spoken::Http1
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_undeclared_port_carries_bytes() {
    assert_eq!(told(&[b"\x16\x03\x01"], false).await, (Spoken::Bytes, 3));
    assert_eq!(told(&[b"EHLO", b" mail\r\n"], false).await.0, Spoken::Bytes);
    assert_eq!(
        told(&[b"GET"], false).await.0,
        Spoken::Bytes,
        "ten seconds without a target"
    );
}

#[tokio::test(start_paused = true)]
async fn a_server_that_speaks_first_is_not_kept_waiting() {
    let (client, mut server) = tokio::io::duplex(64);
    let before = tokio::time::Instant::now();
    let (spoken, _) = any(&mut server, &Drain::new()).await.unwrap();
    assert_eq!(spoken, Spoken::Bytes);
    assert_eq!(before.elapsed(), SERVER_FIRST);
    drop(client);
}

#[tokio::test(start_paused = true)]
async fn a_preface_without_settings_is_not_waited_for_long() {
    let (mut client, mut server) = tokio::io::duplex(64);
    client.write_all(PREFACE).await.unwrap();
    let before = tokio::time::Instant::now();
    let error = http(&mut server, &Drain::new()).await.unwrap_err();
    assert_eq!((error.kind(), before.elapsed()), (io::ErrorKind::TimedOut, SLOW));
}
