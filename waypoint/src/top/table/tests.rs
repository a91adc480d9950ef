//! The table of two moments.

#![allow(clippy::unwrap_used)]

use super::render;
use crate::explain::Paint;
use serde_json::{Value, json};

fn moment(at_ms: u64, v1: u64, v2: u64) -> Value {
    let backend = |name: &str, wanted: u32, requests: u64| {
        json!({ "name": name, "wantedPercent": wanted, "measuredPercent": 50.0, "requests": requests,
            "flags": {}, "durations": [[1_000, requests]] })
    };
    json!({
        "atMs": at_ms, "generation": 3, "tunnels": 2, "requestsInFlight": 1, "upstreamConnections": 4, "draining": false,
        "rules": [
            { "rule": "demo/reviews/canary", "kind": "HTTPRoute", "requests": v1 + v2, "flags": { "UH": v2 },
              "durations": [[1_000, v1], [9_000, v2]], "backends": [backend("v1:80", 90, v1), backend("v2:80", 10, v2)] },
            { "rule": "unused", "kind": "HTTPRoute", "requests": 0, "backends": [] },
        ],
        "edges": [{ "sourceNamespace": "demo", "sourceWorkload": "curl", "service": "reviews", "port": 80, "requests": v1 }],
        "denials": [{ "policy": "p", "denials": 7, "last": { "client": "demo/curl", "request": "GET /admin" } }],
    })
}

#[test]
fn rates_and_shares_are_those_between_the_moments() {
    let text = render(&moment(1_000, 10, 10), &moment(3_000, 100, 20), Paint(false));
    let lines: Vec<String> = text
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(
        lines,
        [
            "config 3 tunnels 2 in flight 1 upstream connections 4",
            "",
            "rule / backend req/s total wanted measured p50 ms p99 ms errors by flag",
            "demo/reviews/canary 50.0 120 1.00 9.00 UH:20(+10)",
            "v1:80 45.0 100 90.0 % 90.0 % 1.00 1.00",
            "v2:80 5.0 20 10.0 % 10.0 % 1.00 1.00",
            "",
            "client -> service",
            "demo/curl -> reviews:80 45.0 100",
            "",
            "denied by",
            "p 7 last: demo/curl GET /admin",
        ]
    );
}
