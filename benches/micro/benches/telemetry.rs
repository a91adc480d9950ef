//! What telemetry adds to a request: its context read, its series counted, its spans made, and what sending them costs
//! the control thread.

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use http::{HeaderMap, HeaderValue};
use micro_benches::{Told, tracer};
use std::hint::black_box;
use telemetry::{Format, Metrics, SpanId};

fn context(c: &mut Criterion) {
    let (told, spans) = (Told::new(), tracer(0.01, 1));
    let none = HeaderMap::new();
    let mut with = HeaderMap::new();
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    with.insert("traceparent", HeaderValue::from_static(parent));
    let mut group = c.benchmark_group("context");
    group.bench_function("new", |b| b.iter(|| spans.begin(told.plan(), black_box(&none))));
    group.bench_function("continued", |b| b.iter(|| spans.begin(told.plan(), black_box(&with))));
    let trace = spans.begin(told.plan(), &with);
    let mut headers = with.clone();
    group.bench_function("propagated", |b| {
        b.iter(|| spans.propagate(&trace, SpanId(7), black_box(&mut headers)))
    });
    group.finish();
}

fn observe(c: &mut Criterion) {
    let (told, spans) = (Told::new(), tracer(0.0, 1));
    let trace = spans.begin(told.plan(), &HeaderMap::new());
    let outcome = told.outcome(&trace);
    let metrics = Metrics::new("bench");
    c.bench_function("observe", |b| b.iter(|| metrics.observe(black_box(&outcome))));
}

fn span(c: &mut Criterion) {
    let (told, all) = (Told::new(), tracer(1.0, 1));
    let trace = all.begin(told.plan(), &HeaderMap::new());
    let outcome = told.outcome(&trace);
    let mut group = c.benchmark_group("spans");
    group.bench_function("queued", |b| {
        b.iter_batched_ref(
            || tracer(1.0, 1),
            |spans| spans.record(black_box(&outcome)),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("encoded, a server and a client span", |b| {
        b.iter(|| all.otlp(black_box(&outcome)).len())
    });
    group.finish();
}

fn scrape(c: &mut Criterion) {
    let (told, spans) = (Told::new(), tracer(0.0, 1));
    let trace = spans.begin(told.plan(), &HeaderMap::new());
    let metrics = Metrics::new("bench");
    for status in 0..1_000 {
        let outcome = told.outcome(&trace);
        metrics.observe(&telemetry::Outcome { status, ..outcome });
    }
    let mut group = c.benchmark_group("scrape");
    group.sample_size(10);
    group.bench_function("66,000 samples", |b| {
        b.iter(|| {
            let mut text = String::new();
            metrics.encode_to(&mut text, Format::Text).is_ok() && !text.is_empty()
        });
    });
    group.finish();
}

criterion_group!(benches, context, observe, span, scrape);
criterion_main!(benches);
