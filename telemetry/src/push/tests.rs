#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::dial::ClearDial;
use crate::fixture::Fixture;
use crate::otlp::ExportProtocol;

#[test]
fn points_say_what_a_scrape_says() {
    let metrics = Metrics::new("1.2.3");
    let fixture = Fixture::default();
    metrics.observe(&fixture.outcome());
    metrics.observe(&fixture.outcome());
    metrics.own.tunnels.set(3);
    let batches = Points::of(&metrics);
    assert_eq!(batches.len(), 1);
    let metric = |name: &str| batches[0].iter().find(|metric| metric.name == name).unwrap();
    let Some(Data::Sum(sum)) = &metric("istio_requests_total").data else {
        panic!()
    };
    assert!(sum.is_monotonic);
    assert_eq!(sum.data_points[0].value, Some(Number::AsDouble(2.0)));
    let keys: Vec<_> = sum.data_points[0].attributes.iter().map(|a| a.key.as_str()).collect();
    assert_eq!(
        (keys.len(), keys[0], keys[24]),
        (25, "reporter", "connection_security_policy")
    );
    let duration = metric("istio_request_duration_milliseconds");
    assert_eq!(duration.unit, "ms");
    let Some(Data::Histogram(buckets)) = &duration.data else {
        panic!()
    };
    let point = &buckets.data_points[0];
    assert_eq!((point.count, point.sum), (2, Some(14.5)));
    assert_eq!((point.bucket_counts.len(), point.explicit_bounds.len()), (20, 19));
    let Some(Data::Gauge(gauge)) = &metric("waypoint_tunnels").data else {
        panic!()
    };
    assert_eq!(gauge.data_points[0].value, Some(Number::AsDouble(3.0)));
}

#[test]
fn a_label_block_is_taken_apart_as_it_was_put_together() {
    let mut block = String::new();
    crate::metrics::push_label(&mut block, "a", "x\"y\\z\nw,b=\"");
    crate::metrics::push_label(&mut block, "b", "");
    let found = attributes(&block);
    let value = |at: usize| found[at].value.clone().unwrap().value.unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(value(0), Value::StringValue("x\"y\\z\nw,b=\"".to_owned()));
    assert_eq!(
        (found[1].key.as_str(), value(1)),
        ("b", Value::StringValue(String::new()))
    );
}

#[test]
fn many_points_are_several_calls() {
    let metrics = Metrics::new("1");
    let fixture = Fixture::default();
    for status in 0..1_000 {
        let outcome = fixture.outcome();
        metrics.observe(&crate::Outcome { status, ..outcome });
    }
    let batches = Points::of(&metrics);
    assert!(batches.len() >= 2, "{}", batches.len());
    let requests = batches
        .iter()
        .flatten()
        .filter(|metric| metric.name == "istio_requests_total");
    let points = requests.map(|metric| match &metric.data {
        Some(Data::Sum(sum)) => sum.data_points.len(),
        _ => 0,
    });
    assert_eq!(points.sum::<usize>(), 1_000);
}

#[tokio::test(start_paused = true)]
async fn a_collector_that_is_away_costs_nothing_but_a_counter() {
    let metrics = Arc::new(Metrics::new("1"));
    let push = MetricsPush {
        export: Export {
            endpoint: "http://127.0.0.1:9".to_owned(),
            protocol: ExportProtocol::Grpc,
            headers: Vec::new(),
            timeout: Duration::from_secs(1),
        },
        interval: Duration::from_secs(10),
        resource: Vec::new(),
        dial: Arc::new(ClearDial),
        metrics: Arc::clone(&metrics),
    };
    push.run(tokio::time::sleep(Duration::from_secs(65))).await;
    assert!(
        metrics
            .encode()
            .contains("waypoint_metric_pushes_total{result=\"failed\"}")
    );
}
