#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn the_first_bytes_come_first_and_all_are_counted() {
    let (near, mut far) = tokio::io::duplex(64);
    let mut primed = Primed::new(BytesMut::from(&b"first"[..]), near);
    far.write_all(b"second").await.unwrap();
    let mut got = [0; 11];
    primed.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"firstsecond");
    primed.write_all(b"answer").await.unwrap();
    assert_eq!((primed.read(), primed.written()), (11, 6));
}
