//! Batches over both transports, and collectors that fail in every way.

use super::collectors::{Answer, Got, grpc, hanging, http};
use super::*;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Starts the exporter; send or drop the handle to stop it, then wait for the task.
fn start(spans: &Arc<Spans>) -> (oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
    let (stop, stopped) = oneshot::channel::<()>();
    let run = Arc::clone(spans).run(async {
        let _ = stopped.await;
    });
    (stop, tokio::spawn(run))
}

fn count(got: &Got) -> usize {
    got.1.resource_spans[0].scope_spans[0].spans.len()
}

fn tally(metrics: &Metrics) -> (u64, u64) {
    (metrics.own.spans_exported.get(), metrics.own.spans_dropped.get())
}

#[tokio::test]
async fn spans_arrive_over_grpc() {
    let (endpoint, mut got) = grpc(&[]).await;
    arrives(endpoint, ExportProtocol::Grpc, &mut got).await;
}

#[tokio::test]
async fn spans_arrive_over_http() {
    let (endpoint, mut got) = http(&[]).await;
    arrives(endpoint, ExportProtocol::HttpProtobuf, &mut got).await;
}

async fn arrives(endpoint: String, protocol: ExportProtocol, got: &mut tokio::sync::mpsc::UnboundedReceiver<Got>) {
    let (spans, metrics) = spans(config(Some(export(endpoint, protocol))));
    let (stop, task) = start(&spans);
    let fixture = Fixture::default();
    (0..2).for_each(|_| spans.record(&fixture.outcome()));
    let (headers, message) = got.recv().await.unwrap();
    assert_eq!(headers["x-tenant"], "blue");
    let resource = &message.resource_spans[0];
    let attributes = &resource.resource.as_ref().unwrap().attributes;
    assert!(attributes.iter().any(|attribute| attribute.key == "service.name"));
    assert_eq!(resource.scope_spans[0].spans.len(), 6);
    // What is queued when the end comes is sent too.
    spans.record(&fixture.outcome());
    drop(stop);
    task.await.unwrap();
    assert_eq!(count(&got.recv().await.unwrap()), 3);
    assert_eq!(tally(&metrics), (9, 0));
    spans.record(&fixture.outcome());
    assert_eq!(tally(&metrics), (9, 3), "after the end spans are dropped and counted");
}

#[tokio::test]
async fn a_large_backlog_is_sent_in_batches() {
    let (endpoint, mut got) = grpc(&[]).await;
    let (spans, metrics) = spans(config(Some(export(endpoint, ExportProtocol::Grpc))));
    let fixture = Fixture::default();
    (0..1_000).for_each(|_| spans.record(&fixture.outcome()));
    let (stop, task) = start(&spans);
    let mut all = 0;
    while all < 3_000 {
        let spans = count(&got.recv().await.unwrap());
        assert!(spans <= 514, "{spans}");
        all += spans;
    }
    drop(stop);
    task.await.unwrap();
    assert_eq!(tally(&metrics), (3_000, 0));
}

#[tokio::test]
async fn what_may_work_later_is_sent_again() {
    for protocol in [ExportProtocol::Grpc, ExportProtocol::HttpProtobuf] {
        let answers = [Answer::Unavailable, Answer::Unavailable];
        let (endpoint, mut got) = if protocol == ExportProtocol::Grpc {
            grpc(&answers).await
        } else {
            http(&answers).await
        };
        let (spans, metrics) = spans(config(Some(export(endpoint, protocol))));
        let (stop, task) = start(&spans);
        spans.record(&Fixture::default().outcome());
        let first = got.recv().await.unwrap();
        got.recv().await.unwrap();
        assert_eq!(got.recv().await.unwrap().1, first.1, "the same spans");
        drop(stop);
        task.await.unwrap();
        assert_eq!(tally(&metrics), (3, 0), "{protocol:?}");
    }
}

