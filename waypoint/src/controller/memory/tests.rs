#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use serde_json::json;
use tokio::time::advance;

fn seen(version: &str, shadow: Value) -> Sight {
    Sight {
        version: Some(version.to_owned()),
        shadow: Some(shadow),
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_written_is_not_written_again() {
    let mut memory = Memory::default();
    let wanted = json!({ "cpu": "1000m" });
    assert_eq!(memory.next("a", &wanted, &Sight::default()), Next::Write);
    // The server has its own way of writing it.
    let kept = seen("7", json!({ "cpu": "1" }));
    memory.wrote("a", &Sight::default(), &kept);
    assert_eq!(
        memory.next("a", &wanted, &Sight::default()),
        Next::Wait,
        "the watch has not told yet"
    );
    assert_eq!(memory.next("a", &wanted, &kept), Next::Nothing);
    assert_eq!(
        memory.next("a", &wanted, &seen("8", json!({ "cpu": "1" }))),
        Next::Nothing,
        "another's field"
    );
    assert_eq!(
        memory.next("a", &json!({ "cpu": "2" }), &kept),
        Next::Write,
        "something new"
    );
}

#[tokio::test(start_paused = true)]
async fn what_others_undo_is_written_ever_more_seldom() {
    let mut memory = Memory::default();
    let wanted = json!(1);
    let (ours, theirs) = (json!(1), json!(2));
    let mut version = 0;
    let mut pauses = Vec::new();
    assert_eq!(memory.next("a", &wanted, &seen("0", theirs.clone())), Next::Write);
    memory.wrote("a", &seen("0", theirs.clone()), &seen("1", ours.clone()));
    for _ in 0..4 {
        version += 2;
        let undone = seen(&version.to_string(), theirs.clone());
        let mut pause = 0;
        while memory.next("a", &wanted, &undone) != Next::Write {
            advance(Duration::from_millis(500)).await;
            pause += 500;
        }
        pauses.push(pause);
        // It is as it should be for a look.
        memory.begin();
        memory.end();
        memory.wrote("a", &undone, &seen(&(version + 1).to_string(), ours.clone()));
    }
    assert_eq!(pauses, [0, 2000, 4000, 8000]);
}

#[tokio::test(start_paused = true)]
async fn a_failure_waits_and_is_told_once() {
    let mut memory = Memory::default();
    let wanted = json!(1);
    assert_eq!(memory.next("a", &wanted, &Sight::default()), Next::Write);
    assert!(memory.failed("a", "denied"));
    assert_eq!(memory.next("a", &wanted, &Sight::default()), Next::Wait);
    assert_eq!(memory.why("a"), Some("denied"));
    assert_eq!(memory.waiting(), 1);
    assert!(memory.wake().is_some());
    advance(FIRST).await;
    assert_eq!(memory.next("a", &wanted, &Sight::default()), Next::Write);
    assert!(!memory.failed("a", "denied"));
    advance(FIRST).await;
    assert_eq!(
        memory.next("a", &wanted, &Sight::default()),
        Next::Wait,
        "twice as long"
    );
    memory.begin();
    assert_eq!(memory.end(), None, "nobody asked about it: it is forgotten");
}
