#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use super::*;
use tokio::time::{Instant, sleep};

#[tokio::test(start_paused = true)]
async fn the_end_waits_for_the_last_words_and_not_for_ever() {
    let (ended, mut listening) = watch::channel(false);
    let begin = Instant::now();
    tokio::spawn(async move {
        listening.wait_for(|ended| *ended).await.unwrap();
        sleep(Duration::from_secs(1)).await;
    });
    last_words(&ended).await;
    assert_eq!(begin.elapsed(), Duration::from_secs(1));

    let (ended, _listening) = watch::channel(false);
    let begin = Instant::now();
    last_words(&ended).await;
    assert_eq!(begin.elapsed(), LAST_WORDS);
}
