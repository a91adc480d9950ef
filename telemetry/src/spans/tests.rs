#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod collectors;
mod delivery;
mod environment;
mod shape;

use super::*;
use crate::dial::ClearDial;
use crate::fixture::Fixture;
use crate::otlp::ExportProtocol;
use crate::plan::{CustomTag, MetricsPlan, TagValue, TracingPlan};
use http::HeaderValue;

fn config(export: Option<Export>) -> SpansConfig {
    SpansConfig {
        export,
        sampling: 1.0,
        node_id: "waypoint~10.0.0.9~waypoint-0.bookinfo~bookinfo.svc.cluster.local".to_owned(),
        service_name: "waypoint.bookinfo".to_owned(),
        parent_based: true,
        propagation: Propagation::default(),
        resource: Vec::new(),
        batch: Batch::default(),
        cluster: "Kubernetes".to_owned(),
    }
}

fn export(endpoint: String, protocol: ExportProtocol) -> Export {
    Export {
        endpoint,
        protocol,
        headers: vec![("x-tenant".into(), "blue".into())],
        timeout: Duration::from_secs(10),
    }
}

fn queue(queue: usize) -> Batch {
    Batch {
        queue,
        ..Batch::default()
    }
}

fn spans(config: SpansConfig) -> (Arc<Spans>, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::new("1"));
    (Spans::new(config, Arc::new(ClearDial), Arc::clone(&metrics)), metrics)
}

fn somewhere() -> Option<Export> {
    Some(export("http://127.0.0.1:9".to_owned(), ExportProtocol::Grpc))
}

fn with(name: &'static str, value: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(name, HeaderValue::from_str(value).unwrap());
    headers
}

#[test]
fn a_parents_decision_is_respected_whatever_the_share() {
    for share in [0.0, 1.0] {
        let (spans, _) = spans(SpansConfig {
            sampling: share,
            ..config(somewhere())
        });
        for (flag, sampled) in [("00", false), ("01", true)] {
            let text = format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flag}");
            let context = spans.begin(&Plan::default(), &with("traceparent", &text));
            assert_eq!(context.sampled, sampled);
            assert_eq!(context.trace, TraceId(0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c));
            assert_eq!(context.parent, Some(SpanId(0xb7ad_6b71_6920_3331)));
            assert_ne!(Some(context.span), context.parent);
        }
        for (decision, sampled) in [("0", false), ("1", true)] {
            let context = spans.begin(&Plan::default(), &with("b3", decision));
            assert_eq!((context.sampled, context.parent), (sampled, None));
        }
    }
}

#[test]
fn new_traces_are_sampled_by_the_share() {
    let count = |share: f64, export: Option<Export>| -> usize {
        let (spans, _) = spans(SpansConfig {
            sampling: share,
            ..config(export)
        });
        (0..20_000)
            .filter(|_| spans.begin(&Plan::default(), &HeaderMap::new()).sampled)
            .count()
    };
    assert_eq!(count(0.0, somewhere()), 0);
    assert_eq!(count(1.0, somewhere()), 20_000);
    assert_eq!(count(f64::NAN, somewhere()), 0);
    assert_eq!(count(-1.0, somewhere()), 0);
    let some = count(0.1, somewhere());
    assert!((1_500..2_500).contains(&some), "{some}");
}

#[test]
fn unsampled_requests_leave_nothing() {
    let (spans, metrics) = spans(SpansConfig {
        batch: queue(1),
        ..config(somewhere())
    });
    let mut fixture = Fixture::default();
    fixture.trace.sampled = false;
    (0..10).for_each(|_| spans.record(&fixture.outcome()));
    assert_eq!((spans.queue.capacity(), metrics.own.spans_dropped.get()), (1, 0));
}

#[test]
fn a_full_queue_drops_and_counts_spans() {
    let (spans, metrics) = spans(SpansConfig {
        batch: queue(2),
        ..config(somewhere())
    });
    let fixture = Fixture::default();
    (0..5).for_each(|_| spans.record(&fixture.outcome()));
    assert_eq!(
        metrics.own.spans_dropped.get(),
        3 * 3,
        "three records of a server and two client spans"
    );
}

#[test]
fn a_record_is_bounded_whatever_the_request_was() {
    let fixture = Fixture {
        tries: vec![Fixture::default().tries[0].clone(); 1_000],
        ..Fixture::default()
    };
    let long = "é".repeat(100_000);
    let outcome = Outcome {
        method: &long,
        authority: &long,
        path: &long,
        user_agent: Some(&long),
        request_id: Some(&long),
        route: Some(&long),
        policy: Some(&long),
        details: &long,
        ..fixture.outcome()
    };
    let record = Record::of(&outcome, &Arc::new(somewhere().unwrap()));
    assert_eq!((record.tries.len(), record.spans()), (16, 17));
    for text in [record::Text::Method, record::Text::Path, record::Text::Details] {
        assert_eq!(record.text(text).len(), 1_024);
    }
}

fn plan(tracing: TracingPlan) -> Arc<Plan> {
    Arc::new(Plan::new(tracing, Arc::new(MetricsPlan::default()), Vec::new()))
}

#[test]
fn a_plan_goes_before_the_processs_own_settings() {
    let (ours, _) = spans(SpansConfig {
        sampling: 0.0,
        ..config(somewhere())
    });
    let all = plan(TracingPlan {
        sampling: Some(1.0),
        ..TracingPlan::default()
    });
    assert!(ours.begin(&all, &HeaderMap::new()).sampled);
    assert!(!ours.begin(&Plan::default(), &HeaderMap::new()).sampled);
    let silent = plan(TracingPlan {
        report: false,
        ..TracingPlan::default()
    });
    assert!(ours.traces(&all) && !ours.traces(&silent));
    let (nowhere, _) = spans(config(None));
    let elsewhere = plan(TracingPlan {
        export: somewhere().map(Arc::new),
        ..TracingPlan::default()
    });
    assert!(!nowhere.traces(&all) && nowhere.traces(&elsewhere));
}

#[test]
fn a_sampler_that_asks_no_parent_decides_itself() {
    let (ours, _) = spans(SpansConfig {
        sampling: 0.0,
        parent_based: false,
        ..config(somewhere())
    });
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    assert!(!ours.begin(&Plan::default(), &with("traceparent", parent)).sampled);
}
