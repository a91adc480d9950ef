#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn half_closes_and_counts_pass_through() {
    let (mut left, a) = tokio::io::duplex(64);
    let (b, mut right) = tokio::io::duplex(64);
    let splicing = tokio::spawn(splice(a, b));
    left.write_all(b"question").await.unwrap();
    left.shutdown().await.unwrap();
    let mut question = Vec::new();
    right.read_to_end(&mut question).await.unwrap();
    assert_eq!(question, b"question");
    assert!(!splicing.is_finished());
    right.write_all(&[1; 1000]).await.unwrap();
    right.shutdown().await.unwrap();
    let mut answer = Vec::new();
    left.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer.len(), 1000);
    assert_eq!(splicing.await.unwrap().unwrap(), (8, 1000));
}