#[tokio::test]
async fn what_is_refused_is_dropped_at_once_and_the_next_batch_still_goes() {
    for protocol in [ExportProtocol::Grpc, ExportProtocol::HttpProtobuf] {
        let answers = [Answer::Refuse, Answer::Reject(2)];
        let (endpoint, mut got) = if protocol == ExportProtocol::Grpc {
            grpc(&answers).await
        } else {
            http(&answers).await
        };
        let (spans, metrics) = spans(config(Some(export(endpoint, protocol))));
        let (stop, task) = start(&spans);
        spans.record(&Fixture::default().outcome());
        got.recv().await.unwrap();
        spans.record(&Fixture::default().outcome());
        got.recv().await.unwrap();
        drop(stop);
        task.await.unwrap();
        assert_eq!(
            tally(&metrics),
            (1, 5),
            "{protocol:?}: three refused, two of three rejected"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_hanging_collector_costs_spans_but_no_time_and_no_memory() {
    for protocol in [ExportProtocol::Grpc, ExportProtocol::HttpProtobuf] {
        let endpoint = hanging().await;
        let settings = SpansConfig {
            batch: queue(100),
            ..config(Some(export(endpoint, protocol)))
        };
        let (spans, metrics) = spans(settings);
        let (stop, task) = start(&spans);
        let fixture = Fixture::default();
        // Ten minutes of requests.
        for _ in 0..600 {
            (0..10).for_each(|_| spans.record(&fixture.outcome()));
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let (exported, dropped) = tally(&metrics);
        let held = 6_000 * 3 - dropped;
        assert_eq!(exported, 0);
        assert!(held <= (100 + 512) * 3, "{protocol:?}: {held} spans are held");
        let ending = Instant::now();
        drop(stop);
        task.await.unwrap();
        assert!(
            ending.elapsed() <= Duration::from_millis(2_100),
            "{:?}",
            ending.elapsed()
        );
        assert_eq!(tally(&metrics), (0, 6_000 * 3), "every span is accounted for");
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_collector_is_tried_for_half_a_minute() {
    for protocol in [ExportProtocol::Grpc, ExportProtocol::HttpProtobuf] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let (spans, metrics) = spans(config(Some(export(endpoint, protocol))));
        let begun = Instant::now();
        let (stop, task) = start(&spans);
        spans.record(&Fixture::default().outcome());
        while tally(&metrics).1 == 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let took = begun.elapsed().as_secs();
        assert!((15..=32).contains(&took), "{protocol:?}: {took} s");
        assert_eq!(tally(&metrics), (0, 3));
        drop(stop);
        task.await.unwrap();
    }
}

#[tokio::test]
async fn an_endpoint_that_cannot_be_is_counted_not_fatal() {
    for endpoint in ["https://127.0.0.1:9", "nonsense"] {
        let (spans, metrics) = spans(config(Some(export(endpoint.to_owned(), ExportProtocol::Grpc))));
        let (stop, task) = start(&spans);
        spans.record(&Fixture::default().outcome());
        drop(stop);
        task.await.unwrap();
        assert_eq!(tally(&metrics), (0, 3), "{endpoint}");
    }
}

#[tokio::test]
async fn plans_may_name_several_collectors() {
    let (one, mut got_one) = grpc(&[]).await;
    let (other, mut got_other) = http(&[]).await;
    let (spans, metrics) = spans(config(Some(export(one, ExportProtocol::Grpc))));
    let (stop, task) = start(&spans);
    let fixture = Fixture::default();
    let elsewhere = Fixture {
        plan: plan(TracingPlan {
            export: Some(Arc::new(export(other, ExportProtocol::HttpProtobuf))),
            ..TracingPlan::default()
        }),
        ..Fixture::default()
    };
    for _ in 0..2 {
        spans.record(&fixture.outcome());
        spans.record(&elsewhere.outcome());
    }
    assert_eq!(count(&got_one.recv().await.unwrap()), 6);
    assert_eq!(count(&got_other.recv().await.unwrap()), 6);
    drop(stop);
    task.await.unwrap();
    assert_eq!(tally(&metrics), (12, 0));
}
