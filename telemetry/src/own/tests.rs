#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::Format;
use crate::metrics::Exposition;

fn text(own: &OwnMetrics) -> String {
    let mut text = String::new();
    own.expose(&mut Exposition::new(&mut text, Format::Text)).unwrap();
    text
}

#[test]
fn labelled_counters_keep_their_labels_apart() {
    let own = OwnMetrics::default();
    for result in ["timeout", "ok", "refused", "ok"] {
        own.dial(result);
    }
    own.refusal("no_route");
    let text = text(&own);
    for line in [
        "waypoint_dials_total{result=\"ok\"} 2",
        "waypoint_dials_total{result=\"refused\"} 1",
        "waypoint_dials_total{result=\"timeout\"} 1",
        "waypoint_refusals_total{reason=\"no_route\"} 1",
    ] {
        assert!(text.contains(&format!("{line}\n")), "{line}\n{text}");
    }
    assert!(
        !text.contains("waypoint_handshakes_total"),
        "an empty family is left out"
    );
}

#[test]
fn labels_that_come_at_once_lose_no_count() {
    const RESULTS: [&str; 4] = ["ok", "timeout", "refused", "reset"];
    let own = OwnMetrics::default();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let own = &own;
            scope.spawn(move || (0..4_000).for_each(|n| own.dial(RESULTS[(n + thread) % RESULTS.len()])));
        }
    });
    let text = text(&own);
    for result in RESULTS {
        let line = format!("waypoint_dials_total{{result=\"{result}\"}} 8000\n");
        assert_eq!(text.matches(&line).count(), 1, "{result}\n{text}");
    }
}

#[test]
fn names_from_configuration_are_bounded() {
    let own = OwnMetrics::default();
    for number in 0..Named::LIMIT + 500 {
        own.denial(&format!("ns/policy-{number}"));
    }
    let text = text(&own);
    assert_eq!(text.matches("waypoint_policy_denials_total{").count(), Named::LIMIT + 1);
    assert!(text.contains("waypoint_policy_denials_total{policy=\"overflow\"} 500\n"));
    own.denial("ns/policy-0");
    assert!(
        self::text(&own).contains("{policy=\"ns/policy-0\"} 2\n"),
        "known ones are still told apart"
    );
}

#[test]
fn weights_are_replaced() {
    let own = OwnMetrics::default();
    let weight = |backend: &str| BackendWeight {
        route: "r".into(),
        backend: backend.into(),
        weight: 5,
    };
    own.set_weights(vec![weight("stale")]);
    own.set_weights(vec![weight("fresh")]);
    let text = text(&own);
    assert!(text.contains("waypoint_backend_weight{route=\"r\",backend=\"fresh\"} 5\n") && !text.contains("stale"));
}
