#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use super::*;
use crate::testing::{Ca, id};
use std::sync::{Arc, Mutex};
use tokio::time::Instant;

/// Signs for 1,000 s, except for the calls of these numbers; and notes when it was asked.
struct Script {
    ca: Ca,
    fails: std::ops::Range<usize>,
    valid_seconds: i64,
    asked: Arc<Mutex<Vec<Instant>>>,
}

impl Script {
    fn failing(fails: std::ops::Range<usize>) -> Self {
        Self {
            ca: Ca::new(),
            fails,
            valid_seconds: 1000,
            asked: Arc::default(),
        }
    }
}

impl Authority for Script {
    async fn sign(&self) -> Result<Identity, CertError> {
        let number = {
            let mut asked = self.asked.lock().unwrap();
            asked.push(Instant::now());
            asked.len() - 1
        };
        if self.fails.contains(&number) {
            return Err(CertError {
                file: "ca".to_owned(),
                reason: "away".to_owned(),
            });
        }
        let leaf = self.ca.leaf(&id("waypoint"), |params| {
            params.not_after = time::OffsetDateTime::now_utc() + time::Duration::seconds(self.valid_seconds);
        });
        Ok(leaf.identity(&self.ca))
    }
}

/// The waits between the calls, when it is followed until there were `calls` of them.
async fn waits(script: Script, calls: usize) -> (Vec<f64>, usize, Arc<Rotation<Script>>) {
    let asked = Arc::clone(&script.asked);
    let rotation = Arc::new(Rotation::start(script).await);
    let (watched, taken) = (Arc::clone(&rotation), Arc::new(Mutex::new(0)));
    let counted = Arc::clone(&taken);
    let task = tokio::spawn(async move { watched.watch(|_| *counted.lock().unwrap() += 1).await });
    while asked.lock().unwrap().len() < calls {
        sleep(Duration::from_millis(100)).await;
    }
    task.abort();
    let asked = asked.lock().unwrap();
    let waits = asked.windows(2).map(|two| (two[1] - two[0]).as_secs_f64()).collect();
    (waits, *taken.lock().unwrap(), rotation)
}

#[tokio::test(start_paused = true)]
async fn the_next_is_asked_for_at_half_of_the_time() {
    let (waits, taken, _) = waits(Script::failing(0..0), 4).await;
    for wait in &waits {
        assert!((445.0..=551.0).contains(wait), "{waits:?}");
    }
    assert!(taken >= 2, "{taken}");
}

#[tokio::test(start_paused = true)]
async fn the_first_is_waited_for_however_long_it_takes() {
    let begun = Instant::now();
    let (waits, ..) = waits(Script::failing(0..8), 9).await;
    for (wait, expected) in waits.iter().zip([1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]) {
        assert!((expected * 0.89..=expected * 1.11).contains(wait), "{waits:?}");
    }
    assert!(begun.elapsed() > Duration::from_secs(100));
}

#[tokio::test(start_paused = true)]
async fn while_there_is_none_the_last_stays_and_the_waits_start_again_after() {
    let (waits, taken, rotation) = waits(Script::failing(1..4), 6).await;
    for (wait, expected) in waits.iter().zip([500.0, 1.0, 2.0, 4.0, 500.0]) {
        assert!((expected * 0.89..=expected * 1.11).contains(wait), "{waits:?}");
    }
    assert!(taken >= 1, "{taken}");
    assert!(rotation.current().is_valid_at(SystemTime::now()));
}

#[tokio::test(start_paused = true)]
async fn the_last_stays_while_the_authority_is_away() {
    let (_, taken, rotation) = waits(Script::failing(1..usize::MAX), 5).await;
    assert_eq!(taken, 0);
    assert_eq!(rotation.current().id.as_str(), id("waypoint"));
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_hardly_lives_is_no_busy_loop() {
    let script = Script {
        valid_seconds: -5,
        ..Script::failing(0..0)
    };
    let (waits, ..) = waits(script, 4).await;
    assert!(waits.iter().all(|wait| *wait >= 1.0), "{waits:?}");
}

#[test]
fn one_that_lives_long_is_renewed_daily() {
    let ca = Ca::new();
    let identity = ca.identity("waypoint");
    assert_eq!(renewal(&identity, SystemTime::UNIX_EPOCH), BETWEEN.1);
}
