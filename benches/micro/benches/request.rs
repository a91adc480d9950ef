//! What every request costs before and after its route is found: its path normalised, its head taken, its headers edited.

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use http::Request;
use micro_benches::Edited;
use request::{Head, Mode, Path};
use std::hint::black_box;

fn normalise(c: &mut Criterion) {
    let mut group = c.benchmark_group("normalise");
    for (what, path) in [
        ("as it is", "/api/v1/reviews/8f14e45f/comments"),
        ("dots", "/api/./v1/x/../reviews/8f14e45f"),
        ("escapes", "/api/%76%31/reviews/%7Euser%2Fname"),
    ] {
        for (how, mode) in [
            ("BASE", Mode::Base),
            ("DECODE_AND_MERGE_SLASHES", Mode::DecodeAndMergeSlashes),
        ] {
            group.bench_function(format!("{what}/{how}"), |b| {
                b.iter(|| Path::normalise(black_box(path), mode))
            });
        }
    }
    group.finish();
}

fn head(c: &mut Criterion) {
    let mut builder = Request::get("/api/v1/reviews/8f14e45f?full=1");
    if let Some(headers) = builder.headers_mut() {
        *headers = Edited::new().headers();
    }
    let Ok(request) = builder.body(()) else { return };
    let (parts, ()) = request.into_parts();
    assert!(Head::parse(&parts, Mode::Base).is_ok());
    c.bench_function("head", |b| {
        b.iter(|| Head::parse(black_box(&parts), Mode::Base).is_ok())
    });
}

fn headers(c: &mut Criterion) {
    let edited = Edited::new();
    let mut group = c.benchmark_group("headers");
    group.bench_function("copied", |b| b.iter(|| black_box(&edited).headers()));
    group.bench_function("edited", |b| {
        b.iter_batched_ref(
            || edited.headers(),
            |headers| edited.edit(black_box(headers)),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, normalise, head, headers);
criterion_main!(benches);
