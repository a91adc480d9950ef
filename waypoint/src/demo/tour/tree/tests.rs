#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};

fn span(id: u8, parent: u8, kind: SpanKind, (start, end): (u64, u64), attributes: &[(&str, &str)]) -> Span {
    let attributes = attributes.iter().map(|(key, value)| KeyValue {
        key: (*key).to_owned(),
        value: Some(AnyValue {
            value: Some(Value::StringValue((*value).to_owned())),
        }),
        ..KeyValue::default()
    });
    Span {
        span_id: vec![id],
        parent_span_id: vec![parent],
        kind: kind.into(),
        name: "demo/reviews/canary".to_owned(),
        start_time_unix_nano: start,
        end_time_unix_nano: end,
        attributes: attributes.collect(),
        ..Span::default()
    }
}

#[test]
fn children_stand_below_their_parents_in_the_order_they_began() {
    let attempt = |id, at, pod| {
        let attributes = [
            ("istio.destination_workload", pod),
            ("upstream_address", "127.10.0.11:9080"),
        ];
        span(id, 1, SpanKind::Client, (at, at + 250_000), &attributes)
    };
    let from = [
        ("istio.source_principal", "spiffe://td/ns/demo/sa/curl"),
        ("http.response.status_code", "200"),
    ];
    let spans = [
        attempt(3, 900, "late"),
        attempt(2, 100, "early"),
        span(1, 9, SpanKind::Server, (0, 1_500_000), &from),
    ];
    let expected = "
└─ waypoint, route demo/reviews/canary      1.50 ms   200  from spiffe://td/ns/demo/sa/curl
   └─ early 127.10.0.11:9080                0.25 ms     to\u{20}
   └─ late 127.10.0.11:9080                 0.25 ms     to\u{20}";
    assert_eq!(format!("\n{}", lines(&spans, &[9]).join("\n")), expected);
}

#[test]
fn a_span_that_is_its_own_parent_ends() {
    let spans = [span(1, 1, SpanKind::Server, (0, 1), &[])];
    assert!(lines(&spans, &[1]).len() < 20);
}
