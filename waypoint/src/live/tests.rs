//! A finished request is counted without an allocation, once its rule has been used.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::testing::Sample;
use super::{Finished, Live};
use mesh::{Files, Scope};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

#[test]
fn counting_allocates_nothing() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/explain/mesh");
    let snapshot = Files::load(vec![folder], Scope::default())
        .unwrap()
        .snapshot
        .load_full();
    let rule = snapshot
        .service_ports()
        .iter()
        .flat_map(|port| port.all_rules())
        .find(|rule| rule.backends.len() == 2)
        .unwrap();
    let live = Live::default();
    live.published(&snapshot, &[]);
    let sample = Sample::default();
    let edge = live.edges.of(&sample.source, &sample.service, 80);
    let outcome = sample.outcome(503, "UH", Duration::from_millis(3));
    let finished = Finished {
        outcome: &outcome,
        rule: Some(rule),
        backend: Some(1),
        head: None,
    };
    // The first ones are kept to be looked at; a flood is only counted.
    (0..200).for_each(|_| live.seen(&edge, &finished));
    let measured = allocation_counter::measure(|| (0..100).for_each(|_| live.seen(&edge, &finished)));
    assert_eq!(measured.count_total, 0);

    // Counts outlive a config that says the same.
    live.published(&snapshot, &[]);
    let told = live.rules.told();
    let told: Vec<&Value> = told.iter().filter(|rule| rule["requests"] != 0).collect();
    assert_eq!(told.len(), 1);
    assert_eq!(
        (told[0]["requests"].as_u64(), told[0]["errors"].as_u64()),
        (Some(300), Some(300))
    );
    assert_eq!(told[0]["flags"]["UH"], 300);
    let backends = &told[0]["backends"];
    assert_eq!(
        (backends[0]["requests"].as_u64(), backends[1]["requests"].as_u64()),
        (Some(0), Some(300))
    );
    assert_eq!(backends[1]["measuredPercent"], 100.0);
    assert_eq!(live.edges.told()[0]["requests"], 300);
}

#[test]
fn denials_keep_the_last() {
    let live = Live::default();
    live.denied("p", "demo/a", || "GET /x".to_owned());
    live.denied("p", "demo/b", || "GET /y".to_owned());
    let told = live.verdicts.denials();
    assert_eq!(
        (told[0]["denials"].as_u64(), told[0]["last"]["client"].as_str()),
        (Some(2), Some("demo/b"))
    );
    assert!(told[0]["last"]["atMs"].as_u64().unwrap() > 0);
}
